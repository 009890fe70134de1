"""Postfix in Postrider's place: `run --understudy` tries the scenarios themselves.

What an old and proven server does not pass is asked too much, or wrongly. It signs
nothing, seals nothing and rewrites no senders; those questions are left out."""

import shutil
import signal

from base.output import Failure, wait
from base.swaks import swaks
from node import ALICE, BOB, CLIENT, HOST, PORTS, QUEUE, Node
from servers.postfix import Postfix
from servers.server import Place

# What Postfix calls our settings of the client.
LIMITS = {"smtp_connect_timeout": "connect_timeout", "smtp_helo_timeout": "greeting_timeout",
          "smtp_starttls_timeout": "handshake_timeout", "smtp_mail_timeout": "command_timeout",
          "smtp_rcpt_timeout": "command_timeout", "smtp_rset_timeout": "command_timeout",
          "smtp_quit_timeout": "command_timeout", "smtp_data_init_timeout": "data_init_timeout",
          "smtp_data_xfer_timeout": "data_block_timeout",
          "smtp_data_done_timeout": "data_end_timeout"}
BOXES = {ALICE: "box-alice", BOB: "box-bob"}


class Stage(Postfix):
    """The Postfix in question."""
    name = "example"
    address = "127.0.0.1"
    tree = "postfix"
    ports = (PORTS["smtp"], PORTS["submission"])

    def __init__(self, place, queue):
        self.queue = queue
        super().__init__(place)
        self.aliases = self.write("aliases", "")

    def settings(self):
        limits = {theirs: CLIENT[ours] for theirs, ours in LIMITS.items()}
        return {**super().settings(), **limits,
                "myhostname": HOST,
                "virtual_alias_maps": f"texthash:{self.folder}/aliases",
                "transport_maps": "",
                "default_transport": "smtp",
                "smtp_dns_support_level": "enabled",
                "smtp_host_lookup": "dns",
                "smtp_address_preference": "ipv4",
                "minimal_backoff_time": "1s",
                "maximal_backoff_time": "3s",
                "queue_run_delay": "1s",
                "transport_retry_time": "1s",
                "maximal_queue_lifetime": self.queue["lifetime"],
                "bounce_queue_lifetime": self.queue["lifetime"],
                "delay_warning_time": self.queue["warn_after"],
                "message_size_limit": "52428800"}

    def mailboxes(self):
        for box in BOXES.values():
            self.make_box(self.folder / box)
        return "".join(f"{user} {box}/\n" for user, box in BOXES.items())


class Understudy(Node):
    """Does what a Node does, by Postfix."""
    signs = False
    statuses = {"missing.test": "5.4.4", "nomail.test": "5.1.0"}

    def __init__(self, world, dns_port):
        self.world = world
        self.stage = None
        self.folder = world.folder / "example"
        self.log = self.folder / "log"

    def start(self, **queue):
        place = Place(self.world.folder, self.world.authority, {})
        self.stage = Stage(place, {**QUEUE, **queue})
        self.stage.start()
        self.process = self.stage.processes[-1]

    def restart(self, **queue):
        self.stop()
        boxes = self.folder.with_name("boxes")
        shutil.move(self.folder, boxes)
        self.start(**queue)
        for box in BOXES.values():
            shutil.rmtree(self.folder / box)
            shutil.move(boxes / box, self.folder / box)
        shutil.rmtree(boxes)

    def stop(self):
        return self.stage is None or self.stage.stop()

    def populate(self):
        pass

    def publish(self):
        self.world.publish(f"example.test TXT v=spf1 a:{HOST} -all")

    def run(self, *arguments, text=None):
        if arguments[:2] != ("alias", "add"):
            raise Failure(f"the understudy cannot {' '.join(arguments)}")
        with open(self.stage.aliases, "a") as aliases:
            aliases.write(f"{arguments[2]} {arguments[3]}\n")
        self.process.signal(signal.SIGHUP)
        # It reads its tables again when old processes have ended.
        wait("Postfix does not reload", 10, lambda: b"reload" in self.log.read_bytes())

    def swaks(self, *arguments, user=ALICE):
        return swaks("--server", "127.0.0.1", "--port", PORTS["submission"], "--tls",
                     "--from", user, "--header", f"From: {user}", *arguments)

    def login(self, smtp, user):
        """Postfix trusts everybody on this machine."""

    def inbox(self, user=ALICE):
        files = (self.folder / BOXES[user] / "new").glob("*")
        return [file.read_bytes() for file in sorted(files)]
