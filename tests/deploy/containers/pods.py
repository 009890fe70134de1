"""Pods of the chart as containers of the engine: with the users, groups, rights, memory,
variables, volumes, names, probes and times to stop that their manifests say. Services are
names in a network and an HAProxy; nothing else of Kubernetes is here."""

import base64
import json
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from base.output import Failure, wait
from base.packages import run

ROOT = Path(__file__).resolve().parents[3]
HELM = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "postrider/helm-3.17.3/bin"
NAMESPACE, DOMAIN = "mail", "mail.svc.cluster.local"
NETWORK = "10.244.7"
SERVICE = f"{NETWORK}.5"


class Chart:
    """What `helm template` makes of some values."""

    def __init__(self, *values):
        if not (HELM / "helm").exists():
            raise Failure("run .ci/helm first, which installs Helm")
        text = run(HELM / "helm", "template", "mail", ROOT / "helm/postrider", "--namespace",
                   NAMESPACE, *(part for value in values for part in ("--set", value)))
        done = subprocess.run([HELM / "python", "-c", "import json, sys, yaml; json.dump([each for "
                               "each in yaml.safe_load_all(sys.stdin) if each], sys.stdout)"],
                              input=text, capture_output=True, text=True, check=True)
        self.manifests = json.loads(done.stdout)

    def get(self, kind, name):
        return next(each for each in self.manifests
                    if each["kind"] == kind and each["metadata"]["name"] == name)

    def data(self, kind, name):
        """The files of a Secret or ConfigMap."""
        doc = self.get(kind, name)
        plain = {key: text.encode() for key, text in
                 (doc.get("stringData") or (doc.get("data") if kind == "ConfigMap" else None) or {}).items()}
        coded = doc.get("data") or {} if kind == "Secret" else {}
        return {**plain, **{key: base64.b64decode(text) for key, text in coded.items()}}


def answers(url, seconds=2):
    """Whether an HTTP GET succeeds."""
    try:
        with urllib.request.urlopen(url, timeout=seconds):
            return True
    except (OSError, urllib.error.URLError):
        return False


class Names(threading.Thread):
    """Where the engine asks for names that it does not know: there are none, as a cluster's
    DNS would say at once."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        self.start()

    def run(self):
        while True:
            query, peer = self.socket.recvfrom(512)
            # RFC 1035 §4.1.1: a response, recursion available, name error; the question alone.
            end = query.index(b"\0", 12) + 5
            self.socket.sendto(query[:2] + b"\x81\x83\0\1\0\0\0\0\0\0" + query[12:end], peer)


class Pod:
    def __init__(self, kubelet, name, spec, number, names=()):
        self.kubelet, self.name, self.spec = kubelet, name, spec
        self.address = f"{NETWORK}.{number}"
        self.names = names
        self.container = spec["containers"][0]
        self.folder = kubelet.folder / "pods" / name

    def start(self, *more):
        """Makes the pod anew: with empty folders, but the claims of before."""
        run("rm", "-rf", self.folder)
        image = self.container["image"]
        command = [*self.container.get("command", []), *self.container.get("args", [])]
        if "command" in self.container:
            command, entry = command[1:], ["--entrypoint", command[0]]
        else:
            entry = []
        self.kubelet.engine.run(
            "docker", "run", "--detach", "--name", self.name, "--hostname", self.name,
            "--network", "pods", "--ip", self.address,
            *(f"--network-alias={name}" for name in self.names),
            f"--restart={'no' if self.spec.get('restartPolicy') == 'Never' else 'always'}",
            *self.rights(), *self.resolver(), *self.environment(), *self.mounts(), *entry, *more,
            image, *command)
        self.kubelet.endpoint(self, "ready")

    def rights(self):
        pod, own = self.spec["securityContext"], self.container["securityContext"]
        if not pod["runAsNonRoot"] or own["allowPrivilegeEscalation"]:
            raise Failure(f"{self.name} may become root")
        limits = self.container.get("resources", {}).get("limits", {})
        return [f"--user={pod['runAsUser']}:{pod['runAsGroup']}", f"--group-add={pod['fsGroup']}",
                *(f"--cap-drop={name}" for name in own["capabilities"]["drop"]),
                "--security-opt=no-new-privileges",
                *(["--read-only"] if own["readOnlyRootFilesystem"] else []),
                *([f"--memory={limits['memory'].rstrip('i').lower()}"] if "memory" in limits else [])]

    def resolver(self):
        options = self.spec.get("dnsConfig", {}).get("options", [{"name": "ndots", "value": "5"}])
        return [f"--dns={NETWORK}.1", f"--dns-search={DOMAIN}", "--dns-search=svc.cluster.local",
                "--dns-search=cluster.local",
                *(f"--dns-option={each['name']}:{each['value']}" for each in options)]

    def environment(self):
        known = {"metadata.name": self.name, "status.podIP": self.address}
        found = {}
        for source in self.container.get("envFrom", []):
            found.update({key: text.decode() for key, text in self.kubelet.chart.data(
                "Secret", source["secretRef"]["name"]).items()})
        for each in self.container.get("env", []):
            text = each.get("value")
            if text is None:
                text = known[each["valueFrom"]["fieldRef"]["fieldPath"]]
            for name, value in found.items():
                text = text.replace(f"$({name})", value)
            found[each["name"]] = text
        return [f"--env={name}={text}" for name, text in found.items()]

    def mounts(self):
        volumes = {each["name"]: each for each in self.spec.get("volumes", [])}
        for mount in self.container.get("volumeMounts", []):
            source = self.volume(mount["name"], volumes.get(mount["name"]))
            if "subPath" in mount:
                source = source / "..data" / mount["subPath"]
                source = source.parent.resolve() / source.name
            inside = "/" / source.relative_to(self.kubelet.engine.root)
            only = ",readonly" if mount.get("readOnly") else ""
            yield f"--mount=type=bind,source={inside},target={mount['mountPath']}{only}"

    def volume(self, name, volume):
        """The folder as the kubelet gives it, which belongs to root and the pod's group."""
        group = self.spec["securityContext"]["fsGroup"]
        if volume is None:
            folder, mode = self.kubelet.folder / "claims" / f"{name}-{self.name}", 0o2775
        elif "emptyDir" in volume:
            folder, mode = self.folder / name, 0o2777
        else:
            return self.files(name, volume, group)
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, 0, group)
        folder.chmod(mode)
        return folder

    def files(self, name, volume, group):
        if "secret" in volume:
            data = self.kubelet.chart.data("Secret", volume["secret"]["secretName"])
            mode = volume["secret"].get("defaultMode", 0o644)
        else:
            data, mode = self.kubelet.chart.data("ConfigMap", volume["configMap"]["name"]), 0o644
        folder = self.folder / name
        real = folder / "..2026_11_29"
        real.mkdir(parents=True)
        (folder / "..data").symlink_to(real.name)
        for key, text in data.items():
            (real / key).write_bytes(text)
            os.chown(real / key, 0, group)
            (real / key).chmod(mode)
            (folder / key).symlink_to(f"..data/{key}")
        return folder

    def probe(self, kind):
        """Whether a probe of the manifest succeeds now."""
        http = self.container[f"{kind}Probe"]["httpGet"]
        port = next(each["containerPort"] for each in self.container["ports"] if each["name"] == http["port"])
        return answers(f"http://{self.address}:{port}{http['path']}",
                       self.container[f"{kind}Probe"]["timeoutSeconds"])

    def ready(self):
        return self.probe("readiness")

    def stop(self):
        """As a pod that is deleted; how long its process took to end, in seconds."""
        self.kubelet.endpoint(self, "drain")
        pause = self.container["lifecycle"]["preStop"]["sleep"]["seconds"]
        time.sleep(pause)
        since = time.monotonic()
        left = self.spec["terminationGracePeriodSeconds"] - pause
        self.kubelet.engine.run("docker", "stop", "--time", left, self.name)
        code = self.kubelet.engine.inspect(self.name, "{{.State.ExitCode}}")
        self.kubelet.engine.run("docker", "rm", self.name)
        if code != "0":
            raise Failure(f"{self.name} ended with {code}")
        return time.monotonic() - since

    def forget(self):
        """As a pod whose machine is gone."""
        self.kubelet.engine.run("docker", "rm", "--force", self.name)

    def ends(self, seconds=120):
        """What a pod that runs to its end has said."""
        wait(f"{self.name} ends", seconds, lambda: self.kubelet.engine.inspect(
            self.name, "{{.State.Status}}") == "exited")
        done = self.kubelet.engine.call("docker", "logs", self.name)
        said = (done.stdout + done.stderr).decode(errors="replace")
        if self.kubelet.engine.inspect(self.name, "{{.State.ExitCode}}") != "0":
            raise Failure(f"{self.name} failed:\n{said}")
        return said

    def postrider(self, *arguments, typed=""):
        """`kubectl exec`."""
        return self.kubelet.engine.run("docker", "exec", "--interactive", self.name, "postrider",
                                       *arguments, input=typed.encode())

    def status(self, *options):
        """What `cluster status` says; 1 says that no node may fail."""
        done = self.kubelet.engine.call("docker", "exec", self.name, "postrider", *options,
                                        "cluster", "status")
        if done.returncode > 1:
            raise Failure(f"{self.name}: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode()

    def safe(self):
        return "\nSafe: any one may fail" in self.status()

    def listed(self):
        """The names of all nodes that it knows."""
        return [each["name"] for each in json.loads(self.status("--json"))["nodes"]]


class Kubelet:
    """Runs the pods of a chart."""

    def __init__(self, engine, chart):
        self.engine, self.chart = engine, chart
        self.folder = engine.root / "kubelet"
        self.folder.mkdir()
        self.slots = {}
        engine.run("docker", "network", "create", "--subnet", f"{NETWORK}.0/24",
                   "--ip-range", f"{NETWORK}.128/25", "--gateway", f"{NETWORK}.1", "pods")
        Names(f"{NETWORK}.1")

    def metadata(self, number):
        set = self.chart.get("StatefulSet", "mail-postrider")
        name, service = f"mail-postrider-{number}", set["spec"]["serviceName"]
        return Pod(self, name, set["spec"]["template"]["spec"], 10 + number,
                   [f"{name}.{service}.{DOMAIN}", f"{service}.{DOMAIN}", f"mail-postrider-http.{DOMAIN}",
                    "mail-postrider-http"])

    def frontend(self, number):
        template = self.chart.get("Deployment", "mail-postrider-frontend")["spec"]["template"]
        return Pod(self, f"mail-postrider-frontend-{number}", template["spec"], 20 + number)

    def job(self, name, number=30):
        template = self.chart.get("CronJob", name)["spec"]["jobTemplate"]["spec"]["template"]
        return Pod(self, name, template["spec"], number)

    def test(self):
        return Pod(self, "mail-postrider-test", self.chart.get("Pod", "mail-postrider-test")["spec"], 31)

    def bucket(self):
        """An S3 server, which is no part of the chart."""
        self.engine.run("docker", "run", "--detach", "--name", "s3", "--network", "pods",
                        "--ip", f"{NETWORK}.6",
                        "--env", "AWS_ACCESS_KEY_ID=postrider", "--env", "AWS_SECRET_ACCESS_KEY=secret",
                        "chrislusf/seaweedfs:4.48", "mini", "-dir=/data", "-ip.bind=0.0.0.0",
                        "-bucket=mail", "-master.telemetry=false", "-webdav=false", "-admin.ui=false")
        wait("the S3 server is ready", 90, lambda: answers(f"http://{NETWORK}.6:8333/healthz"))

    def mail_service(self, frontends):
        """The mail Service: its ports, to the ports of the pods that are ready."""
        service = self.chart.get("Service", "mail-postrider")
        ports = {each["name"]: each["containerPort"] for each in self.frontend(0).container["ports"]}
        lines = ["global", "  log stdout format raw local0 notice", "  fd-hard-limit 10000",
                 f"  stats socket ipv4@{SERVICE}:9999 level admin",
                 "defaults", "  mode tcp", "  log global", "  option redispatch",
                 "  timeout connect 2s", "  timeout client 5m", "  timeout server 5m",
                 "backend pods", "  option httpchk GET /healthz/ready"]
        pods = [(f"pod{number}", f"{NETWORK}.{20 + number}") for number in range(frontends)]
        lines += [f"  server {name} {address}:8080 check inter 2s fall 2 rise 1"
                  for name, address in pods]
        for port in service["spec"]["ports"]:
            lines += [f"listen {port['name']}", f"  bind :{port['port']}"]
            lines += [f"  server {name} {address}:{ports[port['targetPort']]} track pods/{name}"
                      for name, address in pods]
        (self.folder / "service.cfg").write_text("\n".join(lines) + "\n")
        self.engine.run("docker", "run", "--detach", "--name", "service", "--network", "pods", "--ip",
                        SERVICE, "--network-alias", "mail-postrider", "--mount",
                        "type=bind,source=/kubelet/service.cfg,target=/usr/local/etc/haproxy/haproxy.cfg",
                        "haproxy:3.0")
        self.slots = {address: name for name, address in pods}
        return SERVICE

    def endpoint(self, pod, state):
        """Takes a pod that is deleted out of the Service at once, as Kubernetes does."""
        name = self.slots.get(pod.address)
        if name is not None:
            with socket.create_connection((SERVICE, 9999), 5) as connection:
                connection.sendall(f"set server pods/{name} state {state}\n".encode())
                if reply := connection.recv(4096).strip():
                    raise Failure(f"the Service: {reply.decode()}")
