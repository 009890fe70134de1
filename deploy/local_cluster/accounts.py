"""The domain and its accounts, made once by the administration API of node 1."""

import http.client
import json
from concurrent.futures import ThreadPoolExecutor

from . import ports
from .output import Failure, say

DOMAIN = "example.test"
PASSWORD = "pw"
NAMES = ["alice", "bob", *(f"u{n}" for n in range(1, 101))]


def create(state):
    """Makes what is missing; not again once all was made: who removed it meant it."""
    if state.read().get("accounts"):
        return
    say(f"Adding the domain {DOMAIN} and {len(NAMES)} accounts")
    token = (state.folder("node1") / "data" / "admin.token").read_text().strip()

    def call(method, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", ports.of_node(1)["http"], timeout=60)
        try:
            connection.request(method, f"/v1/{path}", json.dumps(body), {
                "Authorization": f"Bearer {token}", "Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except OSError as error:
            raise Failure(f"node 1 does not take accounts: {error}; its log: "
                          f"{state.log('node1')}") from error
        finally:
            connection.close()
        # Made before an interruption.
        exists = answer.status == 409 and '"exists"' in text
        if answer.status >= 300 and not exists:
            raise Failure(f"node 1 refuses {method} {path}: {answer.status} {text}; its log: "
                          f"{state.log('node1')}")

    call("POST", "domains", {"name": DOMAIN})
    accounts = [{"address": f"{name}@{DOMAIN}", "password": PASSWORD} for name in NAMES]
    # Each password is hashed by the node, which takes a processor for a while.
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda account: call("POST", "accounts", account), accounts))
    call("PUT", "aliases", {"address": f"postmaster@{DOMAIN}", "targets": [f"alice@{DOMAIN}"]})
    with state.change() as contents:
        contents["accounts"] = True
