"""HAProxy in front of all nodes, with the clients' addresses in PROXY headers."""

import os
import shutil
import socket
import subprocess

from . import ports, processes
from .output import Failure, say, wait

NAME = "lb"
# A listener wants the header from every connection that comes from here, and
# from no other: clients use 127.0.0.1.
SOURCE = "127.0.0.2"


def configuration(nodes):
    """haproxy.cfg for nodes that serve mail. deploy/haproxy.example.cfg explains it."""
    servers = "\n".join(
        f"    server node{node} 127.0.0.1:{ports.of_node(node)['http']} check" for node in nodes)
    text = f"""# Written by local-cluster. The same for real machines, with comments:
# deploy/haproxy.example.cfg
global
    log stdout format raw local0 notice

defaults
    mode tcp
    log global
    option redispatch
    option clitcpka
    option srvtcpka
    srvtcpka-idle 10s
    srvtcpka-intvl 5s
    srvtcpka-cnt 3
    retries 3
    timeout connect 2s
    timeout check 4s
    timeout client 35m
    timeout server 35m
    default-server source {SOURCE} send-proxy-v2

backend nodes
    option httpchk
    http-check send meth GET uri /healthz/ready
    http-check expect status 200
    default-server check-send-proxy inter 500ms fastinter 200ms fall 2 rise 1
{servers}
"""
    for name, port in ports.of_balancer().items():
        servers = "\n".join(
            f"    server node{node} 127.0.0.1:{ports.of_node(node)[name]} track nodes/node{node}"
            for node in nodes)
        text += f"""
listen {name}
    bind 127.0.0.1:{port}
    balance leastconn
{servers}
"""
    return text


def program():
    """HAProxy's binary, installed where it is missing."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    found = shutil.which("haproxy", path=path)
    if found:
        return found
    advice = "install HAProxy, for example by `apt-get install haproxy`"
    if not shutil.which("apt-get"):
        raise Failure(f"there is no haproxy: {advice}")
    say("Installing haproxy from Debian")
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    # Debian would start a proxy of its own with the package: not ours to have.
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"]
    for command in (["update", "-qq"], ["install", "-y", "-qq", "haproxy"]):
        done = subprocess.run([*sudo, *quiet, "apt-get", *command], capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"haproxy could not be installed; {advice}: {done.stderr}")
    return shutil.which("haproxy", path=path)


def spawn(state):
    folder = state.folder(NAME)
    folder.mkdir(exist_ok=True)
    file = folder / "haproxy.cfg"
    file.write_text(configuration([node["node"] for node in state.read()["nodes"]]))
    haproxy = program()
    check = subprocess.run([haproxy, "-c", "-f", file], capture_output=True, text=True)
    if check.returncode != 0:
        raise Failure(f"HAProxy does not take {file}: {check.stdout}{check.stderr}")
    processes.spawn(state, NAME, [haproxy, "-db", "-f", file], {})


def is_current(state):
    """Whether the running one has the nodes that there are now."""
    file = state.folder(NAME) / "haproxy.cfg"
    nodes = [node["node"] for node in state.read()["nodes"]]
    return file.exists() and file.read_text() == configuration(nodes)


def await_ready(state):
    """Until a greeting comes through it."""
    port = ports.of_balancer()["imap"]

    def look():
        processes.must_run(state, NAME)
        try:
            with socket.create_connection(("127.0.0.1", port), 2) as connection:
                connection.settimeout(2)
                greeting = connection.recv(64)
        except OSError as error:
            return f"no greeting from port {port}: {error}"
        return None if greeting.startswith(b"* OK") else f"no greeting from port {port}"
    wait(f"HAProxy is not ready (its log: {state.log(NAME)})", 30, look)
