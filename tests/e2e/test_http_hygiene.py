"""Requests that a proxy and a server may read in two ways, and paths that mean to climb: raw sockets."""

import socket
import time

import pytest


def talk(cluster, request, seconds=5):
    """Everything that comes back until the server closes, or is silent for a moment."""
    with socket.create_connection(("127.0.0.1", cluster.port), seconds) as raw:
        raw.sendall(request)
        raw.settimeout(0.7)
        got = b""
        try:
            while piece := raw.recv(65536):
                got += piece
        except socket.timeout:
            return got, False
        except ConnectionResetError:
            pass
        return got, True


def status_of(got):
    return int(got.split(b" ", 2)[1]) if got.startswith(b"HTTP/1.") else None


SMUGGLED = b"GET /api/info HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /api/jobs/cancel HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize("headers, status", [
    (b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", 400), (b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", 400),
    (b"Content-Length: 4\r\nContent-Length: 40\r\n", 400), (b"Content-Length: 4\r\nContent-Length: 4\r\n", 400),
    (b"Content-Length : 4\r\n", 400), (b"Content-Length: +4\r\n", 400), (b"Content-Length: 4, 4\r\n", 400), (b"Content-Length: 0x4\r\n", 400),
    (b"Transfer-Encoding: gzip\r\n", 501), (b"Transfer-Encoding: chunked, gzip\r\n", 501),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400), (b"Host: y\r\nContent-Length: 0\r\n", 400),
    (b"X-A: a\x01b\r\nContent-Length: 0\r\n", 400)])
def test_an_ambiguous_request_is_refused_and_the_connection_closed(shared, headers, status):
    got, closed = talk(shared, POST + headers + b"\r\n0\r\n\r\n" + SMUGGLED)
    assert status_of(got) == status, got
    assert closed and b"HTTP/1.1 200" not in got and b"uptimeMs" not in got, "what follows is not read as a request"


@pytest.mark.parametrize("path", [
    b"/uploads/..%2f..%2fetc/passwd", b"/uploads/%2e%2e/%2e%2e/etc/passwd", b"/%2e%2e/%2e%2e/etc/passwd", b"/uploads/%2fetc%2fpasswd",
    b"/..%5c..%5cetc", b"/uploads/a%00.zip", b"/index.html%00.png", b"/api/jobs/status%00", b"/uploads/a\\b", b"/%0d%0aX:y", b"/%7f"])
def test_an_encoded_climb_is_400(shared, path):
    got, _ = talk(shared, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert status_of(got) == 400 and b"root:" not in got, got


@pytest.mark.parametrize("path", [b"/../../etc/passwd", b"/uploads/../../etc/passwd", b"/uploads/../index.html", b"//etc/passwd", b"/./index.html",
                                  b"/.hidden", b"/uploads/.", b"/uploads/.."])
def test_a_plain_climb_finds_nothing(shared, path):
    got, _ = talk(shared, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert status_of(got) in (400, 404) and b"root:" not in got, got


def test_a_percent_that_is_no_escape_is_400(shared):
    for path in (b"/%", b"/%z1", b"/a%2"):
        got, _ = talk(shared, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert status_of(got) == 400, (path, got)


@pytest.mark.parametrize("request_", [b"nonsense\r\n\r\n", b"GET\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
                                      b"GET / HTTP/1.1\r\n\r\n", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                                      b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n"],
                         ids=["words", "no-path", "no-version", "http-9", "tls", "no-host", "long-path", "long-header"])
def test_what_is_no_request_costs_nobody_anything(shared, request_):
    got, _ = talk(shared, request_)
    status = status_of(got)
    assert status is None or status >= 400 or request_.startswith(b"GET /\r\n"), got
    assert shared.api.get("/api/info").status == 200


def test_requests_in_a_row_on_one_connection_are_answered_in_order(shared):
    got, _ = talk(shared, SMUGGLED * 3 + b"GET /api/nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert [int(part[:3]) for part in got.split(b"HTTP/1.1 ")[1:]] == [200, 200, 200, 404]


def test_a_chunked_body_is_read(shared):
    body = b'{"jobId":"job-1705329400000-abc123xyz"}'
    chunks = b"".join(b"1\r\n" + body[n:n + 1] + b"\r\n" for n in range(len(body))) + b"0\r\n\r\n"
    got, _ = talk(shared, POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    assert status_of(got) == 404 and b"NO_SUCH_JOB" in got


def test_expect_100_continue(shared):
    with socket.create_connection(("127.0.0.1", shared.port), 5) as raw:
        raw.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 100")
        raw.sendall(b"{}")
        assert b" 400 " in raw.recv(4096)


def test_many_half_requests_leave_the_others_alone(shared):
    half = []
    try:
        for _ in range(300):
            half.append(socket.create_connection(("127.0.0.1", shared.port), 5))
            half[-1].sendall(b"POST /api/jobs/create HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        begun = time.monotonic()
        for _ in range(20):
            assert shared.api.get("/api/info").status == 200
        assert time.monotonic() - begun < 2
    finally:
        for raw in half:
            raw.close()
    assert shared.api.get("/api/info").status == 200


def test_many_parked_polls_leave_the_others_alone(shared):
    shared.api.post("/api/workers/register", {"workerId": "parked", "hostname": "h", "slots": 256})
    parked = []
    try:
        for slot in range(256):
            parked.append(socket.create_connection(("127.0.0.1", shared.port), 5))
            parked[-1].sendall(b"GET /api/jobs/get-job?workerId=parked&slot=%d&wait=60000 HTTP/1.1\r\nHost: x\r\n\r\n" % slot)
        begun = time.monotonic()
        for _ in range(50):
            assert shared.api.get("/api/workers/list").status == 200
        assert time.monotonic() - begun < 2
    finally:
        for raw in parked:
            raw.close()


def test_answers_say_what_browsers_need(shared):
    page = shared.api.get("/")
    assert page.headers["X-Content-Type-Options"] == "nosniff" and "default-src 'none'" in page.headers["Content-Security-Policy"]
    for path in ("/api/info", "/api/jobs/status", "/api/nothing"):
        assert shared.api.get(path).headers["Content-Type"] == "application/json"


def test_a_jobs_bytes_are_no_page(shared):
    """Whatever a job prints or a ZIP holds, a browser must not take it for a page of ours."""
    shared.api.post("/api/workers/register", {"workerId": "w", "hostname": "h"})
    job = shared.api.submit("true")
    shared.api.get("/api/jobs/get-job?workerId=w")
    shared.api.post("/api/jobs/submit-result", {"jobId": job, "workerId": "w", "exitCode": 0, "stdout": "<script>alert(1)</script>"})
    for path in (f"/api/jobs/output?jobId={job}&stream=stdout", shared.api.status(job)["fileUrl"]):
        answer = shared.api.get(path)
        assert answer.status == 200 and answer.headers["Content-Type"] in ("application/octet-stream", "application/zip"), path
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path
