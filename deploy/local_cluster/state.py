"""What lies in DIR, and `state.json`, which remembers the nodes and their processes.

The file is changed under a lock and replaced as a whole: an interrupted command,
or two at once, leave it readable. Locks are held for moments, never while
something is waited for."""

import contextlib
import fcntl
import json
import os
from pathlib import Path

from .output import Failure


class State:
    def __init__(self, root: Path):
        self.root = root
        self.file = root / "state.json"
        self.authority = root / "ca.pem"

    def exists(self):
        return self.file.exists()

    def create(self):
        """Makes DIR; a folder with other things in it is left alone."""
        if self.exists():
            return
        if self.root.exists() and any(self.root.iterdir()):
            raise Failure(f"{self.root} is not empty and no cluster of ours: "
                          "name another folder with --dir")
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / ".gitignore").write_text("*\n")
        with self.change():
            pass

    def read(self):
        try:
            return json.loads(self.file.read_text())
        except FileNotFoundError:
            return {"nodes": [], "processes": {}}
        except ValueError as error:
            raise Failure(f"{self.file} cannot be read ({error}): stop what runs and "
                          f"remove {self.root}") from error

    @contextlib.contextmanager
    def change(self):
        """The contents, written back at the end of the block."""
        with open(self.root / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            state = self.read()
            yield state
            new = self.file.with_suffix(".new")
            new.write_text(json.dumps(state, indent=2) + "\n")
            os.replace(new, self.file)

    def require(self):
        if not self.exists():
            raise Failure(f"there is no cluster in {self.root}: `up` makes one, "
                          "--dir names another folder")

    def folder(self, name):
        """The folder of a process: node1, s3, lb."""
        return self.root / name

    def log(self, name):
        return self.folder(name) / "log"
