"""A large project that has come is unpacked before it comes again: for one job, that sees what every job of it sees."""

import io
import os
import pathlib
import random
import signal
import shutil
import stat
import subprocess
import tempfile
import time
import zipfile

import pytest

from cluster import wait_until
from test_escape import bwrap_works
from zips import zip_of, zip_raw

MIB = 1024 * 1024
FILES, LARGE = 2000, 32 * MIB
PATIENCE = 120  # it is made when nothing else has use for a processor
# All that a job sees: kinds, permissions, sizes, the times of files, bytes. Then it leaves nothing as it was.
LOOK = ("{ find . -mindepth 1 -type d -printf '%M %p\\n'; find . -type f -printf '%M %T@ %s %p\\n'; } | LC_ALL=C sort; "
        "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 cat | sha256sum; "
        "chmod -R u+w . ; find . -type f -exec sh -c 'for f; do echo evil >> \"$f\"; done' sh {} +; touch evil; rm -rf d1")

pytestmark = pytest.mark.skipif(not bwrap_works(), reason="bubblewrap does not work on this machine")


@pytest.fixture(scope="module")
def project():
    """Long enough to unpack, on any machine and disk."""
    noise = random.Random(1).randbytes(1 << 16)
    words = b"".join(bytes([x]) * ((x & 3) + 2) for x in noise)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for n in range(FILES):
            info = zipfile.ZipInfo(f"d{n % 20}/f{n}", (2001 + n % 20, 2, 3, 4, 5, 6))
            info.create_system, info.external_attr = 3, (stat.S_IFREG | (0o755 if n % 7 == 0 else 0o644)) << 16
            archive.writestr(info, noise[n:n + n % 50])
        archive.writestr("large", words * (LARGE // len(words)))
    return out.getvalue()


DELTA = zip_raw([("./removed", b"d2/f2\nd3/f3\n", stat.S_IFREG | 0o644), ("d0/f0", b"edited\n", stat.S_IFREG | 0o644),
                 ("d3/f3/now/a/folder", b"1", stat.S_IFREG | 0o755), ("new/file", b"2", stat.S_IFREG | 0o644)])


class Place:
    def __init__(self, cluster, project, *args, sandbox=True, folder=None):
        self.cluster, self.api = cluster, cluster.api
        self.base = self.upload(project)
        self.worker = cluster.worker("http", "--log-level", "debug", *args, sandbox=sandbox, folder=folder)
        self.folder = self.worker.folder / "spare"
        if self.worker.events("landlock-missing"):
            pytest.skip("this kernel has no Landlock")

    def upload(self, data):
        job = self.api.execute("true", data=data)["jobId"]
        self.api.post("/api/jobs/cancel", {"jobId": job})
        return self.api.status(job)["fileUrl"]

    def create(self, command="true", delta=None, **fields):
        return self.api.create(command, self.base, **({"deltaUrl": self.upload(delta)} if delta else {}), maxAttempts=1, **fields)

    def run(self, command="true", delta=None):
        status = self.api.wait_job(self.create(command, delta), 60)
        assert status["status"] == "completed", (status["reason"], status["errorMessage"], status["stderr"])
        return status["stdout"]

    def count(self, event):
        return len(self.worker.events(event))

    def wait_ready(self, times=1):
        wait_until(lambda: self.count("spare-ready") >= times, PATIENCE, "a spare")

    def maker(self):
        """The process that makes it, or None."""
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and pathlib.Path(os.readlink(entry / "cwd")) == self.folder / "project":
                    return int(entry.name)
            except OSError:
                pass
        return None

    def stop_maker(self):
        """It stands still, wherever it is by then."""
        pid = wait_until(self.maker, PATIENCE, "what makes the spare")
        os.kill(pid, signal.SIGSTOP)
        assert self.maker() == pid and not self.count("spare-ready")
        return pid

    def trash_is_empty(self):
        return not list((self.worker.folder / "trash").iterdir())


def test_the_next_job_gets_what_every_job_gets(cluster, project):
    place = Place(cluster, project)
    fresh, fresh_delta = place.run(LOOK), place.run(LOOK, DELTA)
    assert fresh != fresh_delta and fresh.count("\n") > FILES
    assert not place.count("spare-taken")
    place.wait_ready()
    assert [path.name for path in place.folder.iterdir()] == ["project"] and stat.S_IMODE(place.folder.stat().st_mode) == 0o700
    assert place.run(LOOK, DELTA) == fresh_delta and place.count("spare-taken") == 1
    assert not place.folder.exists(), "it is of one job"
    place.wait_ready(2)
    assert place.run(LOOK) == fresh and place.count("spare-taken") == 2
    place.wait_ready(3)
    other = place.api.wait_job(place.api.submit("cat a", {"a": "another project"}))
    assert other["stdout"] == "another project" and place.count("spare-taken") == 2


def test_what_is_refused_is_refused(cluster, project):
    place = Place(cluster, project)
    place.run()
    for turn, (code, delta) in enumerate((("BAD_DELTA", zip_of({"./removed": "no/such\n"})), ("DUPLICATE_PATH", zip_of({"D0/F0": "x"})))):
        place.wait_ready(turn + 1)
        status = place.api.wait_job(place.create(delta=delta))
        assert status["reason"] == "archive-refused" and status["errorMessage"].startswith(code), status
        assert place.count("spare-taken") == place.count("spare-left") == turn + 1
        place.run()


def test_of_two_that_want_it_one_gets_it(cluster, project):
    place = Place(cluster, project, "--slots", "2")
    fresh = place.run(LOOK, DELTA)
    place.wait_ready()
    jobs = [place.create(LOOK, DELTA) for _ in range(2)]
    assert [place.api.wait_job(job, 60)["stdout"] for job in jobs] == [fresh, fresh]
    assert place.count("spare-taken") == 1


def test_a_job_does_not_wait_for_what_is_being_made(cluster, project):
    place = Place(cluster, project, "--slots", "2")
    place.run()
    pid = place.stop_maker()
    job = place.create("sleep 2; echo done")  # of the same project: it is not waited for even so
    wait_until(lambda: place.maker() is None and not os.path.exists(f"/proc/{pid}"), 10, "the end of what makes it")
    assert place.api.wait_job(job, 60)["stdout"] == "done\n" and not place.count("spare-taken")
    place.wait_ready()
    place.run()
    assert place.count("spare-taken") == 1


def test_it_ends_with_its_worker(cluster, project):
    place = Place(cluster, project)
    place.run()
    pid = place.stop_maker()
    place.worker.kill()
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 10, "the end of what makes it")
    assert place.folder.exists()
    place.worker.start()
    wait_until(lambda: not place.folder.exists() and place.trash_is_empty(), 60, "what was left of it is removed")
    assert place.run("ls d0 | wc -l") == f"{FILES // 20}\n" and not place.count("spare-taken"), "nothing of an earlier run is given to a job"
    place.wait_ready()
    place.worker.kill()
    (place.folder / "project/d0/f0").write_bytes(b"evil")
    place.worker.start()
    assert place.run("cat d0/f0") == "" and not place.count("spare-taken")
    place.stop_maker()
    began = time.monotonic()
    place.worker.stop()
    assert time.monotonic() - began < 10 and not place.folder.exists()


def test_it_stays_within_the_cache(cluster, project):
    """And gives way to an archive."""
    place = Place(cluster, project, "--cache-max", str(len(project) + 20 * MIB))
    place.run()
    wait_until(lambda: place.count("spare-stopped"), PATIENCE, "one that is too large")
    place.run()
    place.worker.stop()
    place.worker.args[place.worker.args.index("--cache-max") + 1] = str(len(project) + 55 * MIB)
    place.worker.start()
    place.run()
    place.wait_ready()
    other = place.api.upload({"a": os.urandom(20 * MIB)})
    assert place.api.wait_job(place.api.create("true", other))["status"] == "completed"
    assert not place.folder.exists() and len(list((place.worker.folder / "archives").iterdir())) == 2
    place.run()
    assert not place.count("spare-taken")


def test_where_the_disk_is_nearly_full_it_goes_before_archives(cluster, project, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting a tmpfs needs root")
    try:
        place = Place(cluster, project, folder=disk / "work")
        place.run()
        place.wait_ready()
        free = os.statvfs(disk)
        with open(disk / "filling", "wb") as filling:
            os.posix_fallocate(filling.fileno(), 0, (free.f_bavail - free.f_blocks // 16) * free.f_frsize + 2 * MIB)
        assert place.api.wait_job(place.create(), 60)["bytesIn"] == 0, "its archive is still there"
        assert not place.folder.exists() and not place.count("spare-taken")
        place.worker.stop()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_what_cannot_become_a_folder_of_a_job_is_made_once(cluster, project):
    """The jobs' folders are on another disk."""
    far = tempfile.mkdtemp(dir="/dev/shm")
    place = Place(cluster, project)
    if os.stat(far).st_dev == os.stat(place.worker.folder).st_dev:
        pytest.skip("this machine has one disk")
    place.worker.stop()
    (place.worker.folder / "jobs").rmdir()
    (place.worker.folder / "jobs").symlink_to(far)
    place.worker.start()
    place.run()
    place.wait_ready()
    assert place.run("ls d0 | wc -l") == f"{FILES // 20}\n"
    time.sleep(3)  # it would be made again
    assert not place.folder.exists() and place.maker() is None
    assert (place.count("spare-ready"), place.count("spare-failed"), place.count("spare-taken")) == (1, 1, 0)
    place.worker.stop()
    shutil.rmtree(far)


def test_what_somebody_has_removed_is_made_again(cluster, project):
    place = Place(cluster, project)
    place.run()
    place.wait_ready()
    shutil.rmtree(place.folder)
    assert place.run("ls d0 | wc -l") == f"{FILES // 20}\n" and place.count("spare-failed") == 1
    place.wait_ready(2)
    place.run()
    assert place.count("spare-taken") == 1


def test_without_a_sandbox_there_is_none(cluster, project):
    """A job could reach it before the one that gets it."""
    place = Place(cluster, project, sandbox=False)
    place.run()
    time.sleep(3)  # what does not come cannot be waited for
    assert place.maker() is None and not place.folder.exists() and not place.count("spare-ready")
