"""The HTTP API's description of itself, against what the gateway answers: every call of it, and what each refuses.

`CALLS` has a story for each operation. What is answered is held against the document by lib/openapi.py, which finds a status, a
content type or a field that is not told. A route without an entry in gateway/routes_doc.def fails the unit test http_api_told.
"""

import contextlib
import hashlib
import http.client
import json
import random
import urllib.parse
import uuid

import jsonschema
import pytest

import openapi
from client import Client, multipart
from tokens import TokenClient, create
from zips import zip_of

NO_JOB = "job-1705329400000-abc123xyz"
API = openapi.api()


class World:
    """A cluster that asks for identities, one real worker, and what has been answered to each operation."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.admin = TokenClient(cluster, create(cluster, "admin", "root"))
        self.token = self.admin.token
        path = cluster.folder / "worker.token"
        path.write_text(create(cluster, "worker", "w") + "\n")
        path.chmod(0o600)
        cluster.worker("http", "--id", "real", "--token-file", path)
        self.seen = {}

    def call(self, method, target, body=None, headers=None, client=None):
        answer = (client or self.admin).request(method, target, body, headers)
        API.check(method, target, answer.status, answer.headers, answer.body)
        self.seen.setdefault((method, API.path_of(target)), set()).add(answer.status)
        return answer

    def wants(self, status, method, target, body=None, headers=None, client=None):
        answer = self.call(method, target, body, headers, client)
        assert answer.status == status, answer
        return answer

    def job(self, worker="nobody", **fields):
        """A job that nobody but that worker is given."""
        return self.admin.create(requires={"worker": worker}, **fields)

    def lease(self):
        """A job that `fake` holds, as the query or the body of what it then says."""
        self.wants(200, "POST", "/api/workers/register", {"workerId": "fake", "hostname": "fake"})
        job = self.job("fake")
        got = self.wants(200, "GET", "/api/jobs/get-job?workerId=fake")["job"]
        assert got["jobId"] == job
        return {"jobId": job, "workerId": "fake", "attempt": got["attempt"], "token": got["token"]}

    def ended(self, commands="echo hello; echo hello >a.out", **fields):
        job = self.admin.submit(commands, **fields)
        assert self.admin.wait_job(job)["status"] == "completed"
        return job


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    from cluster import Cluster
    cluster = Cluster(tmp_path_factory.mktemp("openapi"), broker_args=["--auth", "on"], gateway_args=["--rate", "100000", "--rate-burst", "100000"])
    yield World(cluster)
    cluster.close()


# ---- the document ----


def test_it_is_served_to_everybody_and_known_again_by_its_tag(world):
    answer = world.wants(200, "GET", "/api/openapi.json", client=world.cluster.api)
    assert answer.json == API.doc
    assert world.wants(304, "GET", "/api/openapi.json", headers={"If-None-Match": answer.headers["ETag"]}).body == b""
    assert world.admin.request("HEAD", "/api/openapi.json").status == 200


def schemas_of(thing):
    if isinstance(thing, dict):
        for key, value in thing.items():
            yield from [value] if key == "schema" else ()
            yield from schemas_of(value)
    elif isinstance(thing, list):
        for value in thing:
            yield from schemas_of(value)


def test_its_schemas_are_schemas_and_its_references_lead_somewhere():
    for schema in [*schemas_of(API.doc), *API.doc["components"]["schemas"].values()]:
        jsonschema.Draft202012Validator.check_schema(schema)
        API.closed(schema)
    for name in ("Error", "JobStatusOk", "WorkerEntry", "Event"):
        assert name in API.doc["components"]["schemas"], name


def test_every_operation_is_named_once_and_says_what_it_is():
    operations = list(API.operations.values())
    assert len({call["operationId"] for call in operations}) == len(operations)
    tags = {tag["name"] for tag in API.doc["tags"]}
    for call in operations:
        assert call["summary"] and set(call["tags"]) <= tags and "200" in call["responses"]
    assert API.operations["GET", "/api/jobs/create"]["deprecated"]


def test_its_examples_are_valid():
    for schema in schemas_of(API.doc):
        for name, part in {**schema.get("properties", {}), "": schema}.items():
            for example in part.get("examples", ()):
                API.hold((name, json.dumps(part)), part, example)


# ---- every call ----


def execute(world):
    form, kind = multipart({"commands": "echo hi", "mode": "distributed"}, {"file": ("p.zip", zip_of({"a": "x"}))})
    first = world.wants(200, "POST", "/api/execute", form, {"Content-Type": kind, "Idempotency-Key": "once"})
    assert world.wants(200, "POST", "/api/execute", form, {"Content-Type": kind, "Idempotency-Key": "once"})["jobId"] == first["jobId"]
    other, kind_of_other = multipart({"commands": "echo other", "mode": "distributed"}, {"file": ("p.zip", zip_of({"a": "x"}))})
    world.wants(409, "POST", "/api/execute", other, {"Content-Type": kind_of_other, "Idempotency-Key": "once"})
    world.wants(415, "POST", "/api/execute", {"commands": "true"})
    for fields, files, status in (({}, {"file": ("p.zip", zip_of({"a": "x"}))}, 400), ({"commands": "true"}, {}, 400),
                                  ({"commands": "true", "x": "y"}, {}, 400), ({"commands": "true"}, {"file": ("p.zip", b"no zip")}, 422)):
        form, kind = multipart(fields, files)
        world.wants(status, "POST", "/api/execute", form, {"Content-Type": kind})
    form, kind = multipart({"commands": "echo hi; echo no >&2"}, {"file": ("p.zip", zip_of({"a": "x"}))})
    direct = world.wants(200, "POST", "/api/execute", form, {"Content-Type": kind})
    assert direct.headers["X-Exec-Id"] and b'"type":"exit"' in direct.body


def execute_stop(world):
    job = world.job()
    world.wants(200, "DELETE", "/api/execute", {"execId": job})
    world.wants(200, "DELETE", f"/api/execute?execId={job}")
    world.wants(404, "DELETE", "/api/execute", {"execId": NO_JOB})
    world.wants(400, "DELETE", "/api/execute")


def job_create(world):
    body = {"command": "true", "fileUrl": "/uploads/none.zip", "filename": "p.zip", "requires": {"worker": "nobody"}}
    world.wants(200, "POST", "/api/jobs/create", body, {"Idempotency-Key": "k"})
    assert world.wants(200, "POST", "/api/jobs/create", body, {"Idempotency-Key": "k"})["repeated"] is True
    world.wants(409, "POST", "/api/jobs/create", {**body, "command": "false"}, {"Idempotency-Key": "k"})
    world.wants(503, "POST", "/api/jobs/create", {**body, "machine": "another"})
    for wrong in ({"fileUrl": "ftp://x"}, {"filename": "../x"}, {"command": "\n"}, {"artifacts": ["/etc"]}, {"priority": 1001}):
        world.wants(400, "POST", "/api/jobs/create", {**body, **wrong})


def job_list(path):
    def story(world):
        for _ in range(3):
            world.job(labels={"story": "list"}, env={"A": "b"}, secrets={"S": "secret"}, artifacts=["*.out"], retryOnExit=["any"], name="n", cpus=1.5)
        first = world.wants(200, "GET", f"{path}?limit=2&label=story=list")
        world.wants(200, "GET", f"{path}?limit=2&cursor={first['cursor']}&brief=true&state=pending&text=true")
        world.wants(400, "GET", f"{path}?limit=501")
        world.wants(400, "GET", f"{path}?state=tired")
    return story


def job_status(world):
    world.wants(200, "GET", f"/api/jobs/status?jobId={world.ended()}")
    failed = world.admin.submit("echo evidence >&2; exit 3", artifacts="*.none")
    assert world.admin.wait_job(failed)["status"] == "failed"
    world.wants(200, "GET", f"/api/jobs/status?jobId={failed}")
    world.wants(404, "GET", f"/api/jobs/status?jobId={NO_JOB}")
    world.wants(400, "GET", "/api/jobs/status")


def job_cancel(world):
    job = world.job()
    assert world.wants(200, "POST", "/api/jobs/cancel", {"jobId": job})["alreadyOver"] is False
    assert world.wants(200, "POST", "/api/jobs/cancel", {"jobId": job})["alreadyOver"] is True
    world.wants(404, "POST", "/api/jobs/cancel", {"jobId": NO_JOB})


def output_read(world):
    at = f"/api/jobs/output?jobId={world.ended()}"
    assert world.wants(200, "GET", at).body == b"hello\n"
    assert world.wants(200, "GET", at + "&follow=true&view=text&stream=stderr").body == b""
    assert world.wants(200, "GET", at + "&stream=journal&attempt=1").body
    assert world.wants(206, "GET", at, headers={"Range": "bytes=1-2"}).headers["Content-Range"] == "bytes 1-2/6"
    world.wants(416, "GET", at + "&offset=7")
    world.wants(404, "GET", at + "&attempt=9")
    world.wants(400, "GET", at + "&stream=stdin")


def artifacts(world):
    at = f"/api/jobs/artifacts?jobId={world.ended(artifacts='*.out')}"
    whole = world.wants(200, "GET", at)
    world.wants(206, "GET", at, headers={"Range": "bytes=0-1", "If-Range": whole.headers["ETag"]})
    world.wants(416, "GET", at, headers={"Range": "bytes=99999999-"})
    world.wants(404, "GET", f"/api/jobs/artifacts?jobId={world.ended()}")


def job_events(world):
    job = world.ended()
    events = world.wants(200, "GET", f"/api/jobs/events?jobId={job}")
    last = [line[4:] for line in events.body.decode().split("\n") if line.startswith("id: ")][-1]
    assert world.wants(204, "GET", f"/api/jobs/events?jobId={job}", headers={"Last-Event-ID": last}).body == b""
    world.wants(404, "GET", f"/api/jobs/events?jobId={NO_JOB}")
    world.wants(400, "GET", "/api/jobs/events")


def events(world):
    """A stream without an end: its head, and its first events."""
    connection = http.client.HTTPConnection("127.0.0.1", world.cluster.port, timeout=20)
    with contextlib.closing(connection):
        connection.request("GET", "/api/events", headers={"Authorization": f"Bearer {world.token}"})
        got = connection.getresponse()
        world.admin.post("/api/jobs/cancel", {"jobId": world.job()})
        body = b""
        while b"event: job" not in body or not body.endswith(b"\n\n"):
            body += got.read1(65536)
        API.check("GET", "/api/events", got.status, got.headers, body)
        world.seen.setdefault(("GET", "/api/events"), set()).add(got.status)
    world.wants(400, "GET", "/api/events?lastEventId=" + "9" * 200)


def check_cancel(world):
    world.wants(200, "GET", f"/api/jobs/check-cancel?jobId={world.job()}")
    world.wants(404, "GET", f"/api/jobs/check-cancel?jobId={NO_JOB}")


def get_job(world):
    world.wants(202, "GET", "/api/jobs/get-job?workerId=fake&wait=1", headers={"X-Worker-Id": "fake"})
    world.wants(404, "GET", "/api/jobs/get-job?workerId=nobody&slot=0")
    world.wants(400, "GET", "/api/jobs/get-job?workerId=fake&slot=1025")


def renew(world):
    lease = world.lease()
    world.wants(200, "POST", "/api/jobs/renew", lease)
    world.wants(409, "POST", "/api/jobs/renew", {**lease, "token": "x"})
    world.wants(200, "POST", "/api/jobs/return", lease)
    world.wants(409, "POST", "/api/jobs/return", lease)
    world.wants(404, "POST", "/api/jobs/return", {**lease, "jobId": NO_JOB})
    world.admin.post("/api/jobs/cancel", {"jobId": lease["jobId"]})


def output_write(world):
    lease = world.lease()
    at = "/api/jobs/output?" + urllib.parse.urlencode({**lease, "stream": "stdout"})
    assert world.wants(200, "POST", at + "&offset=0", b"hello\n")["offset"] == 6
    gap = world.wants(409, "POST", at + "&offset=9", b"x")
    assert (gap["code"], gap["offset"], gap["stream"]) == ("OUTPUT_GAP", 6, "stdout")
    world.wants(413, "POST", at + "&offset=6", b"x" * 300_000)
    world.wants(200, "POST", "/api/jobs/stream-output", {"jobId": lease["jobId"], "workerId": "fake", "data": "more\n", "type": "stdout"})
    world.wants(400, "POST", "/api/jobs/stream-output", {"jobId": lease["jobId"], "data": "x", "type": "journal"})
    world.wants(404, "POST", "/api/jobs/stream-output", {"jobId": NO_JOB, "data": "x", "type": "stdout"})
    mismatch = world.wants(409, "POST", "/api/jobs/submit-result", {**lease, "exitCode": 0, "stdoutBytes": 99})
    assert mismatch["code"] == "OUTPUT_MISMATCH"
    world.wants(200, "POST", "/api/jobs/submit-result", {**lease, "exitCode": 0, "stdoutBytes": 11})
    world.wants(409, "POST", "/api/jobs/submit-result", {**lease, "exitCode": 0, "token": "x"})
    world.wants(403, "POST", "/api/jobs/submit-result", {"jobId": lease["jobId"], "workerId": "other", "exitCode": 0})


def job_fail(world):
    lease = world.lease()
    world.wants(200, "PUT", "/api/jobs/submit-result", {**lease, "errorMessage": "no", "reason": "file-missing"})
    world.wants(404, "PUT", "/api/jobs/submit-result", {**lease, "jobId": NO_JOB})


def workers(world):
    leases = world.lease()
    keep = [{name: leases[name] for name in ("jobId", "attempt", "token")}]
    world.wants(200, "POST", "/api/workers/register", {"workerId": "fake", "hostname": "fake", "cpuCount": 4, "labels": {"a": "b"}, "keep": keep})
    world.wants(400, "POST", "/api/workers/register", {"workerId": "fake"})
    world.wants(200, "POST", "/api/workers/heartbeat", {"workerId": "fake", "loadPercent": 7})
    for name in ("heartbeat", "drain", "resume", "sleep", "goodbye"):
        world.wants(404, "POST", f"/api/workers/{name}", {"workerId": "nobody"})
        world.wants(400, "POST", f"/api/workers/{name}", {})
    assert world.wants(200, "POST", "/api/workers/drain", {"workerId": "fake"})["runningJobs"] == 1
    for name in ("list", "register", "activity"):
        world.wants(200, "GET", f"/api/workers/{name}")
    world.wants(200, "POST", "/api/workers/resume", {"workerId": "fake"})
    world.wants(200, "POST", "/api/workers/sleep", {"workerId": "fake", "forMs": 1000})
    world.wants(200, "POST", "/api/workers/goodbye", {"workerId": "fake"})
    world.admin.post("/api/jobs/cancel", {"jobId": leases["jobId"]})


def blobs(world):
    upload, data = uuid.uuid4().hex, zip_of({"a": "b"})
    world.wants(200, "POST", f"/api/blobs/put?upload={upload}&offset=0", data)
    world.wants(400, "POST", f"/api/blobs/put?upload={upload}&offset=5000", data)
    world.wants(400, "POST", "/api/blobs/commit", {"upload": upload, "bytes": 1})
    upload = uuid.uuid4().hex
    world.wants(200, "POST", f"/api/blobs/put?upload={upload}&offset=0", data)
    url = world.wants(200, "POST", "/api/blobs/commit", {"upload": upload, "bytes": len(data), "zip": True})["fileUrl"]
    world.wants(404, "POST", "/api/blobs/commit", {"upload": uuid.uuid4().hex, "bytes": 1})
    assert world.wants(200, "GET", url).body == data
    world.wants(206, "GET", url, headers={"Range": "bytes=-4"})
    world.wants(416, "GET", url, headers={"Range": "bytes=99999-"})
    world.wants(404, "GET", "/uploads/none.zip")


def blob_check(world):
    data = zip_of({"known": "x"})
    at = f"/api/blobs/check?sha256={hashlib.sha256(data).hexdigest()}"
    assert world.wants(200, "GET", at)["known"] is False
    world.admin.execute("true", data=data)
    assert world.wants(200, "GET", at)["known"] is True
    world.wants(400, "GET", "/api/blobs/check")


def health(world):
    for path in ("/healthz", "/readyz"):
        assert world.wants(200, "GET", path, client=world.cluster.api).body == b"ok\n"


def metrics(world):
    assert b"# TYPE" in world.wants(200, "GET", "/metrics").body
    assert world.wants(200, "GET", "/metrics", headers={"Accept": "application/openmetrics-text"}).body.endswith(b"# EOF\n")


def whole(world):
    world.wants(200, "GET", "/api/info")
    world.wants(200, "GET", "/api/stats?range=day")
    world.wants(400, "GET", "/api/stats?range=year")
    world.wants(200, "GET", "/api/usage")
    world.wants(400, "GET", "/api/usage?format=xml")
    world.admin.post("/api/jobs/cancel", {"jobId": world.admin.create()})
    assert world.wants(200, "GET", "/api/usage?by=worker&since=0")["groups"]
    assert b"run_seconds" in world.wants(200, "GET", "/api/usage?format=csv").body
    world.wants(400, "GET", "/api/usage?by=nobody")
    world.wants(200, "GET", "/api/audit?limit=5")
    world.wants(400, "GET", "/api/audit?limit=501")


def join(world):
    code = world.cluster.enroll("worker", "--server", world.cluster.server)
    from joining import read_code
    body = {"code": read_code(code)["code"], "workerId": "joined", "secretHash": "0" * 64}
    world.wants(200, "POST", "/api/join", body, client=world.cluster.api)
    world.wants(403, "POST", "/api/join", {**body, "workerId": "other"}, client=world.cluster.api)


def tokens(world):
    body = {"role": "viewer", "name": "made", "secretHash": uuid.uuid4().hex * 2, "forMs": 60_000}
    made = world.wants(200, "POST", "/api/tokens/create", body)
    assert world.wants(200, "POST", "/api/tokens/create", body)["identity"] == made["identity"]
    world.wants(409, "POST", "/api/tokens/create", {**body, "role": "admin"})
    world.wants(400, "POST", "/api/tokens/create", {**body, "role": "king"})
    assert made["identity"] in [token["identity"] for token in world.wants(200, "GET", "/api/tokens?limit=500")["tokens"]]
    world.wants(404, "GET", "/api/tokens?cursor=none")
    world.wants(200, "POST", "/api/tokens/revoke", {"which": made["identity"]})
    world.wants(404, "POST", "/api/tokens/revoke", {"which": "none"})


def session(world):
    everybody = world.cluster.client()
    assert world.wants(200, "GET", "/api/session", client=everybody)["role"] == "none"
    answer = world.wants(200, "POST", "/api/session", {"token": world.token}, client=everybody)
    cookie = {"Cookie": answer.headers["Set-Cookie"].split(";")[0]}
    assert world.wants(200, "GET", "/api/session", headers=cookie, client=everybody)["key"] == answer["key"]
    world.wants(401, "POST", "/api/session", {"token": "no"}, client=everybody)
    world.wants(403, "DELETE", "/api/session", headers=cookie, client=everybody)
    own = {"X-Gleaner-Key": answer["key"], "Origin": world.cluster.server}
    world.wants(200, "DELETE", "/api/session", headers={**cookie, **own}, client=everybody)


def described(world):
    world.wants(200, "GET", "/api/openapi.json")


# The story, and the operations that it calls well.
CALLS = [
    (execute, ["POST /api/execute"]),
    (execute_stop, ["DELETE /api/execute"]),
    (job_create, ["POST /api/jobs/create"]),
    (job_list("/api/jobs"), ["GET /api/jobs"]),
    (job_list("/api/jobs/create"), ["GET /api/jobs/create"]),
    (job_status, ["GET /api/jobs/status"]),
    (job_cancel, ["POST /api/jobs/cancel"]),
    (output_read, ["GET /api/jobs/output"]),
    (artifacts, ["GET /api/jobs/artifacts"]),
    (job_events, ["GET /api/jobs/events"]),
    (events, ["GET /api/events"]),
    (check_cancel, ["GET /api/jobs/check-cancel"]),
    (renew, ["POST /api/jobs/renew", "POST /api/jobs/return"]),
    (get_job, ["GET /api/jobs/get-job"]),
    (output_write, ["POST /api/jobs/output", "POST /api/jobs/stream-output", "POST /api/jobs/submit-result"]),
    (job_fail, ["PUT /api/jobs/submit-result"]),
    (workers, ["POST /api/workers/register", "GET /api/workers/register", "GET /api/workers/list", "GET /api/workers/activity",
               "POST /api/workers/heartbeat", "POST /api/workers/sleep", "POST /api/workers/goodbye", "POST /api/workers/drain",
               "POST /api/workers/resume"]),
    (blobs, ["POST /api/blobs/put", "POST /api/blobs/commit", "GET /uploads/{NAME}"]),
    (blob_check, ["GET /api/blobs/check"]),
    (metrics, ["GET /metrics"]),
    (health, ["GET /healthz", "GET /readyz"]),
    (whole, ["GET /api/info", "GET /api/stats", "GET /api/usage", "GET /api/audit"]),
    (join, ["POST /api/join"]),
    (tokens, ["POST /api/tokens/create", "GET /api/tokens", "POST /api/tokens/revoke"]),
    (session, ["GET /api/session", "POST /api/session", "DELETE /api/session"]),
    (described, ["GET /api/openapi.json"]),
]


@pytest.mark.parametrize("story, operations", CALLS, ids=[operations[0].replace("/api/", "") for _, operations in CALLS])
def test_a_call_answers_as_it_is_described(world, story, operations):
    story(world)
    for operation in operations:
        answered = world.seen[tuple(operation.split(" ", 1))]
        assert 200 in answered, (operation, answered)


def test_no_call_is_left_out():
    told = {f"{method} {path}" for method, path in API.operations}
    assert {operation for _, operations in CALLS for operation in operations} == told


@pytest.mark.parametrize("method, path", API.operations, ids=[f"{method} {path}" for method, path in API.operations])
def test_every_call_refuses_whom_the_document_says(world, method, path):
    """Without a token; by another name of the gateway's."""
    target = path.replace("{NAME}", "none.zip")
    strict = API.operations[method, path]["security"]
    if strict:
        assert world.call(method, target, client=world.cluster.client()).status == 401
    assert world.call(method, target, headers={"Host": "evil.example"}, client=world.cluster.client()).status == 421


@pytest.mark.parametrize("role", ["viewer", "submitter", "worker"])
def test_roles_are_as_the_document_says(world, role):
    client = TokenClient(world.cluster, create(world.cluster, role, role))
    for (method, path), call in API.operations.items():
        if not call["security"] or path.endswith("/events"):
            continue
        answer = world.call(method, path.replace("{NAME}", "none.zip"), client=client)
        forbidden = answer.status == 403 and answer["code"] == "FORBIDDEN" and "field" not in answer.json
        assert forbidden == (role not in call["x-roles"]), (method, path, answer)


# ---- wrong parameters, made from the schemas ----


def wrong_values(schema, rng):
    """Values that the schema does not take, as JSON."""
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if "integer" in kinds and "string" not in kinds:
        yield from (schema["minimum"] - 1, "text", 0.5, 2**63, [], {}, *([schema["maximum"] + 1] if "maximum" in schema else []))
    elif "number" in kinds:
        yield from (schema["maximum"] + 1, -1, "text", 0.001, [])
    elif "boolean" in kinds and "string" not in kinds:
        yield from ("perhaps", 7, [])
    elif "array" in kinds:
        yield from (0.5, {}, [[]], [{}]) if "string" in kinds else (7, "text", {}, [7], [{}])
    elif "object" in kinds:
        yield from (7, "text", [], {"A": []}, {"A": {}})
    elif "string" in kinds:
        yield from (7, [], {}, True)
        if schema.get("maxLength", 10**9) < 70_000:
            yield "x" * (schema["maxLength"] + rng.randint(1, 9))


def wrong_calls(method, path, call, rng):
    """(target, body, content type): each with one thing wrong."""
    target = path.replace("{NAME}", "none.zip")
    query = [one for one in call.get("parameters", ()) if one["in"] == "query"]
    good = {one["name"]: one["schema"].get("examples", ["x"])[0] for one in query if one.get("required")}
    content = call.get("requestBody", {}).get("content", {})
    kind, schema = next(((k, v["schema"]) for k, v in content.items()), (None, {}))
    body = b"x" if kind == "application/octet-stream" else None
    if kind == "application/json":
        body = {name: one["examples"][0] for name, one in schema["properties"].items() if name in schema.get("required", ()) and "examples" in one}
    for one in query:
        if one.get("required"):
            yield with_query(target, {name: value for name, value in good.items() if name != one["name"]}), body, kind
        for value in wrong_values(one["schema"], rng):
            if one["schema"].get("type") != "string" or isinstance(value, str):
                yield with_query(target, {**good, one["name"]: value if isinstance(value, str) else json.dumps(value)}), body, kind
    if kind != "application/json":
        return
    for name in schema.get("required", ()):
        yield with_query(target, good), {key: value for key, value in body.items() if key != name}, kind
    for name, one in schema["properties"].items():
        for value in wrong_values(one, rng):
            yield with_query(target, good), {**body, name: value}, kind
    for text in (b"", b"[]", b"{", b"7", b'{"a":1,"a":2}', b"\xff", b"[" * 100):
        yield with_query(target, good), text, kind


def with_query(target, fields):
    return target + ("?" + urllib.parse.urlencode(fields) if fields else "")


@pytest.mark.parametrize("method, path", API.operations, ids=[f"{method} {path}" for method, path in API.operations])
def test_wrong_parameters_are_refused_as_described(world, method, path):
    if path.endswith("/events") or path == "/api/openapi.json":
        return  # refused above; what they do not know they pass over
    rng = random.Random(f"{method} {path}")
    client = TokenClient(world.cluster, world.token)
    for target, body, kind in wrong_calls(method, path, API.operations[method, path], rng):
        answer = world.call(method, target, json.dumps(body) if isinstance(body, dict) else body, {"Content-Type": kind} if kind else {}, client)
        assert 400 <= answer.status < 500, (method, target, body, answer)


FORM = API.operations["POST", "/api/execute"]["requestBody"]["content"]["multipart/form-data"]["schema"]


@pytest.mark.parametrize("name", [name for name in FORM["properties"] if name != "file"])
def test_wrong_fields_of_the_form_are_refused_as_described(world, name):
    rng = random.Random(name)
    schema = FORM["properties"][name]
    for value in wrong_values(schema, rng):
        if schema["type"] == "string" and not isinstance(value, str):
            continue
        text = value if isinstance(value, str) else json.dumps(value)
        form, kind = multipart({"commands": "true", "mode": "distributed", name: text}, {"file": ("p.zip", zip_of({"a": "x"}))})
        answer = world.call("POST", "/api/execute", form, {"Content-Type": kind})
        assert 400 <= answer.status < 500, (name, text, answer)
