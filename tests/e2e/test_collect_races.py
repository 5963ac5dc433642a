"""What gleaner-collect takes while the job's processes still change what is there: nothing from outside the job's folder."""

import ctypes
import os
import subprocess
import threading
import zipfile

import pytest

from cluster import BIN, SANITIZERS

EXCHANGE = 2
LIBC = ctypes.CDLL(None, use_errno=True)


def exchange(one, other):
    if LIBC.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), EXCHANGE) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def collect(folder, out, *patterns):
    done = subprocess.run([BIN / "gleaner-collect", folder, out, *patterns], capture_output=True, text=True, timeout=60,
                          env={**os.environ, **SANITIZERS})
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[1]), done.stderr


def contents(out):
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


class Swapper(threading.Thread):
    """Exchanges two names until it is told to stop; at its end they are as they were."""

    def __init__(self, one, other):
        super().__init__()
        self.names, self.over, self.count = (one, other), threading.Event(), 0

    def run(self):
        while not self.over.is_set():
            exchange(*self.names)
            exchange(*self.names)
            self.count += 2

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


@pytest.fixture
def job(tmp_path):
    secret, folder = tmp_path / "secret", tmp_path / "job"
    secret.mkdir()
    folder.mkdir()
    (secret / "f").write_text("secret")
    (secret / "deep").mkdir()
    (secret / "deep" / "f").write_text("secret")
    return folder


def swaps(job, one, other, runs=25):
    """What was taken over many runs while two names are exchanged."""
    taken = []
    with Swapper(one, other) as swapper:
        for _ in range(runs):
            out = job.parent / "out.zip"
            count, _ = collect(job, out, "**/f", "f", "deep/**")
            taken.append(contents(out) if count else {})
    assert swapper.count > runs, "it has swapped while they ran"
    return taken


def assert_kept_in(taken, mine=b"mine"):
    for files in taken:
        assert all(b"secret" not in data for data in files.values()), files
        assert all(not name.startswith(("/", "..")) and "/../" not in name for name in files)
    assert any(mine in files.values() for files in taken), "it was found at least once"


def test_a_folder_that_becomes_a_link(job):
    (job / "sub" / "deep").mkdir(parents=True)
    (job / "sub" / "f").write_text("mine")
    (job / "sub" / "deep" / "f").write_text("mine")
    (job / "other").symlink_to("../secret")
    assert_kept_in(swaps(job, job / "sub", job / "other"))


def test_a_file_that_becomes_a_link(job):
    (job / "f").write_text("mine")
    (job / "other").symlink_to("../secret/f")
    assert_kept_in(swaps(job, job / "f", job / "other"))


def test_a_file_that_becomes_a_pipe(job):
    """It must not wait for somebody to write into it."""
    (job / "f").write_text("mine")
    os.mkfifo(job / "other")
    assert_kept_in(swaps(job, job / "f", job / "other"))


def test_a_folder_that_moves_out(job):
    """And a link comes in its place: what is open is still the folder that was found."""
    (job / "sub").mkdir()
    (job / "sub" / "f").write_text("mine")
    (job.parent / "place").symlink_to("secret")
    assert_kept_in(swaps(job, job / "sub", job.parent / "place"))


def test_the_folder_itself_becomes_a_link(job):
    """Its name is looked at once; whichever it was then, what is below is no other's."""
    (job / "f").write_text("mine")
    (job / "deep").mkdir()
    (job / "deep" / "f").write_text("mine")
    (job.parent / "other").mkdir()
    (job.parent / "other" / "f").write_text("other")
    with Swapper(job, job.parent / "other") as swapper:
        for _ in range(25):
            out = job.parent / "out.zip"
            count, _ = collect(job, out, "**")
            files = contents(out) if count else {}
            assert files in ({"f": b"mine", "deep/f": b"mine"}, {"f": b"other"}), files
    assert swapper.count > 25


def test_links_are_left_out_and_named(job):
    (job / "f").write_text("mine")
    (job / "link").symlink_to("../secret/f")
    (job / "way").symlink_to("../secret")
    (job / "up").symlink_to("..")
    out = job.parent / "out.zip"
    count, notes = collect(job, out, "**")
    assert count == 1 and contents(out) == {"f": b"mine"}
    assert "a link" in notes


def test_nothing_taken_leaves_an_empty_file(job):
    out = job.parent / "out.zip"
    count, notes = collect(job, out, "*.none")
    assert count == 0 and out.read_bytes() == b"" and "Nothing matched" in notes


def test_the_zip_is_not_written_through_a_link(job):
    (job / "f").write_text("mine")
    target = job.parent / "target"
    target.write_text("kept")
    out = job.parent / "out.zip"
    out.symlink_to(target)
    done = subprocess.run([BIN / "gleaner-collect", job, out, "f"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3 and done.stderr.count("\n") == 1 and target.read_text() == "kept"
