"""A real systemd that knows our units and nothing else, shut in so that it can change nothing of this machine.

As root a systemd that merely had namespaces of its own would boot this machine once more: it would clear /tmp and set what
/etc says. So everything is mounted read-only before it starts, but for tmpfs and a copy of some files of /etc; what
starts it gives up root's rights over the machine by a user namespace after that, so that nothing can be mounted
anew; and SYSTEMD_UNIT_PATH leaves it no unit but those that are written here. What can write to the machine in spite of
that ends before systemd does."""

import os
import pathlib
import shutil
import subprocess

from built import BIN, TOP
from cluster import wait_until

USERNS = pathlib.Path(__file__).with_name("userns.py")
UNITS = TOP / "deploy" / "systemd"
PROGRAM = pathlib.Path("/lib/systemd/systemd")
SYSTEM = pathlib.Path("/lib/systemd/system")
TARGETS = ("sysinit", "basic", "sockets", "multi-user", "shutdown", "network-online", "local-fs", "timers", "paths", "default", "network")
JOURNAL = ("systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket")
ETC = ("passwd", "group", "shadow", "gshadow", "nsswitch.conf", "ld.so.cache", "hosts", "machine-id", "alternatives", "ssl")
OUR_OWN = ("/tmp", "/run", "/var/lib", "/var/cache", "/var/log", "/var/tmp", "/root", "/sys/fs/cgroup")
MACHINE = ("/", "/usr", "/var", "/opt", "/sys", "/srv")

INNER = """set -eu
for folder in {machine}; do
    if touch "$folder/.gleaner-probe" 2>/dev/null; then echo "this could write to $folder" >&2; exit 1; fi
done
mount --make-rshared /
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t proc proc /proc
SYSTEMD_UNIT_PATH=/run/units container=gleaner-test exec {program} --system --log-target=console --unit=multi-user.target
"""
# bubblewrap as root covers these, and a /proc with covered parts cannot be mounted again in a user namespace.
OUTER = """for part in sys sysrq-trigger irq bus; do umount "/proc/$part" 2>/dev/null || true; done
exec /usr/bin/python3 /run/booted/userns.py sh /run/booted/inner.sh"""


class Systemd:
    """Boots; run () is a command in there, unit () puts a unit of ours there with its programs where they are built."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.units, self.etc, self.process, self.pid = self.folder / "units", self.folder / "etc", None, None
        self.units.mkdir()
        (self.etc / "gleaner").mkdir(parents=True)
        for name in ETC:
            source = pathlib.Path("/etc") / name
            if source.is_dir():
                shutil.copytree(source, self.etc / name, symlinks=True, ignore=shutil.ignore_patterns("private"))
            elif source.exists():
                shutil.copy2(source, self.etc / name)
        for name in TARGETS:
            (self.units / f"{name}.target").write_text(f"[Unit]\nDescription={name}\nDefaultDependencies=no\n")
        for name in JOURNAL:
            shutil.copy2(SYSTEM / name, self.units / name)
        (self.units / "sysinit.target").write_text("[Unit]\nDefaultDependencies=no\nWants=systemd-journald.service\n")
        (self.folder / "inner.sh").write_text(INNER.format(machine=" ".join(MACHINE), program=PROGRAM))
        shutil.copy2(USERNS, self.folder / "userns.py")

    def unit(self, name, **dropin):
        """One of deploy/systemd, as it is but for the folder of programs; a drop-in sets what a test needs otherwise."""
        text = (UNITS / name).read_text().replace("/usr/bin/gleaner", "/run/bin/gleaner")
        (self.units / name).write_text(text)
        if name.endswith(".service"):
            dropin = {"Environment": "ASAN_OPTIONS=detect_leaks=0", **dropin}
        if dropin:
            (self.units / f"{name}.d").mkdir()
            lines = "".join(f"{key}={value}\n" for key, value in dropin.items())
            (self.units / f"{name}.d" / "test.conf").write_text(f"[Service]\n{lines}")

    def boot(self):
        ours = [part for folder in OUR_OWN for part in ("--tmpfs", folder)]
        command = ["bwrap", "--unshare-pid", "--unshare-ipc", "--unshare-net", "--unshare-uts", "--die-with-parent", "--ro-bind", "/", "/",
                   "--dev", "/dev", "--proc", "/proc", *ours, "--bind", self.etc, "/etc", "--ro-bind", self.folder, "/run/booted",
                   "--ro-bind", self.units, "/run/units", "--ro-bind", BIN, "/run/bin", "--cap-add", "ALL", "sh", "-c", OUTER]
        with open(self.folder / "console.log", "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def up():
            assert self.process.poll() is None, self.console()
            self.pid = self.pid or self._find()
            return self.pid and self.run("systemctl", "is-active", "multi-user.target").stdout.strip() == "active"
        wait_until(up, 30, "systemd")
        return self

    def _find(self):
        """The process that we started and that became systemd: the last one of its line."""
        pid = self.process.pid
        while True:
            try:
                children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                name = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
            except OSError:
                return None
            if name == "systemd":
                return pid
            if not children:
                return None
            pid = int(children[0])

    def console(self):
        return (self.folder / "console.log").read_text(errors="replace")

    def inside(self, *command):
        return ["nsenter", "-t", str(self.pid), "-U", "-m", "-p", "-C", "-n", "-u", "-i", "-S", "0", "-G", "0", "--", *command]

    def run(self, *command):
        return subprocess.run(self.inside(*command), capture_output=True, text=True, timeout=90)

    def does(self, *command):
        done = self.run(*command)
        assert done.returncode == 0, (command, done.stdout, done.stderr, self.journal())
        return done.stdout

    def show(self, unit, name):
        return self.does("systemctl", "show", "--value", "-p", name, unit).strip()

    def journal(self, *matches):
        return self.run("journalctl", "--no-pager", "-o", "short-monotonic", "-n", "60", *matches).stdout

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()  # and with it, by --die-with-parent and the process namespaces, all that it started
            self.process.wait()


def missing():
    """Why this cannot be done here; None when it can."""
    if os.geteuid() != 0:
        return "a systemd that is shut in needs root"
    for program in (PROGRAM, SYSTEM / JOURNAL[0], shutil.which("bwrap"), shutil.which("nsenter"), shutil.which("journalctl")):
        if not program or not pathlib.Path(program).exists():
            return "systemd or bubblewrap is not installed"
    tried = subprocess.run(["bwrap", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", "--tmpfs", "/tmp", "--cap-add", "ALL", "--ro-bind",
                            USERNS, "/tmp/userns.py", "/usr/bin/python3", "/tmp/userns.py", "mount", "-t", "cgroup2", "cgroup2", "/tmp"],
                           capture_output=True, text=True)
    return f"no user namespace with control groups here: {tried.stderr.strip()[-200:]}" if tried.returncode else None
