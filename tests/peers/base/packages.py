"""Debian packages and Python modules in a cache folder of our own.

Debian's mail servers exclude each other: installing one removes the other. So
each is downloaded with all that it needs and this system lacks, and unpacked into
a folder of its own; nothing is installed on this system."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from .output import Failure, say

# What each tree holds. Postfix checks passwords by SASL, Postgrey needs Perl modules, swaks those for TLS.
TREES = {
    "postfix": ["postfix"],
    "exim": ["exim4-daemon-light"],
    "opensmtpd": ["opensmtpd"],
    "postgrey": ["postgrey"],
    "sasl": ["sasl2-bin", "libsasl2-modules", "libsasl2-modules-db"],
    "swaks": ["swaks", "libio-socket-ssl-perl", "libnet-ssleay-perl"],
}
MODULES = ["dkimpy", "pyspf", "authres", "dnspython", "cryptography", "pynacl"]


def cache():
    """Where packages stay between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "postrider" / "peers"


class Tree:
    """The unpacked packages of one server."""
    # Where the servers see the cache: they run as users that may not enter the
    # home of this one.
    base = None

    def __init__(self, name):
        self.root = (self.base or cache()) / name

    def path(self, *names):
        """The first of some files, each without its leading slash, that exists."""
        for name in names:
            if (self.root / name).exists():
                return self.root / name
        raise Failure(f"{self.root} holds no {' or '.join(names)}: remove the folder, so that "
                      "the next run fills it again")

    def environment(self):
        """Variables by which programs find the libraries and modules in the tree."""
        libraries = [*self.root.glob("usr/lib/*-linux-gnu*"), *self.root.glob("lib/*-linux-gnu*"),
                     self.root / "usr/lib/postfix"]
        modules = [self.root / "usr/share/perl5", *self.root.glob("usr/lib/*/perl5/*"),
                   *self.root.glob("usr/lib/*/perl5-base")]
        return {"LD_LIBRARY_PATH": ":".join(str(path) for path in libraries if path.is_dir()),
                "PERL5LIB": ":".join(str(path) for path in modules if path.is_dir())}


def install(names=TREES):
    """Fills the trees that are missing."""
    missing = [name for name in names if not (cache() / name / ".complete").exists()]
    if missing:
        require("apt-get", "dpkg")
        run("apt-get", "update", "-qq")
    for name in missing:
        unpack(name)


def unpack(name):
    packages = sorted({*TREES[name], *lacking(TREES[name])})
    say(f"fetching {' '.join(packages)}")
    tree, downloads = cache() / name, cache() / f"{name}.downloads"
    for folder in tree, downloads:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    # apt-get gives up its rights for downloads, and would complain of a folder
    # that its user cannot write to.
    run("apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", *packages, cwd=downloads)
    for package in sorted(downloads.glob("*.deb")):
        run("dpkg", "-x", package, tree)
    shutil.rmtree(downloads)
    (tree / ".complete").touch()


def lacking(packages):
    """What would have to be installed with the packages."""
    plan = run("apt-get", "install", "--simulate", "--no-install-recommends", *packages)
    return [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]


def install_modules():
    """The Python that has the modules, in an environment of its own."""
    folder = cache() / "python"
    python = folder / "bin" / "python"
    if not (folder / ".complete").exists():
        say(f"fetching {' '.join(MODULES)}")
        shutil.rmtree(folder, ignore_errors=True)
        run(sys.executable, "-m", "venv", folder)
        run(python, "-m", "pip", "install", "--quiet", *MODULES)
        (folder / ".complete").touch()
    return python


def require(*programs):
    for program in programs:
        if shutil.which(program) is None:
            raise Failure(f"there is no `{program}`, which these tests need (they run on Debian)")


def run(*command, cwd=None):
    """Runs a command that must succeed; its output."""
    command = [str(part) for part in command]
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive",
                                          "LC_ALL": "C.UTF-8"})
    if done.returncode != 0:
        raise Failure(f"`{' '.join(command)}` failed:\n{done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
