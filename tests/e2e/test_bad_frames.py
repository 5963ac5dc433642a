"""Garbage on the ZeroMQ port: each gets an error or nothing, and everybody else is served as before."""

import os
import socket
import struct

import msgpack
import pytest

from cluster import wait_until

MIB = 1024 * 1024


def body(type="broker-info", **fields):
    return msgpack.packb({"v": 1, "type": type, **fields})


def lives(cluster):
    assert cluster.broker.running
    fresh = cluster.native("req")
    assert fresh.ask("broker-info")["type"] == "broker-info-ok"
    fresh.close()


@pytest.fixture
def native(shared):
    native = shared.native()
    yield native
    native.close()
    lives(shared)


@pytest.mark.parametrize("frames", [[b""], [b"", body(), b"more"], [b"", body(), body(), body()]], ids=["no-body", "two", "three"])
def test_a_wrong_number_of_frames_is_told(native, frames):
    native.send(*frames)
    assert native.receive()["code"] == "BAD_FRAMES"
    assert native.ask("broker-info")["type"] == "broker-info-ok"


@pytest.mark.parametrize("frames", [[body()], [b"x", body()], [b""] * 6, [os.urandom(10)] * 50, [b""] * 2000],
                         ids=["no-delimiter", "wrong-delimiter", "six", "fifty", "two-thousand"])
def test_other_framings_are_refused_or_dropped(native, frames):
    native.send(*frames)
    answer = native.receive(0.3)
    assert answer is None or answer["code"] == "BAD_FRAMES"
    assert native.ask("broker-info")["type"] == "broker-info-ok"


@pytest.mark.parametrize("raw, code", [
    (b"", "BAD_MSGPACK"), (b"\xc1", "BAD_MSGPACK"), (b"GET / HTTP/1.1\r\n\r\n", None), (body()[:-3], "BAD_MSGPACK"), (body() + b"\x01", "TRAILING_BYTES"),
    (msgpack.packb([1, 2]), None), (msgpack.packb(7), None), (msgpack.packb({}), None), (msgpack.packb({1: 2}), None),
    (b"\xdd\x04\x00\x00\x00", "BAD_MSGPACK"), (b"\xdf\xff\xff\xff\xff", "BAD_MSGPACK"), (b"\xc6\xff\xff\xff\xff", "BAD_MSGPACK"),
    (b"\x91" * 5000, None), (b"\x81\xa1a" * 500 + b"\xc0", None),
    (b"\x84" + body()[1:] + b"\xa1v\x01\xa1x\x01", None),
    (b"\x83\xa1v\x01\xa4type\xabbroker-info\xa1v\x01", "DUPLICATE_KEY"),
    (b"\x82\xa1v\x01\xa4type\xa4\xff\xfe\xfd\xfc", None),
    (msgpack.packb({"v": 1, "type": "broker-info", "x": msgpack.ExtType(5, b"x")}), None)])
def test_a_body_that_is_no_message_is_told(native, raw, code):
    answer = native.ask_raw(raw)
    assert answer["type"] == "error" and answer["error"], answer
    assert code is None or answer["code"] == code, answer


@pytest.mark.parametrize("message", [{"v": 1, "type": "no-such"}, {"v": 2, "type": "broker-info"}, {"v": 1, "type": ""},
                                     {"v": 1, "type": "job-cancel-ok", "jobId": "j", "status": "failed"},
                                     {"v": 1, "type": "error", "code": "INTERNAL", "error": "e"}])
def test_an_unknown_type_or_version_is_unsupported(native, message):
    assert native.ask_raw(msgpack.packb(message))["code"] == "UNSUPPORTED"


@pytest.mark.parametrize("type, fields, field", [
    ("job-status", {}, "jobId"), ("job-status", {"jobId": 5}, "jobId"), ("job-status", {"jobId": ["a"]}, "jobId"),
    ("job-status", {"jobId": "x" * 129}, "jobId"), ("job-status", {"jobId": None}, "jobId"), ("job-list", {"limit": -1}, "limit"),
    ("job-list", {"limit": 501}, "limit"), ("job-list", {"limit": 1.5}, "limit"), ("job-list", {"limit": float("nan")}, "limit"),
    ("job-list", {"limit": 2**64 - 1}, "limit"), ("job-list", {"limit": "5"}, "limit"), ("worker-register", {"workerId": "w"}, "hostname"),
    ("worker-register", {"workerId": "w", "hostname": "h", "keep": [{"jobId": "j"}]}, None),
    ("worker-register", {"workerId": "w", "hostname": "h", "keep": 5}, "keep"), ("blob-put", {"upload": "u", "offset": -1, "data": b""}, "offset"),
    ("job-create", {"command": "c", "fileUrl": "/uploads/x", "filename": "x" * 300}, "filename")])
def test_a_field_at_fault_is_named(native, type, fields, field):
    answer = native.ask(type, **fields)
    assert answer["type"] == "error" and answer["code"] in ("SCHEMA", "MISSING_FIELD"), answer
    assert field is None or (answer["field"] == field and field in answer["error"]), answer


def test_ids_come_back_and_bad_ones_do_no_harm(native):
    for good in (0, 7, 2**40, "text", "ü"):
        assert native.ask("broker-info", id=good)["id"] == good
    for bad in ([], {}, 1.5, "x" * 129):
        assert native.ask("broker-info", id=bad)["type"] in ("error", "broker-info-ok")


def test_a_text_with_nul_or_broken_utf8_is_refused(native):
    assert native.ask("job-status", jobId="a\0b")["type"] == "error"
    assert native.ask_raw(b"\x83\xa1v\x01\xa4type\xaajob-status\xa5jobId\xa2\xff\xfe")["code"] == "BAD_UTF8"


def test_an_oversized_frame_costs_its_sender_the_connection(shared):
    before = shared.broker.rss()
    greedy = shared.native()
    for _ in range(20):
        greedy.send(b"", b"x" * (MIB + 1))
    assert greedy.receive(0.5) is None
    greedy.close()
    lives(shared)
    assert shared.broker.rss() - before < 32 * MIB


def test_a_frame_of_just_the_limit_is_read(native):
    message = body("broker-info", padding=b"x" * (MIB - 64))
    assert MIB - 64 < len(message) <= MIB
    assert native.ask_raw(message)["type"] == "broker-info-ok"


def test_refusals_are_counted(native):
    before = native.ask("broker-info")["refusedFrames"]
    for _ in range(5):
        native.ask_raw(b"\xc1")
    assert native.ask("broker-info")["refusedFrames"] == before + 5


def test_bytes_that_are_not_zeromq_at_all(shared):
    host, port = shared.broker_url.removeprefix("tcp://").split(":")
    for junk in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", os.urandom(4096), b"\xff" * 10 + b"\x7f", struct.pack("<Q", 2**63) * 100, b""):
        with socket.create_connection((host, int(port)), 5) as raw:
            try:
                raw.sendall(junk)
            except OSError:
                pass  # closed already
    lives(shared)


def test_a_client_that_never_reads_costs_nobody_else_anything(shared):
    silent = shared.native()
    job = shared.api.create("x" * 60_000)
    for n in range(5000):
        silent.send(b"", body("job-status", jobId=job, id=n))
    wait_until(lambda: shared.api.get("/api/info").status == 200, 5, "service for the others")
    assert shared.broker.rss() < 512 * MIB
    silent.close()
    lives(shared)


def test_random_bytes(shared):
    native = shared.native()
    for n in range(500):
        native.send(b"", os.urandom(1 + n % 60))
    for n in range(500):
        good = bytearray(body("worker-register", workerId="w", hostname="h", cpuCount=3, keep=[{"jobId": "j", "attempt": 1, "token": "t"}]))
        good[n % len(good)] ^= 1 << (n % 8)
        native.send(b"", bytes(good))
    for _ in range(1000):
        assert native.receive(10)["type"] in ("error", "worker-register-ok")
    native.close()
    lives(shared)
