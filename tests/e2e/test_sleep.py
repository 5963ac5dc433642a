"""A lent machine that goes to sleep: its jobs wait for it, and go on when it wakes."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from cluster import wait_until

TRANSPORTS = pytest.mark.parametrize("transport", ["http", "zmq"])
LIB = pathlib.Path(__file__).resolve().parents[1] / "lib"
SHORT = ["--lease", "3s", "--offline", "6s", "--heartbeat", "1s"]
ASLEEP_S = 8  # longer than a lease, and than what the worker takes for a pause


@pytest.fixture
def begun(tmp_path):
    return tmp_path / "begun"


def start_job(cluster, begun, seconds):
    job = cluster.api.submit(f"echo x >> {begun}; sleep {seconds}; echo slept", maxAttempts="1")
    wait_until(begun.exists, 10, "the job's start")
    return job


@TRANSPORTS
def test_the_same_attempt_goes_on_after_sleep(clusters, begun, transport):
    cluster = clusters(broker_args=SHORT)
    worker = cluster.worker(transport, "--id", "w")
    job = start_job(cluster, begun, ASLEEP_S + 3)
    worker.signal(signal.SIGUSR1)
    assert "kept for" in worker.wait_event("worker-asleep")
    worker.signal(signal.SIGSTOP)
    time.sleep(ASLEEP_S)
    status = cluster.api.status(job)
    assert status["status"] == "running", status
    worker.signal(signal.SIGCONT)
    worker.wait_event("worker-awake", 3)
    status = cluster.api.wait_job(job)
    assert status["status"] == "completed" and status["stdout"] == "slept\n" and status["attempt"] == 1, status
    assert begun.read_text() == "x\n"
    assert cluster.api.wait_job(cluster.api.submit("echo next"))["stdout"] == "next\n"


def test_without_a_word_the_lease_runs_out(clusters, begun):
    """The control: the same pause, not announced, ends the attempt."""
    cluster = clusters(broker_args=SHORT)
    worker = cluster.worker("zmq", "--id", "w")
    job = start_job(cluster, begun, 300)
    worker.signal(signal.SIGSTOP)
    status = cluster.api.wait_job(job, ASLEEP_S)
    assert status["status"] == "failed", status
    worker.signal(signal.SIGCONT)
    worker.wait_event("job-stopped")


@TRANSPORTS
def test_a_worker_that_is_told_so_is_awake_at_once(clusters, transport):
    cluster = clusters(broker_args=SHORT)
    worker = cluster.worker(transport, "--id", "w")
    worker.signal(signal.SIGUSR1)
    worker.wait_event("worker-asleep")
    job = cluster.api.submit("echo woken")
    time.sleep(1)
    assert cluster.api.status(job)["status"] == "pending", "one that sleeps asks for nothing"
    worker.signal(signal.SIGUSR2)
    worker.wait_event("worker-awake")
    assert cluster.api.wait_job(job, 5)["stdout"] == "woken\n"


def test_a_job_that_ends_wakes_it(clusters, begun):
    cluster = clusters(broker_args=SHORT)
    worker = cluster.worker("zmq", "--id", "w")
    job = start_job(cluster, begun, 2)
    worker.signal(signal.SIGUSR1)
    worker.wait_event("worker-asleep")
    assert cluster.api.wait_job(job, 10)["stdout"] == "slept\n"
    worker.wait_event("worker-awake")


def test_sleep_while_the_broker_is_away_does_no_harm(cluster):
    worker = cluster.worker("zmq", "--id", "w")
    cluster.broker.kill()
    worker.signal(signal.SIGUSR1)
    assert "not kept" in worker.wait_event("worker-asleep", 5)
    cluster.broker.start()
    worker.signal(signal.SIGUSR2)
    worker.wait_event("worker-awake")
    assert cluster.api.wait_job(cluster.api.submit("echo back"))["stdout"] == "back\n"


def test_a_sleeping_worker_can_be_stopped(cluster):
    worker = cluster.worker("http", "--id", "w")
    worker.signal(signal.SIGUSR1)
    worker.wait_event("worker-asleep")
    assert worker.stop(5) == 0
    assert cluster.api.worker("w")["status"] == "offline"


class Logind:
    """A bus of the test's own with tests/lib/fake_logind.py on it."""

    def __init__(self):
        self.bus = subprocess.Popen(["dbus-daemon", "--session", "--nofork", "--print-address"], stdout=subprocess.PIPE, text=True)
        self.env = {"DBUS_SYSTEM_BUS_ADDRESS": self.bus.stdout.readline().strip()}
        self.logind = subprocess.Popen([sys.executable, LIB / "fake_logind.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       text=True, env={**os.environ, **self.env})
        assert self.hear() == "ready"

    def hear(self):
        return self.logind.stdout.readline().strip()

    def say(self, word):
        print(word, file=self.logind.stdin, flush=True)

    def close(self):
        for process in (self.logind, self.bus):
            process.kill()
            process.communicate()


def test_logind_waits_until_the_broker_knows(clusters, begun):
    cluster = clusters(broker_args=SHORT)
    logind = cluster.on_close(Logind())
    worker = cluster.worker("http", "--id", "w", env=logind.env)
    assert logind.hear() == "locked"
    job = start_job(cluster, begun, 6)
    logind.say("sleep")
    assert logind.hear() == "released"
    assert "kept for" in worker.wait_event("worker-asleep", 1)
    time.sleep(4)
    assert cluster.api.status(job)["status"] == "running", "longer than a lease"
    logind.say("wake")
    worker.wait_event("worker-awake", 2)
    assert logind.hear() == "locked", "for the next time"
    status = cluster.api.wait_job(job)
    assert status["status"] == "completed" and status["attempt"] == 1, status
