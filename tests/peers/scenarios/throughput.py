"""How fast mail goes through to a sink: Postrider, and Postfix in the same run.

Only on demand, since its verdict depends on what else the machine does."""

import os
import smtplib
import ssl
import threading
import time

from base.output import say
from node import ALICE, PORTS
from world import SINK, check

MESSAGES = int(os.environ.get("MESSAGES", 2000))
CONNECTIONS = 8
# What each of the two may open to the sink, which is Postfix's default.
TO_SINK = 20
TEXT = "A line of the message, as long as lines are.\r\n" * 80


def throughput(world):
    """At least as fast to a sink as Postfix is."""
    sink = world.scripted([{"name": "sink.test", "address": SINK[0], "port": SINK[1],
                            "host": "mx.sink.test"}], "sink")
    world.publish("sink.test MX 10 mx.sink.test", f"mx.sink.test A {SINK[0]}")
    postfix, node = world.server("postfix"), world.node()
    node.restart(connections_per_destination=TO_SINK)
    context = ssl.create_default_context(cafile=world.authority.certificate)
    context.check_hostname = False

    def to_postfix():
        smtp = smtplib.SMTP(postfix.address, 25, timeout=120, source_address=(postfix.address, 0))
        smtp.starttls(context=context)
        return smtp

    def to_node():
        smtp = smtplib.SMTP("127.0.0.1", PORTS["submission"], timeout=120)
        smtp.starttls(context=context)
        node.login(smtp, ALICE)
        return smtp
    rates = [measure(sink, name, connect) for name, connect in
             (("postfix", to_postfix), (type(node).__name__.lower(), to_node))]
    node.restart()
    sink.stop()
    # The understudy is the same server, and chance decides.
    check(rates[1] >= rates[0] or not node.signs, f"{rates[1]:.0f} messages/s, and Postfix {rates[0]:.0f}")


def measure(sink, name, connect):
    """Messages a second, from the first submission to the last arrival."""
    before = sink.statistics()["sink.test"]
    begun = time.time()
    threads = [threading.Thread(target=submit, args=(name, connect, part))
               for part in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    submitted = time.time()
    deadline = time.monotonic() + 300
    while (now := sink.statistics()["sink.test"])["distinct"] < before["distinct"] + MESSAGES:
        check(time.monotonic() < deadline, f"{name} has not sent all: {now}")
        time.sleep(0.2)
    check(now["duplicates"] == before["duplicates"], f"{name} sent duplicates: {now}")
    rate = MESSAGES / (now["last"] - begun)
    say(f"  {name}: {rate:.0f} messages/s ({MESSAGES} messages of {len(TEXT)} bytes, taken in at "
        f"{MESSAGES / (submitted - begun):.0f}/s; at most {now['most_open']} connections so far)")
    return rate


def submit(name, connect, part):
    with connect() as smtp:
        for number in range(part, MESSAGES, CONNECTIONS):
            smtp.sendmail(ALICE, [f"user{number}@sink.test"],
                          f"From: {ALICE}\r\nTo: user{number}@sink.test\r\n"
                          f"Message-ID: <{name}.{number}@example.test>\r\n"
                          f"Subject: {number}\r\n\r\n{TEXT}")


SCENARIOS = [throughput]
