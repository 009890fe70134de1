"""A Postfix that takes mail from those alone who log in under TLS (Cyrus SASL), as
mx.smarthost.test on 127.0.0.6."""

import os
import subprocess

from base.output import Failure
from base.packages import Tree

from .postfix import Postfix

USER, PASSWORD = "relay@smarthost.test", "a password for a smarthost"


class Smarthost(Postfix):
    name = "smarthost"
    address = "127.0.0.6"
    tree = "postfix"
    ports = (25, 587)
    restrictions = "permit_sasl_authenticated, reject"

    def configure(self):
        super().configure()
        self.make("sasl")
        # Debian's Postfix looks here, whatever cyrus_sasl_config_path says.
        self.make("config/sasl")
        database = self.folder / "sasl" / "users"
        self.write("config/sasl/smtpd.conf", f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\n"
                   f"mech_list: PLAIN LOGIN\nsasldb_path: {database}\n")
        user, realm = USER.split("@")
        command = [self.sasl().path("usr/sbin/saslpasswd2"), "-c", "-p", "-f", database, "-u", realm,
                   user]
        done = subprocess.run([str(part) for part in command], input=PASSWORD, text=True,
                              capture_output=True, env={**os.environ, **self.modules()})
        if done.returncode != 0 or not database.exists():
            raise Failure(f"saslpasswd2 failed: {done.stderr.strip()}")
        database.chmod(0o644)

    def sasl(self):
        return Tree("sasl")

    def modules(self):
        """Variables by which SASL finds its libraries and mechanisms."""
        sasl = self.sasl()
        folders = sasl.root.glob("usr/lib/*/sasl2")
        libraries = [sasl.environment()["LD_LIBRARY_PATH"],
                     self.packages.environment()["LD_LIBRARY_PATH"]]
        return {"SASL_PATH": ":".join(str(folder) for folder in folders),
                "LD_LIBRARY_PATH": ":".join(path for path in libraries if path)}

    def settings(self):
        return {**super().settings(),
                "import_environment": "MAIL_CONFIG LD_LIBRARY_PATH SASL_PATH TZ LANG=C",
                "smtpd_relay_restrictions": self.restrictions,
                "smtpd_sasl_auth_enable": "yes",
                "smtpd_sasl_type": "cyrus",
                "smtpd_sasl_path": "smtpd",
                "smtpd_sasl_local_domain": self.domain,
                "smtpd_sasl_security_options": "noanonymous",
                "smtpd_sasl_authenticated_header": "yes",
                "smtpd_tls_auth_only": "yes",
                # What it takes for others lies in its mailbox, too.
                "virtual_mailbox_domains": f"{self.domain}, beyond.test",
                "virtual_mailbox_maps": "static:mail/"}

    def run(self, *command, name=None, environment=None):
        environment = {**(environment or {}), **self.modules()}
        return super().run(*command, name=name, environment=environment)
