"""The worker: its id, its slots, --once, and how it stops."""

import os
import re
import signal
import time

import pytest

from cluster import wait_until

TRANSPORTS = pytest.mark.parametrize("transport", ["http", "zmq"])
START_MEDIAN_MAX_MS = 600  # far below any polling, with sanitizers and another test beside it; tests/bench has the true figure


def worker_id(worker):
    return re.search(r"worker-ready worker (\S+)", worker.events("worker-ready")[0]).group(1)


@TRANSPORTS
def test_once_runs_one_job_and_ends(cluster, transport):
    jobs = [cluster.api.submit(f"echo {n}") for n in range(2)]
    worker = cluster.worker(transport, "--once")
    assert worker.wait(15) == 0
    assert cluster.api.status(jobs[0])["stdout"] == "0\n"
    assert cluster.api.status(jobs[1])["status"] == "pending"
    assert cluster.api.worker(worker_id(worker))["status"] == "offline"


def test_the_id_lasts_and_can_be_given(cluster):
    folder = cluster.folder / "work"
    worker = cluster.worker("http", folder=folder)
    first = worker_id(worker)
    assert worker.stop() == 0
    worker.start()
    assert worker_id(worker) == first
    assert worker_id(cluster.worker("zmq", "--id", "given", "--hostname", "shown")) == "given"
    assert cluster.api.worker("given")["hostname"] == "shown"
    assert worker_id(cluster.worker("http", env={"WORKER_ID": "from-env", "HOSTNAME": "env-host"})) == "from-env"
    assert cluster.api.worker("from-env")["hostname"] == "env-host"


@TRANSPORTS
def test_sigterm_lets_the_running_job_end_and_says_goodbye(cluster, tmp_path, transport):
    worker = cluster.worker(transport, "--id", "w")
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    job = cluster.api.submit(f"touch {begun}; while [ ! -e {gate} ]; do sleep 0.02; done; echo whole")
    later = cluster.api.submit("echo later")
    wait_until(begun.exists, 10, "the job's start")
    worker.signal()
    worker.wait_event("worker-stopping")
    assert worker.running and cluster.api.status(job)["status"] == "running"
    gate.touch()
    assert worker.wait(10) == 0
    assert cluster.api.status(job)["stdout"] == "whole\n" and cluster.api.status(job)["status"] == "completed"
    assert cluster.api.worker("w")["status"] == "offline", "the broker knows at once"
    assert cluster.api.status(later)["status"] == "pending", "a stopping worker takes nothing new"


@TRANSPORTS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_stops_the_job_and_gives_it_back(cluster, tmp_path, transport, number):
    worker = cluster.worker(transport, "--id", "w")
    note = tmp_path / "pid"
    job = cluster.api.submit(f"echo $$ >> {note}; [ $(wc -l < {note}) -ge 2 ] || sleep 300; echo again")
    wait_until(lambda: note.exists() and note.read_text(), 10, "the job's start")
    worker.signal(number)
    worker.wait_event("worker-stopping")
    worker.signal(number)
    assert worker.wait(15) == 0
    assert not os.path.exists(f"/proc/{note.read_text().split()[0]}")
    status = cluster.api.status(job)
    assert status["status"] == "pending" and cluster.api.worker("w")["status"] == "offline", status
    cluster.worker(transport)
    assert cluster.api.wait_job(job)["stdout"] == "again\n"


@TRANSPORTS
def test_an_idle_worker_stops_at_once(cluster, transport):
    worker = cluster.worker(transport)
    begun = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - begun < 2, "its parked request does not hold it"


@TRANSPORTS
def test_slots_run_side_by_side(cluster, tmp_path, transport):
    """Three jobs wait for each other: with fewer than three slots they would never end."""
    cluster.worker(transport, "--slots", "3", "--id", "w")
    jobs = [cluster.api.submit(f"touch {tmp_path}/{n}; while [ $(ls {tmp_path} | grep -c '^[012]$') -lt 3 ]; do sleep 0.02; done; echo {n}")
            for n in range(3)]
    assert [cluster.api.wait_job(job)["stdout"] for job in jobs] == ["0\n", "1\n", "2\n"]


def test_one_slot_runs_one_job_at_a_time_in_order(cluster, tmp_path):
    cluster.worker("http", "--id", "w")
    note = tmp_path / "note"
    jobs = [cluster.api.submit(f"echo +{n} >> {note}; sleep 0.1; echo -{n} >> {note}") for n in range(4)]
    for job in jobs:
        cluster.api.wait_job(job)
    assert note.read_text().split() == ["+0", "-0", "+1", "-1", "+2", "-2", "+3", "-3"]
    assert cluster.api.worker("w")["status"] == "idle"


@TRANSPORTS
def test_a_waiting_worker_starts_a_job_at_once(cluster, transport):
    cluster.worker(transport)
    cluster.api.wait_job(cluster.api.submit("true"))
    delays = []
    for _ in range(9):
        job = cluster.api.wait_job(cluster.api.submit("date +%s%N"))
        delays.append(int(job["stdout"]) / 1e6 - job["createdAt"])
    assert sorted(delays)[4] < START_MEDIAN_MAX_MS, delays


@TRANSPORTS
def test_a_result_that_was_accepted_is_no_lost_lease(cluster, transport):
    """The renewal that waits at the broker is refused when the result has ended the lease, before that is answered."""
    worker = cluster.worker(transport, "--slots", "4")
    jobs = [cluster.api.submit("sleep 1") for _ in range(8)]
    for job in jobs:
        assert cluster.api.wait_job(job, 20)["status"] == "completed"
    wait_until(lambda: len(worker.events("job-ended")) == 8, 5, "the answers to all results")
    assert all("completed: accepted" in line for line in worker.events("job-ended"))
    assert not worker.events("lease-refused") + worker.events("job-stopped")


def test_a_silent_job_keeps_its_lease(clusters):
    cluster = clusters(broker_args=["--lease", "1s", "--offline", "2s", "--heartbeat", "300ms"])
    cluster.worker("http")
    cluster.worker("zmq")
    jobs = [cluster.api.submit("sleep 3; echo slept") for _ in range(2)]
    for job in jobs:
        status = cluster.api.wait_job(job)
        assert (status["stdout"], status["attempt"]) == ("slept\n", 1)


@TRANSPORTS
def test_a_worker_that_is_cut_off_stops_its_job_when_its_lease_ends(clusters, tmp_path, transport):
    cluster = clusters(broker_args=["--lease", "1s", "--offline", "2s"])
    worker = cluster.worker(transport)
    note = tmp_path / "pid"
    cluster.api.submit(f"echo $$ > {note}; sleep 300")
    wait_until(lambda: note.exists() and note.read_text(), 10, "the job's start")
    cluster.broker.kill()
    wait_until(lambda: not os.path.exists(f"/proc/{note.read_text().strip()}"), 8, "the job's end")
    assert worker.running
    cluster.broker.start()


def test_a_job_sees_a_clean_place(cluster, tmp_path):
    """stdin is empty, no descriptor of the worker's is open, and none of its settings is in the environment."""
    cluster.worker("http", env={"GLEANER_SECRET": "no"})
    job = cluster.api.submit("wc -c\nls /proc/self/fd | wc -l\nenv | grep -c GLEANER_SECRET; true\necho $GLEANER_JOB_ID")
    empty, descriptors, secrets, name = cluster.api.wait_job(job)["stdout"].split()
    assert (empty, descriptors, secrets, name) == ("0", "4", "0", job)


@TRANSPORTS
def test_a_project_that_comes_again_is_not_downloaded_again(cluster, transport):
    """Nor, small as it is, unpacked again from the third job on. Each has the files as they were sent, whatever the ones before it did to theirs."""
    url = cluster.api.upload({"run.sh": b"#!/bin/sh\ncat data/a.txt\n", "data/a.txt": b"as sent\n", "empty/": b""})
    worker = cluster.worker(transport)
    show = "stat -c '%A %n' $(find . -mindepth 1 | sort); cat data/a.txt; echo spoilt > data/a.txt; rm -r empty run.sh; touch data/new"
    jobs = [cluster.api.wait_job(cluster.api.create(show, file_url=url)) for _ in range(4)]
    assert "as sent" in jobs[0]["stdout"] and "drwxr-xr-x ./empty" in jobs[0]["stdout"] and "spoilt" not in jobs[0]["stdout"]
    assert {job["stdout"] for job in jobs} == {jobs[0]["stdout"]}
    assert [job["bytesIn"] > 0 for job in jobs] == [True, False, False, False]
    assert worker.running
