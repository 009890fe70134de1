"""OpenSMTPD as mx.opensmtpd.test on 127.0.0.4."""

import shutil

from base.isolation import mount

from .server import USERS, Server, prepare_maildir


class OpenSmtpd(Server):
    name = "opensmtpd"
    address = "127.0.0.4"
    # Version 6.8 with OpenSSL 3, as in Debian 12, offers STARTTLS and then fails in
    # each handshake as a server: what an opportunistic client meets in the wild.
    tls_works = False

    def configure(self):
        # Its places are built in; nothing else in this run looks at these.
        libraries = self.packages.path("usr/libexec")
        mount(libraries, "/usr/libexec")
        self.make("lib/opensmtpd/empty")
        mount(self.folder / "lib", "/var/lib")
        self.make("spool/smtpd", mode=0o711)
        mount(self.folder / "spool", "/var/spool")
        mount(self.make("run"), "/run")
        prepare_maildir(self.mail, "mailbox")
        # It refuses keys that others may read, or that are not root's.
        key = self.folder / "key.pem"
        shutil.copyfile(self.key, key)
        key.chmod(0o600)
        users = self.write("users", "".join(f"{user}: mailbox\n" for user in USERS))
        actions = "".join(f"""
action "{domain}" relay host "smtp://{host}:{port}" src "{self.address}"
match from src "{self.address}" for domain "{domain}" action "{domain}"
""" for domain, (host, port) in self.place.relays.items())
        self.write("smtpd.conf", f"""
pki {self.host} cert "{self.certificate}"
pki {self.host} key "{key}"
table users file:{users}
listen on {self.address} port 25 tls pki {self.host} hostname {self.host}
action "mailboxes" maildir "{self.mail}" virtual <users>
match from any for domain "{self.domain}" action "mailboxes"
{actions}
""")

    def launch(self):
        program = self.packages.path("usr/sbin/smtpd")
        # -d: stay in the foreground, tell standard error.
        self.log = self.output
        self.run(program, "-d", "-f", self.folder / "smtpd.conf")
