"""What cannot be delivered comes back, with the other server's words."""

import time

from base.output import wait
from base.swaks import swaks
from node import ALICE, BOB, compose, new_mark, read
from report import parse
from world import check

# What each real server says of somebody who does not exist.
WORDS = {"postfix": ("5.1.1", "User unknown in virtual mailbox table"),
         "exim": ("5", "no mailbox of that name here"),
         "opensmtpd": ("5.2.4", "Mailing list expansion problem"),
         "grey": ("5.1.1", "User unknown in virtual mailbox table")}


def unknown_users(world):
    """Somebody unknown at each real server: a notice with that server's words."""
    node = world.node()
    marks = {name: new_mark() for name in WORDS}
    for name, mark in marks.items():
        node.swaks("--to", f"missing@{world.server(name).domain}", "--header", f"X-Mark: {mark}")
    for name, mark in marks.items():
        status, words = WORDS[name]
        address = f"missing@{world.servers[name].domain}"
        message = node.await_received(mark)
        report = parse(message)
        told = report.of(address)
        check(told.action == "failed", f"{name}: the action is {told}")
        check(told.status.startswith(status), f"{name}: the status is {told}")
        check(told.diagnostic.startswith("smtp;") and words in told.diagnostic,
              f"{name}: the words are {told}")
        check(world.servers[name].host in told.remote, f"{name}: the host is {told}")
        check(words in " ".join(report.text.split()), f"{name}: a person reads:\n{report.text}")
        check(address in report.text, f"{name}: a person reads not of whom:\n{report.text}")
        check(report.returned is not None and mark in str(report.returned), f"{name}: no header")
        check(message["Return-Path"] in (None, "<>"), f"{name}: from {message['Return-Path']}")
        check(message["Auto-Submitted"] is not None, f"{name}: not marked as automatic")


def domains(world):
    """Domains that do not exist, or take no mail, bounce at once."""
    node = world.node()
    world.publish("nomail.test MX 0 .", "empty.test TXT nothing else here")
    for domain, status in node.statuses.items():
        mark = new_mark()
        node.submit(compose(f"x@{domain}", mark), f"x@{domain}")
        told = parse(node.await_received(mark)).of(f"x@{domain}")
        check((told.action, told.status) == ("failed", status), f"{domain}: {told}")


def mixed(world):
    """One of three is refused: the others get it once, and the notice names that one."""
    node, mark = world.node(), new_mark()
    scripted = world.scripted([{"name": "mixed.test", "kept": True, "faults": [
        {"phase": "rcpt", "match": "<bad@", "action": "550 5.7.1 not for you"},
        {"phase": "rcpt", "match": "<slow@", "action": "450 4.2.0 not now", "times": 2}]}])
    node.submit(compose("all:;", mark), ["good@mixed.test", "bad@mixed.test", "slow@mixed.test"])
    entries = scripted.await_accepted("mixed.test", 2)
    report = parse(node.await_received(mark))
    check(len(report.recipients) == 1, f"told of {report.recipients}")
    check("not for you" in report.of("bad@mixed.test").diagnostic, f"told: {report.recipients}")
    time.sleep(3)
    entries = scripted.accepted("mixed.test")
    got = sorted(path.split(">")[0] for entry in entries for path in entry["rcpt"])
    check(got == ["<good@mixed.test", "<slow@mixed.test"], f"{got} got it")
    scripted.stop()


def wishes(world):
    """NOTIFY=NEVER, RET=FULL, ENVID and ORCPT are obeyed in notices of failures."""
    node = world.node()
    scripted = world.scripted([{"name": "refusing.test", "faults": [
        {"phase": "rcpt", "action": "550 5.7.1 go away"}]}])
    silent, full, plain = new_mark(), new_mark(), new_mark()
    text = "A sentence in the body.\n"
    node.submit(compose("a@refusing.test", silent, text), "a@refusing.test",
                rcpt=["NOTIFY=NEVER"])
    node.submit(compose("b@refusing.test", full, text), "b@refusing.test",
                mail=["RET=FULL", "ENVID=QQ314159"],
                rcpt=["NOTIFY=FAILURE", "ORCPT=rfc822;first+2Bname@old.test"])
    node.submit(compose("c@refusing.test", plain, text), "c@refusing.test", mail=["RET=HDRS"])
    report = parse(node.await_received(full))
    check(report.envelope_id == "QQ314159", f"the envelope id is `{report.envelope_id}`")
    original = report.of("b@refusing.test").original.replace(" ", "")
    check(original == "rfc822;first+name@old.test", f"the original recipient is {original}")
    check(report.whole and text.strip() in report.returned.as_string(), "the body is missing")
    report = parse(node.await_received(plain))
    check(not report.whole and text.strip() not in str(report.returned), "the body came back")
    check(not node.received(silent), "a notice that nobody wanted")
    scripted.stop()


def no_loops(world):
    """A message without a sender that bounces makes no notice, and is not tried for ever."""
    node = world.node()
    scripted = world.scripted([{"name": "strict.test", "faults": [
        {"phase": "mail", "match": "<>", "action": "550 5.7.1 no notices"}]}])
    mark, server = new_mark(), world.server("postfix")
    # Somebody claims to come from strict.test, and writes to one whose forwarding fails.
    node.run("alias", "add", "gone@example.test", f"missing@{server.domain}")
    swaks("--server", "127.0.0.1", "--port", 2525, "--from", "claimed@strict.test",
          "--to", "gone@example.test", "--header", f"X-Mark: {mark}")
    wait("no notice was tried at strict.test", 30,
         lambda: scripted.statistics()["strict.test"]["faults"][0]["count"], 0.5)
    time.sleep(4)
    statistics = scripted.statistics()["strict.test"]
    check(statistics["faults"][0]["count"] == 1, f"the notice was tried again: {statistics}")
    found = [str(read(message)["Subject"]) for user in (ALICE, BOB)
             for message in node.inbox(user) if mark.encode() in message]
    check(not found, f"a notice of a notice: {found}")
    scripted.stop()


def delays(world):
    """Who waits long is told so once, and then of the end."""
    node, mark = world.node(), new_mark()
    node.restart(warn_after="3s")
    scripted = world.scripted([{"name": "busy.test", "faults": [
        {"phase": "rcpt", "action": "450 4.3.2 busy as a bee"}]}])
    node.submit(compose("x@busy.test", mark), "x@busy.test")

    def notices(count):
        found = [parse(message) for message in node.received(mark)]
        return found if len(found) >= count else None
    told = wait("no warning", 30, lambda: notices(1))[0].of("x@busy.test")
    check(told.action == "delayed" and "busy as a bee" in told.diagnostic, f"told: {told}")
    reports = wait("no end", 120, lambda: notices(2), 1)
    actions = [report.of("x@busy.test").action for report in reports]
    check(sorted(actions) == ["delayed", "failed"], f"told: {actions}")
    scripted.stop()
    node.restart()


SCENARIOS = [unknown_users, domains, mixed, wishes, no_loops, delays]
