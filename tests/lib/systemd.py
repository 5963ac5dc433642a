"""A real systemd that knows our units and nothing else, shut in so that it can change nothing of this machine.

As root a systemd that merely had namespaces of its own would boot this machine once more: it would clear /tmp and set what
/etc says. So everything is mounted read-only before it starts, but for a copy of some files of /etc; it is root of a user
namespace alone, and outside of that somebody whom no file and no setting of the kernel belongs to; what it may write to is
tmpfs of its own; its control groups are below one that goes with it; and SYSTEMD_UNIT_PATH leaves it no unit but those that are written here. What could write to the machine in
spite of all that ends before systemd does."""

import os
import pathlib
import shutil
import subprocess

from built import BIN, TOP
from cluster import wait_until

USERNS = pathlib.Path(__file__).with_name("userns.py")
UNITS = TOP / "deploy" / "systemd"
TSAN_KNOWN = pathlib.Path(__file__).with_name("tsan.supp")
TSAN_OPTIONS = "TSAN_OPTIONS=suppressions=/etc/tsan.supp"  # where it is in there; a build without ThreadSanitizer does not ask
PROGRAM = pathlib.Path("/lib/systemd/systemd")
SYSTEM = pathlib.Path("/lib/systemd/system")
ROOT = 1_000_000  # an id that nobody on this machine has: its root's
TARGETS = ("sysinit", "basic", "sockets", "multi-user", "shutdown", "network-online", "local-fs", "timers", "paths", "default", "network")
JOURNAL = ("systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket")
ETC = ("passwd", "group", "shadow", "gshadow", "nsswitch.conf", "ld.so.cache", "hosts", "machine-id", "alternatives", "ssl")
OUR_OWN = ("/run", "/var/lib", "/var/cache", "/var/log", "/var/tmp", "/root")  # and /tmp, in the end
MACHINE = ("/", "/usr", "/var", "/opt", "/sys", "/srv", "/proc/sys/fs/nr_open", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger")

INNER = """set -eu
for place in {machine}; do
    if [ -w "$place" ]; then echo "this could write to $place" >&2; exit 1; fi
done
mount --make-rshared /
mount -t proc proc /proc
for place in {ours}; do mount -t tmpfs -o mode=755 tmpfs "$place"; done
chmod 1777 /var/tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /run/dev && mount -t tmpfs -o mode=755 tmpfs /run/dev
for name in null zero full random urandom tty; do touch "/run/dev/$name"; mount --bind "/dev/$name" "/run/dev/$name"; done
mkdir /run/dev/pts /run/dev/shm && mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts /run/dev/pts
ln -s pts/ptmx /run/dev/ptmx && ln -s /proc/self/fd /run/dev/fd && touch /run/dev/console /etc/console && mount --bind /etc/console /run/dev/console
mount --rbind /run/dev /dev
for folder in booted units bin; do mkdir "/run/$folder"; mount --rbind "/tmp/$folder" "/run/$folder"; done
mount -t tmpfs -o mode=1777 tmpfs /tmp
SYSTEMD_UNIT_PATH=/run/units container=gleaner-test exec {program} --system --log-target=console --unit=multi-user.target
"""
# bubblewrap as root covers these, and a /proc with covered parts cannot be mounted again in a user namespace.
OUTER = """for part in sys sysrq-trigger irq bus; do umount "/proc/$part" 2>/dev/null || true; done
exec /usr/bin/python3 /tmp/booted/userns.py {root} sh /tmp/booted/inner.sh"""


def own_group():
    """The folder of this process's control group, of version 2; None where there is none to see."""
    path = next((line[3:].strip() for line in open("/proc/self/cgroup") if line.startswith("0::")), None)
    places = [line.split()[3:5] for line in open("/proc/self/mountinfo") if " - cgroup2 " in line]
    if path is None or not places or not path.startswith(places[0][0]):
        return None
    return pathlib.Path(places[0][1]) / path[len(places[0][0].rstrip("/")):].lstrip("/")


class Systemd:
    """Boots; run () is a command in there, unit () puts a unit of ours there with its programs where they are built."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.units, self.etc, self.process, self.pid = self.folder / "units", self.folder / "etc", None, None
        self.group = own_group() / f"gleaner-units-{os.getpid()}"
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
        shutil.copy2(TSAN_KNOWN, self.etc / "tsan.supp")
        for manager in ("system", "user"):
            (self.etc / f"systemd/{manager}.conf.d").mkdir(parents=True)
            (self.etc / f"systemd/{manager}.conf.d/test.conf").write_text(f"[Manager]\nDefaultEnvironment={TSAN_OPTIONS}\n")
        (self.folder / "inner.sh").write_text(INNER.format(machine=" ".join(MACHINE), ours=" ".join(OUR_OWN), program=PROGRAM))
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
        self.group.mkdir()
        for name in ("", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"):
            os.chown(self.group / name, ROOT, ROOT)
        for path in (self.etc, *self.etc.rglob("*")):
            os.chown(path, ROOT, ROOT, follow_symlinks=False)
        self.folder.chmod(0o755)
        binds = [part for name, place in (("booted", self.folder), ("units", self.units), ("bin", BIN))
                 for part in ("--ro-bind", place, f"/tmp/{name}")]
        command = ["bwrap", "--unshare-pid", "--unshare-ipc", "--unshare-net", "--unshare-uts", "--die-with-parent", "--ro-bind", "/", "/",
                   "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", *binds, "--bind", self.etc, "/etc", "--cap-add", "ALL", "sh", "-c", OUTER.format(root=ROOT)]
        command = ["sh", "-c", 'echo 0 >"$0" && exec "$@"', self.group / "cgroup.procs", *command]
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
        return ["nsenter", "-t", str(self.pid), "-U", "-m", "-p", "-C", "-n", "-u", "-i", "-S", "0", "-G", "0", "--", "env", TSAN_OPTIONS,
                *command]

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
        if self.group.exists():
            wait_until(lambda: not (self.group / "cgroup.procs").read_text() and "populated 0" in (self.group / "cgroup.events").read_text(), 20,
                       "the end of all in there")
            for folder in sorted((path for path in self.group.rglob("*") if path.is_dir()), reverse=True):
                folder.rmdir()
            self.group.rmdir()


def missing():
    """Why this cannot be done here; None when it can."""
    if os.geteuid() != 0:
        return "a systemd that is shut in needs root"
    for program in (PROGRAM, SYSTEM / JOURNAL[0], shutil.which("bwrap"), shutil.which("nsenter"), shutil.which("journalctl")):
        if not program or not pathlib.Path(program).exists():
            return "systemd or bubblewrap is not installed"
    if not own_group() or not os.access(own_group(), os.W_OK):
        return "no control groups of version 2 here"
    tried = subprocess.run(["bwrap", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", "--tmpfs", "/tmp", "--cap-add", "ALL", "--ro-bind",
                            USERNS, "/tmp/userns.py", "/usr/bin/python3", "/tmp/userns.py", str(ROOT), "mount", "-t", "cgroup2", "cgroup2", "/tmp"],
                           capture_output=True, text=True)
    return f"no user namespace with control groups here: {tried.stderr.strip()[-200:]}" if tried.returncode else None
