"""The whole record, held against what must be true of it whatever has happened (the invariants of a test's end)."""

import hashlib
import subprocess

from cluster import BIN

FINAL = ("completed", "failed")
ENDED = ("completed", "failed", "lost", "cancelled")

# What takes a database back to the schema before today's.
BACK_TO_6 = ("DROP INDEX attempt_over", "DROP TABLE hook", "DROP TABLE job_delta", "PRAGMA user_version = 6")


def jobs_of(cluster):
    """Every job there is, by id, as the lists show them."""
    found, cursor = {}, ""
    while True:
        page = cluster.api.get(f"/api/jobs?limit=200{cursor}").json
        for job in page["jobs"]:
            assert job["jobId"] not in found, "a job stands twice in the list"
            found[job["jobId"]] = job
        if not page["cursor"]:
            assert len(found) == page["total"]
            return found
        cursor = f"&cursor={page['cursor']}"


def check_attempts(job):
    attempts = job["attempts"]
    numbers = [attempt["attempt"] for attempt in attempts]
    assert numbers == list(range(1, job["attempt"] + 1)) and job["attempt"] <= job["maxAttempts"], job
    done = [attempt for attempt in attempts if attempt["status"] == "completed"]
    assert len(done) == (job["status"] == "completed"), job
    assert not done or done[0]["attempt"] == job["attempt"], job
    for attempt in attempts[:-1]:
        assert attempt["status"] in ENDED and attempt["reason"] and attempt["errorMessage"], job
    if attempts and job["status"] in FINAL:
        assert attempts[-1]["status"] in ENDED and attempts[-1]["completedAt"], job


def check_output(cluster, job):
    for stream in ("stdout", "stderr", "journal"):
        if job[f"{stream}Sha256"] is None:
            continue
        answer = cluster.api.get(f"/api/jobs/output?jobId={job['jobId']}&stream={stream}")
        assert answer.status == 200 and len(answer.body) == job[f"{stream}Bytes"], (job, answer)
        assert hashlib.sha256(answer.body).hexdigest() == job[f"{stream}Sha256"], job


def check_job(cluster, job):
    check_attempts(job)
    check_output(cluster, job)
    if job["status"] in FINAL:
        assert job["completedAt"] and not job["waiting"], job
    if job["status"] == "failed":
        assert job["reason"] and job["errorMessage"], job
    if job["status"] == "completed":
        assert job["exitCode"] == 0 and not job["reason"] and job["workerId"], job
    if job["status"] == "pending":
        assert job["waiting"] and job["waitingReason"], job


def check(cluster, acknowledged=(), all_final=True):
    """Asserts all of it, ends the cluster, and asserts that its data directory is sound. Returns the jobs."""
    jobs = jobs_of(cluster)
    lost = set(acknowledged) - set(jobs)
    assert not lost, f"{len(lost)} acknowledged jobs are lost: {sorted(lost)[:5]}"
    for job in jobs.values():
        check_job(cluster, cluster.api.status(job["jobId"]))
        assert not all_final or job["status"] in FINAL, job
    info = cluster.api.get("/api/info").json
    assert info["pendingJobs"] == sum(job["status"] == "pending" for job in jobs.values())
    assert info["runningJobs"] == sum(job["status"] == "running" for job in jobs.values())
    cluster.stop()
    sound = subprocess.run([BIN / "gleaner-broker", "--check", "--data", cluster.broker.args[3]], capture_output=True, text=True)
    assert sound.returncode == 0, sound.stdout + sound.stderr
    return jobs
