"""Docker, as Debian has it, in a network, mounts and processes of its own: published
ports are those of that network, and all ends with the test. Needs root."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from base.output import Failure, say, tail, wait
from base.packages import run
from . import packages

MARK = "POSTRIDER_TEST_ENGINE"
ROOT = Path(__file__).resolve().parents[3]
CGROUP = "postrider-test"


def isolate():
    """Runs this program once more, apart from this system; returns there, with a folder."""
    if MARK in os.environ:
        return Path(os.environ[MARK])
    if os.geteuid() != 0:
        raise Failure("needs root, to start a container engine")
    packages.fetch()
    folder = tempfile.mkdtemp(prefix="postrider-containers-")
    try:
        done = subprocess.run(
            ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
             sys.executable, *sys.argv], env={**os.environ, MARK: folder})
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for group in Path("/sys/fs/cgroup").glob(f"**/{CGROUP}"):
            subprocess.run(["find", group, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"],
                           stderr=subprocess.DEVNULL)
    sys.exit(done.returncode)


class Engine:
    """The daemon, and the client beside it: both see `root` as /, and this repository,
    which they may change without effect, as /repo."""

    def __init__(self, folder):
        self.folder = folder
        self.root = folder / "root"
        self.log = folder / "engine" / "log"
        self.log.parent.mkdir()
        self.daemon = None
        tree = packages.tree("engine")
        self.layer(tree, self.root, "of-root")
        shutil.rmtree(self.root / "usr/sbin/iptables", ignore_errors=True)
        for name, what in {"usr/bin/sh": "dash", "usr/sbin/iptables": "iptables-nft",
                           "usr/sbin/ip6tables": "ip6tables-nft"}.items():
            (self.root / name).unlink(missing_ok=True)
            (self.root / name).symlink_to(what)
        (self.root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (self.root / "etc/group").write_text("root:x:0:\ndocker:x:999:\n")
        for part in "old", "repo", "var/lib/docker", "sys/fs/cgroup":
            (self.root / part).mkdir(parents=True, exist_ok=True)
        run("mount", "-t", "proc", "proc", self.root / "proc")
        run("mount", "-t", "sysfs", "sysfs", self.root / "sys")
        run("mount", "-t", "tmpfs", "tmpfs", self.root / "run")
        run("mount", "--rbind", "/sys/fs/cgroup", self.root / "sys/fs/cgroup")
        run("mount", "--rbind", "/dev", self.root / "dev")
        data = folder / "data"
        data.mkdir()
        run("mount", "--bind", data, self.root / "var/lib/docker")
        self.layer(ROOT, self.root / "repo", "of-repo")
        run("ip", "link", "set", "lo", "up")
        self.start()

    def layer(self, below, at, name):
        """What is below, with changes kept apart."""
        changes, work = self.folder / name / "changes", self.folder / name / "work"
        for part in changes, work, at:
            part.mkdir(parents=True, exist_ok=True)
        run("mount", "-t", "overlay", "overlay", "-o",
            f"lowerdir={below},upperdir={changes},workdir={work}", at)

    def start(self):
        command = (f"cd {self.root} && pivot_root . old && busybox umount -l /old && exec dockerd "
                   f"--storage-driver overlay2 --cgroup-parent /{CGROUP}")
        with open(self.log, "ab") as log:
            self.daemon = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait("the engine answers", 60, self.answers)

    def answers(self):
        if self.daemon.poll() is not None:
            raise Failure(f"the engine has ended; {tail(self.log)}")
        return self.call("docker", "info").returncode == 0

    def stop(self):
        """Ends it with all containers, as a machine that is shut down."""
        self.daemon.terminate()
        self.daemon.wait(120)

    def call(self, *command, at="/", environment=None, input=None, capture=True):
        variables = {"PATH": "/usr/sbin:/usr/bin", "HOME": "/root", **(environment or {})}
        return subprocess.run(
            ["chroot", str(self.root), "/usr/bin/env", "-C", at, *map(str, command)],
            env=variables, input=input, capture_output=capture,
            stdin=None if input is not None else subprocess.DEVNULL)

    def run(self, *command, **more):
        """Runs a command that must succeed; what it prints."""
        done = self.call(*command, **more)
        if done.returncode != 0:
            raise Failure(f"`{' '.join(map(str, command))}` failed:\n"
                          f"{(done.stderr + done.stdout).decode(errors='replace').strip()[-3000:]}")
        return done.stdout.decode(errors="replace").strip()

    def bring(self, folder, name, *changes):
        """Makes a folder an image."""
        marks = [part for change in changes for part in ("--change", change)]
        archive = subprocess.Popen(["tar", "--directory", folder, "--create", "."],
                                   stdout=subprocess.PIPE)
        done = subprocess.run(["chroot", str(self.root), "docker", "import", *marks, "-", name],
                              env={"PATH": "/usr/sbin:/usr/bin"}, stdin=archive.stdout,
                              capture_output=True)
        if archive.wait() != 0 or done.returncode != 0:
            raise Failure(f"no image {name}: {done.stderr.decode(errors='replace')}")

    def inspect(self, container, template):
        return self.run("docker", "inspect", "--format", template, container)

    def tell(self):
        """The ends of all containers' logs, for a person."""
        for name in self.run("docker", "ps", "--all", "--format", "{{.Names}}").split():
            done = self.call("docker", "logs", "--tail", "15", name)
            say(f"{name}:\n{(done.stdout + done.stderr).decode(errors='replace')}")
