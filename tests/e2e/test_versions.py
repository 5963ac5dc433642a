"""Programs of different versions with each other: the older side works, or the newer one says who is to be upgraded.

What earlier workers and gateways said was written down (golden/talk-N.json, made by golden/talk.py), and is said again to the broker
of today. That an earlier broker knew less is brought about by lib/earlier_broker.py in front of the one of today.
"""

import json
import pathlib
import time

import msgpack
import pytest

from earlier_broker import EarlierBroker
from native import Native

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"
TALKS = sorted(int(path.stem.split("-")[1]) for path in GOLDEN.glob("talk-*.json"))
WAITING = ("job-poll", "job-renew", "job-follow", "events-read")  # answered when there is something
LIVE = ("job-status-ok", "worker-list-ok", "job-list-ok", "job-poll-ok")  # what they hold depends on the moment


def bytes_again(value):
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"]) if set(value) == {"hex"} else {name: bytes_again(one) for name, one in value.items()}
    return [bytes_again(one) for one in value] if isinstance(value, list) else value


class Replay:
    """Says again what was said, in its order, with the ids and tokens of today in the place of those of then."""

    def __init__(self, url, pairs):
        self.native, self.pairs = Native(url), [bytes_again(pair) for pair in pairs]
        self.now = {}  # a text of then to that of today
        self.waiting = {}  # number to the answer of then

    def today(self, value):
        if isinstance(value, dict):
            return {name: self.today(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self.today(one) for one in value]
        return self.now.get(value, value) if isinstance(value, str) else value

    def take(self):
        answer = self.native.receive(10)
        assert answer is not None, f"no answer to {self.waiting}"
        then = self.waiting.pop(answer["id"])
        assert answer["type"] == then["type"], (then, answer)
        if then["type"] not in LIVE:
            assert set(then) - {"id"} <= set(answer), (then, answer)
        for name in ("jobId", "token", "sha256", "fileUrl"):
            if name in then and name in answer:
                self.now[then[name]] = answer[name]

    def told_by_one_who_waits(self, request):
        texts = {value for value in request.values() if isinstance(value, str)}
        return any(texts & {then.get("jobId"), then.get("token")} for then in self.waiting.values())

    def run(self, before_poll=lambda then: None):
        for number, (request, then) in enumerate(self.pairs):
            while self.told_by_one_who_waits(request):
                self.take()
            if request["type"] == "job-poll":
                before_poll(then)
            self.waiting[number] = then
            self.native.send(b"", msgpack.packb({**self.today(request), "id": number}))
            while request["type"] not in WAITING and number in self.waiting:
                self.take()
        while self.waiting:
            self.take()
        self.native.close()


@pytest.mark.parametrize("version", TALKS)
def test_what_an_earlier_gateway_said_is_understood(cluster, version):
    """With an HTTP worker behind it."""
    replay = Replay(cluster.broker_url, json.loads((GOLDEN / f"talk-{version}.json").read_text())["http"])
    replay.run()
    ended = [then for request, then in replay.pairs if request["type"] == "job-status" and then["status"] in ("completed", "failed")]
    assert {then["status"] for then in ended} == {"completed", "failed"}
    for then in ended:
        now = cluster.api.status(replay.now[then["jobId"]])
        assert (now["status"], now["exitCode"]) == (then["status"], then["exitCode"])
        assert now["stdout"].encode() == then.get("stdout", b"")


@pytest.mark.parametrize("version", TALKS)
def test_what_an_earlier_worker_said_is_understood(cluster, version):
    replay = Replay(cluster.broker_url, json.loads((GOLDEN / f"talk-{version}.json").read_text())["zmq"])
    jobs = []

    def submit(then):
        if "jobId" in then:
            jobs.append(cluster.api.submit(then["command"], files={"a.txt": "hello\n"}))

    replay.run(submit)
    assert [(cluster.api.status(job)["status"], cluster.api.status(job)["stdout"]) for job in jobs] == [("completed", "hello\n"), ("failed", "")]


@pytest.fixture(params=TALKS)
def earlier(request, clusters):
    """Gateway and workers of today, whose broker knows no more than that of an earlier version did."""
    cluster = clusters(gateway=False)
    between = EarlierBroker(cluster.broker_url, json.loads((GOLDEN / f"words-{request.param}.json").read_text()))
    cluster.on_close(between)
    cluster.broker_url = between.url
    cluster.between = between
    cluster.gateway = cluster.add_gateway()
    cluster.port = int(cluster.gateway.args[1].rsplit(":", 1)[1])
    cluster.server = f"http://127.0.0.1:{cluster.port}"
    cluster.api = cluster.client()
    return cluster


@pytest.mark.parametrize("transport", ["http", "zmq"])
def test_a_gateway_and_a_worker_of_today_work_with_an_earlier_broker(earlier, transport):
    worker = earlier.worker(transport)
    for commands, ended in (("cat a.txt", ("completed", 0, "hello\n")), ("exit 3", ("failed", 3, ""))):
        status = earlier.api.wait_job(earlier.api.submit(commands))
        assert (status["status"], status["exitCode"], status["stdout"]) == ended
    running = earlier.api.submit("sleep 300")
    earlier.api.wait_job(running, until=("running",))
    began = time.monotonic()
    assert earlier.api.post("/api/jobs/cancel", {"jobId": running}).status == 200
    assert worker.stop() == 0 and time.monotonic() - began < 20
    for path in ("/api/jobs", "/api/workers/list", "/api/info", "/readyz", "/metrics", "/api/session"):
        assert earlier.api.get(path).status == 200, path


def test_who_is_to_be_upgraded_is_said(earlier):
    calls = {"/api/blobs/check?sha256=" + "0" * 64: "blob-check", "/api/audit": "audit-read", "/api/stats": "stats-read"}
    for path, message in calls.items():
        answer = earlier.api.get(path)
        if message in earlier.between.words:
            assert answer.status == 200, answer
            continue
        assert answer.status == 400 and answer["code"] == "UNSUPPORTED", answer
        assert "broker is older" in answer["error"] and "upgrade it" in answer["error"], answer
        assert message in earlier.between.refused
    assert earlier.between.refused


@pytest.mark.parametrize("sent, side", [({"v": 1, "type": "job-teleport"}, "upgrade this side"), ({"v": 2, "type": "job-list"}, "Upgrade this side"),
                                        ({"v": 0, "type": "job-list"}, "Upgrade the sender")])
def test_the_broker_says_who_is_to_be_upgraded(shared, sent, side):
    answer = shared.native().ask_raw(msgpack.packb(sent))
    assert answer["type"] == "error" and answer["code"] == "UNSUPPORTED" and side in answer["error"], answer
