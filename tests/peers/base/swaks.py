"""swaks, a client from Debian: one SMTP dialogue, its text, and how it ended."""

import os
import subprocess

from .output import Failure
from .packages import Tree


def swaks(*arguments, fails=False):
    """Runs a dialogue that must succeed, or fail if `fails`; its text."""
    tree = Tree("swaks")
    command = ["perl", str(tree.path("usr/bin/swaks")), "--timeout", "30", *map(str, arguments)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", timeout=120, env={**os.environ, **tree.environment()})
    text = done.stdout + done.stderr
    if (done.returncode != 0) != fails:
        what = "succeeded" if fails else f"failed with {done.returncode}"
        raise Failure(f"`{' '.join(command[1:])}` {what}:\n{text}")
    return text
