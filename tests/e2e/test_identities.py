"""Who may speak to a broker that asks: tokens, their end, owners of jobs, and workers that belong to one token."""

import hashlib
import http.client
import subprocess
import threading
import time

import pytest

from cluster import BIN, wait_until
from tokens import TokenClient, create, listed, revoke
from zips import zip_of


@pytest.fixture
def asking(clusters):
    """A cluster whose broker asks who speaks."""
    return clusters(broker_args=["--auth", "on"])


def test_nobody_is_asked_until_there_is_an_identity(cluster):
    assert cluster.api.get("/api/info").status == 200
    token = create(cluster, "viewer", "v")
    cluster.broker.wait_event("auth-on")
    answer = wait_until(lambda: (a := cluster.api.get("/api/info")).status == 401 and a)
    assert answer["code"] == "UNAUTHORIZED" and answer.headers["WWW-Authenticate"] == "Bearer"
    assert TokenClient(cluster, token).get("/api/info").status == 200
    revoke(cluster, token)
    cluster.broker.wait_event("identity-gone")
    assert cluster.api.get("/api/info").status == 401  # the last one gone opens nothing
    cluster.broker.stop()
    cluster.broker.start()
    wait_until(lambda: cluster.api.get("/api/info").status == 401)


def test_a_token_counts_from_the_moment_that_the_broker_asks(cluster):
    assert cluster.api.get("/api/info").status == 200
    client = TokenClient(cluster, create(cluster, "viewer", "v"))
    cluster.broker.wait_event("auth-on")
    first = client.get("/api/info")  # the gateway had not heard of it
    assert first.status == 200 or (first.status == 503 and first.headers["Retry-After"] == "1")
    assert client.get("/api/info").status == 200


def test_the_first_token_is_known_the_moment_that_it_is_shown(clusters):
    """A gateway that was told that nobody is asked passes on who asks all the same."""
    cluster = clusters()
    wait_until(lambda: cluster.api.get("/api/session").json["required"] is False, what="a gateway that asks nobody")
    first = TokenClient(cluster, create(cluster, "admin", "ada"))
    wait_until(lambda: cluster.broker.events("auth-on"), what="the broker to ask")
    job = first.create()
    who = first.get("/api/session").json
    assert (who["role"], who["name"]) == ("admin", "ada")
    assert first.status(job)["jobId"] == job
    assert cluster.api.get("/api/jobs").status == 401


def test_whatever_does_not_count_gets_the_same_words(asking):
    good = create(asking, "admin", "a")
    gone = create(asking, "admin", "b")
    over = create(asking, "admin", "c", "--expires", "1s")
    revoke(asking, gone)
    assert wait_until(lambda: TokenClient(asking, good).get("/api/info").status == 200)
    time.sleep(1.1)
    wrong = [None, "", "x", gone, over, good[:-1], good[:-5] + "AAAAA", "gleaner_aaaaaaaaaa_" + good[-43:], "a b", "x" * 4096]
    answers = [TokenClient(asking, token).get("/api/info") for token in wrong]
    assert {a.status for a in answers} == {401}
    assert len({a.body for a in answers}) == 1
    answer = TokenClient(asking, good).request("GET", "/api/info", headers={"Authorization": f"Basic {good}"})
    assert answer.status == 401
    native = asking.native()
    says = [native.ask("broker-info", auth=token) if token is not None else native.ask("broker-info") for token in wrong]
    assert {(s["code"], s["error"]) for s in says} == {(answers[0]["code"], answers[0]["error"])}
    assert native.ask("broker-info", auth=good)["type"] == "broker-info-ok"
    assert native.ask("broker-info", auth=good)["unauthorized"] >= len(wrong)


def test_a_revoked_token_counts_no_longer_within_a_second(asking):
    admin = TokenClient(asking, create(asking, "admin", "root"))
    token = create(asking, "submitter", "alice")
    alice = TokenClient(asking, token)
    wait_until(lambda: alice.get("/api/jobs").status == 200)
    job = alice.create()
    ends = []

    def stream():
        connection = http.client.HTTPConnection("127.0.0.1", asking.port, timeout=20)
        connection.request("GET", "/api/events", headers={"Authorization": f"Bearer {token}"})
        connection.getresponse().read()
        ends.append(time.monotonic())

    thread = threading.Thread(target=stream)
    thread.start()
    time.sleep(0.5)
    begun = time.monotonic()
    revoke(asking, token)
    wait_until(lambda: alice.get("/api/jobs").status == 401, 2)
    thread.join(10)
    assert ends and ends[0] - begun < 3
    assert admin.status(job)["owner"] == "alice"  # the job stays hers


def test_a_file_that_goes_opens_nothing(cluster):
    """Neither in the broker that runs, nor in the next one; no other file takes its place by itself."""
    token = create(cluster, "admin", "root")
    cluster.broker.wait_event("auth-on")
    native = cluster.native()
    assert native.ask("broker-info", auth=token)["type"] == "broker-info-ok"
    data = cluster.folder / "data"
    (data / "identities").rename(data / "aside")
    cluster.broker.wait_event("identities-unreadable")
    assert native.ask("broker-info")["code"] == "UNAUTHORIZED"
    assert native.ask("broker-info", auth=token)["type"] == "broker-info-ok", "what was read still counts"
    cluster.broker.stop()
    for command in (["--listen", "tcp://127.0.0.1:0"], ["token", "create", "--role", "admin", "--name", "b"], ["token", "list"]):
        refused = subprocess.run([BIN / "gleaner-broker", *command, "--data", data], capture_output=True, text=True, timeout=60)
        assert refused.returncode != 0 and "/identities' has gone" in refused.stderr, (command, refused)
    (data / "aside").rename(data / "identities")
    cluster.broker.start()
    native.open()
    assert native.ask("broker-info")["code"] == "UNAUTHORIZED"
    assert native.ask("broker-info", auth=token)["type"] == "broker-info-ok"


def test_to_begin_without_identities_is_said(cluster):
    """A data directory of before gets the mark at its next start; who takes both files away begins anew."""
    create(cluster, "admin", "root")
    cluster.broker.wait_event("auth-on")
    data = cluster.folder / "data"
    cluster.broker.stop()
    (data / "identities.made").unlink()
    cluster.broker.start()
    assert (data / "identities.made").exists()
    cluster.broker.stop()
    (data / "identities.made").unlink()
    (data / "identities").unlink()
    cluster.broker.start()
    native = cluster.native()
    assert native.ask("broker-info")["type"] == "broker-info-ok"


def test_an_upload_is_refused_before_its_body_is_read(asking):
    create(asking, "admin", "a")
    wait_until(lambda: asking.api.get("/api/info").status == 401)
    connection = http.client.HTTPConnection("127.0.0.1", asking.port, timeout=10)
    connection.putrequest("POST", "/api/execute")
    connection.putheader("Content-Type", "multipart/form-data; boundary=x")
    connection.putheader("Content-Length", str(1 << 30))
    connection.putheader("Expect", "100-continue")
    connection.endheaders()
    assert connection.getresponse().status == 401  # of a gigabyte nothing was sent
    connection.close()


def test_jobs_of_others_are_as_if_they_were_not_there(asking):
    alice, bob = (TokenClient(asking, create(asking, "submitter", name)) for name in ("alice", "bob"))
    viewer = TokenClient(asking, create(asking, "viewer", "v"))
    wait_until(lambda: viewer.get("/api/jobs").status == 200)
    hers, his = alice.create("echo a", idempotencyKey="k"), bob.create("echo b", idempotencyKey="k")
    assert hers != his
    assert alice.create("echo a", idempotencyKey="k") == hers  # a key is its owner's own
    assert alice.post("/api/jobs/create", {"command": "other", "fileUrl": "/uploads/none.zip", "filename": "p.zip",
                                           "idempotencyKey": "k"}).status == 409
    missing = bob.get("/api/jobs/status?jobId=job-1705329400000-abc123xyz")
    for path in ("status", "output", "artifacts", "events", "check-cancel"):
        answer = bob.get(f"/api/jobs/{path}?jobId={hers}")
        assert (answer.status, answer["code"], answer["error"]) == (404, "NO_SUCH_JOB", missing["error"]), path
    assert bob.post("/api/jobs/cancel", {"jobId": hers}).status == 404
    assert bob.delete("/api/execute", {"execId": hers}).status == 404
    assert [j["jobId"] for j in bob.get("/api/jobs")["jobs"]] == [his]
    assert [j["jobId"] for j in bob.get("/api/jobs?state=pending&text=echo")["jobs"]] == [his]
    assert {j["jobId"]: j["owner"] for j in viewer.get("/api/jobs")["jobs"]} == {hers: "alice", his: "bob"}
    native = asking.native()
    first = native.ask("events-read", auth=bob.token)["last"]
    alice.post("/api/jobs/cancel", {"jobId": hers})
    bob.post("/api/jobs/cancel", {"jobId": his})
    told = native.ask("events-read", auth=bob.token, after=first, wait=2000)["events"]
    assert {e["jobId"] for e in told} == {his}
    told = native.ask("events-read", auth=viewer.token, after=first, wait=2000)["events"]
    assert {e["jobId"] for e in told} == {hers, his}
    asking.broker.kill()
    asking.broker.start()
    wait_until(lambda: alice.get("/api/jobs").status == 200)
    assert alice.status(hers)["owner"] == "alice" and bob.get(f"/api/jobs/status?jobId={hers}").status == 404


def test_names_of_uploads_are_ones_own(asking):
    alice, bob = create(asking, "submitter", "alice"), create(asking, "submitter", "bob")
    native = asking.native()
    wait_until(lambda: native.ask("auth-check", auth=bob).get("name") == "bob")
    mine, other = zip_of({"a.txt": "mine"}), zip_of({"a.txt": "evil"})
    assert native.ask("blob-put", auth=alice, upload="same", offset=0, data=mine[:20])["offset"] == 20
    assert native.ask("blob-put", auth=bob, upload="same", offset=0, data=other)["offset"] == len(other)
    assert native.ask("blob-abort", auth=bob, upload="same")["type"] == "blob-abort-ok"
    assert native.ask("blob-put", auth=alice, upload="same", offset=20, data=mine[20:])["offset"] == len(mine)
    done = native.ask("blob-commit", auth=alice, upload="same", bytes=len(mine), zip=True)
    assert done["sha256"] == hashlib.sha256(mine).hexdigest()


def test_a_workers_token_belongs_to_one_worker(asking):
    admin = TokenClient(asking, create(asking, "admin", "root"))
    one, two = (create(asking, "worker", name) for name in ("w1", "w2"))
    wait_until(lambda: admin.get("/api/info").status == 200)
    native = asking.native()
    me = {"workerId": "pc-1", "hostname": "h"}
    assert native.ask("worker-register", auth=one, **me)["type"] == "worker-register-ok"
    assert {i["name"]: i.get("workerId") for i in listed(asking)} == {"root": None, "w1": "pc-1", "w2": None}
    assert native.ask("worker-register", auth=one, workerId="pc-2", hostname="h")["code"] == "WORKER_TOKEN_BOUND"
    assert native.ask("worker-register", auth=two, **me)["code"] == "WORKER_TOKEN_BOUND"
    assert native.ask("worker-heartbeat", auth=two, workerId="pc-1")["code"] == "WORKER_TOKEN_BOUND"
    assert native.ask("job-poll", auth=two)["code"] == "FORBIDDEN"  # it must say who it is, once
    job = admin.create("true")
    assert native.ask("job-poll", auth=one)["jobId"] == job  # then its token says it
    asking.broker.stop()
    asking.broker.start()
    native.open()
    assert native.ask("worker-register", auth=two, **me)["code"] == "WORKER_TOKEN_BOUND"
    revoke(asking, one)
    wait_until(lambda: native.ask("worker-heartbeat", auth=one, workerId="pc-1").get("code") == "UNAUTHORIZED", 2)
    wait_until(lambda: admin.status(job)["status"] == "pending", 5)  # what it had goes to others
    assert native.ask("worker-register", auth=two, **me)["type"] == "worker-register-ok"


def test_a_file_that_cannot_be_read_is_refused_at_the_start_and_passed_over_later(asking):
    token = create(asking, "viewer", "v")
    client = TokenClient(asking, token)
    wait_until(lambda: client.get("/api/info").status == 200)
    path = asking.folder / "data" / "identities"
    good = path.read_text()
    path.write_text("nonsense\n")
    asking.broker.wait_event("identities-unreadable")
    assert client.get("/api/info").status == 200
    asking.broker.kill()
    started = subprocess.run([BIN / "gleaner-broker", *asking.broker.args], capture_output=True, text=True, timeout=30)
    assert started.returncode == 2 and "identities:1" in started.stderr
    path.write_text(good)
    path.chmod(0o644)
    started = subprocess.run([BIN / "gleaner-broker", *asking.broker.args], capture_output=True, text=True, timeout=30)
    assert started.returncode == 2 and "chmod 600" in started.stderr
    path.chmod(0o600)
    asking.broker.start()
    wait_until(lambda: client.get("/api/info").status == 200)


@pytest.mark.parametrize("end", ["emptied", "removed"])
def test_a_file_that_is_lost_lets_nobody_in(asking, end):
    client = TokenClient(asking, create(asking, "viewer", "v"))
    wait_until(lambda: client.get("/api/info").status == 200)
    path = asking.folder / "data" / "identities"
    good = path.read_text()
    if end == "emptied":
        path.write_text("")
    else:
        path.unlink()
    asking.broker.wait_event("identities-unreadable")
    assert asking.native().ask("broker-info")["code"] == "UNAUTHORIZED" and client.get("/api/info").status == 200
    path.write_text(good)
    path.chmod(0o600)
    asking.broker.stop()
    if end == "emptied":
        path.write_text("")
        started = subprocess.run([BIN / "gleaner-broker", *asking.broker.args], capture_output=True, text=True, timeout=30)
        assert started.returncode == 2 and "holds nothing" in started.stderr
        path.write_text(good)
    asking.broker.start()
    wait_until(lambda: client.get("/api/info").status == 200)


def test_no_secret_is_written_anywhere(asking):
    tokens = [create(asking, role, role) for role in ("admin", "submitter", "worker", "viewer")]
    admin = TokenClient(asking, tokens[0])
    wait_until(lambda: admin.get("/api/info").status == 200)
    for token in tokens:
        TokenClient(asking, token).post("/api/workers/drain", {"workerId": "x"})
        TokenClient(asking, token[:-1]).get("/api/info")
        asking.native().ask("worker-drain", auth=token, workerId="x")
    secrets = [token.split("_", 2)[2][:20].encode() for token in tokens]
    for path in asking.folder.rglob("*"):
        if path.is_file():
            assert not any(secret in path.read_bytes() for secret in secrets), path


def test_a_backup_is_made_by_who_has_the_folder(asking, tmp_path):
    create(asking, "admin", "root")
    done = subprocess.run([BIN / "gleaner-broker", "--backup", tmp_path / "b.tar", "--data", asking.folder / "data"], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert asking.native().ask("broker-snapshot")["code"] == "UNAUTHORIZED"


@pytest.mark.parametrize("transport", ["http", "native"])
def test_a_worker_shows_its_token(asking, tmp_path, transport):
    alice = TokenClient(asking, create(asking, "submitter", "alice"))
    token = create(asking, "worker", "lab-1")
    path = tmp_path / "token"
    path.write_text(token + "\n")
    path.chmod(0o600)
    wait_until(lambda: alice.get("/api/jobs").status == 200)
    worker = asking.worker(transport, "--id", "lab-1", "--token-file", path)
    job = alice.submit("cat a.txt; env; cat /proc/$PPID/environ || true", {"a.txt": "hello\n"}, artifacts="*.txt")
    status = alice.wait_job(job, 60)
    assert status["status"] == "completed" and status["stdout"].startswith("hello\n") and token not in status["stdout"]
    assert alice.get(f"/api/jobs/artifacts?jobId={job}").status == 200
    revoke(asking, token)
    assert worker.wait(30) == 77  # it does not go on asking
    assert worker.events("worker-refused")


def test_a_worker_whose_token_does_not_count_ends(asking, tmp_path):
    viewer = create(asking, "viewer", "v")
    wait_until(lambda: TokenClient(asking, viewer).get("/api/info").status == 200)
    path = tmp_path / "token"

    def run(text, mode=0o600, env=None):
        path.write_text(text)
        path.chmod(mode)
        args = ["--server", asking.server, "--work-dir", tmp_path / "work", *([] if env else ["--token-file", path])]
        return subprocess.run([BIN / "gleaner-worker", *args], capture_output=True, text=True, timeout=60, env={"HOME": str(tmp_path), **(env or {})})

    for done in (run(viewer), run("", env={"GLEANER_WORKER_TOKEN": viewer}), run("gleaner_aaaaaaaaaa_nonsense")):
        assert done.returncode == 77 and "worker-refused" in done.stderr and viewer not in done.stderr
    for text, mode, said in (("", 0o600, "no token"), ("two words", 0o600, "no token"), (viewer, 0o644, "chmod 600")):
        done = run(text, mode)
        assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1
        assert viewer not in done.stderr


def test_other_machines_are_let_in_only_when_somebody_says_so(cluster, tmp_path):
    """Clear text on an address that others reach: not without --insecure."""
    def run(program, *args):
        return subprocess.run([BIN / f"gleaner-{program}", *args], capture_output=True, text=True, timeout=30)

    done = run("broker", "--listen", "tcp://0.0.0.0:0", "--data", tmp_path / "d")
    assert done.returncode == 2 and "--insecure" in done.stderr
    done = run("gateway", "--listen", "0.0.0.0:0", "--broker", cluster.broker_url, "--cache-dir", tmp_path / "c")
    assert done.returncode == 2 and "--insecure" in done.stderr
    open_one = cluster._add("broker", ["--listen", "tcp://0.0.0.0:0", "--data", tmp_path / "e", "--insecure"])
    assert open_one.events("listening-openly")


def test_who_asks_too_often_is_told_to_wait(clusters):
    cluster = clusters(broker_args=["--auth", "on"], gateway_args=["--rate", "5", "--rate-burst", "20"])
    client = TokenClient(cluster, create(cluster, "viewer", "v"))
    time.sleep(0.5)
    answers = [client.get("/api/info") for _ in range(40)]
    late = [a for a in answers if a.status == 429]
    assert 10 <= len(late) <= 25
    assert {a.status for a in answers} == {200, 429}
    assert late[0]["code"] == "RATE_LIMITED" and late[0].headers["Retry-After"] == "1"
    wait_until(lambda: client.get("/api/info").status == 200, 5)
    assert cluster.api.get("/").status == 200  # the page itself is not counted


def test_what_changes_nothing_does_not_fill_the_audit_log(asking):
    token, native = create(asking, "submitter", "alice"), asking.native()
    wait_until(lambda: native.ask("auth-check", auth=token).get("name") == "alice")
    job = {"command": "true", "fileUrl": "http://127.0.0.1:1/p.zip", "filename": "p.zip", "idempotencyKey": "same"}
    mine = native.ask("job-create", auth=token, **job)["jobId"]
    assert native.ask("job-cancel", auth=token, jobId=mine)["alreadyOver"] is False
    began = time.monotonic()
    for _ in range(100):
        assert native.ask("job-cancel", auth=token, jobId="nobodys")["code"] == "NO_SUCH_JOB"
        assert native.ask("job-cancel", auth=token, jobId=mine)["alreadyOver"] is True
        assert native.ask("job-create", auth=token, **job)["repeated"] is True
    lines = (asking.folder / "data/audit.log").read_text().splitlines()
    assert len(lines) <= 10 * (time.monotonic() - began + 2) + 10, len(lines)


def test_what_people_do_is_written_down(asking):
    admin_token = create(asking, "admin", "root")
    alice_token = create(asking, "submitter", "alice")
    admin, alice = TokenClient(asking, admin_token), TokenClient(asking, alice_token)
    wait_until(lambda: alice.get("/api/jobs").status == 200)
    job = alice.create()
    alice.post("/api/jobs/cancel", {"jobId": job})
    alice.post("/api/workers/drain", {"workerId": "pc-1"})  # turned away at the gateway's door
    asking.native().ask("worker-drain", workerId="pc-1", auth=alice_token)
    asking.native().ask("worker-drain", workerId="pc-1", auth=admin_token)
    asking.native().ask("broker-info")
    entries = admin.get("/api/audit")["entries"]
    told = [(e["what"], e.get("name"), e.get("subject"), e["outcome"]) for e in reversed(entries)]
    assert told[-5:] == [("job-create", "alice", job, "ok"), ("job-cancel", "alice", job, "ok"),
                         ("worker-drain", "alice", "pc-1", "FORBIDDEN"), ("worker-drain", "root", "pc-1", "NO_SUCH_WORKER"),
                         ("broker-info", None, None, "UNAUTHORIZED")]
    assert [t[0] for t in told[:-5]].count("token-created") == 2
    assert {e["from"] for e in entries if e["what"] == "job-create"} == {"127.0.0.1"}
    assert [e["number"] for e in entries] == list(range(len(entries), 0, -1))
    assert [e["number"] for e in admin.get(f"/api/audit?limit=2&before={len(entries)}")["entries"]] == [len(entries) - 1, len(entries) - 2]
    asking.broker.kill()
    asking.broker.start()
    assert wait_until(lambda: (a := admin.get("/api/audit")).status == 200 and a)["entries"] == entries
    text = (asking.folder / "data" / "audit.log").read_text()
    assert len(text.splitlines()) == len(entries) and alice_token not in text
    assert (asking.folder / "data" / "audit.log").stat().st_mode & 0o777 == 0o600
