"""A clean Debian in a folder: packages from the mirror, and programs in it as on a machine of its own.

What runs there has its own mounts, processes and network, and that folder as its root by pivot_root, not by chroot, in
which no sandbox could be made. Processes end with it.
"""

import os
import pathlib
import re
import shutil
import subprocess

NEEDED = "mmdebstrap", "unshare", "nsenter", "ip", "pivot_root"
GIB = 1024 ** 3
ENTER = """
mount --bind "$0" "$0" && cd "$0"
mount -t proc proc proc && mount -t sysfs -o ro sys sys && mount --rbind /dev dev && mount -t tmpfs tmpfs run
pivot_root . . && umount -l . && cd /
echo entered; exec sleep infinity
"""


def codename():
    """The host's release: packages are built for it."""
    found = re.search(r"^VERSION_CODENAME=(\w+)", pathlib.Path("/etc/os-release").read_text(), re.M)
    return found.group(1) if found else None


def apt_options():
    """How this machine reaches a mirror."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True).stdout
    return [f"--aptopt={line}" for line in dump.splitlines() if re.match(r"Acquire::(https?::Proxy|Check-Valid-Until|Check-Date) ", line)]


def memory_free():
    return int(re.search(r"MemAvailable:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1)) * 1024


def make_room(folder):
    """Makes the folder, in memory where there is enough of it."""
    folder.mkdir()
    if memory_free() > 4 * GIB:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "root", folder], check=True)


def take_away(folder):
    if os.path.ismount(folder):
        subprocess.run(["umount", "-l", folder], check=True)
    shutil.rmtree(folder)


def why_not():
    """What is missing here for a root, or None."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    missing = [name for name in NEEDED if not shutil.which(name, path=path)]
    if os.geteuid() != 0:
        return "a root of its own needs root"
    if missing:
        return f"missing here: {', '.join(missing)}"
    if subprocess.run(["unshare", "--mount", "--pid", "--net", "--fork", "true"], capture_output=True).returncode:
        return "namespaces cannot be made here"
    return None


def make_debian(folder, packages):
    """The files of one with `packages`. Raises OSError when the mirror does not give it."""
    make_room(folder)
    done = subprocess.run(["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--skip=cleanup/apt/lists", "--dpkgopt=force-unsafe-io",
                           *apt_options(), f"--include={','.join(packages)}", codename(), folder], capture_output=True, text=True, timeout=300)
    if done.returncode:
        take_away(folder)
        raise OSError(f"no {codename()} from a mirror: {done.stderr[-500:]}")


class Root:
    def __init__(self, files, folder):
        """A copy of `files`."""
        self.folder, self.holder = pathlib.Path(folder), None
        make_room(self.folder)
        try:
            subprocess.run(["cp", "-a", f"{files}/.", self.folder], check=True)
            self.enter()
        except BaseException:
            self.close()
            raise

    def enter(self):
        self.holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--net",
                                        "sh", "-ec", ENTER, self.folder], stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "entered\n"
        children = pathlib.Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children").read_text().split()
        self.inside = children[0]
        subprocess.run(["nsenter", "-t", self.inside, "-n", "ip", "link", "set", "lo", "up"], check=True)

    def close(self):
        if self.holder:
            self.holder.kill()
            self.holder.wait(10)
        take_away(self.folder)

    def command(self, args, user=None, env=None, cwd="/", network=False):
        """What runs `args` in there, in the network of this machine or, else, in one of its own."""
        variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", **(env or {})}
        who = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        return ["nsenter", "-t", self.inside, "-m", "-p", *([] if network else ["-n"]), "env", "-i", "-C", str(cwd),
                *(f"{k}={v}" for k, v in variables.items()), *who, *map(str, args)]

    def run(self, *args, seconds=120, check=True, **how):
        done = subprocess.run(self.command(args, **how), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=seconds)
        assert not check or done.returncode == 0, f"{args} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done

    def apt(self, *args):
        return self.run("apt-get", "-q", "-y", "-o", "Dpkg::Use-Pty=0", "--no-install-recommends", *args, network=True, seconds=300,
                        env={"DEBIAN_FRONTEND": "noninteractive"})

    def path(self, name):
        """A file in there, for this machine."""
        return self.folder / str(name).lstrip("/")

    def files(self):
        """Every file, link and folder there that is on its disk."""
        listed = subprocess.run(["find", self.folder, "-xdev", "-printf", "/%P\n"], capture_output=True, text=True, check=True).stdout
        return set(listed.splitlines())
