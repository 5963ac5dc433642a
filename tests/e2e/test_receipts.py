"""What a job printed is at the broker byte for byte, or the job has failed: whatever happened to it on its way."""

import hashlib

import pytest

from cluster import wait_until

TRANSPORTS = pytest.mark.parametrize("transport", ["http", "zmq"])
PRINTED = b"0123456\n" * 40_000  # more than goes into a result


def output(cluster, job, stream="stdout"):
    return cluster.api.get(f"/api/jobs/output?jobId={job}&stream={stream}").body


def waiting_job(cluster, go, fields=None):
    """A job whose output the broker has, and that waits for `go` to end; and the broker's file of it."""
    job = cluster.api.submit(f"yes 0123456 | head -c {len(PRINTED)}; while [ ! -e {go} ]; do sleep 0.05; done", **(fields or {}))
    files = cluster.folder / "data" / "output"

    def there():
        return next((f for f in files.rglob("*.stdout") if f.stat().st_size == len(PRINTED)), None)
    return job, wait_until(there, 10, "the output at the broker")


def cut(file):
    file.write_bytes(PRINTED[:1000])


def change(file):
    file.write_bytes(b"X" + PRINTED[1:])


def lengthen(file):
    file.write_bytes(PRINTED + b"more")


def other_stream(file):
    file.with_suffix(".stderr").write_bytes(b"never printed")


@TRANSPORTS
@pytest.mark.parametrize("damage", [cut, change, lengthen, other_stream])
def test_what_the_broker_lost_is_sent_again(cluster, tmp_path, transport, damage):
    worker = cluster.worker(transport)
    job, file = waiting_job(cluster, tmp_path / "go")
    cluster.broker.kill()
    damage(file)
    cluster.broker.start()
    (tmp_path / "go").touch()
    status = cluster.api.wait_job(job)
    assert (status["status"], status["attempt"]) == ("completed", 1), status
    # An append that the broker had not answered when it was killed is sent again, and finds the gap first.
    assert worker.events("output-mismatch") or (damage is cut and worker.events("output-gap"))
    assert output(cluster, job) == PRINTED and output(cluster, job, "stderr") == b""
    assert status["stdoutSha256"] == hashlib.sha256(PRINTED).hexdigest()


def unsent_result(cluster, worker, go):
    """A job that has ended, with its result on the worker's disk alone, and both programs killed."""
    job, _ = waiting_job(cluster, go, {"maxAttempts": "1"})
    cluster.broker.kill()
    go.touch()
    result = wait_until(lambda: next(iter((worker.folder / "spool").glob("*/result")), None), 10, "the result on the disk")
    worker.kill()
    cluster.broker.start()
    return job, result


@TRANSPORTS
def test_a_result_on_the_disk_is_sent_by_the_next_run(cluster, tmp_path, transport):
    worker = cluster.worker(transport)
    job, result = unsent_result(cluster, worker, tmp_path / "go")
    worker.start()
    status = cluster.api.wait_job(job)
    assert (status["status"], status["stdoutSha256"]) == ("completed", hashlib.sha256(PRINTED).hexdigest()), status
    wait_until(lambda: not result.parent.exists(), 5, "the end of the spool")
    assert not worker.events("job-started"), "it does not run again"
    assert cluster.api.wait_job(cluster.api.submit("echo next"))["stdout"] == "next\n"


def test_output_damaged_on_the_workers_disk_is_no_result(cluster, tmp_path):
    worker = cluster.worker("zmq")  # a gateway would have kept the result in flight
    job, result = unsent_result(cluster, worker, tmp_path / "go")
    result.with_name("stdout").write_bytes(bytes(len(PRINTED)))
    worker.start()
    status = cluster.api.wait_job(job)
    assert (status["status"], status["reason"]) == ("failed", "worker-error") and "damaged" in status["errorMessage"], status


@TRANSPORTS
def test_artifacts_are_in_the_receipt(cluster, transport):
    cluster.worker(transport)
    url = cluster.api.upload({"a.txt": "hello\n"})
    status = cluster.api.wait_job(cluster.api.create("echo made > made.out\nexit 3", url, artifacts=["*.out"]))
    assert (status["exitCode"], status["artifactsCount"]) == (3, 1) and status["artifactsBytes"] > 20, status
    status = cluster.api.wait_job(cluster.api.create("sleep 60", url, artifacts=["*.txt"], timeoutMs=500))
    assert (status["reason"], status["artifactsCount"]) == ("timeout", 1), status
