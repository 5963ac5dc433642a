"""Archives that nobody should extract: the job fails with a message, nothing lands outside its folder, the worker lives."""

import stat

import pytest

from cluster import wait_until
from zips import zip_raw

PLAIN = stat.S_IFREG | 0o644
EVIL = {
    "parent": [("../evil.txt", "x", PLAIN)],
    "parent-inside": [("a/../../evil.txt", "x", PLAIN)],
    "parent-harmless": [("a/../evil.txt", "x", PLAIN)],
    "absolute": [("/tmp/gleaner-evil.txt", "x", PLAIN)],
    "backslash": [("..\\evil.txt", "x", PLAIN)],
    "symlink": [("link", "/etc/passwd", stat.S_IFLNK | 0o777)],
    "symlink-then-file": [("dir", "..", stat.S_IFLNK | 0o777), ("dir/evil.txt", "x", PLAIN)],
    "character-device": [("device", "", stat.S_IFCHR | 0o666)],
    "block-device": [("device", "", stat.S_IFBLK | 0o666)],
    "socket": [("socket", "", stat.S_IFSOCK | 0o666)],
    "same-name-twice": [("a", "1", PLAIN), ("a", "2", PLAIN)],
    "file-over-folder": [("a/b", "1", PLAIN), ("a", "2", PLAIN)],
    "control-character": [("a\x1b[2J", "x", PLAIN)],
    "newline": [("a\nb", "x", PLAIN)],
}


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_it_is_refused(at_work, name):
    worker = at_work.workers[0]
    outside = sorted(p for p in worker.folder.rglob("*evil*"))
    answer = at_work.api.execute("echo ran", data=zip_raw([("good.txt", "x", PLAIN), *EVIL[name]]))
    assert answer.status == 200, answer
    status = at_work.api.wait_job(answer["jobId"])
    assert status["status"] == "failed" and status["reason"] == "archive-refused" and status["errorMessage"], status
    assert status["exitCode"] is None and not status["stdout"], "no command may run"
    assert status["attempt"] == 1, "another worker would refuse it too"
    assert sorted(worker.folder.rglob("*evil*")) == outside
    assert at_work.api.wait_job(at_work.api.submit("echo lives"))["stdout"] == "lives\n"


def test_what_the_zip_format_has_no_name_for_becomes_a_plain_file_inside(at_work):
    """The ZIP reader knows no FIFO and takes a lone backslash for a slash: neither gets out of the job's folder."""
    data = zip_raw([("fifo", "", stat.S_IFIFO | 0o666), ("C:\\plain.txt", "x", PLAIN)])
    status = at_work.api.wait_job(at_work.api.execute("find . -type f | sort; find . ! -type f ! -type d", data=data)["jobId"])
    assert status["stdout"].split() == ["./C:/plain.txt", "./fifo"]


def test_a_damaged_archive_is_refused(at_work):
    good = bytearray(zip_raw([("a.txt", "x" * 10_000 + "y", PLAIN)]))
    good[40] ^= 0xff  # in the compressed bytes: the checksum is wrong
    status = at_work.api.wait_job(at_work.api.execute("echo ran", data=bytes(good))["jobId"])
    assert status["status"] == "failed" and status["reason"] == "archive-refused" and not status["stdout"]


def test_too_many_entries_are_refused(at_work):
    status = at_work.api.wait_job(at_work.api.execute("echo ran", data=zip_raw([(f"f{n}", "", PLAIN) for n in range(10_001)]))["jobId"])
    assert status["status"] == "failed" and status["reason"] == "archive-refused"


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
