#!/usr/bin/env python3
"""Scripted peers in one process: `serve.py PLAN.json`.

The plan: `{"folder": "...", "peers": [{"name": "reset.test", "address":
"127.0.1.1", "port": 25, "faults": [...], "without": ["CHUNKING"], "certificate":
"...", "key": "...", "keep": "FOLDER"}]}`; faults.py describes faults.

In its folder it writes `statistics.json` (counts by peer, replaced twice a second)
and `accepted.jsonl` (a line for each message that was taken, with its Message-ID).
SIGTERM ends it, after both were written a last time."""

import asyncio
import json
import os
import resource
import signal
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripted.peer import Peer, Session  # noqa: E402

BACKLOG = 4096


def tell(folder, peers, journal):
    journal.flush()
    text = json.dumps({peer.name: peer.statistics() for peer in peers}, indent=1)
    new = folder / "statistics.new"
    new.write_text(text)
    os.replace(new, folder / "statistics.json")


async def serve(plan):
    folder = Path(plan["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in signal.SIGTERM, signal.SIGINT:
        loop.add_signal_handler(number, ended.set)
    with open(folder / "accepted.jsonl", "a") as journal:
        peers = [Peer(entry, journal) for entry in plan["peers"]]
        for peer in peers:
            await loop.create_server(lambda peer=peer: Session(peer), peer.address, peer.port,
                                     backlog=BACKLOG)
        print(f"{len(peers)} peers listen", flush=True)
        while not ended.is_set():
            tell(folder, peers, journal)
            try:
                await asyncio.wait_for(ended.wait(), 0.5)
            except asyncio.TimeoutError:
                pass
        tell(folder, peers, journal)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    asyncio.run(serve(json.loads(Path(sys.argv[1]).read_text())))
