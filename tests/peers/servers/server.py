"""What all real servers have in common."""

import mailbox
import shutil
from dataclasses import dataclass
from pathlib import Path

from base.output import wait
from base.packages import Tree
from base.process import Process

# Who has a mailbox at each of the servers.
USERS = ["alice", "bob", "postmaster", *(f"user{number}" for number in range(500))]


@dataclass
class Place:
    """Where a server's files go, and what it gets from outside."""
    folder: Path
    authority: object
    # Host and port that take its mail to example.test, and to others by domain.
    relays: dict


class Server:
    """One real server: subclasses say how it is configured and started.

    All mail for its domain lands in one maildir, whoever the recipient is."""
    name = None
    address = None
    # Whether the handshake that it offers by STARTTLS succeeds.
    tls_works = True
    # The packages' folder, where it has not the server's name.
    tree = None
    ports = (25,)

    def __init__(self, place):
        self.domain = f"{self.name}.test"
        self.host = f"mx.{self.domain}"
        self.place = place
        self.folder = place.folder / self.name
        self.folder.mkdir()
        # Servers give up their rights before they come here.
        self.folder.chmod(0o755)
        self.packages = Tree(self.tree or self.name)
        self.mail = self.folder / "mail"
        self.log = self.folder / "log"
        self.output = self.folder / "output"
        self.certificate, self.key = place.authority.issue(self.host)
        self.processes = []

    def start(self):
        self.configure()
        self.launch()
        self.processes[-1].await_port(self.address, self.ports[0], b"220")
        return self

    def configure(self):
        """Writes the configuration."""
        raise NotImplementedError

    def launch(self):
        """Starts what the server consists of, what answers on port 25 last."""
        raise NotImplementedError

    def run(self, *command, name=None, environment=None):
        environment = {**self.packages.environment(), **(environment or {})}
        process = Process(name or self.name, command, self.output, environment, self.folder)
        self.processes.append(process)
        return process

    def stop(self):
        """Whether all its processes ended when they were asked to."""
        return all([process.stop() for process in reversed(self.processes)])

    def write(self, name, text, mode=0o644):
        file = self.folder / name
        file.write_text(text)
        file.chmod(mode)
        return file

    def make(self, name, owner="root", group=None, mode=0o755):
        """A folder below the server's."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.chown(folder, owner, group)
        folder.chmod(mode)
        return folder

    def messages(self):
        """All that was delivered, as bytes with the header fields of the delivery."""
        if not self.mail.is_dir():
            return []
        files = [file for part in ("new", "cur") for file in (self.mail / part).glob("*")]
        return [file.read_bytes() for file in sorted(files, key=lambda file: file.stat().st_mtime)]

    def with_mark(self, mark):
        """Those that contain some text."""
        return [message for message in self.messages() if mark.encode() in message]

    def await_message(self, mark, seconds=60):
        """The first one that contains some text."""
        what = f"{self.name} has no message with `{mark}`"
        return wait(what, seconds, lambda: self.with_mark(mark))[0]


def prepare_maildir(box, owner):
    """A maildir that this user may write to."""
    mailbox.Maildir(box, create=True)
    for folder in (box, *(box / part for part in ("new", "cur", "tmp"))):
        shutil.chown(folder, owner, owner)
        folder.chmod(0o755)
