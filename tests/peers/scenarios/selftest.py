"""The peers themselves, without Postrider: swaks stands in its place."""

import json
import smtplib
import socket
import ssl
import subprocess
import time
import uuid

from base.output import Failure
from base.swaks import swaks
from judge import verdict
from node import records
from servers.postgrey import DELAY
from world import DOMAIN, INCOMING, check

QUERIES = """
import dns.message, dns.query, dns.rcode, dns.rdatatype, json, sys
answers = []
for name, kind in json.loads(sys.argv[1]):
    for ask in dns.query.udp, dns.query.tcp:
        query = dns.message.make_query(name, kind)
        try:
            reply = ask(query, "127.0.0.1", port=int(sys.argv[2]), timeout=1)
        except dns.exception.Timeout:
            answers.append(["silence", []])
        except (EOFError, ConnectionError):
            answers.append(["silence", []])
        else:
            found = [item.to_text() for rrset in reply.answer for item in rrset]
            answers.append([dns.rcode.to_text(reply.rcode()), found])
print(json.dumps(answers))
"""


def names(world):
    """The name server, asked by dnspython over UDP and TCP."""
    long = "x" * 700
    world.publish("a.dns.test A 192.0.2.1", "a.dns.test AAAA 2001:db8::1",
                  "mx.dns.test MX 10 b.dns.test", "mx.dns.test MX 20 a.dns.test",
                  f"text.dns.test TXT {long}", "_imap._tcp.dns.test SRV 0 1 143 a.dns.test",
                  "_25._tcp.dns.test TLSA 3 1 1 " + "ab" * 32, "alias.dns.test CNAME a.dns.test",
                  "loop.dns.test CNAME pool.dns.test", "pool.dns.test CNAME loop.dns.test",
                  "null.dns.test MX 0 .", "broken.dns.test SERVFAIL", "silent.dns.test SILENT",
                  "*.wild.dns.test A 192.0.2.2")
    expected = {
        ("a.dns.test", "A"): ("NOERROR", ["192.0.2.1"]),
        ("A.DNS.test", "AAAA"): ("NOERROR", ["2001:db8::1"]),
        ("mx.dns.test", "MX"): ("NOERROR", ["10 b.dns.test.", "20 a.dns.test."]),
        ("_imap._tcp.dns.test", "SRV"): ("NOERROR", ["0 1 143 a.dns.test."]),
        ("_25._tcp.dns.test", "TLSA"): ("NOERROR", ["3 1 1 " + "ab" * 32]),
        ("alias.dns.test", "A"): ("NOERROR", ["a.dns.test.", "192.0.2.1"]),
        ("null.dns.test", "MX"): ("NOERROR", ["0 ."]),
        ("a.dns.test", "TXT"): ("NOERROR", []),
        ("nobody.dns.test", "A"): ("NXDOMAIN", []),
        ("dns.test", "A"): ("NOERROR", []),
        ("broken.dns.test", "MX"): ("SERVFAIL", []),
        ("silent.dns.test", "A"): ("silence", []),
        ("any.wild.dns.test", "A"): ("NOERROR", ["192.0.2.2"]),
        ("text.dns.test", "TXT"): ("NOERROR", [f'"{long[:255]}" "{long[:255]}" "{long[:190]}"']),
    }
    done = subprocess.run([world.modules(), "-c", QUERIES, json.dumps(list(expected)), "5300"],
                          capture_output=True, text=True)
    check(done.returncode == 0, done.stderr)
    answers = json.loads(done.stdout)
    for number, (query, wanted) in enumerate(expected.items()):
        over_udp, over_tcp = answers[2 * number:2 * number + 2]
        if query[0] == "text.dns.test":
            # Too long for UDP: cut, and to be asked again over TCP.
            check(over_udp == ["NOERROR", []], f"{query}: {over_udp}")
        else:
            check(over_udp == list(wanted), f"{query}: {over_udp} over UDP instead of {wanted}")
        check(over_tcp == list(wanted), f"{query}: {over_tcp} over TCP instead of {wanted}")


def postfix(world):
    """Postfix takes, refuses and sends."""
    both_ways(world, world.server("postfix"), "550 5.1.1")


def exim(world):
    """Exim takes, refuses and sends."""
    both_ways(world, world.server("exim"), "550 no mailbox of that name here")


def opensmtpd(world):
    """OpenSMTPD takes, refuses and sends."""
    both_ways(world, world.server("opensmtpd"), "524 5.2.4")


def greylisting(world):
    """Postgrey sends a stranger away, and takes the mail when it comes back."""
    server = world.server("grey")
    mark = uuid.uuid4().hex
    dialogue = ["--server", server.address, "--from", f"stranger@{DOMAIN}",
                "--to", f"user1@{server.domain}", "--header", f"X-Mark: {mark}"]
    text = swaks(*dialogue, fails=True)
    check("450 4.2.0" in text and "Greylisted" in text, text)
    time.sleep(DELAY + 1)
    swaks(*dialogue)
    server.await_message(mark)
    both_ways(world, server, "550 5.1.1", takes=False)


def both_ways(world, server, refusal, takes=True):
    to = ["--server", server.address, "--from", f"bob@{DOMAIN}", "--to"]
    mark = uuid.uuid4().hex
    marked = ["--header", f"X-Mark: {mark}", "--header", f"Message-Id: <{mark}@{DOMAIN}>"]
    if takes:
        take(world, server, [*to, f"user1@{server.domain},user2@{server.domain}", *marked])
        server.await_message(mark)
    text = swaks(*to, f"missing@{server.domain}", fails=True)
    check(refusal in text, text)
    swaks(*to, "somebody@elsewhere.test", fails=True)
    sink = incoming(world)
    swaks("--server", server.address, "--local-interface", server.address, "--from",
          f"user1@{server.domain}", "--to", f"alice@{DOMAIN}", *marked)
    entry = sink.await_accepted("incoming")[-1]
    check(entry["id"] == f"<{mark}@{DOMAIN}>", f"{server.name} sent {entry}")
    check(entry["tls"], f"{server.name} sent without TLS: {entry}")
    check(entry["from"] == server.address, f"{server.name} does not send from its address: {entry}")
    sink.stop()


def take(world, server, dialogue):
    """A message by TLS, or without where that cannot work."""
    secure = ["--tls", "--tls-verify", "--tls-ca-path", world.authority.certificate]
    if server.tls_works:
        text = swaks(*dialogue, *secure, "--pipeline")
        check("=== TLS started with" in text and "TLS peer" in text, text)
    else:
        text = swaks(*dialogue, *secure, fails=True)
        check("TLS startup failed" in text, text)
        swaks(*dialogue)


def incoming(world):
    """A peer that takes the place of Postrider."""
    address, port = INCOMING
    peer = {"name": "incoming", "address": address, "port": port, "tls": True}
    return world.scripted([peer])


TRIED = ("connect", "greeting", "ehlo", "starttls", "handshake", "mail", "rcpt", "data", "content",
         "dot")


def faults(world):
    """Each fault at each phase happens once, and the next try is taken."""
    plans = []
    for phase in TRIED:
        actions = ["reset", "close", "hang", "garbage", "421 4.3.2 closing", "451 4.3.0 later"]
        if phase == "dot":
            actions.append("die")
        plans += [(phase, action) for action in actions
                  if not (phase in ("handshake", "content") and action[0] == "4")]
    peers = [{"name": f"{phase}-{action.split()[0]}.scripted.test", "tls": True, "kept": True,
              "faults": [{"phase": phase, "action": action, "times": 1}]}
             for phase, action in plans]
    scripted = world.scripted(peers, "faults")
    for peer, (phase, action) in zip(peers, plans):
        fails(world, peer, phase, action)
        deliver(world, peer, 10)
    time.sleep(1.2)
    statistics = scripted.statistics()
    for peer, (phase, action) in zip(peers, plans):
        name, found = peer["name"], statistics[peer["name"]]
        # Who hangs up after STARTTLS had all the rest left to say.
        wanted = 2 if action == "die" else 1
        check(found["faults"][0]["count"] == 1, f"{name}: {found}")
        check(found["messages"] == wanted and found["distinct"] == 1, f"{name}: {found}")
        check(found["encrypted"] == wanted, f"{name}: {found}")


def fails(world, peer, phase, action):
    try:
        deliver(world, peer, 0.5)
    except smtplib.SMTPResponseException as error:
        reply = error.smtp_code
    except smtplib.SMTPRecipientsRefused as error:
        reply = next(iter(error.recipients.values()))[0]
    except TimeoutError:
        reply = "hang"
    except ConnectionResetError:
        reply = "reset"
    except (smtplib.SMTPServerDisconnected, ssl.SSLError, OSError) as error:
        reply = "reset" if "reset" in str(error) else "close"
        if "timed out" in str(error):
            reply = "hang"
    else:
        raise Failure(f"{peer['name']}: nothing failed")
    word = action.split()[0]
    # Within TLS a reset may look like an end that was not announced.
    reset = ("reset",) if phase in ("connect", "greeting", "ehlo", "starttls") else ("reset", "close")
    allowed = {"die": reset, "garbage": ("close", "reset", -1), "reset": reset,
               "close": ("close", "reset")}.get(word)
    allowed = allowed or (("hang",) if word == "hang" else (int(word), "close", "reset"))
    check(reply in allowed, f"{peer['name']}: {reply!r} came")


def deliver(world, peer, patience):
    context = ssl.create_default_context(cafile=world.authority.certificate)
    smtp = smtplib.SMTP(timeout=patience)
    try:
        # The certificate is for the name, and the name has an address in DNS.
        smtp._host = peer["host"]
        code, text = smtp.connect(peer["address"], 25)
        if code != 220:
            raise smtplib.SMTPConnectError(code, text)
        if (code := smtp.ehlo()[0]) != 250:
            raise smtplib.SMTPHeloError(code, b"")
        smtp._host = peer["host"]
        if (reply := smtp.starttls(context=context))[0] != 220:
            raise smtplib.SMTPResponseException(*reply)
        smtp.sendmail("bob@example.test", ["user1@scripted.test"],
                      f"Message-ID: <1@{peer['name']}>\r\n\r\n.\r\n..text\r\n")
        smtp.quit()
    finally:
        smtp.close()


def pipelining(world):
    """What comes in one piece is answered in one piece, chunks too."""
    scripted = world.scripted([{"name": "plain.pipe.test", "address": "127.0.0.8", "kept": True}])
    with socket.create_connection(("127.0.0.8", 25), 10) as connection:
        file = connection.makefile("rb")
        file.readline()
        connection.sendall(
            b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\nMessage-ID: <1@x>\r\n\r\n..a\r\n.\r\n"
            b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRCPT TO:<c@b>\r\nBDAT 21\r\nMessage-ID: <2@x>\r\n\r\n"
            b"BDAT 6 LAST\r\n..\r\n.\nQUIT\r\n")
        codes = [line[:3] for line in file if line[3:4] != b"-"]
    check(codes == [b"250", b"250", b"250", b"354", b"250", b"250", b"250", b"250", b"250", b"250",
                    b"221"], f"{codes}")
    first, second = scripted.await_accepted("plain.pipe.test", 2)
    check((first["id"], second["id"], len(second["rcpt"])) == ("<1@x>", "<2@x>", 2), f"{second}")
    contents = [open(entry["file"], "rb").read() for entry in (first, second)]
    check(contents == [b"Message-ID: <1@x>\r\n\r\n.a\r\n", b"Message-ID: <2@x>\r\n\r\n..\r\n.\n"],
          f"{contents}")


SIGN = """
import base64, dkim, json, sys, nacl.signing
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import rsa
message = sys.stdin.buffer.read()
key = rsa.generate_private_key(65537, 2048)
pem = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.TraditionalOpenSSL, form.NoEncryption())
public = key.public_key().public_bytes(form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo)
seed = nacl.signing.SigningKey.generate()
fields = [dkim.sign(message, b"rsa", b"signed.test", pem),
          dkim.sign(message, b"ed", b"signed.test", base64.b64encode(seed.encode()),
                    signature_algorithm=b"ed25519-sha256")]
encode = lambda data: base64.b64encode(data).decode()
print(json.dumps({"fields": b"".join(fields).decode(), "rsa": encode(public),
                  "ed": encode(seed.verify_key.encode())}))
"""


def judging(world):
    """dkimpy and pyspf find keys in our DNS, and tell good from bad."""
    message = b"From: a@signed.test\r\nSubject: x\r\n\r\nHello\r\n"
    done = subprocess.run([world.modules(), "-c", SIGN], input=message, capture_output=True)
    check(done.returncode == 0, done.stderr.decode())
    signed = json.loads(done.stdout)
    answer = {"records": [
        {"name": "rsa._domainkey.signed.test", "kind": "TXT",
         "value": f"v=DKIM1; k=rsa; p={signed['rsa']}"},
        {"name": "ed._domainkey.signed.test", "kind": "TXT",
         "value": f"v=DKIM1; k=ed25519; p={signed['ed']}"},
        {"name": "signed.test", "kind": "TXT", "value": "v=spf1 ip4:127.0.0.1 -all"}]}
    world.publish(*records(answer))
    whole = signed["fields"].encode() + message
    sender = ["a@signed.test", "mail.signed.test"]
    good = verdict(world, whole, ["127.0.0.1", *sender])
    check(good["spf"] == "pass" and [item["good"] for item in good["dkim"]] == [True, True],
          f"{good}")
    bad = verdict(world, whole.replace(b"Hello", b"Hallo"), ["127.0.0.2", *sender])
    check(bad["spf"] == "fail" and [item["good"] for item in bad["dkim"]] == [False, False],
          f"{bad}")


SCENARIOS = [names, judging, postfix, exim, opensmtpd, greylisting, pipelining, faults]
