"""Tokens from afar: an admin makes, lists and revokes them over HTTP, by the API and by `gleaner token ...`."""

import base64
import fcntl
import hashlib
import http.client
import http.server
import json
import os
import signal
import subprocess
import threading
import time

import pytest

from client import Client
from cluster import wait_until
from faults import Faults
from pages import PageClient
from shell import AWAY, PROGRAM, REFUSED, Shell
from tokens import TokenClient, command, create, listed, revoke

YEAR = 365 * 24 * 3600 * 1000


def secret_hash(secret):
    return hashlib.sha256(secret).hexdigest()


def order(role="submitter", name="alice", secret=None, **more):
    """A request for a token, and the secret that it is for."""
    secret = secret or os.urandom(32)
    return {"role": role, "secretHash": secret_hash(secret), **({"name": name} if name else {}), **more}, secret


def token_of(answer, secret):
    return f"gleaner_{answer['identity']}_{base64.urlsafe_b64encode(secret).decode().rstrip('=')}"


def of(tokens, **wanted):
    return [token for token in tokens if wanted.items() <= token.items()]


class Admin:
    """A cluster whose broker asks who speaks, as an admin sees it."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.token = create(cluster, "admin", "root")
        self.api = TokenClient(cluster, self.token)
        self.native = cluster.native()
        wait_until(lambda: self.api.get("/api/info").status == 200)

    def make(self, *args, **more):
        body, secret = order(*args, **more)
        answer = self.api.post("/api/tokens/create", body)
        assert answer.status == 200, answer.body
        return answer.json, token_of(answer.json, secret)

    def refused(self, body, path="/api/tokens/create"):
        answer = self.api.post(path, body)
        assert answer.status >= 400, answer.body
        return answer.status, answer["code"], answer.json.get("field")

    def audit(self):
        return list(reversed(self.api.get("/api/audit?limit=500")["entries"]))


@pytest.fixture
def admin(clusters):
    return Admin(clusters(broker_args=["--auth", "on"]))


@pytest.fixture(scope="module")
def standing(tmp_path_factory):
    """One for what changes nothing."""
    from cluster import Cluster
    cluster = Cluster(tmp_path_factory.mktemp("standing"), broker_args=["--auth", "on"])
    yield Admin(cluster)
    cluster.close()


# ---- made, used, listed, taken back ----


def test_a_token_is_made_used_listed_and_revoked(admin):
    cluster = admin.cluster
    made, token = admin.make(forMs=YEAR)
    assert made["success"] is True and (made["role"], made["name"], made["repeated"]) == ("submitter", "alice", False)
    assert made["expiresAt"] == made["createdAt"] + YEAR
    alice, page = TokenClient(cluster, token), PageClient(cluster)
    job = alice.create()
    assert alice.status(job)["owner"] == "alice" and page.login(token).status == 200
    assert cluster.native().ask("auth-check", auth=token)["expiresAt"] == made["expiresAt"]
    (seen,) = of(admin.api.get("/api/tokens")["tokens"], identity=made["identity"])
    assert (seen["kind"], seen["state"], seen["name"], seen["role"], seen["workerId"]) == ("token", "good", "alice", "submitter", None)
    (line,) = of(listed(cluster), id=made["identity"])
    assert (line["kind"], line["createdAt"], line["expiresAt"]) == ("token", made["createdAt"], made["expiresAt"])
    gone = admin.api.post("/api/tokens/revoke", {"which": "alice"})
    assert gone.status == 200 and (gone["identity"], gone["name"], gone["alreadyRevoked"]) == (made["identity"], "alice", False)
    assert alice.get("/api/jobs").status == 401, "at once, whatever the gateway remembers"
    assert cluster.native().ask("job-list", auth=token)["code"] == "UNAUTHORIZED"
    assert page.get("/api/jobs").status == 401
    assert of(admin.api.get("/api/tokens")["tokens"], state="revoked")[0]["revokedAt"] == gone["revokedAt"]
    for which in ("alice", made["identity"]):
        again = admin.api.post("/api/tokens/revoke", {"which": which})
        assert (again.status, again["alreadyRevoked"], again["revokedAt"]) == (200, True, gone["revokedAt"]), which
    cluster.broker.kill()
    cluster.broker.start()
    wait_until(lambda: admin.api.get("/api/jobs").status == 200)
    assert alice.get("/api/jobs").status == 401
    secret = token.split("_", 2)[2]
    for path in (cluster.broker.log, cluster.gateway.log, cluster.folder / "data/identities", cluster.folder / "data/audit.log"):
        assert secret not in path.read_text(), path


def test_streams_and_workers_in_its_name_end(admin):
    cluster = admin.cluster
    made, token = admin.make("worker", "lab")
    viewer, watching = admin.make("viewer", "wall")
    worker = cluster.worker("zmq", env={"GLEANER_WORKER_TOKEN": token})
    wait_until(lambda: admin.api.get("/api/workers/list")["workers"])
    assert of(admin.api.get("/api/tokens")["tokens"], identity=made["identity"])[0]["workerId"] is not None
    connection = http.client.HTTPConnection("127.0.0.1", cluster.port, timeout=20)
    connection.request("GET", "/api/events", headers={"Authorization": f"Bearer {watching}"})
    stream = connection.getresponse()
    assert stream.status == 200
    began = time.monotonic()
    assert admin.native.ask("token-revoke", which=viewer["identity"], auth=admin.token)["type"] == "token-revoke-ok"
    stream.read()
    assert time.monotonic() - began < 3
    connection.close()
    assert admin.api.post("/api/tokens/revoke", {"which": "lab"}).status == 200
    assert worker.wait(30) == 77
    assert admin.api.get("/api/workers/list")["workers"][0]["status"] == "offline"


@pytest.mark.parametrize("role", ["admin", "worker"])
def test_a_poll_that_waits_in_its_name_gets_no_job(admin, role):
    """Neither a worker's own, nor one of an admin's, who may poll for any."""
    made, token = admin.make(role, "second")
    second = TokenClient(admin.cluster, token)
    assert second.post("/api/workers/register", {"workerId": "w", "hostname": "h"}).status == 200
    answers = []
    poll = threading.Thread(target=lambda: answers.append(second.get("/api/jobs/get-job?workerId=w&wait=15000")))
    poll.start()
    wait_until(lambda: b"gleaner_requests_parked 1\n" in admin.api.get("/metrics").body)
    assert admin.api.post("/api/tokens/revoke", {"which": "second"}).status == 200
    poll.join(10)
    assert not poll.is_alive() and answers[0].json.get("job") is None, answers[0].body
    assert answers[0].status == (401 if role == "admin" else 202)
    job = admin.api.create()
    assert admin.api.status(job)["status"] == "pending"


def test_a_poll_does_not_wait_for_longer_than_its_token_counts(admin):
    _, token = admin.make("worker", "short", forMs=2500)
    native = admin.cluster.native()
    assert native.ask("worker-register", auth=token, workerId="w", hostname="h")["type"] == "worker-register-ok"
    began = time.monotonic()
    answer = native.ask("job-poll", auth=token, workerId="w", wait=15000)
    assert (answer["type"], answer.get("jobId")) == ("job-poll-ok", None) and time.monotonic() - began < 8
    job = admin.api.create()
    assert native.ask("job-poll", auth=token, workerId="w")["code"] == "UNAUTHORIZED"
    assert admin.api.status(job)["status"] == "pending"


def test_without_a_name_it_is_called_by_its_id(admin):
    made, token = admin.make("viewer", None)
    assert made["name"] == made["identity"] and "expiresAt" not in {k for k, v in made.items() if v is not None}
    assert TokenClient(admin.cluster, token).get("/api/session")["name"] == made["identity"]
    body, secret = order("viewer", None)
    one, two = (admin.api.post("/api/tokens/create", body).json for _ in range(2))
    assert one["identity"] == two["identity"] and two["repeated"] is True


def test_the_list_has_pages(admin):
    for number in range(12):
        admin.make("viewer", f"v{number}")
    seen, cursor = [], ""
    while cursor is not None:
        page = admin.api.get(f"/api/tokens?limit=5&cursor={cursor}").json
        assert page["count"] == len(page["tokens"]) <= 5
        seen += page["tokens"]
        cursor = page["cursor"]
    assert [token["name"] for token in seen] == [f"v{number}" for number in reversed(range(12))] + ["root"]
    assert not any("hash" in key.lower() or "secret" in key.lower() for token in seen for key in token)
    assert len(admin.api.get("/api/tokens?limit=500")["tokens"]) == 13


# ---- once ----


def test_a_repeated_request_makes_no_second_one(admin):
    body, secret = order(forMs=YEAR)
    answers = [admin.api.post("/api/tokens/create", body).json for _ in range(3)]
    answers.append(admin.native.ask("token-create", auth=admin.token, **body))
    assert {answer["identity"] for answer in answers} == {answers[0]["identity"]}
    assert {answer["createdAt"] for answer in answers} == {answers[0]["createdAt"]}
    assert [answer["repeated"] for answer in answers] == [False, True, True, True]
    assert len(of(listed(admin.cluster), name="alice")) == 1
    for other in ({"role": "admin"}, {"name": "bob"}, {"forMs": YEAR + 1}):
        assert admin.refused({**body, **other}) == (409, "IDEMPOTENCY_MISMATCH", "secretHash"), other
    without = {key: value for key, value in body.items() if key != "forMs"}
    assert admin.refused(without) == (409, "IDEMPOTENCY_MISMATCH", "secretHash")
    admin.api.post("/api/tokens/revoke", {"which": answers[0]["identity"]})
    assert admin.refused(body) == (409, "IDEMPOTENCY_MISMATCH", "secretHash"), "one that was taken back does not come again"
    assert TokenClient(admin.cluster, token_of(answers[0], secret)).get("/api/jobs").status == 401


@pytest.mark.parametrize("point, where, there", [("after", "identities.new", False), ("before", "data$", True), ("after", "data$", True)])
def test_one_whose_broker_was_killed_is_made_once(clusters, tmp_path, point, where, there):
    """Before the file is in its place, and after, before the answer: who asks again has one token."""
    faults = Faults(tmp_path / "faults")
    admin = Admin(clusters(broker_args=["--auth", "on"], broker_env=faults.env))
    cluster = admin.cluster
    body, secret = order()
    faults.sync(point, where)
    answer = admin.api.post("/api/tokens/create", body)
    assert answer.status == 503 and answer["code"] == "BROKER_UNAVAILABLE", answer.body
    faults.struck()
    cluster.broker.awaited = True
    assert cluster.broker.process.wait(10) == -signal.SIGKILL
    cluster.broker.start()
    wait_until(lambda: admin.api.get("/api/info").status == 200)
    answers = [admin.api.post("/api/tokens/create", body).json for _ in range(2)]
    assert [answer["repeated"] for answer in answers] == [there, True]
    assert [line["id"] for line in of(listed(cluster), name="alice")] == [answers[0]["identity"]] == [answers[1]["identity"]]
    assert TokenClient(cluster, token_of(answers[0], secret)).get("/api/jobs").status == 200


def test_a_token_that_cannot_be_written_is_not_answered(clusters, tmp_path):
    faults = Faults(tmp_path / "faults")
    admin = Admin(clusters(broker_args=["--auth", "on"], broker_env=faults.env))
    body, _ = order()
    faults.sync("eio", "identities.new")
    assert admin.refused(body)[:2] == (500, "INTERNAL")
    assert admin.cluster.broker.events("token-unchanged") and not of(listed(admin.cluster), name="alice")
    assert admin.api.post("/api/tokens/create", body)["repeated"] is False
    faults.sync("eio", "identities.new")
    assert admin.refused({"which": "alice"}, "/api/tokens/revoke")[:2] == (500, "INTERNAL")
    assert of(listed(admin.cluster), name="alice")[0]["state"] == "good"
    assert admin.api.post("/api/tokens/revoke", {"which": "alice"})["alreadyRevoked"] is False


def test_on_a_full_disk_a_token_is_taken_back_all_the_same(clusters, small_disk):
    """Whoever had it may have filled the disk."""
    cluster = clusters(broker_args=["--auth", "on"])
    cluster.broker.stop()
    cluster.broker.args[3] = small_disk / "data"
    (cluster.folder / "data").rename(cluster.folder / "before")
    (cluster.folder / "data").symlink_to(small_disk / "data")
    cluster.broker.start()
    admin = Admin(cluster)
    admin.make()
    wait_until(lambda: (small_disk / "data/held-room").exists(), 5)
    with open(small_disk / "ballast", "wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(bytes(4096))
    assert admin.refused(order()[0])[:2] == (507, "DISK_FULL"), "at once, without the look at the disk that comes each second"
    assert admin.api.post("/api/tokens/revoke", {"which": "alice"}).status == 200
    assert cluster.broker.events("held-room-used") and of(listed(cluster), name="alice")[0]["state"] == "revoked"
    (small_disk / "ballast").unlink()
    assert admin.api.post("/api/tokens/create", order()[0]).status == 200


def test_a_lock_that_somebody_holds_does_not_hold_the_broker(admin):
    """As `flock DATA rsync ...` would, or a command that was stopped with it."""
    folder = os.open(admin.cluster.folder / "data", os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        began = time.monotonic()
        assert admin.refused(order()[0])[:2] == (500, "INTERNAL")
        assert time.monotonic() - began < 10 and admin.api.get("/api/jobs").status == 200
        assert "cannot lock" in admin.cluster.broker.events("token-unchanged")[0]
        done = admin.cluster.broker_does("token", "create", "--role", "viewer", "--name", "v")
        assert done.returncode == 2 and "cannot lock" in done.stderr, done
    finally:
        os.close(folder)
    admin.make()


# ---- who may, and what is refused ----


def test_only_admins_may(standing):
    body, _ = order()
    for role in ("viewer", "submitter", "worker"):
        token = create(standing.cluster, role, f"a-{role}")
        client = TokenClient(standing.cluster, token)
        wait_until(lambda: client.get("/api/session").status == 200)
        for method, path, said in (("GET", "/api/tokens", None), ("POST", "/api/tokens/create", body), ("POST", "/api/tokens/revoke", {"which": "root"})):
            answer = client.post(path, said) if said else client.get(path)
            assert (answer.status, answer["code"]) == (403, "FORBIDDEN"), (role, path)
        for type, fields in (("token-list", {}), ("token-create", body), ("token-revoke", {"which": "root"})):
            assert standing.native.ask(type, auth=token, **fields)["code"] == "FORBIDDEN", (role, type)
    nobody = standing.cluster.client()
    assert nobody.get("/api/tokens").status == nobody.post("/api/tokens/create", body).status == 401
    assert not of(listed(standing.cluster), name="alice")


def test_a_page_needs_its_key(standing):
    page = PageClient(standing.cluster)
    assert page.login(standing.token).status == 200
    body, _ = order("viewer", "from-a-page")
    assert page.request("POST", "/api/tokens/create", body, {"X-Gleaner-Key": None})["code"] == "NO_PAGE_KEY"
    assert page.request("POST", "/api/tokens/create", body, {"Origin": "http://evil.example"})["code"] in ("NO_PAGE_KEY", "CROSS_SITE")
    assert not of(listed(standing.cluster), name="from-a-page")
    assert page.post("/api/tokens/create", body).status == 200


@pytest.mark.parametrize("auth", ["auto", "off"])
def test_a_broker_that_asks_nobody_takes_no_word_on_tokens(clusters, auth):
    """Or whoever came first would lock all others out."""
    cluster = clusters(broker_args=["--auth", auth])
    if auth == "off":
        create(cluster, "admin", "root")
    body, _ = order("admin", "mallory")
    for path, said in (("/api/tokens/create", body), ("/api/tokens/revoke", {"which": "root"})):
        answer = cluster.api.post(path, said)
        assert (answer.status, answer["code"]) == (403, "OPEN_BROKER") and "gleaner-broker token create" in answer["error"]
    assert cluster.native().ask("token-create", **body)["code"] == "OPEN_BROKER"
    assert cluster.api.get("/api/tokens").status == 200
    assert cluster.api.get("/api/jobs").status == 200, "nobody is asked for that"
    assert [(line["name"], line["state"]) for line in listed(cluster)] == ([("root", "good")] if auth == "off" else [])


BAD = [
    ({"role": "king"}, "role"), ({"role": "gateway"}, "role"), ({"role": "none"}, "role"), ({"role": ""}, "role"), ({"role": None}, "role"),
    ({"role": 7}, "role"), ({"name": "x" * 65}, "name"), ({"name": "a\tb"}, "name"), ({"name": "a\nb"}, "name"), ({"name": "a\x85b"}, "name"),
    ({"name": ""}, "name"), ({"name": "jwt:alice"}, "name"), ({"name": ["a"]}, "name"), ({"forMs": 0}, "forMs"), ({"forMs": 999}, "forMs"),
    ({"forMs": -1}, "forMs"), ({"forMs": 100 * YEAR + 1}, "forMs"), ({"forMs": "soon"}, "forMs"), ({"secretHash": None}, "secretHash"),
    ({"secretHash": "0" * 63}, "secretHash"), ({"secretHash": "0" * 65}, "secretHash"), ({"secretHash": "A" * 64}, "secretHash"),
    ({"secretHash": "g" * 64}, "secretHash"), ({"secretHash": "../" + "0" * 61}, "secretHash"),
]


@pytest.mark.parametrize("change, field", BAD, ids=[json.dumps(change)[:40] for change, _ in BAD])
def test_bad_input_makes_none(standing, change, field):
    body, _ = order(name="bad")
    status, code, at = standing.refused({**body, **change})
    assert (status, at) == (400, field) and code in ("SCHEMA", "MISSING_FIELD"), (status, code, at)
    fields = {key: value for key, value in {**body, **change}.items() if value is not None}
    said = standing.native.ask("token-create", auth=standing.token, **fields)
    assert (said["code"], said["field"]) == ("SCHEMA", field), said
    assert not of(listed(standing.cluster), name="bad")


def test_which_one_to_revoke_must_be_clear(standing):
    assert standing.refused({"which": "nobody"}, "/api/tokens/revoke") == (404, "NO_SUCH_TOKEN", "which")
    assert standing.refused({"which": ""}, "/api/tokens/revoke")[:2] == (400, "MISSING_FIELD")
    assert standing.refused({"which": "x" * 129}, "/api/tokens/revoke")[:2] == (400, "SCHEMA")
    assert standing.api.get("/api/tokens?limit=501")["code"] == "SCHEMA"
    assert standing.api.get("/api/tokens?cursor=nobody")["code"] == "NO_SUCH_TOKEN"
    (one, _), (two, _) = standing.make("viewer", "twin"), standing.make("viewer", "twin")
    assert standing.refused({"which": "twin"}, "/api/tokens/revoke") == (409, "AMBIGUOUS_TOKEN", "which")
    assert standing.api.post("/api/tokens/revoke", {"which": one["identity"]}).status == 200
    assert standing.api.post("/api/tokens/revoke", {"which": "twin"})["identity"] == two["identity"]


def test_the_last_admin_stays(admin):
    """From afar: whoever has got hold of a token cannot leave the owner without one. On the broker's machine it goes."""
    assert admin.refused({"which": "root"}, "/api/tokens/revoke") == (409, "LAST_ADMIN", "which")
    short, _ = admin.make("admin", "short", forMs=1000)
    wait_until(lambda: of(admin.api.get("/api/tokens")["tokens"], identity=short["identity"])[0]["state"] == "expired")
    assert admin.refused({"which": "root"}, "/api/tokens/revoke") == (409, "LAST_ADMIN", "which"), "one that is over does not count"
    assert admin.api.post("/api/tokens/revoke", {"which": "short"}).status == 200
    second, token = admin.make("admin", "second")
    assert admin.api.post("/api/tokens/revoke", {"which": "root"}).status == 200, "its own, with another one left"
    assert admin.api.get("/api/jobs").status == 401
    other = TokenClient(admin.cluster, token)
    assert other.post("/api/tokens/revoke", {"which": "second"})["code"] == "LAST_ADMIN"
    revoke(admin.cluster, token)
    wait_until(lambda: other.get("/api/jobs").status == 401)


def test_the_owners_machine_keeps_some_room(clusters):
    cluster = clusters()
    cluster.broker.stop()
    data = cluster.folder / "data"
    (data / "identities").write_text("".join(f"t{n:05}\ttoken\t{secret_hash(b'%d' % n)}\tviewer\tn\t1\t0\t\t1\n" for n in range(9898)))
    (data / "identities").chmod(0o600)
    cluster.broker.start()
    admin = Admin(cluster)
    admin.make("viewer", "the-last")
    assert admin.refused(order()[0])[:2] == (409, "TOKENS_FULL")
    assert create(cluster, "viewer", "one-more")
    began = time.monotonic()
    assert admin.api.post("/api/tokens/revoke", {"which": "the-last"}).status == 200
    assert time.monotonic() - began < 5


# ---- who did it ----


def test_it_is_written_down_who_did_it(admin):
    made, token = admin.make()
    other = TokenClient(admin.cluster, create(admin.cluster, "viewer", "by-hand"))
    wait_until(lambda: other.get("/api/jobs").status == 200)
    body, _ = order("king")
    admin.native.ask("token-create", auth=admin.token, **body)
    admin.native.ask("token-create", auth=token, **order()[0])
    admin.api.post("/api/tokens/revoke", {"which": "alice"})
    admin.api.post("/api/tokens/revoke", {"which": "root"})
    command(admin.cluster, "revoke", "by-hand")
    wait_until(lambda: other.get("/api/jobs").status == 401)
    told = [(e["what"], e["name"], e["subject"], e["outcome"]) for e in admin.audit()[1:] if e["what"].startswith("token-")]
    hand = of(listed(admin.cluster), name="by-hand")[0]["id"]
    assert told == [("token-created", "root", made["identity"], "ok"), ("token-created", None, hand, "ok"),
                    ("token-create", "root", None, "SCHEMA"), ("token-create", "alice", None, "FORBIDDEN"),
                    ("token-revoked", "root", made["identity"], "ok"), ("token-revoke", "root", "root", "LAST_ADMIN"),
                    ("token-revoked", None, hand, "ok")]
    assert {e["from"] for e in admin.audit() if e["name"] == "root" and e["what"].startswith("token-")} == {"127.0.0.1"}


def test_a_whole_token_that_is_named_is_not_written_down(admin):
    """By an admin who means it, or by anybody else; it counts all the while."""
    _, token = admin.make()
    assert admin.refused({"which": token}, "/api/tokens/revoke") == (404, "NO_SUCH_TOKEN", "which")
    assert admin.native.ask("token-revoke", auth=token, which=token)["code"] == "FORBIDDEN"
    assert [(e["what"], e["subject"], e["outcome"]) for e in admin.audit()[-2:]] == [("token-revoke", None, "NO_SUCH_TOKEN"), ("token-revoke", None, "FORBIDDEN")]
    cluster = admin.cluster
    for path in (cluster.broker.log, cluster.gateway.log, cluster.folder / "data/audit.log"):
        assert token not in path.read_text(), path


# ---- the command ----


@pytest.fixture
def shell(admin, tmp_path):
    (tmp_path / "shell").mkdir()
    shell = Shell(admin.cluster, tmp_path / "shell")
    shell.env["GLEANER_TOKEN"] = admin.token
    return shell


def test_typed(admin, shell):
    with open(shell.folder / "token", "w") as file:
        done = subprocess.run([PROGRAM, "token", "create", "--role", "submitter", "--name", "alice", "--expires", "90d"], cwd=shell.folder,
                              env=shell.env, stdout=file, stderr=subprocess.PIPE, text=True, timeout=60)
    token = (shell.folder / "token").read_text()
    assert done.returncode == 0 and token.endswith("\n") and len(token.split()) == 1 and "it is not shown again" in done.stderr
    assert token.strip().split("_", 2)[2] not in done.stderr
    assert shell.run("token", env={"GLEANER_TOKEN": token.strip()}).stdout.startswith("submitter, of alice, ends in 89d")
    made = json.loads(shell.run("token", "create", "--role", "viewer", "--json").stdout)
    assert set(made) == {"token", "identity", "name", "role", "createdAt", "expiresAt"} and made["name"] == made["identity"]
    assert TokenClient(admin.cluster, made["token"]).get("/api/jobs").status == 200
    table = shell.run("token", "list").stdout
    assert [line.split()[0] for line in table.splitlines()] == ["ID", made["identity"], token.split("_")[1], admin.token.split("_")[1]]
    assert "in 89d" in table and "alice" in table and token.split("_", 2)[2].strip() not in table
    assert [entry["name"] for entry in json.loads(shell.run("token", "list", "--json").stdout)] == [made["identity"], "alice", "root"]
    done = shell.run("token", "revoke", "alice")
    assert done.returncode == 0 and done.stdout == f"{token.split('_')[1]} of alice is revoked\n"
    assert shell.run("token", "revoke", "alice").stdout.endswith("was revoked before\n")
    assert shell.run("jobs", env={"GLEANER_TOKEN": token.strip()}).returncode == REFUSED
    assert json.loads(shell.run("token", "revoke", made["identity"], "--json").stdout)["alreadyRevoked"] is False
    assert "revoked" in shell.run("token", "list").stdout


def test_what_is_said_when_it_is_refused(admin, shell):
    for args, status, says in ((("create",), 2, "--role is missing"), (("create", "--role", "king"), 2, "not one of admin"),
                               (("create", "--role", "viewer", "--name", "x" * 65), REFUSED, "64"),
                               (("create", "--role", "viewer", "--expires", "1ms"), 2, "--expires"), (("revoke",), 2, "say which"),
                               (("revoke", "nobody"), 1, "no token of this id or name"), (("revoke", "root"), REFUSED, "another one first")):
        done = shell.run("token", *args)
        assert done.returncode == status and says in done.stderr and done.stdout == "", (args, done)
        assert len(done.stderr.strip().splitlines()) == 1 or status == 2, done.stderr
    for args in (("create", "--role", "viewer", "--name", b"caf\xe9"), ("revoke", b"caf\xe9")):
        done = subprocess.run([PROGRAM, "token", *args], env=shell.env, capture_output=True, timeout=60)
        assert done.returncode == 2 and b"not UTF-8" in done.stderr and done.stdout == b"", done
    assert [line["name"] for line in listed(admin.cluster)] == ["root"], "none that is called by its id instead"
    _, token = admin.make("viewer", "wall")
    for args in (("create", "--role", "admin"), ("list",), ("revoke", "root")):
        done = shell.run("token", *args, env={"GLEANER_TOKEN": token})
        assert done.returncode == REFUSED and "role" in done.stderr and done.stdout == "", done
    assert "make and revoke tokens" in shell.run("token").stdout
    assert "make and revoke" not in shell.run("token", env={"GLEANER_TOKEN": token}).stdout


def test_a_whole_token_is_not_taken_for_an_id(admin, shell):
    """It is the server's to know no secret, and the terminal's to show none."""
    made, token = admin.make()
    done = shell.run("token", "revoke", token)
    assert done.returncode == 2 and f"gleaner token revoke {made['identity']}" in done.stderr and token not in done.stderr
    assert not of(admin.audit(), what="token-revoke")
    done = admin.cluster.broker_does("token", "revoke", token)
    assert done.returncode == 2 and f" {made['identity']}." in done.stderr and token not in done.stderr
    assert of(listed(admin.cluster), name="alice")[0]["state"] == "good"


def test_an_open_server_says_where_to_go(cluster, tmp_path):
    shell = Shell(cluster, tmp_path)
    done = shell.run("token", "create", "--role", "admin")
    assert done.returncode == REFUSED and "gleaner-broker token create" in done.stderr and done.stdout == ""
    assert shell.run("token", "list").stdout == "no tokens\n" and "make and revoke" not in shell.run("token").stdout


class Between(http.server.BaseHTTPRequestHandler):
    """Passes requests on to a gateway, and loses the first answers that make a token; or is an older one that knows no tokens."""

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.bodies.append(body)
        if self.server.other:
            self.answer(200, {"hello": "world"})
            return
        if self.server.old and self.path.startswith("/api/tokens"):
            self.answer(404, {"error": "There is nothing at this path.", "code": "NO_SUCH_PATH"})
            return
        answer = self.server.client.request(self.command, self.path, body or None, dict(self.headers))
        if self.server.lose > 0:
            self.server.lose -= 1
            self.close_connection = True
        else:
            self.answer(answer.status, answer.json)

    do_GET = do_POST = pass_on

    def answer(self, status, said):
        text = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass


@pytest.fixture
def between(admin):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Between)
    server.client, server.bodies, server.old, server.lose, server.other = Client("127.0.0.1", admin.cluster.port), [], False, 0, False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
    server.client.close()


def test_an_answer_that_is_lost_costs_nothing(admin, shell, between):
    between.lose = 2
    done = shell.run("token", "create", "--role", "submitter", "--name", "alice", "--server", f"http://127.0.0.1:{between.server_port}")
    assert done.returncode == 0 and "Trying again." in done.stderr, done
    assert len(between.bodies) == 3 and len(set(between.bodies)) == 1
    assert len(of(listed(admin.cluster), name="alice")) == 1
    token = done.stdout.strip()
    assert TokenClient(admin.cluster, token).get("/api/session")["name"] == "alice"
    assert token.split("_", 2)[2].encode() not in b"".join(between.bodies), "the secret does not travel"
    between.lose = 4
    done = shell.run("token", "create", "--role", "viewer", "--name", "bob", "--server", f"http://127.0.0.1:{between.server_port}")
    assert done.returncode == AWAY and done.stdout == ""


def test_something_else_that_answers_is_no_gateway(shell, between):
    between.other = True
    for args in (("create", "--role", "viewer"), ("list",), ("revoke", "x"), ("list", "--json"), ("revoke", "x", "--json")):
        done = shell.run("token", *args, "--server", f"http://127.0.0.1:{between.server_port}")
        assert done.returncode == AWAY and "is the address right?" in done.stderr and done.stdout == "", done


def test_an_older_gateway_is_to_be_upgraded(shell, between):
    between.old = True
    for args in (("create", "--role", "viewer"), ("list",), ("revoke", "x")):
        done = shell.run("token", *args, "--server", f"http://127.0.0.1:{between.server_port}")
        assert done.returncode == 1 and "is older than this gleaner" in done.stderr and "upgrade it" in done.stderr, done
        assert done.stdout == ""


def test_an_older_broker_is_to_be_upgraded(clusters, tmp_path):
    from earlier_broker import EarlierBroker
    from test_versions import GOLDEN, TALKS
    cluster = clusters(gateway=False, broker_args=["--auth", "on"])
    token = create(cluster, "admin", "root")
    between = EarlierBroker(cluster.broker_url, json.loads((GOLDEN / f"words-{max(TALKS)}.json").read_text()))
    cluster.on_close(between)
    cluster.broker_url = between.url
    cluster.gateway = cluster.add_gateway()
    cluster.port = int(cluster.gateway.args[1].rsplit(":", 1)[1])
    cluster.server = f"http://127.0.0.1:{cluster.port}"
    shell = Shell(cluster, tmp_path)
    done = shell.run("token", "list", env={"GLEANER_TOKEN": token})
    assert done.returncode == REFUSED and "The broker is older than this gateway" in done.stderr and "upgrade it" in done.stderr, done
