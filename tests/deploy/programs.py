"""Where programs of Debian packages are, unpacked beside those of tests/peers:

    programs.py haproxy|nginx|promtool ARGUMENT...     runs one
"""

import os
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peers"))

from base import packages  # noqa: E402
from base.output import Failure  # noqa: E402

packages.TREES.update({
    "haproxy": ["haproxy"],
    "nginx": ["nginx", "libnginx-mod-stream"],
    "promtool": ["prometheus"],
})
PROGRAMS = {"haproxy": "usr/sbin/haproxy", "nginx": "usr/sbin/nginx", "promtool": "usr/bin/promtool"}


def main():
    name, *arguments = sys.argv[1:]
    packages.install([name])
    tree = packages.Tree(name)
    program = tree.path(PROGRAMS[name])
    if name == "nginx":
        # Where it looks for modules and writes what it must.
        prefix = tree.root / "prefix"
        prefix.mkdir(exist_ok=True)
        if not (prefix / "modules").exists():
            (prefix / "modules").symlink_to("../usr/lib/nginx/modules")
        given = f"pid {prefix}/pid;"
        if "-g" in arguments:
            place = arguments.index("-g")
            given += arguments[place + 1]
            del arguments[place:place + 2]
        arguments = ["-p", str(prefix), "-e", "stderr", "-g", given, *arguments]
    environment = {**os.environ, **tree.environment()}
    os.execve(program, [str(program), *arguments], environment)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"tests/deploy/programs.py: {failure}")
