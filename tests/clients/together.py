#!/usr/bin/env python3
"""One mailbox, four nodes at once: IDLE on the first, mail through the second, flags
through the third, mbsync against the fourth. `together.py CA FOLDER` expects them
where `deploy/local-cluster up --nodes 3 --frontends 1` puts them, and the account
u100@example.test with an empty INBOX.
"""

import imaplib
import smtplib
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

USER, PASSWORD = "u100@example.test", "pw"
MESSAGES = 30
# The promise of a hint from node to node, in the median.
PROMISE = 0.1

CONFIG = """IMAPAccount node4
Host localhost
Port 40993
User {user}
Pass {password}
SSLType IMAPS
CertificateFile {ca}
AuthMechs *

IMAPStore remote
Account node4

MaildirStore local
Path {folder}/
Inbox {folder}/INBOX
SubFolders Verbatim

Channel inbox
Far :remote:
Near :local:
Patterns INBOX
Create Near
Sync All
SyncState *
"""


class Idler:
    """A connection that waits in IDLE and notes when it hears what."""

    def __init__(self):
        self.imap = login(10143)
        self.imap.select("INBOX")
        self.imap.send(b"a1 IDLE\r\n")
        assert self.imap.readline().startswith(b"+"), "IDLE is refused"
        self.heard = {}
        self.news = threading.Condition()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while line := self.imap.readline():
            with self.news:
                self.heard.setdefault(line.decode(), time.monotonic())
                self.news.notify_all()

    def wait(self, is_it):
        """When a line came for which `is_it` holds."""

        def found():
            return next((at for line, at in self.heard.items() if is_it(line)), None)

        with self.news:
            assert self.news.wait_for(found, 30), f"not told in time; heard {self.heard}"
            return found()


def login(port):
    imap = imaplib.IMAP4("127.0.0.1", port)
    imap.login(USER, PASSWORD)
    return imap


def deliver(number):
    with smtplib.SMTP("127.0.0.1", 20025) as smtp:
        text = f"From: <s@outside.test>\r\nSubject: together {number}\r\n\r\nx\r\n"
        smtp.sendmail("s@outside.test", [USER], text)


def synchronize(config, stop, rounds):
    """mbsync again and again; what it does is compared in the end."""
    while not stop.is_set():
        subprocess.run(["mbsync", "-q", "-c", config, "inbox"], check=True)
        rounds.append(1)


def main():
    ca, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True)
    config = folder / "mbsyncrc"
    config.write_text(CONFIG.format(user=USER, password=PASSWORD, ca=ca, folder=folder / "mail"))
    (folder / "mail").mkdir()
    idler = Idler()
    flagger = login(30143)
    flagger.select("INBOX")
    stop, rounds = threading.Event(), []
    mbsync = threading.Thread(target=synchronize, args=(config, stop, rounds))
    mbsync.start()
    mail, flags = [], []
    for number in range(1, MESSAGES + 1):
        deliver(number)
        told = time.monotonic()
        mail.append(idler.wait(lambda line: line == f"* {number} EXISTS\r\n") - told)
        flagger.noop()
        assert flagger.store(str(number), "+FLAGS.SILENT", r"(\Flagged)")[0] == "OK"
        told = time.monotonic()
        start = f"* {number} FETCH "
        flags.append(idler.wait(lambda line: line.startswith(start) and "Flagged" in line) - told)
    stop.set()
    mbsync.join()
    subprocess.run(["mbsync", "-q", "-c", config, "inbox"], check=True)
    kept = [path.name for part in ("cur", "new") for path in (folder / "mail/INBOX" / part).iterdir()]
    flagged = [name for name in kept if "F" in name.rpartition(",")[2]]
    for what, times in ("mail", mail), ("flags", flags):
        median, worst = statistics.median(times), max(times)
        print(f"IDLE heard of {what}: median {median * 1000:.0f} ms, worst {worst * 1000:.0f} ms")
        assert median < PROMISE, f"{what}: {times}"
    print(f"mbsync: {len(rounds)} rounds meanwhile, {len(kept)} messages, {len(flagged)} flagged")
    assert rounds and len(kept) == len(flagged) == MESSAGES, kept
    _, count = flagger.select("INBOX", readonly=True)
    assert int(count[0]) == MESSAGES, count


main()
