"""The preloaded faults.c from a test's side."""

import pathlib

from cluster import BIN, SANITIZERS, wait_until


class Faults:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        self.env = {"LD_PRELOAD": str(BIN / "libgleaner-faults.so"), "GLEANER_FAULTS": str(self.folder),
                    "ASAN_OPTIONS": f"{SANITIZERS['ASAN_OPTIONS']}:verify_asan_link_order=0"}

    def _put(self, name, text):
        new = self.folder / f"{name}.new"
        new.write_text(text)
        new.rename(self.folder / name)

    def sync(self, what, path):
        """At the next sync of a file whose path holds `path` ('path$': ends with it): 'eio', or the process ends 'before' or 'after' it."""
        self._put("sync", f"{what} {path}")

    def struck(self, seconds=10):
        """Waits until that has happened."""
        wait_until(lambda: not (self.folder / "sync").exists(), seconds, "the fault")

    def network_disk(self, kind):
        """From now on every folder is on a file system of that kind, the number of statfs(2)."""
        self._put("statfs", f"{kind:x}")

    def ahead(self, clock, seconds):
        """`wall` or `boot` is ahead of the truth by so much from now on."""
        self._put(clock, str(int(seconds * 1000)))
