"""Somebody's shell, in which the command `gleaner` is typed."""

import os
import pathlib
import signal
import subprocess

from built import BIN
from cluster import wait_until

PROGRAM = BIN / "gleaner"
NO_CODE, AWAY, REFUSED, LOCAL, CUT = 120, 121, 122, 123, 130


class Shell:
    """Somebody's shell: a folder of their own, and the server's address in the environment."""

    def __init__(self, cluster, folder):
        self.folder = folder
        self.env = {**{k: v for k, v in os.environ.items() if not k.startswith("GLEANER_")}, "GLEANER_SERVER": cluster.server,
                    "HOME": str(folder), "ASAN_OPTIONS": "detect_leaks=1"}

    def start(self, *args, env=None, **more):
        return subprocess.Popen([PROGRAM, *map(str, args)], cwd=self.folder, env={**self.env, **(env or {})}, **more)

    def run(self, *args, env=None, cwd=None):
        return subprocess.run([PROGRAM, *map(str, args)], cwd=cwd or self.folder, env={**self.env, **(env or {})}, capture_output=True,
                              text=True, timeout=60)

    def write(self, files):
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def wait_for_ears(process):
    """Until it takes Ctrl-C itself."""
    status = pathlib.Path(f"/proc/{process.pid}/status")
    wait_until(lambda: int(status.read_text().split("SigBlk:")[1].split()[0], 16) & 1 << signal.SIGINT - 1, 10, "a blocked SIGINT")
