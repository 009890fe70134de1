"""Checks alerts and dashboard of the chart: what they ask Prometheus for is what the
program has and describes, every alert is explained in docs/operations.md, and Prometheus itself
takes each expression.

    watching.py PROMTOOL
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "helm" / "postrider" / "files"
# Of the facade `metrics`; descriptions alone make no metric.
MADE = re.compile(r'(?<!describe_)\b(counter|gauge|histogram)!\(\s*"(\w+)"')
ASKED = re.compile(r"\b(?:postrider|process)_\w+")


def made():
    """The names that Prometheus sees of what the code makes."""
    names = set()
    for file in (ROOT / "crates").glob("**/*.rs"):
        for kind, name in MADE.findall(file.read_text()):
            names.add(name)
            if kind == "histogram":
                names |= {f"{name}_sum", f"{name}_count"}
                # Others are exported as summaries.
                if name.endswith("_seconds"):
                    names.add(f"{name}_bucket")
    return names


def alerts():
    rules = yaml.safe_load((FILES / "alerts.yaml").read_text())
    return [rule for group in rules["groups"] for rule in group["rules"]]


def panels():
    """(title, expression) of the dashboard."""
    dashboard = json.loads((FILES / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["definition"]


def overlaps():
    """Panels that lie on each other."""
    taken = {}
    for panel in json.loads((FILES / "dashboard.json").read_text())["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if (x, y) in taken or x >= 24:
                    yield f"panels {panel['title']!r} and {taken.get((x, y))!r} overlap"
                taken[x, y] = panel["title"]


def as_rules():
    """The panels' expressions, so that promtool reads them."""
    rules = []
    for number, (_, expression) in enumerate(panels()):
        if expression.startswith("label_values("):
            continue
        plain = re.sub(r"\$__\w+", "5m", expression).replace("$namespace", "x").replace("$job", "x")
        rules.append({"record": f"panel:{number}", "expr": plain})
    return {"groups": [{"name": "dashboard", "rules": rules}]}


def main():
    names, problems = made(), set(overlaps())
    asked = [(rule["alert"], rule["expr"]) for rule in alerts()] + list(panels())
    for title, expression in asked:
        for name in ASKED.findall(expression):
            if name not in names:
                problems.add(f"{title}: no code makes {name}")
    described = (ROOT / "crates" / "node" / "src" / "telemetry.rs").read_text()
    for file in (ROOT / "crates").glob("**/*.rs"):
        for _, name in MADE.findall(file.read_text()):
            if f'"{name}",' not in described:
                problems.add(f"crates/node/src/telemetry.rs does not describe {name}")
    explained = (ROOT / "docs" / "operations.md").read_text()
    for rule in alerts():
        if f"`{rule['alert']}`" not in explained:
            problems.add(f"docs/operations.md does not explain {rule['alert']}")
    with tempfile.TemporaryDirectory() as folder:
        dashboard = Path(folder) / "dashboard.yaml"
        dashboard.write_text(yaml.safe_dump(as_rules()))
        for file in FILES / "alerts.yaml", dashboard:
            done = subprocess.run([sys.argv[1], "check", "rules", file], capture_output=True, text=True)
            if done.returncode != 0:
                problems.add(done.stdout + done.stderr)
    test = Path(__file__).with_name("alerts.test.yaml")
    done = subprocess.run([sys.argv[1], "test", "rules", test], capture_output=True, text=True)
    if done.returncode != 0:
        problems.add(done.stdout + done.stderr)
    print(f"{len(alerts())} alerts, {len(asked)} expressions")
    print("\n".join(sorted(problems)))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
