"""Archives that nobody should extract: the job fails with a message, nothing lands outside its folder, the worker lives."""

import os
import stat
import subprocess

import pytest

from cluster import BIN, wait_until
from zips import Entry, zip_by_hand, zip_of, zip_raw

PLAIN = stat.S_IFREG | 0o644
EVIL = {
    "no-zip": ("NOT_ZIP", zip_by_hand(Entry("a"), prefix=b"PK\3\4 and more")),
    "parent": ("UNSAFE_PATH", zip_raw([("good.txt", "x", PLAIN), ("../evil.txt", "x", PLAIN)])),
    "absolute": ("UNSAFE_PATH", zip_raw([("good.txt", "x", PLAIN), ("/tmp/gleaner-evil.txt", "x", PLAIN)])),
    "symlink": ("UNSAFE_TYPE", zip_raw([("link", "/etc/passwd", stat.S_IFLNK | 0o777)])),
    "symlink-then-file": ("UNSAFE_TYPE", zip_raw([("dir", "..", stat.S_IFLNK | 0o777), ("dir/evil.txt", "x", PLAIN)])),
    "fifo": ("UNSAFE_TYPE", zip_raw([("fifo", "", stat.S_IFIFO | 0o666)])),
    "file-over-folder": ("DUPLICATE_PATH", zip_raw([("a/b", "1", PLAIN), ("a", "2", PLAIN)])),
    "control-character": ("BAD_NAME", zip_raw([("a\x1b[2J", "x", PLAIN)])),
    "depth": ("ARCHIVE_LIMIT", zip_raw([("d/" * 32 + "f", "", PLAIN)])),
    "encrypted": ("UNSUPPORTED_ZIP", zip_by_hand(Entry("a", flags=1))),
    "checksum": ("CORRUPT_ZIP", zip_by_hand(Entry("a", crc=1, own={"crc": 1}))),
}


def named_evil(folder):
    """What lies there, while the folders of jobs that are over go away."""
    return sorted(os.path.join(at, name) for at, folders, files in os.walk(folder) for name in folders + files if "evil" in name)


@pytest.mark.parametrize("name", EVIL)
def test_it_is_refused(at_work, name):
    """Each code once, through all programs; test_hostile_archives.py has the rest."""
    code, data = EVIL[name]
    worker = at_work.workers[0]
    outside = named_evil(worker.folder)
    answer = at_work.api.execute("echo ran", data=data)
    assert answer.status == 200, answer
    status = at_work.api.wait_job(answer["jobId"])
    assert status["status"] == "failed" and status["reason"] == "archive-refused", status
    assert status["errorMessage"].startswith(f"{code}: The archive was refused: "), status
    assert status["exitCode"] is None and not status["stdout"], "no command may run"
    assert status["attempt"] == 1, "another worker would refuse it too"
    assert named_evil(worker.folder) == outside
    assert at_work.api.wait_job(at_work.api.submit("echo lives"))["stdout"] == "lives\n"


def test_a_damaged_archive_is_refused(at_work):
    good = bytearray(zip_raw([("a.txt", "x" * 10_000 + "y", PLAIN)]))
    good[40] ^= 0xff  # in the compressed bytes: the checksum is wrong
    status = at_work.api.wait_job(at_work.api.execute("echo ran", data=bytes(good))["jobId"])
    assert status["status"] == "failed" and status["reason"] == "archive-refused" and not status["stdout"]


def test_a_bomb_is_refused_and_leaves_nothing(at_work):
    worker = at_work.workers[0]
    bomb = zip_raw([(f"zeros{n}", bytes(300 * 1024 * 1024), PLAIN) for n in range(4)])
    status = at_work.api.wait_job(at_work.api.execute("echo ran", data=bomb)["jobId"], 90)
    assert status["status"] == "failed" and status["reason"] == "archive-refused" and status["errorMessage"], status
    wait_until(lambda: not list((worker.folder / "jobs").iterdir()), 10, "the removal of what was extracted")


def test_good_archives_keep_names_contents_and_the_execute_bit(at_work):
    data = zip_raw([("folder/", "", stat.S_IFDIR | 0o755), ("folder/ü b.txt", "text\n", PLAIN),
                    ("run.sh", "#!/bin/sh\necho ran\n", stat.S_IFREG | 0o4755), ("deep/er/x", "", PLAIN)])
    status = at_work.api.wait_job(at_work.api.execute("cat 'folder/ü b.txt'\n./run.sh\nstat -c %a run.sh\nls deep/er", data=data)["jobId"])
    assert status["stdout"] == "text\nran\n755\nx\n" and status["exitCode"] == 0


def test_limits_are_options_of_the_worker(clusters):
    cluster = clusters()
    worker = cluster.worker("http", "--archive-files", "3", "--archive-size", "20K", "--archive-depth", "2", "--archive-ratio", "5")
    small = {"a": "x", "b/c": "y"}
    assert cluster.api.wait_job(cluster.api.execute("echo ran", data=zip_of(small))["jobId"])["stdout"] == "ran\n"
    for more, why in (({"d": ""}, "more than 3 files"), ({"b/d": ""}, "more than 3 files"), ({"b/c": "y" * 20480}, "20480 bytes"),
                      ({"b/c": "", "b/d/e": ""}, "nested too deeply")):
        status = cluster.api.wait_job(cluster.api.execute("echo ran", data=zip_of({**small, **more}))["jobId"])
        assert status["reason"] == "archive-refused" and status["errorMessage"].startswith("ARCHIVE_LIMIT: "), status
        assert why in status["errorMessage"], status
    assert worker.running


@pytest.mark.parametrize("option, value", [("files", "0"), ("files", "200001"), ("size", "1"), ("ratio", "0"), ("depth", "257")])
def test_a_limit_out_of_range_is_refused_at_start(tmp_path, option, value):
    done = subprocess.run([BIN / "gleaner-worker", "--server", "http://127.0.0.1:1", "--work-dir", tmp_path / "w", f"--archive-{option}", value],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and f"--archive-{option}" in done.stderr and "out of range" in done.stderr, done.stderr
