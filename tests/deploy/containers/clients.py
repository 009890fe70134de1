"""What clients do: one message, all messages, and a stream of them, which remembers what
was acknowledged."""

import imaplib
import poplib
import re
import smtplib
import ssl
import subprocess
import sys
import threading
import time

from base.output import Failure
from base.packages import run

ALICE, PASSWORD = "alice@example.org", "secret of alice"
SUBJECT = re.compile(rb"^Subject: (\S+)", re.MULTILINE)


def context():
    """The cluster's own authority signs what nodes show: nobody here knows it."""
    any_certificate = ssl.create_default_context()
    any_certificate.check_hostname = False
    any_certificate.verify_mode = ssl.CERT_NONE
    return any_certificate


def text(subject, sender="bob@example.net"):
    return f"From: {sender}\r\nTo: {ALICE}\r\nSubject: {subject}\r\n\r\nHello.\r\n"


def send(subject, host="127.0.0.1", port=25):
    with smtplib.SMTP(host, port, timeout=30) as client:
        client.sendmail("bob@example.net", [ALICE], text(subject))


def submit(subject, host="127.0.0.1"):
    """By both ways of submission."""
    with smtplib.SMTP_SSL(host, 465, timeout=30, context=context()) as client:
        client.login(ALICE, PASSWORD)
        client.sendmail(ALICE, [ALICE], text(f"{subject}-465", ALICE))
    with smtplib.SMTP(host, 587, timeout=30) as client:
        client.starttls(context=context())
        client.login(ALICE, PASSWORD)
        client.sendmail(ALICE, [ALICE], text(f"{subject}-587", ALICE))


def subjects(host="127.0.0.1", port=993):
    """Of all messages, by IMAP."""
    with imaplib.IMAP4_SSL(host, port, ssl_context=context(), timeout=30) as client:
        client.login(ALICE, PASSWORD)
        client.select("INBOX", readonly=True)
        _, lines = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        return [SUBJECT.search(line[1])[1].decode() for line in lines if isinstance(line, tuple)]


def counts(host="127.0.0.1"):
    """How many messages IMAP with STARTTLS and POP3, with it and with TLS, show."""
    with imaplib.IMAP4(host, 143, timeout=30) as client:
        client.starttls(ssl_context=context())
        client.login(ALICE, PASSWORD)
        found = [int(client.select("INBOX", readonly=True)[1][0])]
    plain = poplib.POP3(host, 110, timeout=30)
    plain.stls(context=context())
    for client in plain, poplib.POP3_SSL(host, 995, timeout=30, context=context()):
        client.user(ALICE)
        client.pass_(PASSWORD)
        found.append(client.stat()[0])
        client.quit()
    return found


def first_received(subject):
    """The topmost Received field of a message."""
    with imaplib.IMAP4_SSL("127.0.0.1", 993, ssl_context=context(), timeout=30) as client:
        client.login(ALICE, PASSWORD)
        client.select("INBOX", readonly=True)
        _, (numbers,) = client.search(None, "SUBJECT", subject)
        _, lines = client.fetch(numbers.split()[-1], "(BODY.PEEK[HEADER.FIELDS (RECEIVED)])")
        return lines[0][1].decode()


class Outside:
    """A machine that reaches the published ports over a network of its own."""

    HERE, THERE = "198.51.100.1", "198.51.100.9"

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        # The name lives in both networks for a moment: until `unshare` has made its own.
        while run("readlink", f"/proc/{self.holder.pid}/ns/net") == run("readlink", "/proc/self/ns/net"):
            time.sleep(0.05)
        run("ip", "link", "add", "to-outside", "type", "veth", "peer", "name", "inside",
            "netns", str(self.holder.pid))
        run("ip", "address", "add", f"{self.HERE}/24", "dev", "to-outside")
        run("ip", "link", "set", "to-outside", "up")
        self.run("ip", "address", "add", f"{self.THERE}/24", "dev", "inside")
        self.run("ip", "link", "set", "inside", "up")

    def run(self, *command):
        run("nsenter", "--net", "--target", str(self.holder.pid), *command)

    def send(self, subject):
        self.run(sys.executable, "-c", "import smtplib, sys; smtplib.SMTP(sys.argv[1], 25, timeout=30)"
                 ".sendmail('bob@example.net', [sys.argv[2]], sys.argv[3])",
                 self.HERE, ALICE, text(subject))


class Stream:
    """Sends message after message until it is stopped, each over a connection of its own.
    Three a second stay under what one address may send."""

    def __init__(self, name, host="127.0.0.1"):
        self.name, self.host = name, host
        self.acknowledged, self.failed = [], []
        self.longest = 0.0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        last, number = time.monotonic(), 0
        while not self.ending.wait(0.3):
            number += 1
            subject = f"{self.name}-{number}"
            try:
                send(subject, self.host)
                self.acknowledged.append(subject)
                self.longest = max(self.longest, time.monotonic() - last)
                last = time.monotonic()
            except (OSError, smtplib.SMTPException) as error:
                self.failed.append((subject, error))

    def stop(self):
        """Ends it after one more message has been taken."""
        seen, deadline = len(self.acknowledged), time.monotonic() + 60
        while len(self.acknowledged) == seen:
            if time.monotonic() > deadline:
                raise Failure(f"no message is taken any more: {self.failed[-1:]}")
            time.sleep(0.05)
        self.ending.set()
        self.thread.join()
        return (f"{len(self.acknowledged)} messages, {len(self.failed)} not acknowledged, "
                f"none for {self.longest:.1f} s at the longest")


def nothing_lost(sent, host="127.0.0.1", port=993):
    """Everything that was acknowledged is there, and nothing twice."""
    found = subjects(host, port)
    lost = set(sent) - set(found)
    twice = {subject for subject in sent if found.count(subject) > 1}
    if lost or twice:
        raise Failure(f"lost: {sorted(lost)}, twice: {sorted(twice)}")
    return len(found)
