"""Retention, a full disk, the check and the backup of a data directory."""

import os
import pathlib
import re
import subprocess
import tarfile
import threading
import time

import pytest

from built import PATIENCE
from cluster import BIN, Program, wait_until


def blobs(cluster):
    return sorted(p.name for p in (cluster.folder / "data/blobs").glob("*/*"))


def broker(*args):
    return subprocess.run([BIN / "gleaner-broker", *map(str, args)], capture_output=True, text=True, timeout=60)


IN_FILES = 400_000  # bytes of output: more than goes into a row with the result


def run_jobs(cluster, count=3, size=40_000):
    cluster.worker("native")
    jobs = [cluster.api.submit(f"head -c {size} /dev/zero; echo {n}") for n in range(count)]
    for job in jobs:
        assert cluster.api.wait_job(job)["status"] == "completed"
    return jobs


def test_jobs_and_their_files_expire(clusters):
    cluster = clusters(broker_args=["--keep-jobs", f"{2 * PATIENCE}s", "--keep-uploads", "0s"])
    jobs = run_jobs(cluster, size=IN_FILES)
    waiting = cluster.api.create(requires={"no": "such"})
    assert list((cluster.folder / "data/output").glob("*/*.stdout"))
    wait_until(lambda: all(cluster.api.get(f"/api/jobs/status?jobId={j}").status == 404 for j in jobs), 20)
    wait_until(lambda: not list((cluster.folder / "data/output").glob("*/*.stdout")), 5)
    assert cluster.api.status(waiting)["status"] == "pending" and cluster.api.get("/api/jobs")["total"] == 1


def test_expiry_is_logged_now_and_then_not_each_round(clusters):
    cluster = clusters(broker_args=["--keep-jobs", "1s"])
    for _ in range(900):
        cluster.api.post("/api/jobs/cancel", {"jobId": cluster.api.create()})
    wait_until(lambda: cluster.api.get("/api/jobs")["total"] == 0, 30)
    told = lambda: [int(n) for n in re.findall(r"(\d+) jobs that were over", "\n".join(cluster.broker.events("jobs-expired")))]
    wait_until(lambda: sum(told()) == 900, 10)
    assert len(told()) <= 4, told()  # rounds are of 200 at most, and may be so few only while jobs still come


def test_output_goes_before_the_record(clusters):
    cluster = clusters(broker_args=["--keep-output", "2s"])
    job = run_jobs(cluster, 1)[0]
    def gone():
        answer = cluster.api.get(f"/api/jobs/output?jobId={job}")
        return answer.status == 410 and answer["code"] == "OUTPUT_GONE"
    wait_until(gone, 20)
    status = cluster.api.status(job)
    assert status["status"] == "completed" and status["stdoutBytes"] == 40_002 and status["outputCut"] is True
    listed = cluster.api.get("/api/jobs")["jobs"][0]
    assert status["outputGone"] is True and listed["outputGone"] is True and status["artifactsGone"] is None


def test_output_of_a_job_that_was_cancelled_goes_too(clusters):
    cluster = clusters(broker_args=["--keep-output", "1s"])
    native = cluster.native()
    native.ask("worker-register", workerId="w", hostname="h", slots=1)
    printed, silent = cluster.api.create(), cluster.api.create()
    lease = native.ask("job-poll", workerId="w", slot=0, wait=1000)
    assert lease["jobId"] == printed
    native.ask("job-output", workerId="w", stream="stdout", offset=0, data=b"words", **{k: lease[k] for k in ("jobId", "attempt", "token")})
    for job in (printed, silent):
        assert cluster.api.status(job)["outputGone"] is None
        cluster.api.post("/api/jobs/cancel", {"jobId": job})
    wait_until(lambda: cluster.api.status(printed)["outputGone"], 20)
    assert cluster.api.get(f"/api/jobs/output?jobId={printed}")["code"] == "OUTPUT_GONE"
    assert cluster.api.status(silent)["outputGone"] is None  # it never had any
    assert cluster.api.get(f"/api/jobs/output?jobId={silent}").status == 200


def test_artifacts_go_before_the_record_and_it_says_so(clusters):
    cluster = clusters(broker_args=["--keep-artifacts", "2s"])
    cluster.worker("native")
    file = cluster.api.upload()
    packed = cluster.api.create("echo a > a.txt", file, artifacts=["*.txt"])
    plain = cluster.api.create("true", file)
    assert cluster.api.wait_job(packed)["artifactsGone"] is None
    cluster.api.wait_job(plain)
    def gone():
        answer = cluster.api.get(f"/api/jobs/artifacts?jobId={packed}")
        return answer.status == 410 and answer["code"] == "ARTIFACTS_GONE" and answer["error"]
    wait_until(gone, 20)
    status = cluster.api.status(packed)
    assert status["artifactsGone"] is True and status["artifactsCount"] == 1 and status["artifactsUrl"] is None and status["outputGone"] is None
    assert cluster.api.status(plain)["artifactsGone"] is None
    assert cluster.api.get(f"/api/jobs/artifacts?jobId={plain}")["code"] == "NO_SUCH_ARTIFACTS"


def test_uploads_that_no_job_needs_expire_others_stay(clusters):
    cluster = clusters(broker_args=["--keep-uploads", "1s", "--keep-jobs", "0s"])
    pending = cluster.api.submit("true", files={"a": "kept"})
    native = cluster.native()
    data = b"PK\3\4 nobody's"
    native.ask("blob-put", upload="u" * 32, offset=0, data=data)
    lonely = native.ask("blob-commit", upload="u" * 32, bytes=len(data))["sha256"]
    assert native.ask("blob-commit", upload="u" * 32, bytes=len(data), sha256=lonely)["sha256"] == lonely  # sent again
    assert lonely in blobs(cluster) and len(blobs(cluster)) == 2
    wait_until(lambda: lonely not in blobs(cluster), 40)
    assert len(blobs(cluster)) == 1 and cluster.api.get(cluster.api.status(pending)["fileUrl"]).status == 200


def on_disk(folder):
    return sum(p.stat().st_size for p in folder.glob("*/*"))


def test_beyond_data_max_the_oldest_output_goes(clusters):
    """Output of earlier attempts counts too; records stay, and so does what has just ended."""
    cluster = clusters(broker_args=["--data-max", "2M", "--retry-backoff", "10ms"])
    jobs = run_jobs(cluster, 4, IN_FILES)
    again = cluster.api.submit(f"head -c {IN_FILES} /dev/zero; exit 5", retryOnExit="5", maxAttempts="3")
    assert cluster.api.wait_job(again)["attempt"] == 3
    output = cluster.folder / "data/output"
    assert on_disk(output) > 7 * IN_FILES > 2 << 20
    assert cluster.api.get("/api/info")["outputBytes"] == on_disk(output)
    time.sleep(6)
    assert on_disk(output) > 7 * IN_FILES, "what ended just now was not spared"
    wait_until(lambda: on_disk(output) <= 2 << 20, 45)
    answers = [cluster.api.get(f"/api/jobs/output?jobId={j}").status for j in [*jobs, again]]
    assert answers == sorted(answers, reverse=True) and answers[0] == 410, answers  # the oldest first
    assert all(cluster.api.status(j)["status"] == "completed" for j in jobs)


def test_what_is_needed_does_not_cost_the_history(clusters):
    """More than the limit, but for the sake of a pending job's archive: the records stay."""
    cluster = clusters(broker_args=["--data-max", "1M"])
    jobs = run_jobs(cluster, 3, 10)
    cluster.api.submit("true", files={"noise": os.urandom(2_000_000)}, delayMs="3600000")
    time.sleep(40)
    assert cluster.api.get("/api/jobs")["total"] == 4 and all(cluster.api.status(j)["status"] == "completed" for j in jobs)


def test_archives_go_with_their_records_when_there_is_too_much(clusters):
    cluster = clusters(broker_args=["--data-max", "3M"])
    worker = cluster.worker("zmq")
    jobs = [cluster.api.submit("true", files={"noise": os.urandom(1_000_000)}) for _ in range(5)]
    for job in jobs:
        cluster.api.wait_job(job)
    assert worker.running and cluster.api.get("/api/info")["blobBytes"] > 5_000_000
    wait_until(lambda: cluster.api.get("/api/info")["blobBytes"] <= 3 << 20, 60)
    wait_until(lambda: on_disk(cluster.folder / "data/blobs") <= 3 << 20, 20)
    assert cluster.api.get(f"/api/jobs/status?jobId={jobs[0]}").status == 404


# ---- check and backup ----


def test_check_finds_what_is_damaged(clusters):
    cluster = clusters()
    jobs = run_jobs(cluster, size=IN_FILES)
    data = cluster.folder / "data"
    busy = broker("--check", "--data", data)
    assert busy.returncode == 2 and "another broker" in busy.stderr
    for program in reversed(cluster.programs):
        program.stop()
    sound = broker("--check", "--data", data)
    assert sound.returncode == 0 and "is sound: 3 jobs" in sound.stdout, sound
    output = next((data / "output").glob("*/*.stdout"))
    good = output.read_bytes()
    output.write_bytes(good[:-1] + b"?")
    bad = broker("--check", "--data", data)
    assert bad.returncode == 1 and "another SHA-256" in bad.stdout and any(j in bad.stdout for j in jobs)
    output.write_bytes(good)
    blob = next((data / "blobs").glob("*/*"))
    blob.rename(blob.with_name("elsewhere"))
    assert "missing" in broker("--check", "--data", data).stdout
    blob.with_name("elsewhere").rename(blob)
    assert broker("--check", "--data", data).returncode == 0
    database = bytearray((data / "gleaner.db").read_bytes())
    for at in range(4096 * 2 + 10, len(database), 4096):
        database[at:at + 40] = b"\xff" * 40
    (data / "gleaner.db").write_bytes(database)
    torn = broker("--check", "--data", data)
    assert torn.returncode == 1 and torn.stdout, torn


@pytest.mark.parametrize("running", [True, False])
def test_a_backup_restores_everything(clusters, tmp_path, running):
    cluster = clusters()
    jobs = run_jobs(cluster)
    pending = cluster.api.create(requires={"no": "such"})
    file = tmp_path / "backup.tar"
    if not running:
        for program in reversed(cluster.programs):
            program.stop()
    made = broker("--backup", file, "--data", cluster.folder / "data")
    assert made.returncode == 0 and "restore with" in made.stdout, made
    assert not (cluster.folder / "data/snapshot.db").exists()
    again = clusters(gateway=False)
    again.broker.stop()
    data = again.folder / "data"
    subprocess.run(["rm", "-rf", data], check=True)
    data.mkdir(mode=0o700)
    with tarfile.open(file) as tar:
        tar.extractall(data)
    assert broker("--check", "--data", data).returncode == 0
    again.broker.start()
    native = again.native()
    for number, job in enumerate(jobs):
        status = native.ask("job-status", jobId=job)
        assert status["status"] == "completed" and status["stdout"].endswith(b"%d\n" % number)
    assert native.ask("job-status", jobId=pending)["status"] == "pending"


def test_a_backup_of_a_folder_with_a_long_path(tmp_path):
    """Longer than a socket's path may be: the running broker is reached all the same."""
    data = tmp_path / ("long" * 30)
    running = Program("broker", ["--listen", "tcp://127.0.0.1:0", "--data", data], tmp_path / "log").start()
    made = broker("--backup", tmp_path / "b.tar", "--data", data)
    assert made.returncode == 0 and not running.events("no-control-socket"), made
    assert running.stop() == 0


@pytest.mark.parametrize("task", [["--check"], ["--backup", "x.tar"]])
def test_a_folder_that_is_no_data_directory_is_left_alone(tmp_path, task):
    for folder in (tmp_path / "typo", tmp_path):
        bad = broker(*task, "--data", folder)
        assert bad.returncode == 2 and bad.stderr, bad
    assert not (tmp_path / "typo").exists() and not list(tmp_path.iterdir())


def test_one_task_at_a_time(tmp_path):
    assert "one of them" in broker("--check", "--backup", tmp_path / "x.tar", "--data", tmp_path).stderr


def test_a_backup_is_whole_while_housekeeping_takes_things_away(clusters, tmp_path):
    """What the copy of the record refers to is copied before it goes."""
    cluster = clusters(broker_args=["--keep-jobs", "2s", "--keep-output", "1s", "--keep-artifacts", "1s", "--keep-uploads", "1s"])
    cluster.worker("zmq", "--slots", "4")
    over = threading.Event()

    def load():
        api = cluster.client()
        for n in range(100_000):
            if over.is_set():
                return
            api.submit("head -c 200000 /dev/zero; echo x > out", files={"a": str(n) * 5000}, artifacts='["out"]')
    thread = threading.Thread(target=load)
    thread.start()
    try:
        time.sleep(4)
        for n in range(4):
            made = broker("--backup", tmp_path / f"{n}.tar", "--data", cluster.folder / "data")
            assert made.returncode == 0, made
            copy = tmp_path / f"copy{n}"
            copy.mkdir(mode=0o700)
            with tarfile.open(tmp_path / f"{n}.tar") as tar:
                tar.extractall(copy)
            checked = broker("--check", "--data", copy)
            assert checked.returncode == 0, checked
    finally:
        over.set()
        thread.join(30)
    for job in cluster.api.get("/api/jobs?state=running&limit=500")["jobs"] + cluster.api.get("/api/jobs?state=pending&limit=500")["jobs"]:
        cluster.api.post("/api/jobs/cancel", {"jobId": job["jobId"]})


def test_a_check_of_things_that_are_no_files_ends(clusters):
    cluster = clusters()
    run_jobs(cluster, 1, IN_FILES)
    cluster.stop()
    for path in (cluster.folder / "data").glob("[bo]*/*/*"):
        path.unlink()
        os.mkfifo(path)
    bad = broker("--check", "--data", cluster.folder / "data")
    assert bad.returncode == 1 and "missing" in bad.stdout, bad
    (cluster.folder / "data/gleaner.db").write_bytes(b"")
    assert broker("--check", "--data", cluster.folder / "data").returncode == 2


def test_a_backup_that_cannot_be_written(clusters):
    cluster = clusters(gateway=False)
    bad = broker("--backup", "/nowhere/x.tar", "--data", cluster.folder / "data")
    assert bad.returncode == 1 and "cannot write the backup" in bad.stderr


# ---- a full disk ----


def test_a_full_disk_refuses_what_is_new_and_nothing_else(clusters, small_disk):
    cluster = clusters()
    for program in reversed(cluster.programs):
        program.stop()
    cluster.broker.args[3] = small_disk / "data"
    cluster.broker.start()
    cluster.gateway.start()
    api, native = cluster.api, cluster.native()
    native.ask("worker-register", workerId="w", hostname="h", slots=1)
    kept = api.create(command="echo kept")
    api.create(requires={"no": "such"})
    wait_until(lambda: (small_disk / "data/held-room").exists(), 5)
    lease = native.ask("job-poll", workerId="w", slot=0, wait=1000)
    ballast = small_disk / "ballast"
    with open(ballast, "wb") as file:
        try:
            while True:
                file.write(bytes(65536))
                file.flush()
        except OSError:
            pass
    def refused():
        answer = api.post("/api/jobs/create", {"command": "true", "fileUrl": "/uploads/n.zip", "filename": "p.zip"})
        return answer.status == 507 and answer["code"] == "DISK_FULL"
    wait_until(refused, 10)
    upload = api.execute("true", data=None)
    assert upload.status == 507 and upload["code"] == "DISK_FULL", upload
    assert api.status(kept)["status"] == "running" and api.get("/api/info")["diskFull"] is True
    assert api.get("/api/workers/list").status == 200
    assert not list((small_disk / "data/uploads").iterdir())
    native.ask("job-renew", workerId="w", **{k: lease[k] for k in ("jobId", "attempt", "token")})
    # Room was held back for what must be said even now; the first that needs it may have to ask twice.
    doomed = api.get("/api/jobs?state=pending")["jobs"][0]["jobId"]
    wait_until(lambda: api.post("/api/jobs/cancel", {"jobId": doomed}).status == 200, 10)
    assert api.status(doomed)["reason"] == "cancelled"
    wait_until(lambda: api.post("/api/workers/register", {"workerId": "new", "hostname": "h"}).status == 200, 10)
    ballast.unlink()
    wait_until(lambda: not api.get("/api/info")["diskFull"], 10)
    result = native.ask("job-result", workerId="w", **{k: lease[k] for k in ("jobId", "attempt", "token")}, exitCode=0)
    assert result["type"] == "job-result-ok" and api.status(kept)["status"] == "completed"
    later = api.submit("true")
    assert api.status(later)["status"] == "pending" and cluster.broker.running


def test_what_a_full_disk_kept_from_going_goes_later(clusters, small_disk):
    """A purge whose commit finds no room has not been: housekeeping looks at those jobs again."""
    cluster = clusters(broker_args=["--keep-output", "8s"])
    for program in reversed(cluster.programs):
        program.stop()
    cluster.broker.args[3] = small_disk / "data"
    cluster.broker.start()
    cluster.gateway.start()
    worker = cluster.worker("native")
    file = cluster.api.upload()
    jobs = [cluster.api.create(f"echo {n}", file) for n in range(4)]
    for job in jobs:
        assert cluster.api.wait_job(job)["status"] == "completed"
    worker.stop()
    ballast = small_disk / "ballast"
    with open(ballast, "wb") as file:
        def full():
            try:
                while True:
                    os.write(file.fileno(), bytes(4096))
            except OSError:
                return cluster.broker.events("held-room-used")
        wait_until(full, 30)
    assert not any(cluster.api.status(job)["outputGone"] for job in jobs)
    ballast.unlink()
    wait_until(lambda: all(cluster.api.status(job)["outputGone"] for job in jobs), 20)
