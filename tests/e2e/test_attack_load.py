"""Clients that attack by being slow, many, silent or loud, beside ten that behave: those are served as before, memory stays bounded, nothing
that was acknowledged is lost, and afterwards everything is as it was."""

import os
import signal
import socket
import statistics
import struct
import threading
import time

import pytest

from built import TSAN
from client import Client, multipart
from cluster import Cluster, wait_until
from hostile import gateway_refusals, talk
from test_bad_input_native import ended, greeted
from zips import zip_of

MIB = 1024 * 1024
CALM_S, ATTACK_S = 1.0, 2.0
MORE_S = 0.5 if TSAN else 0.005  # that a call may take under attack; ThreadSanitizer makes the attack's own requests costly
HOST = b"Host: 127.0.0.1\r\n"
PART = b'--bound\r\nContent-Disposition: form-data; name="commands"\r\n\r\n'
QUICK = ["--header-timeout", "1s", "--body-timeout", "1s", "--min-rate", "64K", "--idle-timeout", "2s"]


class Crowd:
    """Ten clients that create a job, ask for it and poll for one, again and again, and note how long each call took."""

    def __init__(self, cluster):
        self.cluster, self.over = cluster, threading.Event()
        self.times, self.jobs, self.failures = [], [], []
        cluster.api.post("/api/workers/register", {"workerId": "well", "hostname": "h", "slots": 1})
        self.threads = [threading.Thread(target=self._behave) for _ in range(10)]
        for thread in self.threads:
            thread.start()

    def _timed(self, call):
        begun = time.monotonic()
        answer = call()
        self.times.append((begun, time.monotonic() - begun))
        return answer

    def _behave(self):
        api = Client("127.0.0.1", self.cluster.port)
        try:
            while not self.over.wait(0.02):
                job = self._timed(lambda: api.create())
                self.jobs.append(job)
                assert self._timed(lambda: api.status(job))["status"] in ("pending", "running")
                assert self._timed(lambda: api.get("/api/jobs/get-job?workerId=well&slot=0")).status in (200, 202)
        except Exception as failure:  # the test tells of it
            self.failures.append(failure)
        finally:
            api.close()

    def median(self, since, until):
        return statistics.median(took for begun, took in self.times if since <= begun < until)

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


def descriptors(program):
    return len(os.listdir(f"/proc/{program.pid}/fd"))


def all_jobs(api):
    found, cursor = set(), ""
    while cursor is not None:
        page = api.get(f"/api/jobs?brief=1&limit=500{cursor}").json
        found.update(job["jobId"] for job in page["jobs"])
        cursor = page["cursor"] and f"&cursor={page['cursor']}"
    return found


def withstands(cluster, attack, growth=64 * MIB, recovers=10.0):
    """Runs attack (until) beside the crowd. `until` is when it should stop, monotonic. Other programs of this machine disturb times: three attempts."""
    programs = (cluster.gateway, cluster.broker)
    wait_until(lambda: cluster.api.get("/api/info").status == 200)
    crowd, medians = Crowd(cluster), []
    try:
        time.sleep(0.3)
        open_before, memory = [descriptors(p) for p in programs], [p.rss() for p in programs]
        while len(medians) < 3 and not (medians and good(*medians[-1])):
            calm_from = time.monotonic()
            time.sleep(CALM_S)
            attacked_from = time.monotonic()
            attack(attacked_from + ATTACK_S)
            medians.append((crowd.median(calm_from, attacked_from), crowd.median(attacked_from, time.monotonic())))
        grown = [program.rss() - before for program, before in zip(programs, memory)]
    finally:
        crowd.end()
    assert not crowd.failures, crowd.failures
    assert good(*medians[-1]), f"medians in s, calm and under attack: {medians}"
    assert all(bytes < growth for bytes in grown), [bytes >> 20 for bytes in grown]
    wait_until(lambda: all(descriptors(p) <= before + 10 for p, before in zip(programs, open_before)), recovers, "the descriptors' return")
    assert not set(crowd.jobs) - all_jobs(cluster.api), "what was acknowledged is there"
    print("median %.2f ms, under attack %.2f ms" % tuple(1000 * s for s in medians[-1]), len(crowd.jobs), "jobs, MiB grown:", [bytes >> 20 for bytes in grown])


def good(calm, attacked):
    return attacked < max(2 * calm, calm + MORE_S)


class Hold:
    """Many connections at once, ended with the block."""

    def __init__(self, port, count, *said, receive=None):
        self.all = []
        for number in range(count):
            raw = socket.socket()
            if receive:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
            raw.settimeout(2)
            try:
                raw.connect(("127.0.0.1", port))
                raw.sendall(b"".join(said))
                raw.setblocking(False)
            except OSError:
                raw.close()
                continue
            self.all.append(raw)

    def drip(self, piece):
        """Says `piece` on every connection that still lives."""
        for raw in list(self.all):
            try:
                raw.send(piece)
            except BlockingIOError:
                pass
            except OSError:
                raw.close()
                self.all.remove(raw)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for raw in self.all:
            raw.close()


# ---- deadlines ----


def dripped(port, first, piece, every=0.1, seconds=10):
    """Sends `first`, then `piece` again and again. What came back, and after how long the connection ended; None: it did not."""
    begun, got = time.monotonic(), b""
    with socket.create_connection(("127.0.0.1", port), 5) as raw:
        raw.sendall(first)
        raw.settimeout(every)
        while time.monotonic() - begun < seconds:
            try:
                more = raw.recv(65536)
                if not more:
                    return got, time.monotonic() - begun
                got += more
            except socket.timeout:
                pass
            except OSError:
                return got, time.monotonic() - begun
            try:
                raw.sendall(piece)
            except OSError:
                pass  # the end is read next
    return got, None


SLOW = {
    "row14-first-line": (b"GET /a", b"a", "REQUEST_TIMEOUT"),
    "row14-headers": (b"GET /api/info HTTP/1.1\r\n" + HOST, b"X-A: b\r\n", "REQUEST_TIMEOUT"),
    "row14-second-request": (b"GET /api/none HTTP/1.1\r\n" + HOST + b"\r\nGET /", b"a", "REQUEST_TIMEOUT"),
    "row14-body": (b"POST /api/jobs/create HTTP/1.1\r\n" + HOST + b"Content-Length: 5000\r\n\r\n{", b" ", "REQUEST_TIMEOUT"),
    "row14-chunks": (b"POST /api/jobs/create HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", "REQUEST_TIMEOUT"),
    "row14-refused-body": (b"POST /api/none HTTP/1.1\r\n" + HOST + b"Content-Length: 5000\r\n\r\n{", b" ", None),
    "row14-form": (b"POST /api/execute HTTP/1.1\r\n" + HOST + b"Content-Type: multipart/form-data; boundary=bound\r\nContent-Length: 5000\r\n\r\n" + PART,
                   b"X", "REQUEST_TIMEOUT"),
}


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("quick"), gateway_args=QUICK)
    yield cluster
    cluster.close()


@pytest.mark.parametrize("name", SLOW)
def test_what_comes_too_slowly_is_ended(quick, name):
    first, piece, code = SLOW[name]
    before = gateway_refusals(quick.api).get("REQUEST_TIMEOUT", 0)
    got, after = dripped(quick.port, first, piece)
    assert after is not None and 0.9 < after < 6, (got, after)
    assert code is None or (b"HTTP/1.1 408 " in got and code.encode() in got and b"Connection: close" in got), got
    assert gateway_refusals(quick.api).get("REQUEST_TIMEOUT", 0) > before or code is None
    assert quick.gateway.events("request-refused") or code is None


def test_a_large_body_may_take_its_time_if_it_keeps_coming(quick):
    """Four times the time that a slow one has, at twice the rate that it must have."""
    body = b'{"command":"true","fileUrl":"/uploads/x.zip","filename":"x.zip","x":"' + b"y" * 500_000 + b'"}'
    with socket.create_connection(("127.0.0.1", quick.port), 5) as raw:
        raw.sendall(b"POST /api/jobs/create HTTP/1.1\r\n" + HOST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 12_800):
            raw.sendall(body[at:at + 12_800])
            time.sleep(0.1)
        assert raw.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_silent_connection_is_ended_without_a_word(quick):
    got = talk(quick.port, b"", seconds=8)
    assert got.closed and not got.got


@pytest.mark.parametrize("said", [b"GET /api/none HTTP/1.1\r\n" + HOST + b"\r\n", b"GET /api/none HTTP/1.1\r\n" + HOST,
                                  b"POST /api/jobs/create HTTP/1.1\r\n" + HOST + b"Content-Length: 50\r\n\r\n{"], ids=["after-an-answer", "in-a-head", "in-a-body"])
def test_a_half_closed_connection_is_ended(clusters, said):
    """Its end comes with the last bytes, and the library does not see it until the idle timeout."""
    cluster = clusters(gateway_args=["--header-timeout", "2s"])
    with socket.create_connection(("127.0.0.1", cluster.port), 5) as raw:
        raw.sendall(said)
        raw.shutdown(socket.SHUT_WR)
        assert ended(raw, 8)


def test_a_reader_that_stands_still_is_ended(quick):
    """A download that is hardly taken: the connection goes, and with it what was kept for it."""
    url = quick.api.status(quick.api.execute("true", data=zip_of({"a.bin": os.urandom(6 * MIB)}))["jobId"])["fileUrl"]
    assert len(quick.api.get(url).body) > 6 * MIB
    before = gateway_refusals(quick.api).get("REQUEST_TIMEOUT", 0)
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", quick.port))
        raw.sendall(b"GET " + url.encode() + b" HTTP/1.1\r\n" + HOST + b"\r\n")
        begun = time.monotonic()
        raw.settimeout(5)
        with pytest.raises(ConnectionError):
            while time.monotonic() - begun < 10:
                raw.recv(1024)
                time.sleep(0.1)
    assert gateway_refusals(quick.api)["REQUEST_TIMEOUT"] > before


# ---- attacks ----


def test_slow_heads(clusters):
    cluster = clusters(gateway_args=QUICK)

    def attack(until):
        while time.monotonic() < until:
            with Hold(cluster.port, 100, b"GET /api/info HTTP/1.1\r\n" + HOST) as slow:
                while slow.all and time.monotonic() < until:
                    slow.drip(b"X-A: b\r\n")
                    time.sleep(0.1)
    withstands(cluster, attack)
    assert gateway_refusals(cluster.api)["REQUEST_TIMEOUT"] >= 100


def test_slow_bodies(clusters):
    cluster = clusters(gateway_args=QUICK)

    def attack(until):
        while time.monotonic() < until:
            head = b"POST /api/execute HTTP/1.1\r\n" + HOST + b"Content-Type: multipart/form-data; boundary=bound\r\nContent-Length: 900000\r\n\r\n" + PART
            with Hold(cluster.port, 60, head) as forms, Hold(cluster.port, 60, b"POST /api/jobs/create HTTP/1.1\r\n" + HOST + b"Content-Length: 900000\r\n\r\n{") as bodies:
                while (forms.all or bodies.all) and time.monotonic() < until:
                    forms.drip(b"X")
                    bodies.drip(b" ")
                    time.sleep(0.1)
    withstands(cluster, attack)
    assert gateway_refusals(cluster.api)["REQUEST_TIMEOUT"] >= 100


def test_thousands_of_idle_connections(clusters):
    """At the limit those that ask for nothing make room: a newcomer is served at once, and the ten were never ended."""
    cluster = clusters(gateway_args=["--connection-limit", "500"])
    waited = []

    def attack(until):
        with Hold(cluster.port, 2000):
            while time.monotonic() < until:
                newcomer, begun = Client("127.0.0.1", cluster.port, timeout=10), time.monotonic()
                assert newcomer.get("/api/info").status == 200
                waited.append(time.monotonic() - begun)
                newcomer.close()
                time.sleep(0.05)
    withstands(cluster, attack)
    assert statistics.median(waited) < 0.5, waited
    assert cluster.gateway.events("connections-full")


def test_clients_that_never_read(clusters):
    cluster = clusters(gateway_args=QUICK)
    url = cluster.api.status(cluster.api.execute("true", data=zip_of({"a.bin": os.urandom(8 * MIB)}))["jobId"])["fileUrl"].encode()
    cluster.api.get(url.decode())

    def attack(until):
        while time.monotonic() < until:
            lists = (b"GET /api/jobs?limit=50 HTTP/1.1\r\n" + HOST + b"\r\n") * 10
            with Hold(cluster.port, 30, b"GET " + url + b" HTTP/1.1\r\n" + HOST + b"\r\n", receive=4096), \
                    Hold(cluster.port, 10, lists, receive=4096), Hold(cluster.port, 30, b"GET /api/events HTTP/1.1\r\n" + HOST + b"\r\n", receive=4096):
                time.sleep(max(0.0, min(2.0, until - time.monotonic())))
    withstands(cluster, attack)


def test_a_flood_from_one_client(clusters):
    cluster = clusters()

    def attack(until):
        request = b"GET /api/none HTTP/1.1\r\n" + HOST + b"\r\n"
        with socket.create_connection(("127.0.0.1", cluster.port), 5) as raw:
            while time.monotonic() < until:
                raw.sendall(request * 20)
                got = b""
                while got.count(b"NO_SUCH_PATH") < 20:
                    got += raw.recv(1 << 20)
    withstands(cluster, attack)


def test_an_endless_form(clusters):
    """Parts without end, to the gateway: they count against the form's own limit."""
    cluster = clusters()
    body, kind = multipart({"mode": "distributed", "commands": "true"}, {"file": ("p.zip", zip_of({"a": "x"}))})
    mark = b"--" + kind.split("boundary=")[1].encode() + b"\r\n"

    def attack(until):
        head = b"POST /api/execute HTTP/1.1\r\n" + HOST + b"Content-Type: " + kind.encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
        part = mark + b'Content-Disposition: form-data; name="env"\r\n\r\n' + b"A" * 1000 + b"\r\n"
        while time.monotonic() < until:
            got = talk(cluster.port, head, *[b"%x\r\n" % len(part) + part + b"\r\n"] * 600, quiet=0.2, seconds=3)
            assert got.status == 400 and b"DUPLICATE_FIELD" in got.got, got
    withstands(cluster, attack)


def send_endless(cluster, until):
    """Sends frames of one message. True when it was cut off."""
    frame = b"\x03" + struct.pack(">Q", 65536) + bytes(65536)
    with greeted(cluster) as raw:
        raw.settimeout(10)
        try:
            while time.monotonic() < until:
                raw.sendall(frame)
                time.sleep(0.002)
        except ConnectionError:
            return True
    return False


def test_endless_messages_to_the_broker(clusters):
    cluster = clusters()
    cuts = []

    def attack(until):
        while time.monotonic() < until:
            cuts.extend([1] * send_endless(cluster, until))
    withstands(cluster, attack, growth=300 * MIB)
    assert cuts, "nobody was cut off"


def test_a_broker_that_stood_still_cuts_nobody_off(clusters):
    """What came meanwhile lies unread: many messages, and none without an end."""
    cluster = clusters()
    body, kind = multipart({"mode": "distributed", "commands": "true"}, {"file": ("p.zip", zip_of({"a.bin": os.urandom(6 * MIB)}))})
    answers = []
    assert send_endless(cluster, time.monotonic() + 20), "from now on connections are watched"

    def send():
        answers.append(cluster.client().request("POST", "/api/execute", body, {"Content-Type": kind}).status)
    senders = [threading.Thread(target=send) for _ in range(8)]
    for sender in senders:
        sender.start()
    while any(sender.is_alive() for sender in senders):
        cluster.broker.signal(signal.SIGSTOP)
        time.sleep(0.5)
        cluster.broker.signal(signal.SIGCONT)
        time.sleep(0.1)
    assert answers == [200] * len(senders)
    assert len(cluster.broker.events("frame-refused")) == 1
