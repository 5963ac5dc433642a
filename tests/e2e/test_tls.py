"""The gateway over TLS: what it takes and refuses, everything that works without works with it, another certificate under
way; and a worker that knows whom to trust."""

import http.client
import os
import signal
import socket
import ssl
import threading

import pytest

from certificates import Authority
from client import Client
from cluster import Program, wait_until
from test_start_errors import good, refuses
from zips import zip_of


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


def trusting(authority, low=ssl.TLSVersion.TLSv1_2, high=ssl.TLSVersion.MAXIMUM_SUPPORTED):
    context = ssl.create_default_context(cafile=authority.file)
    context.minimum_version, context.maximum_version = low, high
    return context


@pytest.fixture
def secure(clusters, authority):
    """secure (pair): broker and gateway with TLS; its server and key file can be replaced."""
    def make(pair=None, **options):
        certificate, key = pair or authority.pair()
        return clusters(gateway_args=["--tls-cert", certificate, "--tls-key", key], tls=trusting(authority), **options)
    return make


def shown(port, authority):
    """The serial number of the certificate that a new connection is shown."""
    with socket.create_connection(("127.0.0.1", port), 10) as raw, \
            trusting(authority).wrap_socket(raw, server_hostname="127.0.0.1") as tls:
        return int(tls.getpeercert()["serialNumber"], 16)


def serial(file):
    from cryptography import x509
    return x509.load_pem_x509_certificate(file.read_bytes()).serial_number


# ---- versions ----

@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions_that_are_taken(secure, authority, version):
    cluster = secure()
    client = cluster.on_close(Client("127.0.0.1", cluster.port, tls=trusting(authority, version, version)))
    assert client.get("/api/info").status == 200
    assert client.connection.sock.version() == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_older_versions_are_refused(secure, authority, version):
    cluster = secure()
    context = trusting(authority, version, version)
    context.set_ciphers("ALL:@SECLEVEL=0")  # or this side would not even ask
    with socket.create_connection(("127.0.0.1", cluster.port), 10) as raw, pytest.raises((ssl.SSLError, ConnectionResetError)):
        context.wrap_socket(raw, server_hostname="127.0.0.1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # the same client, if it may
    with socket.create_connection(("127.0.0.1", cluster.port), 10) as raw, context.wrap_socket(raw, server_hostname="127.0.0.1") as tls:
        assert tls.version() == "TLSv1.2"


def test_plain_http_at_the_tls_port_ends(secure):
    cluster = secure()
    with socket.create_connection(("127.0.0.1", cluster.port), 10) as raw:
        raw.sendall(b"GET /api/info HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        try:
            while piece := raw.recv(4096):
                answer += piece
        except ConnectionResetError:
            pass
    assert b"HTTP/" not in answer
    assert cluster.api.get("/api/info").status == 200


# ---- what works without works with it ----

def test_a_job_from_its_upload_to_its_output(secure, authority):
    cluster = secure()
    cluster.worker("http", "--ca", authority.file)
    big = os.urandom(3 << 20)
    job = cluster.api.submit("cat a.txt; wc -c < big.bin", {"a.txt": "hello\n", "big.bin": big})
    status = cluster.api.wait_job(job)
    assert status["status"] == "completed" and status["stdout"] == f"hello\n{len(big)}\n", status
    whole = cluster.api.get(status["fileUrl"])
    assert whole.status == 200 and whole.body == zip_of({"a.txt": "hello\n", "big.bin": big})
    part = cluster.api.get(status["fileUrl"], Range="bytes=1000000-1999999")
    assert part.status == 206 and part.body == whole.body[1000000:2000000]
    assert cluster.api.get(f"/api/jobs/output?jobId={job}&stream=stdout").body == f"hello\n{len(big)}\n".encode()
    page = cluster.api.get("/")
    assert page.status == 200 and b"Gleaner" in page.body


def test_a_long_poll_is_answered_when_a_job_comes(secure):
    cluster = secure()
    cluster.api.post("/api/workers/register", {"workerId": "w1", "hostname": "h", "slots": 1})
    poller, got = cluster.client(), []
    thread = threading.Thread(target=lambda: got.append(poller.get("/api/jobs/get-job?workerId=w1&slot=0&wait=20000")))
    thread.start()
    job = cluster.api.create()
    thread.join(10)
    assert got and got[0].status == 200 and got[0]["job"]["jobId"] == job


def test_who_gives_a_long_poll_up_is_given_no_job(secure):
    cluster = secure()
    cluster.api.post("/api/workers/register", {"workerId": "w1", "hostname": "h"})
    poller = cluster.client()
    poller.connection = poller.open()
    poller.connection.request("GET", "/api/jobs/get-job?workerId=w1&wait=20000")
    wait_until(lambda: cluster.api.get("/api/info").status == 200)
    poller.close()  # by TLS's own word and TCP's
    job = cluster.api.create()
    other = cluster.client()
    assert other.get("/api/jobs/get-job?workerId=w1&wait=5000")["job"]["jobId"] == job


def test_events_come_as_they_happen(secure):
    cluster = secure()
    reader = cluster.client()
    reader.connection = reader.open()
    reader.connection.request("GET", "/api/events")
    answer = reader.connection.getresponse()
    assert answer.status == 200
    job = cluster.api.create()
    while job.encode() not in answer.readline():
        pass


def test_a_body_that_is_too_large_is_refused_before_its_end(secure):
    cluster = secure()
    client = cluster.client()
    client.connection = client.open()
    client.connection.putrequest("POST", "/api/jobs/create")
    client.connection.putheader("Content-Type", "application/json")
    client.connection.putheader("Transfer-Encoding", "chunked")
    client.connection.endheaders()
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    try:
        for _ in range(64):
            client.connection.sock.sendall(piece)
    except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
        pass
    answer = http.client.HTTPResponse(client.connection.sock)
    answer.begin()
    assert answer.status == 413 and b"TOO_LARGE" in answer.read()


def test_many_requests_in_one_record(secure):
    cluster = secure()
    client = cluster.client()
    client.connection = client.open()
    client.connection.connect()
    client.connection.sock.sendall(b"GET /api/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
    got = b""
    while got.count(b"HTTP/1.1 200") < 50:
        piece = client.connection.sock.recv(65536)
        assert piece, got[-200:]
        got += piece


# ---- another certificate under way ----

def test_a_new_certificate_comes_by_sighup_and_what_is_open_goes_on(secure, authority):
    pair = authority.pair("first")
    cluster = secure(pair)
    assert shown(cluster.port, authority) == serial(pair[0])
    cluster.api.post("/api/workers/register", {"workerId": "w1", "hostname": "h", "slots": 1})
    poller, got = cluster.client(), []
    thread = threading.Thread(target=lambda: got.append(poller.get("/api/jobs/get-job?workerId=w1&slot=0&wait=30000")))
    thread.start()
    second = authority.pair("second")
    for old, new in zip(pair, second):
        os.replace(new, old)
    loaded = len(cluster.gateway.events("certificate-loaded"))
    cluster.gateway.signal(signal.SIGHUP)
    wait_until(lambda: len(cluster.gateway.events("certificate-loaded")) > loaded)
    assert shown(cluster.port, authority) == serial(pair[0])
    assert thread.is_alive()
    job = cluster.api.create()
    thread.join(10)
    assert got[0]["job"]["jobId"] == job


@pytest.mark.parametrize("broken", ["empty certificate", "pipe", "another's key", "key open to others", "no key"])
def test_a_broken_pair_changes_nothing(secure, authority, broken):
    certificate, key = authority.pair("kept")
    cluster = secure((certificate, key))
    number = serial(certificate)
    if broken == "empty certificate":
        certificate.write_bytes(b"")
    elif broken == "pipe":
        certificate.unlink()
        os.mkfifo(certificate)
    elif broken == "another's key":
        key.write_bytes(authority.pair("other")[1].read_bytes())
    elif broken == "key open to others":
        key.chmod(0o644)
    else:
        key.unlink()
    cluster.gateway.signal(signal.SIGHUP)
    cluster.gateway.wait_event("certificate-refused")
    if broken == "pipe":
        certificate.unlink()  # the next test writes there
    assert shown(cluster.port, authority) == number
    assert cluster.api.get("/api/info").status == 200


def test_reloads_amid_handshakes(secure, authority):
    cluster = secure()
    for round in range(20):
        half = [socket.create_connection(("127.0.0.1", cluster.port), 10) for _ in range(5)]
        cluster.gateway.signal(signal.SIGHUP)
        for raw in half:
            with trusting(authority).wrap_socket(raw, server_hostname="127.0.0.1") as tls:
                tls.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert tls.recv(12) == b"HTTP/1.1 200"


# ---- what does not start ----

def test_one_option_without_the_other(tmp_path, authority):
    certificate, key = authority.pair()
    refuses(tmp_path, "gateway", *good(tmp_path, "gateway"), "--tls-cert", certificate, says="--tls-key")
    refuses(tmp_path, "gateway", *good(tmp_path, "gateway"), "--tls-key", key, says="--tls-cert")


def test_a_key_that_others_may_read(tmp_path, authority):
    certificate, key = authority.pair("open")
    key.chmod(0o640)
    refuses(tmp_path, "gateway", *good(tmp_path, "gateway"), "--tls-cert", certificate, "--tls-key", key, says=f"chmod 600 {key}")


def test_files_that_are_no_pair(tmp_path, authority):
    certificate, key = authority.pair("one")
    other = authority.pair("two")[1]
    args = [*good(tmp_path, "gateway"), "--tls-cert"]
    refuses(tmp_path, "gateway", *args, certificate, "--tls-key", other, says="is not that of the certificate")
    refuses(tmp_path, "gateway", *args, key, "--tls-key", key, says="certificate in PEM")
    refuses(tmp_path, "gateway", *args, tmp_path / "none", "--tls-key", key, says="none")
    refuses(tmp_path, "gateway", *args, certificate, "--tls-key", tmp_path / "none", says="none")


# ---- a worker that knows whom to trust ----

def away(tmp_path, server, *args):
    """What a worker says of a server that it does not work for."""
    worker = Program("worker", ["--server", server, "--work-dir", tmp_path / "work", *args], tmp_path / "away.log").spawn()
    try:
        line = worker.wait_event("server-away")
        assert not worker.events("worker-ready") and worker.running
    finally:
        assert worker.stop() == 0
    return line


def test_a_worker_refuses_an_authority_that_it_does_not_know(tmp_path, secure):
    cluster = secure()
    other = Authority(tmp_path / "other", "another authority")
    assert "--ca FILE" in away(tmp_path, cluster.server)
    assert "--ca FILE" in away(tmp_path, cluster.server, "--ca", other.file)
    assert cluster.api.get("/api/workers/list")["workers"] == []


def test_a_worker_refuses_another_name(tmp_path, secure, authority):
    cluster = secure(authority.pair("elsewhere", hosts=["elsewhere.example"]))
    assert "another name" in away(tmp_path, cluster.server, "--ca", authority.file)


def test_a_worker_refuses_a_certificate_that_has_expired(tmp_path, secure, authority):
    cluster = secure(authority.pair("old", days=-1))
    assert cluster.gateway.events("certificate-expired")
    assert "expired" in away(tmp_path, cluster.server, "--ca", authority.file)


def test_a_certificate_of_its_own_can_be_trusted(secure, authority):
    """The server's own certificate as FILE: what a person without an authority has."""
    pair = authority.pair("alone", chain=False)
    cluster = secure(pair)
    cluster.worker("http", "--ca", pair[0], "--id", "w1")
    assert cluster.api.worker("w1")


@pytest.mark.parametrize("content, says", [(None, "cannot read"), (b"no certificate\n", "no certificate in PEM")])
def test_a_ca_file_that_is_none(tmp_path, content, says):
    file = tmp_path / "ca.pem"
    if content:
        file.write_bytes(content)
    refuses(tmp_path, "worker", "--server", "https://127.0.0.1:1", "--ca", file, "--work-dir", tmp_path / "work", says=says)


def test_a_ca_without_tls_is_a_mistake(tmp_path, authority):
    refuses(tmp_path, "worker", "--server", "http://127.0.0.1:1", "--ca", authority.file, "--work-dir", tmp_path / "work", says="https://")
