#!/usr/bin/env python3
"""A name server for tests: `nameserver.py ZONEFILE ADDRESS:PORT...`, UDP and TCP.

The zone file's format stands in zone.py; it is read again whenever it has
changed. Answers claim recursion, are never authentic (no DNSSEC), and may be kept
for a few seconds only."""

import asyncio
import os
import signal
import struct
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripted.zone import TYPES, Zone, read_name, wire_name  # noqa: E402

TTL = 2
NAMES = {number: name for name, number in TYPES.items()}


class Answers:
    """Answers queries from a zone file."""

    def __init__(self, file):
        self.file = file
        self.stamp = None
        self.zone = Zone()

    def refresh(self):
        status = os.stat(self.file)
        stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
        if stamp != self.stamp:
            self.zone, self.stamp = Zone.read(self.file.read_text()), stamp

    def answer(self, query, limit=None):
        """The reply, cut to `limit` bytes (UDP); None where none is due."""
        number, flags, questions, _, _, additional = struct.unpack_from("!6H", query)
        if flags & 0x8000 or questions != 1:
            return None
        name, end = read_name(query, 12)
        kind, _ = struct.unpack_from("!2H", query, end)
        question = query[12:end + 4]
        # EDNS (RFC 6891): it tells how long a reply may be.
        edns = additional and query[end + 4:end + 7] == b"\0\0\x29"
        if edns and limit:
            limit = max(512, struct.unpack_from("!H", query, end + 7)[0])
        self.refresh()
        code, found = self.zone.resolve(name, NAMES.get(kind, "?"))
        if code is None:
            return None
        records = b"".join(record(*one) for one in found)
        # RFC 2308: what is missing may be remembered as long as the SOA says.
        authority = b"" if code == 2 or (found and code == 0) else soa(name)
        extra = b"\0" + struct.pack("!2HIH", TYPES["OPT"], 1232, 0, 0) if edns else b""
        # A response with recursion, and whether the query wished it.
        flags = 0x8080 | (flags & 0x0100) | code

        def reply(flags, count, body):
            head = struct.pack("!6H", number, flags, 1, count, bool(authority), bool(extra))
            return head + question + body + authority + extra
        whole = reply(flags, len(found), records)
        return whole if limit is None or len(whole) <= limit else reply(flags | 0x0200, 0, b"")


def record(name, kind, data):
    return wire_name(name) + struct.pack("!2HIH", TYPES[kind], 1, TTL, len(data)) + data


def soa(name):
    top = name.rpartition(".")[2]
    data = wire_name(f"ns.{top}") + wire_name(f"root.{top}") + struct.pack("!5I", 1, 60, 60, 60, TTL)
    return record(top, "SOA", data)


class Udp(asyncio.DatagramProtocol):
    def __init__(self, answers):
        self.answers = answers

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, query, sender):
        try:
            reply = self.answers.answer(query, 512)
        except (ValueError, IndexError, struct.error) as error:
            print(f"from {sender}: {error}", file=sys.stderr, flush=True)
            return
        if reply:
            self.transport.sendto(reply, sender)


async def tcp(answers, reader, writer):
    try:
        while True:
            length, = struct.unpack("!H", await reader.readexactly(2))
            if reply := answers.answer(await reader.readexactly(length)):
                writer.write(struct.pack("!H", len(reply)) + reply)
                await writer.drain()
    except (OSError, EOFError, ValueError, IndexError, struct.error):
        pass
    finally:
        writer.close()


async def serve(file, places):
    answers = Answers(file)
    answers.refresh()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in signal.SIGTERM, signal.SIGINT:
        loop.add_signal_handler(number, ended.set)
    for place in places:
        address, _, port = place.rpartition(":")
        address = address.strip("[]")
        await loop.create_datagram_endpoint(lambda: Udp(answers), (address, int(port)))
        await asyncio.start_server(lambda *ends: tcp(answers, *ends), address, int(port))
    print(f"answering on {' '.join(places)}", flush=True)
    await ended.wait()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2:]))
