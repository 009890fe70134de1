"""A network and a view of the file system of our own, for a run and its servers.

All servers listen on port 25 of loopback addresses, want users of their own, and
look up names in DNS. In namespaces of the kernel they get that without anything
on this system being changed or in their way, nothing they send can leave it, and
nothing is left running when the run ends, however it ends."""

import os
import subprocess
import sys
from pathlib import Path

from .output import Failure
from .packages import Tree, cache, require, run

MARK = "POSTRIDER_PEERS_ISOLATED"
# Name, home. The names are built into the servers.
USERS = ["postfix", "Debian-exim", "opensmtpd", "opensmtpq", "postgrey", "mailbox"]
GROUPS = [*USERS, "postdrop"]
FIRST_ID = 61001


def enter():
    """Runs this program again inside, and ends with its exit code."""
    if MARK in os.environ:
        return
    if os.geteuid() != 0:
        raise Failure("run this as root: mail servers need port 25 and several users")
    require("unshare", "mount", "ip")
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
               "--", sys.executable, *sys.argv]
    child = subprocess.Popen(command, env={**os.environ, MARK: "1"})
    while True:
        try:
            sys.exit(child.wait())
        except KeyboardInterrupt:
            # It got the signal as well, and ends its servers.
            continue


def arrange(folder):
    """Loopback, users and DNS, once inside. `folder` holds the files for it."""
    run("ip", "link", "set", "lo", "up")
    for last in range(2, 10):
        # Postfix listens on addresses that an interface has, and on no others.
        run("ip", "address", "add", f"127.0.0.{last}/8", "dev", "lo")
    users, groups = Path("/etc/passwd").read_text(), Path("/etc/group").read_text()
    for number, name in enumerate(GROUPS, FIRST_ID):
        if name in USERS and f"\n{name}:" not in users:
            users += f"{name}:x:{number}:{number}::{folder}:/bin/sh\n"
        if f"\n{name}:" not in groups:
            groups += f"{name}:x:{number}:\n"
    cover("/etc/passwd", folder / "passwd", users)
    cover("/etc/group", folder / "group", groups)
    cover("/etc/resolv.conf", folder / "resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:2\n")
    hosts = "127.0.0.1 localhost\n::1 localhost\n"
    cover("/etc/hosts", folder / "hosts", hosts)
    Tree.base = folder / "packages"
    Tree.base.mkdir()
    mount(cache(), Tree.base)


def cover(place, file, text):
    """Shows a file of ours in place of the system's."""
    file.write_text(text)
    file.chmod(0o644)
    mount(file, Path(place).resolve())


def mount(source, place):
    run("mount", "--bind", source, place)
