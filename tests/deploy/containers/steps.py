"""What a person is told of a test's steps."""

import time

from base.output import wait


def passed(text):
    print(f"ok   {text}", flush=True)


def wait_until(what, look, seconds=90):
    """Waits, and tells for how long."""
    since = time.monotonic()
    wait(what, seconds, look, 0.3)
    passed(f"{what}: {time.monotonic() - since:.1f} s")
