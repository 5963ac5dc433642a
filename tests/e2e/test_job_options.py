"""What a job may ask for at its creation, and what is refused."""

import http.client
import json
import time

import pytest

from client import multipart
from cluster import wait_until
from zips import zip_of

CREATE = {"command": "true", "fileUrl": "/uploads/none.zip", "filename": "p.zip"}


@pytest.mark.parametrize("field, value, code", [
    ("timeoutMs", "soon", "SCHEMA"), ("timeoutMs", -1, "SCHEMA"), ("maxAttempts", 2.5, "SCHEMA"), ("maxAttempts", 1001, "SCHEMA"),
    ("priority", "high", "SCHEMA"), ("priority", 1001, "SCHEMA"), ("delayMs", -5, "SCHEMA"), ("notBefore", -1, "SCHEMA"),
    ("env", ["A=1"], "SCHEMA"), ("env", {"A B": "1"}, "SCHEMA"), ("env", {"": "1"}, "SCHEMA"), ("env", {"GLEANER_X": "1"}, "SCHEMA"),
    ("env", {"A": "x\ny"}, "BAD_COMMAND"), ("env", {"A": {"b": 1}}, "SCHEMA"), ("onError", "maybe", "SCHEMA"), ("onError", 1, "SCHEMA"),
    ("artifacts", ["../secret"], "BAD_GLOB"), ("artifacts", ["/etc/passwd"], "BAD_GLOB"), ("artifacts", ["a/../../b"], "BAD_GLOB"),
    ("artifacts", ["a\\b"], "BAD_GLOB"), ("artifacts", {"a": "b"}, "SCHEMA"), ("labels", "x", "SCHEMA"), ("requires", [1], "SCHEMA"),
    ("retryOnExit", ["many"], "SCHEMA"), ("retryOnExit", [0], "SCHEMA"), ("retryOnExit", [256], "SCHEMA"), ("name", 5, "SCHEMA"),
    ("name", "x" * 256, "SCHEMA"), ("idempotencyKey", "k" * 256, "SCHEMA"), ("backoffMs", -1, "SCHEMA"),
])
def test_an_ill_typed_option_is_refused_by_its_name(shared, field, value, code):
    answer = shared.api.post("/api/jobs/create", {**CREATE, field: value})
    assert (answer.status, answer["code"]) == (400, code), answer
    assert answer.json.get("field", field) == field and field in answer["error"] or code == "BAD_GLOB"


def test_options_are_kept_and_shown(shared):
    asked = {"name": "n", "priority": -3, "env": {"A": "1", "B": "x=y"}, "onError": "continue", "artifacts": ["out/**", "*.txt"],
             "labels": {"team": "blue"}, "requires": {"gpu": "yes"}, "retryOnExit": ["75", "76"], "backoffMs": 500, "timeoutMs": 1000,
             "maxAttempts": 7}
    status = shared.api.status(shared.api.create(**asked))
    assert {k: status[k] for k in asked} == asked


def test_unknown_fields_are_ignored(shared):
    shared.api.create(flavour="vanilla")


# ---- idempotency ----


def test_one_key_makes_one_job(cluster):
    api = cluster.api
    def create(key, **fields):
        return api.request("POST", "/api/jobs/create", {**CREATE, **fields}, {"Idempotency-Key": key})
    first = create("k1", priority=1)
    again = create("k1", priority=1)
    assert first.status == again.status == 200 and first["jobId"] == again["jobId"]
    assert (first["repeated"], again["repeated"]) == (False, True)
    other = create("k1", priority=2)
    assert (other.status, other["code"]) == (409, "IDEMPOTENCY_MISMATCH")
    assert create("k2", priority=1)["jobId"] != first["jobId"]
    assert api.post("/api/jobs/create", {**CREATE, "priority": 1, "idempotencyKey": "k1"})["jobId"] == first["jobId"]
    both = api.request("POST", "/api/jobs/create", {**CREATE, "idempotencyKey": "a"}, {"Idempotency-Key": "b"})
    assert (both.status, both["code"]) == (400, "SCHEMA")
    cluster.broker.kill()
    cluster.broker.start()
    assert create("k1", priority=1)["jobId"] == first["jobId"]
    api.post("/api/jobs/cancel", {"jobId": first["jobId"]})
    assert create("k1", priority=1)["jobId"] == first["jobId"]  # over, and still the same


def test_an_upload_with_a_key_makes_one_job(cluster):
    first, again = (cluster.api.execute("true", idempotencyKey="u") for _ in range(2))
    assert first.status == again.status == 200 and first["jobId"] == again["jobId"] == again.headers["X-Job-Id"]
    assert (first["repeated"], again["repeated"]) == (False, True)
    assert cluster.api.execute("false", idempotencyKey="u").status == 409


def test_two_keys_are_one_too_many(cluster):
    """Two headers, or a header and another field: by JSON and by form, whichever would come first."""
    file = {"file": ("p.zip", zip_of({"a": ""}))}
    form, kind = multipart({"mode": "distributed", "commands": "true"}, file)
    named, named_kind = multipart({"mode": "distributed", "commands": "true", "idempotencyKey": "a"}, file)
    plain, json_kind = json.dumps(CREATE).encode(), "application/json"
    with_field = json.dumps({**CREATE, "idempotencyKey": "a"}).encode()
    for path, body, kind, keys in (("create", plain, json_kind, "ab"), ("create", plain, json_kind, "aa"), ("create", with_field, json_kind, "b"),
                                   ("execute", form, kind, "ab"), ("execute", form, kind, "aa"), ("execute", named, named_kind, "b")):
        connection = http.client.HTTPConnection("127.0.0.1", cluster.port, timeout=20)
        connection.putrequest("POST", "/api/execute" if path == "execute" else "/api/jobs/create")
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), *(("Idempotency-Key", key) for key in keys)):
            connection.putheader(name, value)
        connection.endheaders(body)
        got = connection.getresponse()
        answer = json.loads(got.read())
        assert (got.status, answer["code"], answer["field"]) == (400, "SCHEMA", "idempotencyKey"), (path, keys, answer)
        connection.close()
    assert cluster.api.get("/api/info")["totalJobs"] == 0


# ---- who gets it, and when ----


def test_priority_then_age(cluster):
    native = cluster.native()
    native.ask("worker-register", workerId="w", hostname="h")
    low, first, second, high = [cluster.api.create(priority=p) for p in (-1, 0, 0, 5)]
    got = [native.ask("job-poll", workerId="w")["jobId"] for _ in range(4)]
    assert got == [high, first, second, low]


def test_a_delay_is_kept_over_a_restart(cluster):
    native = cluster.native()
    start = time.time()
    job = cluster.api.create(delayMs=1500)
    status = cluster.api.status(job)
    assert status["waitingReason"] == "delayed" and "s at the earliest" in status["waiting"]
    assert abs(status["notBefore"] / 1000 - start - 1.5) < 1
    cluster.broker.kill()
    cluster.broker.start()
    native.open()
    native.ask("worker-register", workerId="w", hostname="h", slots=1)
    assert "jobId" not in native.ask("job-poll", workerId="w", slot=0)
    assert native.ask("job-poll", workerId="w", slot=0, wait=5000)["jobId"] == job
    assert 1.4 < time.time() - start < 4
    assert cluster.api.status(cluster.api.create(notBefore=int(time.time() * 1000) - 5000))["waitingReason"] == "all-busy"


def test_labels_decide_and_the_nearest_miss_is_named(cluster):
    native = cluster.native()
    job = cluster.api.create(requires={"gpu": "yes", "os": "linux"})
    assert cluster.api.status(job)["waitingReason"] == "no-worker"
    native.ask("worker-register", workerId="plain", hostname="h", labels={"os": "linux", "gpu": "no"})
    status = cluster.api.status(job)
    assert status["waitingReason"] == "no-match" and "plain" in status["waiting"] and "gpu=no" in status["waiting"]
    assert "jobId" not in native.ask("job-poll", workerId="plain")
    other = cluster.api.create()
    assert native.ask("job-poll", workerId="plain")["jobId"] == other
    native.ask("worker-register", workerId="rich", hostname="h", labels={"os": "linux", "gpu": "yes", "more": "x"})
    assert cluster.api.status(job)["waitingReason"] == "all-busy"
    assert native.ask("job-poll", workerId="rich")["jobId"] == job
    assert cluster.api.worker("rich")["labels"] == {"os": "linux", "gpu": "yes", "more": "x"}


def test_a_parked_poll_gets_only_what_it_can_run(cluster):
    native, other = cluster.native(), cluster.native()
    native.ask("worker-register", workerId="w", hostname="h", slots=1)
    other.ask("worker-register", workerId="v", hostname="h", slots=1, labels={"gpu": "yes"})
    import msgpack
    for sock, worker in ((native, "w"), (other, "v")):
        sock.send(b"", msgpack.packb({"v": 1, "type": "job-poll", "workerId": worker, "slot": 0, "wait": 5000}))
    job = cluster.api.create(requires={"gpu": "yes"})
    assert other.receive()["jobId"] == job and native.receive(0.3) is None


# ---- again ----


def run_once(native, **result):
    lease = native.ask("job-poll", workerId="w", slot=0, wait=5000)
    assert lease.get("jobId"), lease
    about = {"workerId": "w", **{k: lease[k] for k in ("jobId", "attempt", "token")}}
    kind = "job-fail" if "reason" in result else "job-result"
    return lease, about, native.ask(kind, **about, **result)


def test_retry_on_exit_and_no_further(cluster):
    native = cluster.native()
    native.ask("worker-register", workerId="w", hostname="h", slots=1)
    job = cluster.api.create(retryOnExit=[75], backoffMs=50, maxAttempts=3)
    for attempt in (1, 2):
        lease, about, answer = run_once(native, exitCode=75, stdout=b"out%d" % attempt, stderr=b"")
        assert lease["attempt"] == attempt and answer["type"] == "job-result-ok"
        assert native.ask("job-result", **about, exitCode=75)["type"] == "job-result-ok"  # its answer was lost
        status = cluster.api.status(job)
        assert status["status"] == "pending" and status["waitingReason"] == "backing-off"
    run_once(native, exitCode=75, stdout=b"last", stderr=b"")
    status = cluster.api.status(job)
    assert (status["status"], status["exitCode"], status["reason"], status["attempt"]) == ("failed", 75, "exit-nonzero", 3)
    assert [(a["attempt"], a["status"], a["exitCode"]) for a in status["attempts"]] == [(n, "failed", 75) for n in (1, 2, 3)]
    for attempt, text in ((1, b"out1"), (2, b"out2"), (3, b"last")):  # what the others printed is kept
        assert cluster.api.get(f"/api/jobs/output?jobId={job}&attempt={attempt}").body == text
    other = cluster.api.create(retryOnExit=[75], maxAttempts=3)
    run_once(native, exitCode=1)
    assert cluster.api.status(other)["status"] == "failed"


def test_a_worker_side_error_is_tried_again_an_exit_is_not(cluster):
    native = cluster.native()
    native.ask("worker-register", workerId="w", hostname="h", slots=1)
    job = cluster.api.create(backoffMs=10, maxAttempts=2)
    run_once(native, reason="worker-error", errorMessage="no fork")
    assert cluster.api.status(job)["status"] == "pending"
    run_once(native, exitCode=3)
    status = cluster.api.status(job)
    assert (status["status"], status["exitCode"]) == ("failed", 3)
    assert status["attempts"][0]["reason"] == "worker-error" and status["attempts"][0]["errorMessage"] == "no fork"
    final = cluster.api.create(maxAttempts=3)
    run_once(native, reason="archive-refused", errorMessage="bad zip")
    assert cluster.api.status(final)["reason"] == "archive-refused"


def test_the_back_off_doubles_and_is_bounded(clusters):
    cluster = clusters(broker_args=["--retry-backoff", "200ms", "--retry-backoff-max", "300ms"])
    native = cluster.native()
    native.ask("worker-register", workerId="w", hostname="h", slots=1)
    cluster.api.create(maxAttempts=6)
    pauses = []
    for _ in range(5):
        run_once(native, reason="worker-error")
        start = time.monotonic()
        wait_until(lambda: cluster.api.get("/api/info")["pendingJobs"] == 1, 5)
        lease = None
        while not lease:
            answer = native.ask("job-poll", workerId="w", slot=0, wait=2000)
            lease = answer if answer.get("jobId") else None
        pauses.append(time.monotonic() - start)
        native.ask("job-return", workerId="w", **{k: lease[k] for k in ("jobId", "attempt", "token")})
    assert 0.09 < pauses[0] < 1 and all(0.13 < p < 1.2 for p in pauses[1:]), pauses


# ---- the losing attempt ----


def test_a_late_result_is_kept_as_audit(clusters):
    cluster = clusters(broker_args=["--lease", "500ms", "--offline", "60s", "--retry-backoff", "50ms"])
    native = cluster.native()
    native.ask("worker-register", workerId="w", hostname="h", slots=2)
    job = cluster.api.create()
    lease = native.ask("job-poll", workerId="w", slot=0, wait=1000)
    about = {"workerId": "w", **{k: lease[k] for k in ("jobId", "attempt", "token")}}
    native.ask("job-output", **about, stream="stdout", offset=0, data=b"lost words")
    wait_until(lambda: cluster.api.status(job)["status"] == "pending", 5)
    second = native.ask("job-poll", workerId="w", slot=1, wait=5000)
    assert second["attempt"] == 2
    late = native.ask("job-result", **about, exitCode=7)
    assert late["code"] == "STALE_ATTEMPT"
    native.ask("job-result", workerId="w", **{k: second[k] for k in ("jobId", "attempt", "token")}, exitCode=0, stdout=b"won", stderr=b"")
    status = cluster.api.status(job)
    assert status["status"] == "completed" and status["stdout"] == "won" and len(status["attempts"]) == 2
    first = status["attempts"][0]
    assert (first["status"], first["reason"], first["lateExitCode"]) == ("lost", "worker-lost", 7) and first["lateAt"]
    assert cluster.api.get(f"/api/jobs/output?jobId={job}&attempt=1").body == b"lost words"


def test_a_wrong_receipt_is_refused_and_the_lease_lives(cluster):
    native = cluster.native()
    native.ask("worker-register", workerId="w", hostname="h", slots=1)
    job = cluster.api.create()
    lease = native.ask("job-poll", workerId="w", slot=0, wait=1000)
    about = {"workerId": "w", **{k: lease[k] for k in ("jobId", "attempt", "token")}}
    native.ask("job-output", **about, stream="stdout", offset=0, data=b"hello")
    wrong = native.ask("job-result", **about, exitCode=0, stdoutBytes=5, stderrBytes=0, stdoutSha256="0" * 64)
    assert (wrong["code"], wrong["stream"], wrong["offset"]) == ("OUTPUT_MISMATCH", "stdout", 5)
    gone = native.ask("job-result", **about, exitCode=0, stdoutBytes=5, artifactsSha256="a" * 64, artifactsBytes=3)
    assert gone["code"] == "ARTIFACTS_MISSING"
    sha = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert native.ask("job-result", **about, exitCode=0, stdoutBytes=5, stdoutSha256=sha)["type"] == "job-result-ok"
    status = cluster.api.status(job)
    assert status["stdoutSha256"] == sha and status["stdoutBytes"] == 5


# ---- lists ----


def test_lists_are_narrowed(cluster):
    native = cluster.native()
    native.ask("worker-register", workerId="w", hostname="h")
    old = cluster.api.create(labels={"team": "blue"})
    time.sleep(0.05)
    since = int(time.time() * 1000)
    blue = cluster.api.create(labels={"team": "blue", "x": "1"})
    red = cluster.api.create(labels={"team": "red"})
    plain = cluster.api.create()
    run = native.ask("job-poll", workerId="w")["jobId"]
    cluster.api.post("/api/jobs/cancel", {"jobId": red})
    def ids(query):
        answer = cluster.api.get(f"/api/jobs?{query}")
        assert answer.status == 200, answer
        return [j["jobId"] for j in answer["jobs"]]
    assert run == old
    assert ids("label=team=blue") == [blue, old] and ids("label=team") == [red, blue, old] and ids("label=nothing") == []
    assert ids("state=running") == [old] and ids("state=failed") == [red] and ids("state=pending") == [plain, blue]
    assert ids("worker=w") == [old] and ids(f"since={since}") == [plain, red, blue] and ids("state=pending&label=team") == [blue]
    page = cluster.api.get("/api/jobs?label=team&limit=2")
    assert [j["jobId"] for j in page["jobs"]] == [red, blue]
    assert ids(f"label=team&cursor={page['cursor']}") == [old]
    assert cluster.api.get("/api/jobs?state=odd")["code"] == "SCHEMA"
    for empty in ("state=", "worker=", "label=", "state=&worker=&label="):  # as a form with nothing filled in sends it
        assert ids(empty) == [plain, red, blue, old], empty
