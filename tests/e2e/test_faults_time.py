"""Programs that stand still and clocks that jump."""

import signal
import time

import pytest

import record
from cluster import wait_until
from faults import Faults

TRANSPORTS = pytest.mark.parametrize("transport", ["http", "zmq"])
SHORT = ["--lease", "3s", "--offline", "6s", "--heartbeat", "1s", "--retry-backoff", "100ms"]


@pytest.fixture
def faults(tmp_path):
    return Faults(tmp_path / "faults")


def noted(tmp_path, name, then):
    """Commands that leave a line each time they begin, and that file."""
    note = tmp_path / name
    return f"echo $GLEANER_WORKER_ID >> {note}; {then}", note


@TRANSPORTS
def test_a_worker_that_stood_still_past_its_lease(clusters, tmp_path, transport):
    """Another one has run the job meanwhile. The first one hears that it is too late, and ends its processes."""
    cluster = clusters(broker_args=SHORT)
    first = cluster.worker(transport, "--id", "first")
    commands, note = noted(tmp_path, "note", f"[ $GLEANER_ATTEMPT = 2 ] || sleep 4711.{transport == 'zmq':d}; echo done")
    job = cluster.api.submit(commands)
    wait_until(note.exists, 10)
    first.signal(signal.SIGSTOP)
    cluster.worker(transport, "--id", "second")
    status = cluster.api.wait_job(job, 20)
    assert status["status"] == "completed" and status["attempt"] == 2 and status["workerId"] == "second", status
    first.signal(signal.SIGCONT)
    first.wait_event("job-stopped", 10)
    assert note.read_text() == "first\nsecond\n"
    jobs = record.check(cluster, [job])
    assert jobs[job]["stdout"] == "done\n"


@TRANSPORTS
@pytest.mark.parametrize("attempts", [1, 2])
def test_a_broker_that_stood_still(clusters, tmp_path, transport, attempts):
    """Shorter than a lease: nothing happens. Longer: the worker has ended its job, and it is not begun a second time
    unless it may be."""
    cluster = clusters(broker_args=SHORT)
    worker = cluster.worker(transport)
    commands, note = noted(tmp_path, "note", "sleep 7; echo done")
    job = cluster.api.submit(commands, maxAttempts=str(attempts))
    wait_until(note.exists, 10)
    cluster.broker.signal(signal.SIGSTOP)
    time.sleep(1.2)
    cluster.broker.signal(signal.SIGCONT)
    time.sleep(1)
    status = cluster.api.status(job)
    assert status["status"] == "running" and status["attempt"] == 1
    cluster.broker.signal(signal.SIGSTOP)
    worker.wait_event("lease-lost", 8)
    time.sleep(1)
    cluster.broker.signal(signal.SIGCONT)
    status = cluster.api.wait_job(job, 40)
    if attempts == 1:
        assert status["status"] == "failed" and status["reason"] == "lease-lost", status
    else:
        assert status["status"] == "completed" and status["attempt"] == 2 and status["stdout"] == "done\n", status
    assert len(note.read_text().splitlines()) == attempts
    record.check(cluster, [job])


@pytest.mark.parametrize("hours", [1, -1])
def test_a_jump_of_the_brokers_wall_clock_changes_no_lease(clusters, faults, hours):
    cluster = clusters(broker_args=SHORT, broker_env=faults.env)
    cluster.worker("zmq")
    running = cluster.api.submit("sleep 5; echo through", maxAttempts="1")
    delayed = cluster.api.submit("echo delayed", delayMs="4000")
    cluster.api.wait_job(running, until=("running",))
    begun = time.monotonic()
    faults.ahead("wall", hours * 3600)
    time.sleep(1)
    assert cluster.api.status(delayed)["status"] == "pending"
    assert all(worker["status"] == "busy" for worker in cluster.api.get("/api/workers/list")["workers"])
    status = cluster.api.wait_job(running, 20)
    assert status["status"] == "completed" and status["stdout"] == "through\n", status
    assert cluster.api.wait_job(delayed, 20)["status"] == "completed" and time.monotonic() - begun < 15
    record.check(cluster, [running, delayed])


@TRANSPORTS
def test_a_jump_of_a_workers_wall_clock_changes_nothing(clusters, faults, transport):
    cluster = clusters(broker_args=SHORT)
    cluster.worker(transport, env=faults.env)
    job = cluster.api.submit("sleep 4; echo through", maxAttempts="1")
    cluster.api.wait_job(job, until=("running",))
    faults.ahead("wall", -86400 * 365)
    assert cluster.api.wait_job(job, 20)["stdout"] == "through\n"
    record.check(cluster, [job])


@TRANSPORTS
def test_a_machine_that_slept_without_a_word_ends_its_job_when_it_wakes(clusters, tmp_path, faults, transport):
    """The clock that goes on during sleep is ahead by more than a lease: the job may run elsewhere by now."""
    cluster = clusters(broker_args=["--lease", "20s", "--heartbeat", "1s"])
    worker = cluster.worker(transport, env=faults.env)
    commands, note = noted(tmp_path, "note", "sleep 100")
    job = cluster.api.submit(commands)
    wait_until(note.exists, 10)
    faults.ahead("boot", 60)
    worker.wait_event("lease-lost", 10)
    cluster.api.post("/api/jobs/cancel", {"jobId": job})
    record.check(cluster, [job])


def test_a_machine_that_said_that_it_sleeps_goes_on_when_it_wakes(clusters, tmp_path, faults):
    """Woken by nothing but its clocks."""
    cluster = clusters(broker_args=["--lease", "20s", "--heartbeat", "1s"])
    worker = cluster.worker("zmq", env=faults.env)
    commands, note = noted(tmp_path, "note", "sleep 4; echo done")
    job = cluster.api.submit(commands, maxAttempts="1")
    wait_until(note.exists, 10)
    worker.signal(signal.SIGUSR1)
    worker.wait_event("worker-asleep", 5)
    faults.ahead("boot", 60)
    worker.wait_event("worker-awake", 5)
    status = cluster.api.wait_job(job, 20)
    assert status["status"] == "completed" and status["attempt"] == 1, status
    record.check(cluster, [job])
