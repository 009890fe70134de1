"""One scripted peer: an SMTP server that takes everything, counts it, and makes
the mistakes that it is told to make.

It is quick, for measurements: pipelined commands are answered in one write."""

import asyncio
import json
import re
import socket
import ssl
import struct
import time
from collections import Counter
from pathlib import Path

from .faults import Fault

EXTENSIONS = ("PIPELINING", "SIZE 104857600", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING",
              "ENHANCEDSTATUSCODES")
MESSAGE_ID = re.compile(rb"^message-id:\s*(\S+)", re.IGNORECASE | re.MULTILINE)
# A line longer than this is no command.
MAX_LINE = 16384


class Peer:
    """An entry of the plan, with what has come so far."""

    def __init__(self, plan, journal):
        self.name = plan["name"]
        self.address, self.port = plan["address"], plan.get("port", 25)
        self.host = plan.get("host", f"mx.{self.name}")
        self.faults = [Fault(**fault) for fault in plan.get("faults", [])]
        without = {word.upper() for word in plan.get("without", [])}
        self.extensions = [line for line in EXTENSIONS if line.split()[0] not in without]
        self.tls = None
        if "certificate" in plan and "STARTTLS" not in without:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(plan["certificate"], plan["key"])
            self.extensions.append("STARTTLS")
        # A folder for the messages, if they are to be kept.
        self.folder = Path(plan["keep"]) if plan.get("keep") else None
        if self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)
        self.journal = journal
        self.commands = Counter()
        self.ids = Counter()
        self.accepted = self.recipients = self.bytes = self.encrypted = 0
        self.connections = self.most_open = 0
        # Nothing else holds those that hang: the loop knows only whom it listens to.
        self.sessions = set()
        self.tasks = set()
        self.first = self.last = None

    def fault(self, phase, command=""):
        """The fault that is due here, counted; or None."""
        for fault in self.faults:
            if fault.applies(phase, command):
                fault.count += 1
                return fault
        return None

    def take(self, session, content):
        """A whole message has come."""
        found = MESSAGE_ID.search(content[:65536])
        identity = found[1].decode(errors="replace") if found else None
        self.accepted += 1
        self.ids[identity] += 1
        self.recipients += len(session.recipients)
        self.bytes += len(content)
        self.encrypted += session.secure
        self.last = time.time()
        self.first = self.first or self.last
        entry = {"peer": self.name, "id": identity, "mail": session.mail,
                 "rcpt": session.recipients, "bytes": len(content), "tls": session.secure,
                 "from": session.client, "at": self.last}
        if self.folder:
            file = self.folder / f"{self.accepted:06}.eml"
            file.write_bytes(content)
            entry["file"] = str(file)
        self.journal.write(json.dumps(entry) + "\n")

    def statistics(self):
        return {
            "connections": self.connections, "open": len(self.sessions), "most_open": self.most_open,
            "messages": self.accepted, "distinct": len(self.ids),
            "duplicates": self.accepted - len(self.ids),
            "recipients": self.recipients, "bytes": self.bytes, "encrypted": self.encrypted,
            "first": self.first, "last": self.last, "commands": dict(self.commands),
            "faults": [{"phase": fault.phase, "action": fault.action, "count": fault.count}
                       for fault in self.faults],
        }


class Session(asyncio.Protocol):
    """One connection to a peer."""

    def __init__(self, peer):
        self.peer = peer
        self.transport = None
        self.secure = False
        self.reset_all()

    def reset_all(self):
        """The state of a new connection, and that after STARTTLS."""
        self.input = bytearray()
        # What is read now: `command`, `data`, `chunk`; `handshake` while TLS begins,
        # `nothing` once all is over.
        self.state = "command"
        self.output = []
        self.forget()

    def forget(self):
        self.mail, self.recipients = None, []
        self.content = bytearray()
        self.chunk_left, self.chunk_last, self.chunk_reply = 0, False, None
        self.content_seen = False
        # So much of the input holds no end of the message.
        self.searched = 0

    # The connection.

    def connection_made(self, transport):
        self.transport = transport
        self.client = transport.get_extra_info("peername")[0]
        peer = self.peer
        peer.connections += 1
        peer.sessions.add(self)
        peer.most_open = max(peer.most_open, len(peer.sessions))
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.fails("connect"):
            return
        if fault := peer.fault("greeting"):
            if not fault.is_reply:
                transport.write(b"220-mx.halfway")
            self.act(fault)
            return
        transport.write(f"220 {peer.host} ESMTP scripted\r\n".encode())

    def connection_lost(self, error):
        self.peer.sessions.discard(self)
        self.state = "nothing"

    def data_received(self, data):
        if self.state == "nothing":
            return
        self.input += data
        self.proceed()

    def proceed(self):
        """Reads as much of the input as there is."""
        readers = {"command": self.read_command, "data": self.read_data,
                   "chunk": self.read_chunk}
        while (reader := readers.get(self.state)) and reader():
            pass
        self.flush()

    def flush(self):
        if self.output and not self.transport.is_closing():
            self.transport.write("".join(self.output).encode())
        self.output.clear()

    def reply(self, text):
        self.output.append(text + "\r\n")

    # Faults.

    def fails(self, phase, command=""):
        """Whether a fault took the place of the answer."""
        fault = self.peer.fault(phase, command)
        if fault:
            self.act(fault)
        return fault is not None

    def act(self, fault):
        if fault.is_reply:
            self.reply(fault.action)
            if not fault.action.startswith("421") and fault.phase not in ("connect", "greeting",
                                                                          "content"):
                return
        # What was answered before comes before it.
        self.flush()
        self.state = "nothing"
        if fault.action in ("reset", "die"):
            linger = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()
        elif fault.action == "garbage":
            self.transport.write(bytes(range(255, 127, -1)) + b"\r\n")
            self.transport.close()
        elif fault.action == "hang":
            self.transport.pause_reading()
        else:
            self.transport.close()

    # Commands.

    def read_command(self):
        end = self.input.find(b"\n")
        if end < 0:
            if len(self.input) > MAX_LINE:
                self.reply("500 5.5.2 line too long")
                self.input.clear()
            return False
        line = self.input[:end].rstrip(b"\r").decode("utf-8", "replace")
        del self.input[:end + 1]
        word = line.split(maxsplit=1)[0].upper() if line.strip() else ""
        self.peer.commands[word[:20]] += 1
        handler = getattr(self, f"on_{word.lower()}", None) if word.isalpha() else None
        if handler is None:
            self.reply("500 5.5.1 no such command")
        else:
            handler(line)
        return True

    def on_ehlo(self, line):
        if self.fails("ehlo", line) or self.fails("helo", line):
            return
        self.forget()
        offers = [word for word in self.peer.extensions if word != "STARTTLS" or not self.secure]
        lines = [f"{self.peer.host} at your service", *offers]
        for text in lines[:-1]:
            self.reply(f"250-{text}")
        self.reply(f"250 {lines[-1]}")

    def on_helo(self, line):
        if not self.fails("helo", line):
            self.forget()
            self.reply(f"250 {self.peer.host}")

    def on_starttls(self, line):
        if self.peer.tls is None or self.secure:
            self.reply("502 5.5.1 no TLS here")
            return
        if self.fails("starttls", line):
            return
        fault = self.peer.fault("handshake", line)
        self.reply("220 2.0.0 go on")
        if fault:
            self.act(fault)
            return
        # Nothing may come in between.
        self.transport.pause_reading()
        self.flush()
        # RFC 3207 §4.2: what was said before is void.
        self.reset_all()
        self.state = "handshake"
        self.peer.tasks.add(task := asyncio.ensure_future(self.handshake()))
        task.add_done_callback(self.peer.tasks.discard)

    async def handshake(self):
        self.secure = True
        loop = asyncio.get_running_loop()
        try:
            transport = await loop.start_tls(self.transport, self, self.peer.tls, server_side=True)
        except OSError:
            return
        if transport and self.state == "handshake":
            self.transport = transport
            self.state = "command"
            # The client may have gone on already.
            self.proceed()

    def on_mail(self, line):
        if not self.fails("mail", line):
            self.forget()
            self.mail = line.partition(":")[2]
            self.reply("250 2.1.0 ok")

    def on_rcpt(self, line):
        if self.fails("rcpt", line):
            return
        if self.mail is None:
            self.reply("503 5.5.1 MAIL first")
            return
        self.recipients.append(line.partition(":")[2])
        self.reply("250 2.1.5 ok")

    def on_data(self, line):
        if self.fails("data", line):
            return
        if not self.recipients:
            self.reply("554 5.5.1 no valid recipients")
            return
        self.state = "data"
        self.reply("354 go on")

    def on_bdat(self, line):
        words = line.split()
        self.chunk_left, self.chunk_last = int(words[1]), words[-1].upper() == "LAST"
        self.state = "chunk"
        # A refusal comes when the chunk was read: it follows without being asked for.
        self.chunk_reply = None if self.recipients else "503 5.5.1 RCPT first"
        if self.content:
            return
        fault = self.peer.fault("data", line)
        if fault and fault.is_reply and not fault.action.startswith("421"):
            self.chunk_reply = fault.action
        elif fault:
            self.act(fault)

    def on_rset(self, line):
        if not self.fails("rset", line):
            self.forget()
            self.reply("250 2.0.0 ok")

    def on_noop(self, _):
        self.reply("250 2.0.0 ok")

    def on_vrfy(self, _):
        self.reply("252 2.5.0 perhaps")

    def on_quit(self, line):
        if not self.fails("quit", line):
            self.reply("221 2.0.0 bye")
            self.flush()
            self.state = "nothing"
            self.transport.close()

    # Content.

    def has_content(self):
        """Once per message, when its first bytes have come. False if that was it."""
        if self.content_seen or not self.input:
            return True
        self.content_seen = True
        return not self.fails("content")

    def read_data(self):
        if not self.has_content():
            return False
        data = self.input
        # The dot may stand in the first line.
        end = 0 if data.startswith(b".\r\n") else data.find(b"\r\n.\r\n", self.searched) + 2
        if end == 1:
            self.searched = max(0, len(data) - 4)
            return False
        content = bytes(data[:end])
        del data[:end + 3]
        self.state = "command"
        if content.startswith(b".") or b"\r\n." in content:
            content = re.sub(rb"(?m)^\.", b"", content)
        self.finish(content)
        return True

    def read_chunk(self):
        if self.chunk_left and not self.has_content():
            return False
        part = self.input[:self.chunk_left]
        del self.input[:len(part)]
        self.chunk_left -= len(part)
        self.content += part
        if self.chunk_left:
            return False
        self.state = "command"
        if self.chunk_reply:
            self.reply(self.chunk_reply)
            self.forget()
        elif self.chunk_last:
            self.finish(bytes(self.content))
        else:
            self.reply("250 2.0.0 chunk taken")
        return True

    def finish(self, content):
        fault = self.peer.fault("dot")
        if fault is None or fault.action == "die":
            self.peer.take(self, content)
        if fault:
            self.act(fault)
        else:
            self.reply("250 2.0.0 taken")
        self.forget()
