"""Processes that run as long as the test that started them."""

import contextlib
import os
import signal
import socket
import subprocess
import time

from .output import Failure, say, tail


class Process:
    """A program in a process group of its own, its output in a log."""

    def __init__(self, name, command, log, environment=None, cwd=None):
        self.name = name
        self.log = log
        with open(log, "ab") as output:
            try:
                self.child = subprocess.Popen(
                    [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output,
                    stderr=output, start_new_session=True, cwd=cwd,
                    env={**os.environ, **(environment or {})})
            except OSError as error:
                raise Failure(f"cannot start {name}: {error}") from error

    def must_run(self):
        code = self.child.poll()
        if code is not None:
            raise Failure(f"{self.name} has ended with {code}; {tail(self.log)}")

    def signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            self.child.send_signal(number)

    def stop(self, patience=15):
        """Asks it to end, and kills it with its children if it does not."""
        self.signal(signal.SIGTERM)
        clean = True
        try:
            self.child.wait(patience)
        except subprocess.TimeoutExpired:
            say(f"{self.name} did not end within {patience} s and is killed")
            clean = False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()
        return clean

    def await_port(self, address, port, greeting=b"", seconds=30):
        """Until it accepts connections, and greets with these bytes."""
        deadline = time.monotonic() + seconds
        while True:
            self.must_run()
            with contextlib.suppress(OSError), \
                    socket.create_connection((address, port), 2) as connection:
                if not greeting or connection.recv(len(greeting)) == greeting:
                    return
            if time.monotonic() > deadline:
                raise Failure(f"{self.name} does not answer on {address}:{port} after {seconds} s; "
                              f"{tail(self.log)}")
            time.sleep(0.1)
