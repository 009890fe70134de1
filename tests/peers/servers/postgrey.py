"""A Postfix with Postgrey before it, as mx.grey.test on 127.0.0.5: every stranger
has to come back."""

from base.packages import Tree

from .postfix import Postfix

POLICY_PORT = 10023
# How long a stranger has to wait, in seconds.
DELAY = 3


class Postgrey(Postfix):
    name = "grey"
    address = "127.0.0.5"
    tree = "postfix"
    restrictions = (f"permit_mynetworks, reject_unauth_destination, reject_unlisted_recipient, "
                    f"check_policy_service inet:127.0.0.5:{POLICY_PORT}")

    def launch(self):
        packages = Tree("postgrey")
        database = self.make("postgrey", "postgrey", mode=0o700)
        nobody = self.write("nobody", "")
        environment = packages.environment()
        # It asks for taint mode (-T), in which Perl ignores PERL5LIB.
        modules = [f"-I{folder}" for folder in environment["PERL5LIB"].split(":")]
        policy = self.run(
            "perl", "-T", *modules, packages.path("usr/sbin/postgrey"),
            f"--inet={self.address}:{POLICY_PORT}", f"--delay={DELAY}", f"--dbdir={database}",
            "--user=postgrey", "--group=postgrey", "--auto-whitelist-clients=0",
            f"--whitelist-clients={nobody}", f"--whitelist-recipients={nobody}",
            "--greylist-text=Greylisted, come back in %s seconds",
            name="postgrey", environment=environment)
        policy.await_port(self.address, POLICY_PORT)
        super().launch()
