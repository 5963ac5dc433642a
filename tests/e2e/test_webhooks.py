"""Receivers are told of a job's end: signed, at least once, and never at the cost of a job."""

import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time

import msgpack
import pytest
from cluster import BIN, PATIENCE, wait_until
from faults import Faults
from receiver import Receiver, signature_good

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(100, 124))).decode()


def secret_file(folder, text=SECRET, mode=0o600):
    path = folder / "webhook.secret"
    path.write_text(text + "\n")
    path.chmod(mode)
    return path


@pytest.fixture
def receivers():
    """Receivers of the test's own; each is closed at its end."""
    with contextlib.ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(contextlib.closing(Receiver(*args, **options)))


@pytest.fixture
def hooked(clusters, tmp_path):
    """A cluster whose broker tells `url`."""
    def make(url=None, *args, secret=SECRET, **options):
        told = ["--webhook", url] if url else []
        return clusters(broker_args=[*told, "--webhook-secret-file", secret_file(tmp_path, secret), *args], **options)
    return make


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def counts(cluster):
    info = cluster.native().ask("broker-info")
    return {name.removeprefix("webhooks").lower(): value for name, value in info.items() if name.startswith("webhooks")}


def test_a_receiver_is_told_of_a_jobs_end_and_can_trust_it(hooked, receivers):
    receiver = receivers()
    cluster = hooked(receiver.url + "/gleaner?x=1", secret=f"{SECRET}\n{OTHER}")
    cluster.worker()
    job = cluster.api.submit("echo canary-of-the-output; echo hidden >&2; test $A = canary-of-the-env", name="told",
                             env=json.dumps({"A": "canary-of-the-env"}), labels="team=red")
    status = cluster.api.wait_job(job)
    [posted] = wait_until(receiver.taken, what="the webhook")
    assert signature_good(posted, SECRET) and signature_good(posted, OTHER) and posted.path == "/gleaner?x=1"
    assert posted.headers["webhook-id"] == f"msg_{job}_ended" and posted.headers["Content-Type"] == "application/json"
    told = posted.json
    assert told["type"] == "job.completed" and told["data"]["jobId"] == job and told["data"]["labels"] == {"team": "red"}
    for name in ("status", "exitCode", "workerId", "attempt", "createdAt", "startedAt", "completedAt", "stdoutBytes", "name"):
        assert told["data"][name] == status[name], name
    assert not {"command", "env", "stdout", "stderr", "lastLines", "fileUrl", "secretNames", "attempts"} & set(told["data"])
    assert "canary" not in posted.body.decode() and len(posted.body) < 4096
    assert wait_until(lambda: counts(cluster)["sent"]) == 1 and counts(cluster)["waiting"] == 0
    assert 'gleaner_webhooks_total{outcome="sent"} 1\n' in cluster.api.get("/metrics").body.decode()
    failing = cluster.api.submit("exit 3")
    cluster.api.wait_job(failing)
    [_, posted] = wait_until(lambda: len(receiver.taken()) == 2 and receiver.taken())
    assert posted.json["type"] == "job.failed" and posted.json["data"]["exitCode"] == 3


def test_only_the_ends_that_are_asked_for(hooked, receivers):
    receiver = receivers()
    cluster = hooked(receiver.url, "--webhook-on", "failed")
    cluster.worker()
    cluster.api.wait_job(cluster.api.submit("true"))
    bad = cluster.api.submit("false")
    cluster.api.wait_job(bad)
    cancelled = cluster.api.submit("sleep 100")
    cluster.api.post("/api/jobs/cancel", {"jobId": cancelled})
    wait_until(lambda: len(receiver.taken()) == 2)
    assert {post.json["data"]["jobId"] for post in receiver.taken()} == {bad, cancelled}


@pytest.mark.parametrize("first", [500, 302, 429, 404])
def test_what_is_refused_is_told_again_under_the_same_id(hooked, receivers, first):
    elsewhere = receivers()
    answers = iter([(first, {"Location": elsewhere.url, "Retry-After": "1"} if first in (302, 429) else {}), 204])
    receiver = receivers(lambda posted: next(answers))
    cluster = hooked(receiver.url)
    job = cluster.api.create()
    cluster.api.post("/api/jobs/cancel", {"jobId": job})
    one, two = wait_until(lambda: len(receiver.taken()) == 2 and receiver.taken())
    assert one.headers["webhook-id"] == two.headers["webhook-id"] and one.body == two.body
    assert signature_good(two, SECRET) and elsewhere.taken() == []
    assert two.at - one.at >= (1 if first == 429 else 0.5)
    assert f"job={job}" in cluster.broker.events("webhook-failed")[0] and f"HTTP status {first}" in cluster.broker.events("webhook-failed")[0]
    assert wait_until(lambda: counts(cluster)["sent"]) == 1 and counts(cluster)["failed"] == 1


def test_410_is_the_end_of_it(hooked, receivers):
    receiver = receivers(410)
    cluster = hooked(receiver.url)
    for _ in range(2):
        cluster.api.post("/api/jobs/cancel", {"jobId": cluster.api.create()})
    assert wait_until(lambda: counts(cluster)["lost"] == 2 and counts(cluster))["waiting"] == 0
    assert len(receiver.taken()) == 2 and cluster.broker.events("webhook-given-up")


def test_it_is_given_up_in_the_end_and_said_so(hooked):
    cluster = hooked(f"http://127.0.0.1:{closed_port()}", "--webhook-keep", "1s")
    job = cluster.api.create()
    cluster.api.post("/api/jobs/cancel", {"jobId": job})
    assert wait_until(lambda: counts(cluster)["lost"]) == 1
    assert f"job={job}" in cluster.broker.wait_event("webhook-given-up") and counts(cluster)["failed"] >= 1
    cluster.broker.stop()
    cluster.broker.start()
    assert counts(cluster)["waiting"] == 0


@pytest.mark.parametrize("dead", ["refused", "hanging"])
def test_a_broker_that_is_killed_tells_after_its_restart(hooked, receivers, dead):
    port = closed_port()
    hanging = receivers(None, port=port) if dead == "hanging" else None
    cluster = hooked(f"http://127.0.0.1:{port}")
    worker = cluster.worker()
    jobs = [cluster.api.submit("true") for _ in range(3)]
    for job in jobs:
        cluster.api.wait_job(job)
    cluster.broker.kill()
    early = hanging.taken() if hanging else []
    if hanging:
        hanging.close()
        hanging.close = lambda: None
    receiver = receivers(port=port)
    cluster.broker.start()
    cluster.broker.wait_event("webhooks-waiting")
    wait_until(lambda: {post.json["data"]["jobId"] for post in receiver.taken()} == set(jobs))
    ids = {post.headers["webhook-id"] for post in receiver.taken()}
    assert ids == {f"msg_{job}_ended" for job in jobs} and {post.headers["webhook-id"] for post in early} <= ids
    assert all(signature_good(post, SECRET) for post in receiver.taken())
    wait_until(lambda: counts(cluster)["waiting"] == 0)
    cluster.broker.kill()
    cluster.broker.start()
    assert counts(cluster)["waiting"] == 0, "what was told is forgotten"
    assert worker.running


def test_a_slow_receiver_delays_nobody_and_gets_few_at_once(hooked, receivers):
    quick, slow = receivers(), receivers(None)
    cluster = hooked(slow.url, "--webhook", quick.url)
    begun = time.monotonic()
    for _ in range(40):
        cluster.api.post("/api/jobs/cancel", {"jobId": cluster.api.create()})
    wait_until(lambda: len(quick.taken()) == 40)
    assert time.monotonic() - begun < 10 * PATIENCE and len(slow.taken()) <= 8
    begun = time.monotonic()
    assert cluster.broker.stop() == 0 and time.monotonic() - begun < 5 * PATIENCE, "nor does it hold a stop up"
    cluster.broker.start()


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(hooked, tmp_path):
    certificates = pytest.importorskip("certificates")
    import ssl
    import threading
    cert, key = certificates.Authority(tmp_path / "ca").pair("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        got = []

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    plain, _ = listening.accept()
                    with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as secure:
                        got.append(secure.recv(1000))
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        cluster = hooked(f"https://localhost:{listening.getsockname()[1]}/")
        cluster.api.post("/api/jobs/cancel", {"jobId": cluster.api.create()})
        assert "certificate" in cluster.broker.wait_event("webhook-failed")
        assert b"".join(got) == b""


def cancelled(cluster, **options):
    """A job that has just ended."""
    job = cluster.api.create(**options)
    wait_until(lambda: cluster.api.post("/api/jobs/cancel", {"jobId": job}).status == 200)
    return job


def rows(cluster, statement="SELECT seq, url, salt, ended_ms FROM hook", *args):
    with contextlib.closing(sqlite3.connect(cluster.folder / "data/gleaner.db")) as db, db:
        return db.executemany(statement, *args) if args else db.execute(statement).fetchall()


def test_what_waits_is_in_the_check_and_in_the_backup(hooked, receivers, tmp_path):
    port = closed_port()
    cluster = hooked(f"http://127.0.0.1:{port}")
    jobs = {cancelled(cluster) for _ in range(3)}
    assert cluster.broker_does("--backup", tmp_path / "copy.tar").returncode == 0
    cluster.broker.stop()
    assert len(rows(cluster)) == 3
    checked = cluster.broker_does("--check")
    assert checked.returncode == 0, checked
    shutil.rmtree(cluster.folder / "data")
    (cluster.folder / "data").mkdir(mode=0o700)
    subprocess.run(["tar", "-xf", tmp_path / "copy.tar", "-C", cluster.folder / "data"], check=True)
    assert cluster.broker_does("--check").returncode == 0
    receiver = receivers(port=port)
    cluster.broker.start()
    wait_until(lambda: {post.json["data"]["jobId"] for post in receiver.taken()} == jobs)


@pytest.mark.parametrize("point", ["before", "after", "eio"])
@pytest.mark.parametrize("at", range(4))
def test_wherever_the_broker_dies_each_end_is_told(hooked, receivers, tmp_path, point, at):
    """At the sync of a job's end, or of the receiver's word: what is over is told of, acknowledged or not."""
    faults = Faults(tmp_path / "faults")
    receiver = receivers()
    cluster = hooked(receiver.url, broker_env=faults.env)
    native = cluster.native()
    jobs = [native.ask("job-create", command="true", fileUrl="/uploads/none.zip", filename="p.zip")["jobId"] for _ in range(8)]
    for number, job in enumerate(jobs):
        if number == at:
            faults.sync(point, "gleaner.db-redo")
        native.send(b"", msgpack.packb({"v": 1, "type": "job-cancel", "jobId": job}))
    faults.struck()
    cluster.broker.awaited = True
    cluster.broker.process.wait(10)
    cluster.broker.start()
    wait_until(lambda: cluster.api.get("/api/info").status == 200)
    over = {f"msg_{job}_ended" for job in jobs if cluster.api.status(job)["status"] == "failed"}
    wait_until(lambda: counts(cluster)["waiting"] == 0)
    assert over <= {post.headers["webhook-id"] for post in receiver.taken()} <= over


def test_an_end_that_there_is_no_room_for_is_counted(hooked, receivers):
    """The outbox is full: jobs end all the same, and it is said that nobody is told of them."""
    cluster = hooked(receivers(None).url)
    for _ in range(8):
        cancelled(cluster)  # these are under way at once, so that the others wait
    cluster.broker.stop()
    last = max(rows(cluster))
    rows(cluster, "INSERT INTO hook VALUES (?, ?, ?, ?)", [(last[0] + 1 + at, *last[1:]) for at in range(100_000 - 8 - 1)])
    cluster.broker.start()
    assert wait_until(lambda: counts(cluster))["waiting"] == 99_999
    lost = [cancelled(cluster) for _ in range(3)][1:]
    told = counts(cluster)
    assert (told["waiting"], told["lost"]) == (100_000, 2)
    assert "nobody is told" in cluster.broker.wait_event("webhooks-full")
    assert all(cluster.api.status(job)["reason"] == "cancelled" for job in lost)


def test_a_full_disk_loses_nobody_who_is_to_be_told(hooked, receivers, small_disk):
    receiver = receivers()
    cluster = hooked(receiver.url)
    cluster.broker.stop()
    cluster.broker.args[3] = small_disk / "data"
    cluster.broker.start()
    jobs = [cluster.api.create() for _ in range(20)]
    wait_until(lambda: (small_disk / "data/held-room").exists(), 5)
    ballast = small_disk / "ballast"
    with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    new = {"command": "true", "fileUrl": "/uploads/n.zip", "filename": "p.zip"}
    wait_until(lambda: cluster.api.post("/api/jobs/create", new).status == 507)
    ended = {job for job in jobs if cluster.api.post("/api/jobs/cancel", {"jobId": job}).status == 200}
    ballast.unlink()
    wait_until(lambda: not cluster.api.get("/api/info")["diskFull"])
    for job in set(jobs) - ended:
        wait_until(lambda job=job: cluster.api.post("/api/jobs/cancel", {"jobId": job}).status == 200)
    ids = wait_until(lambda: len({post.headers["webhook-id"] for post in receiver.taken()}) >= 20 and
                     {post.headers["webhook-id"] for post in receiver.taken()})
    assert {f"msg_{job}_ended" for job in jobs} <= ids
    assert wait_until(lambda: counts(cluster)["waiting"] == 0) and counts(cluster)["lost"] == 0
    cluster.broker.kill()
    cluster.broker.start()
    wait_until(lambda: counts(cluster)["waiting"] == 0)


# ---- a job's own ----


def test_one_that_the_receiver_refuses_keeps_no_other_from_it(hooked, receivers):
    """Jobs that name a path that is none, of a receiver that is well, do not hold up what others are to be told there."""
    receiver = receivers(lambda posted: 204 if posted.path == "/jobs/good" else 404)
    cluster = hooked(None, "--webhook-allow", receiver.url + "/jobs/")
    for _ in range(20):
        cancelled(cluster, webhook=receiver.url + "/jobs/none")
    good = cancelled(cluster, webhook=receiver.url + "/jobs/good")
    wait_until(lambda: good in {post.json["data"]["jobId"] for post in receiver.taken()}, 5)
    assert receiver.most_at_once <= 8 and len(cluster.broker.events("webhook-failed")) < 20

def test_a_job_names_its_own_receiver_where_that_is_allowed(hooked, receivers):
    receiver = receivers()
    cluster = hooked(None, "--webhook-allow", receiver.url + "/jobs/")
    cluster.worker()
    job = cluster.api.submit("true", webhook=receiver.url + "/jobs/7?token=canary")
    status = cluster.api.wait_job(job)
    [posted] = wait_until(receiver.taken)
    assert posted.path == "/jobs/7?token=canary" and posted.json["data"]["jobId"] == job and signature_good(posted, SECRET)
    everything = json.dumps([status, cluster.api.get("/api/jobs").json]) + cluster.broker.log.read_text() + posted.body.decode()
    assert "canary" not in everything, "a URL that opens a door is shown to nobody"
    cluster.api.wait_job(cluster.api.submit("true"))
    assert len(receiver.taken()) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/jobs", "http://127.0.0.1:1/jobsx/7", "http://127.0.0.1:1/jobs/../admin",
                                 "http://127.0.0.1:1/jobs/%2E%2e/admin", "http://127.0.0.1:1/jobs/..%2fadmin", "http://127.0.0.1:1/jobs/./7",
                                 "http://127.0.0.1:1@evil.example/jobs/7", "http://127.0.0.1:1/jobs/\\7", "http://127.0.0.1:1/jobs/#x",
                                 "https://127.0.0.1:1/jobs/7", "HTTP://127.0.0.1:1/jobs/7", "file:///etc/passwd", "http://169.254.169.254/",
                                 "http://127.0.0.1:11/jobs/7", "x"])
def test_other_urls_are_refused(allowing, url):
    answer = allowing.api.post("/api/jobs/create", {"command": "true", "fileUrl": "/uploads/none.zip", "filename": "p.zip", "webhook": url})
    assert answer.status == 403 and answer["code"] == "WEBHOOK_REFUSED", answer
    assert allowing.api.get("/api/jobs")["total"] == 0


@pytest.fixture(scope="module")
def allowing(tmp_path_factory):
    """A broker that allows one prefix, the same for all tests that are refused."""
    from cluster import Cluster
    folder = tmp_path_factory.mktemp("allowing")
    cluster = Cluster(folder, broker_args=["--webhook-allow", "http://127.0.0.1:1/jobs/", "--webhook-secret-file", secret_file(folder)])
    yield cluster
    cluster.close()


def test_where_nothing_is_allowed_no_job_may_name_one(shared):
    answer = shared.native().ask("job-create", command="true", fileUrl="/uploads/none.zip", filename="p.zip", webhook="http://127.0.0.1:1/")
    assert (answer["type"], answer["code"]) == ("error", "WEBHOOK_REFUSED")
    assert not [name for name in shared.native().ask("broker-info") if name.startswith("webhooks")]


# ---- the start ----

@pytest.mark.parametrize("secret, mode, says", [
    (SECRET, 0o644, "chmod 600"), (SECRET, 0o620, "chmod 600"), (None, 0, "cannot read"), ("", 0o600, "whsec_"),
    ("hunter2", 0o600, "whsec_"), ("whsec_c2hvcnQ=", 0o600, "24 to 64"), (SECRET + "!", 0o600, "whsec_"), ("\n".join([SECRET] * 5), 0o600, "4 of them"),
])
def test_a_secret_that_is_none_is_refused_at_the_start(tmp_path, secret, mode, says):
    path = secret_file(tmp_path, secret, mode) if secret is not None else tmp_path / "none"
    refused(tmp_path, says, "--webhook", "http://127.0.0.1:1/", "--webhook-secret-file", path)


@pytest.mark.parametrize("args, says", [
    (["--webhook", "http://127.0.0.1:1/"], "--webhook-secret-file"), (["--webhook", "ftp://x/"], "no plain http(s) URL"),
    (["--webhook", "http://me@x/"], "no plain http(s) URL"), (["--webhook", "http://x:65536/"], "a port of 1 to 65535"), 
    (["--webhook-allow", "https://hooks.example"], "a / at least"), (["--otlp", "http://:4318"], "no plain http(s) URL"),
    (["--webhook", "http://x/", "--webhook-on", "never"], "all|completed|failed"),
])
def test_options_that_cannot_be_meant_are_refused(tmp_path, args, says):
    refused(tmp_path, says, *args)


def refused(tmp_path, says, *args):
    done = subprocess.run([BIN / "gleaner-broker", "--listen", "tcp://127.0.0.1:0", "--data", tmp_path / "data", *args],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and says in done.stderr.splitlines()[-1], done.stderr
    assert SECRET.removeprefix("whsec_") not in done.stderr


# ---- another secret ----

def told_of_one_more(cluster, receiver):
    """The webhook of a job that ends now."""
    before = len(receiver.taken())
    cluster.api.post("/api/jobs/cancel", {"jobId": cluster.api.create()})
    return wait_until(lambda: receiver.taken()[before:], what="the webhook")[0]


def test_a_secret_is_changed_without_a_restart(hooked, receivers, tmp_path):
    receiver = receivers()
    cluster = hooked(receiver.url)
    posted = told_of_one_more(cluster, receiver)
    assert signature_good(posted, SECRET) and not signature_good(posted, OTHER)
    for count, lines in enumerate((f"{SECRET}\n{OTHER}", OTHER), 1):
        secret_file(tmp_path, lines)
        cluster.broker.signal(signal.SIGHUP)
        wait_until(lambda: len(cluster.broker.events("webhook-secret-changed")) == count, what="the new secret")
        posted = told_of_one_more(cluster, receiver)
        assert signature_good(posted, OTHER) and signature_good(posted, SECRET) == (SECRET in lines)
    cluster.broker.signal(signal.SIGHUP)  # what is as it was is no news
    wait_until(lambda: len(cluster.broker.events("config-reloaded")) == 3, what="a third reload")
    told_of_one_more(cluster, receiver)
    assert len(cluster.broker.events("webhook-secret-changed")) == 2 and not cluster.broker.events("webhook-secret-refused")


@pytest.mark.parametrize("secret, mode, says", [(OTHER, 0o644, "chmod 600"), (None, 0, "cannot read"), ("", 0o600, "whsec_"),
                                                (f"{OTHER}\nhunter2", 0o600, "whsec_")])
def test_a_secret_that_is_none_leaves_the_old_one(hooked, receivers, tmp_path, secret, mode, says):
    receiver = receivers()
    cluster = hooked(receiver.url)
    path = tmp_path / "webhook.secret"
    if secret is None:
        path.unlink()
    else:
        secret_file(tmp_path, secret, mode)
    cluster.broker.signal(signal.SIGHUP)
    line = cluster.broker.wait_event("webhook-secret-refused")
    assert says in line and str(path) in line and "hunter2" not in line and OTHER not in line
    posted = told_of_one_more(cluster, receiver)
    assert signature_good(posted, SECRET) and not signature_good(posted, OTHER)
    assert len(cluster.broker.events("webhook-secret-refused")) == 1
    secret_file(tmp_path, OTHER)
    cluster.broker.signal(signal.SIGHUP)
    cluster.broker.wait_event("webhook-secret-changed")
    assert signature_good(told_of_one_more(cluster, receiver), OTHER)


def test_another_file_of_secrets_counts_at_once(clusters, receivers, tmp_path):
    receiver = receivers()
    config = tmp_path / "broker.conf"
    other = tmp_path / "other"
    other.mkdir()
    config.write_text(f"webhook-secret-file = {secret_file(tmp_path)}\n")
    cluster = clusters(broker_args=["--config", config, "--webhook", receiver.url])
    config.write_text(f"webhook-secret-file = {secret_file(other, OTHER)}\n")
    cluster.broker.signal(signal.SIGHUP)
    cluster.broker.wait_event("webhook-secret-changed")
    assert signature_good(told_of_one_more(cluster, receiver), OTHER)
    config.write_text("")
    cluster.broker.signal(signal.SIGHUP)
    assert "--webhook-secret-file" in cluster.broker.wait_event("webhook-secret-refused")
    assert signature_good(told_of_one_more(cluster, receiver), OTHER)


# ---- many ----

def end_many(cluster, native, count):
    """Seconds that so many jobs take from submission to their end."""
    begun = time.monotonic()
    frame = {"v": 1, "type": "job-create", "command": "true", "fileUrl": "/uploads/none.zip", "filename": "p.zip"}
    ids = []
    for _ in range(count // 200):
        for _ in range(200):
            native.send(b"", msgpack.packb(frame))
        ids += [native.receive()["jobId"] for _ in range(200)]
        for job in ids[-200:]:
            native.send(b"", msgpack.packb({"v": 1, "type": "job-cancel", "jobId": job}))
        assert all(native.receive()["type"] == "job-cancel-ok" for _ in range(200))
    return time.monotonic() - begun


def test_ten_thousand_jobs_and_a_dead_receiver(clusters, tmp_path):
    plain = clusters(gateway=False)
    folder = tmp_path / "secret"
    folder.mkdir()
    hooked = clusters(gateway=False, broker_args=["--webhook", f"http://127.0.0.1:{closed_port()}", "--webhook-secret-file", secret_file(folder)])
    natives = plain.native(), hooked.native()
    took = [0, 0]
    for _ in range(5):  # by turns, so that whatever else the machine does counts for both
        for which, cluster in enumerate((plain, hooked)):
            took[which] += end_many(cluster, natives[which], 2000)
    ratio = took[1] / took[0]
    print(f"10,000 jobs: {took[0]:.2f} s without webhooks, {took[1]:.2f} s with a dead receiver, ratio {ratio:.2f}")
    assert ratio < 2, took
    told = counts(hooked)
    assert told["waiting"] == 10000 and told["failed"] < 60 and told["lost"] == 0
