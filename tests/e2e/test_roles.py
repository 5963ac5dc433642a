"""Role by endpoint: every call of the gateway and every message of the broker, as everybody, against tables written by hand.

A row's seven words are what these get, in this order: nobody (no token), a viewer, the submitter whose job it is, another
submitter, the worker that has the job, another worker that speaks in its name, an admin. `yes`: it is let in, whatever comes of
it then; `401`, `403`; `404`: as if the job were not there; `bound`: 403, the token is not that worker's.
"""

import http.client
import json
import pathlib
import re

import pytest

from client import multipart
from cluster import Cluster, wait_until
from pages import PageClient
from tokens import TokenClient, create
from zips import zip_of

TOP = pathlib.Path(__file__).resolve().parents[2]
WHO = ("nobody", "viewer", "owner", "other", "holder", "stranger", "admin")
PEOPLE = ("nobody", "viewer", "owner", "other", "admin")  # a worker's token opens no page

SEEN_BY_PEOPLE = "401 yes yes yes 403   403   yes"
JOB_READ       = "401 yes yes 404 403   403   yes"
JOB_ENDED      = "401 403 yes 404 403   403   yes"
SUBMITTING     = "401 403 yes yes 403   403   yes"
WORKING        = "401 403 403 403 yes   bound yes"
BYTES_IN       = "401 403 yes yes yes   yes   yes"
BYTES_OUT      = "401 yes yes yes yes   yes   yes"
ADMINS         = "401 403 403 403 403   403   yes"
EVERYBODY      = "yes yes yes yes yes   yes   yes"
CHECKING       = "401 yes yes 404 yes   404   yes"

# method, path, words, query or body; {job}, {attempt}, {token} are of a job of the owner's that the holder has
LEASE = {"jobId": "{job}", "workerId": "pc-1", "attempt": "{attempt}", "token": "wrong"}
ROUTES = [
    ("GET", "/api/jobs/status", JOB_READ, "jobId={job}"),
    ("POST", "/api/jobs/create", SUBMITTING, {"command": "true", "fileUrl": "/uploads/none.zip", "filename": "p.zip"}),
    ("GET", "/api/jobs", SEEN_BY_PEOPLE, ""),
    ("GET", "/api/jobs/create", SEEN_BY_PEOPLE, ""),
    ("GET", "/api/jobs/get-job", WORKING, "workerId=pc-1"),
    ("POST", "/api/jobs/renew", WORKING, LEASE),
    ("POST", "/api/jobs/return", WORKING, LEASE),
    ("POST", "/api/jobs/submit-result", WORKING, {**LEASE, "exitCode": 0}),
    ("PUT", "/api/jobs/submit-result", WORKING, LEASE),
    ("POST", "/api/jobs/stream-output", WORKING, {**LEASE, "data": "x", "type": "stdout"}),
    ("POST", "/api/jobs/output", WORKING, ("jobId={job}&workerId=pc-1&attempt={attempt}&token=wrong&stream=stdout&offset=0", b"x")),
    ("GET", "/api/jobs/output", JOB_READ, "jobId={job}"),
    ("GET", "/api/jobs/artifacts", JOB_READ, "jobId={job}"),
    ("GET", "/api/jobs/events", JOB_READ, "jobId={job}"),
    ("GET", "/api/events", SEEN_BY_PEOPLE, ""),
    ("POST", "/api/blobs/put", BYTES_IN, ("upload={upload}&offset=0", b"x")),
    ("POST", "/api/blobs/commit", BYTES_IN, {"upload": "{upload}", "bytes": 1}),
    ("GET", "/api/blobs/check", SUBMITTING, "sha256=" + "0" * 64),
    ("GET", "/api/jobs/check-cancel", CHECKING, "jobId={job}"),
    ("POST", "/api/jobs/cancel", JOB_ENDED, {"jobId": "{job}"}),
    ("POST", "/api/workers/heartbeat", WORKING, {"workerId": "pc-1"}),
    ("POST", "/api/workers/register", WORKING, {"workerId": "pc-1", "hostname": "h"}),
    ("GET", "/api/workers/register", SEEN_BY_PEOPLE, ""),
    ("GET", "/api/workers/list", SEEN_BY_PEOPLE, ""),
    ("POST", "/api/workers/goodbye", WORKING, {"workerId": "pc-1"}),
    ("POST", "/api/workers/sleep", WORKING, {"workerId": "pc-1"}),
    ("POST", "/api/workers/drain", ADMINS, {"workerId": "pc-9"}),
    ("POST", "/api/workers/resume", ADMINS, {"workerId": "pc-9"}),
    ("POST", "/api/join", EVERYBODY, {"code": "gleaner_a_b", "workerId": "pc-8", "secretHash": "0" * 64}),
    ("GET", "/api/tokens", ADMINS, ""),
    ("POST", "/api/tokens/create", ADMINS, {"role": "viewer", "name": "made", "secretHash": "0" * 64}),
    ("POST", "/api/tokens/revoke", ADMINS, {"which": "none"}),
    ("POST", "/api/execute", SUBMITTING, "form"),
    ("DELETE", "/api/execute", JOB_ENDED, {"execId": "{job}"}),
    ("GET", "/api/info", SEEN_BY_PEOPLE, ""),
    ("GET", "/api/audit", ADMINS, ""),
    ("GET", "/api/stats", SEEN_BY_PEOPLE, ""),
    ("GET", "/api/usage", SEEN_BY_PEOPLE, ""),
    ("GET", "/api/workers/activity", SEEN_BY_PEOPLE, ""),
    ("GET", "/api/session", EVERYBODY, ""),
    ("POST", "/api/session", EVERYBODY, {}),
    ("DELETE", "/api/session", EVERYBODY, ""),
    ("GET", "/api/openapi.json", EVERYBODY, ""),
    ("GET", "/healthz", EVERYBODY, ""),
    ("GET", "/readyz", EVERYBODY, ""),
    ("GET", "/metrics", SEEN_BY_PEOPLE, ""),
    ("GET", "/uploads/", BYTES_OUT, "/" + "0" * 64 + ".zip"),
    ("GET", "/", EVERYBODY, ""),
]

# message, words, fields
MESSAGES = [
    ("auth-check", EVERYBODY, {}),
    ("gateway-hello", EVERYBODY, {"gatewayId": "g", "listen": "x", "version": "0", "uptimeMs": 0, "connections": 0}),
    ("join", EVERYBODY, {"code": "gleaner_a_b"}),
    ("join-token", EVERYBODY, {"code": "gleaner_a_b", "workerId": "pc-8", "secretHash": "0" * 64}),
    ("token-list", ADMINS, {}),
    ("token-create", ADMINS, {"role": "viewer", "name": "made", "secretHash": "0" * 64}),
    ("token-revoke", ADMINS, {"which": "none"}),
    ("worker-register", WORKING, {"workerId": "pc-1", "hostname": "h"}),
    ("worker-heartbeat", WORKING, {"workerId": "pc-1"}),
    ("worker-goodbye", WORKING, {"workerId": "pc-1"}),
    ("worker-sleep", WORKING, {"workerId": "pc-1"}),
    ("audit-read", ADMINS, {}),
    ("worker-drain", ADMINS, {"workerId": "pc-9"}),
    ("worker-resume", ADMINS, {"workerId": "pc-9"}),
    ("worker-list", SEEN_BY_PEOPLE, {}),
    ("worker-activity", SEEN_BY_PEOPLE, {}),
    ("job-create", SUBMITTING, {"command": "true", "fileUrl": "/uploads/none.zip", "filename": "p.zip"}),
    ("job-status", JOB_READ, {"jobId": "{job}"}),
    ("job-list", SEEN_BY_PEOPLE, {}),
    ("job-cancel", JOB_ENDED, {"jobId": "{job}"}),
    ("job-check-cancel", CHECKING, {"jobId": "{job}"}),
    ("job-follow", JOB_READ, {"jobId": "{job}"}),
    ("job-poll", WORKING, {"workerId": "pc-1"}),
    ("job-renew", WORKING, LEASE),
    ("job-return", WORKING, LEASE),
    ("job-output", WORKING, {**LEASE, "stream": "stdout", "data": b"x"}),
    ("job-result", WORKING, {**LEASE, "exitCode": 0}),
    ("job-fail", WORKING, LEASE),
    ("blob-put", BYTES_IN, {"upload": "{upload}", "offset": 0, "data": b"x"}),
    ("blob-commit", BYTES_IN, {"upload": "{upload}", "bytes": 1}),
    ("blob-abort", BYTES_IN, {"upload": "{upload}"}),
    ("blob-check", SUBMITTING, {"sha256": "0" * 64}),
    ("metrics-read", SEEN_BY_PEOPLE, {}),
    ("usage-read", SEEN_BY_PEOPLE, {}),
    ("blob-get", BYTES_OUT, {"sha256": "0" * 64, "offset": 0}),
    ("events-read", JOB_READ, {"jobId": "{job}"}),
    ("stats-read", SEEN_BY_PEOPLE, {}),
    ("broker-info", SEEN_BY_PEOPLE, {}),
    ("broker-snapshot", ADMINS, {}),
]

REFUSALS = {"UNAUTHORIZED": (401, "401"), "FORBIDDEN": (403, "403"), "NO_SUCH_JOB": (404, "404"), "WORKER_TOKEN_BOUND": (403, "bound")}


class Stage:
    """A cluster that asks, one of each role, and fresh jobs of the owner's that the holder has."""

    def __init__(self, cluster):
        self.cluster, self.native = cluster, cluster.native()
        self.uploads = 0
        made = {who: create(cluster, role, who) for who, role in
                (("viewer", "viewer"), ("owner", "submitter"), ("other", "submitter"), ("holder", "worker"), ("stranger", "worker"),
                 ("admin", "admin"))}
        self.tokens = {"nobody": None, **made}
        wait_until(lambda: self.says("admin", "broker-info")["type"] == "broker-info-ok")
        assert self.says("stranger", "worker-register", workerId="pc-2", hostname="h")["type"] == "worker-register-ok"

        self.told = {who: self.calls(who) for who in PEOPLE}

    def calls(self, who):
        """What GET /api/session says that somebody may do."""
        page = PageClient(self.cluster)
        if self.tokens[who]:
            assert page.login(self.tokens[who]).status == 200
        return page.get("/api/session")["calls"]

    def says(self, who, type, **fields):
        auth = {"auth": self.tokens[who]} if self.tokens[who] else {}
        return self.native.ask(type, **fields, **auth)

    def values(self):
        """A new job of the owner's, which the holder has got."""
        assert self.says("holder", "worker-register", workerId="pc-1", hostname="h")["type"] == "worker-register-ok"
        job = self.says("owner", "job-create", command="true", fileUrl="/uploads/none.zip", filename="p.zip", priority=1000)["jobId"]
        for _ in range(200):
            got = self.says("holder", "job-poll", workerId="pc-1")
            if got.get("jobId") == job:
                self.uploads += 1
                return {"job": job, "attempt": got["attempt"], "upload": f"{self.uploads:032x}"}
        raise AssertionError(f"{job} was not handed out")

    def page(self, who):
        """What a page of somebody who has just logged in says with each request."""
        page = PageClient(self.cluster)
        if not self.tokens[who]:
            return {"Origin": page.origin}
        assert page.login(self.tokens[who]).status == 200
        return {"Origin": page.origin, "Cookie": page.cookie, "X-Gleaner-Key": page.key}

    def bearer(self, who):
        return {"Authorization": f"Bearer {self.tokens[who]}"} if self.tokens[who] else {}

    def http(self, headers, method, path, body=None, kind=None):
        """Status and JSON of an answer, but for the body of one that went well: it may be a stream."""
        connection = http.client.HTTPConnection("127.0.0.1", self.cluster.port, timeout=20)
        connection.request(method, path, body, {**headers, **({"Content-Type": kind} if kind else {})})
        answer = connection.getresponse()
        said = json.loads(answer.read()) if answer.status >= 400 else {}
        connection.close()
        return answer.status, said


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("roles"), broker_args=["--auth", "on"])
    yield Stage(cluster)
    cluster.close()


def filled(value, values):
    if isinstance(value, dict):
        return {k: filled(v, values) for k, v in value.items()}
    if value == "{attempt}":
        return values["attempt"]
    return value.format(**values) if isinstance(value, str) else value


def word(code, status=None):
    if code not in REFUSALS:
        return "yes"
    assert status in (None, REFUSALS[code][0])
    return REFUSALS[code][1]


def call(stage, headers, method, path, what):
    values = stage.values()
    if what == "form":
        body, kind = multipart({"mode": "distributed", "commands": "true"}, {"file": ("p.zip", zip_of({"a": "b"}))})
        return stage.http(headers, method, path, body, kind)
    if isinstance(what, dict):
        return stage.http(headers, method, path, json.dumps(filled(what, values)), "application/json")
    if isinstance(what, tuple):
        return stage.http(headers, method, f"{path}?{filled(what[0], values)}", what[1], "application/octet-stream")
    return stage.http(headers, method, path.rstrip("/") + what if what.startswith("/") else f"{path}?{filled(what, values)}")


@pytest.mark.parametrize("method, path, words, what", ROUTES, ids=[f"{r[0]} {r[1]}" for r in ROUTES])
def test_a_call(stage, method, path, words, what):
    got = {}
    for who in WHO:
        status, said = call(stage, stage.bearer(who), method, path, what)
        got[who] = word(said.get("code"), status)
    assert got == dict(zip(WHO, words.split()))


@pytest.mark.parametrize("method, path, words, what", ROUTES, ids=[f"{r[0]} {r[1]}" for r in ROUTES])
def test_a_call_of_a_page(stage, method, path, words, what):
    """A cookie opens just what its token does, and the page is told just that."""
    expected = {who: said for who, said in zip(WHO, words.split()) if who in PEOPLE}
    got = {}
    for who in PEOPLE:
        status, said = call(stage, stage.page(who), method, path, what)
        got[who] = word(said.get("code"), status)
    assert got == expected
    if path.startswith("/api/") and (method, path) not in (("DELETE", "/api/session"), ("GET", "/api/openapi.json")):
        for who in PEOPLE:
            told = f"{method} {path}" in stage.told[who]
            assert told == (expected[who] in ("yes", "404")), who


@pytest.mark.parametrize("type, words, fields", MESSAGES, ids=[m[0] for m in MESSAGES])
def test_a_message(stage, type, words, fields):
    got = {}
    for who in WHO:
        said = stage.says(who, type, **filled(fields, stage.values()))
        got[who] = word(said.get("code"))
    assert got == dict(zip(WHO, words.split()))


def test_every_call_has_a_row():
    source = (TOP / "gateway/routes.c").read_text()
    routes = set(re.findall(r'\{\s*METHOD_(\w+),\s*"([^"]+)"', source))
    assert len(routes) > 30
    assert routes == {(method, path) for method, path, *_ in ROUTES}


def test_every_message_has_a_row():
    types = re.findall(r'^MSG_BEGIN \(\w+, \w+, "([^"]+)"', (TOP / "proto/messages.def").read_text(), re.M)
    requests = {t for t in types if f"{t}-ok" in types}
    assert len(requests) > 25
    assert requests == {type for type, *_ in MESSAGES}


def test_in_a_cluster_that_asks_nobody_everybody_may(clusters):
    cluster = clusters()
    assert cluster.api.post("/api/workers/drain", {"workerId": "x"}).json["code"] == "NO_SUCH_WORKER"
    assert TokenClient(cluster, "nonsense").get("/api/info").status == 200
    assert cluster.native().ask("auth-check") == {"v": 1, "type": "auth-check-ok", "required": False, "role": "admin"}
