"""A broker that takes encrypted connections only, by keys that it knows."""

import json
import os

import msgpack
import pytest
import zmq
import zmq.utils.monitor
import zmq.utils.z85

from cluster import wait_until
from joining import fresh_keys, joined, read_code
from test_start_errors import refuses

QUICK = ("--lease", "2s")


@pytest.fixture
def curved(clusters):
    return lambda **options: clusters(curve=True, **options)


def identities(cluster):
    return json.loads(cluster.broker_does("token", "list", "--json").stdout)


def of_worker(cluster, worker_id):
    return next(i for i in identities(cluster) if i.get("workerId") == worker_id)


def revoke(cluster, worker_id):
    done = cluster.broker_does("token", "revoke", of_worker(cluster, worker_id)["id"])
    assert done.returncode == 0, done.stderr
    cluster.broker.wait_event("identity-gone")


def used_up(cluster):
    """Keys for this broker that are not known, and no code is open."""
    code = cluster.enroll()
    keys = fresh_keys(code)
    native = cluster.native(keys=(keys[0], *zmq.curve_keypair()))
    assert native.ask("join", code=read_code(code)["code"], workerId="other")["type"] == "join-ok"
    native.close()
    return keys


def test_gateway_and_worker_that_have_joined_run_a_job(curved):
    cluster = curved()
    cluster.worker("joined", "--join", cluster.enroll(), "--id", "w1")
    status = cluster.api.wait_job(cluster.api.submit("cat a.txt", {"a.txt": "hello\n"}))
    assert status["status"] == "completed" and status["stdout"] == "hello\n" and status["workerId"] == "w1", status
    roles = {i["role"]: i for i in identities(cluster) if i["kind"] == "key"}
    assert set(roles) == {"worker", "gateway"} and roles["worker"]["workerId"] == "w1"


def test_a_key_that_is_not_known_is_refused_in_the_handshake(curved):
    cluster = curved(gateway=False)
    keys = used_up(cluster)
    stranger = cluster.native(keys=keys)
    with stranger.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH) as monitor:
        assert monitor.poll(10000)
        event = zmq.utils.monitor.recv_monitor_message(monitor)
        stranger.socket.disable_monitor()
    assert event["event"] == zmq.EVENT_HANDSHAKE_FAILED_AUTH and event["value"] == 400
    assert len(cluster.broker.events("key-refused")) == 1


def test_a_client_without_curve_is_refused(curved):
    cluster = curved(gateway=False)
    used_up(cluster)
    plain = cluster.native()
    plain.send(b"", b"\x80")
    assert plain.receive(1) is None
    assert joined(cluster, "w1").ask("worker-register", workerId="w1", hostname="h")["type"] == "worker-register-ok"


def test_a_client_of_another_broker_is_refused(curved):
    cluster = curved(gateway=False)
    other = zmq.curve_keypair()[0]
    stranger = cluster.native(keys=(other, *zmq.curve_keypair()))
    stranger.send(b"", b"\x80")
    assert stranger.receive(1) is None


def test_while_a_code_is_open_a_stranger_may_only_join(curved):
    cluster = curved(gateway=False)
    stranger = cluster.native(keys=fresh_keys(cluster.enroll()))
    for kind, fields in [("worker-register", {"workerId": "w1", "hostname": "h"}), ("job-list", {}), ("broker-info", {}),
                         ("job-poll", {"workerId": "w1"}), ("broker-snapshot", {})]:
        assert stranger.ask(kind, **fields)["code"] == "UNAUTHORIZED", kind
    assert stranger.ask("join", code="gleaner_a_b", workerId="w1")["code"] == "JOIN_REFUSED"


def test_a_key_speaks_for_its_worker_alone(curved):
    cluster = curved(gateway=False)
    native = joined(cluster, "w1")
    assert native.ask("worker-register", workerId="w2", hostname="h")["code"] == "WORKER_TOKEN_BOUND"
    assert native.ask("worker-register", workerId="w1", hostname="h")["type"] == "worker-register-ok"
    assert native.ask("job-list")["code"] == "FORBIDDEN"
    assert native.ask("job-create", command="true", fileUrl="/uploads/a.zip", filename="a.zip")["code"] == "FORBIDDEN"


def test_a_key_that_is_taken_back_counts_no_longer_on_an_open_connection(curved):
    cluster = curved(broker_args=QUICK)
    native = joined(cluster, "w1")
    native.ask("worker-register", workerId="w1", hostname="h", slots=1)
    job = cluster.api.create()
    lease = native.ask("job-poll", workerId="w1", slot=0, wait=5000)
    assert lease["jobId"] == job
    revoke(cluster, "w1")
    fields = {"workerId": "w1", "jobId": job, "attempt": lease["attempt"], "token": lease["token"]}
    assert native.ask("job-renew", **fields)["code"] == "UNAUTHORIZED"
    assert native.ask("worker-heartbeat", workerId="w1")["code"] == "UNAUTHORIZED"
    cluster.api.wait_job(job, until=("pending",))  # its lease is over, and others can have the job


def test_a_poll_that_waits_when_its_key_is_taken_back_gets_no_job(curved):
    cluster = curved(broker_args=QUICK)
    native = joined(cluster, "w1")
    native.ask("worker-register", workerId="w1", hostname="h", slots=1)
    native.send(b"", msgpack.packb({"v": 1, "type": "job-poll", "workerId": "w1", "slot": 0, "wait": 20000}))
    assert native.receive(0.3) is None
    revoke(cluster, "w1")
    job = cluster.api.create()
    answer = native.receive(2)
    assert answer is None or "jobId" not in answer, answer
    assert cluster.api.status(job)["status"] == "pending"


def test_what_waits_over_a_gateways_connection_when_its_key_is_taken_back_gets_nothing(curved):
    """Whoever speaks there, and wherever nobody is asked: somebody may have got hold of the gateway."""
    cluster = curved()
    code = cluster.enroll("gateway", "--name", "lost")
    native = cluster.native(keys=fresh_keys(code))
    assert native.ask("join", code=read_code(code)["code"])["role"] == "gateway"
    native.ask("worker-register", workerId="w", hostname="h")
    for message in ({"type": "job-poll", "workerId": "w", "wait": 20000}, {"type": "events-read", "wait": 20000}):
        native.send(b"", msgpack.packb({"v": 1, **message}))
    wait_until(lambda: b"gleaner_requests_parked 1\n" in cluster.api.get("/metrics").body)
    key = next(i["id"] for i in identities(cluster) if i["name"] == "lost" and i["kind"] == "key")
    assert cluster.broker_does("token", "revoke", key).returncode == 0
    assert [native.receive(5)["code"] for _ in range(2)] == ["UNAUTHORIZED"] * 2
    assert cluster.api.status(cluster.api.create())["status"] == "pending"


def test_a_worker_whose_key_is_taken_back_ends_and_started_anew_asks_until_it_is_let_in(curved):
    cluster = curved()
    worker = cluster.worker("joined", "--join", cluster.enroll(), "--id", "w1")
    revoke(cluster, "w1")
    assert worker.wait(30) == os.EX_NOPERM and worker.events("worker-refused")
    worker.spawn()
    assert "enroll" in worker.wait_event("broker-refused", 20)
    assert worker.running


def test_the_broker_keeps_its_key_and_a_backup_is_made_beside_it(curved, tmp_path):
    cluster = curved()
    cluster.worker("joined", "--join", cluster.enroll(), "--id", "w1")
    done = cluster.broker_does("--backup", str(tmp_path / "backup.tar"))
    assert done.returncode == 0, done.stderr
    assert cluster.broker.stop() == 0
    cluster.broker.start()
    job = wait_until(lambda: cluster.api.post("/api/jobs/create", {"command": "true", "fileUrl": "/uploads/n.zip", "filename": "n.zip"})
                     .status == 200, 20)
    assert job
    wait_until(lambda: cluster.api.worker("w1")["status"] != "offline", 20)


def test_a_key_file_that_others_may_read_is_refused(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    key = data / "broker.key"
    key.write_text("public=00\nsecret=00\n")
    key.chmod(0o644)
    args = ["--listen", "tcp://127.0.0.1:0", "--data", data, "--curve"]
    refuses(tmp_path, "broker", *args, says=f"chmod 600 {key}")
    key.chmod(0o600)
    refuses(tmp_path, "broker", *args, says="no file of CURVE keys")
