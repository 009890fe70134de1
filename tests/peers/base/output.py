"""What a person is told, and waiting with a reason."""

import sys
import time


class Failure(Exception):
    """Something is not as it must be; the text says what, and what to look at."""


def say(text):
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


def wait(what, seconds, look, pause=0.1):
    """Calls `look` until it returns something other than None, False or nothing,
    and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        if found := look():
            return found
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not within {seconds} s")
        time.sleep(pause)


def tail(log, lines=8):
    """The end of a log, indented, with its name."""
    try:
        text = log.read_bytes()[-16384:].decode(errors="replace")
    except OSError:
        return f"(no log at {log})"
    end = "".join(f"\n    {line}" for line in text.splitlines()[-lines:])
    return f"the end of {log.parent.name}/{log.name}:{end}"
