"""up, status, kill, stop, start, down."""

import shutil
import signal
import time

from . import accounts, balancer, nodes, ports, processes, store
from .nodes import Node
from .output import Failure, Report, say, wait


def members(state):
    return [Node(state, entry) for entry in state.read()["nodes"]]


def up(state, arguments):
    begun = time.monotonic()
    cluster = plan(state, arguments.nodes, arguments.frontends)
    binary = nodes.program(state, arguments.binary)
    if arguments.lb:
        with state.change() as contents:
            contents["balancer"] = True
    with_balancer = state.read().get("balancer", False)
    if with_balancer and processes.running(state, balancer.NAME) and not balancer.is_current(state):
        processes.end(state, [balancer.NAME], signal.SIGTERM, 10)
    wanted = [store.NAME, *(node.name for node in cluster), *([balancer.NAME] if with_balancer else [])]
    missing = [name for name in wanted if processes.running(state, name) is None]
    ports.require_free(missing)

    if store.NAME in missing:
        say("Starting SeaweedFS")
        store.spawn(state)
    store.await_ready(state)
    start_nodes(state, cluster, binary)
    accounts.create(state)
    await_whole(cluster, binary)
    if balancer.NAME in missing:
        say("Starting HAProxy")
        balancer.spawn(state)
        balancer.await_ready(state)
    say(f"Ready after {time.monotonic() - begun:.0f} s" if missing else "Everything runs already")
    report = status(state, arguments)
    report.text = instructions(state, cluster, with_balancer)
    report.code = 0
    return report


def plan(state, count, frontends):
    """The nodes that there shall be: those of before, and more if more are asked for."""
    known = [entry["roles"] for entry in state.read()["nodes"]]
    count = known.count(nodes.META) or 3 if count is None else count
    frontends = known.count(nodes.FRONTEND) if frontends is None else frontends
    if count < 1 or frontends < 0 or count + frontends > ports.MAX_NODES:
        raise Failure(f"1 to {ports.MAX_NODES} nodes fit into the ports: at least one of --nodes, "
                      "the rest of --frontends")
    asked = [nodes.META] * count + [nodes.FRONTEND] * frontends
    if asked[:len(known)] != known:
        raise Failure(f"{state.root} holds {known.count(nodes.META)} nodes and "
                      f"{known.count(nodes.FRONTEND)} frontends; only more can be added after the "
                      "last number: `down --delete` first, or use another --dir")
    state.create()
    with state.change() as contents:
        contents["nodes"] = [{"node": n, "roles": roles} for n, roles in enumerate(asked, 1)]
    return members(state)


def start_nodes(state, cluster, binary):
    """Founds the cluster, lets nodes join, starts all that do not run."""
    for node in cluster:
        node.configure()
    first = cluster[0]
    if first.identity() is None:
        say("Founding the cluster: node 1")
        first.found(binary)
    shutil.copyfile(first.data / "cluster" / "ca.pem", state.authority)

    def spawn(these):
        for node in these:
            if processes.running(state, node.name) is None:
                node.spawn(binary)
    old = [node for node in cluster if node.identity()]
    new = [node for node in cluster if not node.identity()]
    say(f"Starting {', '.join(node.name for node in old)}")
    spawn(old)
    if new:
        nodes.await_ready([first])
        token = first.token(binary, len(new))
        for node in new:
            say(f"{node.name} joins as {' and '.join(node.roles)}")
            node.join(binary, token)
            node.spawn(binary)
    nodes.await_ready(cluster, statuses=("ready",))


def await_whole(cluster, binary):
    """Until the cluster's own status has no complaint."""
    def look():
        return nodes.complaint(nodes.cluster_facts(cluster, binary), len(cluster))
    try:
        wait("the cluster is not whole", 60, look, pause=0.2)
    except Failure as failure:
        raise Failure(f"{failure}\n{nodes.cluster_status(cluster, binary) or ''}") from None


def instructions(state, cluster, with_balancer):
    """What a person wants to know after `up`."""
    table = [["", *ports.STANDARD]]
    table += [[f"node {node.number}", *map(str, ports.of_node(node.number).values())]
              for node in cluster]
    if with_balancer:
        table.append(["HAProxy", *map(str, ports.of_balancer().values())])
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
            for row in table]
    frontends = [node for node in cluster if node.roles == nodes.FRONTEND]
    if frontends:
        rows.append("without metadata: " + ", ".join(f"node {node.number}" for node in frontends))
    script = f"{nodes.REPOSITORY}/deploy/local-cluster"
    user = f"alice@{accounts.DOMAIN}:{accounts.PASSWORD}"
    return "\n".join([
        f"The cluster runs in {state.root}, all on 127.0.0.1:", "", *rows, "",
        f"Accounts  alice, bob and u1 to u100 @{accounts.DOMAIN}, password {accounts.PASSWORD}",
        f"CA        {state.authority}",
        f"Logs      {state.root}/node1/log and so on",
        f"S3        http://127.0.0.1:{ports.STORE['s3']}/{store.BUCKET}, "
        f"key {store.KEY}, secret {store.SECRET}", "",
        "Write by one node, read by another:",
        "  printf 'Subject: hello\\r\\n\\r\\nIt works.\\r\\n' |",
        f"    curl smtp://localhost:10025 --mail-from s@example.org --mail-rcpt alice@{accounts.DOMAIN} -T -",
        f"  curl 'imaps://localhost:{cluster[-1].number}0993/INBOX;UID=1' --user {user} \\",
        f"    --cacert {state.authority}", "",
        "Break it:",
        f"  {script} kill 1 --dir {state.root}",
        f"  {script} status --dir {state.root}",
        f"  {script} start 1 --dir {state.root}",
        f"  {script} down --delete --dir {state.root}"])


def status(state, arguments):
    state.require()
    contents, cluster = state.read(), members(state)
    data = {"dir": str(state.root), "ca": str(state.authority), "nodes": []}
    lines = []
    for node in cluster:
        pid = processes.running(state, node.name)
        health = node.health() if pid else None
        if pid is None:
            word, reasons = "stopped", []
        elif health is None:
            word, reasons = "not ready", ["no answer over HTTP"]
        else:
            word, reasons = health["status"], health["reasons"]
        identity = node.identity() or {}
        data["nodes"].append({
            "node": node.number, "id": identity.get("node"), "roles": node.roles, "pid": pid,
            "status": word, "ready": word in ("ready", "degraded"), "reasons": reasons,
            "ports": ports.of_node(node.number), "rpc": ports.rpc(node.number),
            "log": str(node.log)})
        process = f"pid {pid}" if pid else "-"
        lines.append(f"node {node.number}  {'+'.join(node.roles):14} {process:12} "
                     f"{word}{''.join(f'; {reason}' for reason in reasons)}")
    others = [(store.NAME, "S3", {"s3": ports.STORE["s3"]})]
    if contents.get("balancer"):
        others.append((balancer.NAME, "HAProxy", ports.of_balancer()))
    for name, shown, listening in others:
        pid = processes.running(state, name)
        data[name] = {"pid": pid, "ports": listening, "log": str(state.log(name))}
        lines.append(f"{shown:22} {f'pid {pid}' if pid else '-':12} "
                     f"{'runs' if pid else 'stopped'}")
    binary = contents.get("binary")
    if arguments.json and binary:
        data["cluster"] = nodes.cluster_facts(cluster, binary)
    elif binary and (text := nodes.cluster_status(cluster, binary)):
        lines += ["", text]
    whole = all(node["ready"] for node in data["nodes"]) and all(
        data[name]["pid"] for name, _, _ in others)
    return Report("\n".join(lines), data, 0 if whole else 1)


def named(state, words):
    """Names of processes from what the user wrote."""
    state.require()
    cluster = [node.name for node in members(state)]
    known = [*cluster, store.NAME, balancer.NAME]
    names = []
    for word in words:
        name = f"node{word}" if word.isdigit() else word
        if name != "all" and name not in known:
            raise Failure(f"`{word}` is not here; there are {', '.join(known)}, all")
        names += cluster if name == "all" else [name]
    return list(dict.fromkeys(names))


def ended(state, words, how, patience, past):
    names = named(state, words)
    done = processes.end(state, names, how, patience)
    text = [f"{name} {past}" if name in done else f"{name} did not run" for name in names]
    return Report("\n".join(text), {past: done})


def kill(state, arguments):
    return ended(state, arguments.names, signal.SIGKILL, 10, "killed")


def stop(state, arguments):
    return ended(state, arguments.names, signal.SIGTERM, nodes.DRAIN + 30, "stopped")


def start(state, arguments):
    names = named(state, arguments.names)
    missing = [name for name in names if processes.running(state, name) is None]
    ports.require_free(missing)
    cluster = [node for node in members(state) if node.name in names]
    binary = nodes.program(state, arguments.binary) if cluster else None
    for node in cluster:
        if node.identity() is None:
            raise Failure(f"{node.name} has not joined the cluster yet: run `up`")
    if store.NAME in missing:
        store.spawn(state)
    for node in cluster:
        if node.name in missing:
            node.configure()
            node.spawn(binary)
    if balancer.NAME in missing:
        balancer.spawn(state)
    if not arguments.no_wait:
        if store.NAME in names:
            store.await_ready(state)
        nodes.await_ready(cluster)
        if balancer.NAME in names:
            balancer.await_ready(state)
    text = [f"{name} {'started' if name in missing else 'ran already'}" for name in names]
    return Report("\n".join(text), {"started": missing})


def down(state, arguments):
    if not state.exists():
        return Report(f"There is no cluster in {state.root}", {"stopped": []})
    cluster = [node.name for node in members(state)]
    done = []
    if arguments.delete:
        # Nothing that is removed needs to be put in order first.
        done += processes.end(state, [balancer.NAME, *cluster, store.NAME], signal.SIGKILL, 10)
        shutil.rmtree(state.root)
        return Report(f"Stopped {', '.join(done) or 'nothing'}, removed {state.root}",
                      {"stopped": done, "removed": str(state.root)})
    for names, patience in [([balancer.NAME], 10), (cluster, nodes.DRAIN + 10), ([store.NAME], 20)]:
        try:
            done += processes.end(state, names, signal.SIGTERM, patience)
        except Failure as failure:
            say(f"{failure}\nKilling what is left")
            done += processes.end(state, names, signal.SIGKILL, 10)
    return Report(f"Stopped {', '.join(done) or 'nothing'}; `up` starts it again with its data",
                  {"stopped": done})
