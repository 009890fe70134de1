"""Whether running voters hold the same: `same_state.py DATA_FOLDER...`.

Compares the hashes of their states after the same entry. Entries come all the
time (leases are renewed), so each is asked until all were once seen at one.
"""

import json
import sys
import time
import urllib.request
from pathlib import Path

PATIENCE = 60


def hash_of(folder):
    """The last entry in the state, and the state's hash."""
    url = (folder / "admin.url").read_text().strip().rstrip("/")
    token = (folder / "admin.token").read_text().strip()
    request = urllib.request.Request(f"{url}/v1/cluster/hash",
                                     headers={"Authorization": f"Bearer {token}"})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=30) as answer:
        answer = json.load(answer)
    return answer["applied"], answer["hash"]


def main():
    folders = [Path(word) for word in sys.argv[1:]]
    seen = {}
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for folder in folders:
            applied, digest = hash_of(folder)
            there = seen.setdefault(applied, {})
            there[folder] = digest
            if len(set(there.values())) > 1:
                sys.exit(f"the states differ after entry {applied}: {there}")
            if len(there) == len(folders):
                print(f"{len(folders)} voters hold the same after entry {applied}: {digest}")
                return
    sys.exit(f"the voters were never seen at the same entry within {PATIENCE} s: {list(seen)}")


if __name__ == "__main__":
    main()
