"""A ZIP's way in and out: the form, the refusals, big files in flat memory, downloads and ranges."""

import contextlib
import hashlib
import json
import os
import pathlib
import socket
import threading
import time

import pytest

from client import multipart
from cluster import wait_until
from zips import zip_of

MIB = 1024 * 1024
GROWTH_MAX = 32 * MIB
BIG = 64 * MIB


def events(body):
    """The events of a text/event-stream."""
    return [json.loads(line[6:]) for line in body.decode().splitlines() if line.startswith("data: ")]


def text_of(got, kind):
    return "".join(event["data"] for event in got if event["type"] == kind)


def send_form(api, fields, files):
    body, kind = multipart(fields, files)
    return api.request("POST", "/api/execute", body, {"Content-Type": kind})


def test_direct_mode_streams_both_streams_and_the_exit_code(at_work):
    answer = at_work.api.execute("cat a.txt\necho oops >&2\nprintf 'no newline'\nexit 3", {"a.txt": "from the file\n"}, mode="direct")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/event-stream")
    got = events(answer.body)
    assert text_of(got, "stdout") == "from the file\nno newline" and text_of(got, "stderr") == "oops\n"
    assert got[-1]["type"] == "exit" and got[-1]["exitCode"] == 3 and got[-1]["status"] == "failed"
    status = at_work.api.status(answer.headers["X-Exec-Id"])
    assert status["exitCode"] == 3 and status["stdout"] == "from the file\nno newline"


def test_direct_is_the_default_mode(at_work):
    answer = send_form(at_work.api, {"commands": "echo hi"}, {"file": ("p.zip", zip_of({"a": ""}))})
    assert text_of(events(answer.body), "stdout") == "hi\n"


def test_direct_output_comes_while_the_job_runs(at_work, tmp_path):
    """The job waits for a file that is made only after its first line has arrived here."""
    gate = tmp_path / "gate"
    client = at_work.client()
    body, kind = multipart({"commands": f"echo first; while [ ! -e {gate} ]; do sleep 0.02; done; echo last"},
                           {"file": ("p.zip", zip_of({"a": ""}))})
    client.get("/api/info")
    client.connection.request("POST", "/api/execute", body, {"Content-Type": kind})
    stream = client.connection.getresponse()
    seen = b""
    while b"first" not in seen:
        seen += stream.readline()
    gate.touch()
    seen += stream.read()
    assert text_of(events(seen), "stdout") == "first\nlast\n" and events(seen)[-1]["exitCode"] == 0


def test_direct_mode_without_a_worker_here_says_what_to_start(cluster):
    answer = cluster.api.execute("true", mode="direct")
    assert answer.status == 503 and "gleaner-worker" in answer["error"] and answer.headers["Retry-After"]


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x03\x04", b"\x1f\x8b gzip", b"#!/bin/sh\n" + zip_of({"a": "x"})[:40]],
                         ids=["empty", "text", "only-a-magic", "gzip", "cut"])
@pytest.mark.parametrize("mode", ["distributed", "direct"])
def test_a_file_that_is_no_zip_is_422_and_makes_no_job(at_work, data, mode):
    total = at_work.api.get("/api/info")["totalJobs"]
    answer = at_work.api.execute("true", data=data, mode=mode)
    assert answer.status == 422 and answer["code"] == "NOT_ZIP" and answer["error"]
    assert at_work.api.get("/api/info")["totalJobs"] == total


@pytest.mark.parametrize("filename", ["../p.zip", "a/b.zip", "..", "a\\\\b.zip", "a\x07b.zip"])
def test_an_unsafe_filename_is_400(at_work, filename):
    answer = at_work.api.execute("true", filename=filename)
    assert answer.status == 400 and answer["error"]


def test_a_form_that_lacks_something_is_400(at_work):
    file = {"file": ("p.zip", zip_of({"a": ""}))}
    for fields, files, named in (({"mode": "distributed"}, file, "commands"),
                                 ({"mode": "distributed", "commands": ""}, file, "command"),
                                 ({"mode": "distributed", "commands": "true"}, {}, "file"),
                                 ({"mode": "sideways", "commands": "true"}, file, "mode"),
                                 ({"mode": "distributed", "commands": "true", "maxAttempts": "many"}, file, "maxAttempts")):
        answer = send_form(at_work.api, fields, files)
        assert answer.status == 400 and named in answer["error"], (fields, answer)


@pytest.mark.parametrize("name, nearest", [("maxAtempts", "maxAttempts"), ("command", "commands"), ("Mode", "mode"), ("flavour", None), ("fileUrls", "fileUrl"),
                                           ("machine", None), ("\x07bells ring", None)])
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_an_unknown_field_of_the_form_is_refused_by_its_name(at_work, name, nearest, first):
    total = at_work.api.get("/api/info")["totalJobs"]
    known = {"mode": "distributed", "commands": "true"}
    answer = send_form(at_work.api, {name: "5", **known} if first else {**known, name: "5"}, {"file": ("p.zip", zip_of({"a": os.urandom(1000)}))})
    shown = name.replace("\x07", "\\x07")
    assert (answer.status, answer["code"], answer["field"]) == (400, "UNKNOWN_FIELD", shown) and f"`{shown}`" in answer["error"]
    assert f"did you mean `{nearest}`" in answer["error"] if nearest else "mean" not in answer["error"]
    assert at_work.api.get("/api/info")["totalJobs"] == total


def test_every_option_of_a_job_is_a_field_of_the_form(at_work):
    asked = {"name": "[nightly] {1}", "priority": -3, "env": {"A": "1"}, "onError": "continue", "artifacts": ["*.txt"], "labels": {"team": "blue"},
             "requires": {"no": "such"}, "retryOnExit": ["75"], "backoffMs": 500, "timeoutMs": 1000, "maxAttempts": 7, "idempotencyKey": "{form}"}
    answer = at_work.api.execute("true", **{k: json.dumps(v) if isinstance(v, (dict, list)) else v for k, v in asked.items()}, delayMs=5, notBefore=5)
    status = at_work.api.status(answer["jobId"])
    assert {k: status[k] for k in asked} == asked
    at_work.api.post("/api/jobs/cancel", {"jobId": answer["jobId"]})


@pytest.mark.parametrize("name, values", [("priority", ["1", "2"]), ("priority", ["1", "1"]), ("commands", ["true", "false"]), ("mode", ["distributed", ""]),
                                          ("priority", ["", "1"]), ("env", ["A=1", "B=2"])])
def test_a_field_that_stands_twice_is_refused_by_its_name(at_work, name, values):
    """Side by side, and with others between."""
    fields = {"mode": "distributed", "commands": "true"}
    fields.pop(name, None)
    good, kind = multipart(fields, {"file": ("p.zip", zip_of({"a": ""}))})
    boundary = kind.split("boundary=")[1]
    twice = [f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode() for value in values]
    for body in (twice[0] + good[:-len(f"--{boundary}--\r\n")] + twice[1] + f"--{boundary}--\r\n".encode(), *([twice[0] + twice[1] + good] if values[0] else [])):
        answer = at_work.api.request("POST", "/api/execute", body, {"Content-Type": kind})
        assert (answer.status, answer["code"], answer["field"]) == (400, "DUPLICATE_FIELD", name) and name in answer["error"]


def test_two_files_are_one_too_many(at_work):
    good, kind = multipart({"mode": "distributed", "commands": "true"}, {"file": ("p.zip", zip_of({"a": ""}))})
    first, _, rest = good.partition(b"--" + kind.split("boundary=")[1].encode() + b'\r\nContent-Disposition: form-data; name="file"')
    part = good[len(first):-len(kind.split("boundary=")[1]) - 6]
    answer = at_work.api.request("POST", "/api/execute", first + part + part + good[len(first) + len(part):], {"Content-Type": kind})
    assert (answer.status, answer["code"], answer["field"]) == (400, "DUPLICATE_FIELD", "file")


def test_a_part_without_a_name_is_400(at_work):
    good, kind = multipart({"mode": "distributed", "commands": "true"}, {"file": ("p.zip", zip_of({"a": ""}))})
    nameless = f"--{kind.split('boundary=')[1]}\r\nContent-Disposition: form-data\r\n\r\nx\r\n".encode()
    answer = at_work.api.request("POST", "/api/execute", nameless + good, {"Content-Type": kind})
    assert (answer.status, answer["code"]) == (400, "BAD_MULTIPART")


def test_a_body_that_is_no_form_is_refused(at_work):
    assert at_work.api.post("/api/execute", {"commands": "true"}).status == 415
    answer = at_work.api.request("POST", "/api/execute", b"x", {"Content-Type": "multipart/form-data"})
    assert answer.status in (400, 415) and answer["error"]
    good, kind = multipart({"mode": "distributed", "commands": "true"}, {"file": ("p.zip", zip_of({"a": ""}))})
    cut = at_work.api.request("POST", "/api/execute", good[:len(good) // 2], {"Content-Type": kind})
    assert cut.status in (400, 422) and cut["error"]


def test_an_upload_that_breaks_off_makes_no_job_and_leaves_nothing(at_work):
    total = at_work.api.get("/api/info")["totalJobs"]
    client = at_work.client()
    client.get("/api/info")
    body, kind = multipart({"mode": "distributed", "commands": "true"}, {"file": ("p.zip", os.urandom(4 * MIB))})
    client.connection.putrequest("POST", "/api/execute")
    client.connection.putheader("Content-Type", kind)
    client.connection.putheader("Content-Length", str(len(body)))
    client.connection.endheaders(body[:2 * MIB])
    client.close()
    data = at_work.folder / "data"
    wait_until(lambda: all(p.stat().st_size < MIB for p in data.rglob("*") if p.is_file() and p.name not in ("held-room", "gleaner.db-redo")), 10, "the removal of the rest")
    assert at_work.api.get("/api/info")["totalJobs"] == total


def test_a_big_upload_keeps_memory_flat_and_its_bytes(clusters):
    cluster = clusters()
    worker = cluster.worker("http")
    cluster.api.wait_job(cluster.api.submit("true"))  # everybody has touched what they always touch
    content = os.urandom(BIG)
    data = zip_of({"big.bin": content})
    body, kind = multipart({"mode": "distributed", "commands": "sha256sum < big.bin"}, {"file": ("big.zip", data)})
    programs = (cluster.broker, cluster.gateway, worker)
    before, peak, over = [p.rss() for p in programs], [0] * 3, threading.Event()

    def watch():
        while not over.wait(0.01):
            peak[:] = [max(old, program.rss()) for old, program in zip(peak, programs)]

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        answer = cluster.api.request("POST", "/api/execute", body, {"Content-Type": kind})
        status = cluster.api.wait_job(answer["jobId"], 60)
        file = cluster.api.get(status["fileUrl"])
    finally:
        over.set()
        watcher.join()
    assert status["stdout"].split()[0] == hashlib.sha256(content).hexdigest()
    assert hashlib.sha256(data).hexdigest() in status["fileUrl"] and file.body == data
    if not is_sanitized(cluster):
        growth = {p.name: high - low for p, high, low in zip(programs, peak, before)}
        assert all(bytes < GROWTH_MAX for bytes in growth.values()), growth


def test_many_uploads_at_once_take_no_more_memory_than_one(clusters):
    """What is in flight is shared: 32 of them would hold 64 MiB in the gateway, and as much in the broker."""
    cluster = clusters()
    cluster.api.submit("true")
    bodies = [multipart({"mode": "distributed", "commands": "true"}, {"file": ("p.zip", zip_of({"a.bin": os.urandom(4 * MIB)}))}) for _ in range(32)]
    programs = (cluster.broker, cluster.gateway)
    before, peak, over, answers = [p.rss() for p in programs], [0] * 2, threading.Event(), []

    def watch():
        while not over.wait(0.01):
            peak[:] = [max(old, program.rss()) for old, program in zip(peak, programs)]

    def send(body, kind):
        answers.append(cluster.client().request("POST", "/api/execute", body, {"Content-Type": kind}).status)

    watcher = threading.Thread(target=watch)
    senders = [threading.Thread(target=send, args=form) for form in bodies]
    for thread in (watcher, *senders):
        thread.start()
    for thread in senders:
        thread.join()
    over.set()
    watcher.join()
    assert answers == [200] * len(bodies)
    assert len([p for p in (cluster.folder / "data" / "blobs").rglob("*") if p.is_file()]) == len(bodies) + 1
    if not is_sanitized(cluster):
        growth = {p.name: high - low for p, high, low in zip(programs, peak, before)}
        assert all(bytes < GROWTH_MAX for bytes in growth.values()), growth


def is_sanitized(cluster):
    """Sanitizers keep freed memory for a while, or shadows of all of it: no figure for memory holds there."""
    maps = pathlib.Path(f"/proc/{cluster.broker.pid}/maps").read_text()
    return "libasan" in maps or "libtsan" in maps


def test_downloads_and_ranges(at_work):
    data = zip_of({"a.bin": os.urandom(300_000)})
    url = at_work.api.status(at_work.api.execute("true", data=data)["jobId"])["fileUrl"]
    whole = at_work.api.get(url)
    assert whole.status == 200 and whole.body == data and int(whole.headers["Content-Length"]) == len(data)
    head = at_work.api.request("HEAD", url)
    assert head.status == 200 and int(head.headers["Content-Length"]) == len(data) and head.body == b""
    rest = at_work.api.get(url, Range="bytes=1000-")
    assert rest.status == 206 and rest.body == data[1000:]
    assert rest.headers["Content-Range"] == f"bytes 1000-{len(data) - 1}/{len(data)}"
    assert at_work.api.get(url, Range="bytes=0-9").body == data[:10]
    last = at_work.api.get(url, Range="bytes=-7")
    assert (last.status, last.body) == (206, data[-7:])
    tag = whole.headers["ETag"]
    assert at_work.api.get(url, **{"Range": "bytes=5-", "If-Range": tag}).status == 206
    assert at_work.api.get(url, **{"Range": "bytes=5-", "If-Range": '"other"'}).body == data
    for other in ("bytes=5-6,8-9", "lines=1-", "bytes=x-"):  # not served, and so ignored
        assert at_work.api.get(url, Range=other).body == data
    beyond = at_work.api.get(url, Range=f"bytes={len(data)}-")
    assert beyond.status == 416 and beyond.headers["Content-Range"] == f"bytes */{len(data)}"


def test_nobody_else_sees_what_the_gateway_holds(at_work):
    url = at_work.api.upload({"a.txt": "a"})
    assert at_work.api.get(url).status == 200
    folders = list(at_work.folder.glob("cache*"))
    assert folders and not [path for path in folders if path.stat().st_mode & 0o077]  # the hash of a file is the key to it


def test_a_download_that_is_not_there_is_404(at_work):
    for name in ("p.zip", "0" * 64 + ".zip", "0" * 64, "x" * 500):
        assert at_work.api.get(f"/uploads/{name}").status == 404


def test_a_job_whose_file_is_not_there_fails_with_a_message(at_work):
    for url in ("/uploads/none.zip", f"/uploads/{'0' * 64}.zip", f"http://127.0.0.1:{at_work.port}/nothing.zip", "http://127.0.0.1:1/p.zip"):
        status = at_work.api.wait_job(at_work.api.create("true", url, maxAttempts=1), 30)
        reason = "download-failed" if ":1/" in url else "file-missing"  # nobody there, or somebody who does not have it
        assert status["status"] == "failed" and status["reason"] == reason and status["errorMessage"], (url, status)


def test_another_server_has_as_long_as_the_job(at_work):
    with socket.create_server(("127.0.0.1", 0)) as server:
        def drip():
            with server.accept()[0] as connection, contextlib.suppress(OSError):
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                for _ in range(200):
                    connection.sendall(b"P")
                    time.sleep(0.1)
        threading.Thread(target=drip, daemon=True).start()
        status = at_work.api.wait_job(at_work.api.create("true", f"http://127.0.0.1:{server.getsockname()[1]}/p.zip", timeoutMs=1000), 10)
    assert (status["status"], status["reason"]) == ("failed", "timeout") and "within the job's 1.000 s" in status["errorMessage"], status


def test_a_job_may_name_a_url_of_another_server(at_work):
    url = at_work.server + at_work.api.upload({"there.txt": "from afar\n"})
    assert at_work.api.wait_job(at_work.api.create("cat there.txt", url))["stdout"] == "from afar\n"
