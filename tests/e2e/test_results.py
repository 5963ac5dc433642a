"""How a job ends: once, by its holder, with its exit code, its signal and every byte of its output."""

import os

import pytest

from cluster import wait_until


def leased(cluster, worker="w"):
    """A native client and the lease of a new job."""
    native = cluster.native()
    native.ask("worker-register", workerId=worker, hostname="h", slots=1)
    job = cluster.api.create(maxAttempts=2)
    got = native.ask("job-poll", workerId=worker, slot=0)
    return native, {"jobId": job, "workerId": worker, "attempt": got["attempt"], "token": got["token"]}


def test_a_result_from_the_wrong_worker_is_403(cluster):
    api = cluster.api
    for name in ("a", "b"):
        api.post("/api/workers/register", {"workerId": name, "hostname": "h"})
    job = api.create()
    assert api.get("/api/jobs/get-job?workerId=a")["job"]["jobId"] == job
    for method in ("POST", "PUT"):
        answer = api.request(method, "/api/jobs/submit-result", {"jobId": job, "workerId": "b", "exitCode": 0})
        assert answer.status == 403 and answer["code"] == "NOT_LEASE_HOLDER"
    assert api.status(job)["status"] == "running"


def test_a_result_for_a_job_that_nobody_holds_is_403(cluster):
    cluster.api.post("/api/workers/register", {"workerId": "a", "hostname": "h"})
    job = cluster.api.create()
    assert cluster.api.post("/api/jobs/submit-result", {"jobId": job, "workerId": "a", "exitCode": 0}).status == 403
    assert cluster.api.status(job)["status"] == "pending"


def test_a_second_result_is_refused_and_changes_nothing(cluster):
    api = cluster.api
    api.post("/api/workers/register", {"workerId": "a", "hostname": "h"})
    job = api.create()
    api.get("/api/jobs/get-job?workerId=a")
    assert api.post("/api/jobs/submit-result", {"jobId": job, "workerId": "a", "exitCode": 0, "stdout": "first"}).status == 200
    ended = api.status(job)
    second = {"jobId": job, "workerId": "a", "exitCode": 9, "stdout": "second", "errorMessage": "no"}
    assert api.post("/api/jobs/submit-result", second).status in (403, 409)
    assert api.put("/api/jobs/submit-result", second).status in (403, 409)
    assert api.post("/api/jobs/stream-output", {"jobId": job, "type": "stdout", "data": "more"}).status in (403, 409)
    api.post("/api/jobs/cancel", {"jobId": job})
    assert api.status(job) == ended


def test_the_same_result_again_gets_the_same_answer(cluster):
    native, lease = leased(cluster)
    first = native.ask("job-result", **lease, exitCode=3, stdout=b"out")
    ended = cluster.api.status(lease["jobId"])
    assert first["type"] == "job-result-ok" and native.ask("job-result", **lease, exitCode=3, stdout=b"out") == first
    assert cluster.api.status(lease["jobId"]) == ended


@pytest.mark.parametrize("wrong", [{"token": "0" * 32}, {"attempt": 2}, {"token": "0" * 32, "attempt": 7}])
def test_another_leases_token_is_stale(cluster, wrong):
    native, lease = leased(cluster)
    for type, fields in (("job-result", {"exitCode": 0}), ("job-fail", {}), ("job-renew", {}), ("job-return", {}),
                         ("job-output", {"stream": "stdout", "offset": 0, "data": b"x"})):
        answer = native.ask(type, **{**lease, **wrong}, **fields)
        assert answer["type"] == "error" and answer["code"] == "STALE_ATTEMPT", (type, answer)
    assert cluster.api.status(lease["jobId"])["status"] == "running"


def test_a_lease_that_is_returned_does_not_count(cluster):
    native, lease = leased(cluster)
    assert native.ask("job-return", **lease)["type"] == "job-return-ok"
    status = cluster.api.status(lease["jobId"])
    assert status["status"] == "pending" and not status["attempt"]
    assert native.ask("job-result", **lease, exitCode=0)["code"] == "STALE_ATTEMPT"


def test_a_lease_that_runs_out_is_another_attempt_and_then_the_end(clusters):
    cluster = clusters(broker_args=["--lease", "500ms", "--offline", "60s", "--retry-backoff", "100ms"])
    native, lease = leased(cluster)
    status = wait_until(lambda: (s := cluster.api.status(lease["jobId"]))["status"] == "pending" and s, 10)
    assert status["attempt"] == 1
    late = native.ask("job-result", **lease, exitCode=0, stdout=b"late")
    assert late["code"] == "STALE_ATTEMPT"
    assert native.ask("job-poll", workerId="w", slot=0, wait=5000)["attempt"] == 2
    status = cluster.api.wait_job(lease["jobId"])
    assert (status["status"], status["reason"], status["exitCode"]) == ("failed", "worker-lost", None) and status["errorMessage"]


def test_output_is_complete_before_a_result_counts(cluster):
    native, lease = leased(cluster)
    native.ask("job-output", **lease, stream="stdout", offset=0, data=b"12345")
    gap = native.ask("job-output", **lease, stream="stdout", offset=9, data=b"x")
    assert (gap["code"], gap["offset"]) == ("OUTPUT_GAP", 5)
    short = native.ask("job-result", **lease, exitCode=0, stdoutBytes=9, stderrBytes=0)
    assert (short["code"], short["stream"], short["offset"]) == ("OUTPUT_MISMATCH", "stdout", 5)
    assert native.ask("job-output", **lease, stream="stdout", offset=3, data=b"456789")["offset"] == 9
    assert native.ask("job-result", **lease, exitCode=0, stdoutBytes=9, stderrBytes=0)["type"] == "job-result-ok"
    assert cluster.api.status(lease["jobId"])["stdout"] == "123456789"


# ---- as our own worker reports it ----


@pytest.mark.parametrize("commands, code, stdout", [
    ("true", 0, ""), ("exit 255", 255, ""), ("echo 1\nfalse\necho 2", 1, "1\n"), ("echo 1\n\necho 2", 0, "1\n2\n"),
    ("no-such-program", 127, ""), ("cat", 0, ""), ("echo \"$0\" | wc -l", 0, "1\n"), ("cd / && pwd\npwd | grep -c jobs", 0, "/\n1\n")])
def test_exit_codes_and_order(at_work, commands, code, stdout):
    status = at_work.api.wait_job(at_work.api.submit(commands))
    assert (status["exitCode"], status["stdout"]) == (code, stdout)
    assert status["status"] == ("completed" if code == 0 else "failed")
    assert status["reason"] == (None if code == 0 else "exit-nonzero")


def test_a_signal_is_told_apart(at_work):
    status = at_work.api.wait_job(at_work.api.submit("echo before; kill -KILL $$"))
    assert (status["status"], status["exitCode"], status["reason"], status["stdout"]) == ("failed", 137, "signal", "before\n")


def test_both_streams_apart_and_in_order(at_work):
    status = at_work.api.wait_job(at_work.api.submit("for i in $(seq 500); do echo o$i; echo e$i >&2; done"))
    assert status["stdout"].split() == [f"o{n}" for n in range(1, 501)]
    assert status["stderr"].split() == [f"e{n}" for n in range(1, 501)]


def test_output_is_bytes(at_work):
    content = os.urandom(100_000) + b"\0\xff\xfe end"
    job = at_work.api.submit("cat b.bin; cat b.bin >&2", {"b.bin": content})
    status = at_work.api.wait_job(job)
    assert (status["stdoutBytes"], status["stderrBytes"]) == (len(content), len(content))
    for stream in ("stdout", "stderr"):
        assert at_work.api.get(f"/api/jobs/output?jobId={job}&stream={stream}").body == content
    assert at_work.api.get(f"/api/jobs/output?jobId={job}&stream=stdout&offset=99999").body == content[99_999:]


def test_much_output_is_complete(at_work):
    job = at_work.api.submit("seq 1500000")
    status = at_work.api.wait_job(job, 60)
    whole = at_work.api.get(f"/api/jobs/output?jobId={job}&stream=stdout").body
    assert whole == b"".join(b"%d\n" % n for n in range(1, 1_500_001))
    assert status["outputCut"] is True and whole.decode().startswith(status["stdout"]) and len(status["stdout"]) > 500_000


def test_a_timeout_ends_the_job(at_work):
    status = at_work.api.wait_job(at_work.api.submit("echo begun; sleep 60", timeoutMs="500", maxAttempts="1"))
    assert (status["status"], status["reason"], status["stdout"]) == ("failed", "timeout", "begun\n") and status["errorMessage"]


def test_the_jobs_folder_is_removed_and_each_job_starts_in_its_own(at_work):
    first = at_work.api.wait_job(at_work.api.submit("pwd; touch left-behind"))["stdout"]
    second = at_work.api.wait_job(at_work.api.submit("pwd; ls"))["stdout"].split()
    assert first.strip() != second[0] and second[1:] == ["a.txt"]
    wait_until(lambda: not list((at_work.workers[0].folder / "jobs").iterdir()), 5, "the folders' removal")


def test_a_process_left_in_the_background_neither_holds_the_job_nor_outlives_it(at_work, tmp_path):
    note = tmp_path / "pid"
    status = at_work.api.wait_job(at_work.api.submit(f"sleep 300 & echo $! > {note}; echo done"), 10)
    assert status["status"] == "completed" and status["stdout"] == "done\n"
    wait_until(lambda: not os.path.exists(f"/proc/{note.read_text().strip()}"), 5, "the end of the process left")
