"""Output as raw bytes: ranges, live, and after the end; server-sent events."""

import http.client
import json
import os
import socket
import threading
import time

import msgpack
import pytest

from cluster import wait_until


@pytest.fixture(scope="module")
def printed(at_work):
    """A job that printed 300,000 bytes of any value, and those bytes."""
    data = os.urandom(300_000)
    job = at_work.api.submit("cat data.bin; echo err >&2", files={"data.bin": data})
    assert at_work.api.wait_job(job)["status"] == "completed"
    return job, data


def test_binary_output_byte_for_byte(at_work, printed):
    job, data = printed
    answer = at_work.api.get(f"/api/jobs/output?jobId={job}")
    assert answer.status == 200 and answer.body == data and answer.headers["X-Job-Status"] == "completed"
    assert answer.headers["X-Output-Bytes"] == "300000" and "sandbox" in answer.headers["Content-Security-Policy"]
    assert at_work.api.get(f"/api/jobs/output?jobId={job}&stream=stderr").body == b"err\n"
    assert at_work.api.get(f"/api/jobs/output?jobId={job}&offset=299990").body == data[-10:]
    assert at_work.api.get(f"/api/jobs/output?jobId={job}&offset=300000").body == b""
    json.loads(at_work.api.get(f"/api/jobs/status?jobId={job}").body.decode("utf-8"))


@pytest.mark.parametrize("spec, part", [("bytes=0-9", slice(0, 10)), ("bytes=299000-", slice(299000, None)), ("bytes=-5", slice(-5, None)),
                                        ("bytes=100000-250000", slice(100000, 250001)), ("bytes=299999-999999", slice(299999, None))])
def test_ranges(at_work, printed, spec, part):
    job, data = printed
    answer = at_work.api.get(f"/api/jobs/output?jobId={job}", Range=spec)
    assert answer.status == 206 and answer.body == data[part] and answer.headers["Content-Range"].endswith("/300000")


def test_beyond_the_end(at_work, printed):
    """By offset or by range, of output or of a file: one answer, which tells the length."""
    job, _ = printed
    url = at_work.api.status(job)["fileUrl"]
    size = len(at_work.api.get(url).body)
    refusals = [at_work.api.get(f"/api/jobs/output?jobId={job}&offset=300001"), at_work.api.get(f"/api/jobs/output?jobId={job}&offset=300001&follow=1"),
                at_work.api.get(f"/api/jobs/output?jobId={job}", Range="bytes=300000-")]
    assert len({answer.body for answer in refusals}) == 1 and refusals[0]["field"] == "offset" and "300000" in refusals[0]["error"]
    for answer, length in [*((r, 300000) for r in refusals), (at_work.api.get(url, Range=f"bytes={size}-"), size)]:
        assert (answer.status, answer["code"], answer.headers["Content-Range"]) == (416, "BEYOND_END", f"bytes */{length}")
        assert answer.headers["Content-Type"] == "application/json" and str(length) in answer["error"]
    native = at_work.native().ask("job-follow", jobId=job, stderrOffset=5)
    assert (native["code"], native["stream"], native["offset"]) == ("BEYOND_END", "stderr", 4)


@pytest.mark.parametrize("query, field", [("stream=both", "stream"), ("offset=-1", "offset"), ("offset=x", "offset"), ("follow=maybe", "follow"),
                                          ("view=html", "view"), ("view=", "view"), ("attempt=0", "attempt"), ("attempt=x", "attempt"),
                                          ("attempt=1001", "attempt")])
def test_what_makes_no_sense_is_refused_by_its_name(at_work, printed, query, field):
    answer = at_work.api.get(f"/api/jobs/output?jobId={printed[0]}&{query}")
    assert (answer.status, answer["code"], answer["field"]) == (400, "SCHEMA", field) and field in answer["error"]


def test_a_browser_shows_output_as_text_when_it_is_asked_to(at_work):
    """And as nothing else, whatever was printed."""
    page = "<!DOCTYPE html><script>alert(1)</script>\u00e9\n"
    job = at_work.api.submit("cat page.html; cat page.html >&2", files={"page.html": page.encode()})
    assert at_work.api.wait_job(job)["status"] == "completed"
    for query, body in [("", page), ("&stream=stderr", page), ("&follow=1", page), ("&offset=15", page[15:])]:
        answer = at_work.api.get(f"/api/jobs/output?jobId={job}&view=text{query}")
        assert (answer.status, answer.body.decode()) == (200, body), query
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8" and answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "sandbox" and "Content-Disposition" not in answer.headers
    part = at_work.api.get(f"/api/jobs/output?jobId={job}&view=text", Range="bytes=0-8")
    assert (part.status, part.body, part.headers["Content-Type"]) == (206, b"<!DOCTYPE", "text/plain; charset=utf-8")


def test_an_offset_and_a_range_contradict_each_other(at_work, printed):
    for spec in ("bytes=0-9", "bytes=0-1,4-5"):
        answer = at_work.api.get(f"/api/jobs/output?jobId={printed[0]}&offset=3", Range=spec)
        assert (answer.status, answer["code"], answer["field"]) == (400, "SCHEMA", "offset") and "Range" in answer["error"]


def test_an_attempt_that_never_was_is_404(at_work, printed):
    job, data = printed
    for attempt in (2, 9):
        answer = at_work.api.get(f"/api/jobs/output?jobId={job}&attempt={attempt}")
        assert (answer.status, answer["code"]) == (404, "NO_SUCH_ATTEMPT") and answer["error"]
    first = at_work.api.get(f"/api/jobs/output?jobId={job}&attempt=1")
    assert first.body == data and first.headers["X-Attempt"] == "1"
    assert at_work.api.get("/api/jobs/output?jobId=job-0000000000000-000000000").status == 404


@pytest.mark.parametrize("query", ["", "&follow=1", "&stream=stderr"])
def test_head_has_no_body(at_work, printed, query):
    """Not even the last chunk of an empty one: the next answer on the connection begins where it should."""
    job, _ = printed
    with socket.create_connection(("127.0.0.1", at_work.port), timeout=10) as raw:
        raw.sendall(f"HEAD /api/jobs/output?jobId={job}{query} HTTP/1.1\r\nHost: x\r\n\r\nGET /api/info HTTP/1.1\r\nHost: x\r\n"
                    "Connection: close\r\n\r\n".encode())
        got = b"".join(iter(lambda: raw.recv(65536), b""))
    head, _, rest = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200") and rest.startswith(b"HTTP/1.1 200"), got[:600]


def test_live(at_work):
    job = at_work.api.submit("for i in 1 2 3; do echo $i; sleep 0.3; done")
    connection = http.client.HTTPConnection("127.0.0.1", at_work.port, timeout=20)
    connection.request("GET", f"/api/jobs/output?jobId={job}&follow=1")
    answer = connection.getresponse()
    start, first = time.monotonic(), answer.read(1)
    early = time.monotonic() - start
    assert first + answer.read() == b"1\n2\n3\n"
    assert time.monotonic() - start > early + 0.3  # it came as it was printed
    connection.close()


def followed(cluster, query):
    """X-Attempt and the body of a followed stream, once it has ended: a thread's result."""
    got = {}
    def read():
        answer = cluster.client().get(f"/api/jobs/output?follow=1&{query}")
        got.update(attempt=answer.headers["X-Attempt"], body=answer.body)
    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread, got


def test_a_followed_stream_ends_with_its_attempt(cluster):
    """Also when that attempt was silent: what the next one prints is another stream, by its own X-Attempt."""
    native = cluster.native()
    native.ask("worker-register", workerId="w", hostname="h", slots=1)
    job = cluster.api.create(retryOnExit=[75], backoffMs=1, maxAttempts=2)
    def begin():
        lease = native.ask("job-poll", workerId="w", slot=0, wait=5000)
        return {"workerId": "w", **{k: lease[k] for k in ("jobId", "attempt", "token")}}
    first = begin()
    readers = [followed(cluster, f"jobId={job}&stream={stream}") for stream in ("stdout", "stderr")]
    native.ask("job-output", **first, stream="stdout", offset=0, data=b"one")
    time.sleep(0.3)
    native.ask("job-result", **first, exitCode=75, stdoutBytes=3, stderrBytes=0)
    second = begin()
    for stream, data in (("stdout", b"two"), ("stderr", b"err")):
        native.ask("job-output", **second, stream=stream, offset=0, data=data)
    for (thread, got), body in zip(readers, (b"one", b"")):
        thread.join(15)
        assert got == {"attempt": "1", "body": body}
    rest = [followed(cluster, f"jobId={job}&stream={stream}") for stream in ("stdout", "stderr")]
    time.sleep(0.3)
    native.ask("job-result", **second, exitCode=0, stdoutBytes=3, stderrBytes=3)
    for (thread, got), body in zip(rest, (b"two", b"err")):
        thread.join(15)
        assert got == {"attempt": "2", "body": body}


@pytest.mark.parametrize("size", [10, 400_000], ids=["in-its-row", "in-files"])
def test_output_is_there_between_two_attempts(cluster, size):
    native = cluster.native()
    native.ask("worker-register", workerId="w", hostname="h", slots=1)
    job = cluster.api.create(retryOnExit=[75], backoffMs=600_000, maxAttempts=2)
    lease = native.ask("job-poll", workerId="w", slot=0, wait=5000)
    about = {"workerId": "w", **{k: lease[k] for k in ("jobId", "attempt", "token")}}
    data = os.urandom(size)
    for at in range(0, size, 200_000):
        native.ask("job-output", **about, stream="stdout", offset=at, data=data[at:at + 200_000])
    native.ask("job-result", **about, exitCode=75, stdoutBytes=size, stderrBytes=0)
    assert cluster.api.status(job)["status"] == "pending"
    for query in ("", "&attempt=1"):
        answer = cluster.api.get(f"/api/jobs/output?jobId={job}{query}")
        assert answer.status == 200 and answer.body == data and answer.headers["X-Attempt"] == "1"


def test_who_wants_one_stream_is_not_woken_by_another(cluster):
    native, asker = cluster.native(), cluster.native()
    native.ask("worker-register", workerId="w", hostname="h", slots=1)
    job = cluster.api.create()
    lease = native.ask("job-poll", workerId="w", slot=0, wait=5000)
    about = {"workerId": "w", **{k: lease[k] for k in ("jobId", "attempt", "token")}}
    asker.send(b"", msgpack.packb({"v": 1, "type": "job-follow", "jobId": job, "stream": "stderr", "wait": 20_000}))
    native.ask("job-output", **about, stream="stdout", offset=0, data=b"out")
    assert asker.receive(0.5) is None
    native.ask("job-output", **about, stream="stderr", offset=0, data=b"err")
    answer = asker.receive(5)
    assert (answer["stderr"], answer["stderrOffset"], answer["stderrBytes"], answer["end"]) == (b"err", 0, 3, False)
    assert not {"stdout", "stdoutOffset", "stdoutBytes"} & set(answer)
    native.ask("job-result", **about, exitCode=0, stdoutBytes=3, stderrBytes=3)
    answer = native.ask("job-follow", jobId=job, stream="stderr", stderrOffset=3)
    assert answer["end"] is True and answer["exitCode"] == 0
    refused = native.ask("job-follow", jobId=job, stream="both")
    assert (refused["code"], refused["field"]) == ("SCHEMA", "stream")


# ---- events ----


class Events:
    """A server-sent event stream, read in the background."""

    def __init__(self, port, path, last=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.connection.request("GET", path, headers={"Last-Event-ID": last} if last else {})
        self.socket = self.connection.sock
        self.answer = self.connection.getresponse()
        self.events, self.ended = [], False
        self.thread = threading.Thread(target=self.read, daemon=True)
        if self.answer.status == 200:
            self.thread.start()

    def read(self):
        event = {}
        try:
            for line in self.answer:
                line = line.decode().rstrip("\n")
                if line == "":
                    if "data" in event:
                        self.events.append(event)
                    event = {}
                elif not line.startswith(":"):
                    key, _, value = line.partition(": ")
                    event[key] = json.loads(value) if key == "data" else value
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass
        self.ended = True

    def states(self, job):
        return [e["data"]["status"] for e in self.events if e.get("event") == "job" and e["data"]["jobId"] == job]

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)  # ends the reading thread, which a close would wait for
        except OSError:
            pass
        self.thread.join(5)
        self.connection.close()


def test_the_events_of_one_job_end_with_it(at_work):
    job = at_work.api.submit("echo hello; sleep 0.3; exit 3", delayMs=300)
    events = Events(at_work.port, f"/api/jobs/events?jobId={job}")
    assert events.answer.status == 200 and events.answer.getheader("Content-Type").startswith("text/event-stream")
    wait_until(lambda: events.ended, 15)
    assert events.states(job) == ["running", "failed"]
    assert any(e["event"] == "output" and e["data"]["stream"] == "stdout" and e["data"]["bytes"] == 6 for e in events.events)
    final = events.events[-1]["data"]
    assert final["reason"] == "exit-nonzero" and final["exitCode"] == 3 and all(e["data"]["jobId"] == job for e in events.events)
    late = Events(at_work.port, f"/api/jobs/events?jobId={job}")
    wait_until(lambda: late.ended, 5)
    assert late.states(job) == ["failed"]
    events.close(), late.close()


def test_a_browser_that_has_seen_the_end_is_told_to_stop(at_work):
    """EventSource reconnects for ever when a stream just ends; 204 is what makes it stop."""
    path = "/api/jobs/events?jobId=" + at_work.api.wait_job(at_work.api.submit("echo hello"))["jobId"]
    first = Events(at_work.port, path)
    wait_until(lambda: first.ended, 10)
    last = first.events[-1]["id"]
    answer = at_work.api.get(path, **{"Last-Event-ID": last})
    assert (answer.status, answer.body) == (204, b"") and at_work.api.get(f"{path}&lastEventId={last}").status == 204
    assert at_work.api.get("/api/info").status == 200  # on the same connection
    first.close()


def test_a_reconnect_that_missed_the_end_hears_it_once(at_work):
    job = at_work.api.submit("echo hello; exit 3", delayMs=300)
    path = f"/api/jobs/events?jobId={job}"
    events = Events(at_work.port, path)
    wait_until(lambda: "running" in events.states(job), 10)
    last = next(e["id"] for e in events.events if e["event"] == "job")
    events.close()
    at_work.api.wait_job(job)
    again = Events(at_work.port, path, last)
    wait_until(lambda: again.ended, 10)
    assert again.answer.status == 200 and again.states(job) == ["failed"]
    assert at_work.api.get(path, **{"Last-Event-ID": again.events[-1]["id"]}).status == 204
    again.close()


def test_a_job_that_runs_is_followed_on_after_a_reconnect(at_work, tmp_path):
    gate = tmp_path / "gate"
    job = at_work.api.submit(f"while [ ! -e {gate} ]; do sleep 0.02; done")
    at_work.api.wait_job(job, until=("running",))
    other = Events(at_work.port, "/api/events")
    at_work.api.post("/api/jobs/cancel", {"jobId": at_work.api.create(requires={"no": "such"})})
    wait_until(lambda: other.events, 10)
    events = Events(at_work.port, f"/api/jobs/events?jobId={job}", other.events[-1]["id"])
    assert events.answer.status == 200
    gate.touch()
    wait_until(lambda: events.ended, 10)
    assert events.states(job) == ["completed"]
    events.close(), other.close()


def test_the_end_is_told_once_more_after_a_restart(cluster):
    job = cluster.api.create()
    cluster.api.post("/api/jobs/cancel", {"jobId": job})
    path = f"/api/jobs/events?jobId={job}"
    first = Events(cluster.port, path)
    wait_until(lambda: first.ended, 10)
    cluster.broker.kill()
    cluster.broker.start()
    again = Events(cluster.port, path, first.events[-1]["id"])
    wait_until(lambda: again.ended, 10)
    assert [e["event"] for e in again.events] == ["gone", "job"] and again.states(job) == ["failed"]
    assert cluster.api.get(path, **{"Last-Event-ID": again.events[-1]["id"]}).status == 204
    first.close(), again.close()


def test_a_stream_is_resumed_where_it_was(at_work):
    events = Events(at_work.port, "/api/events")
    first = at_work.api.submit("true")
    wait_until(lambda: "completed" in events.states(first), 15)
    last = events.events[-1]["id"]
    events.close()
    second = at_work.api.submit("true")
    at_work.api.wait_job(second)
    again = Events(at_work.port, "/api/events", last)
    wait_until(lambda: "completed" in again.states(second), 15)
    assert again.states(second)[0] == "pending" and not again.states(first)
    assert len({e["id"] for e in again.events}) == len(again.events)
    again.close()


def test_an_id_that_is_gone_is_told_and_the_stream_goes_on(at_work):
    events = Events(at_work.port, "/api/events", "17-4")
    wait_until(lambda: events.events, 5)
    assert events.events[0]["event"] == "gone" and "from now" in events.events[0]["data"]["message"]
    job = at_work.api.submit("true")
    wait_until(lambda: "completed" in events.states(job), 15)
    again = Events(at_work.port, "/api/events", events.events[0]["id"])  # a reconnect right after the news
    wait_until(lambda: "completed" in again.states(job), 15)
    assert all(e["event"] != "gone" for e in again.events) and again.states(job) == events.states(job)
    events.close(), again.close()


def test_events_over_a_restart_of_the_broker(cluster):
    job = cluster.api.create()
    events = Events(cluster.port, f"/api/jobs/events?jobId={job}")
    cluster.broker.kill()
    cluster.broker.start()
    time.sleep(0.3)
    cluster.api.post("/api/jobs/cancel", {"jobId": job})
    wait_until(lambda: events.ended, 20)
    assert events.states(job)[-1] == "failed"
    events.close()


def test_events_of_no_job(at_work):
    assert at_work.api.get("/api/jobs/events?jobId=job-0000000000000-000000000").status == 404
    assert at_work.api.get("/api/jobs/events?jobId=x").status == 404
    assert at_work.api.get("/api/jobs/events").status == 400
