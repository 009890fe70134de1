"""Postrider itself: the program, settings, founding and joining, readiness."""

import contextlib
import http.client
import json
import os
import re
import resource
import shlex
import subprocess
from pathlib import Path

from . import accounts, balancer, ports, processes, store
from .output import Failure, say, tail, wait

REPOSITORY = Path(__file__).resolve().parents[2]
META, FRONTEND = ["meta", "frontend"], ["frontend"]
# SIGTERM lets sessions end for this long.
DRAIN = 10


def raise_file_limit():
    """As many open connections as the system lets us have, for us and the nodes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def program(state, asked):
    """The binary, built where there is none; remembered for the next `start`."""
    target = Path(os.environ.get("CARGO_TARGET_DIR") or "target")
    built = REPOSITORY / target / "release" / "postrider"
    named = asked or os.environ.get("POSTRIDER_BIN") or state.read().get("binary")
    binary = Path(named).resolve() if named else built
    if not os.access(binary, os.X_OK) and named and binary != built:
        raise Failure(f"there is no program {binary}: build it by `cargo build --release`, or "
                      "name another with --binary or POSTRIDER_BIN")
    if not os.access(binary, os.X_OK):
        say(f"Building {binary} by `cargo build --release`: takes minutes")
        command = ["cargo", "build", "--release", "--locked"]
        try:
            code = subprocess.run(command, cwd=REPOSITORY).returncode
        except OSError as error:
            raise Failure(f"cannot run cargo ({error}): install Rust, or name a program with "
                          "--binary") from error
        if code != 0:
            raise Failure("the build failed, see above")
    if state.read().get("binary") != str(binary):
        with state.change() as contents:
            contents["binary"] = str(binary)
    return binary


def settings(state, node, roles):
    """The node's settings file. POSTRIDER__SECTION__KEY in the environment of
    `up` and `start` goes over it."""
    text = f"""# Written by local-cluster at each start. In the environment of `up` and `start`,
# POSTRIDER__SECTION__KEY overrides a setting.
data_dir = "{state.folder(f'node{node}') / 'data'}"
roles = {json.dumps(roles)}
drain_timeout = "{DRAIN}s"

[cluster]
listen = ["127.0.0.1:{ports.rpc(node)}"]
address = "127.0.0.1:{ports.rpc(node)}"
name = "node{node}"

[smtp]
hostname = "node{node}.{accounts.DOMAIN}"
postmaster = "alice@{accounts.DOMAIN}"
plain_login_from_loopback = true
max_messages_per_minute = 0

[imap]
plain_login_from_loopback = true

[pop3]
plain_login_from_loopback = true

{store.settings()}"""
    for protocol, port in ports.of_node(node).items():
        # All clients are on this machine: one address is everybody.
        text += f"""
[[listener]]
protocol = "{protocol}"
listen = ["127.0.0.1:{port}"]
proxy_from = ["{balancer.SOURCE}"]
max_connections = 20000
max_connections_per_address = 20000
"""
    return text


class Node:
    """One node of the cluster in DIR."""

    def __init__(self, state, entry):
        self.state = state
        self.number = entry["node"]
        self.roles = entry["roles"]
        self.name = f"node{self.number}"
        self.folder = state.folder(self.name)
        self.data = self.folder / "data"
        self.config = self.folder / "postrider.toml"
        self.log = state.log(self.name)

    def configure(self):
        self.folder.mkdir(exist_ok=True)
        self.config.write_text(settings(self.state, self.number, self.roles))

    def identity(self):
        """Who it is in the cluster; None before it was founded or joined."""
        try:
            return json.loads((self.data / "cluster" / "identity.json").read_text())
        except FileNotFoundError:
            return None

    def run(self, binary, *arguments, typed=""):
        """Runs a command of Postrider that must succeed; its output. Secrets are
        `typed`: the arguments are shown to everybody."""
        done = self.attempt(binary, *arguments, typed=typed)
        if done.returncode != 0:
            shown = shlex.join([str(binary), *map(str, arguments)])
            raise Failure(f"`{shown}` failed: {(done.stderr or done.stdout).strip()}\n"
                          f"({self.name}'s log: {self.log})")
        return done.stdout

    def attempt(self, binary, *arguments, typed=""):
        return subprocess.run([binary, *arguments], capture_output=True, text=True, input=typed)

    def found(self, binary):
        self.run(binary, "cluster", "init", "--config", self.config)

    def token(self, binary, uses):
        """A word with which others join."""
        output = self.run(binary, "cluster", "token", "--uses", str(uses), "--dir", self.data)
        found = re.search(r"postrider-join-[\w-]+", output)
        if not found:
            raise Failure("`postrider cluster token` printed no token: are program and "
                          "local-cluster of one version?")
        return found.group()

    def join(self, binary, token):
        self.run(binary, "cluster", "join", "--config", self.config, "-", typed=token)

    def spawn(self, binary):
        # More arenas of the C library keep what a burst of mail needed.
        processes.spawn(self.state, self.name, [binary, "serve", "--config", self.config],
                        {"MALLOC_ARENA_MAX": "2"})

    def health(self):
        """What /healthz/ready tells; None if nothing answers."""
        port = ports.of_node(self.number)["http"]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/healthz/ready")
            health = json.loads(connection.getresponse().read())
            return health if "status" in health else None
        except (OSError, ValueError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def why_not_ready(self, statuses=("ready", "degraded")):
        """The reason, or None if it is ready. Fails if it has ended."""
        processes.must_run(self.state, self.name)
        health = self.health()
        if health is None:
            return f"{self.name} does not answer on port {ports.of_node(self.number)['http']} yet"
        if health["status"] in statuses:
            return None
        return f"{self.name} is {health['status']}: {'; '.join(health['reasons'])}"


def await_ready(nodes, statuses=("ready", "degraded"), patience=90):
    """Until all are ready."""
    missing = list(nodes)

    def look():
        reasons = [(node, node.why_not_ready(statuses)) for node in missing]
        missing[:] = [node for node, reason in reasons if reason]
        return next((reason for _, reason in reasons if reason), None)
    try:
        wait("not ready", patience, look)
    except Failure as failure:
        logs = "".join(f"\n{tail(node.log)}" for node in missing[:1]
                       if processes.running(node.state, node.name))
        raise Failure(f"{failure}{logs}") from None


def cluster_status(nodes, binary, *options):
    """What `postrider cluster status` prints by the first node that answers, or None."""
    for node in nodes:
        if processes.running(node.state, node.name) is None:
            continue
        done = node.attempt(binary, "cluster", "status", *options, "--dir", node.data)
        # 1 with an answer: no node may fail now.
        if done.stdout and (done.returncode == 0 or not done.stderr):
            return done.stdout.strip()
    return None


def cluster_facts(nodes, binary):
    """The same as data."""
    text = cluster_status(nodes, binary, "--json")
    with contextlib.suppress(ValueError):
        data = json.loads(text or "null")
        if data is not None and "error" not in data:
            return data
    return None


def complaint(facts, count):
    """Why the cluster of so many nodes is not whole; None if it is."""
    if facts is None:
        return "no node answers `postrider cluster status`"
    if facts["leader"] is None:
        return "no node leads"
    if len(facts["nodes"]) < count:
        return f"only {len(facts['nodes'])} nodes have joined"
    for node in facts["nodes"]:
        if node["report"] is None:
            return f"node {node['node']} does not answer: {node['unreachable']}"
        if not node["report"]["ready"]:
            return f"node {node['node']} is not ready: {'; '.join(node['report']['reasons'])}"
        if "meta" in node["roles"] and not node["voter"]:
            return f"node {node['node']} has no vote yet"
    voters = sum(node["voter"] for node in facts["nodes"])
    # Two without a vote in the bucket can never spare one.
    can_spare = voters >= 3 or facts["third"] is not None
    return facts["verdict"] if can_spare and not facts["safe"] else None
