"""A job belongs to the trace that its submission came with."""

import json
import os
import re
import subprocess

import pytest
from client import multipart
from cluster import BIN, SANITIZERS
from zips import zip_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
CREATE = {"command": "true", "fileUrl": "/uploads/none.zip", "filename": "p.zip"}


def execute(cluster, commands, headers=(), **fields):
    """The id of a job by POST /api/execute with these headers."""
    body, kind = multipart({"mode": "distributed", "commands": commands, **fields}, {"file": ("p.zip", zip_of({"a.txt": "x"}))})
    answer = cluster.api.request("POST", "/api/execute", body, {"Content-Type": kind, **dict(headers)})
    assert answer.status == 200, answer
    return answer["jobId"]


def create(cluster, headers=(), **fields):
    answer = cluster.api.request("POST", "/api/jobs/create", {**CREATE, **fields}, dict(headers))
    assert answer.status == 200, answer
    return answer["jobId"]


def parts(traceparent):
    version, trace, span, flags = traceparent.strip().split("-")
    assert re.fullmatch("[0-9a-f]{32}", trace) and re.fullmatch("[0-9a-f]{16}", span), traceparent
    return version, trace, span, flags


# ---- traceparent ----

@pytest.mark.parametrize("transport", ["http", "zmq"])
def test_the_trace_goes_on_in_the_jobs_environment(cluster, transport):
    cluster.worker(transport)
    job = execute(cluster, "echo $TRACEPARENT; test $GLEANER_ATTEMPT = 2", {"TraceParent": f" {PARENT} ", "tracestate": "x=1"},
                  retryOnExit="any", backoffMs="1", maxAttempts="2")
    status = cluster.api.wait_job(job)
    assert status["traceparent"] == PARENT and status["attempt"] == 2
    spans = {attempt: cluster.api.get(f"/api/jobs/output?jobId={job}&attempt={attempt}&stay=true").body.decode() for attempt in (1, 2)}
    for told in spans.values():
        version, trace, span, flags = parts(told)
        assert (version, trace, flags) == ("00", TRACE, "01") and span != SPAN
    assert spans[1] != spans[2], "each attempt is a span of its own"


def test_the_jobs_own_environment_counts_more(cluster):
    cluster.worker()
    job = execute(cluster, "echo $TRACEPARENT", {"traceparent": PARENT}, env=json.dumps({"TRACEPARENT": "mine"}))
    assert cluster.api.wait_job(job)["stdout"] == "mine\n"


def test_without_a_trace_there_is_none(cluster):
    cluster.worker()
    job = execute(cluster, 'echo "[${TRACEPARENT-none}]"')
    status = cluster.api.wait_job(job)
    assert status["stdout"] == "[none]\n" and status["traceparent"] is None


@pytest.mark.parametrize("header, kept", [
    (PARENT, PARENT), (PARENT[:-2] + "00", PARENT[:-2] + "00"), (PARENT[:-2] + "ff", PARENT[:-2] + "03"),
    ("cc" + PARENT[2:], PARENT), ("cc" + PARENT[2:] + "-what-the-future-has", PARENT),
    ("ff" + PARENT[2:], None), (PARENT + "-x", None), (PARENT + "0", None), ("cc" + PARENT[2:] + ".x", None), (PARENT[:-1], None),
    (PARENT.upper(), None), (f"00-{'0' * 32}-{SPAN}-01", None), (f"00-{TRACE}-{'0' * 16}-01", None), (f"00-{TRACE[:-1]}g-{SPAN}-01", None),
    (PARENT.replace("-", "_"), None), ("x" * 4000, None), ("", None),
])
def test_what_counts_as_a_traceparent(shared, header, kept):
    job = create(shared, {"traceparent": header})
    assert shared.api.status(job)["traceparent"] == kept
    if len(header) < 256:
        job = shared.native().ask("job-create", **CREATE, traceparent=header)["jobId"]
        assert shared.native().ask("job-status", jobId=job).get("traceparent") == kept


def test_two_headers_are_none_and_a_field_counts_more(shared):
    connection = shared.client().open()
    body = json.dumps(CREATE)
    connection.putrequest("POST", "/api/jobs/create")
    for name, value in (("Content-Type", "application/json"), ("Content-Length", len(body)), ("traceparent", PARENT), ("traceparent", PARENT)):
        connection.putheader(name, value)
    connection.endheaders(body.encode())
    job = json.loads(connection.getresponse().read())["jobId"]
    connection.close()
    assert shared.api.status(job)["traceparent"] is None
    job = create(shared, {"traceparent": PARENT.replace("a", "b")}, traceparent=PARENT)
    assert shared.api.status(job)["traceparent"] == PARENT


def test_the_same_submission_again_may_be_another_span(shared):
    first = create(shared, {"traceparent": PARENT, "Idempotency-Key": "traced"})
    assert create(shared, {"traceparent": PARENT.replace("f0", "0f"), "Idempotency-Key": "traced"}) == first
    assert shared.api.status(first)["traceparent"] == PARENT


def test_a_lease_tells_of_the_attempts_span_and_a_restart_changes_nothing(cluster):
    job = create(cluster, {"traceparent": PARENT})
    cluster.broker.kill()
    cluster.broker.start()
    native = cluster.native()
    native.ask("worker-register", workerId="w", hostname="h", slots=1)
    lease = native.ask("job-poll", workerId="w", slot=0, wait=10000)
    assert lease["jobId"] == job and parts(lease["traceparent"])[1] == TRACE and lease["traceparent"] != PARENT
    cluster.broker.kill()
    cluster.broker.start()
    native.open()
    assert native.ask("job-poll", workerId="w", slot=0)["traceparent"] == lease["traceparent"]


def test_the_command_line_passes_its_own_trace_on(cluster, tmp_path):
    cluster.worker()
    for told, counts in ((PARENT, True), ("nonsense", False)):
        done = subprocess.run([BIN / "gleaner", "run", "--server", cluster.server, "--", 'echo "<$TRACEPARENT>"'], cwd=tmp_path, text=True,
                              capture_output=True, timeout=60, env={**SANITIZERS, **os.environ, "TRACEPARENT": told})
        assert done.returncode == 0 and (TRACE in done.stdout) == counts, done
