"""Debian packages of this checkout."""

import os
import pathlib
import subprocess

from built import TOP

SERVICES = ("gleaner-broker", "gleaner-gateway", "gleaner-worker")
ALL = (*SERVICES, "gleaner")


def package(out, *args):
    """What deploy/package makes, into `out`."""
    done = subprocess.run([TOP / "deploy/package", "--out", out, *args], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=900,
                          env={**os.environ, "SOURCE_DATE_EPOCH": "1790000000"})
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted(pathlib.Path(out).glob("*.deb"))


def unpacked(name, folder):
    """The folder that a Debian package's files are put into, without installing it: a server would be started by that. Raises
    OSError when no mirror gives it."""
    folder = pathlib.Path(folder)
    for before in (), ("apt-get", "update"):
        if before and (os.geteuid() != 0 or subprocess.run(before, capture_output=True).returncode):
            break
        done = subprocess.run(["apt-get", "download", name], cwd=folder, capture_output=True, text=True)
        if done.returncode == 0:
            (package_file,) = folder.glob(f"{name}_*.deb")
            subprocess.run(["dpkg-deb", "--extract", package_file, folder / name], check=True)
            package_file.unlink()
            return folder / name
    raise OSError(f"no {name} from a mirror: {done.stderr[-300:]}")
