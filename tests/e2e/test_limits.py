"""What a job may use: refused where it makes no sense, kept by the worker, told by name when it was too much, and recorded."""

import hashlib
import os
import re
import signal
import sqlite3
import struct
import sys

import pytest

from cluster import Program, wait_until
from record import BACK_TO_6

CREATE = {"command": "true", "fileUrl": "/uploads/none.zip", "filename": "p.zip"}
LIMITS = {"memoryMb": 300, "cpus": 1.5, "diskMb": 100, "pids": 64}
MB = 1024 * 1024
PYTHON = sys.executable

# Takes memory step by step and keeps it; more and more processes; files.
HOG = """import sys, time
kept = []
for _ in range(int(sys.argv[1])):
    kept.append(bytearray(10 << 20))
    time.sleep(float(sys.argv[2]))
time.sleep(float(sys.argv[3]))
"""
# A thousand at most: where nothing stops it in time, a real one takes the whole machine (it did once).
# Bounded, whatever becomes of it: two to the power of argv[1] processes at most, ten seconds at most.
BOMB = """import os, signal, sys, time
signal.alarm(10)
for _ in range(int(sys.argv[1])):
    if not os.fork() and sys.argv[2] == "away": os.setsid()
    signal.alarm(10)
time.sleep(10)
"""
SPIN = """import time
end = time.monotonic() + 2
while time.monotonic() < end: pass
"""
BURN = """import time
while time.process_time() < 1.5: pass
"""
FILES = {"hog.py": HOG, "bomb.py": BOMB, "spin.py": SPIN, "burn.py": BURN}


def run(cluster, command, seconds=60, **fields):
    job = cluster.api.create(command, cluster.api.upload(FILES), **fields)
    return cluster.api.wait_job(job, seconds)


def journal(cluster, job):
    return cluster.api.get(f"/api/jobs/output?jobId={job}&stream=journal").body.decode()


def limits_in(cluster, status):
    return re.search(r"^\d+ limits (.*)$", journal(cluster, status["jobId"]), re.M).group(1)


# ---- asking ----


@pytest.mark.parametrize("field", LIMITS)
@pytest.mark.parametrize("value", [0, -1, 1e9, "much", [1], True, 1e300, -0.5])
def test_a_limit_that_makes_no_sense_is_refused_by_its_name(shared, field, value):
    answer = shared.api.post("/api/jobs/create", {**CREATE, field: value})
    assert (answer.status, answer["code"], answer["field"]) == (400, "SCHEMA", field), answer
    assert f"`{field}`" in answer["error"]


@pytest.mark.parametrize("field, value", [("cpus", 0.001), ("cpus", 1.234), ("cpus", 1024.01), ("memoryMb", 1.5), ("pids", 2.5)])
def test_a_limit_that_is_too_fine_is_refused(shared, field, value):
    answer = shared.api.post("/api/jobs/create", {**CREATE, field: value})
    assert (answer.status, answer["code"], answer["field"]) == (400, "SCHEMA", field), answer


@pytest.mark.parametrize("cpus", [1, 2.0, 1.5, 0.25, 0.01, 1024])
def test_limits_are_kept_and_shown(shared, cpus):
    status = shared.api.status(shared.api.create(**{**LIMITS, "cpus": cpus}))
    assert {field: status[field] for field in LIMITS} == {**LIMITS, "cpus": cpus}
    assert [job["cpus"] for job in shared.api.get("/api/jobs?limit=1&brief=1")["jobs"]] == [cpus]


def test_limits_of_an_upload(shared):
    status = shared.api.status(shared.api.submit("true", memoryMb="300", cpus="0.5", diskMb="100", pids="64"))
    assert {field: status[field] for field in LIMITS} == {**LIMITS, "cpus": 0.5}


@pytest.mark.parametrize("cpus", [".", "1.", ".5.", "1.234", "-1", "x", "1e2", "99999999999999"])
def test_an_upload_with_a_limit_that_makes_no_sense(shared, cpus):
    answer = shared.api.execute("true", cpus=cpus)
    assert (answer.status, answer["code"]) == (400, "SCHEMA"), answer
    assert "cpus" in answer["error"]


def test_native_numbers(cluster):
    native = cluster.native()
    for cpus in (2, 1.5, 0.25):
        job = native.ask("job-create", command="true", fileUrl="/uploads/none.zip", filename="p.zip", cpus=cpus)["jobId"]
        assert native.ask("job-status", jobId=job)["cpus"] == cpus
    for cpus in (float("nan"), float("inf"), -1, 1e300, "1"):
        answer = native.ask("job-create", command="true", fileUrl="/uploads/none.zip", filename="p.zip", cpus=cpus)
        assert (answer["type"], answer["code"], answer["field"]) == ("error", "SCHEMA", "cpus"), answer


# ---- what holds ----


def test_the_lower_one_of_both_holds_and_the_journal_tells(clusters):
    cluster = clusters()
    worker = cluster.worker("http", "--max-memory", "200M", "--max-cpus", "1.5", "--max-disk", "1G", "--max-pids", "100")
    assert "memory=209715200 cpus=1.50 disk=1073741824 pids=100" in worker.events("job-limits")[0]
    plain = run(cluster, "true")
    assert cluster.api.worker(plain["workerId"])["labels"]["limits"] == "watch"
    assert limits_in(cluster, plain) == "memory=209715200 cpus=1.50 disk=1073741824 pids=100"
    both = run(cluster, "true", memoryMb=1000, cpus=0.5, diskMb=10, pids=4000)
    assert limits_in(cluster, both) == "memory=209715200 cpus=0.50 disk=10485760 pids=100"
    over = run(cluster, f"{PYTHON} hog.py 100 0.01 30", memoryMb=1000)
    assert over["reason"] == "out-of-memory" and "of its 200 MB" in over["errorMessage"]


def test_limits_as_they_are_by_themselves(at_work):
    assert limits_in(at_work, run(at_work, "true")) == "pids=4096"


@pytest.mark.parametrize("option, value", [("--max-memory", "1K"), ("--max-memory", "-1"), ("--max-cpus", "0"), ("--max-cpus", "many"),
                                           ("--max-cpus", "5000"), ("--max-disk", "0"), ("--max-pids", "0")])
def test_a_worker_refuses_limits_that_make_no_sense(cluster, option, value):
    worker = Program("worker", ["--server", cluster.server, "--work-dir", cluster.folder / "w", option, value], cluster.folder / "bad.log")
    worker.spawn()
    assert worker.wait() == 2
    line, = [line for line in worker.lines() if line]
    assert option in line


# ---- too much ----


def test_a_hog_ends_with_its_measured_peak(at_work):
    status = run(at_work, f"{PYTHON} hog.py 1000 0 60", memoryMb=200, maxAttempts=3)
    assert status["completedAt"] - status["startedAt"] < 50_000
    assert (status["status"], status["reason"], status["attempt"]) == ("failed", "out-of-memory", 1)
    used, limit = map(int, re.fullmatch(r"The job used (\d+) MB of its (\d+) MB of memory and was stopped\.", status["errorMessage"]).groups())
    assert limit == 200 and used > 200
    assert status["memoryPeakBytes"] > 200 * MB


def test_a_slow_hog_is_stopped_in_time(at_work):
    """50 MB a tenth of a second: it is not far beyond its limit when it is stopped."""
    status = run(at_work, f"{PYTHON} hog.py 1000 0.02 60", memoryMb=200)
    assert status["reason"] == "out-of-memory" and 200 * MB < status["memoryPeakBytes"] < 300 * MB
    assert status["completedAt"] - status["startedAt"] < 20000


def test_a_hog_is_ended_within_two_seconds(at_work):
    """Of having more than its limit; it tells how far it has come."""
    hog = "import time\nkept = []\nfor n in range(60):\n    kept.append(bytearray(10 << 20))\n    print(n, time.time(), flush=True)\ntime.sleep(60)\n"
    status = at_work.api.wait_job(at_work.api.create(f"{PYTHON} slow.py", at_work.api.upload({"slow.py": hog}), memoryMb=200), 60)
    assert status["reason"] == "out-of-memory", status
    last = status["stdout"].splitlines()[-1].split()  # it passed the limit after that
    assert int(last[0]) >= 15 and status["completedAt"] / 1000 - float(last[1]) < 2, status


def test_memory_that_was_used_briefly_counts(at_work):
    status = run(at_work, f"{PYTHON} hog.py 40 0 0\nsleep 30", memoryMb=100)
    assert status["reason"] == "out-of-memory" and status["memoryPeakBytes"] > 100 * MB


def test_memory_of_several_processes_is_added_and_what_they_share_counts_once(at_work):
    status = run(at_work, "\n".join(["for n in 1 2 3 4; do " + f"{PYTHON} hog.py 8 0 60 & done; wait"]), memoryMb=250)
    assert status["reason"] == "out-of-memory"
    share = "import os, time; kept = bytearray(100 << 20); [os.fork() for _ in range(3)]; time.sleep(1.5)"
    status = run(at_work, f'{PYTHON} -c "{share}"; sleep 0.5', memoryMb=300)
    assert status["status"] == "completed", status["errorMessage"]


@pytest.mark.parametrize("how", ["11 here", "8 away"], ids=["in its group", "each in a session of its own"])
def test_a_fork_bomb_hurts_its_own_job_alone(at_work, how):
    other = at_work.api.create("for n in 1 2 3 4 5 6 7 8 9 10; do echo $n; sleep 0.2; done", at_work.api.upload())
    job = at_work.api.create(f"{PYTHON} bomb.py {how}", at_work.api.upload(FILES), pids=100)
    wait_until(lambda: at_work.api.get(f"/api/jobs/status?jobId={job}").json.get("status") == "failed", 60)  # a busy machine may answer 503
    bomb = at_work.api.status(job)
    assert (bomb["status"], bomb["reason"]) == ("failed", "too-many-processes"), bomb
    used, limit = map(int, re.fullmatch(r"The job ran (\d+) processes and threads at once, of its (\d+), and was stopped\.",
                                        bomb["errorMessage"]).groups())
    assert limit == 100 and 100 < used < 1000 and bomb["pidsPeak"] >= used
    done = at_work.api.wait_job(other)
    assert done["status"] == "completed" and done["stdout"] == "".join(f"{n}\n" for n in range(1, 11))
    assert run(at_work, "echo next")["stdout"] == "next\n"


@pytest.mark.parametrize("command", [
    "dd if=/dev/zero of=big bs=1M count=2000",
    "for n in $(seq 1000); do dd if=/dev/zero of=part$n bs=1M count=5; sleep 0.02; done",
    "dd if=/dev/zero of=big bs=1M count=60",
], ids=["one file", "many files", "by its end"])
def test_a_disk_filler_is_stopped(at_work, command):
    status = run(at_work, command + " 2> /dev/null", diskMb=50)
    assert (status["status"], status["reason"]) == ("failed", "disk-limit"), status
    used, limit = map(int, re.fullmatch(r"The job's folder took (\d+) MB of its (\d+) MB of disk and the job was stopped\.",
                                        status["errorMessage"]).groups())
    assert limit == 50 and 50 < used < 500


def test_a_disk_within_its_limit(at_work):
    status = run(at_work, "dd if=/dev/zero of=big bs=1M count=40 2> /dev/null; ln big again; sleep 0.4", diskMb=50)
    assert status["status"] == "completed", status["errorMessage"]


def test_one_processor_for_two_loops(at_work):
    if os.cpu_count() < 2:
        pytest.skip("needs two processors")
    status = run(at_work, f"{PYTHON} spin.py & {PYTHON} spin.py; wait", cpus=1)
    assert status["cpuMs"] < 1.25 * (status["completedAt"] - status["startedAt"])
    assert run(at_work, "nproc", cpus=0.5)["stdout"] == "1\n"
    assert run(at_work, "nproc")["stdout"] == f"{len(os.sched_getaffinity(0))}\n"


def test_the_kernel_is_offered_the_job_first(at_work):
    assert run(at_work, "cat /proc/self/oom_score_adj")["stdout"] == "500\n"


def test_a_limit_is_no_attempt_again(at_work):
    status = run(at_work, f"{PYTHON} hog.py 1000 0 60", memoryMb=100, maxAttempts=5, backoffMs=1)
    assert [attempt["reason"] for attempt in status["attempts"]] == ["out-of-memory"]


# ---- usage ----

USAGE = ("cpuMs", "memoryPeakBytes", "bytesIn", "bytesOut")


@pytest.fixture(params=["http", "zmq"])
def cluster_at_work(request, clusters):
    cluster = clusters()
    cluster.worker(request.param)
    return cluster


def test_usage_of_each_attempt_is_recorded_and_stays(cluster_at_work):
    cluster = cluster_at_work
    burn = f"{PYTHON} hog.py 5 0.05 0.1; echo done"
    fine = cluster.api.wait_job(cluster.api.submit(burn, FILES, artifacts='["*.py"]'))
    archive = fine["fileUrl"]
    length = len(cluster.api.get(archive).body)
    failed = cluster.api.wait_job(cluster.api.create(f"{burn}; exit 3", archive, retryOnExit=[3], maxAttempts=2, backoffMs=1))
    late = cluster.api.wait_job(cluster.api.create(f"{PYTHON} hog.py 5 0 60", archive, timeoutMs=2500))
    silent = cluster.api.wait_job(cluster.api.create("true", "/uploads/none.zip", maxAttempts=1))
    assert (fine["status"], failed["reason"], late["reason"], silent["reason"]) == ("completed", "exit-nonzero", "timeout", "file-missing")
    assert len(failed["attempts"]) == 2
    for status in (fine, failed, late):
        for attempt in [status, *status["attempts"]]:
            assert attempt["cpuMs"] > 0 and 5 * MB < attempt["memoryPeakBytes"] < 500 * MB
            assert attempt["bytesIn"] in (0, length)  # 0: the worker has it
            assert attempt["pidsPeak"] >= 1
    assert (fine["bytesIn"], late["bytesIn"]) == (length, 0)
    assert fine["bytesOut"] == fine["stdoutBytes"] + fine["stderrBytes"] + fine["journalBytes"] + fine["artifactsBytes"]
    assert (silent["cpuMs"], silent["bytesIn"]) == (None, None)
    before = [cluster.api.status(s["jobId"]) for s in (fine, failed, late)]
    cluster.broker.kill()
    cluster.broker.start()
    wait_until(lambda: cluster.api.get("/api/info").status == 200)
    assert [cluster.api.status(s["jobId"]) for s in before] == before


def test_peaks_are_each_jobs_own(at_work):
    """Though one keeper serves one job after the other."""
    large = run(at_work, f"{PYTHON} hog.py 20 0 0.2")
    small = run(at_work, "sleep 0.5")
    assert large["memoryPeakBytes"] > 200 * MB > 100 * MB > small["memoryPeakBytes"] > 0


def test_usage_of_a_result_that_waited_on_the_disk(cluster):
    worker = cluster.worker("http")
    job = cluster.api.create(f"{PYTHON} hog.py 5 0 1", cluster.api.upload(FILES))
    wait_until(lambda: cluster.api.status(job)["status"] == "running")
    wait_until(lambda: "begin" in journal(cluster, job))
    cluster.gateway.kill()
    wait_until(lambda: list(worker.folder.glob("spool/*/result")), 20, "the result on the disk")
    worker.kill()
    cluster.gateway.start()
    wait_until(lambda: cluster.api.get("/api/info").status == 200)
    worker.start()
    status = cluster.api.wait_job(job)
    assert status["status"] == "completed" and status["memoryPeakBytes"] > 50 * MB and status["cpuMs"] > 0


def test_a_worker_that_tells_of_no_usage(cluster):
    """As those of before: the result is as good, and nothing is shown."""
    native = cluster.native()
    native.ask("worker-register", workerId="old", hostname="h", slots=1)
    job = cluster.api.create(retryOnExit=["any"], maxAttempts=2, backoffMs=1)
    for attempt in (1, 2):
        given = native.ask("job-poll", workerId="old", slot=0, wait=5000)
        native.ask("job-result", jobId=job, workerId="old", attempt=attempt, token=given["token"], exitCode=1, stdout="", stderr="")
    attempts = cluster.api.status(job)["attempts"]
    assert [attempt["reason"] for attempt in attempts] == ["exit-nonzero"] * 2
    assert not any(attempt[field] for attempt in attempts for field in USAGE)


def test_a_late_result_tells_its_usage(clusters):
    cluster = clusters(broker_args=["--lease", "1s"])
    native = cluster.native()
    native.ask("worker-register", workerId="w", hostname="h", slots=1)
    job = cluster.api.create(maxAttempts=2, backoffMs=3_600_000)
    given = native.ask("job-poll", workerId="w", slot=0, wait=5000)
    wait_until(lambda: cluster.api.status(job)["status"] == "pending", 20)
    native.ask("job-result", jobId=job, workerId="w", attempt=1, token=given["token"], exitCode=0, stdout="", stderr="", cpuMs=7, bytesIn=9)
    attempt, = cluster.api.status(job)["attempts"]
    assert attempt["lateAt"] and (attempt["cpuMs"], attempt["bytesIn"]) == (7, 9)


def test_a_cancelled_attempt_tells_its_usage(cluster_at_work):
    cluster = cluster_at_work
    job = cluster.api.create(f"{PYTHON} burn.py; {PYTHON} hog.py 5 0 60", cluster.api.upload(FILES), maxAttempts=2)
    wait_until(lambda: re.search(r" use \d{4,} \d{8,} ", journal(cluster, job)), 40)
    cluster.api.post("/api/jobs/cancel", {"jobId": job})
    attempt, = wait_until(lambda: [one for one in cluster.api.status(job)["attempts"] if one["cpuMs"]], 20)
    assert (attempt["reason"], attempt.get("lateAt")) == ("cancelled", None)
    assert attempt["cpuMs"] > 1000 and attempt["memoryPeakBytes"] > 10 * MB


def test_a_lost_attempt_tells_its_usage(clusters):
    """The worker stands still for longer than its lease."""
    cluster = clusters(broker_args=["--lease", "1s"])
    worker = cluster.worker("http")
    job = cluster.api.create(f"{PYTHON} spin.py; sleep 60", cluster.api.upload(FILES), maxAttempts=2, backoffMs=3_600_000)
    wait_until(lambda: " use " in journal(cluster, job), 20)
    worker.signal(signal.SIGSTOP)
    wait_until(lambda: cluster.api.status(job)["status"] == "pending", 20)
    worker.signal(signal.SIGCONT)
    attempt, = wait_until(lambda: [one for one in cluster.api.status(job)["attempts"] if one["cpuMs"]], 20)
    assert attempt["reason"] in ("lease-expired", "worker-lost") and attempt.get("lateAt") is None


def test_a_record_of_before_is_taken_over(cluster):
    """Schema 5: its attempts are there, without usage."""
    native = cluster.native()
    native.ask("worker-register", workerId="w", hostname="h", slots=1)
    job = cluster.api.create(retryOnExit=["any"], maxAttempts=2, backoffMs=3_600_000)
    given = native.ask("job-poll", workerId="w", slot=0, wait=5000)
    native.ask("job-result", jobId=job, workerId="w", attempt=1, token=given["token"], exitCode=1, stdout="", stderr="", cpuMs=7)
    assert cluster.api.status(job)["attempts"][0]["cpuMs"] == 7
    cluster.broker.stop()
    db = sqlite3.connect(cluster.folder / "data/gleaner.db", isolation_level=None)
    for undo in (*BACK_TO_6, "ALTER TABLE attempt DROP COLUMN usage", "PRAGMA user_version = 5"):
        db.execute(undo)
    db.close()
    cluster.broker.start()
    attempt, = cluster.api.status(job)["attempts"]
    assert attempt["reason"] == "exit-nonzero" and attempt["cpuMs"] is None


def values_end(statements, at, count):
    for _ in range(count):
        kind = statements[at]
        at += 1
        if kind == 1:
            at += 8
        elif kind in (2, 3):
            at += 4 + struct.unpack_from("<I", statements, at)[0]
    return at


def without_usage(log, key):
    """The redo log as a broker writes it that knows no usage: the statement that puts an attempt, 5, has 17 values."""
    out, at, cut = b"", 0, 0
    while log[at:at + 8] == b"GLNRREDO":
        magic, name, number, length, zero, _ = struct.unpack_from("<8sQQII32s", log, at)
        statements, old, new = log[at + 64:at + 64 + length], 0, b""
        while old < length:
            code, count = statements[old], statements[old + 1]
            keep = 17 if code == 5 else count
            cut += count - keep
            new += bytes([code, keep]) + statements[old + 2:values_end(statements, old + 2, keep)]
            old = values_end(statements, old + 2, count)
        head = struct.pack("<8sQQII", magic, name, number, len(new), zero)
        out += head + hashlib.blake2b(struct.pack("<Q", key) + head + new, digest_size=32).digest() + new
        out += bytes(-len(out) % 512)
        at += (64 + length + 511) // 512 * 512
    assert cut == 1
    return out + bytes(len(log) - len(out))


def test_a_redo_log_of_before_is_taken_over(cluster):
    """A broker that was killed, and its successor knows a column more."""
    native = cluster.native()
    native.ask("worker-register", workerId="w", hostname="h", slots=1)
    job = cluster.api.create(retryOnExit=["any"], maxAttempts=2, backoffMs=3_600_000)
    given = native.ask("job-poll", workerId="w", slot=0, wait=5000)
    native.ask("job-result", jobId=job, workerId="w", attempt=1, token=given["token"], exitCode=1, stdout="", stderr="", cpuMs=7)
    cluster.broker.kill()
    path = cluster.folder / "data/gleaner.db"
    db = sqlite3.connect(path, isolation_level=None)
    key, = db.execute("SELECT bytes FROM total WHERE name = 'redo-key'").fetchone()
    assert db.execute("SELECT count (*) FROM attempt").fetchone() == (0,)
    for undo in (*BACK_TO_6, "ALTER TABLE attempt DROP COLUMN usage", "PRAGMA user_version = 5"):
        db.execute(undo)
    db.close()
    redo = path.with_name("gleaner.db-redo")
    redo.write_bytes(without_usage(redo.read_bytes(), key))
    cluster.broker.start()
    assert cluster.broker.events("redo-run")
    wait_until(lambda: cluster.api.get("/api/info").status == 200)
    attempt, = cluster.api.status(job)["attempts"]
    assert attempt["reason"] == "exit-nonzero" and attempt["cpuMs"] is None
