"""Cancel: final in the record at once, and the job's processes are gone from the machine soon."""

import os
import time

import pytest

from client import multipart
from cluster import wait_until
from zips import zip_of

GONE_SECONDS = 5


def cancel(api, job):
    answer = api.post("/api/jobs/cancel", {"jobId": job})
    assert answer.status == 200, answer
    return answer


def running_job(cluster, note):
    """A job that has started a child and a grandchild and noted their pids."""
    job = cluster.api.submit(f"sh -c 'sleep 300 & echo $! >> {note}; wait' & echo $! >> {note}; wait", maxAttempts="3")
    wait_until(lambda: note.exists() and len(note.read_text().split()) == 2, 10, "the job's start")
    return job, note.read_text().split()


def all_gone(pids):
    return not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_a_pending_job_ends_at_once_and_never_runs(cluster, tmp_path):
    note = tmp_path / "ran"
    job = cluster.api.submit(f"touch {note}")
    cancel(cluster.api, job)
    status = cluster.api.status(job)
    assert (status["status"], status["reason"], status["exitCode"]) == ("failed", "cancelled", None) and status["completedAt"]
    cluster.worker("http")
    cluster.api.wait_job(cluster.api.submit("true"))
    assert not note.exists() and cluster.api.status(job) == status


@pytest.mark.parametrize("transport", ["http", "zmq"])
def test_a_running_job_ends_in_the_record_at_once_and_on_the_machine_soon(cluster, tmp_path, transport):
    worker = cluster.worker(transport)
    job, pids = running_job(cluster, tmp_path / "pids")
    cancel(cluster.api, job)
    status = cluster.api.status(job)
    assert (status["status"], status["reason"]) == ("failed", "cancelled")
    wait_until(lambda: all_gone(pids), GONE_SECONDS, "the end of its processes")
    assert cluster.api.wait_job(cluster.api.submit("echo next"))["stdout"] == "next\n"
    assert {**cluster.api.status(job), "attempts": None} == {**status, "attempts": None}, "a final state does not change"
    assert worker.running


def test_a_job_that_ignores_sigterm_is_killed(cluster, tmp_path):
    cluster.worker("http")
    note = tmp_path / "pid"
    job = cluster.api.submit(f"trap '' TERM INT HUP; echo $$ > {note}; while :; do sleep 1; done")
    wait_until(lambda: note.exists() and note.read_text().strip(), 10)
    cancel(cluster.api, job)
    wait_until(lambda: all_gone(note.read_text().split()), 2 * GONE_SECONDS, "the end of a stubborn job")


def test_cancel_twice_and_after_the_end(cluster):
    cluster.worker("http")
    done = cluster.api.wait_job(cluster.api.submit("echo out"))
    for _ in range(2):
        answer = cancel(cluster.api, done["jobId"])
        assert (answer["status"], answer["alreadyOver"], answer["message"]) == ("completed", True, "The job was over already.")
    assert cluster.api.status(done["jobId"]) == done
    job = cluster.api.create()
    first, again = cancel(cluster.api, job), cancel(cluster.api, job)
    assert (first["alreadyOver"], first["message"]) == (False, "The job is over")
    assert again["alreadyOver"] is True and first["status"] == again["status"] == "failed"


def test_an_old_agent_hears_of_it_by_asking_and_its_result_is_refused(cluster):
    api = cluster.api
    api.post("/api/workers/register", {"workerId": "a", "hostname": "h"})
    job = api.create()
    api.get("/api/jobs/get-job?workerId=a")
    assert api.get(f"/api/jobs/check-cancel?jobId={job}")["cancelRequested"] is False
    cancel(api, job)
    assert api.get(f"/api/jobs/check-cancel?jobId={job}")["cancelRequested"] is True
    assert api.post("/api/jobs/submit-result", {"jobId": job, "workerId": "a", "exitCode": 0}).status in (403, 409)
    assert api.status(job)["status"] == "failed"
    assert api.worker("a")["status"] == "idle"


def test_a_worker_that_renews_is_told(cluster):
    native = cluster.native()
    native.ask("worker-register", workerId="n", hostname="h", slots=1)
    job = cluster.api.create()
    got = native.ask("job-poll", workerId="n", slot=0)
    lease = {"jobId": job, "workerId": "n", "attempt": 1, "token": got["token"]}
    import msgpack
    native.send(b"", msgpack.packb({"v": 1, "type": "job-renew", "wait": 20_000, **lease}))
    assert native.receive(0.3) is None
    begun = time.monotonic()
    cancel(cluster.api, job)
    answer = native.receive(5)
    assert answer.get("cancelRequested") is True or answer.get("code") == "STALE_ATTEMPT", answer
    assert time.monotonic() - begun < 2, "told at once, not when its patience ends"


def direct(cluster, commands):
    """A running direct execution: its stream, its id, its connection."""
    client = cluster.client()
    body, kind = multipart({"commands": commands}, {"file": ("p.zip", zip_of({"a": ""}))})
    client.get("/api/info")
    client.connection.request("POST", "/api/execute", body, {"Content-Type": kind})
    stream = client.connection.getresponse()
    return stream, stream.headers["X-Exec-Id"], client


def pid_from(stream):
    line = b""
    while b"stdout" not in line:
        line = stream.readline()
    return "".join(c for c in line.decode().split('"data":')[1] if c.isdigit())


def test_delete_stops_a_direct_execution(at_work):
    stream, job, _ = direct(at_work, "echo $$; sleep 300")
    pid = pid_from(stream)
    answer = at_work.api.delete("/api/execute", {"execId": job})
    assert answer.status == 200 and answer["stopped"] is True
    rest = stream.read().decode()
    assert '"type":"exit"' in rest and '"reason":"cancelled"' in rest
    wait_until(lambda: all_gone([pid]), GONE_SECONDS, "the end of the execution")


def test_a_direct_execution_says_which_worker_it_is_tied_to(at_work):
    stream, job, _ = direct(at_work, "true")
    stream.read()
    status = at_work.api.status(job)
    assert status["directWorker"] == status["workerId"]
    assert at_work.api.wait_job(at_work.api.submit("true")).get("directWorker") is None


def test_a_direct_execution_whose_reader_goes_away_is_stopped(at_work):
    stream, job, client = direct(at_work, "echo $$; sleep 300")
    pid = pid_from(stream)
    stream.close()
    client.close()
    wait_until(lambda: all_gone([pid]), 15 + GONE_SECONDS, "the end of the execution")
    assert at_work.api.status(job)["reason"] == "cancelled"
