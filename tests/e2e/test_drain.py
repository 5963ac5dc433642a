"""Draining: a worker that is given no new job, over both transports, and what it tells of its machine."""

import pytest

from cluster import wait_until


def entry(cluster, worker):
    return cluster.api.worker(worker)


def drain(cluster, worker):
    answer = cluster.api.post("/api/workers/drain", {"workerId": worker})
    assert answer.status == 200 and answer["success"] is True and answer["workerId"] == worker, answer
    return answer["runningJobs"]


def resume(cluster, worker):
    answer = cluster.api.post("/api/workers/resume", {"workerId": worker})
    assert answer.status == 200 and answer["success"] is True and answer["workerId"] == worker, answer


@pytest.mark.parametrize("transport", ["http", "zmq"])
def test_what_runs_goes_on_and_nothing_new_comes(cluster, transport):
    cluster.worker(transport, "--id", "w", "--slots", "2")
    go = cluster.folder / "go"
    job = cluster.api.submit(f"while [ ! -e {go} ]; do sleep 0.05; done\necho done")
    cluster.api.wait_job(job, until=("running",))
    assert drain(cluster, "w") == 1 and entry(cluster, "w")["draining"] is True
    waits = cluster.api.submit("echo later")
    assert cluster.api.status(waits)["waitingReason"] == "all-draining"
    assert "draining" in cluster.api.status(waits)["waiting"]
    go.touch()
    ended = cluster.api.wait_job(job)
    assert (ended["status"], ended["stdout"], ended["attempt"]) == ("completed", "done\n", 1)
    assert cluster.api.status(waits)["status"] == "pending"
    assert drain(cluster, "w") == 0  # once more is the same
    resume(cluster, "w")
    assert cluster.api.wait_job(waits)["stdout"] == "later\n"
    assert not entry(cluster, "w").get("draining")


def test_it_outlives_restarts_of_broker_and_worker(cluster):
    worker = cluster.worker("zmq", "--id", "w")
    drain(cluster, "w")
    cluster.broker.kill()
    cluster.broker.start()
    wait_until(lambda: cluster.api.get("/api/workers/list").status == 200, 10)
    assert entry(cluster, "w")["draining"] is True
    assert worker.stop() == 0
    worker.start()
    job = cluster.api.submit("echo hello")
    assert cluster.api.status(job)["waitingReason"] == "all-draining" and entry(cluster, "w")["draining"] is True
    resume(cluster, "w")
    assert cluster.api.wait_job(job)["stdout"] == "hello\n"


def test_the_other_worker_takes_it(cluster):
    cluster.worker("http", "--id", "a")
    drain(cluster, "a")
    cluster.worker("zmq", "--id", "b")
    assert cluster.api.wait_job(cluster.api.submit("true"))["workerId"] == "b"


def test_direct_mode_needs_one_that_does_not_drain(cluster):
    cluster.worker("http", "--id", "w")
    drain(cluster, "w")
    answer = cluster.api.execute("true", mode="direct")
    assert answer.status == 503 and answer["code"] == "NO_DIRECT_WORKER"


def test_agents_that_share_an_address_drain_with_one_of_them(cluster):
    api = cluster.api
    for name in ("a", "b"):
        api.post("/api/workers/register", {"workerId": name, "hostname": "h"})
    drain(cluster, "a")
    job = api.create()
    assert api.get("/api/jobs/get-job").status == 202  # who is it that asks?
    assert api.get("/api/jobs/get-job?workerId=a").status == 202
    assert api.get("/api/jobs/get-job?workerId=b")["job"]["jobId"] == job


@pytest.mark.parametrize("call", ["drain", "resume"])
def test_whom_nobody_knows(cluster, call):
    for body, status, code in (({"workerId": "nobody"}, 404, "NO_SUCH_WORKER"), ({}, 400, "MISSING_FIELD"),
                               ({"workerId": ""}, 400, "MISSING_FIELD"), ({"workerId": "x" * 129}, 400, "SCHEMA")):
        answer = cluster.api.post(f"/api/workers/{call}", body)
        assert answer.status == status and answer["code"] == code, answer
    assert cluster.native().ask(f"worker-{call}", workerId="nobody")["code"] == "NO_SUCH_WORKER"


@pytest.mark.parametrize("transport", ["http", "zmq"])
def test_load_and_memory(clusters, transport):
    cluster = clusters(broker_args=["--heartbeat", "200ms"])
    cluster.worker(transport, "--id", "w")
    total = int(next(line for line in open("/proc/meminfo") if line.startswith("MemTotal:")).split()[1]) * 1024
    shown = entry(cluster, "w")
    assert shown["memoryBytes"] == total and 0 < shown["memoryFreeBytes"] <= total and shown["loadPercent"] >= 0
    wait_until(lambda: entry(cluster, "w")["memoryFreeBytes"] != shown["memoryFreeBytes"], 30, "another figure by a heartbeat")
    cluster.workers[0].stop()
    gone = entry(cluster, "w")
    assert gone["status"] == "offline" and gone.get("loadPercent") is None and gone.get("memoryBytes") is None


def test_an_old_agent_tells_nothing(cluster):
    cluster.api.post("/api/workers/register", {"workerId": "old", "hostname": "h"})
    shown = entry(cluster, "old")
    assert shown.get("loadPercent") is None and not shown.get("draining")
    odd = cluster.api.post("/api/workers/heartbeat", {"workerId": "old", "loadPercent": -1})
    assert odd.status == 400 and odd["field"] == "loadPercent"
