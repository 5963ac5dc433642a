"""Bad input of the HTTP side, row by row of the matrix: the answer, the count, the log, and everybody else served as before.

A case is named by its row. Rows of the other sides are in test_bad_input_native.py and test_bad_input_start.py, which says
of every row of the matrix where it is.
"""

import json
import socket
import time

import pytest

from client import multipart
from cluster import wait_until
from hostile import CANARY, CONTROL, gateway_refusals, logged, talk
from pages import PageClient
from tokens import TokenClient
from tokens import create as create_token
from zips import zip_of

HOST = b"Host: 127.0.0.1\r\n"
SECRET = f"Authorization: Bearer {CANARY}\r\n".encode()
SMUGGLED = b"GET /api/info HTTP/1.1\r\n" + HOST + b"\r\n"
MIB = 1024 * 1024


def get(path=b"/api/jobs", headers=HOST, end=b"\r\n"):
    return b"GET " + path + b" HTTP/1.1\r\n" + SECRET + headers + end


def post(headers, body=b"0\r\n\r\n", path=b"/api/jobs/cancel"):
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + SECRET + headers + b"\r\n" + body


def create(body):
    return post(b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body), body, b"/api/jobs/create")


def create_with(**fields):
    return create(json.dumps({"command": "true", "fileUrl": "/uploads/x.zip", "filename": "x.zip", **fields}).encode())


def form(body, kind):
    return post(b"Content-Type: " + kind.encode() + b"\r\nContent-Length: %d\r\n" % len(body), body, b"/api/execute")


def good_form(**fields):
    return multipart({"mode": "distributed", "commands": "true", **fields}, {"file": ("p.zip", zip_of({"a": "x"}))})


def form_with(extra):
    """A good form with `extra` parts in front."""
    body, kind = good_form()
    mark = b"--" + kind.split("boundary=")[1].encode() + b"\r\n"
    return form(b"".join(mark + part + b"\r\n" for part in extra) + body, kind)


def cut_form():
    body, kind = good_form()
    return form(body[:-20], kind)


def part(name, value):
    return b'Content-Disposition: form-data; name="%s"\r\n\r\n%s' % (name, value)


CLOSES, LIVES = "closes", "lives"
LAST = b"GET /api/none HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n"
TEN = b"Content-Length: 10\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

# name: (bytes, status, code, whether the connection ends)
CASES = {
    "row01-te-then-length": (post(CHUNKED + TEN), 400, "AMBIGUOUS_LENGTH", CLOSES),
    "row01-length-then-te": (post(TEN + CHUNKED), 400, "AMBIGUOUS_LENGTH", CLOSES),
    "row02-lengths-differ": (post(TEN + b"Content-Length: 11\r\n"), 400, "AMBIGUOUS_LENGTH", CLOSES),
    "row02-lengths-agree": (post(TEN + TEN), 400, "AMBIGUOUS_LENGTH", CLOSES),
    "row02-two-te": (post(CHUNKED + CHUNKED), 400, "AMBIGUOUS_LENGTH", CLOSES),
    "row03-gzip": (post(b"Transfer-Encoding: gzip\r\n"), 501, "UNSUPPORTED_TE", CLOSES),
    "row03-chunked-gzip": (post(b"Transfer-Encoding: chunked, gzip\r\n"), 501, "UNSUPPORTED_TE", CLOSES),
    "row03-identity": (post(b"Transfer-Encoding: identity\r\n"), 501, "UNSUPPORTED_TE", CLOSES),
    "row03-vertical-tab": (post(b"Transfer-Encoding: \x0bchunked\r\n"), 400, "BAD_HEADER", CLOSES),
    "row04-space-in-name": (get(headers=HOST + b"X Y: z\r\n"), 400, "BAD_HEADER", CLOSES),
    "row04-space-before-colon": (get(headers=HOST + b"X-Y : z\r\n"), 400, "BAD_HEADER", CLOSES),
    "row04-tab-before-colon": (get(headers=HOST + b"X-Y\t: z\r\n"), 400, "BAD_HEADER", CLOSES),
    "row04-space-before-length": (post(b"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n"), 400, "BAD_HEADER", CLOSES),
    "row04-empty-name": (get(headers=HOST + b": z\r\n"), 400, "BAD_HEADER", CLOSES),
    "row04-folded": (get(headers=HOST + b"X-Y: a\r\n b\r\n"), 400, "BAD_HEADER", CLOSES),
    "row04-folded-host": (get(headers=b"Host: 127.0.0.1\r\n .evil\r\n"), 400, "BAD_HEADER", CLOSES),
    "row05-nul-in-value": (get(headers=HOST + b"X-Y: a\x00b\r\n"), 400, "BAD_HEADER", CLOSES),
    "row05-nul-ends-value": (get(headers=HOST + b"X-Y: a\x00\r\n"), 400, "BAD_HEADER", CLOSES),
    "row05-nul-is-value": (get(headers=HOST + b"X-Y: \x00\r\n"), 400, "BAD_HEADER", CLOSES),
    "row05-nul-begins-line": (get(headers=HOST + b"\x00X-Y: a\r\n"), 400, "BAD_HEADER", CLOSES),
    "row05-nuls-are-line": (get(headers=HOST + b"\x00\x00\r\n"), 400, "BAD_HEADER", CLOSES),
    "row05-nul-hides-length": (post(b"Content-Length: 5\x000\r\n", SMUGGLED), 400, "BAD_HEADER", CLOSES),
    "row05-control": (get(headers=HOST + b"X-Y: a\x01b\r\n"), 400, "BAD_HEADER", CLOSES),
    "row05-escape": (get(headers=HOST + b"X-Y: \x1b[2J\r\n"), 400, "BAD_HEADER", CLOSES),
    "row05-delete": (get(headers=HOST + b"X-Y: \x7f\r\n"), 400, "BAD_HEADER", CLOSES),
    "row05-bare-cr": (get(headers=HOST + b"X-Y: a\rContent-Length: 5\r\n"), 400, "BAD_HEADER", CLOSES),
    "row06-no-host": (get(headers=b""), 400, "BAD_HEADER", CLOSES),
    "row06-hosts-agree": (get(headers=HOST + HOST), 400, "BAD_HEADER", CLOSES),
    "row06-hosts-differ": (get(headers=HOST + b"Host: localhost\r\n"), 400, "BAD_HEADER", CLOSES),
    "row06-rebinding": (get(headers=b"Host: evil.example\r\n"), 421, "BAD_HOST", LIVES),
    "row06-rebinding-port": (get(headers=b"Host: evil.example:3000\r\n"), 421, "BAD_HOST", LIVES),
    "row06-rebinding-post": (b"POST /api/jobs/cancel HTTP/1.1\r\nHost: a.evil.example\r\nContent-Length: 2\r\n\r\n{}", 421, "BAD_HOST", LIVES),
    "row06-localhost-of-evil": (get(headers=b"Host: localhost.evil.example\r\n"), 421, "BAD_HOST", LIVES),
    "row06-address-of-evil": (get(headers=b"Host: 127.0.0.1.evil.example\r\n"), 421, "BAD_HOST", LIVES),
    "row06-user-part": (get(headers=b"Host: localhost@evil.example\r\n"), 421, "BAD_HOST", LIVES),
    "row06-bad-port": (get(headers=b"Host: 127.0.0.1:x\r\n"), 421, "BAD_HOST", LIVES),
    "row06-open-bracket": (get(headers=b"Host: [::1\r\n"), 421, "BAD_HOST", LIVES),
    "row06-escape-in-host": (get(headers="Host: e\u00ffil.example\r\n".encode()), 421, "BAD_HOST", LIVES),
    "row06-empty": (get(headers=b"Host: \r\n"), 421, "BAD_HOST", LIVES),
    "row07-lf-after-first-line": (b"GET /api/jobs HTTP/1.1\n" + SECRET + HOST + b"\r\n", 400, "BAD_HEADER", CLOSES),
    "row07-lf-after-a-header": (get(headers=b"Host: 127.0.0.1\nX-Y: z\r\n"), 400, "BAD_HEADER", CLOSES),
    "row07-lf-after-the-last-header": (get(headers=b"Host: 127.0.0.1\n"), 400, "BAD_HEADER", CLOSES),
    "row07-lf-ends-the-head": (get(end=b"\n"), 400, "BAD_HEADER", CLOSES),
    "row07-all-lf": (b"GET /api/jobs HTTP/1.1\nHost: 127.0.0.1\n\n", 400, "BAD_HEADER", CLOSES),
    "row07-lf-hides-a-request": (get(end=b"\n") + SMUGGLED, 400, "BAD_HEADER", CLOSES),
    "row08-percent-nul": (get(b"/uploads/a%00.zip"), 400, "BAD_PATH", LIVES),
    "row08-percent-nul-at-the-end": (get(b"/api/jobs%00"), 400, "BAD_PATH", LIVES),
    "row08-nul-itself": (get(b"/api/jobs\x00/../x"), 400, "BAD_HEADER", CLOSES),
    "row08-control-itself": (get(b"/api/\x1b[2Jjobs"), 400, "BAD_PATH", LIVES),
    "row09-dots": (get(b"/uploads/%2e%2e/%2E%2E/etc/passwd"), 400, "BAD_PATH", LIVES),
    "row09-slash": (get(b"/uploads/..%2f..%2Fetc/passwd"), 400, "BAD_PATH", LIVES),
    "row09-backslash": (get(b"/..%5c..%5Cetc"), 400, "BAD_PATH", LIVES),
    "row09-plain-backslash": (get(b"/uploads/a\\..\\b"), 400, "BAD_PATH", LIVES),
    "row09-no-escape": (get(b"/a%zz"), 400, "BAD_PATH", LIVES),
    "row11-told-length": (post(b"Content-Type: application/json\r\nContent-Length: 5000000000\r\n"), 413, "TOO_LARGE", None),
    "row11-chunked": (post(b"Content-Type: application/json\r\n" + CHUNKED, b"200000\r\n" + b" " * (2 * MIB) + b"\r\n0\r\n\r\n"), 413, "TOO_LARGE", None),
    "row12-no-boundary": (form(good_form()[0], "multipart/form-data"), 400, "BAD_MULTIPART", None),
    "row12-long-boundary": (form(good_form()[0], "multipart/form-data; boundary=" + "b" * 5000), 400, "BAD_MULTIPART", None),
    "row12-other-boundary": (form(good_form()[0], "multipart/form-data; boundary=other"), 400, "BAD_MULTIPART", None),
    "row12-cut": (cut_form(), 400, "BAD_MULTIPART", None),
    "row12-nameless": (form_with([b"Content-Disposition: form-data\r\n\r\nx"]), 400, "BAD_MULTIPART", None),
    "row13-twice": (form_with([part(b"commands", b"false")]), 400, "DUPLICATE_FIELD", None),
    "row13-unknown": (form_with([part(b"comands", b"false")]), 400, "UNKNOWN_FIELD", None),
    "row13-unknown-escape": (form_with([part(b"\x1b[2J", b"false")]), 400, "UNKNOWN_FIELD", None),
    "row18-nul": (create_with(command="true\0"), 400, "BAD_JSON", LIVES),
    "row19-bad-utf8": (create(b'{"command":"\xff\xfe"}'), 400, "BAD_JSON", LIVES),
    "row19-overlong": (create(b'{"command":"\xc0\xaf"}'), 400, "BAD_JSON", LIVES),
    "row19-lone-surrogate": (create(b'{"command":"\\ud800"}'), 400, "BAD_JSON", LIVES),
    "row20-two-to-63": (create(b'{"timeoutMs":9223372036854775808}'), 400, "BAD_JSON", LIVES),
    "row20-1e999": (create(b'{"timeoutMs":1e999}'), 400, "BAD_JSON", LIVES),
    "row20-fraction": (create_with(timeoutMs=1.5), 400, "SCHEMA", LIVES),
    "row20-beyond": (create_with(timeoutMs=2**62), 400, "SCHEMA", LIVES),
    "row20-nan": (create(b'{"timeoutMs":NaN}'), 400, "BAD_JSON", LIVES),
    "row21-twice": (create(b'{"command":"true","command":"false"}'), 400, "DUPLICATE_KEY", LIVES),
    "row22-33-deep": (create(b'{"x":' + b"[" * 33 + b"]" * 33 + b"}"), 400, "TOO_DEEP", LIVES),
    "row22-100000-deep": (create(b"[" * 100_000), 400, "TOO_DEEP", LIVES),
    "row23-newline-in-env": (create_with(env={"A": "x\ny"}), 400, "BAD_COMMAND", LIVES),
    "row23-empty-command": (create_with(command="\n"), 400, "BAD_COMMAND", LIVES),
    "row23-escape-in-env": (create_with(env={"A": "\x1b[2J"}), 400, "BAD_COMMAND", LIVES),
}


def one_sentence(text):
    return text[-1] in ".?" and "\n" not in text and (text[0].isupper() or text[0] == "`")


@pytest.mark.parametrize("name", CASES)
def test_a_row(shared, name):
    request, status, code, closes = CASES[name]
    before, lines = gateway_refusals(shared.api), len(shared.gateway.events("request-refused"))
    got = talk(shared.port, request + {CLOSES: SMUGGLED, LIVES: LAST, None: b""}[closes])
    assert got.status == status, got
    assert got.json["code"] == code and one_sentence(got.json["error"]), got
    assert not CONTROL.search(got.body) and CANARY.encode() not in got.got and b"uptimeMs" not in got.got, got
    assert closes is None or got.closed and (b"NO_SUCH_PATH" in got.got) == (closes is LIVES), got
    assert gateway_refusals(shared.api).get(code, 0) > before.get(code, 0)
    assert logged(shared.gateway, "request-refused", code, lines)
    assert CANARY not in shared.gateway.log.read_text() and "\x1b" not in shared.gateway.log.read_text()


# What libmicrohttpd refuses without asking us: the status is right, and the answer is a page of its own without a code.
LIBRARY = {
    "row04-no-colon": (get(headers=HOST + b"X-Y\r\n"), {400}, "BAD_HEADER"),
    "row05-nul-in-name": (get(headers=HOST + b"X\x00Y: z\r\n"), {400}, "BAD_HEADER"),
    "row02-signed-length": (post(b"Content-Length: +4\r\n"), {400}, "BAD_HEADER"),
    "row02-list-of-lengths": (post(b"Content-Length: 4, 4\r\n"), {400}, "BAD_HEADER"),
    "row10-long-target": (get(b"/" + b"a" * 100_000), {414}, "TOO_LARGE"),
    "row10-long-header": (get(headers=HOST + b"X-Y: " + b"a" * 100_000 + b"\r\n"), {431}, "TOO_LARGE"),
    "row10-many-headers": (get(headers=HOST + b"X-Y: z\r\n" * 10_000), {431}, "TOO_LARGE"),
    "row11-chunk-of-2-to-64": (post(CHUNKED, b"10000000000000000\r\n"), {413}, "TOO_LARGE"),
    "row11-length-of-2-to-64": (post(b"Content-Length: 18446744073709551616\r\n"), {413}, "TOO_LARGE"),
    "row03-chunk-without-size": (post(CHUNKED, b"\r\nabc"), {400}, "BAD_HEADER"),
    "row03-chunk-size-no-number": (post(CHUNKED, b"5x\r\nhello\r\n0\r\n\r\n"), {400}, "BAD_HEADER"),
}


@pytest.mark.parametrize("name", LIBRARY)
def test_a_row_that_the_library_refuses(shared, name):
    request, statuses, code = LIBRARY[name]
    before, lines = gateway_refusals(shared.api), len(shared.gateway.events("request-refused"))
    got = talk(shared.port, request)
    assert got.status in statuses and got.closed and not CONTROL.search(got.body) and CANARY.encode() not in got.got, got
    assert gateway_refusals(shared.api).get(code, 0) > before.get(code, 0)
    assert logged(shared.gateway, "request-refused", code, lines)


@pytest.mark.parametrize("body", [b"4\n{}  \n0\n\n", b"4\r\n{}  \n0\r\n\r\n", b"4;a=b\r\n{}  \r\n0\r\n\r\n"], ids=["all-lf", "after-data", "extension"])
def test_row07_within_a_chunked_body_a_bare_lf_is_taken(shared, body):
    """A known limit: nobody tells us of these lines. What follows is read as the next request, as the sender meant it."""
    got = talk(shared.port, post(CHUNKED, body) + LAST)
    assert got.status == 400 and got.json["code"] == "MISSING_FIELD", got
    assert got.got.count(b"HTTP/1.1 ") == 2 and b"NO_SUCH_PATH" in got.got, got


def test_row06_names_that_are_known_without_being_told(shared):
    machine = socket.gethostname()
    for host in ("127.0.0.1", f"127.0.0.1:{shared.port}", "[::1]", "[::1]:80", "192.0.2.7", "localhost", "LOCALHOST:1", "a.localhost", "pc7", "pc_7:80", machine,
                 f"{machine}:3000", "localhost."):
        got = talk(shared.port, get(headers=f"Host: {host}\r\nConnection: close\r\n".encode()))
        assert got.status == 200, (host, got)
    assert talk(shared.port, b"GET /api/jobs HTTP/1.0\r\n\r\n").status == 200


def test_row06_names_that_are_told(clusters):
    cluster = clusters(gateway_args=["--host", "gleaner.corp.example,Other.example"])
    for host, status in (("gleaner.corp.example", 200), ("GLEANER.corp.example:443", 200), ("other.example", 200), ("corp.example", 421), ("x.other.example", 421)):
        assert talk(cluster.port, get(headers=f"Host: {host}\r\nConnection: close\r\n".encode())).status == status, host
    any_ = cluster.add_gateway(["--host", "*"])
    assert talk(int(any_.args[1].rsplit(":", 1)[1]), get(headers=b"Host: evil.example\r\nConnection: close\r\n")).status == 200


def test_a_good_head_is_taken_in_whatever_pieces_it_comes(shared):
    """How the lines of a head lie in memory must not depend on how they came."""
    head = get(headers=b"".join(b"X-%d: %s\r\n" % (n, b"v" * (n * 7 % 90)) for n in range(60)) + HOST + b"X-Empty:\r\nX-Spaces: \t a b \r\nCookie: a=1; b=\"2\"\r\n")
    for size in (1, 2, 3, 7, 64, 1000, 1448):
        pieces = [head[at:at + size] for at in range(0, len(head), size)]
        with socket.create_connection(("127.0.0.1", shared.port), 5) as raw:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(2):
                for piece in pieces:
                    raw.sendall(piece)
                assert raw.recv(65536).startswith(b"HTTP/1.1 200"), size
    got = talk(shared.port, head * 20)
    assert got.got.count(b"HTTP/1.1 200") == 20


def test_row15_row16_row17_who_may_not_is_counted_and_logged(clusters):
    """Also what the gateway refuses by itself: the broker, and so its log, hears nothing of that."""
    cluster = clusters(broker_args=["--auth", "on"], gateway_args=["--rate", "10", "--rate-burst", "60"])
    viewer, page = TokenClient(cluster, create_token(cluster, "viewer", "v")), PageClient(cluster)
    wait_until(lambda: page.login(viewer.token).status == 200)
    drain = ("POST", "/api/workers/drain", {"workerId": "nobody"})
    before = gateway_refusals(viewer)
    answers = [cluster.api.get("/api/info"), TokenClient(cluster, CANARY).get("/api/info"), viewer.request(*drain),
               page.request(*drain, {"X-Gleaner-Key": None}), page.request(*drain, {"Origin": "https://evil.example"})]
    while answers[-1].status != 429:
        answers.append(viewer.get("/api/info"))
    codes = ["UNAUTHORIZED", "FORBIDDEN", "NO_PAGE_KEY", "CROSS_SITE", "RATE_LIMITED"]
    refused = [answer for answer in answers if answer.status != 200]
    assert {answer["code"] for answer in refused} == set(codes) and all(one_sentence(answer["error"]) for answer in refused)
    time.sleep(1)  # then ten may come again
    counts = gateway_refusals(viewer)
    assert all(counts.get(code, 0) > before.get(code, 0) for code in codes)
    assert all(logged(cluster.gateway, "request-refused", code, 0) for code in codes)
    assert CANARY not in cluster.gateway.log.read_text() + cluster.broker.log.read_text()


def test_refusals_cannot_flood_the_log(clusters):
    cluster = clusters()
    with socket.create_connection(("127.0.0.1", cluster.port), 5) as raw:
        for _ in range(20):
            raw.sendall(get(b"/a%00") * 25)
            got = b""
            while got.count(b"HTTP/1.1 400") < 25:
                got += raw.recv(65536)
    lines = [line[:19] for line in cluster.gateway.events("request-refused")]
    assert lines and all(lines.count(second) <= 20 for second in lines), "10 a second, and seconds of two clocks"
    assert gateway_refusals(cluster.api)["BAD_PATH"] == 500
