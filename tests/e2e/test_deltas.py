"""A project that comes again: only what has changed travels, and the job sees the same files as if all had come."""

import hashlib
import json
import mmap
import os
import pathlib
import random
import shutil
import stat
import sqlite3
import subprocess
import time

import pytest

from cluster import BIN, SANITIZERS, wait_until
from test_cli import PROGRAM, Shell
from zips import Entry, zip_by_hand, zip_of, zip_raw

MIB = 1024 * 1024
TRANSPORTS = pytest.mark.parametrize("transport", ["http", "zmq"])
# What a job sees: kind, x bit, path and bytes of each.
SHOW = "find . -mindepth 1 | LC_ALL=C sort | while IFS= read -r f; do if [ -d \"$f\" ]; then echo \"d $f\"; else [ -x \"$f\" ] && x=x || x=-; echo \"$x $f $(sha256sum < \"$f\")\"; fi; done"


@pytest.fixture
def shell(cluster, tmp_path):
    folder = tmp_path / "home"
    (folder / "p").mkdir(parents=True)
    one = Shell(cluster, folder)
    one.env["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    one.project = folder / "p"
    one.write({"p/run.sh": "echo first\n", "p/src/a.txt": "a\n", "p/src/deep/b.txt": "b\n", "p/tool": "#!/bin/sh\n"})
    (one.project / "tool").chmod(0o755)
    (one.project / "big.bin").write_bytes(random.Random(1).randbytes(400_000))  # the base, of which a delta may be a quarter
    return one


def submit(shell, *args, commands=SHOW):
    done = shell.run("submit", "p", "--json", *args, "--", commands)
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def seen(cluster, job):
    status = cluster.api.wait_job(job["jobId"])
    assert status["status"] == "completed", (status["reason"], status["errorMessage"], status["stderr"])
    return status["stdout"]


def expected(folder):
    """What SHOW prints of a folder as the command packs it: without empty folders."""
    lines, folders = [], set()
    for path in folder.rglob("*"):
        if path.is_file():
            inside = path.relative_to(folder)
            x = "x" if path.stat().st_mode & 0o100 else "-"
            lines.append(("./" + str(inside), f"{x} ./{inside} {hashlib.sha256(path.read_bytes()).hexdigest()}  -"))
            folders.update(p for p in inside.parents if str(p) != ".")
    lines += [(f"./{f}", f"d ./{f}") for f in folders]
    return "".join(line + "\n" for _, line in sorted(lines, key=lambda line: line[0].encode()))


def age(folder, seconds=10):
    """As if nothing had been touched for so long: what was changed just now is read again in any case."""
    then = time.time() - seconds
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (then, then), follow_symlinks=False)


@TRANSPORTS
def test_a_line_that_was_edited_travels_alone(cluster, shell, transport):
    cluster.worker(transport)
    whole = submit(shell)
    assert "changedFiles" not in whole and whole["sentBytes"] > 400_000
    assert seen(cluster, whole) == expected(shell.project)
    (shell.project / "src/a.txt").write_text("edited\n")
    delta = submit(shell)
    assert (delta["changedFiles"], delta["files"]) == (1, 5) and delta["sentBytes"] < 1000
    assert seen(cluster, delta) == expected(shell.project)
    first, second = (cluster.api.status(job["jobId"]) for job in (whole, delta))
    assert second["fileUrl"] == first["fileUrl"] and first.get("deltaUrl") is None and second["requires"] == {"deltas": "yes"}
    assert first["bytesIn"] == whole["sentBytes"] and second["bytesIn"] == delta["sentBytes"], "the base was kept"


def test_all_that_can_become_of_a_file_arrives(cluster, shell):
    cluster.worker("http", "--slots", "2")
    p = shell.project
    seen(cluster, submit(shell))
    age(p)

    def change(changed, what):
        what()
        job = submit(shell)
        assert job["changedFiles"] == changed, (changed, job)
        assert seen(cluster, job) == expected(p)

    change(0, lambda: None)
    change(1, lambda: (p / "new/in/here.txt").parent.mkdir(parents=True) or (p / "new/in/here.txt").write_text("new"))
    change(2, lambda: (p / "src/deep/b.txt").unlink())  # against the base: the new one, and this
    change(4, lambda: (p / "run.sh").rename(p / "renamed.sh"))
    change(5, lambda: (p / "src/a.txt").chmod(0o755))
    change(6, lambda: (p / "empty").write_bytes(b""))
    change(8, lambda: (p / "tool").unlink() or (p / "tool").mkdir() or (p / "tool/inside").write_text("was a file"))
    change(9, lambda: shutil.rmtree(p / "src") or (p / "src").write_text("was a folder"))
    change(10, lambda: (p / "größe 日本 é").write_text("names"))
    change(10, lambda: age(p, 100))  # touched: read, and found the same
    change(10, lambda: (p / "hollow/folder").mkdir(parents=True))  # empty ones do not travel
    shutil.rmtree(p / "hollow")
    (p / ".gitignore").write_text("new/\nempty\n")
    job = submit(shell)
    assert "./new" not in seen(cluster, job) and job["changedFiles"] == 9
    (p / ".gitignore").unlink()
    change(10, lambda: None)
    assert {cluster.api.status(job["jobId"])["fileUrl"]} == {j["fileUrl"] for j in cluster.api.get("/api/jobs").json["jobs"]}


@TRANSPORTS
def test_files_keep_their_times(cluster, shell, transport):
    """So that `make` builds what is older than its sources: from a ZIP, from what a worker kept of it, and with a delta."""
    cluster.worker(transport)
    os.utime(shell.project / "src/a.txt", (1_500_000_000, 1_500_000_000))
    os.utime(shell.project / "run.sh", (1_600_000_000, 1_600_000_000))
    times = "stat -c %Y src/a.txt run.sh"
    for _ in range(4):
        assert seen(cluster, submit(shell, commands=times)) == "1500000000\n1600000000\n"
    (shell.project / "run.sh").write_text("echo second\n")
    os.utime(shell.project / "run.sh", (1_700_000_000, 1_700_000_000))
    job = submit(shell, commands=times)
    assert job["changedFiles"] == 1 and seen(cluster, job) == "1500000000\n1700000000\n"


def test_a_file_that_is_as_it_was_before_has_its_new_time(cluster, shell):
    """Or `make` would take what was built meanwhile, and travels along, for up to date."""
    cluster.worker("http")
    source, built = shell.project / "src/a.txt", shell.project / "built"

    def write(path, text, second):
        path.write_text(text)
        os.utime(path, (second, second))

    write(source, "a\n", 1_500_000_000)
    write(built, "of a\n", 1_500_000_001)
    newer = "test src/a.txt -nt built && echo yes || echo no"
    assert seen(cluster, submit(shell, commands=newer)) == "no\n"
    write(source, "b\n", 1_600_000_000)
    write(built, "of b\n", 1_600_000_001)
    assert seen(cluster, submit(shell, commands=newer)) == "no\n"
    write(source, "a\n", 1_700_000_000)
    for _ in range(2):  # read; then known by its times
        job = submit(shell, commands=newer)
        assert job["changedFiles"] == 2 and seen(cluster, job) == "yes\n"
        wait_until(lambda: time.time() > source.stat().st_ctime + 2.2, 10, "a file that was not touched just now")
    age(shell.project)
    assert submit(shell)["changedFiles"] == 1, "too many for that: what was built has other bytes"


def test_what_clashes_is_refused_as_it_is_in_one_archive(cluster, shell):
    """And is good again when it does not: the base, too, is judged by what is left of it."""
    cluster.worker("zmq")
    p = shell.project
    (p / "Readme").write_text("one")
    seen(cluster, submit(shell))
    (p / "README").write_text("two")
    status = cluster.api.wait_job(submit(shell)["jobId"])
    assert status["reason"] == "archive-refused" and status["errorMessage"].startswith("DUPLICATE_PATH") and status["deltaUrl"]
    (p / "Readme").unlink()
    assert seen(cluster, submit(shell)) == expected(p)
    status = cluster.api.wait_job(submit(shell, "--full")["jobId"])
    (p / "readme").write_text("three")
    clash = cluster.api.wait_job(submit(shell, "--full")["jobId"])
    assert clash["errorMessage"].startswith("DUPLICATE_PATH") and clash.get("deltaUrl") is None
    (p / "README").unlink()
    job = submit(shell)
    assert job["changedFiles"] == 1 and seen(cluster, job) == expected(p)


@TRANSPORTS
def test_random_trees_arrive_as_they_are(cluster, shell, transport):
    """From one random tree to the next, by deltas: what the job sees is what the folder has."""
    cluster.worker(transport)
    rng = random.Random(77)
    names = ["a", "b", "c.txt", "d", "ü", "e f"]

    def some_path():
        return shell.project / "/".join(rng.choice(names) for _ in range(rng.randint(1, 4)))

    def put():
        path = some_path()
        for parent in [p for p in reversed(path.parents) if shell.project in p.parents]:
            if parent.is_file():
                parent.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.rmtree(path)
        path.write_bytes(rng.randbytes(rng.choice([0, 1, 40, 3000])))

    def drop():
        files = [p for p in sorted(shell.project.rglob("*")) if p.is_file() and p.name != "big.bin"]
        if files:
            rng.choice(files).unlink()

    def mode():
        for path in sorted(shell.project.rglob("*")):
            if path.is_file() and rng.random() < 0.2:
                path.chmod(rng.choice([0o644, 0o755, 0o600, 0o711]))

    whole = 0
    for _ in range(15):
        for _ in range(rng.randint(1, 12)):
            rng.choice([put, put, put, drop, mode])()
        job = submit(shell)
        whole += "changedFiles" not in job
        assert seen(cluster, job) == expected(shell.project)
    assert whole == 1, "deltas were to be tested"


def test_a_file_that_changes_again_in_the_same_moment_is_seen(cluster, shell):
    """Same length, same time of change: the index alone cannot tell."""
    cluster.worker("http")
    path = shell.project / "src/a.txt"
    seen(cluster, submit(shell))
    for turn in range(5):
        was = path.stat()
        path.write_text(f"{turn}\n")
        os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
        assert seen(cluster, submit(shell)) == expected(shell.project), turn


def test_a_file_that_is_written_through_memory_is_seen(cluster, shell):
    """Whoever has mapped a file may change it again, and its times stay as they are."""
    cluster.worker("http")
    path = shell.project / "src/a.txt"
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[0:1] = b"b"
        wait_until(lambda: time.time() > path.stat().st_ctime + 2.2, 10, "a file that was not touched just now")
        seen(cluster, submit(shell))
        for letter in (b"c", b"d"):
            memory[0:1] = letter
            assert seen(cluster, submit(shell)) == expected(shell.project), letter
    seen(cluster, submit(shell))
    path.write_bytes(b"e\n")
    assert seen(cluster, submit(shell)) == expected(shell.project)


def test_a_delta_that_becomes_too_long_is_given_up(cluster, shell):
    """Its bytes are few enough to be tried."""
    cluster.worker("http")
    seen(cluster, submit(shell))
    (shell.project / "more.bin").write_bytes(os.urandom(200_000))
    job = submit(shell)
    assert "changedFiles" not in job and seen(cluster, job) == expected(shell.project)


def index_of(shell):
    files = list(pathlib.Path(shell.env["XDG_CACHE_HOME"], "gleaner").iterdir())
    assert len(files) == 1 and stat.S_IMODE(files[0].stat().st_mode) == 0o600, files
    return files[0]


def test_an_index_that_is_no_good_costs_a_whole_upload_and_nothing_else(cluster, shell):
    cluster.worker("http")
    seen(cluster, submit(shell))
    good = index_of(shell).read_bytes()
    (shell.project / "src/a.txt").write_text("edited\n")
    lines = good.split(b"\n")
    for bad in (b"", b"\0" * 100, good[:-30], good[:len(good) // 2], good.replace(b"index 2", b"index 1"), good[1:], good + good,
                good.replace(b"a.txt", b"b.txt"), b"\n".join(lines[:4] + lines[5:])):
        index_of(shell).write_bytes(bad)
        job = submit(shell)
        assert "changedFiles" not in job and seen(cluster, job) == expected(shell.project), bad[:40]
        assert index_of(shell).read_bytes() != bad
    assert submit(shell)["changedFiles"] == 0
    index_of(shell).unlink()
    index_of_elsewhere = pathlib.Path(shell.env["XDG_CACHE_HOME"], "gleaner")
    shutil.rmtree(index_of_elsewhere)
    index_of_elsewhere.write_text("a file where the folder should be")
    job = submit(shell)
    assert job["sentBytes"] == 0 and seen(cluster, job) == expected(shell.project), "it was packed, and the server has that ZIP"


def test_what_the_server_has_is_not_sent(cluster, shell):
    cluster.worker("http")
    first = submit(shell)
    again = submit(shell)
    assert (again["changedFiles"], again["sentBytes"]) == (0, 0) and seen(cluster, again) == expected(shell.project)
    keyed = submit(shell, "--key", "k")
    assert keyed["sentBytes"] == 0 and "changedFiles" not in keyed and submit(shell, "--key", "k")["jobId"] == keyed["jobId"]
    assert submit(shell, "--full")["sentBytes"] == first["sentBytes"]
    shell.write({"x/a": "1"})
    (shell.folder / "x.zip").write_bytes(zip_of({"a": os.urandom(50_000)}))
    sent = [json.loads(shell.run("submit", "x.zip", "--json", "--", "true").stdout)["sentBytes"] for _ in range(2)]
    assert sent == [(shell.folder / "x.zip").stat().st_size, 0]
    assert {cluster.api.status(job["jobId"])["filename"] for job in (first, again, keyed)} == {"p.zip"}


def test_a_large_change_goes_as_a_whole_and_is_the_next_base(cluster, shell):
    cluster.worker("http")
    seen(cluster, submit(shell))
    (shell.project / "more.bin").write_bytes(os.urandom(200_000))
    job = submit(shell)
    assert "changedFiles" not in job and job["sentBytes"] > 600_000 and seen(cluster, job) == expected(shell.project)
    (shell.project / "more.bin").unlink()
    assert submit(shell)["changedFiles"] == 1
    for path in shell.project.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    done = shell.run("submit", "p", "--", "true")
    assert done.returncode == 123 and "no file" in done.stderr, done


def test_runs_at_the_same_time_do_not_disturb_each_other(cluster, shell):
    cluster.worker("http", "--slots", "2")
    submit(shell)
    for turn in range(3):
        (shell.project / "src/a.txt").write_text(f"turn {turn}\n")
        runs = [shell.start("submit", "p", "--json", *(["--full"] if n == 2 else []), "--", SHOW, stdout=subprocess.PIPE, text=True) for n in range(5)]
        jobs = [json.loads(run.communicate(timeout=60)[0]) for run in runs]
        assert {seen(cluster, job) for job in jobs} == {expected(shell.project)}
    assert not [f for f in index_of(shell).parent.iterdir() if "." in f.name]


# ---- the server's side ----


def test_a_job_keeps_both_its_blobs(clusters, shell, tmp_path):
    cluster = clusters(broker_args=["--keep-jobs", "0s", "--keep-uploads", "1s", "--data-max", "1"])
    shell.env["GLEANER_SERVER"] = cluster.server
    cluster.worker("http", "--id", "w").stop()
    wait_until(lambda: cluster.api.worker("w")["status"] == "offline")
    native = cluster.native()
    native.ask("worker-register", workerId="w", hostname="h", slots=1, labels={"deltas": "yes"})
    base = submit(shell, commands="true")
    cluster.api.post("/api/jobs/cancel", {"jobId": base["jobId"]})
    (shell.project / "src/a.txt").write_text("edited\n")
    job = submit(shell)
    assert job["changedFiles"] == 1
    native.ask("worker-goodbye", workerId="w")
    assert cluster.broker_does("--check").returncode != 0  # it runs
    cluster.broker.stop()
    checked = cluster.broker_does("--check")
    assert checked.returncode == 0 and "3 archives" in checked.stdout, checked  # the base, which two jobs have, is counted twice
    delta = pathlib.Path(cluster.folder, "data/blobs", *(lambda h: (h[:2], h))(delta_of(cluster)))
    cluster.broker.start()
    native.ask("blob-put", upload="u" * 32, offset=0, data=b"PK\3\4 nobody's")
    lonely = native.ask("blob-commit", upload="u" * 32, bytes=13)["sha256"]
    wait_until(lambda: not list((cluster.folder / "data/blobs").glob(f"*/{lonely}")), 40, what="what nobody needs goes")
    assert delta.exists()
    cluster.worker("zmq")
    assert seen(cluster, job) == expected(shell.project)
    cluster.broker.stop()
    delta.write_bytes(delta.read_bytes()[:-1] + b"x")
    checked = cluster.broker_does("--check")
    assert checked.returncode == 1 and "delta is damaged" in checked.stdout, checked
    cluster.broker.start()


def delta_of(cluster):
    database = sqlite3.connect(f"file:{cluster.folder}/data/gleaner.db?mode=ro", uri=True)
    (sha256,) = database.execute("SELECT sha256 FROM job_delta").fetchone()
    database.close()
    return sha256


def test_the_blobs_of_a_job_go_with_its_record_and_are_sent_anew(clusters, shell):
    cluster = clusters(broker_args=["--keep-jobs", "2s", "--keep-uploads", "1s"])
    shell.env["GLEANER_SERVER"] = cluster.server
    cluster.worker("http")
    seen(cluster, submit(shell))
    (shell.project / "src/a.txt").write_text("edited\n")
    job = submit(shell)
    assert job["changedFiles"] == 1
    cluster.api.wait_job(job["jobId"])
    wait_until(lambda: not list((cluster.folder / "data/blobs").glob("*/*")), 40)
    assert cluster.api.get("/api/info")["blobBytes"] == 0
    job = submit(shell)
    assert "changedFiles" not in job and job["sentBytes"] > 400_000 and seen(cluster, job) == expected(shell.project)


def test_old_workers_get_no_delta(cluster, shell):
    """While one is online all travels; and a job with a delta waits for another."""
    worker = cluster.worker("http", "--id", "new")
    seen(cluster, submit(shell))
    (shell.project / "src/a.txt").write_text("edited\n")
    cluster.api.post("/api/workers/register", {"workerId": "old", "hostname": "h"})
    whole = submit(shell)
    assert "changedFiles" not in whole
    seen(cluster, whole)
    base = cluster.api.status(whole["jobId"])["fileUrl"]
    worker.stop()
    delta = cluster.api.upload({"src/a.txt": "changed\n"})
    job = cluster.api.create(SHOW, base, deltaUrl=delta)
    status = cluster.api.status(job)
    assert status["waitingReason"] == "no-match" and "deltas" in status["waiting"] and "old" in status["waiting"], status
    assert cluster.api.get("/api/jobs/get-job").status == 202 and cluster.api.get("/api/jobs/get-job?workerId=old").status == 202
    cluster.worker("zmq", "--id", "newer")
    (shell.project / "src/a.txt").write_text("changed\n")
    assert cluster.api.wait_job(job)["stdout"] == expected(shell.project)
    retried = shell.run("retry", job)
    assert cluster.api.wait_job(retried.stdout.strip())["stdout"] == expected(shell.project)


def test_what_a_delta_needs_is_asked_for(cluster):
    base, delta = cluster.api.upload({"a": "1"}), cluster.api.upload({"a": "2"})
    nothing = "/uploads/" + "0" * 64 + ".zip"
    make = {"command": "true", "filename": "p.zip"}
    for urls, code, field in (((nothing, delta), "NO_SUCH_BLOB", "fileUrl"), ((base, nothing), "NO_SUCH_BLOB", "fileUrl"),
                              ((base, "/uploads/x.zip"), "BAD_FILE_URL", "deltaUrl"), (("http://127.0.0.1:1/a.zip", delta), "BAD_FILE_URL", "fileUrl"),
                              ((base, "../" + delta), "BAD_FILE_URL", "deltaUrl"), ((base, ""), "BAD_FILE_URL", "deltaUrl")):
        answer = cluster.api.post("/api/jobs/create", {**make, "fileUrl": urls[0], "deltaUrl": urls[1]})
        assert (answer["code"], answer["field"]) == (code, field), (urls, answer)
    answer = cluster.api.post("/api/jobs/create", {**make, "fileUrl": base, "deltaUrl": delta, "requires": {"deltas": "no"}})
    assert (answer.status, answer["field"]) == (400, "requires")
    check = cluster.api.get(f"/api/blobs/check?sha256={base[9:73]}").json
    assert (check["known"], check["fileUrl"], check["deltas"]) == (True, base, False)
    assert cluster.api.get("/api/blobs/check?sha256=" + "0" * 64).json == {"success": True, "known": False, "bytes": None, "fileUrl": None, "deltas": False}
    assert cluster.api.get("/api/blobs/check?sha256=../../x").status == 400
    cluster.worker("http")
    assert cluster.api.get("/api/blobs/check?sha256=" + "0" * 64)["deltas"] is True


# ---- what a worker keeps ----


def kept(worker):
    return sorted((worker.folder / "archives").iterdir())


def test_a_worker_keeps_the_base_over_its_end(cluster, shell):
    worker = cluster.worker("zmq")
    first = submit(shell)
    seen(cluster, first)
    (base,) = kept(worker)
    assert base.name == hashlib.sha256(base.read_bytes()).hexdigest() and stat.S_IMODE(base.parent.stat().st_mode) == 0o700
    worker.kill()
    worker.start()
    blob = pathlib.Path(cluster.folder, "data/blobs", base.name[:2], base.name)
    away = blob.read_bytes()
    blob.unlink()  # it cannot be downloaded any more
    again = shell.run("retry", first["jobId"]).stdout.strip()
    assert seen(cluster, {"jobId": again}) == expected(shell.project) and cluster.api.status(again)["bytesIn"] == 0
    blob.write_bytes(away)


@pytest.mark.parametrize("how", ["changed", "cut", "gone", "another"])
@pytest.mark.parametrize("restart", [True, False])
def test_what_was_kept_and_is_damaged_is_fetched_again(cluster, shell, how, restart):
    worker = cluster.worker("http")
    first = submit(shell)
    seen(cluster, first)
    (base,) = kept(worker)
    was, at = base.read_bytes(), base.stat()
    if restart:
        worker.stop()
    if how == "changed":
        with open(base, "r+b") as file:
            file.seek(200)
            file.write(b"\0\1\2\3")
        if not restart:  # nobody can see it by the times
            os.utime(base, ns=(at.st_atime_ns, at.st_mtime_ns))
    elif how == "cut":
        os.truncate(base, len(was) // 2)
    elif how == "gone":
        base.unlink()
    else:
        base.write_bytes(zip_of({"run.sh": "evil\n"}))
    if restart:
        worker.start()
    again = submit(shell)
    assert seen(cluster, again) == expected(shell.project)
    assert cluster.api.status(again["jobId"])["bytesIn"] == len(was)
    assert [path.read_bytes() for path in kept(worker)] == [was]
    assert how == "gone" or not restart or worker.events("archive-damaged")


def test_what_is_kept_gives_way_where_the_disk_is_nearly_full(cluster, small_disk):
    worker = cluster.worker("http", folder=small_disk / "work")
    archive = cluster.api.wait_job(cluster.api.submit("true", {"a": os.urandom(200_000)}))["fileUrl"]
    assert [path.name for path in kept(worker)] == [archive.split("/")[-1].removesuffix(".zip")]
    filling = small_disk / "filling"
    free = os.statvfs(small_disk)
    filling.write_bytes(b"x" * (free.f_bavail * free.f_frsize - 500_000))
    job = cluster.api.wait_job(cluster.api.create("true", archive))
    assert job["status"] == "completed" and job["bytesIn"] > 200_000  # it had gone
    filling.unlink()
    assert cluster.api.wait_job(cluster.api.create("true", archive))["status"] == "completed"


def test_no_more_is_kept_than_was_said(cluster):
    urls = [cluster.api.upload({"a": os.urandom(size)}) for size in (100_000, 100_001, 100_002, 300_000)]
    worker = cluster.worker("http", "--cache-max", "250K")

    def used(at):
        return cluster.api.wait_job(cluster.api.create("true", urls[at]))["bytesIn"]

    assert used(0) and used(1) and not used(0) and used(2), "two of them fit"
    assert {path.name for path in kept(worker)} == {urls[0][9:73], urls[2][9:73]}, "the one that was not used for longest went"
    assert used(3) and used(3) and len(kept(worker)) == 2, "too large for all of it"
    worker.stop()
    worker.args += ["--cache-max", "0"]
    worker.start()
    assert used(0) and used(0) and not kept(worker)


# ---- hostile deltas ----

BASE = zip_of({"a.txt": b"a" * 100, "b/c.txt": "c", "b/d.txt": "d"})
LIST = "./removed"


@pytest.fixture
def lay(tmp_path):
    def run(delta, base=BASE, sha256="", files=10_000, size=1 << 30, ratio=100, depth=32, how=None, folder=None):
        folder = folder or tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        folder.mkdir(exist_ok=True)
        (tmp_path / "base.zip").write_bytes(base)
        (tmp_path / "delta.zip").write_bytes(delta)
        done = subprocess.run([BIN / "gleaner-extract", tmp_path / "base.zip", folder, str(files), str(size), str(ratio), str(depth),
                               tmp_path / "delta.zip" if delta else "", sha256, *([how] if how else [])],
                              capture_output=True, text=True, timeout=60, env={**os.environ, **SANITIZERS})
        assert not done.stderr, done.stderr
        return done.returncode, done.stdout.strip(), folder
    return run


@pytest.fixture
def lay_over(lay):
    """The same in two steps: the base alone, then the delta over what that has left. None: the base alone is refused."""
    def run(delta, base=BASE, **limits):
        code, said, folder = lay(b"", base, how="tell")
        if code:
            return None
        assert int(said) >= sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()), said
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir():
                os.utime(path, (1_000_000_000, 1_000_000_000))
        return lay(delta, base, how="over", folder=folder, **limits)
    return run


def look(folder):
    """All that a job can see of files; of folders not their times, which are those of their making."""
    return {str(p.relative_to(folder)): (stat.filemode(p.lstat().st_mode), *((p.read_bytes(), p.stat().st_mtime_ns) if p.is_file() else ()))
            for p in folder.rglob("*")}


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def test_a_delta_is_laid_over_its_base(lay):
    code, said, folder = lay(zip_of({LIST: "b/d.txt\n", "a.txt": "new", "e/f": "f"}))
    assert (code, said, tree(folder)) == (0, "", {"a.txt": b"new", "b": None, "b/c.txt": b"c", "e": None, "e/f": b"f"})
    code, said, folder = lay(zip_of({LIST: "a.txt\nb/c.txt\nb/d.txt\n"}))
    assert (code, tree(folder)) == (0, {}), said
    code, said, folder = lay(zip_of({LIST: "a.txt\nb/c.txt\nb/d.txt\n", "a.txt/x": "x", "b": "y"}))
    assert (code, tree(folder)) == (0, {"a.txt": None, "a.txt/x": b"x", "b": b"y"}), said
    assert lay(zip_of({"a.txt": "n"}), sha256=hashlib.sha256(BASE).hexdigest())[0] == 0
    assert lay(zip_of({"a.txt": "n"}), sha256="0" * 64)[0] == 6


HOSTILE = {
    "out-of-the-folder": ("UNSAFE_PATH", zip_of({"../x": "x"})),
    "absolute": ("UNSAFE_PATH", zip_of({"/x": "x"})),
    "backslash": ("UNSAFE_PATH", zip_of({"a\\b": "x"})),
    "a-link": ("UNSAFE_TYPE", zip_raw([("l", b"/etc", stat.S_IFLNK | 0o777)])),
    "over-a-file-as-a-link": ("UNSAFE_TYPE", zip_raw([("a.txt", b"/etc/passwd", stat.S_IFLNK | 0o777)])),
    "a-device": ("UNSAFE_TYPE", zip_raw([("d", b"", stat.S_IFCHR | 0o666)])),
    "twice": ("DUPLICATE_PATH", zip_by_hand(Entry("x"), Entry("x"))),
    "in-another-case": ("DUPLICATE_PATH", zip_of({"A.TXT": "x"})),
    "below-a-file": ("DUPLICATE_PATH", zip_of({"a.txt/x": "x"})),
    "over-a-folder": ("DUPLICATE_PATH", zip_of({"b": "x"})),
    "removes-what-is-above": ("BAD_DELTA", zip_of({LIST: "../etc/passwd\n"})),
    "removes-absolutely": ("BAD_DELTA", zip_of({LIST: "/etc/passwd\n"})),
    "removes-a-folder-that-is-none-of-its-own": ("BAD_DELTA", zip_of({LIST: "b\n"})),
    "removes-what-is-not-there": ("BAD_DELTA", zip_of({LIST: "nothing\n"})),
    "removes-twice": ("BAD_DELTA", zip_of({LIST: "a.txt\na.txt\n"})),
    "removes-out-of-order": ("BAD_DELTA", zip_of({LIST: "b/c.txt\na.txt\n"})),
    "removes-a-line-without-end": ("BAD_DELTA", zip_of({LIST: "a.txt"})),
    "removes-nul": ("BAD_DELTA", zip_of({LIST: b"a.txt\0x\n"})),
    "removes-nothing-twice": ("BAD_DELTA", zip_of({LIST: "\n\n"})),
    "two-lists": ("UNSAFE_PATH", zip_by_hand(Entry(LIST, b"a.txt\n"), Entry(LIST, b"b/c.txt\n"))),
    "a-list-behind-others": ("UNSAFE_PATH", zip_by_hand(Entry("x"), Entry(LIST, b"a.txt\n"))),
    "a-list-that-is-a-folder": ("UNSAFE_PATH", zip_by_hand(Entry(LIST + "/", b"", stat.S_IFDIR | 0o755, method=0))),
    "a-list-that-is-too-long": ("ARCHIVE_LIMIT", zip_of({LIST: b"\n" * (17 * MIB)})),
    "no-zip": ("NOT_ZIP", b"no ZIP, but longer than its end record is"),
    "cut": ("CORRUPT_ZIP", zip_of({"x": os.urandom(1000)})[:-30] + zip_of({"x": "y"})[-30:]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_deltas_are_refused_by_code(lay, tmp_path, name):
    code, delta = HOSTILE[name]
    status, said, folder = lay(delta)
    assert status == 3 and said.split(":")[0] in (code, "NOT_ZIP" if name == "cut" else code), said
    assert tree(folder) == {}, "nothing is unpacked of what is refused before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base.zip", "delta.zip", folder.name]


def test_limits_count_over_both(lay):
    noise = os.urandom(1000)
    base = zip_of({f"f{n}": noise for n in range(5)})
    delta = zip_of({f"g{n}": noise for n in range(5)})
    assert lay(delta, base, files=10)[0] == 0 and lay(delta, base, files=9)[1].startswith("ARCHIVE_LIMIT")
    assert lay(delta, base, size=10_000)[0] == 0 and lay(delta, base, size=9_999)[1].startswith("ARCHIVE_LIMIT")
    assert lay(zip_of({"f0": noise}), base, files=5, size=5_000)[0] == 0, "what is replaced does not count"
    assert lay(zip_of({LIST: "f0\n", "g": noise}), base, files=5, size=5_000)[0] == 0
    assert lay(zip_of({"x/y/z": "1"}), depth=2)[1].startswith("ARCHIVE_LIMIT")
    assert lay(zip_of({LIST: "x/y/z\n"}), zip_of({"x/y/z": "1", "a": "b"}), depth=2)[0] == 0, "the base is judged by what is left of it"
    half = zip_of({"a": b"\0" * (10 * MIB)})
    assert lay(zip_of({"b": b"\0" * (10 * MIB)}), half)[1].startswith("ARCHIVE_LIMIT"), "each of them is below what is free"
    assert lay(zip_of({"a": b"\0" * (10 * MIB)}), half)[0] == 0
    zeros, large = zip_of({"b": b"\0" * (30 * MIB)}), zip_of({"a": os.urandom(MIB), "c": ""})
    assert lay(zeros, large)[0] == 0, "what stays of the base counts"
    assert lay(zip_of({LIST: "a\n", "b": b"\0" * (30 * MIB)}), large)[1].startswith("ARCHIVE_LIMIT"), "what goes lends it nothing"


FOLDER = lambda name: Entry(name + "/", b"", stat.S_IFDIR | 0o755, method=0)  # noqa: E731
# What becomes of folders, that are entries or only parts of paths: of the base, and what the delta says.
TURNS = {
    "a-folder-goes-with-its-last-file": ([Entry("x/y/a"), Entry("b")], [Entry(LIST, b"x/y/a\n")]),
    "and-stays-when-it-is-an-entry": ([FOLDER("x"), FOLDER("x/y"), Entry("x/y/a"), Entry("b")], [Entry(LIST, b"x/y/a\n")]),
    "or-the-one-above-is": ([FOLDER("x"), Entry("x/y/a"), Entry("b")], [Entry(LIST, b"x/y/a\n")]),
    "an-entry-goes-and-files-stay": ([FOLDER("x"), Entry("x/a")], [Entry(LIST, b"x\n")]),
    "an-entry-goes-and-its-folder-stays": ([FOLDER("x"), FOLDER("x/y")], [Entry(LIST, b"x\n")]),
    "all-of-it-goes": ([FOLDER("x"), FOLDER("x/y"), Entry("x/y/a")], [Entry(LIST, b"x\nx/y\nx/y/a\n")]),
    "in-another-order": ([Entry("x/y/a"), FOLDER("x/y"), FOLDER("x")], [Entry(LIST, b"x\nx/y\nx/y/a\n")]),
    "an-empty-one-goes": ([FOLDER("x/y/z"), Entry("b")], [Entry(LIST, b"x/y/z\n")]),
    "a-file-becomes-a-folder": ([Entry("x"), Entry("b")], [Entry(LIST, b"x\n"), Entry("x/a")]),
    "by-an-entry-of-its-path": ([Entry("x"), Entry("b")], [FOLDER("x")]),
    "a-folder-becomes-a-file": ([Entry("x/a"), Entry("x/b")], [Entry(LIST, b"x/a\nx/b\n"), Entry("x", b"file")]),
    "an-empty-folder-becomes-a-file": ([FOLDER("x"), Entry("b")], [Entry("x", b"file")]),
    "a-folder-is-made-anew": ([Entry("x/a")], [Entry(LIST, b"x/a\n"), Entry("x/b")]),
    "a-file-gets-its-x-bit": ([Entry("x", b"1"), Entry("y", b"2", stat.S_IFREG | 0o755)], [Entry("x", b"1", stat.S_IFREG | 0o755), Entry("y", b"2")]),
    "nothing-is-left": ([Entry("x/a"), FOLDER("y")], [Entry(LIST, b"x/a\ny\n")]),
    "not-even-of-the-delta": ([Entry("x/a"), FOLDER("y")], None),
}


@pytest.mark.parametrize("name", TURNS)
def test_over_what_is_unpacked_comes_the_same(lay, lay_over, name):
    base, delta = TURNS[name]
    base, delta = zip_by_hand(*base), zip_by_hand(*delta) if delta else b""
    once, twice = lay(delta, base), lay_over(delta, base)
    assert once[0] == twice[0] == 0, (once, twice)
    assert look(once[2]) == look(twice[2])
    then = [p for p in [twice[2], *twice[2].rglob("*")] if p.is_dir() and p.stat().st_mtime == 1_000_000_000]
    assert not then, "folders are as old as the job"


@pytest.mark.parametrize("name", HOSTILE)
def test_over_what_is_unpacked_the_same_is_refused(lay, lay_over, name):
    once, twice = lay(HOSTILE[name][1]), lay_over(HOSTILE[name][1])
    assert once[0] == twice[0] == 3 and once[1] == twice[1]


def test_what_is_unpacked_and_is_not_whole_is_no_good(lay):
    """A file is missing that is to be removed, a folder has more in it, a file is in the way: nothing but a plain end."""
    for spoil in (lambda f: (f / "b/d.txt").unlink(), lambda f: (f / "e").write_text("x"), lambda f: shutil.rmtree(f / "b")):
        code, _, folder = lay(b"", how="tell")
        assert code == 0
        spoil(folder)
        code, said, _ = lay(zip_of({LIST: "b/d.txt\n", "e/f": "f"}), how="over", folder=folder)
        assert code == 5 and said, (code, said)


def test_a_delta_is_as_good_as_the_whole(lay, lay_over, tmp_path):
    """Random pairs of trees: the base and a delta, or one ZIP, give the same files or are both refused."""
    rng = random.Random(4)
    names = ["a", "A", "b", "c/d", "c/D", "c", "e/f/g", "e/f", "é", "é"]
    outcomes, overs = {True: 0, False: 0}, 0
    for turn in range(120):
        old = {n: rng.randbytes(rng.choice([0, 5, 300])) for n in rng.sample(names, rng.randint(1, 5))}
        new = {n: old[n] if n in old and rng.random() < 0.5 else rng.randbytes(9) for n in rng.sample(names, rng.randint(1, 4))}
        changed = {n: data for n, data in new.items() if old.get(n) != data}
        removed = "".join(f"{n}\n" for n in sorted(set(old) - set(new), key=str.encode))
        whole = lay(zip_of({"zz": "z"}), zip_of({**new, "zz": "z"}))
        delta = lay(zip_of({**({LIST: removed} if removed else {}), **changed, "zz": "z"}), zip_of(old))
        assert (whole[0], whole[1].split(":")[0]) == (delta[0], delta[1].split(":")[0]), (turn, old.keys(), new.keys(), whole, delta)
        if whole[0] == 0:
            assert tree(whole[2]) == tree(delta[2])
        over = lay_over(zip_of({**({LIST: removed} if removed else {}), **changed, "zz": "z"}), zip_of(old))
        if over:
            assert over[:2] == delta[:2] and (delta[0] or look(over[2]) == look(delta[2])), (turn, old.keys(), new.keys(), delta, over)
            overs += over[0] == 0
        outcomes[whole[0] == 0] += 1
    assert min(outcomes.values()) > 20 and overs > 10, (outcomes, overs)
