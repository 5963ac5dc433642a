"""Why a job or an attempt died, with what shows it; what an ended attempt printed stays to be read."""

from cluster import wait_until


def lose_an_attempt(cluster, *commands, **options):
    """A job whose first attempt printed something and was lost with its worker; it waits for its second."""
    worker = cluster.worker("zmq")
    job = cluster.api.submit("\n".join([*commands, "sleep 100"]), backoffMs="600000", **options)
    wait_until(lambda: cluster.api.status(job)["stderr"], 10, "the output")
    worker.kill()
    wait_until(lambda: cluster.api.status(job)["status"] == "pending", 10, "the loss")
    return job


def test_a_lost_attempt_shows_its_last_lines(cluster):
    job = lose_an_attempt(cluster, "echo all is well", "echo the disk is on fire >&2")
    status = cluster.api.status(job)
    attempt = status["attempts"][0]
    assert attempt["status"] == "lost" and attempt["reason"] == "worker-lost" and attempt["workerId"] and attempt["startedAt"]
    assert attempt["lastLines"] == "the disk is on fire"
    assert status["waitingReason"] == "backing-off"


def test_what_an_attempt_printed_outlives_a_cancel_between_attempts(cluster):
    job = lose_an_attempt(cluster, "echo precious", "echo words >&2")
    cluster.api.post("/api/jobs/cancel", {"jobId": job})
    assert cluster.api.status(job)["reason"] == "cancelled"
    assert cluster.api.get(f"/api/jobs/output?jobId={job}&attempt=1").body == b"precious\n"
    assert cluster.api.get(f"/api/jobs/output?jobId={job}&attempt=1&stream=stderr").body == b"words\n"
    assert cluster.api.status(job)["attempts"][0]["lastLines"] == "words"


def test_an_attempt_that_failed_and_is_tried_again(cluster):
    cluster.worker("http")
    job = cluster.api.submit("echo try; echo no >&2; exit 5", retryOnExit="5", maxAttempts="3", backoffMs="600000")
    wait_until(lambda: cluster.api.status(job)["waitingReason"] == "backing-off", 10)
    attempt = cluster.api.status(job)["attempts"][0]
    assert (attempt["status"], attempt["reason"], attempt["exitCode"], attempt["lastLines"]) == ("failed", "exit-nonzero", 5, "no")
    cluster.api.post("/api/jobs/cancel", {"jobId": job})
    assert cluster.api.get(f"/api/jobs/output?jobId={job}&attempt=1").body == b"try\n"


def test_the_attempt_that_ended_the_job_shows_its_last_lines(cluster):
    cluster.worker("http")
    job = cluster.api.submit("echo why >&2; exit 4")
    status = cluster.api.wait_job(job)
    assert status["lastLines"] == status["attempts"][0]["lastLines"] == "why"


def test_a_cancelled_attempt_is_no_lost_one(cluster):
    cluster.worker("http")
    job = cluster.api.submit("sleep 100")
    cluster.api.wait_job(job, until=("running",))
    cluster.api.post("/api/jobs/cancel", {"jobId": job})
    assert cluster.api.status(job)["attempts"][0]["status"] == "cancelled"


def test_a_late_result_says_how_it_ended(cluster):
    native = cluster.native()
    job = cluster.api.create("true", maxAttempts=1)
    native.ask("worker-register", workerId="late", hostname="h", slots=1)
    given = native.ask("job-poll", workerId="late", slot=0, wait=5000)
    lease = {key: given[key] for key in ("jobId", "attempt", "token")}
    native.ask("worker-goodbye", workerId="late")
    assert native.ask("job-result", workerId="late", **lease, exitCode=7)["code"] == "STALE_ATTEMPT"
    attempt = cluster.api.status(job)["attempts"][0]
    assert attempt["lateAt"] and attempt["lateExitCode"] == 7 and attempt["lateReason"] == "exit-nonzero"


def test_a_jobs_own_back_off_outlives_a_restart(cluster):
    job = lose_an_attempt(cluster, "echo x >&2")
    before = cluster.api.status(job)["notBefore"]
    cluster.broker.kill()
    cluster.broker.start()
    wait_until(lambda: cluster.api.get("/api/info").status == 200, 10)
    status = cluster.api.status(job)
    assert status["notBefore"] == before and int(status["waiting"].split(" in ")[1].split()[0]) > 300, status


def test_a_worker_that_is_asleep_is_why_a_job_waits(cluster):
    native = cluster.native()
    native.ask("worker-register", workerId="tired", hostname="h", slots=1)
    native.ask("worker-sleep", workerId="tired")
    status = cluster.api.status(cluster.api.create("true"))
    assert status["waitingReason"] == "all-asleep" and "asleep" in status["waiting"]


def test_an_empty_key_is_no_key(cluster):
    native = cluster.native()
    ids = {native.ask("job-create", command=f"echo {n}", fileUrl="/uploads/x.zip", filename="x.zip", idempotencyKey="")["jobId"]
           for n in range(2)}
    assert len(ids) == 2
