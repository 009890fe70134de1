"""Checks the manifests that `helm template` wrote, and the values of the chart:

    manifests.py FOLDER     with one file SET.yaml per set of values

Each manifest fits the schema of its kind in the oldest and the newest Kubernetes that
are supported; what names something names what is there; every value is in the
README. With POSTRIDER_BIN each settings file in them is one that the program takes.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import kubernetes_validate
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "postrider"
VERSIONS = ["1.30.0", "1.35.0"]
# Kinds that Kubernetes itself does not know.
FOREIGN = {"cert-manager.io/v1", "monitoring.coreos.com/v1"}


class Set:
    """The manifests of one set of values."""

    def __init__(self, file):
        self.name = file.stem
        self.manifests = [doc for doc in yaml.safe_load_all(file.read_text()) if doc]
        self.problems = []

    def of(self, *kinds):
        return [doc for doc in self.manifests if doc["kind"] in kinds]

    def fail(self, doc, text):
        self.problems.append(f"{self.name}: {doc['kind']} {doc['metadata']['name']}: {text}")

    def pods(self):
        """What is in pods: (manifest, labels, spec)."""
        for doc in self.of("StatefulSet", "Deployment", "CronJob", "Pod"):
            template = doc
            if doc["kind"] == "CronJob":
                template = doc["spec"]["jobTemplate"]["spec"]["template"]
            elif doc["kind"] != "Pod":
                template = doc["spec"]["template"]
            yield doc, template["metadata"]["labels"], template["spec"]


def fits_the_schemas(these):
    for doc in these.manifests:
        if doc["apiVersion"] in FOREIGN:
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(doc, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                these.fail(doc, f"Kubernetes {version}: {error.message} at {list(error.path)}")


def names_are_unique(these):
    seen = set()
    for doc in these.manifests:
        key = doc["kind"], doc["metadata"]["name"]
        if key in seen:
            these.fail(doc, "is there twice")
        seen.add(key)


def services_select_pods(these):
    pods = [(labels, {port["name"] for c in spec["containers"] for port in c.get("ports", [])})
            for _, labels, spec in these.pods()]
    for service in these.of("Service"):
        selector = service["spec"]["selector"].items()
        chosen = [ports for labels, ports in pods if selector <= labels.items()]
        if not chosen:
            these.fail(service, "selects no pod")
        for port in service["spec"]["ports"] or []:
            if not all(port["targetPort"] in ports for ports in chosen):
                these.fail(service, f"a pod has no port {port['targetPort']}")
    for doc in these.of("PodDisruptionBudget", "NetworkPolicy"):
        selector = doc["spec"].get("selector") or doc["spec"]["podSelector"]
        if not any(selector["matchLabels"].items() <= labels.items() for labels, _ in pods):
            these.fail(doc, "selects no pod")
    services = [doc["metadata"]["labels"] for doc in these.of("Service")]
    for doc in these.of("ServiceMonitor"):
        labels = doc["spec"]["selector"]["matchLabels"].items()
        if sum(labels <= service.items() for service in services) != 1:
            these.fail(doc, "does not select one Service")


def nothing_is_open_by_mistake(these):
    """A rule without ports opens all of them, a Service without ports is refused."""
    for doc in these.of("NetworkPolicy"):
        for rule in doc["spec"]["ingress"]:
            if not rule.get("ports"):
                these.fail(doc, f"opens every port to {rule.get('from') or 'everybody'}")
            if "from" in rule and not rule["from"]:
                these.fail(doc, f"opens {rule['ports']} to everybody")
        for rule in doc["spec"].get("egress", []):
            if not rule.get("ports") and not rule.get("to"):
                these.fail(doc, "lets out everything")
    for doc in these.of("Service"):
        if not doc["spec"]["ports"]:
            these.fail(doc, "has no port")


def volumes_exist(these):
    present = {(doc["kind"], doc["metadata"]["name"]) for doc in these.manifests}
    made = {doc["spec"]["secretName"] for doc in these.of("Certificate")}
    # What the values name is the user's to make.
    given = {"keys", "certificate", "admin"}
    for doc, _, spec in these.pods():
        claims = {c["metadata"]["name"] for c in doc["spec"].get("volumeClaimTemplates", [])}
        volumes = {volume["name"] for volume in spec.get("volumes", [])} | claims
        for container in spec["containers"]:
            for mount in container["volumeMounts"]:
                if mount["name"] not in volumes:
                    these.fail(doc, f"has no volume {mount['name']}")
        for volume in spec["volumes"]:
            name = volume.get("configMap", {}).get("name")
            if name and ("ConfigMap", name) not in present:
                these.fail(doc, f"there is no ConfigMap {name}")
            name = volume.get("secret", {}).get("secretName")
            if name and ("Secret", name) not in present and name not in made | given:
                these.fail(doc, f"there is no Secret {name}")


def nobody_is_root(these):
    for doc, _, spec in these.pods():
        if not spec["securityContext"]["runAsNonRoot"]:
            these.fail(doc, "may run as root")
        for container in spec["containers"]:
            context = container["securityContext"]
            if not context["readOnlyRootFilesystem"] or context["allowPrivilegeEscalation"]:
                these.fail(doc, f"{container['name']} is not confined")


def stops_in_time(these):
    for doc in these.of("StatefulSet", "Deployment"):
        spec = doc["spec"]["template"]["spec"]
        container = spec["containers"][0]
        pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        file = next(m["subPath"] for m in container["volumeMounts"] if "subPath" in m)
        text = next(c["data"][file] for c in these.of("ConfigMap") if file in c["data"])
        drain = int(re.search(r'drain_timeout = "(\d+)s"', text)[1])
        if spec["terminationGracePeriodSeconds"] <= pause + drain:
            these.fail(doc, "is killed before its sessions have ended")


def settings_are_usable(these):
    binary = os.environ.get("POSTRIDER_BIN")
    if not binary:
        return
    for doc in these.of("StatefulSet", "Deployment"):
        container = doc["spec"]["template"]["spec"]["containers"][0]
        file = next(m["subPath"] for m in container["volumeMounts"] if "subPath" in m)
        text = next(c["data"][file] for c in these.of("ConfigMap") if file in c["data"])
        environment = {e["name"]: e.get("value", "pod-0") for e in container["env"]}
        for name in ("POD_NAME", "POD_IP"):
            environment = {key: value.replace(f"$({name})", "10.1.2.3" if name == "POD_IP" else
                                              "pod-0") for key, value in environment.items()}
        with tempfile.TemporaryDirectory() as folder:
            tls = Path(folder) / "tls"
            tls.mkdir()
            if "/etc/postrider/tls" in text:
                certificate(tls)
            config = Path(folder) / "postrider.toml"
            config.write_text(text.replace("/etc/postrider/tls", str(tls)))
            done = subprocess.run([binary, "check-config", "--config", config], text=True,
                                  env=environment, capture_output=True)
        if done.returncode != 0:
            these.fail(doc, f"{file}: {done.stderr}")


def certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=mail.example.org",
                    "-keyout", folder / "tls.key", "-out", folder / "tls.crt"],
                   check=True, capture_output=True)


def paths(value, schema, path=""):
    """All values that a user may set, by their paths."""
    if isinstance(value, dict) and "properties" in schema:
        for key, inner in value.items():
            yield from paths(inner, schema["properties"][key], f"{path}.{key}".lstrip("."))
    else:
        yield path


def every_value_is_explained():
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    known = set(re.findall(r"^\| `([A-Za-z.0-9]+)` \|", (CHART / "README.md").read_text(), re.M))
    there = set(paths(values, schema))
    return [f"README.md does not explain {path}" for path in sorted(there - known)] + [
        f"README.md explains {path}, which is no value" for path in sorted(known - there)]


def main():
    sets = [Set(file) for file in sorted(Path(sys.argv[1]).glob("*.yaml"))]
    problems = every_value_is_explained()
    for these in sets:
        for check in (fits_the_schemas, names_are_unique, services_select_pods,
                      nothing_is_open_by_mistake, volumes_exist, nobody_is_root, stops_in_time, settings_are_usable):
            check(these)
        problems += these.problems
        print(f"{these.name}: {len(these.manifests)} manifests")
    print("\n".join(problems))
    return 1 if problems or not sets else 0


if __name__ == "__main__":
    sys.exit(main())
