"""What others' implementations say of a message's signatures and sender.

`judge.py` runs within the Python that has dkimpy and pyspf: it reads a message from
standard input and asks the system's DNS. `verdict` calls it from the tests."""

import json
import subprocess
import sys
from pathlib import Path

from base.output import Failure


def verdict(world, message, spf=None):
    """A dictionary: `dkim`, a list of signatures with `domain`, `algorithm`, `good`;
    `arc`, the state of the chain; `spf` for (address, sender, name at EHLO)."""
    command = [str(world.modules()), str(Path(__file__).resolve()), json.dumps(spf)]
    done = subprocess.run(command, input=message, capture_output=True)
    if done.returncode != 0:
        raise Failure(f"a message could not be judged:\n{done.stderr.decode(errors='replace')}")
    return json.loads(done.stdout)


def main():
    import dkim
    message = sys.stdin.buffer.read()
    judged = dkim.DKIM(message)
    signatures = []
    for number, (_, value) in enumerate(
            field for field in judged.headers if field[0].lower() == b"dkim-signature"):
        tags = dkim.util.parse_tag_value(value)
        try:
            good, why = dkim.DKIM(message).verify(idx=number), ""
        except dkim.DKIMException as error:
            good, why = False, str(error)
        signatures.append({"domain": tags[b"d"].decode(), "algorithm": tags[b"a"].decode(),
                           "selector": tags[b"s"].decode(), "good": good, "why": why})
    chain, _, why = dkim.arc_verify(message)
    result = {"dkim": signatures, "arc": (chain or b"none").decode(), "arc_why": why}
    if asked := json.loads(sys.argv[1]):
        import spf
        result["spf"], result["spf_why"] = spf.check2(*asked)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
