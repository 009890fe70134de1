#!/usr/bin/env python3
"""Python's smtplib, imaplib and poplib: one message from end to end on each."""

import imaplib
import os
import poplib
import smtplib
import ssl
import time
from email.message import EmailMessage
from email.policy import SMTP

ALICE, BOB, PASSWORD = os.environ["ALICE"], os.environ["BOB"], os.environ["PASSWORD"]
HOST = "localhost"
MARK = f"python {os.getpid()} {time.time_ns()}"
TLS = ssl.create_default_context(cafile=os.environ["CA"])


def port(name):
    return int(os.environ[name])


def message(subject):
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = ALICE, BOB, subject
    mail.set_content("Grüße aus Python\n.leading dot\n..two dots\n")
    mail.add_attachment(os.urandom(300_000), maintype="application", subtype="octet-stream",
                        filename="noise.bin")
    return mail


def send():
    with smtplib.SMTP(HOST, port("SUBMISSION")) as smtp:
        smtp.starttls(context=TLS)
        smtp.login(ALICE, PASSWORD)
        smtp.send_message(message(MARK + " starttls"))
    with smtplib.SMTP_SSL(HOST, port("SUBMISSIONS"), context=TLS) as smtp:
        smtp.login(ALICE, PASSWORD)
        smtp.send_message(message(MARK + " tls"))
    with smtplib.LMTP(HOST, port("LMTP")) as lmtp:
        refused = lmtp.sendmail("s@outside.test", [BOB, "nobody@example.test"],
                                message(MARK + " lmtp").as_bytes(policy=SMTP))
        assert list(refused) == ["nobody@example.test"], refused


def ok(answer):
    kind, data = answer
    assert kind == "OK", answer
    return data


def read_by_imap():
    with imaplib.IMAP4(HOST, port("IMAP")) as imap:
        imap.starttls(TLS)
        imap.login(BOB, PASSWORD)
        ok(imap.select("INBOX"))
        uids = ok(imap.uid("SEARCH", "SUBJECT", f'"{MARK}"'))[0].split()
        assert len(uids) == 3, uids
        body = ok(imap.uid("FETCH", uids[0], "(BODY[])"))[0][1]
        assert b".leading dot" in body and b"..two dots" in body
        structure = ok(imap.uid("FETCH", uids[0], "(BODYSTRUCTURE)"))[0]
        assert b"noise.bin" in structure, structure
        ok(imap.uid("STORE", uids[0], "+FLAGS", r"(\Flagged Python)"))
        assert ok(imap.uid("SEARCH", "KEYWORD", "python", "SUBJECT", f'"{MARK}"'))[0].split() == uids[:1]
        ok(imap.create("Python/Grüße".encode("utf-7").decode().replace("+", "&")))
        ok(imap.uid("COPY", uids[1], "Archive"))
        ok(imap.append("Archive", r"(\Seen)", imaplib.Time2Internaldate(time.time()),
                       message(MARK + " append").as_bytes()))
        ok(imap.select("Archive"))
        assert len(ok(imap.search(None, "SUBJECT", f'"{MARK}"'))[0].split()) == 2
        ok(imap.store("1:*", "+FLAGS", r"\Deleted"))
        ok(imap.expunge())
        assert ok(imap.search(None, "ALL"))[0] == b""


def read_by_pop3():
    pop = poplib.POP3_SSL(HOST, port("POP3S"), context=TLS)
    pop.user(BOB)
    pop.pass_(PASSWORD)
    count, _ = pop.stat()
    numbers = [n for n in range(1, count + 1)
               if MARK.encode() in b"\n".join(pop.top(n, 0)[1])]
    assert len(numbers) == 3, numbers
    for number in numbers:
        lines = pop.retr(number)[1]
        assert b".leading dot" in lines and b"..two dots" in lines
        pop.dele(number)
    pop.quit()
    pop = poplib.POP3(HOST, port("POP3"))
    pop.stls(TLS)
    pop.user(BOB)
    pop.pass_(PASSWORD)
    assert pop.stat()[0] == count - 3
    pop.quit()


send()
read_by_imap()
read_by_pop3()
