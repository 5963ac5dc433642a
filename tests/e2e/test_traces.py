"""A job belongs to the trace that its submission came with, and a collector is told what became of it."""

import contextlib
import json
import os
import re
import subprocess
import time

import pytest
from client import multipart
from cluster import BIN, PATIENCE, SANITIZERS, wait_until
from receiver import Receiver
from test_webhooks import closed_port, end_many
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


# ---- OTLP ----

@pytest.fixture
def collectors():
    with contextlib.ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(contextlib.closing(Receiver(*args, **options)))


def value_of(attribute):
    [(kind, value)] = attribute["value"].items()
    assert kind in ("stringValue", "intValue") and isinstance(value, str), attribute  # 64-bit integers are texts in OTLP's JSON
    return int(value) if kind == "intValue" else value


def spans_of(collector):
    """Every span that was posted, its attributes as a dictionary; what the form of it must be is asserted."""
    spans = []
    for posted in collector.taken():
        assert posted.path == "/v1/traces" and posted.headers["Content-Type"] == "application/json"
        assert set(posted.json) == {"resourceSpans"}
        for resource in posted.json["resourceSpans"]:
            about = {a["key"]: value_of(a) for a in resource["resource"]["attributes"]}
            assert about["service.name"] == "gleaner-broker" and about["service.version"]
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    assert re.fullmatch("[0-9a-f]{32}", span["traceId"]) and re.fullmatch("[0-9a-f]{16}", span["spanId"])
                    assert span["kind"] == 1 and set(span["status"]) <= {"code", "message"}
                    for name in ("startTimeUnixNano", "endTimeUnixNano"):
                        assert re.fullmatch(r"[0-9]{13}000000", span[name]), span[name]
                        span[name] = int(span[name])
                    assert span["startTimeUnixNano"] <= span["endTimeUnixNano"]
                    span["attributes"] = {a["key"]: value_of(a) for a in span["attributes"]}
                    spans.append(span)
    return spans


def of_job(collector, job):
    """Spans of a job by their name and attempt, once its root is there."""
    def there():
        spans = [span for span in spans_of(collector) if span["attributes"]["gleaner.job.id"] == job]
        return {(span["name"], span["attributes"].get("gleaner.attempt")): span for span in spans} if spans else None
    return wait_until(there, what=f"spans of {job}")


def traced(clusters, url, *args, env=None, **options):
    return clusters(broker_args=["--otlp", url, *args], broker_env=env, **options)


def counts(cluster):
    info = cluster.native().ask("broker-info")
    return info["spansSent"], info["spansLost"]


def test_a_collector_is_told_of_a_job_and_its_attempts(clusters, collectors):
    collector = collectors()
    cluster = traced(clusters, collector.url, "--otlp-headers", "x-key=a%20secret, x-other=2")
    cluster.worker("http", "--id", "w1")
    job = execute(cluster, "echo $TRACEPARENT; echo why >&2; exit 7", {"traceparent": PARENT}, name="a name", retryOnExit="any", backoffMs="1",
                  maxAttempts="2")
    status = cluster.api.wait_job(job)
    spans = of_job(collector, job)
    assert set(spans) == {("job", None), ("queued", 1), ("attempt", 1), ("queued", 2), ("attempt", 2)}
    assert {span["traceId"] for span in spans.values()} == {TRACE} and len({span["spanId"] for span in spans.values()}) == 5
    root, first, last = spans["job", None], spans["attempt", 1], spans["attempt", 2]
    assert root["parentSpanId"] == SPAN and {s["parentSpanId"] for s in spans.values() if s is not root} == {root["spanId"]}
    assert parts(status["stdout"])[2] == last["spanId"], "what the commands do hangs below their attempt"
    ms = 1000 * 1000
    assert root["startTimeUnixNano"] == status["createdAt"] * ms and root["endTimeUnixNano"] == status["completedAt"] * ms
    assert last["startTimeUnixNano"] == status["startedAt"] * ms and last["endTimeUnixNano"] == status["completedAt"] * ms
    assert spans["queued", 1]["startTimeUnixNano"] == root["startTimeUnixNano"]
    assert spans["queued", 1]["endTimeUnixNano"] == first["startTimeUnixNano"]
    assert spans["queued", 2]["startTimeUnixNano"] == first["endTimeUnixNano"]
    assert spans["queued", 2]["endTimeUnixNano"] == last["startTimeUnixNano"]
    for span in (root, first, last):
        assert span["status"]["code"] == 2 and span["attributes"]["process.exit.code"] == 7
        assert span["attributes"]["error.type"] == status["reason"] and span["attributes"]["gleaner.worker.id"] == "w1"
    assert root["attributes"]["gleaner.job.name"] == "a name" and root["attributes"]["gleaner.job.status"] == "failed"
    assert spans["queued", 1]["status"] == {}
    assert collector.taken()[0].headers["x-key"] == "a secret" and collector.taken()[0].headers["x-other"] == "2"
    wait_until(lambda: counts(cluster) == (5, 0))
    assert 'gleaner_spans_total{outcome="sent"} 5\n' in cluster.api.get("/metrics").body.decode()


def test_a_job_without_a_trace_begins_one_and_one_not_sampled_is_not_told(clusters, collectors):
    collector = collectors()
    cluster = traced(clusters, collector.url + "/v1/traces")
    cluster.worker()
    quiet = execute(cluster, "true", {"traceparent": PARENT[:-2] + "00"})
    cluster.api.wait_job(quiet)
    job = execute(cluster, "echo $TRACEPARENT")
    status = cluster.api.wait_job(job)
    spans = of_job(collector, job)
    root = spans["job", None]
    assert "parentSpanId" not in root and status["traceparent"] == f"00-{root['traceId']}-{root['spanId']}-01"
    assert parts(status["stdout"])[1:3] == (root["traceId"], spans["attempt", 1]["spanId"]) and root["status"] == {}
    other = execute(cluster, "true")
    cluster.api.wait_job(other)
    assert of_job(collector, other)["job", None]["traceId"] != root["traceId"]
    assert quiet not in {span["attributes"]["gleaner.job.id"] for span in spans_of(collector)}


def test_cancelled_and_lost_jobs(clusters, collectors):
    collector = collectors()
    cluster = traced(clusters, collector.url, "--lease", "1s", "--offline", "1s")
    waiting = create(cluster)
    cluster.api.post("/api/jobs/cancel", {"jobId": waiting})
    spans = of_job(collector, waiting)
    assert set(spans) == {("job", None), ("queued", 1)} and spans["job", None]["attributes"]["error.type"] == "cancelled"
    lost = create(cluster, maxAttempts=1)
    native = cluster.native()
    native.ask("worker-register", workerId="w", hostname="h", slots=1)
    assert native.ask("job-poll", workerId="w", slot=0, wait=10000)["jobId"] == lost
    assert cluster.api.wait_job(lost)["reason"] == of_job(collector, lost)["attempt", 1]["attributes"]["error.type"]


def test_the_endpoint_may_come_from_opentelemetrys_own_variables(clusters, collectors):
    collector = collectors()
    cluster = clusters(broker_env={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url + "/", "OTEL_EXPORTER_OTLP_HEADERS": "api-key=k1"})
    job = create(cluster)
    cluster.api.post("/api/jobs/cancel", {"jobId": job})
    assert of_job(collector, job) and collector.taken()[0].headers["api-key"] == "k1"


@pytest.mark.parametrize("first", [503, 429, "down", "hanging"])
def test_a_collector_that_cannot_now_is_told_later(clusters, collectors, first):
    port = closed_port()
    answers = iter([(first, {"Retry-After": "1"})] if isinstance(first, int) else [])
    collector = collectors(lambda posted: next(answers, 200) if first != "hanging" else None, port) if first != "down" else None
    cluster = traced(clusters, f"http://127.0.0.1:{port}", "--log-level", "debug")
    job = create(cluster)
    begun = time.monotonic()
    cluster.api.post("/api/jobs/cancel", {"jobId": job})
    if first == "hanging":
        wait_until(collector.taken)
        for _ in range(50):  # meanwhile the broker works as ever
            cluster.api.post("/api/jobs/cancel", {"jobId": create(cluster)})
        assert time.monotonic() - begun < 8 * PATIENCE
        collector.close()
        collector.close = lambda: None
    cluster.broker.wait_event("spans-wait")
    if first in ("down", "hanging"):
        collector = collectors(port=port)
    assert of_job(collector, job)
    assert wait_until(lambda: counts(cluster)[0] and counts(cluster))[1] == 0


def test_what_a_collector_refuses_is_counted_and_said(clusters, collectors):
    collector = collectors(400)
    cluster = traced(clusters, collector.url)
    cluster.api.post("/api/jobs/cancel", {"jobId": create(cluster)})
    assert "2 spans did not reach" in cluster.broker.wait_event("spans-lost")
    assert counts(cluster) == (0, 2) and len(collector.taken()) == 1


def test_a_stop_sends_what_is_left_and_does_not_wait_for_ever(clusters, collectors):
    collector, hanging = collectors(), collectors(None)
    for receiver, most, lost in ((collector, 5, 0), (hanging, 8, 1)):
        cluster = traced(clusters, receiver.url)
        job = create(cluster)
        cluster.api.post("/api/jobs/cancel", {"jobId": job})
        begun = time.monotonic()
        assert cluster.broker.stop() == 0 and time.monotonic() - begun < most * PATIENCE
        assert len(cluster.broker.events("spans-lost")) == lost
    assert {span["name"] for span in spans_of(collector)} == {"job", "queued"}


def test_a_flood_costs_spans_and_no_job(clusters, collectors):
    hanging = collectors(None)
    plain, cluster = clusters(gateway=False), traced(clusters, hanging.url, gateway=False)
    natives = plain.native(), cluster.native()
    took = [0, 0]
    for _ in range(5):
        for which, native in enumerate(natives):
            took[which] += end_many((plain, cluster)[which], native, 2000)
    print(f"10,000 jobs: {took[0]:.2f} s without spans, {took[1]:.2f} s with a collector that hangs, ratio {took[1] / took[0]:.2f}")
    info = cluster.native().ask("broker-info")
    assert info["totalJobs"] == 10000 and info["pendingJobs"] == 0 and info["spansSent"] == 0
    assert 0 < info["spansLost"] < 20000 and cluster.broker.events("spans-lost")
    assert took[1] < 4 * took[0], took


@pytest.mark.parametrize("args, says", [(["--otlp", "collector:4318"], "http://127.0.0.1:4318"), (["--otlp", "http://h/?x"], "no plain"),
                                        (["--otlp", "http://h", "--otlp-headers", "x"], "NAME=VALUE"),
                                        (["--otlp", "http://h", "--otlp-headers", "x=%0d%0ay: z"], "NAME=VALUE")])
def test_options_that_cannot_be_meant_are_refused(tmp_path, args, says):
    done = subprocess.run([BIN / "gleaner-broker", "--listen", "tcp://127.0.0.1:0", "--data", tmp_path / "data", *args],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and says in done.stderr.splitlines()[-1], done.stderr
