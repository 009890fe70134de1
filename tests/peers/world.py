"""Everything that runs during the tests, started when a scenario first asks for it."""

import json
import sys
import uuid
from pathlib import Path

from base import packages
from base.certificate import Authority
from base.output import Failure, say, wait
from base.process import Process
from node import DOMAIN, HOST, PORTS, Node
from servers.exim import Exim
from servers.opensmtpd import OpenSmtpd
from servers.postfix import Postfix
from servers.postgrey import Postgrey
from servers.server import Place
from servers.smarthost import Smarthost
from understudy import Understudy

HERE = Path(__file__).resolve().parent
SERVERS = {server.name: server for server in (Postfix, Exim, OpenSmtpd, Postgrey, Smarthost)}
# Where the servers bring our mail.
INCOMING = ("127.0.0.1", PORTS["smtp"])
# A sink for measurements.
SINK = ("127.0.0.9", 25)
# The servers use 53 as any system does, Postrider the other one.
DNS_PORTS = (53, 5300)
ZONE = f"""
{DOMAIN}   MX     10 {HOST}
{HOST}   A      127.0.0.1
1.0.0.127.in-addr.arpa   PTR    {HOST}
"""


class World:
    """The test's folder and the processes in it."""

    def __init__(self, folder, understudy=False):
        self.folder = folder
        self.node_kind = Understudy if understudy else Node
        self.authority = Authority(folder / "certificates")
        self.zone = folder / "zone"
        self.zone.write_text(ZONE)
        self.started = []
        self.servers = {}
        # Those that the present scenario has to do with.
        self.used = set()
        self.scripted_count = 0
        self.running_node = None
        self.start_nameserver()

    def start_nameserver(self):
        command = [sys.executable, HERE / "scripted/nameserver.py", self.zone,
                   *(f"127.0.0.1:{port}" for port in DNS_PORTS)]
        process = self.spawn("nameserver", command)
        process.await_port("127.0.0.1", DNS_PORTS[0])

    def spawn(self, name, command, environment=None):
        process = Process(name, command, self.folder / f"{name}.log", environment)
        self.started.append(process)
        return process

    def publish(self, *records):
        """Adds records to the zone, each a line of its file."""
        self.rezone(self.zone.read_text() + "".join(f"{record}\n" for record in records))

    def rezone(self, text):
        """Replaces the whole zone, at once for who looks meanwhile."""
        new = self.zone.with_name("zone.new")
        new.write_text(text)
        new.replace(self.zone)

    def server(self, name):
        """The running server; `name` is a key of SERVERS."""
        self.used.add(name)
        if name not in self.servers:
            say(f"starting {name}")
            place = Place(self.folder, self.authority, self.relays())
            server = SERVERS[name](place)
            self.servers[name] = server
            self.publish(f"{server.domain} MX 10 {server.host}",
                         f"{server.host} A {server.address}")
            server.start()
        return self.servers[name]

    def node(self):
        """Postrider, running."""
        if self.running_node is None:
            say(f"starting {self.node_kind.__name__.lower()}")
            self.running_node = node = self.node_kind(self, DNS_PORTS[1])
            node.start()
            node.populate()
            node.publish()
        return self.running_node

    def relays(self):
        """Where servers bring mail that is not their own."""
        return {DOMAIN: INCOMING, "sink.test": SINK}

    def scripted(self, peers, name=None):
        """Starts scripted peers; each a dictionary as serve.py describes them. Those
        without an address get one, and their domain is published."""
        return Scripted(self, peers, name)

    def next_address(self):
        self.scripted_count += 1
        return f"127.0.1.{self.scripted_count}"

    def stop(self):
        """Whether all ended when they were asked to."""
        everything = [*self.servers.values(), *reversed(self.started)]
        if self.running_node:
            everything.insert(0, self.running_node)
        return all([process.stop() for process in everything])

    def logs(self):
        """Those that may tell why the present scenario failed."""
        used = [self.servers[name] for name in sorted(self.used) if name in self.servers]
        files = {server.log for server in used} | {server.output for server in used}
        return sorted(files | ({self.running_node.log} if self.running_node else set()))

    def modules(self):
        """The Python that has the modules to judge mail with."""
        return packages.Tree("python").root / "bin" / "python"


class Scripted:
    """A running set of scripted peers."""

    def __init__(self, world, peers, name):
        self.world = world
        self.name = name or f"scripted-{uuid.uuid4().hex[:6]}"
        self.folder = world.folder / self.name
        self.folder.mkdir()
        for peer in peers:
            self.complete(peer)
        self.peers = {peer["name"]: peer for peer in peers}
        plan = self.folder / "plan.json"
        plan.write_text(json.dumps({"folder": str(self.folder), "peers": peers}, indent=1))
        self.process = world.spawn(self.name, [sys.executable, HERE / "scripted/serve.py", plan])
        wait(f"{self.name} does not listen", 20, self.listens)

    def complete(self, peer):
        if "address" not in peer:
            peer["address"] = self.world.next_address()
            host = peer.setdefault("host", f"mx.{peer['name']}")
            self.world.publish(f"{peer['name']} MX 10 {host}", f"{host} A {peer['address']}")
        if peer.pop("tls", False):
            files = self.world.authority.issue(peer.get("host", peer["name"]))
            peer["certificate"], peer["key"] = map(str, files)
        if peer.pop("kept", False):
            peer["keep"] = str(self.folder / peer["name"])

    def listens(self):
        self.process.must_run()
        return (self.folder / "statistics.json").exists()

    def statistics(self):
        return json.loads((self.folder / "statistics.json").read_text())

    def accepted(self, name=None):
        """What was taken, by all or by one of them; up to half a second late."""
        lines = (self.folder / "accepted.jsonl").read_text().splitlines(keepends=True)
        entries = [json.loads(line) for line in lines if line.endswith("\n")]
        return [entry for entry in entries if name in (None, entry["peer"])]

    def await_accepted(self, name, count=1, seconds=60):
        """The first `count` messages that a peer took."""
        def look():
            self.process.must_run()
            found = self.accepted(name)
            return found if len(found) >= count else None
        return wait(f"{name} has not taken {count} messages", seconds, look)

    def stop(self):
        self.process.stop()
        if self.process in self.world.started:
            self.world.started.remove(self.process)


def check(condition, text):
    """Fails the scenario with this text unless the condition holds."""
    if not condition:
        raise Failure(text)
