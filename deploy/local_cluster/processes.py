"""Starts, finds and ends processes by name.

A process id alone may have passed to a stranger: with it we remember when the
process began, and signal nothing that began at another time."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from .output import Failure, tail


def birth(pid):
    """When the process began, as a text to compare; None if it has ended."""
    if not Path("/proc/self/stat").exists():
        ps = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)],
                            capture_output=True, text=True)
        state, _, started = ps.stdout.strip().partition(" ")
        return None if not state or state.startswith("Z") else started.strip()
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field is the name in brackets, which may hold anything.
    fields = stat.rpartition(")")[2].split()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return None if fields[0] in "ZX" else f"{boot} {fields[19]}"


def running(state, name):
    """The id of the process, or None."""
    known = state.read()["processes"].get(name)
    if known is None or known["started"] is None:
        return None
    return known["pid"] if birth(known["pid"]) == known["started"] else None


@contextlib.contextmanager
def uninterrupted():
    """Ctrl-C takes effect at the end of the block, so that no process is started
    and not remembered."""
    caught = []
    previous = signal.signal(signal.SIGINT, lambda *_: caught.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if caught:
        raise KeyboardInterrupt


def spawn(state, name, command, environment):
    """Starts a process in a session of its own, its output appended to its log."""
    state.folder(name).mkdir(exist_ok=True)
    with open(state.log(name), "ab") as log, uninterrupted():
        try:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, cwd=state.folder(name),
                env={**os.environ, **environment})
        except OSError as error:
            raise Failure(f"cannot start {command[0]}: {error}") from error
        with state.change() as contents:
            contents["processes"][name] = {"pid": child.pid, "started": birth(child.pid)}
    # It outlives us, and Python need not complain of that.
    child.returncode = 0


def must_run(state, name):
    """Fails with the end of its log if the process has ended by itself."""
    if running(state, name) is None:
        raise Failure(f"{name} has ended; {tail(state.log(name))}")


def end(state, names, how, patience):
    """Signals all that run and waits until they have ended; their names."""
    found = [(name, pid) for name in names if (pid := running(state, name))]
    for _, pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
    deadline = time.monotonic() + patience
    for name, _ in found:
        while running(state, name) is not None:
            if time.monotonic() > deadline:
                raise Failure(f"{name} has not ended after {patience} s: `kill` ends it at "
                              f"once; {tail(state.log(name))}")
            time.sleep(0.02)
    return [name for name, _ in found]
