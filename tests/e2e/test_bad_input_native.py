"""Bad input of the ZeroMQ side, row by row of the matrix: the error, the count, the log, bounded memory, and everybody else served as before."""

import os
import re
import socket
import struct
import time

import msgpack
import pytest

from built import TSAN
from cluster import wait_until
from hostile import logged, refusals

MIB = 1024 * 1024


def body(type="broker-info", **fields):
    return msgpack.packb({"v": 1, "type": type, **fields})


def nested(depth):
    value = None
    for _ in range(depth):
        value = [value]
    return body(x=value)


PAIR = b"\xa1v\x01\xa4type\xabbroker-info"

# name: (frames, or a body; code; field or None)
CASES = {
    "row25-no-body": ([b""], "BAD_FRAMES", None),
    "row25-two-bodies": ([b"", body(), body()], "BAD_FRAMES", None),
    "row25-five": ([b"", body(), b"", b"", b""], "BAD_FRAMES", None),
    "row25-no-delimiter": ([b"x", body()], "BAD_FRAMES", None),
    "row28-c1": (b"\xc1", "BAD_MSGPACK", None),
    "row28-c1-inside": (b"\x83" + PAIR + b"\xa1x\xc1", "BAD_MSGPACK", None),
    "row28-cut": (body()[:-1], "BAD_MSGPACK", None),
    "row28-empty": (b"", "BAD_MSGPACK", None),
    "row28-http": (b"GET / HTTP/1.1\r\n\r\n", "TRAILING_BYTES", None),
    "row28-no-map": (msgpack.packb([1, 2]), "BAD_MSGPACK", None),
    "row28-key-no-text": (msgpack.packb({"v": 1, "type": "broker-info", 5: 5}), "BAD_MSGPACK", None),
    "row29-33-deep": (nested(33), "TOO_DEEP", None),
    "row29-100000-deep": (b"\x91" * 100_000 + b"\xc0", "TOO_DEEP", None),
    "row29-maps": (b"\x81\xa1a" * 1000 + b"\xc0", "TOO_DEEP", None),
    "row30-array-of-2-to-26": (b"\x83" + PAIR + b"\xa1x\xdd\x04\x00\x00\x00", "BAD_MSGPACK", None),
    "row30-array-of-2-to-32": (b"\xdd\xff\xff\xff\xff", "BAD_MSGPACK", None),
    "row30-map-of-2-to-32": (b"\xdf\xff\xff\xff\xff", "BAD_MSGPACK", None),
    "row30-text-of-2-to-32": (b"\x83" + PAIR + b"\xa1x\xdb\xff\xff\xff\xff", "BAD_MSGPACK", None),
    "row31-a-byte": (body() + b"\x00", "TRAILING_BYTES", None),
    "row31-a-message": (body() + body(), "TRAILING_BYTES", None),
    "row32-envelope-twice": (b"\x83" + PAIR + b"\xa1v\x01", "DUPLICATE_KEY", None),
    "row32-field-twice": (b"\x84\xa1v\x01\xa4type\xaajob-status\xa5jobId\xa1a\xa5jobId\xa1b", "DUPLICATE_KEY", "jobId"),
    "row32-bad-utf8": (b"\x83\xa1v\x01\xa4type\xaajob-status\xa5jobId\xa2\xff\xfe", "BAD_UTF8", "jobId"),
    "row32-overlong-utf8": (b"\x83\xa1v\x01\xa4type\xaajob-status\xa5jobId\xa2\xc0\xaf", "BAD_UTF8", "jobId"),
    "row32-surrogate": (b"\x83\xa1v\x01\xa4type\xaajob-status\xa5jobId\xa3\xed\xa0\x80", "BAD_UTF8", "jobId"),
    "row33-wrong-type": (body("job-status", jobId=5), "SCHEMA", "jobId"),
    "row33-missing": (body("job-status"), "SCHEMA", "jobId"),
    "row33-nan": (body("job-list", limit=float("nan")), "SCHEMA", "limit"),
    "row33-too-long": (body("job-status", jobId="x" * 200), "SCHEMA", "jobId"),
    "row33-too-large": (body("job-list", limit=2**64 - 1), "SCHEMA", "limit"),
    "row33-ext": (msgpack.packb({"v": 1, "type": "job-status", "jobId": msgpack.ExtType(5, b"x")}), "BAD_MSGPACK", None),
    "row23-nul-in-command": (body("job-create", command="true\0", fileUrl="/uploads/x.zip", filename="x"), "SCHEMA", "command"),
    "row23-newline-in-env": (body("job-create", command="true", fileUrl="/uploads/x.zip", filename="x", env={"A": "x\ny"}), "BAD_COMMAND", "env"),
    "row35-type": (body("no-such"), "UNSUPPORTED", "type"),
    "row35-type-of-an-answer": (body("job-cancel-ok", jobId="j", status="failed"), "UNSUPPORTED", None),
    "row35-escape-in-type": (body("\x1b[2J"), "UNSUPPORTED", "type"),
    "row35-version": (msgpack.packb({"v": 99, "type": "broker-info"}), "UNSUPPORTED", "v"),
    "row35-no-version": (msgpack.packb({"type": "broker-info"}), "UNSUPPORTED", "v"),
}


@pytest.fixture
def native(shared):
    native = shared.native()
    yield native
    native.close()


@pytest.mark.parametrize("name", CASES)
def test_a_row(shared, native, name):
    raw, code, field = CASES[name]
    before, lines = native.ask("broker-info"), len(shared.broker.events("frame-refused")) + len(shared.broker.events("request-refused"))
    native.send(*(raw if isinstance(raw, list) else [b"", raw]))
    answer = native.receive()
    assert (answer["type"], answer["code"]) == ("error", code), answer
    assert answer["error"].endswith(".") and not re.search(r"[\x00-\x1f\x7f]", answer["error"]), answer
    assert field is None or (answer["field"] == field and field in answer["error"]), answer
    after = native.ask("broker-info")
    assert refusals(after)[code] == refusals(before).get(code, 0) + 1
    assert logged(shared.broker, "frame-refused", code, 0) or logged(shared.broker, "request-refused", code, 0), lines
    assert "\x1b" not in shared.broker.log.read_text()


@pytest.mark.parametrize("count", [6, 50, 2000])
def test_row25_more_frames_are_dropped_and_counted(shared, native, count):
    before = native.ask("broker-info")
    native.send(*[b""] * count)
    assert native.ask("broker-info")["type"] == "broker-info-ok", "there was no answer in between"
    after = native.ask("broker-info")
    assert after["refusedFrames"] == before["refusedFrames"] + 1 and refusals(after)["BAD_FRAMES"] == refusals(before).get("BAD_FRAMES", 0) + 1


def exactly(raw, count):
    got = b""
    while len(got) < count:
        piece = raw.recv(count - len(got))
        assert piece, got
        got += piece
    return got


def greeted(cluster):
    """A TCP connection that has said all that a DEALER says before its first message (ZMTP 3.0, NULL)."""
    host, port = cluster.broker_url.removeprefix("tcp://").split(":")
    raw = socket.create_connection((host, int(port)), 10)
    raw.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31))
    exactly(raw, 64)
    ready = b"\x05READY" + b"\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER" + b"\x08Identity" + struct.pack(">I", 0)
    raw.sendall(b"\x04" + bytes([len(ready)]) + ready)
    kind, length = exactly(raw, 2)
    assert kind == 4 and exactly(raw, length).startswith(b"\x05READY")
    return raw


def ended(raw, seconds=10):
    raw.settimeout(seconds)
    try:
        while raw.recv(65536):
            pass
    except ConnectionError:
        pass
    except socket.timeout:
        return False
    return True


def test_the_greeting_of_these_tests_is_one(shared):
    with greeted(shared) as raw:
        message = body()
        raw.sendall(b"\x01\x00" + b"\x00" + bytes([len(message)]) + message)
        raw.settimeout(5)
        got = b""
        while b"broker-info-ok" not in got:
            got += raw.recv(4096)


def test_row26_a_frame_beyond_the_limit_ends_the_connection(shared):
    before = shared.broker.rss()
    with greeted(shared) as raw:
        raw.sendall(b"\x01\x00" + b"\x02" + struct.pack(">Q", MIB + 1))
        assert ended(raw)
    with greeted(shared) as raw:
        raw.sendall(b"\x01\x00" + b"\x02" + struct.pack(">Q", 2**63 - 1))
        assert ended(raw)
    assert shared.broker.rss() - before < 16 * MIB


@pytest.mark.parametrize("frame", [b"\x01\x00", b"\x01\xff" + bytes(255), b"\x03" + struct.pack(">Q", 65536) + bytes(65536)], ids=["empty", "small", "large"])
def test_row27_a_message_without_end_costs_its_sender_the_connection(shared, native, frame):
    """libzmq keeps its frames until the last one: the broker watches its memory, and looks who sends and never ends."""
    before, peak, count = shared.broker.rss(), 0, refusals(native.ask("broker-info")).get("BAD_FRAMES", 0)
    piece = frame * (256 * 1024 // len(frame) + 1)
    begun = time.monotonic()
    with greeted(shared) as raw:
        raw.settimeout(30)
        with pytest.raises(ConnectionError):
            while time.monotonic() - begun < 30:
                raw.sendall(piece)
                peak = max(peak, shared.broker.rss())
    assert native.ask("broker-info", seconds=5)["type"] == "broker-info-ok"
    wait_until(lambda: refusals(native.ask("broker-info")).get("BAD_FRAMES", 0) > count, 5, "the count")
    assert peak - before < (800 if TSAN else 400) * MIB, f"{peak - before >> 20} MiB"  # ThreadSanitizer keeps as much beside it


def test_row30_a_large_count_takes_no_memory(shared, native):
    def virtual():
        return int(re.search(r"VmSize:\s+(\d+)", open(f"/proc/{shared.broker.pid}/status").read()).group(1)) * 1024
    before, size = shared.broker.rss(), virtual()
    for _ in range(200):
        native.send(b"", b"\x83" + PAIR + b"\xa1x\xdd\x04\x00\x00\x00")
        assert native.receive()["code"] == "BAD_MSGPACK"
    assert shared.broker.rss() - before < 16 * MIB and virtual() - size < 64 * MIB


def test_row34_another_workers_lease(shared, native):
    for worker in ("mine", "theirs"):
        assert native.ask("worker-register", workerId=worker, hostname="h", slots=1)["type"] == "worker-register-ok"
    native.ask("job-create", command="true", fileUrl="/uploads/x.zip", filename="x.zip", maxAttempts=1)
    given = native.ask("job-poll", workerId="theirs", slot=0, wait=1000)
    lease = {key: given[key] for key in ("jobId", "attempt", "token")}
    for type, fields in (("job-renew", {}), ("job-result", {"exitCode": 0}), ("job-output", {"stream": "stdout", "offset": 0, "data": b"x"}),
                         ("job-return", {}), ("job-fail", {"errorMessage": "no"})):
        for false in ({**lease, "workerId": "mine"}, {**lease, "workerId": "theirs", "token": "0" * 16}):
            answer = native.ask(type, **false, **fields)
            assert answer["type"] == "error" and answer["code"] in ("NOT_LEASE_HOLDER", "STALE_ATTEMPT"), (type, answer)
            assert given["token"] not in answer["error"]
    assert native.ask("job-status", jobId=given["jobId"])["status"] == "running"
    assert native.ask("job-result", **lease, workerId="theirs", exitCode=0)["type"] == "job-result-ok"
    assert given["token"] not in shared.broker.log.read_text()


def test_refusals_cannot_flood_the_log(shared, native):
    for _ in range(500):
        native.send(b"", os.urandom(8))
    for _ in range(500):
        assert native.receive()["type"] == "error"
    lines = [line[:19] for line in shared.broker.events("frame-refused")]
    assert all(lines.count(second) <= 20 for second in lines), "10 a second, and seconds of two clocks"
