"""Exim as mx.exim.test on 127.0.0.3."""

import shutil

from .server import USERS, Server, prepare_maildir

USER = "Debian-exim"


class Exim(Server):
    name = "exim"
    address = "127.0.0.3"

    def configure(self):
        prepare_maildir(self.mail, USER)
        spool = self.make("spool", USER, mode=0o750)
        logs = self.make("logs", USER)
        self.log = logs / "main"
        users = self.write("users", "".join(f"{user}\n" for user in USERS))
        # Exim reads its key after it has given up its rights.
        key = self.folder / "key.pem"
        shutil.copyfile(self.key, key)
        shutil.chown(key, USER, USER)
        key.chmod(0o400)
        routes = "".join(f"""
to_{domain.replace(".", "_")}:
  driver = manualroute
  domains = {domain}
  transport = remote
  route_list = * {host}::{port}
  # The host is this machine, on purpose.
  self = send
  no_more
""" for domain, (host, port) in self.place.relays.items())
        relayed = " : ".join(self.place.relays)
        self.write("exim.conf", f"""
primary_hostname = {self.host}
local_interfaces = {self.address}
daemon_smtp_ports = 25
spool_directory = {spool}
log_file_path = {logs}/%s
pid_file_path = {spool}/pid
exim_user = {USER}
exim_group = {USER}
# Configurations in other places than the built-in one lose root's rights.
deliver_drop_privilege = true
tls_advertise_hosts = *
tls_certificate = {self.certificate}
tls_privatekey = {key}
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_max = 200
smtp_accept_queue_per_connection = 1000
smtp_accept_reserve = 0
acl_smtp_rcpt = check_recipient
acl_smtp_data = accept

begin acl

check_recipient:
  accept
    hosts = {self.address}
    domains = {relayed}
  require
    message = relay not permitted
    domains = {self.domain}
  require
    message = no mailbox of that name here
    verify = recipient
  accept

begin routers
{routes}
mailboxes:
  driver = accept
  domains = {self.domain}
  local_parts = lsearch;{users}
  transport = maildir

begin transports

remote:
  driver = smtp
  allow_localhost
  interface = {self.address}
  hosts_try_fastopen =

maildir:
  driver = appendfile
  maildir_format
  directory = {self.mail}
  delivery_date_add
  envelope_to_add
  return_path_add

begin retry

*  *  F,1h,5s
""")

    def launch(self):
        program = self.packages.path("usr/sbin/exim4")
        # -bdf: a server in the foreground; -q: look at the queue as well.
        self.run(program, "-C", self.folder / "exim.conf", "-bdf", "-q5s")
