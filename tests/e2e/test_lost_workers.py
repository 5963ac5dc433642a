"""How soon a worker that is gone is missed, and who must not be taken for gone."""

import random
import signal
import time

import pytest

from cluster import wait_until


def running_on(cluster, worker_id, **options):
    """A job, and a native client that holds its lease as that worker."""
    job = cluster.api.create("true", **options)
    native = cluster.native()
    native.ask("worker-register", workerId=worker_id, hostname="h", slots=1)
    given = native.ask("job-poll", workerId=worker_id, slot=0, wait=5000)
    assert given["jobId"] == job
    return native, {key: given[key] for key in ("jobId", "attempt", "token")}


def lost_in(cluster, job, seconds):
    """Seconds until the job's first attempt is over."""
    begun = time.monotonic()
    wait_until(lambda: cluster.api.status(job)["attempts"][0]["status"] == "lost", seconds, "the loss")
    return time.monotonic() - begun


def test_one_that_is_killed_is_missed_at_once(cluster, tmp_path):
    """With a lease of a minute."""
    begun = tmp_path / "begun"
    worker = cluster.worker("zmq")
    job = cluster.api.submit(f"echo x >> {begun}; [ $(wc -l < {begun}) = 2 ] || sleep 100")
    wait_until(begun.exists, 10)
    worker.kill()
    assert lost_in(cluster, job, 10) < 6
    attempt = cluster.api.status(job)["attempts"][0]
    assert attempt["reason"] == "worker-lost" and "closed its connection" in attempt["errorMessage"]
    assert cluster.api.worker(attempt["workerId"])["status"] == "offline"
    worker.start()
    assert cluster.api.wait_job(job, 20)["status"] == "completed"


def test_one_that_says_goodbye_is_missed_at_once(cluster):
    native, lease = running_on(cluster, "polite")
    native.ask("worker-goodbye", workerId="polite")
    assert lost_in(cluster, lease["jobId"], 5) < 1


def test_one_that_is_silent_is_missed_when_its_lease_ends(clusters):
    cluster = clusters(broker_args=["--lease", "3s", "--offline", "60s"])
    worker = cluster.worker("zmq")
    job = cluster.api.submit("sleep 100")
    cluster.api.wait_job(job, until=("running",))
    worker.signal(signal.SIGSTOP)
    assert lost_in(cluster, job, 10) < 5
    cluster.api.post("/api/jobs/cancel", {"jobId": job})
    worker.signal(signal.SIGCONT)


def test_one_that_comes_back_keeps_its_lease(cluster):
    """A reset connection, and a new one by which it is heard of."""
    native, lease = running_on(cluster, "back")
    native.open()
    native.ask("job-renew", workerId="back", **lease)
    time.sleep(4)
    assert native.ask("job-renew", workerId="back", **lease)["type"] == "job-renew-ok"
    assert cluster.api.status(lease["jobId"])["status"] == "running"


def test_one_that_sleeps_keeps_its_lease(cluster):
    native, lease = running_on(cluster, "asleep")
    native.ask("worker-sleep", workerId="asleep")
    native.close()
    time.sleep(4)
    assert cluster.api.status(lease["jobId"])["status"] == "running"


def test_the_end_of_a_gateway_is_no_workers_end(cluster):
    cluster.worker("http")
    job = cluster.api.submit("sleep 6; echo done")
    cluster.api.wait_job(job, until=("running",))
    cluster.gateway.kill()
    time.sleep(4)
    cluster.gateway.start()
    status = cluster.api.wait_job(job, 20)
    assert status["status"] == "completed" and status["attempt"] == 1


def test_descriptors_that_are_used_again_confuse_nobody(cluster):
    """Workers that come and go as fast as they can, and among them some that stay: those stay."""
    stay = [running_on(cluster, f"stays-{n}") for n in range(4)]
    dice = random.Random(7)
    end = time.monotonic() + 6
    while time.monotonic() < end:
        passing = [cluster.native() for _ in range(dice.randint(1, 6))]
        for n, native in enumerate(passing):
            if dice.random() < 0.7:
                native.ask("worker-register", workerId=f"passes-{dice.randint(0, 9)}", hostname="h", slots=1)
        for native in dice.sample(passing, len(passing)):
            native.close()
            cluster.closers.remove(native)
        if dice.random() < 0.3:
            at = dice.randrange(4)
            native, lease = stay[at]
            native.open()  # a new descriptor for one that stays, perhaps a used one
            assert native.ask("job-renew", workerId=f"stays-{at}", **lease)["type"] == "job-renew-ok"
    time.sleep(4)
    for n, (native, lease) in enumerate(stay):
        assert native.ask("job-renew", workerId=f"stays-{n}", **lease)["type"] == "job-renew-ok", n

    def online():
        workers = [cluster.api.worker(f"passes-{n}") for n in range(10)]
        return [worker for worker in workers if worker and worker["status"] != "offline"]

    # One whose number was given again within a turn may be held for the new one's: its silence tells (broker/peers.c).
    assert len(online()) <= 2
    wait_until(lambda: not online(), 40, "those that passed to be offline")


@pytest.mark.parametrize("attempts", [1, 2])
def test_what_a_lost_worker_leaves(cluster, attempts):
    native, lease = running_on(cluster, "leaves", maxAttempts=attempts)
    native.close()
    lost_in(cluster, lease["jobId"], 10)
    status = cluster.api.status(lease["jobId"])
    assert status["status"] == ("failed" if attempts == 1 else "pending")
    late = cluster.native().ask("job-result", workerId="leaves", **lease, exitCode=0)
    assert late["code"] == "STALE_ATTEMPT"
    audit = cluster.api.status(lease["jobId"])["attempts"][0]
    assert audit["lateAt"] and audit["lateExitCode"] == 0
