"""Containers by podman, with all that it keeps in a folder of its own: nothing of the machine's images and containers is seen
or changed. By runc, since Debian's crun refuses to run where both kinds of cgroups are mounted."""

import json
import os
import pathlib
import shutil
import subprocess

NEEDED = "podman", "buildah", "runc"
# Else the engine asks for more than a machine that is a container itself may have.
LIMITS = "--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000"


def why_not():
    """What is missing here for an engine, or None."""
    missing = [name for name in NEEDED if not shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]
    if os.geteuid() != 0:
        return "an engine whose images are made here needs root"
    return f"missing here: {', '.join(missing)}" if missing else None


def hidden(program):
    """What a command line begins with to find no such program where the worker looks for it; None where it cannot be hidden."""
    places = {os.path.realpath(f"{folder}/{program}") for folder in ("/usr/bin", "/bin", "/usr/local/bin")}
    places = [place for place in places if os.access(place, os.X_OK)]
    if not places:
        return []
    words = ["unshare", "--mount", "sh", "-ec", f'for f in {" ".join(places)}; do mount --bind /dev/null "$f"; done; exec "$@"', "sh"]
    return None if subprocess.run([*words, "true"], capture_output=True).returncode else words


def groups():
    """The control groups that podman makes for all of its containers, and leaves behind empty."""
    return {path for pattern in ("libpod_parent", "*/libpod_parent") for path in pathlib.Path("/sys/fs/cgroup").glob(pattern)}


class Engine:
    def __init__(self, folder):
        self.folder, self.names, self.groups_before = folder, [], groups()
        self.where = ["--root", folder / "images", "--runroot", folder / "run", "--storage-driver", "overlay"]
        self.podman = ["podman", *self.where, "--tmpdir", folder / "tmp", "--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]

    def call(self, *args, check=True, seconds=120):
        done = subprocess.run([*self.podman, *args], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=seconds)
        assert not check or done.returncode == 0, f"{args} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done

    def base(self, files, name):
        """An image of a folder's files."""
        with subprocess.Popen(["tar", "-C", files, "--exclude=./var/cache/apt/*.bin", "-c", "."], stdout=subprocess.PIPE) as tar:
            done = subprocess.run([*self.podman, "import", "-", name], stdin=tar.stdout, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0 and tar.returncode == 0, done.stderr

    def build(self, containerfile, target, tag, context):
        done = subprocess.run(["buildah", *self.where, "bud", "--isolation", "chroot", "--network", "host", "--pull-never", "--layers", "--format", "docker",
                               "--target", target, "-t", tag, "-f", containerfile, context], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    def inspect(self, image):
        return json.loads(self.call("image", "inspect", image).stdout)[0]

    def start(self, name, image, *args, options=()):
        self.names.append(name)
        self.call("run", "-d", "--name", name, "--network", "host", *LIMITS, *options, image, *args)

    def once(self, image, *args, options=(), **how):
        return self.call("run", "--rm", "--network", "host", *LIMITS, *options, image, *args, **how)

    def state(self, name):
        return json.loads(self.call("container", "inspect", name).stdout)[0]["State"]

    def logs(self, name):
        done = self.call("logs", name)
        return done.stdout + done.stderr

    def stop(self, name, seconds=30):
        """SIGTERM; its exit status. 137 where it had to be killed."""
        self.call("stop", "-t", str(seconds), name)
        return self.state(name)["ExitCode"]

    def close(self):
        for name in self.names:
            self.call("rm", "-f", "-t", "0", name, check=False)
        mounted = [line.split()[4] for line in open("/proc/self/mountinfo") if line.split()[4].startswith(f"{self.folder}/")]
        for place in sorted(mounted, reverse=True):
            subprocess.run(["umount", place], check=True)
        for group in groups() - self.groups_before:
            for part in [*sorted((p for p in group.rglob("*") if p.is_dir()), reverse=True), group]:
                part.rmdir()
        shutil.rmtree(self.folder)
