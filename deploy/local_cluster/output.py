"""What a person or a program is told: progress on standard error, the answer on
standard output."""

import sys
import time
from dataclasses import dataclass, field


class Failure(Exception):
    """Ends the command; the text says what is wrong and what to do."""


@dataclass
class Report:
    """A command's answer."""
    text: str
    data: dict = field(default_factory=dict)
    code: int = 0


def say(text):
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


def wait(what, seconds, look, pause=0.1):
    """Calls `look` until it returns None; its last text is the reason of the failure.

    Tells what it waits for after the first seconds and then now and then."""
    begun = time.monotonic()
    tell = begun + 3
    while (reason := look()) is not None:
        now = time.monotonic()
        if now - begun > seconds:
            raise Failure(f"{what} after {seconds} s: {reason}")
        if now > tell:
            say(f"  ... {now - begun:.0f} s: {reason}")
            tell = now + 5
        time.sleep(pause)


def tail(log, lines=8):
    """The end of a log, indented, with its place."""
    try:
        with open(log, "rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 16384))
            text = file.read().decode(errors="replace")
    except OSError:
        return f"(no log at {log})"
    end = "".join(f"\n    {line}" for line in text.splitlines()[-lines:])
    return f"the end of {log}:{end}"
