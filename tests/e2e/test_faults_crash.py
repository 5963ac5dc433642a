"""Programs killed and disks failing at exact points: what was acknowledged stays, what was not is not half there."""

import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

import record
from cluster import BIN, wait_until
from faults import Faults
from client import multipart
from zips import zip_of

KILLS = int(os.environ.get("GLEANER_KILLS", "100"))
CREATE = dict(command="echo made", fileUrl="/uploads/none.zip", filename="p.zip")


@pytest.fixture
def faults(tmp_path):
    return Faults(tmp_path / "faults")


def start_again(cluster):
    cluster.broker.awaited = True
    cluster.broker.process.wait(10)
    cluster.broker.start()
    wait_until(lambda: cluster.api.get("/api/info").status == 200, 10)


@pytest.mark.parametrize("point", ["before", "after"])
def test_a_submission_whose_commit_was_cut_short_is_made_once(clusters, faults, point):
    """Killed before the commit is on the disk, or after it and before the answer: the key finds out."""
    cluster = clusters(broker_env=faults.env)
    native = cluster.native()
    native.ask("job-create", idempotencyKey="first", **CREATE)
    faults.sync(point, "gleaner.db-redo")
    native.ask_raw(b"", 0)  # whatever it costs, nothing of it may be a job
    answer = native.receive(0.2)
    assert answer is None or answer["type"] == "error"
    assert ask_or_none(native, "job-create", idempotencyKey="second", **CREATE) is None
    faults.struck()
    assert cluster.broker.process.wait(10) == -signal.SIGKILL
    start_again(cluster)
    native.open()
    ids = {native.ask("job-create", idempotencyKey="second", **CREATE)["jobId"] for _ in range(3)}
    assert len(ids) == 1 and cluster.api.get("/api/info")["totalJobs"] == 2
    record.check(cluster, ids, all_final=False)


def ask_or_none(native, type, **fields):
    try:
        return native.ask(type, seconds=2, **fields)
    except AssertionError:
        return None


def test_a_result_whose_commit_was_cut_short_is_told_again(clusters, faults):
    """The worker hears nothing, sends its result again, and gets the same answer."""
    cluster = clusters(broker_env=faults.env)
    worker = cluster.worker("zmq")
    job = cluster.api.submit("sleep 0.5; echo once")
    cluster.api.wait_job(job, until=("running",))
    faults.sync("after", "gleaner.db-redo")
    faults.struck()
    start_again(cluster)
    status = cluster.api.wait_job(job, 20)
    assert status["status"] == "completed" and status["stdout"] == "once\n" and status["attempt"] == 1
    assert worker.running
    record.check(cluster, [job])


def test_a_failing_commit_ends_the_broker_without_an_answer(clusters, faults):
    """EIO at fdatasync: what is on the disk is unknown. Nothing is said any more, and status 75 asks for a new start."""
    cluster = clusters(broker_env=faults.env)
    native = cluster.native()
    faults.sync("eio", "gleaner.db-redo")
    assert ask_or_none(native, "job-create", idempotencyKey="k", **CREATE) is None
    assert cluster.broker.process.wait(10) == os.EX_TEMPFAIL
    assert cluster.broker.events("store-lost")
    start_again(cluster)
    native.open()
    job = native.ask("job-create", idempotencyKey="k", **CREATE)["jobId"]
    assert cluster.api.get("/api/info")["totalJobs"] == 1
    record.check(cluster, [job], all_final=False)


@pytest.mark.parametrize("path", ["/uploads/", "/blobs"])
def test_an_upload_that_cannot_be_made_durable_is_not_acknowledged(clusters, faults, path):
    cluster = clusters(broker_env=faults.env)
    faults.sync("eio", path)
    answer = cluster.api.execute("true")
    faults.struck()
    assert answer.status == 500 and answer["error"], answer
    assert cluster.api.get("/api/info")["totalJobs"] == 0
    job = cluster.api.submit("true")
    record.check(cluster, [job], all_final=False)


def test_output_that_cannot_be_made_durable_is_no_result_yet(clusters, faults):
    cluster = clusters(broker_env=faults.env)
    cluster.worker("zmq")
    faults.sync("eio", ".stdout")
    job = cluster.api.submit("head -c 400000 /dev/zero")
    faults.struck()
    status = cluster.api.wait_job(job, 30)
    assert status["status"] == "completed" and status["stdoutBytes"] == 400_000, status
    record.check(cluster, [job])


# ---- kill -9, again and again ----


class Load(threading.Thread):
    """Submits jobs under keys of its own and keeps a journal of what was acknowledged; each key is tried until it is."""

    def __init__(self, cluster, name, seed):
        super().__init__(daemon=True)
        self.native, self.name, self.dice = cluster.native(), name, random.Random(seed)
        self.journal, self.stopping, self.error = {}, threading.Event(), None

    def run(self):
        try:
            for number in range(1_000_000):
                if self.stopping.is_set():
                    return
                self.submit(f"{self.name}-{number}")
        except AssertionError as error:
            self.error = error

    def submit(self, key):
        options = {"priority": self.dice.randint(-2, 2), "maxAttempts": 50}
        for again in range(self.dice.choice([1, 1, 2])):
            answer = None
            while answer is None:
                answer = ask_or_none(self.native, "job-create", idempotencyKey=key, **CREATE, **options)
                if answer is None:
                    self.native.open()
            assert answer["type"] == "job-create-ok", answer
            assert self.journal.setdefault(key, answer["jobId"]) == answer["jobId"], "one key, two jobs"


class Hands(threading.Thread):
    """A worker that runs nothing, and says so as fast as it can."""

    def __init__(self, cluster, name):
        super().__init__(daemon=True)
        self.native, self.name = cluster.native(), name
        self.stopping, self.error, self.accepted = threading.Event(), None, {}

    def ask(self, type, **fields):
        answer = ask_or_none(self.native, type, workerId=self.name, **fields)
        if answer is None:
            self.native.open()
        return answer

    def run(self):
        try:
            while not self.stopping.is_set():
                job = self.ask("job-poll", slot=0, wait=200)
                if job is None or job["type"] == "error":
                    self.ask("worker-register", hostname="h", slots=1)
                elif job.get("jobId"):
                    self.finish({key: job[key] for key in ("jobId", "attempt", "token")})
        except AssertionError as error:
            self.error = error

    def finish(self, lease):
        answer = None
        while answer is None and not self.stopping.is_set():
            answer = self.ask("job-result", **lease, exitCode=0, stdout=lease["jobId"].encode(), stderr=b"")
        if answer and answer["type"] == "job-result-ok":
            assert lease["jobId"] not in self.accepted, "a second result was accepted"
            self.accepted[lease["jobId"]] = lease["attempt"]


def test_a_hundred_times_kill_9_under_load(clusters):
    cluster = clusters(broker_args=["--lease", "2s", "--offline", "4s", "--retry-backoff", "50ms"])
    dice = random.Random(20261125)
    threads = [Load(cluster, f"client{n}", n) for n in range(3)] + [Hands(cluster, f"hands{n}") for n in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(KILLS):
        time.sleep(dice.uniform(0.02, 0.25))
        cluster.broker.kill()
        cluster.broker.start()
    for thread in threads[:3]:
        thread.stopping.set()
    for thread in threads[:3]:
        thread.join(20)
    wait_until(lambda: cluster.api.get("/api/info").status == 200, 10)
    wait_until(lambda: cluster.api.get("/api/info")["pendingJobs"] + cluster.api.get("/api/info")["runningJobs"] == 0, 60, "the end")
    for thread in threads[3:]:
        thread.stopping.set()
    for thread in threads:
        thread.join(20)
        assert thread.error is None, thread.error
    acknowledged = [job for thread in threads[:3] for job in thread.journal.values()]
    assert len(acknowledged) > KILLS and len(set(acknowledged)) == len(acknowledged)
    jobs = record.check(cluster, acknowledged)
    assert len(jobs) == len(acknowledged), "a key has made two jobs"
    for thread in threads[3:]:
        for job, attempt in thread.accepted.items():
            assert jobs[job]["status"] == "completed" and jobs[job]["attempt"] == attempt and jobs[job]["stdout"] == job


# ---- half an upload ----


def test_a_gateway_killed_in_the_middle_of_an_upload_leaves_nothing(clusters):
    cluster = clusters(broker_args=["--keep-uploads", "1s"])
    body, kind = multipart({"mode": "distributed", "commands": "true"}, {"file": ("p.zip", zip_of({"noise": os.urandom(4_000_000)}))})
    uploads = cluster.folder / "data/uploads"
    with socket.create_connection(("127.0.0.1", cluster.port)) as half:
        half.sendall(f"POST /api/execute HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        half.sendall(body[:2_000_000])
        wait_until(lambda: any(p.stat().st_size > 1_000_000 for p in uploads.iterdir()), 10)
        cluster.gateway.kill()
    cluster.gateway.start()
    wait_until(lambda: not list(uploads.iterdir()), 15, "the end of the half upload")
    assert cluster.api.get("/api/info")["totalJobs"] == 0
    job = cluster.api.submit("true")
    record.check(cluster, [job], all_final=False)


# ---- the database's own files ----


def last_batch(log):
    """Where the redo log's last batch begins, and where the one before it (broker/store_sqlite_redo.c)."""
    data = log.read_bytes()
    batches = [(struct.unpack_from("<QQ", data, at + 8), at) for at in range(0, len(data), 512) if data.startswith(b"GLNRREDO", at)]
    batches.sort()
    return batches[-1][1], batches[-2][1]


def test_a_torn_tail_of_the_log_loses_what_was_not_acknowledged(clusters):
    """The last turn's last byte never reached the disk: it alone is gone."""
    cluster = clusters(gateway=False)
    native = cluster.native()
    jobs = [native.ask("job-create", **CREATE)["jobId"] for _ in range(10)]
    cluster.broker.kill()
    log = cluster.folder / "data/gleaner.db-redo"
    with open(log, "r+b") as file:
        file.seek(last_batch(log)[0] + 70)
        file.write(b"??")
    cluster.broker.start()
    native.open()
    assert native.ask("broker-info")["totalJobs"] == 9
    assert all(native.ask("job-status", jobId=job)["status"] == "pending" for job in jobs[:9])
    assert native.ask("job-status", jobId=jobs[9])["code"] == "NO_SUCH_JOB"
    new = native.ask("job-create", **CREATE)["jobId"]
    assert new not in jobs
    cluster.stop()
    assert subprocess.run([BIN / "gleaner-broker", "--check", "--data", cluster.folder / "data"], capture_output=True).returncode == 0


def test_a_damaged_log_is_found(clusters):
    """A turn that was acknowledged cannot be read, though a later one can: the broker does not go on without it."""
    cluster = clusters(gateway=False)
    native = cluster.native()
    for _ in range(10):
        native.ask("job-create", **CREATE)
    cluster.broker.kill()
    log = cluster.folder / "data/gleaner.db-redo"
    with open(log, "r+b") as file:
        file.seek(last_batch(log)[1] + 70)
        file.write(b"??")
    for more, status in ((["--listen", "tcp://127.0.0.1:0"], 2), (["--check"], 1)):
        refused = subprocess.run([BIN / "gleaner-broker", *more, "--data", cluster.folder / "data"], capture_output=True, text=True, timeout=60)
        assert refused.returncode == status and "gleaner.db-redo' is damaged" in refused.stdout + refused.stderr, refused


def test_a_damaged_page_is_found(clusters, tmp_path):
    """Whichever page it is: the broker does not start on it and names the way out, and the check finds it."""
    cluster = clusters(gateway=False)
    native = cluster.native()
    for n in range(40):
        native.ask("job-create", **{**CREATE, "command": f"echo {n} " + "x" * 500})
    cluster.stop()
    data = cluster.folder / "data"
    size = (data / "gleaner.db").stat().st_size
    for page in range(size // 4096):
        copy = tmp_path / f"copy{page}"
        shutil.copytree(data, copy, ignore=shutil.ignore_patterns("control"))
        with open(copy / "gleaner.db", "r+b") as file:
            file.seek(page * 4096 + (100 if page == 0 else 0))
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 0xff]))
        checked = subprocess.run([BIN / "gleaner-broker", "--check", "--data", copy], capture_output=True, text=True, timeout=60)
        refused = subprocess.run([BIN / "gleaner-broker", "--listen", "tcp://127.0.0.1:0", "--data", copy], capture_output=True, text=True,
                                 timeout=60)
        assert refused.returncode == 2 and "restore a backup" in refused.stderr, (page, refused)
        assert checked.returncode == 1 and checked.stdout, (page, checked)
        shutil.rmtree(copy)


# ---- the worker's disk ----


@pytest.mark.parametrize("transport", ["http", "zmq"])
def test_a_workers_full_disk_fails_the_job_and_not_the_worker(clusters, small_disk, transport):
    cluster = clusters()
    worker = cluster.worker(transport, folder=small_disk / "work")
    data = os.urandom(12_000_000)
    too_big = cluster.api.submit("true", files={"big": data}, maxAttempts=1)
    prints = cluster.api.submit("head -c 20000000 /dev/urandom", maxAttempts=1)
    fits = cluster.api.submit("echo fits")
    for job in (too_big, prints):
        status = cluster.api.wait_job(job, 30)
        assert status["status"] == "failed" and status["reason"] == "disk-full", status
    assert cluster.api.wait_job(fits, 30)["stdout"] == "fits\n"
    assert worker.running
    record.check(cluster, [too_big, prints, fits])
