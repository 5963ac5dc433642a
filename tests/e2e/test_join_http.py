"""One command sets a worker up over HTTP: the code, once, and a token that nobody else has seen."""

import hashlib
import http.server
import pathlib
import ssl
import subprocess
import threading
import time

import pytest

from certificates import Authority
from client import Client
from cluster import BIN, Program, wait_until
from joining import read_code, write_code
from test_start_errors import refuses
from tokens import TokenClient, create, listed, revoke

REFUSED = "wrong, used up or too old"
HASH = hashlib.sha256(b"x" * 32).hexdigest()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def code_for(cluster, *args):
    return cluster.enroll("worker", "--server", cluster.server, *args)


def ask(cluster, code, worker="w1", hash=HASH):
    return cluster.api.post("/api/join", {"code": read_code(code)["code"], "workerId": worker, "secretHash": hash})


def at_work(cluster, client=None):
    client = client or cluster.api
    return client.wait_job(client.submit("true"), 60)["status"] == "completed"


@pytest.fixture
def asking(clusters):
    return clusters(broker_args=["--auth", "on"])


# ---- the worker ----

def test_joined_once_and_at_work_ever_after(asking):
    alice = TokenClient(asking, create(asking, "submitter", "alice"))
    wait_until(lambda: alice.get("/api/jobs").status == 200)
    code = code_for(asking, "--name", "lab")
    worker = asking.worker("joined", "--join", code, "--id", "w1")
    kept = worker.folder / "gateway.key"
    assert kept.stat().st_mode & 0o777 == 0o600 and {p.name for p in worker.folder.glob("*.joining")} == set()
    assert at_work(asking, alice)
    (line,) = [i for i in listed(asking) if i["kind"] == "joined"]
    assert (line["name"], line["role"], line["workerId"], line["state"]) == ("lab", "worker", "w1", "good")
    token = kept.read_text().split("token=")[1].split()[0]
    for path in (asking.broker.log, asking.gateway.log, worker.log, asking.folder / "data/identities", asking.folder / "data/audit.log"):
        text = path.read_text()
        assert token.split("_", 2)[2] not in text and read_code(code)["code"].split("_", 2)[2] not in text, path
    assert worker.stop() == 0
    worker.args = ["--unsafe-no-sandbox", "--work-dir", worker.folder]
    worker.start()  # without the code
    assert at_work(asking, alice)
    assert worker.stop() == 0
    worker.args += ["--join", code]  # as a service would that has it in its settings
    worker.start()
    assert worker.events("not-joined") and at_work(asking, alice)
    revoke(asking, token)
    assert worker.wait(30) == 77  # it does not go on asking


def test_where_nobody_is_asked_nobody_is_asked_afterwards(cluster):
    cluster.worker("joined", "--join", code_for(cluster), "--id", "w1")
    assert cluster.api.get("/api/info").status == 200 and at_work(cluster)
    assert not cluster.broker.events("auth-on")
    alice = TokenClient(cluster, create(cluster, "submitter", "alice"))  # and if they are, it has its token
    cluster.broker.wait_event("auth-on")
    wait_until(lambda: alice.get("/api/jobs").status == 200)
    assert at_work(cluster, alice)


def test_behind_a_gateway_that_has_a_key(clusters):
    cluster = clusters(curve=True)
    cluster.worker("joined", "--join", code_for(cluster), "--id", "w1")
    assert at_work(cluster)


@pytest.mark.parametrize("pinned", ["authority", "its own"])
def test_over_tls_the_certificate_is_that_of_the_code(clusters, authority, pinned):
    certificate, key = authority.pair("pinned", chain=pinned == "authority")
    cluster = clusters(gateway_args=["--tls-cert", certificate, "--tls-key", key], tls=ssl.create_default_context(cafile=authority.file))
    file = authority.file if pinned == "authority" else certificate
    worker = cluster.worker("joined", "--join", code_for(cluster, "--ca", file), "--id", "w1")
    assert (worker.folder / "gateway.pem").stat().st_mode & 0o777 == 0o600
    assert at_work(cluster)
    assert worker.stop() == 0
    worker.args = ["--unsafe-no-sandbox", "--work-dir", worker.folder]
    worker.start()
    assert at_work(cluster)


class Overheard(http.server.BaseHTTPRequestHandler):
    bodies = []

    def do_POST(self):
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_error(500)

    def log_message(self, *args):
        pass


def test_another_server_is_not_shown_the_code(clusters, authority, tmp_path):
    """One with a certificate that the system's user may even trust, but not that of the code."""
    cluster = clusters()
    stranger = Authority(tmp_path / "stranger", "stranger")
    certificate, key = stranger.pair()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Overheard)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"https://127.0.0.1:{server.server_port}"
    try:
        code = cluster.enroll("worker", "--server", url, "--ca", authority.file)
        line = refuses(tmp_path, "worker", "--unsafe-no-sandbox", "--join", code, "--work-dir", tmp_path / "a", says="the code was not sent")
        assert read_code(code)["code"] not in line
        code = cluster.enroll("worker", "--server", url)  # the system's authorities do not know it either
        refuses(tmp_path, "worker", "--unsafe-no-sandbox", "--join", code, "--work-dir", tmp_path / "b", says="cannot join at https://")
        other = authority.pair("elsewhere", hosts=["elsewhere.example"])
        assert Overheard.bodies == []
        context.load_cert_chain(*other)  # the right authority, another name
        code = cluster.enroll("worker", "--server", url, "--ca", authority.file)
        refuses(tmp_path, "worker", "--unsafe-no-sandbox", "--join", code, "--work-dir", tmp_path / "c", says="cannot join at https://")
        assert Overheard.bodies == []
    finally:
        server.shutdown()
        server.server_close()


def test_an_answer_that_was_lost_is_asked_for_again(cluster, tmp_path):
    """A gateway that says nothing more once the broker has done it; then the same worker, with the same code."""
    code = code_for(cluster)

    class Lost(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert Client("127.0.0.1", cluster.port).request("POST", "/api/join", body, {"Content-Type": "application/json"}).status == 200
            self.close_connection = True

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Lost)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    folder = tmp_path / "work"
    lost = write_code(**{**read_code(code), "server": f"http://127.0.0.1:{server.server_port}"})
    refuses(tmp_path, "worker", "--unsafe-no-sandbox", "--join", lost, "--work-dir", folder, "--id", "w1", says="cannot join at")
    server.shutdown()
    server.server_close()
    cluster.worker("joined", "--join", code, "--id", "w1", folder=folder)
    assert len([i for i in listed(cluster) if i["kind"] == "joined"]) == 1 and at_work(cluster)


def test_who_joins_over_another_way_works_there(clusters):
    cluster = clusters(curve=True)
    worker = cluster.worker("joined", "--join", code_for(cluster), "--id", "w1")
    assert worker.stop() == 0
    revoke(cluster, worker.folder.joinpath("gateway.key").read_text().split("token=")[1].split()[0])
    worker.args = ["--unsafe-no-sandbox", "--work-dir", worker.folder, "--join", cluster.enroll()]
    worker.start()
    assert (worker.folder / "broker.key").exists() and not (worker.folder / "gateway.key").exists()
    assert at_work(cluster)


def test_in_one_command(cluster, tmp_path):
    program = Program("worker", ["--join", code_for(cluster), "--work-dir", tmp_path / "w", "--unsafe-no-sandbox", "--once"], tmp_path / "once.log").spawn()
    try:
        program.wait_event("worker-ready", 20)
    finally:
        assert program.stop() == 0


# ---- the call ----

def test_a_code_is_for_one(cluster):
    code = code_for(cluster)
    first = ask(cluster, code)
    assert first.status == 200 and first["success"] and first["role"] == "worker"
    assert ask(cluster, code)["identity"] == first["identity"]  # the same worker, whose answer was lost
    again = ask(cluster, code, hash=HASH[::-1])
    assert (again.status, again["code"]) == (403, "JOIN_REFUSED")
    assert ask(cluster, code, worker="w2").status == 403
    assert ask(cluster, code_for(cluster), hash=HASH[::-1]).status == 403  # w1 is somebody
    token = f"gleaner_{first['identity']}_" + "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg"
    create(cluster, "admin", "root")
    cluster.broker.wait_event("auth-on")
    client = TokenClient(cluster, token)
    wait_until(lambda: client.post("/api/workers/register", {"workerId": "w1", "hostname": "h"}).status == 200)
    assert client.post("/api/workers/register", {"workerId": "w2", "hostname": "h"}).json["code"] == "WORKER_TOKEN_BOUND"
    assert client.get("/api/jobs").status == 403


def test_what_is_worth_nothing_gets_one_answer(asking):
    expired = code_for(asking, "--expires", "1s")
    used = code_for(asking)
    assert ask(asking, used, "first").status == 200
    good = read_code(code_for(asking))
    time.sleep(1.1)  # it is the clock that is waited for
    wrong = [used, expired, write_code(**{**good, "code": good["code"][:-4] + "AAAA"}), write_code(code="nonsense"), write_code(code="gleaner_a_b"),
             asking.enroll("gateway")]
    answers = [ask(asking, code, f"w{i}", HASH[i:] + HASH[:i]) for i, code in enumerate(wrong)]
    assert {(a.status, a["code"]) for a in answers} == {(403, "JOIN_REFUSED")}
    assert len({a.body for a in answers}) == 1 and REFUSED in answers[0]["error"]
    secret = create(asking, "worker", "w")
    assert asking.api.post("/api/join", {"code": secret, "workerId": "x", "secretHash": HASH}).status == 403  # a token is no code


def test_what_is_asked_wrongly(cluster):
    code = read_code(code_for(cluster))["code"]
    for body, said in (({"workerId": "w", "secretHash": HASH}, "MISSING_FIELD"), ({"code": code, "secretHash": HASH}, "MISSING_FIELD"),
                       ({"code": code, "workerId": "w"}, "MISSING_FIELD"), ({"code": code, "workerId": "w", "secretHash": "x" * 64}, "SCHEMA"),
                       ({"code": code, "workerId": "w", "secretHash": HASH[:-1]}, "SCHEMA"), ({"code": code, "workerId": "w\n", "secretHash": HASH}, "JOIN_REFUSED"),
                       ({"code": "x" * 256, "workerId": "w", "secretHash": HASH}, "SCHEMA")):
        answer = cluster.api.post("/api/join", body)
        assert answer["code"] == said and code not in answer.body.decode(), body
    assert cluster.api.get("/api/join").status == 405
    assert cluster.api.post("/api/join", {"code": code, "workerId": "w", "secretHash": HASH}).status == 200


def test_guessing_is_slowed_down_and_written_down(asking):
    admin = TokenClient(asking, create(asking, "admin", "root"))
    good = code_for(asking)
    codes = [ask(asking, write_code(code="gleaner_aaaaaaaaaa_" + "A" * 43))["code"] for _ in range(25)]
    assert codes == ["JOIN_REFUSED"] * 20 + ["TOO_MANY"] * 5
    assert ask(asking, good).status == 429
    native = asking.native()  # of the same address, by this machine's word
    assert native.ask("join-token", code="x", workerId="w", secretHash=HASH)["code"] == "TOO_MANY"
    assert native.ask("join-token", code=read_code(good)["code"], workerId="w", secretHash=HASH, peer="192.0.2.7")["type"] == "join-token-ok"
    told = [(e["what"], e.get("subject"), e.get("from"), e["outcome"]) for e in admin.get("/api/audit?limit=100")["entries"]]
    assert ("join-token", "w", "192.0.2.7", "ok") in told
    assert 1 <= told.count(("join-token", "w1", "127.0.0.1", "JOIN_REFUSED")) <= 20


def test_a_code_for_several(cluster):
    code = code_for(cluster, "--uses", "2")
    assert [ask(cluster, code, f"w{i}", f"{i:064x}").status for i in range(3)] == [200, 200, 403]


# ---- what does not go together ----

@pytest.mark.parametrize("args, says", [
    (("--server", "http://h:1", "--broker", "tcp://h:1"), "where it joins"), (("--server", "h:1"), "--server must begin with"),
    (("--server", "http://h:1", "--role", "gateway"), "--server is for workers"), (("--server", "http://h:1", "--ca", "x"), "--ca needs"),
    (("--broker", "tcp://h:1", "--ca", "x"), "--ca needs"), (("--server", "https://h:1", "--ca", "/none"), "cannot read"),
    (("--server", "https://h:1", "--ca", "/dev/null"), "no certificate in PEM"), (("--server", "http://h" * 1000), "too long"),
    (("--server", "http://h:1", "--name", "jwt:alice"), "must not begin with 'jwt:'")])
def test_enroll_says_what_is_wrong(tmp_path, args, says):
    done = subprocess.run([BIN / "gleaner-broker", "enroll", "--data", tmp_path / "data", *args], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and says in done.stderr and done.stdout == "" and len(done.stderr.splitlines()) == 1


def test_options_that_do_not_go_together(cluster, tmp_path):
    code = code_for(cluster)
    refuses(tmp_path, "worker", "--unsafe-no-sandbox", "--join", code, "--broker", cluster.broker_url, "--work-dir", tmp_path / "w", says="leave --broker out")
    refuses(tmp_path, "gateway", "--listen", "127.0.0.1:0", "--join", code, "--curve-key", tmp_path / "k", "--cache-dir", tmp_path / "c", says=REFUSED)
    for server in ("ftp://h:1", "h:1", "", "http://h:1"):
        odd = write_code(**{**read_code(code), "server": server, "fingerprint": b"x" * 32})
        refuses(tmp_path, "worker", "--unsafe-no-sandbox", "--join", odd, "--work-dir", tmp_path / "w", says="names no server")
    refuses(tmp_path, "worker", "--join", write_code(**{**read_code(code), "fingerprint": b"x"}), "--work-dir", tmp_path / "w", says="gleaner-join-")
    away = write_code(**{**read_code(code), "server": "http://127.0.0.1:1"})
    refuses(tmp_path, "worker", "--unsafe-no-sandbox", "--join", away, "--work-dir", tmp_path / "w", says="cannot join at http://127.0.0.1:1")
    assert not pathlib.Path(tmp_path / "w/gateway.key").exists()
