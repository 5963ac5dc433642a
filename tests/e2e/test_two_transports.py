"""HTTP and ZeroMQ workers, ours and one in Python, side by side on one queue."""

import os
import pathlib
import subprocess
import sys

import pytest

from cluster import wait_until

PYTHON_WORKER = pathlib.Path(__file__).resolve().parents[1] / "lib/native_worker.py"


def test_three_kinds_of_worker_share_one_queue(cluster):
    cluster.worker("http", "--id", "over-http")
    cluster.worker("zmq", "--id", "over-zmq")
    jobs = [cluster.api.submit(f"cat a.txt; echo {n}; echo e{n} >&2; sleep 0.1; exit {n % 3}") for n in range(30)]
    python = subprocess.Popen([sys.executable, PYTHON_WORKER, cluster.broker_url, "4"])
    try:
        ended = [cluster.api.wait_job(job, 60) for job in jobs]
        assert python.wait(20) == 0
    finally:
        python.kill()
    for n, status in enumerate(ended):
        assert (status["stdout"], status["stderr"], status["exitCode"]) == (f"hello\n{n}\n", f"e{n}\n", n % 3)
        assert status["status"] == ("completed" if n % 3 == 0 else "failed") and status["attempt"] == 1
    by = [status["workerId"] for status in ended]
    assert {"over-http", "over-zmq"} < set(by)
    assert sum(name.startswith("python-") for name in by) == 4


def test_the_python_worker_has_at_most_forty_lines():
    assert len(PYTHON_WORKER.read_text().splitlines()) <= 40


def test_the_python_worker_fetches_an_archive_of_many_pieces(cluster):
    content = os.urandom(700_000)
    job = cluster.api.submit("wc -c < big.bin; cksum big.bin | wc -l", {"big.bin": content})
    subprocess.run([sys.executable, PYTHON_WORKER, cluster.broker_url, "1"], check=True, timeout=30)
    assert cluster.api.status(job)["stdout"].split() == ["700000", "1"]


@pytest.mark.parametrize("kind", ["req", "dealer"])
def test_submitting_over_zeromq_as_the_readme_shows(cluster, kind):
    cluster.worker("http")
    native = cluster.native(kind)
    from zips import zip_of
    data = zip_of({"x.txt": "native\n"})
    assert native.ask("blob-put", upload=f"up-{kind}", offset=0, data=data)["offset"] == len(data)
    blob = native.ask("blob-commit", upload=f"up-{kind}", bytes=len(data), zip=True)
    job = native.ask("job-create", command="cat x.txt", fileUrl=blob["fileUrl"], filename="p.zip")
    assert job["type"] == "job-create-ok"
    assert wait_until(lambda: native.ask("job-status", jobId=job["jobId"]).get("stdout"), 10) == b"native\n"


def test_both_sides_see_the_same_record(cluster):
    native = cluster.native()
    native.ask("worker-register", workerId="n", hostname="h", slots=2)
    job = cluster.api.create("echo 1")
    got = native.ask("job-poll", workerId="n", slot=0)
    assert got["jobId"] == job and got["attempt"] == 1 and got["token"]
    lease = {"jobId": job, "workerId": "n", "attempt": 1, "token": got["token"]}
    assert native.ask("job-output", **lease, stream="stdout", offset=0, data=b"half ")["offset"] == 5
    assert cluster.api.status(job)["stdout"] == "half "
    assert native.ask("job-result", **lease, exitCode=0, stdoutBytes=5, stderrBytes=0)["type"] == "job-result-ok"
    here, there = cluster.api.status(job), native.ask("job-status", jobId=job)
    for name in ("status", "workerId", "exitCode", "createdAt", "startedAt", "completedAt", "attempt"):
        assert here[name] == there[name]


def test_a_polls_answer_that_was_lost_is_given_again(cluster):
    native = cluster.native()
    native.ask("worker-register", workerId="n", hostname="h", slots=1)
    cluster.api.create()
    first = native.ask("job-poll", workerId="n", slot=0)
    again = native.ask("job-poll", workerId="n", slot=0)
    assert (first["jobId"], first["token"], first["attempt"]) == (again["jobId"], again["token"], again["attempt"])
