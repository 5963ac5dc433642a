"""GET /healthz and /readyz: what a probe is told, and that probes cost nobody anything."""

import signal
import ssl
import threading
import time

import pytest

import tokens
from certificates import Authority
from client import Client
from cluster import PATIENCE, wait_until
from metrics import Scrape


def probe(cluster, path):
    """By a connection of its own, as probes come."""
    client = Client("127.0.0.1", cluster.port, tls=cluster.tls)
    try:
        return client.get(path)
    finally:
        client.close()


def test_both_say_ok(cluster):
    for path in ("/healthz", "/readyz"):
        answer = probe(cluster, path)
        assert (answer.status, answer.body, answer.headers["Cache-Control"]) == (200, b"ok\n", "no-store"), path
        assert cluster.api.request("HEAD", path).status == 200
        assert cluster.api.post(path, {}).status == 405


def test_a_gateway_without_its_broker_lives_and_is_not_ready(cluster):
    assert probe(cluster, "/readyz").status == 200
    cluster.broker.kill()
    answer = wait_until(lambda: (got := probe(cluster, "/readyz")).status == 503 and got, 10, "not ready")
    assert answer["code"] == "BROKER_UNAVAILABLE" and answer["error"].endswith(".") and answer.headers["Retry-After"] == "1"
    assert probe(cluster, "/healthz").status == 200
    cluster.broker.start()
    wait_until(lambda: probe(cluster, "/readyz").status == 200, 10, "ready again")


def test_a_broker_that_hangs_is_found_within_a_second_or_so(cluster):
    assert probe(cluster, "/readyz").status == 200
    cluster.broker.signal(signal.SIGSTOP)
    try:
        time.sleep(0.6)  # what was known until now no longer counts
        begun = time.monotonic()
        assert probe(cluster, "/readyz").status == 503
        assert time.monotonic() - begun < 2 * PATIENCE
        begun = time.monotonic()
        assert probe(cluster, "/healthz").status == 200
        assert time.monotonic() - begun < 1 * PATIENCE
    finally:
        cluster.broker.signal(signal.SIGCONT)
    wait_until(lambda: probe(cluster, "/readyz").status == 200, 10, "ready again")


def test_probes_need_no_token_and_are_not_counted(clusters):
    cluster = clusters(gateway_args=["--rate", "1", "--rate-burst", "1"])
    tokens.create(cluster, "viewer", "somebody")
    wait_until(lambda: cluster.api.get("/api/info").status in (401, 429), 10, "tokens are asked for")
    for _ in range(20):
        assert [cluster.api.get(path).status for path in ("/healthz", "/readyz")] == [200, 200]
    assert cluster.api.get("/api/info").status in (401, 429)


def test_many_probes_ask_the_broker_seldom(cluster):
    asked = lambda: Scrape(cluster.api)("gleaner_broker_messages_total", type="auth-check")  # noqa: E731
    before, begun, statuses = asked(), time.monotonic(), []

    def many():
        client = Client("127.0.0.1", cluster.port)
        statuses.extend(client.get("/readyz").status for _ in range(200))
        client.close()

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == 800 * [200]
    assert asked() - before <= (time.monotonic() - begun) / 0.5 + 1


def test_over_tls(clusters, tmp_path):
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.pair()
    cluster = clusters(gateway_args=["--tls-cert", certificate, "--tls-key", key],
                       tls=ssl.create_default_context(cafile=authority.file))
    assert [probe(cluster, path).status for path in ("/healthz", "/readyz")] == [200, 200]


@pytest.mark.parametrize("path", ["/healthz/", "/healthz/x", "/readyz/", "/HEALTHZ"])
def test_other_paths_are_none(shared, path):
    assert shared.api.get(path).status == 404
