"""kill -9 and the way back: nothing acknowledged is lost, every job ends with the right output."""

import concurrent.futures
import threading
import time

import pytest

from cluster import wait_until
from zips import zip_of

JOBS = 200


def submit_many(cluster, count, clients=4):
    """Job ids by number; each thread keeps trying until its submission is acknowledged."""
    archive = zip_of({"a.txt": "x"})

    def some(first):
        client = cluster.client()
        ids = {}
        for n in range(first, count, clients):
            end = time.monotonic() + 60
            while n not in ids:
                assert time.monotonic() < end
                try:
                    answer = client.execute(f"echo out-{n}; echo err-{n} >&2; sleep 0.02", data=archive)
                except OSError:  # the gateway is being killed: whether it took the job is not known
                    time.sleep(0.05)
                    continue
                if answer.status == 200:
                    ids[n] = answer["jobId"]
                else:
                    assert answer.status == 503 and answer.headers["Retry-After"], answer
                    time.sleep(0.05)
        return ids

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        return {n: job for part in pool.map(some, range(clients)) for n, job in part.items()}


def ended(cluster):
    """Jobs that are over; None while nobody answers."""
    try:
        info = cluster.api.get("/api/info")
    except OSError:
        return None
    if info.status != 200:
        return None
    return info["totalJobs"] - info["pendingJobs"] - info["runningJobs"]


def test_kill_9_of_each_program_in_the_middle_of_200_jobs(clusters):
    cluster = clusters(broker_args=["--lease", "3s", "--offline", "4s"])
    workers = [cluster.worker("http", "--slots", "2"), cluster.worker("zmq", "--slots", "2")]
    jobs = {}
    submitter = threading.Thread(target=lambda: jobs.update(submit_many(cluster, JOBS)))
    submitter.start()
    victims = [cluster.broker, workers[0], cluster.gateway, workers[1], cluster.broker]
    for round, victim in enumerate(victims):
        wait_until(lambda: (ended(cluster) or 0) >= 20 * (round + 1), 60, "progress")
        victim.kill()
        victim.start()
    submitter.join(120)
    assert len(jobs) == JOBS
    for n, job in jobs.items():
        status = cluster.api.wait_job(job, 60)
        assert (status["status"], status["stdout"], status["stderr"]) == ("completed", f"out-{n}\n", f"err-{n}\n"), status
    info = cluster.api.get("/api/info").json
    assert info["pendingJobs"] == info["runningJobs"] == 0


def test_the_broker_is_away_and_back(cluster):
    """503 with Retry-After within 2 s, and service by itself when it is back."""
    before = cluster.api.create("echo 1")
    cluster.broker.kill()
    for method, path, body in (("GET", f"/api/jobs/status?jobId={before}", None), ("GET", "/api/workers/list", None),
                               ("POST", "/api/workers/register", {"workerId": "w", "hostname": "h"}),
                               ("POST", "/api/jobs/create", {"command": "true", "fileUrl": "/uploads/x.zip", "filename": "x.zip"})):
        begun = time.monotonic()
        answer = cluster.api.request(method, path, body)
        assert answer.status == 503 and answer["code"] == "BROKER_UNAVAILABLE" and answer["error"], (path, answer)
        assert int(answer.headers["Retry-After"]) >= 1
        assert time.monotonic() - begun < 2, path
    answer = cluster.api.execute("true")
    assert answer.status == 503 and answer.headers["Retry-After"]
    assert cluster.api.get("/").status == 200, "the page needs no broker"
    cluster.broker.start()
    wait_until(lambda: cluster.api.get("/api/workers/list").status == 200, 5, "the gateway's return")
    assert cluster.api.status(before)["status"] == "pending"


def test_a_gateway_may_start_before_its_broker(clusters):
    cluster = clusters()
    cluster.broker.kill()
    cluster.gateway.kill()
    cluster.gateway.start()
    assert cluster.api.get("/api/workers/list").status == 503
    cluster.broker.start()
    wait_until(lambda: cluster.api.get("/api/workers/list").status == 200, 5, "the gateway's connection")


@pytest.mark.parametrize("transport", ["http", "zmq"])
def test_a_running_job_outlives_its_broker(cluster, tmp_path, transport):
    """Its lease is there again after the restart, its output goes on, and it is started once."""
    cluster.worker(transport)
    gate, starts = tmp_path / "gate", tmp_path / "starts"
    job = cluster.api.submit(f"echo x >> {starts}; echo before; while [ ! -e {gate} ]; do sleep 0.05; done; echo after")
    wait_until(lambda: cluster.api.status(job)["stdout"] == "before\n", 10, "the first output")
    cluster.broker.kill()
    cluster.broker.start()
    wait_until(lambda: cluster.api.get("/api/workers/list").status == 200, 5)
    assert cluster.api.status(job)["status"] == "running"
    gate.touch()
    status = cluster.api.wait_job(job, 30)
    assert (status["status"], status["stdout"], status["attempt"]) == ("completed", "before\nafter\n", 1)
    assert starts.read_text() == "x\n"


@pytest.mark.parametrize("transport, victim", [("http", "broker"), ("zmq", "broker"), ("http", "gateway")])
def test_a_result_is_kept_while_nobody_takes_it(cluster, tmp_path, transport, victim):
    """The job ends while the broker, or the gateway, is away: it is not run again."""
    cluster.worker(transport)
    gate, over, begun = tmp_path / "gate", tmp_path / "over", tmp_path / "begun"
    job = cluster.api.submit(f"touch {begun}; while [ ! -e {gate} ]; do sleep 0.02; done; echo result; echo x >> {over}")
    wait_until(begun.exists, 10, "the job's start")
    away = getattr(cluster, victim)
    away.kill()
    gate.touch()
    wait_until(over.exists, 10, "the job's end")
    away.start()
    status = cluster.api.wait_job(job, 40)
    assert (status["status"], status["stdout"], status["attempt"]) == ("completed", "result\n", 1)
    assert over.read_text() == "x\n"


def test_a_result_outlives_its_worker(cluster, tmp_path):
    """Worker and broker are both killed after the job's end: the result is on the worker's disk and is sent later."""
    worker = cluster.worker("zmq")
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    job = cluster.api.submit(f"touch {begun}; while [ ! -e {gate} ]; do sleep 0.02; done; seq 100000")
    wait_until(begun.exists, 10, "the job's start")
    cluster.broker.kill()
    gate.touch()
    wait_until(lambda: list((worker.folder / "spool").glob("*/result")), 10, "the kept result")
    worker.kill()
    cluster.broker.start()
    worker.start()
    status = cluster.api.wait_job(job, 30)
    assert status["status"] == "completed" and status["attempt"] == 1, status
    output = cluster.api.get(f"/api/jobs/output?jobId={job}&stream=stdout").body
    assert output == b"".join(b"%d\n" % n for n in range(1, 100_001))


@pytest.mark.parametrize("transport", ["http", "zmq"])
def test_a_worker_can_be_stopped_while_the_broker_is_away(cluster, transport):
    """The broker goes away around a download that fails: whatever is still to be said is not waited for without end."""
    worker = cluster.worker(transport)
    job = cluster.api.create("true", f"http://127.0.0.1:{cluster.port}/api/jobs/get-job?wait=60000")
    cluster.api.wait_job(job, until=("running", "failed"))
    cluster.broker.kill()
    assert worker.stop(15) == 0
    cluster.broker.start()


def test_a_killed_workers_job_runs_again_and_its_processes_are_gone(clusters, tmp_path):
    cluster = clusters(broker_args=["--lease", "1s", "--offline", "2s"])
    first = cluster.worker("http")
    note = tmp_path / "note"
    job = cluster.api.submit(f"echo run >> {note}; [ $(wc -l < {note}) -ge 2 ] || sleep 300; echo done")
    wait_until(note.exists, 10, "the first start")
    first.kill()
    cluster.worker("http")
    status = cluster.api.wait_job(job, 30)
    assert (status["status"], status["attempt"], status["stdout"]) == ("completed", 2, "done\n")


def test_a_job_with_one_attempt_starts_at_most_once(clusters, tmp_path):
    cluster = clusters(broker_args=["--lease", "1s", "--offline", "2s"])
    worker = cluster.worker("http")
    note = tmp_path / "note"
    job = cluster.api.submit(f"echo run >> {note}; sleep 300", maxAttempts="1")
    wait_until(note.exists, 10, "the start")
    worker.kill()
    worker.start()
    status = cluster.api.wait_job(job, 30)
    assert (status["status"], status["reason"]) == ("failed", "worker-lost") and status["errorMessage"]
    assert note.read_text() == "run\n"


def test_final_states_and_output_survive(cluster):
    cluster.worker("http")
    before = [cluster.api.wait_job(cluster.api.submit(f"seq {n}; exit {n % 2}")) for n in (1, 10, 50_000)]
    cancelled = cluster.api.create(delayMs=60_000)  # no worker has it: nothing more will be told of it
    cluster.api.post("/api/jobs/cancel", {"jobId": cancelled})
    before.append(cluster.api.status(cancelled))
    cluster.broker.kill()
    cluster.broker.start()
    wait_until(lambda: cluster.api.get("/api/workers/list").status == 200, 5)
    assert [cluster.api.status(status["jobId"]) for status in before] == before


def test_the_queue_keeps_its_order(cluster):
    jobs = [cluster.api.create(f"echo {n}") for n in range(10)]
    cluster.broker.kill()
    cluster.broker.start()
    wait_until(lambda: cluster.api.get("/api/workers/list").status == 200, 5)
    cluster.api.post("/api/workers/register", {"workerId": "w", "hostname": "h"})
    assert [cluster.api.get("/api/jobs/get-job?workerId=w")["job"]["jobId"] for _ in jobs] == jobs
