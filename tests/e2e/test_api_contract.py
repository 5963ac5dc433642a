"""Every row of the documented HTTP API: what it answers, and what it says when the call is wrong."""

import json
import re
import time

import pytest

from zips import zip_of

JOB_FIELDS = {"jobId", "status", "workerId", "command", "filename", "stdout", "stderr", "exitCode", "errorMessage",
              "createdAt", "startedAt", "completedAt"}
WORKER_FIELDS = {"workerId", "hostname", "os", "cpuCount", "status", "lastHeartbeat", "version"}
REGISTER = {"workerId": "w", "hostname": "h", "os": "Linux", "cpuCount": 2, "version": "1"}
CREATE = {"command": "true", "fileUrl": "/uploads/none.zip", "filename": "p.zip"}
RESULT = {"jobId": "job-1705329400000-abc123xyz", "workerId": "w", "exitCode": 0}
FAILURE = {"jobId": "job-1705329400000-abc123xyz", "workerId": "w", "errorMessage": "e"}
OUTPUT = {"jobId": "job-1705329400000-abc123xyz", "data": "x", "type": "stdout"}

# Method, path, a good body, its required fields.
CALLS = [
    ("POST", "/api/workers/register", REGISTER, ["workerId", "hostname"]),
    ("POST", "/api/workers/heartbeat", {"workerId": "w"}, ["workerId"]),
    ("POST", "/api/jobs/create", CREATE, ["command", "fileUrl", "filename"]),
    ("POST", "/api/jobs/submit-result", RESULT, ["jobId", "workerId", "exitCode"]),
    ("PUT", "/api/jobs/submit-result", FAILURE, ["jobId", "workerId"]),
    ("POST", "/api/jobs/stream-output", OUTPUT, ["jobId", "data", "type"]),
    ("POST", "/api/jobs/cancel", {"jobId": "job-1705329400000-abc123xyz"}, ["jobId"]),
    ("DELETE", "/api/execute", {"execId": "job-1705329400000-abc123xyz"}, ["execId"]),
]
NAMES = [f"{method} {path}" for method, path, _, _ in CALLS]


def refused(answer, status):
    assert answer.status == status, answer
    assert answer.headers["Content-Type"].startswith("application/json")
    assert isinstance(answer["error"], str) and answer["error"], answer
    return answer.json


# ---- what every call refuses ----


@pytest.mark.parametrize("method, path, body, required", CALLS, ids=NAMES)
def test_a_missing_field_is_named(shared, method, path, body, required):
    for name in required:
        answer = shared.api.request(method, path, {k: v for k, v in body.items() if k != name})
        assert name in refused(answer, 400)["error"]


@pytest.mark.parametrize("method, path, body, required", CALLS, ids=NAMES)
def test_a_field_of_a_wrong_type_is_named(shared, method, path, body, required):
    for name in required:
        for wrong in ([], {}, True) + (("text",) if name == "exitCode" else (7,)):
            answer = shared.api.request(method, path, {**body, name: wrong})
            assert name in refused(answer, 400)["error"], (name, wrong)


@pytest.mark.parametrize("method, path, body, required", CALLS, ids=NAMES)
def test_a_body_that_is_no_json_object_is_refused(shared, method, path, body, required):
    for wrong in (b"{", b"[]", b"7", b"\xff", b'{"a":1}x', b'{"a":"\\u0000"}', b"[" * 5000):
        refused(shared.api.request(method, path, wrong, {"Content-Type": "application/json"}), 400)


@pytest.mark.parametrize("method, path, body, required", CALLS, ids=NAMES)
def test_unknown_fields_are_ignored(shared, method, path, body, required):
    known = shared.api.request(method, path, body)
    more = shared.api.request(method, path, {**body, "tags": [1, {"a": None}], "x": 1.5})
    assert known.status == more.status


@pytest.mark.parametrize("method, path, body, required", CALLS, ids=NAMES)
def test_a_body_beyond_the_limit_is_413(shared, method, path, body, required):
    client = shared.client()
    try:
        answer = client.request(method, path, b" " * (70 * 1024 * 1024))
    except (BrokenPipeError, ConnectionResetError):
        return  # the connection was closed before the whole body was sent: as good a refusal
    assert refused(answer, 413)["code"] == "TOO_LARGE"


@pytest.mark.parametrize("path, allowed", [
    ("/api/workers/register", {"GET", "POST"}), ("/api/workers/heartbeat", {"POST"}), ("/api/workers/list", {"GET"}),
    ("/api/jobs/create", {"GET", "POST"}), ("/api/jobs/get-job", {"GET"}), ("/api/jobs/status", {"GET"}),
    ("/api/jobs/submit-result", {"POST", "PUT"}), ("/api/jobs/stream-output", {"POST"}),
    ("/api/jobs/check-cancel", {"GET"}), ("/api/jobs/cancel", {"POST"}), ("/api/execute", {"POST", "DELETE"}),
    ("/uploads/x.zip", {"GET"}), ("/", {"GET"})])
def test_another_method_is_405_and_says_which_it_takes(shared, path, allowed):
    for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "BREW"} - allowed:
        answer = shared.api.request(method, path)
        assert refused(answer, 405)["code"] == "METHOD_NOT_ALLOWED"
        assert {m.strip() for m in answer.headers["Allow"].split(",")} - {"HEAD", "OPTIONS"} == allowed


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/job", "/api/jobs/create/", "/api/nothing", "/no/such", "/uploads/",
                                  "/uploads/a/b.zip", "/no-such-page.html"])
def test_an_unknown_path_is_404(shared, path):
    for method in ("GET", "POST"):
        answer = shared.api.request(method, path)
        assert answer.status in (404, 405 if method == "POST" else 404), answer


# ---- workers ----


def test_register_and_list(shared):
    answer = shared.api.post("/api/workers/register", {**REGISTER, "workerId": "reg-1"})
    assert answer.status == 200 and answer["success"] is True and answer["workerId"] == "reg-1" and answer["message"]
    for path in ("/api/workers/register", "/api/workers/list"):
        got = shared.api.get(path).json
        entry = next(w for w in got["workers"] if w["workerId"] == "reg-1")
        assert WORKER_FIELDS <= entry.keys()
        assert (entry["hostname"], entry["os"], entry["cpuCount"], entry["version"]) == ("h", "Linux", 2, "1")
        assert entry["status"] == "idle" and abs(entry["lastHeartbeat"] - time.time() * 1000) < 60_000
    assert shared.api.get("/api/workers/register")["count"] == len(got["workers"])
    assert got["success"] is True and got["totalWorkers"] == len(got["workers"]) and "idleWorkers" in got and "busyWorkers" in got
    assert entry["currentJobId"] is None and abs(entry["registeredAt"] - time.time() * 1000) < 60_000


def test_register_with_the_required_fields_alone(shared):
    assert shared.api.post("/api/workers/register", {"workerId": "reg-2", "hostname": "h"}).status == 200
    entry = shared.api.worker("reg-2")
    assert entry["os"] is None and entry["cpuCount"] is None and entry["version"] is None


def test_heartbeat(shared):
    shared.api.post("/api/workers/register", {**REGISTER, "workerId": "beat"})
    answer = shared.api.post("/api/workers/heartbeat", {"workerId": "beat"})
    assert answer.status == 200 and answer["success"] is True and answer["workerId"] == "beat"
    assert abs(answer["timestamp"] - time.time() * 1000) < 60_000
    refused(shared.api.post("/api/workers/heartbeat", {"workerId": "nobody"}), 404)


def test_a_worker_that_is_silent_is_offline_and_comes_back(clusters):
    cluster = clusters(broker_args=["--offline", "1s"])
    cluster.api.post("/api/workers/register", REGISTER)
    assert cluster.api.worker("w")["status"] == "idle"
    end = time.monotonic() + 5
    while cluster.api.worker("w")["status"] != "offline":
        assert time.monotonic() < end
        time.sleep(0.05)
    assert cluster.api.post("/api/workers/heartbeat", {"workerId": "w"}).status == 200
    assert cluster.api.worker("w")["status"] == "idle"


def test_registering_again_gives_the_leases_back(cluster):
    api = cluster.api
    api.post("/api/workers/register", REGISTER)
    job = api.create()
    assert api.get("/api/jobs/get-job?workerId=w")["job"]["jobId"] == job
    assert api.worker("w")["status"] == "busy" and api.worker("w")["currentJobId"] == job
    assert api.get("/api/workers/list")["busyWorkers"] == 1
    api.post("/api/workers/register", REGISTER)
    assert api.status(job)["status"] == "pending" and api.worker("w")["status"] == "idle"
    assert api.get("/api/jobs/get-job?workerId=w")["job"]["jobId"] == job


# ---- jobs ----


def test_create_and_status(shared):
    answer = shared.api.post("/api/jobs/create", {**CREATE, "command": "echo 1\necho ü"})
    assert answer.status == 200 and answer["success"] is True and answer["message"]
    job = answer["jobId"]
    assert re.fullmatch(r"job-\d{13}-[0-9a-z]{9}", job)
    status = shared.api.status(job)
    assert JOB_FIELDS <= status.keys()
    assert (status["jobId"], status["status"], status["command"], status["filename"]) == (job, "pending", "echo 1\necho ü", "p.zip")
    assert all(status[name] is None for name in ("workerId", "exitCode", "errorMessage", "startedAt", "completedAt"))
    assert not status["stdout"] and not status["stderr"]
    assert abs(status["createdAt"] - time.time() * 1000) < 60_000


@pytest.mark.parametrize("file_url", ["http://example.org/p.zip", "https://example.org/a/p.zip?x=1", "/uploads/p.zip"])
def test_create_takes_paths_under_uploads_and_absolute_urls(shared, file_url):
    assert shared.api.post("/api/jobs/create", {**CREATE, "fileUrl": file_url}).status == 200


@pytest.mark.parametrize("file_url", ["", "p.zip", "/etc/passwd", "/uploads/../x", "/uploads/", "file:///etc/passwd", "ftp://h/p.zip",
                                      "http://", "//h/p.zip"])
def test_create_refuses_other_urls(shared, file_url):
    refused(shared.api.post("/api/jobs/create", {**CREATE, "fileUrl": file_url}), 400)


@pytest.mark.parametrize("filename", ["", ".", "..", "../p.zip", "a/b.zip", "/p.zip", "a\\b.zip", "a\nb.zip", "a\x1bb.zip", "x" * 256])
def test_create_refuses_an_unsafe_filename(shared, filename):
    refused(shared.api.post("/api/jobs/create", {**CREATE, "filename": filename}), 400)


@pytest.mark.parametrize("command", ["", "\n", "x" * (64 * 1024 + 1)])
def test_create_refuses_a_command_that_is_none(shared, command):
    refused(shared.api.post("/api/jobs/create", {**CREATE, "command": command}), 400)


def test_status_says_what_is_missing(shared):
    refused(shared.api.get("/api/jobs/status"), 400)
    refused(shared.api.get("/api/jobs/status?jobId="), 400)
    refused(shared.api.get("/api/jobs/status?jobId=job-1705329400000-abc123xyz"), 404)
    refused(shared.api.get("/api/jobs/status?jobId=" + "x" * 200), 400)


def test_the_list_is_newest_first_and_goes_on_by_cursor(cluster):
    api = cluster.api
    jobs = [api.create(f"echo {n}") for n in range(7)]
    got, cursor = [], ""
    for expected in (3, 3, 1):
        page = api.get(f"/api/jobs/create?limit=3{cursor}").json
        assert page["count"] == len(page["jobs"]) == expected and page["limit"] == 3 and page["total"] == 7
        assert all(JOB_FIELDS <= job.keys() for job in page["jobs"])
        got += [job["jobId"] for job in page["jobs"]]
        cursor = f"&cursor={page['cursor']}"
    assert got == jobs[::-1] and page["cursor"] is None
    for wrong in ("limit=x", "limit=-1", "limit=100000", "limit=1e3"):
        refused(api.get(f"/api/jobs/create?{wrong}"), 400)


def test_get_job_by_query_and_by_header(cluster):
    api = cluster.api
    api.post("/api/workers/register", REGISTER)
    empty = api.get("/api/jobs/get-job?workerId=w")
    assert empty.status == 202 and empty["success"] is False and empty["job"] is None and empty["message"]
    first, second = api.create("echo 1"), api.create("echo 2")
    job = api.get("/api/jobs/get-job?workerId=w").json
    assert job["success"] is True
    assert {k: job["job"][k] for k in ("jobId", "command", "fileUrl", "filename")} == {
        "jobId": first, "command": "echo 1", "fileUrl": "/uploads/none.zip", "filename": "p.zip"}
    assert api.request("GET", "/api/jobs/get-job", headers={"X-Worker-Id": "w"})["job"]["jobId"] == second
    assert api.status(first)["status"] == "running" and api.status(first)["workerId"] == "w" and api.status(first)["startedAt"]
    refused(api.get("/api/jobs/get-job?workerId=nobody"), 404)
    refused(api.get("/api/jobs/get-job?workerId=w&wait=soon"), 400)


def test_get_job_waits_as_long_as_it_is_told(cluster):
    cluster.api.post("/api/workers/register", REGISTER)
    start = time.monotonic()
    assert cluster.api.get("/api/jobs/get-job?workerId=w&wait=400").status == 202
    assert 0.35 < time.monotonic() - start < 3


@pytest.mark.parametrize("code, state", [(0, "completed"), (7, "failed"), (-1, "failed")])
def test_submit_result(cluster, code, state):
    api = cluster.api
    api.post("/api/workers/register", REGISTER)
    job = api.create()
    api.get("/api/jobs/get-job?workerId=w")
    answer = api.post("/api/jobs/submit-result", {"jobId": job, "workerId": "w", "stdout": "out", "stderr": "err", "exitCode": code})
    assert answer.status == 200 and answer["success"] is True and answer["jobId"] == job and answer["message"]
    status = api.status(job)
    assert (status["status"], status["exitCode"], status["stdout"], status["stderr"]) == (state, code, "out", "err")
    assert status["completedAt"] >= status["startedAt"] >= status["createdAt"]


def test_put_submit_result_fails_the_job(cluster):
    api = cluster.api
    api.post("/api/workers/register", REGISTER)
    job = api.create()
    api.get("/api/jobs/get-job?workerId=w")
    answer = api.put("/api/jobs/submit-result", {"jobId": job, "workerId": "w", "errorMessage": "no disk"})
    assert answer.status == 200 and answer["success"] is True and answer["jobId"] == job
    status = api.status(job)
    assert status["status"] == "failed" and status["errorMessage"] == "no disk" and status["reason"] == "worker-error"
    assert status["exitCode"] is None


def test_results_for_unknown_jobs_are_404(shared):
    shared.api.post("/api/workers/register", REGISTER)
    refused(shared.api.post("/api/jobs/submit-result", RESULT), 404)
    refused(shared.api.put("/api/jobs/submit-result", FAILURE), 404)


def test_stream_output_shows_while_the_job_runs_and_the_result_replaces_it(cluster):
    api = cluster.api
    api.post("/api/workers/register", REGISTER)
    job = api.create()
    api.get("/api/jobs/get-job?workerId=w")
    for kind, data in (("stdout", "one\n"), ("stderr", "oops\n"), ("stdout", "two\n")):
        answer = api.post("/api/jobs/stream-output", {"jobId": job, "type": kind, "data": data})
        assert answer.status == 200 and answer["success"] is True and answer["message"]
    status = api.status(job)
    assert (status["status"], status["stdout"], status["stderr"]) == ("running", "one\ntwo\n", "oops\n")
    api.post("/api/jobs/submit-result", {"jobId": job, "workerId": "w", "stdout": "all", "stderr": "", "exitCode": 0})
    assert (api.status(job)["stdout"], api.status(job)["stderr"]) == ("all", "")
    refused(api.post("/api/jobs/stream-output", {"jobId": job, "type": "stdin", "data": "x"}), 400)
    refused(api.post("/api/jobs/stream-output", OUTPUT), 404)


def test_cancel_and_check_cancel(shared):
    job = shared.api.create()
    before = shared.api.get(f"/api/jobs/check-cancel?jobId={job}")
    assert before.status == 200 and before["success"] is True and before["cancelRequested"] is False
    answer = shared.api.post("/api/jobs/cancel", {"jobId": job})
    assert answer.status == 200 and answer["success"] is True and answer["jobId"] == job and answer["message"]
    assert shared.api.get(f"/api/jobs/check-cancel?jobId={job}")["cancelRequested"] is True
    status = shared.api.status(job)
    assert status["status"] == "failed" and status["reason"] == "cancelled" and status["completedAt"]
    for path in ("/api/jobs/check-cancel?jobId=job-1705329400000-abc123xyz",):
        refused(shared.api.get(path), 404)
    refused(shared.api.get("/api/jobs/check-cancel"), 400)
    refused(shared.api.post("/api/jobs/cancel", {"jobId": "job-1705329400000-abc123xyz"}), 404)


# ---- execute, info, the page ----


def test_execute_distributed_and_download(shared):
    data = zip_of({"a.txt": "x"})
    answer = shared.api.execute("true", data=data)
    assert answer.status == 200 and answer["success"] is True and answer["mode"] == "distributed" and answer["message"]
    job = answer["jobId"]
    assert answer.headers["X-Job-Id"] == job and job in answer["checkStatusUrl"]
    assert shared.api.get(answer["checkStatusUrl"])["jobId"] == job
    file = shared.api.get(shared.api.status(job)["fileUrl"])
    assert file.status == 200 and file.body == data
    shared.api.post("/api/jobs/cancel", {"jobId": job})


def test_stopping_an_unknown_execution_is_404(shared):
    refused(shared.api.delete("/api/execute", {"execId": "job-1705329400000-abc123xyz"}), 404)


def test_info_and_page(shared):
    info = shared.api.get("/api/info")
    assert info.status == 200 and info["version"] and info["totalJobs"] >= 0
    page = shared.api.get("/")
    assert page.status == 200 and page.headers["Content-Type"].startswith("text/html") and b"Gleaner" in page.body


def test_one_connection_serves_errors_and_answers_in_turn(shared):
    shared.api.close()
    shared.api.get("/api/info")
    socket = shared.api.connection.sock
    for _ in range(20):
        refused(shared.api.post("/api/jobs/create", {}), 400)
        assert json.loads(shared.api.get("/api/workers/list").body)["success"] is True
        refused(shared.api.get("/api/jobs/status"), 400)
    assert shared.api.connection.sock is socket
