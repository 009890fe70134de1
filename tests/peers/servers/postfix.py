"""Postfix as mx.postfix.test on 127.0.0.2."""

import pwd

from .server import USERS, Server, prepare_maildir

# The queue's folders, with the owner, group and mode that Postfix wants.
QUEUE = [("active", 0o700), ("bounce", 0o700), ("corrupt", 0o700), ("defer", 0o700),
         ("deferred", 0o700), ("flush", 0o700), ("hold", 0o700), ("incoming", 0o700),
         ("private", 0o700), ("saved", 0o700), ("trace", 0o700)]
# name, type, private, wakeup, limit of processes, program.
SERVICES = [("postlog", "unix-dgram", "n", "-", "1", "postlogd"),
            ("pickup", "unix", "n", "60", "1", "pickup"),
            ("cleanup", "unix", "n", "-", "0", "cleanup"),
            ("qmgr", "unix", "n", "5", "1", "qmgr"),
            ("tlsmgr", "unix", "-", "1000?", "1", "tlsmgr"),
            ("rewrite", "unix", "-", "-", "-", "trivial-rewrite"),
            ("bounce", "unix", "-", "-", "0", "bounce"),
            ("defer", "unix", "-", "-", "0", "bounce"),
            ("trace", "unix", "-", "-", "0", "bounce"),
            ("verify", "unix", "-", "-", "1", "verify"),
            ("flush", "unix", "n", "1000?", "0", "flush"),
            ("proxymap", "unix", "-", "-", "-", "proxymap"),
            ("smtp", "unix", "-", "-", "-", "smtp"),
            ("relay", "unix", "-", "-", "-", "smtp"),
            ("showq", "unix", "n", "-", "-", "showq"),
            ("error", "unix", "-", "-", "-", "error"),
            ("retry", "unix", "-", "-", "-", "error"),
            ("discard", "unix", "-", "-", "-", "discard"),
            ("virtual", "unix", "-", "-", "-", "virtual"),
            ("anvil", "unix", "-", "-", "1", "anvil"),
            ("scache", "unix", "-", "-", "1", "scache")]


class Postfix(Server):
    name = "postfix"
    address = "127.0.0.2"
    # What stands before a recipient is accepted.
    restrictions = "permit_mynetworks, reject_unauth_destination"

    def mailboxes(self):
        """The table of addresses and their places below the folder."""
        self.make_box(self.mail)
        return "".join(f"{user}@{self.domain} mail/\n" for user in USERS)

    def make_box(self, folder):
        prepare_maildir(folder, "mailbox")

    def configure(self):
        self.make("queue")
        for name, mode in QUEUE:
            self.make(f"queue/{name}", "postfix", mode=mode)
        self.make("queue/pid")
        self.make("queue/maildrop", "postfix", "postdrop", 0o730)
        self.make("queue/public", "postfix", "postdrop", 0o710)
        self.make("data", "postfix", mode=0o700)
        self.make("config")
        self.write("config/users", self.mailboxes())
        transports = "".join(f"{domain} smtp:[{host}]:{port}\n"
                             for domain, (host, port) in self.place.relays.items())
        self.write("config/transports", transports)
        self.write("config/main.cf", "".join(
            f"{name} = {value}\n" for name, value in self.settings().items()))
        table = [*((f"{self.address}:{port}", "inet", "n", "-", "100", "smtpd")
                   for port in self.ports), *SERVICES]
        self.write("config/master.cf", "".join(
            # The one that delivers to mailboxes becomes their owner, which takes root.
            f"{name} {kind} {private} {'n' if program == 'virtual' else '-'} n {wakeup} {limit} "
            f"{program}\n" for name, kind, private, wakeup, limit, program in table))

    def settings(self):
        """What stands in main.cf."""
        mailbox = pwd.getpwnam("mailbox")
        return {
            "compatibility_level": "3.6",
            "queue_directory": f"{self.folder}/queue",
            "data_directory": f"{self.folder}/data",
            "command_directory": self.packages.path("usr/sbin"),
            "daemon_directory": self.packages.path("usr/lib/postfix/sbin"),
            "shlib_directory": self.packages.path("usr/lib/postfix"),
            "meta_directory": f"{self.folder}/config",
            "mail_owner": "postfix",
            "setgid_group": "postdrop",
            "import_environment": "MAIL_CONFIG LD_LIBRARY_PATH TZ LANG=C",
            "maillog_file": self.log,
            "maillog_file_prefixes": self.folder,
            "myhostname": self.host,
            "mydestination": "",
            "inet_interfaces": self.address,
            "inet_protocols": "ipv4",
            "mynetworks": self.address,
            "smtp_bind_address": self.address,
            "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
            "smtpd_recipient_restrictions": self.restrictions,
            "smtpd_tls_security_level": "may",
            "smtpd_tls_chain_files": f"{self.key}, {self.certificate}",
            "smtp_tls_security_level": "may",
            "smtputf8_enable": "yes",
            "virtual_mailbox_domains": self.domain,
            "virtual_mailbox_base": self.folder,
            "virtual_mailbox_maps": f"texthash:{self.folder}/config/users",
            "virtual_uid_maps": f"static:{mailbox.pw_uid}",
            "virtual_gid_maps": f"static:{mailbox.pw_gid}",
            "alias_maps": "",
            "local_recipient_maps": "",
            "transport_maps": f"texthash:{self.folder}/config/transports",
            "default_transport": "error:5.4.4 there is no way out of the tests",
            "smtp_dns_support_level": "disabled",
            "smtp_host_lookup": "native",
            "minimal_backoff_time": "5s",
            "maximal_backoff_time": "10s",
            "queue_run_delay": "5s",
            "virtual_mailbox_limit": "0",
        }

    def launch(self):
        master = self.packages.path("usr/lib/postfix/sbin/master")
        config = self.folder / "config"
        # -d: stay in the foreground.
        self.run(master, "-c", config, "-d", environment={"MAIL_CONFIG": str(config)})
