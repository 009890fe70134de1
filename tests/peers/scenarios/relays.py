"""Mail by way of a server that was named: a smarthost, and a server behind."""

from base.output import wait
from base.swaks import swaks
from node import HOST, compose, new_mark, read
from servers.smarthost import PASSWORD, USER
from world import check


def smarthost(world):
    """Everything goes to a smarthost that wants TLS and a login; with a wrong password it waits."""
    node, server, mark = world.node(), world.server("smarthost"), new_mark()
    if not node.signs:
        return
    secret = world.folder / "smarthost.password"
    secret.write_text("not this one\n")
    route = {"domain": "*", "host": f"{server.host}:587", "user": USER,
             "password_file": str(secret)}
    # The authority of the tests is none of the public ones.
    authority = str(world.authority.certificate)
    node.restart(route=[route], extra_authorities=authority)
    node.submit(compose("carl@beyond.test", mark), "carl@beyond.test")
    wait("the refused login is not told", 30,
         lambda: "535" in node.run("queue", "list", "--domain", "beyond.test", "--json"), 0.5)
    check(not server.with_mark(mark), "it was sent without a login")
    secret.write_text(f"{PASSWORD}\n")
    node.restart(route=[route], extra_authorities=authority)
    message = server.await_message(mark)
    fields = [" ".join(field.split()) for field in read(message).get_all("Received")]
    field = next((field for field in fields if f"by {server.host}" in field), "")
    for part in f"from {HOST}", "with ESMTPSA", f"Authenticated sender: {USER}":
        check(part in field, f"`{part}` is not in {fields}")
    check(b"\nDKIM-Signature:" in message, f"it is not signed:\n{message}")
    node.restart()


def gateway(world):
    """In front of Postfix: what it takes goes on to it, what it does not know is refused."""
    node, server, mark = world.node(), world.server("postfix"), new_mark()
    if not node.signs:
        return
    node.run("domain", "add", server.domain, "--relay-to", server.address)

    def bring(to, fails=False):
        return swaks("--server", "127.0.0.1", "--port", 2525, "--from", "x@outside.test", "--to", to,
                     "--header", f"X-Mark: {mark}", fails=fails)
    told = bring(f"missing@{server.domain}", fails=True)
    check("550 5.1.1" in told, f"an unknown recipient is not refused for good:\n{told}")
    bring(f"user3@{server.domain}")
    message = server.await_message(mark)
    check(b"Return-Path: <x@outside.test>" in message, f"the sender is another one:\n{message}")
    check(b"\nDKIM-Signature:" not in message, f"it is signed:\n{message}")
    wait("the queue is not empty", 30,
         lambda: server.domain not in node.run("queue", "list", "--json"), 0.5)
    node.run("domain", "remove", server.domain)


SCENARIOS = [smarthost, gateway]
