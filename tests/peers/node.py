"""Postrider itself: one node with a domain and accounts, and what its users do."""

import contextlib
import email
import email.policy
import http.client
import imaplib
import json
import os
import smtplib
import ssl
import subprocess
import time
import uuid
from email.message import EmailMessage
from pathlib import Path

from base.output import Failure, wait
from base.process import Process
from base.swaks import swaks

REPOSITORY = Path(__file__).resolve().parents[2]
DOMAIN = "example.test"
HOST = f"mail.{DOMAIN}"
PASSWORD = "a password for tests"
ALICE, BOB = f"alice@{DOMAIN}", f"bob@{DOMAIN}"
PORTS = {"smtp": 2525, "submission": 2587, "imap": 2143, "http": 2080}
# Quick, so that a test sees several attempts; the lifetime is the shortest there is.
QUEUE = {"retry": ["1s", "1s", "2s", "3s"], "lifetime": "1m", "warn_after": "0s",
         "longest_rest": "1s", "port": 25, "loopback": True}
CLIENT = {name: "2s" for name in (
    "connect_timeout", "greeting_timeout", "handshake_timeout", "command_timeout",
    "data_init_timeout", "data_block_timeout", "data_end_timeout")}
# After this long without a reply the client has given up and tries again.
GIVES_UP = 2


def program():
    binary = Path(os.environ.get("POSTRIDER_BIN") or REPOSITORY / "target/release/postrider")
    if not os.access(binary, os.X_OK):
        raise Failure(f"there is no program {binary}: run `cargo build --release`, or name another "
                      "with POSTRIDER_BIN")
    return binary.resolve()


class Node:
    """The running node."""
    # Whether it signs and seals what it sends.
    signs = True
    # Of domains that do not exist, and that take no mail (RFC 7505).
    statuses = {"missing.test": "5.1.2", "nomail.test": "5.1.10"}

    def __init__(self, world, dns_port):
        self.world = world
        self.dns_port = dns_port
        self.binary = program()
        self.folder = world.folder / "postrider"
        self.folder.mkdir()
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.config = self.folder / "postrider.toml"
        self.certificate, self.key = world.authority.issue(HOST)
        self.process = None

    def start(self, **queue):
        """`queue` are settings of `[queue]` that are different from the usual ones."""
        self.config.write_text(self.settings({**QUEUE, **queue}))
        self.process = Process("postrider", [self.binary, "serve", "--config", self.config],
                               self.log)
        wait("postrider is not ready", 60, self.is_ready)

    def restart(self, **queue):
        self.process.stop(30)
        self.start(**queue)

    def kill(self):
        """As if the machine lost power."""
        self.process.child.kill()
        self.process.child.wait()

    def stop(self):
        return self.process is None or self.process.stop(30)

    def settings(self, queue):
        listeners = "".join(f"""
[[listener]]
protocol = "{protocol}"
listen = ["127.0.0.1:{port}"]
max_connections_per_address = 10000
""" for protocol, port in PORTS.items())
        lines = "\n".join(f"{name} = {toml(value)}" for name, value in queue.items())
        client = "\n".join(f"{name} = {toml(value)}" for name, value in CLIENT.items())
        return f"""
data_dir = "{self.data}"
drain_timeout = "3s"

[tls]
certificate = "{self.certificate}"
key = "{self.key}"

[smtp]
hostname = "{HOST}"
max_messages_per_minute = 0
max_sent_messages_per_hour = 0
max_sent_recipients_per_hour = 0
plain_login_from_loopback = true

[imap]
plain_login_from_loopback = true

[blob]
folder = "{self.folder}/bodies"

[queue]
{lines}

[queue.client]
{client}

[queue.dns]
servers = ["127.0.0.1:{self.dns_port}"]
timeout = "1s"
retries = 1
deadline = "4s"
{listeners}"""

    def is_ready(self):
        self.process.must_run()
        connection = http.client.HTTPConnection("127.0.0.1", PORTS["http"], timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/healthz/ready")
            return connection.getresponse().status == 200
        return False

    def run(self, *arguments, text=None):
        """A command of Postrider that must succeed; its output."""
        command = [str(self.binary), *arguments, "--dir", str(self.data)]
        done = subprocess.run(command, input=text or "", capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"`postrider {' '.join(arguments)}` failed: "
                          f"{done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def populate(self):
        self.run("domain", "add", DOMAIN)
        for address in ALICE, BOB:
            self.run("account", "add", address, "--password-stdin", text=f"{PASSWORD}\n")

    def publish(self):
        """Puts what the domain wants published into the name server."""
        self.world.publish(*records(json.loads(self.run("domain", "dns", DOMAIN, "--json"))))

    # What users do.

    def swaks(self, *arguments, user=ALICE):
        """A dialogue of a user who has logged in."""
        return swaks("--server", "127.0.0.1", "--port", PORTS["submission"], "--tls",
                     "--auth", "PLAIN", "--auth-user", user, "--auth-password", PASSWORD,
                     "--from", user, "--header", f"From: {user}", *arguments)

    def submit(self, message, recipients, user=ALICE, mail=(), rcpt=()):
        """Sends a message, with parameters of MAIL and RCPT."""
        with smtplib.SMTP("127.0.0.1", PORTS["submission"], timeout=60) as smtp:
            context = ssl.create_default_context(cafile=self.world.authority.certificate)
            context.check_hostname = False
            smtp.starttls(context=context)
            self.login(smtp, user)
            if isinstance(recipients, str):
                recipients = [recipients]
            refused = smtp.sendmail(user, recipients, raw(message), list(mail), list(rcpt))
        if refused:
            raise Failure(f"the submission refused {refused}")

    def login(self, smtp, user):
        smtp.login(user, PASSWORD)

    def inbox(self, user=ALICE):
        """All messages in a user's INBOX."""
        with imaplib.IMAP4("127.0.0.1", PORTS["imap"], timeout=60) as imap:
            imap.login(user, PASSWORD)
            imap.select("INBOX", readonly=True)
            numbers = imap.search(None, "ALL")[1][0].split()
            if not numbers:
                return []
            parts = imap.fetch(b",".join(numbers), "(BODY.PEEK[])")[1]
        return [part[1] for part in parts if isinstance(part, tuple)]

    def received(self, mark, user=ALICE):
        """Those with some text in them."""
        return [read(message) for message in self.inbox(user) if mark.encode() in message]

    def await_received(self, mark, user=ALICE, seconds=60):
        return wait(f"{user} has no message with `{mark}`", seconds,
                    lambda: self.received(mark, user), 0.3)[0]


def toml(value):
    """A value of the settings. JSON's texts, numbers and truth are TOML's as well."""
    if isinstance(value, dict):
        pairs = ", ".join(f"{name} = {toml(item)}" for name, item in value.items())
        return f"{{ {pairs} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value)


def raw(message):
    return message if isinstance(message, bytes) else message.as_bytes(policy=email.policy.SMTP)


def read(message):
    return email.message_from_bytes(message, policy=email.policy.default)


def new_mark():
    return uuid.uuid4().hex


def compose(to, mark, text="Hello from a test.\n", **fields):
    """A message with a mark in its header, by which it is found again."""
    message = EmailMessage()
    message["From"], message["To"] = ALICE, to
    message["Subject"] = f"A test {mark}"
    message["Message-ID"] = f"<{mark}@{DOMAIN}>"
    message["Date"] = email.utils.formatdate(time.time())
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return message


def records(answer):
    """The lines of a zone file for the records somewhere within `domain dns --json`:
    whatever has a name, a kind (or type) and a value."""
    if isinstance(answer, list):
        for item in answer:
            yield from records(item)
    elif isinstance(answer, dict):
        kind = answer.get("kind", answer.get("type"))
        if "name" in answer and "value" in answer and isinstance(kind, str):
            yield f"{answer['name']} {kind.upper()} {answer['value']}"
        else:
            yield from records(list(answer.values()))
