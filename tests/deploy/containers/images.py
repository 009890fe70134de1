"""Images under the names of deploy/ and the chart, made of Debian's packages and the
program that was built before: no registry is asked. The build stage of the Dockerfile
runs with an `apt-get` that finds its package there and a `cargo` that hands out the
program; everything else in it is as it is."""

import os
import shutil
from pathlib import Path

from base.output import Failure
from base.packages import run
from . import packages

ROOT = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("POSTRIDER_BIN") or ROOT / "target/release/postrider").resolve()
PATHS = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
APT = "#!/bin/sh\nexit 0\n"
CARGO = "#!/bin/sh\nset -e\nmkdir -p target/dist\ncp /prebuilt target/dist/postrider\n"


def make(engine):
    """All but that of Postrider itself."""
    distroless(engine)
    build_stage(engine)
    seaweedfs(engine)
    haproxy(engine)
    curl(engine)


def copy(engine, name):
    """A root with the packages that may be changed."""
    target = engine.folder / name
    shutil.copytree(packages.tree(name), target, symlinks=True)
    return target


def users(root, name, number):
    (root / "etc/passwd").write_text(f"root:x:0:0:root:/root:/bin/sh\n"
                                     f"{name}:x:{number}:{number}::/:/bin/sh\n")
    (root / "etc/group").write_text(f"root:x:0:\n{name}:x:{number}:\n")


def distroless(engine):
    root = copy(engine, "distroless")
    users(root, "nonroot", 65532)
    # What its package does when it is installed.
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_bytes(b"".join(path.read_bytes() for path in
                                sorted(root.glob("usr/share/ca-certificates/mozilla/*.crt"))))
    engine.bring(root, "gcr.io/distroless/cc-debian12:nonroot", "USER 65532", f"ENV {PATHS}")


def build_stage(engine):
    if not BINARY.exists():
        raise Failure(f"there is no {BINARY}: build it, or set POSTRIDER_BIN")
    root = copy(engine, "build")
    (root / "usr/bin/sh").unlink(missing_ok=True)
    (root / "usr/bin/sh").symlink_to("dash")
    run("strip", "-o", root / "prebuilt", BINARY)
    for name, text in {"apt-get": APT, "cargo": CARGO}.items():
        program = root / "usr/local/bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    engine.bring(root, "rust:1.95-bookworm", f"ENV {PATHS}")


def seaweedfs(engine):
    """As in tests/s3, with the busybox that Alpine has."""
    root = copy(engine, "busybox")
    for applet in "sh", "wget", "sleep":
        (root / "usr/bin" / applet).unlink(missing_ok=True)
        (root / "usr/bin" / applet).symlink_to("busybox")
    shutil.copy(packages.seaweedfs() / "bin/weed", root / "usr/bin/weed")
    (root / "data").mkdir()
    users(root, "seaweed", 1000)
    engine.bring(root, "chrislusf/seaweedfs:4.48", 'ENTRYPOINT ["/usr/bin/weed"]', "VOLUME /data",
                 "WORKDIR /data", f"ENV {PATHS}")


def haproxy(engine):
    root = copy(engine, "haproxy")
    users(root, "haproxy", 99)
    engine.bring(root, "haproxy:3.0", "USER haproxy", f"ENV {PATHS}", "STOPSIGNAL SIGUSR1",
                 'CMD ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]')


def curl(engine):
    root = copy(engine, "curl")
    (root / "usr/bin/sh").unlink(missing_ok=True)
    (root / "usr/bin/sh").symlink_to("dash")
    users(root, "curl_user", 100)
    engine.bring(root, "curlimages/curl:8.11.1", "USER 100", f"ENV {PATHS}")
