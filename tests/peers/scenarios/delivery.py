"""Mail to real servers, and back."""

import time

from base.output import wait
from base.swaks import swaks
from judge import verdict
from node import ALICE, BOB, DOMAIN, HOST, compose, new_mark, read
from report import parse
from servers.postgrey import DELAY
from world import check


def postfix(world):
    """To Postfix and back, over TLS, signed."""
    both_ways(world, world.server("postfix"))


def exim(world):
    """To Exim and back, over TLS, signed."""
    both_ways(world, world.server("exim"))


def opensmtpd(world):
    """To OpenSMTPD, whose TLS does not work: in plain after it failed; and back."""
    both_ways(world, world.server("opensmtpd"))


def both_ways(world, server):
    node, mark = world.node(), new_mark()
    node.swaks("--to", f"user1@{server.domain}", "--header", f"X-Mark: {mark}",
               "--header", f"Subject: To {server.name}", "--body", ".\n..two dots\nFrom me\n")
    message = server.await_message(mark)
    time.sleep(1)
    check(len(server.with_mark(mark)) == 1, f"{server.name} got the message more than once")
    check(b"\n.\n" in message.replace(b"\r\n", b"\n"), f"the dots are wrong:\n{message}")
    received = received_by(server, message)
    check(HOST in received, f"the last hop does not name {HOST}: {received}")
    encrypted = "ESMTPS" in received or "TLS" in received
    check(encrypted == server.tls_works, f"TLS is {encrypted}: {received}")
    must_be_ours(world, message)
    back = new_mark()
    swaks("--server", server.address, "--local-interface", server.address,
          "--from", f"user1@{server.domain}", "--to", BOB, "--header", f"X-Mark: {back}")
    node.await_received(back, BOB)


def received_by(server, message):
    """The Received field that the server has added."""
    for field in read(message).get_all("Received"):
        text = " ".join(field.split())
        if f"by {server.host}" in text:
            return text
    check(False, f"{server.host} added no Received field:\n{message}")


def must_be_ours(world, message):
    """Signed by our domain in every way it has keys for, from where SPF allows."""
    judged = verdict(world, message, ["127.0.0.1", ALICE, HOST])
    check(judged["spf"] == "pass", f"SPF says {judged['spf']} {judged['spf_why']}")
    if not world.node().signs:
        return
    ours = [item for item in judged["dkim"] if item["domain"] == DOMAIN]
    check(ours, f"there is no signature of {DOMAIN}: {judged}")
    check(all(item["good"] for item in judged["dkim"]), f"a signature is not valid: {judged}")
    algorithms = {item["algorithm"] for item in ours}
    check("rsa-sha256" in algorithms, f"no RSA signature, which all receivers know: {judged}")


def eight_bit(world):
    """8-bit text arrives as it is, and in 7 bits where a server lacks 8BITMIME."""
    node, mark, text = world.node(), new_mark(), "Grüße aus Köln: žluťoučký kůň, 日本語.\n"
    message = compose("user1@postfix.test", mark)
    message.set_content(text, cte="8bit")
    scripted = world.scripted([{"name": "seven.test", "without": ["8BITMIME", "SMTPUTF8"],
                                "kept": True}])
    server = world.server("postfix")
    node.submit(message, ["user1@postfix.test", "user1@seven.test"], mail=["BODY=8BITMIME"])
    arrived = server.await_message(mark)
    check(text.encode().strip() in arrived, f"the text is another one:\n{arrived}")
    must_be_ours(world, arrived)
    entry, = scripted.await_accepted("seven.test")
    narrow = open(entry["file"], "rb").read()
    check(narrow.isascii(), f"8 bits for a server that takes 7:\n{narrow}")
    check(read(narrow).get_content().strip() == text.strip(), f"another text:\n{narrow}")
    scripted.stop()


def long_lines(world):
    """Lines of 900 and of 5000 bytes say the same after the journey."""
    node, mark = world.node(), new_mark()
    lines = ["short", "m" * 900, "x" * 5000, ".dot", "end"]
    message = (f"From: {ALICE}\r\nTo: user1@exim.test\r\nSubject: {mark}\r\n"
               f"Message-ID: <{mark}@{DOMAIN}>\r\n\r\n" + "\r\n".join(lines) + "\r\n").encode()
    servers = [world.server(name) for name in ("postfix", "exim", "opensmtpd")]
    node.submit(message, [f"user1@{server.domain}" for server in servers])
    for server in servers:
        arrived = server.await_message(mark)
        text = read(arrived).get_content()
        # What cut a line may have added ends of lines, and nothing else.
        check("".join(text.split()) == "".join(lines), f"{server.name} has another text")
        must_be_ours(world, arrived)


def many_recipients(world):
    """A message to 300 people at two servers reaches each of them once."""
    node, mark, count = world.node(), new_mark(), 150
    servers = [world.server(name) for name in ("postfix", "exim")]
    recipients = [f"user{number}@{server.domain}" for server in servers for number in range(count)]
    node.submit(compose("everybody:;", mark), recipients)
    for server in servers:
        wait(f"{server.name} has not got {count} copies", 90,
             lambda server=server: len(server.with_mark(mark)) >= count, 0.5)
    time.sleep(2)
    for server in servers:
        # Each notes for whom a copy is, under a name of its own.
        field = {"postfix": "X-Original-To", "exim": "Envelope-to"}[server.name]
        got = sorted(str(read(copy)[field]) for copy in server.with_mark(mark))
        wanted = sorted(name for name in recipients if name.endswith(server.domain))
        check(got == wanted, f"{server.name} has {len(got)} copies for {len(set(got))} people")


def large(world):
    """Ten megabytes arrive byte for byte."""
    node, mark = world.node(), new_mark()
    message = compose("user1@postfix.test", mark)
    line = b"0123456789abcdef" * 4
    message.add_attachment(line * 150_000, maintype="application", subtype="octet-stream")
    servers = [world.server("exim"), world.server("opensmtpd")]
    node.submit(message, [f"user1@{server.domain}" for server in servers])
    for server in servers:
        arrived = server.await_message(mark, 90)
        attached = [part.get_content() for part in read(arrived).iter_attachments()]
        check(attached == [line * 150_000], f"{server.name} has another attachment")
        must_be_ours(world, arrived)


def greylisted(world):
    """Who is sent away by Postgrey comes back soon."""
    node, server, mark = world.node(), world.server("grey"), new_mark()
    begun = time.monotonic()
    node.swaks("--to", f"user1@{server.domain}", "--header", f"X-Mark: {mark}")
    server.await_message(mark)
    took = time.monotonic() - begun
    check(b"Greylisted" in server.log.read_bytes(), "nobody was sent away")
    check(took >= DELAY - 1, f"it took only {took:.1f} s")
    check(not node.received(mark), "the sender was told of it")


def success_notices(world):
    """NOTIFY=SUCCESS: told by the server that knows DSN, and by us for one that does not."""
    node, mark = world.node(), new_mark()
    world.server("postfix")
    scripted = world.scripted([{"name": "nodsn.test", "without": ["DSN"]}])
    node.submit(compose("user1@postfix.test", mark), ["user1@postfix.test", "user1@nodsn.test"],
                mail=["ENVID=env+2B1", "RET=HDRS"], rcpt=["NOTIFY=SUCCESS,FAILURE"])

    def notices():
        found = [parse(message) for message in node.received(mark)]
        return found if sum(len(report.recipients) for report in found) >= 2 else None
    actions = {}
    for report in wait("two notices", 60, notices):
        check(report.envelope_id == "env+1", f"the envelope id is {report.envelope_id}")
        for told in report.recipients:
            actions[told.final.rpartition("@")[2]] = told.action
    check(actions == {"postfix.test": "delivered", "nodsn.test": "relayed"}, f"told: {actions}")
    scripted.stop()


def forwarding(world):
    """An alias to the outside: the sender is rewritten, so that SPF passes, and what
    came is told under a seal."""
    node, server, mark = world.node(), world.server("postfix"), new_mark()
    node.run("alias", "add", f"away@{DOMAIN}", f"user7@{server.domain}")
    exim = world.server("exim")
    stranger = f"user1@{exim.domain}"
    swaks("--server", exim.address, "--local-interface", exim.address, "--from", stranger,
          "--to", f"away@{DOMAIN}", "--header", f"X-Mark: {mark}")
    arrived = server.await_message(mark)
    if not node.signs:
        return
    sender = str(read(arrived)["Return-Path"]).strip("<>")
    check(sender.endswith(f"@{DOMAIN}"), f"the sender is {sender}, for whom SPF will fail")
    judged = verdict(world, arrived, ["127.0.0.1", sender, HOST])
    check(judged["spf"] == "pass", f"{judged}")
    check(judged["arc"] == "pass", f"{judged}")
    # A notice to the rewritten sender finds the real one.
    back = new_mark()
    swaks("--server", server.address, "--local-interface", server.address, "--from", "<>",
          "--to", sender, "--header", f"X-Mark: {back}")
    exim.await_message(back)


SCENARIOS = [postfix, exim, opensmtpd, eight_bit, long_lines, many_recipients, large, greylisted,
             success_notices, forwarding]
