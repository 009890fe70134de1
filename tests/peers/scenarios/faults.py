"""Servers that fail at each phase: one delivery in the end, whatever happened.

Each fault has a peer of its own, which fails once; all are tried at the same time."""

import time
from collections import Counter

from base.output import wait
from node import GIVES_UP, compose, new_mark, read
from report import parse
from world import check

PHASES = ("connect", "greeting", "ehlo", "starttls", "handshake", "mail", "rcpt", "data", "content",
          "dot", "quit")
# So long after the last delivery a second one would have come.
AFTERWARDS = 3 * GIVES_UP + 6


def resets(world):
    """A reset at each phase."""
    once(world, "reset")


def closes(world):
    """The connection ends at each phase."""
    once(world, "close")


def hangs(world):
    """No answer at each phase."""
    once(world, "hang")


def garbage(world):
    """Bytes that mean nothing at each phase."""
    once(world, "garbage")


def temporary(world):
    """451 at each phase, then 250."""
    once(world, "451 4.3.0 try later", without=("connect", "handshake", "content", "quit"))


def shutdowns(world):
    """421 at each phase, and the end of the connection."""
    once(world, "421 4.3.2 shutting down", without=("handshake",))


def plain(world):
    """The same without TLS, pipelining and chunks: each command by itself."""
    for action in "reset", "hang":
        once(world, action, without=("starttls", "handshake"), tls=False,
             lacks=["PIPELINING", "CHUNKING", "STARTTLS"])


def once(world, action, without=(), tls=True, lacks=()):
    word = action.split()[0]
    label = f"{word}.{'tls' if tls else 'plain'}"
    peers = [{"name": f"{phase}.{label}.test", "tls": tls, "without": list(lacks), "kept": True,
              "faults": [{"phase": phase, "action": action, "times": 1}]}
             for phase in PHASES if phase not in without]
    scripted = world.scripted(peers, f"faults-{label}")
    ids = send(world, scripted)
    await_all(scripted, 120)
    time.sleep(AFTERWARDS)
    for name, entries in by_peer(scripted).items():
        check([entry["id"] for entry in entries] == [ids[name]],
              f"{name} took {len(entries)} messages: {entries}")
    for name, peer in scripted.statistics().items():
        # Else it proves nothing.
        check(peer["faults"][0]["count"] == 1, f"{name} never came to its fault: {peer}")
    check(not told(world, ids), f"the sender was told: {told(world, ids)}")
    scripted.stop()


def send(world, scripted, domains=None):
    """One message to each peer; its Message-ID by the peer's name."""
    ids = {}
    for name in domains or scripted.peers:
        mark = new_mark()
        message = compose(f"user1@{name}", mark, "A line of the message.\n" * 50)
        world.node().submit(message, f"user1@{name}")
        ids[name] = message["Message-ID"]
    return ids


def await_all(scripted, seconds):
    def missing():
        scripted.process.must_run()
        return [name for name, entries in by_peer(scripted).items() if not entries]
    deadline = time.monotonic() + seconds
    while names := missing():
        check(time.monotonic() < deadline, f"after {seconds} s nothing has come to {names}: "
              f"{ {name: scripted.statistics()[name] for name in names} }")
        time.sleep(0.5)


def by_peer(scripted):
    found = {name: [] for name in scripted.peers}
    for entry in scripted.accepted():
        found[entry["peer"]].append(entry)
    return found


def told(world, ids):
    """Notices about some messages, by the peer's name."""
    inbox = world.node().inbox()
    return {name: message for name, identity in ids.items() for message in inbox
            if identity.encode() in message}


def dies(world):
    """Who takes a message and dies before the reply gets it twice at the most."""
    peers = [{"name": f"dies{number}.test", "tls": number % 2 == 0, "kept": True,
              "without": ["CHUNKING"] if number % 3 == 0 else [],
              "faults": [{"phase": "dot", "action": "die", "times": 1}]} for number in range(6)]
    scripted = world.scripted(peers, "faults-dies")
    ids = send(world, scripted)
    # Twice: before it died, and when it lived again.
    wait("the second try", 60, lambda: all(len(entries) > 1 for entries in
                                          by_peer(scripted).values()), 0.5)
    time.sleep(AFTERWARDS)
    counts = Counter(len(entries) for entries in by_peer(scripted).values())
    check(set(counts) == {2}, f"counts of deliveries: {counts}")
    check(not told(world, ids), "the sender was told")
    scripted.stop()


def refusals(world):
    """5xx at each phase: nothing is taken, and the notice has the words."""
    # At once where the message is refused; where it may be the server alone, by the
    # end of the message's lifetime.
    at_once = ("mail", "rcpt", "data", "dot")
    late = ("connect", "greeting", "helo")
    peers = [{"name": f"{phase}.refusing.test", "tls": True,
              "faults": [{"phase": phase, "action": f"554 5.7.1 never at {phase}"}]}
             for phase in (*at_once, *late)]
    scripted = world.scripted(peers, "faults-refusals")
    ids = send(world, scripted)
    for phases, seconds in (at_once, 30), (late, 120):
        for phase in phases:
            name = f"{phase}.refusing.test"
            message = wait(f"no notice about {name}", seconds,
                           lambda name=name: told(world, ids).get(name), 1)
            report = parse(read(message)).of(f"user1@{name}")
            check(report.action == "failed", f"{name}: {report}")
            check(f"never at {phase}" in report.diagnostic, f"{name}: {report}")
    taken = scripted.accepted()
    check(not taken, f"refused and taken: {taken}")
    scripted.stop()


def tolerant(world):
    """5xx to EHLO or STARTTLS is no refusal of the message."""
    peers = [{"name": "noehlo.test", "faults": [{"phase": "ehlo", "action": "502 5.5.1 what?"}]},
             {"name": "notls.test", "tls": True,
              "faults": [{"phase": "starttls", "action": "554 5.7.3 no TLS today"}]},
             {"name": "badtls.test", "tls": True,
              "faults": [{"phase": "handshake", "action": "garbage"}]}]
    scripted = world.scripted(peers, "faults-tolerant")
    send(world, scripted)
    await_all(scripted, 60)
    check(not any(entry["tls"] for entry in scripted.accepted()), "who had TLS after all?")
    scripted.stop()


def routes(world):
    """Dead hosts are passed over, aliases followed, and lame DNS is waited for."""
    scripted = world.scripted([{"name": "routes.test", "address": "127.0.2.1"}], "faults-routes")
    live, dead = "live.routes.test", "dead.routes.test"
    world.publish(f"{live} A 127.0.2.1", f"{dead} A 127.0.2.99",
                  f"backup.test MX 10 {dead}", f"backup.test MX 20 {live}",
                  "direct.test A 127.0.2.1",
                  "alias.test CNAME backup.test",
                  "lame.test MX 10 unheard.routes.test", f"lame.test MX 20 {live}",
                  "unheard.routes.test SILENT",
                  "broken.test SERVFAIL")
    domains = ["backup.test", "direct.test", "alias.test", "lame.test", "broken.test"]
    ids = send(world, scripted, domains)
    # DNS recovers while the message waits.
    time.sleep(3)
    zone = world.zone.read_text()
    world.rezone(zone.replace("broken.test SERVFAIL", f"broken.test MX 10 {live}"))
    wait("not all came", 60, lambda: {entry["id"] for entry in scripted.accepted()}
         >= set(ids.values()), 0.5)
    time.sleep(AFTERWARDS)
    check(len(scripted.accepted()) == len(domains), f"{scripted.accepted()}")
    scripted.stop()


SCENARIOS = [resets, closes, hangs, garbage, temporary, shutdowns, plain, dies, refusals, tolerant,
             routes]
