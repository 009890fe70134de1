"""Who listens where, and what is in the way."""

import contextlib
import os
import socket
import time
from pathlib import Path

from .output import Failure, say

STANDARD = {"smtp": 25, "lmtp": 24, "submission": 587, "submissions": 465, "imap": 143,
            "imaps": 993, "pop3": 110, "pop3s": 995, "http": 80}
# More would leave the 16 bits of a port.
MAX_NODES = 6
# SeaweedFS wants 10000 more for gRPC, each. Away from its defaults, which tests use.
STORE = {"s3": 8400, "master": 8401, "filer": 8402, "volume": 8403, "admin": 8404}


def of_node(node):
    """A node's ports for mail and HTTP."""
    return {name: node * 10000 + port for name, port in STANDARD.items()}


def rpc(node):
    """Between nodes. 7425, as elsewhere, would leave the 16 bits for the sixth."""
    return node * 10000 + 742


def of_balancer():
    return {name: 25000 + port for name, port in STANDARD.items()}


def all_of(name):
    """Every port that the process takes."""
    if name == "s3":
        return [port + plus for port in STORE.values() for plus in (0, 10000)]
    if name == "lb":
        return list(of_balancer().values())
    node = int(name.removeprefix("node"))
    return [*of_node(node).values(), rpc(node)]


def require_free(names):
    """Fails with all ports that somebody else holds."""
    wanted = [(name, port) for name in names for port in all_of(name)]
    # An outgoing connection may have been given one of the higher ports and
    # blocks it for a minute after its end: that passes.
    deadline = time.monotonic() + 65
    told = False
    while True:
        taken = [(name, port) for name, port in wanted if not is_free(port)]
        held = {}
        for name, port in taken:
            if who := listener(port):
                held.setdefault(who, []).append(f"{port} ({name})")
        if taken and not held and time.monotonic() > deadline:
            held["connections"] = [f"{port} ({name})" for name, port in taken]
        if held:
            lines = "".join(f"\n  {who}\n    holds {', '.join(them)}" for who, them in held.items())
            raise Failure("ports of 127.0.0.1 are in the way. Is it another cluster, in another "
                          f"DIR? Stop what holds them:{lines}")
        if not taken:
            return
        if not told:
            say(f"Waiting for port {taken[0][1]}, which a closed connection holds for up to a minute")
            told = True
        time.sleep(0.5)


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            # Only this shows a listener that reuses the address, too.
            probe.listen(1)
        except OSError:
            return False
    return True


def listener(port):
    """What listens on the port, in words; None if nothing does."""
    try:
        rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    except OSError:
        return "some process" if answers(port) else None
    for row in map(str.split, rows):
        address, _, number = row[1].partition(":")
        if row[3] == "0A" and int(number, 16) == port and address in ("0100007F", "00000000"):
            return owner(f"socket:[{row[9]}]")
    return "some process" if answers(port) else None


def owner(link):
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            for descriptor in (entry / "fd").iterdir():
                if os.readlink(descriptor) == link:
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                    text = command.decode(errors="replace").strip()
                    return f"process {entry.name}: {text[:120]}{'...' if text[120:] else ''}"
    return "a process of another user"


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
