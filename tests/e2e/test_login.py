"""Logging in by the page: the cookie, what else a page must say, and each of the ways in which a login ends."""

import socket
import ssl
import time

import pytest

from certificates import Authority
from cluster import Cluster, wait_until
from pages import PageClient, cookie_of
from tokens import TokenClient, create, revoke

DRAIN = {"workerId": "nobody"}


@pytest.fixture
def asking(clusters):
    """A cluster whose broker asks who speaks."""
    return clusters(broker_args=["--auth", "on"])


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """Such a cluster for the whole file, with a token of each role by the role's name."""
    cluster = Cluster(tmp_path_factory.mktemp("login"), broker_args=["--auth", "on"])
    cluster.tokens = {role: create(cluster, role, f"the-{role}") for role in ("viewer", "submitter", "worker", "admin")}
    wait_until(lambda: TokenClient(cluster, cluster.tokens["admin"]).get("/api/info").status == 200)
    yield cluster
    cluster.close()


def page_of(cluster, token):
    page = PageClient(cluster)
    assert wait_until(lambda: page.login(token).status == 200)
    return page


# ---- the cookie ----

def test_a_token_becomes_a_cookie_that_is_not_the_token(stage):
    page, token = PageClient(stage), stage.tokens["viewer"]
    answer = page.login(token)
    assert answer.status == 200 and answer.headers["Cache-Control"] == "no-store"
    name, value, attributes = cookie_of(answer)
    assert name == "gleaner" and len(value) == 64 and attributes == {"Path=/", "HttpOnly", "SameSite=Strict"}
    assert token not in str(answer.headers) and token.encode() not in answer.body and value.encode() not in answer.body
    assert page.get("/api/info").status == 200
    assert PageClient(stage).login(token).headers["Set-Cookie"] != answer.headers["Set-Cookie"]  # each login is another one
    assert not any(token in line or value in line or answer["key"] in line for line in stage.gateway.lines() + stage.broker.lines())


def test_over_tls_only_this_host_and_https_get_it(clusters, tmp_path):
    authority = Authority(tmp_path)
    trust = ssl.create_default_context(cafile=authority.file)
    certificate, key = authority.pair()
    cluster = clusters(gateway_args=["--tls-cert", certificate, "--tls-key", key], tls=trust, broker_args=["--auth", "on"])
    page = PageClient(cluster, tls=trust)
    token = create(cluster, "viewer", "v")
    wait_until(lambda: page.login(token).status == 200)
    name, value, attributes = cookie_of(page.login(token))
    assert name == "__Host-gleaner" and attributes == {"Path=/", "Secure", "HttpOnly", "SameSite=Strict"}
    assert page.get("/api/info").status == 200
    page.cookie = f"gleaner={value}"  # by the name that another page of the host could have set
    assert page.get("/api/info").status == 401


def test_behind_a_proxy_with_tls_it_is_as_over_tls(stage):
    page = PageClient(stage)
    page.origin = page.origin.replace("http:", "https:")
    answer = page.login(stage.tokens["viewer"])
    assert cookie_of(answer)[0] == "__Host-gleaner" and "Secure" in cookie_of(answer)[2]
    assert page.get("/api/info").status == 200
    gone = page.delete("/api/session")
    assert gone.status == 200 and cookie_of(gone) == ("__Host-gleaner", "", {"Path=/", "Secure", "HttpOnly", "SameSite=Strict", "Max-Age=0"})


# ---- who one is ----

def test_who_one_is(stage):
    nobody = PageClient(stage).get("/api/session").json
    assert nobody["required"] is True and nobody["role"] == "none" and nobody["name"] is None and nobody["key"] is None
    assert nobody["calls"] == ["POST /api/join", "GET /api/session", "POST /api/session"]
    page = page_of(stage, stage.tokens["submitter"])
    me = page.get("/api/session").json
    assert me["role"] == "submitter" and me["name"] == "the-submitter" and me["key"] == page.key and len(me["key"]) == 32
    days = (me["expiresAt"] / 1000 - time.time()) / 86400
    assert 6.9 < days < 7.1
    assert "POST /api/jobs/cancel" in me["calls"] and "POST /api/workers/drain" not in me["calls"]
    bearer = TokenClient(stage, stage.tokens["admin"]).get("/api/session").json
    assert bearer["role"] == "admin" and bearer["key"] is None and bearer["expiresAt"] is None
    assert {"POST /api/workers/drain", "GET /api/audit"} <= set(bearer["calls"])
    assert TokenClient(stage, "nonsense").get("/api/session").status == 401


def test_where_nobody_is_asked_nothing_is_needed(shared):
    page = PageClient(shared)
    said = page.get("/api/session").json
    assert said["required"] is False and said["role"] == "admin" and said["key"] is None and "POST /api/jobs/create" in said["calls"]
    answer = page.login("whatever")
    assert answer.status == 200 and answer["required"] is False and cookie_of(answer) is None
    assert page.post("/api/workers/drain", DRAIN)["code"] == "NO_SUCH_WORKER"


def test_tokens_that_do_not_count(stage):
    page = PageClient(stage)
    for token in ("nonsense", stage.tokens["viewer"][:-1], "ü" * 50):
        answer = page.login(token)
        assert answer.status == 401 and answer["code"] == "UNAUTHORIZED" and answer["field"] == "token" and cookie_of(answer) is None
        assert "does not count" in answer["error"] and token not in answer["error"]
    assert stage.gateway.events("login-refused")
    worker = page.login(stage.tokens["worker"])
    assert worker.status == 403 and worker["code"] == "FORBIDDEN" and cookie_of(worker) is None
    assert page.login(f"  {stage.tokens['viewer']}\n").status == 200  # as it is pasted


@pytest.mark.parametrize("body, code", [(b"", "BAD_JSON"), (b"{}", "MISSING_FIELD"), ({"token": ""}, "MISSING_FIELD"), ({"token": 7}, "SCHEMA"),
                                        ({"token": None}, "SCHEMA"), ({"token": "x" * 5000}, "SCHEMA"), ({"token": "secret\0"}, "BAD_JSON"),
                                        (b'{"token": "secret', "BAD_JSON"), (b'{"secret"}', "BAD_JSON")])
def test_what_is_no_login(stage, body, code):
    answer = PageClient(stage).request("POST", "/api/session", body)
    assert answer.status == 400 and answer["code"] == code and "secret" not in answer["error"]


def test_wrong_tokens_come_slowly(asking):
    page, good = PageClient(asking), create(asking, "viewer", "v")
    wait_until(lambda: page.login(good).status == 200)
    for _ in range(20):
        assert page.login(good).status == 200  # right ones are not counted
    answers = [page.login("nonsense") for _ in range(15)]
    last = answers[-1]
    assert answers[0].status == 401 and last.status == 429 and last["code"] == "RATE_LIMITED" and last.headers["Retry-After"] == "1"
    assert "address" in last["error"]
    assert page.get("/api/info").status == 200  # who is in is not kept out
    time.sleep(1.1)
    assert page.login(good).status == 200


# ---- pages of others ----

@pytest.mark.parametrize("headers", [{"X-Gleaner-Key": None}, {"X-Gleaner-Key": "0" * 32}, {"X-Gleaner-Key": ""}, {"Origin": None},
                                     {"Sec-Fetch-Site": "none"}])
@pytest.mark.parametrize("method, path", [("POST", "/api/workers/drain"), ("DELETE", "/api/execute"), ("GET", "/api/jobs/get-job?workerId=w"),
                                          ("POST", "/api/jobs/create"), ("DELETE", "/api/session")])
def test_the_cookie_alone_changes_nothing(stage, headers, method, path):
    page = page_of(stage, stage.tokens["admin"])
    answer = page.request(method, path, DRAIN if method == "POST" else None, headers)
    assert answer.status == 403 and answer["code"] == "NO_PAGE_KEY"
    assert page.get("/api/session")["role"] == "admin"  # nor ends it


FOREIGN = [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": ""}, {"Origin": "https://evil.example"},
           {"Origin": "null"}, {"Origin": "http://127.0.0.1"}, {"Origin": "http://127.0.0.1:1"}, {"Origin": ""}, {"Origin": "//"}]


@pytest.mark.parametrize("headers", FOREIGN)
def test_another_sites_page_changes_nothing(stage, headers):
    page = page_of(stage, stage.tokens["admin"])
    for method, path in (("POST", "/api/workers/drain"), ("DELETE", "/api/session"), ("POST", "/api/session")):
        answer = page.request(method, path, DRAIN if method == "POST" else None, headers)
        assert answer.status == 403 and answer["code"] == "CROSS_SITE"
    assert page.get("/api/session")["role"] == "admin"


@pytest.mark.parametrize("headers", FOREIGN)
def test_nor_where_nobody_is_asked(shared, headers):
    answer = PageClient(shared).request("POST", "/api/workers/drain", DRAIN, headers)
    assert answer.status == 403 and answer["code"] == "CROSS_SITE"


@pytest.mark.parametrize("scheme", ["Basic YTpi", "Digest a", "Bearer", ""])
def test_nor_with_what_a_browser_adds_by_itself(shared, scheme):
    answer = PageClient(shared).request("POST", "/api/workers/drain", DRAIN, {"Sec-Fetch-Site": "cross-site", "Authorization": scheme})
    assert answer.status == 403 and answer["code"] == "CROSS_SITE"
    assert shared.api.post("/api/workers/drain", DRAIN)["code"] == "NO_SUCH_WORKER"  # no browser says nothing


def test_a_page_that_says_all_of_it_may(stage):
    page = page_of(stage, stage.tokens["admin"])
    for headers in ({}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "same-origin", "Origin": "https://proxied.example"}):
        assert page.request("POST", "/api/workers/drain", DRAIN, headers)["code"] == "NO_SUCH_WORKER"


def test_a_bearer_needs_none_of_it(stage):
    client = TokenClient(stage, stage.tokens["admin"])
    for headers in ({}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.request("POST", "/api/workers/drain", DRAIN, headers)["code"] == "NO_SUCH_WORKER"
    page = page_of(stage, stage.tokens["viewer"])  # a cookie beside it does not count
    answer = page.request("POST", "/api/workers/drain", DRAIN, {"Authorization": f"Bearer {stage.tokens['admin']}", "X-Gleaner-Key": None})
    assert answer["code"] == "NO_SUCH_WORKER"
    assert page.request("GET", "/api/info", headers={"Authorization": "Bearer nonsense"}).status == 401


# ---- ends ----

def test_signing_out(stage):
    page = page_of(stage, stage.tokens["viewer"])
    kept = page.cookie
    answer = page.delete("/api/session")
    assert answer.status == 200 and cookie_of(answer) == ("gleaner", "", {"Path=/", "HttpOnly", "SameSite=Strict", "Max-Age=0"})
    page.cookie = kept  # a browser would have forgotten it
    assert page.get("/api/info").status == 401 and page.get("/api/session")["role"] == "none"
    assert page.delete("/api/session").status == 200  # who is out is out
    assert stage.gateway.events("logout")


def test_a_new_login_ends_the_one_before(stage):
    page = page_of(stage, stage.tokens["viewer"])
    before = page.cookie
    page.login(stage.tokens["admin"], **{"X-Gleaner-Key": "of another tab"})
    assert page.get("/api/session")["role"] == "admin"
    page.cookie = before
    assert page.get("/api/info").status == 401


def test_a_revoked_token_ends_its_logins(stage):
    token = create(stage, "admin", "short")
    pages = [page_of(stage, token) for _ in range(2)]
    revoke(stage, token)
    for page in pages:
        answer = wait_until(lambda page=page: (a := page.get("/api/info")).status == 401 and a)
        assert answer["code"] == "UNAUTHORIZED" and page.get("/api/session")["role"] == "none"


def test_an_expired_token_ends_its_logins(stage):
    page = page_of(stage, create(stage, "viewer", "brief", "--expires", "2s"))
    me = page.get("/api/session").json
    assert me["expiresAt"] / 1000 - time.time() < 2.1  # not the login's own end
    wait_until(lambda: page.get("/api/info").status == 401)


def test_streams_end_with_the_login(stage):
    page = page_of(stage, stage.tokens["viewer"])
    with socket.create_connection(("127.0.0.1", stage.port), 10) as stream:
        stream.sendall(f"GET /api/events HTTP/1.1\r\nHost: x\r\nCookie: {page.cookie}\r\n\r\n".encode())
        assert b" 200 " in stream.recv(4096)
        page.delete("/api/session")
        TokenClient(stage, stage.tokens["submitter"]).create()  # something to tell
        stream.settimeout(40)
        heard = b""
        while piece := stream.recv(4096):
            heard += piece
    assert heard.endswith(b"0\r\n\r\n")


def test_not_used_for_long(clusters):
    cluster = clusters(broker_args=["--auth", "on"], gateway_args=["--login-idle", "2s"])
    page = page_of(cluster, create(cluster, "viewer", "v"))
    for _ in range(6):
        time.sleep(0.5)
        assert page.get("/api/info").status == 200
    time.sleep(2.2)
    assert page.get("/api/info").status == 401


def test_used_for_too_long(clusters):
    cluster = clusters(broker_args=["--auth", "on"], gateway_args=["--login-max", "2s"])
    page = page_of(cluster, create(cluster, "viewer", "v"))
    begun = time.monotonic()
    wait_until(lambda: page.get("/api/info").status == 401)
    assert 1 < time.monotonic() - begun < 4


def test_one_token_has_sixteen_logins(stage):
    token = create(stage, "viewer", "many")
    other = page_of(stage, stage.tokens["viewer"])
    pages = [page_of(stage, token) for _ in range(17)]
    assert [page.get("/api/info").status for page in pages] == [401] + [200] * 16
    assert other.get("/api/info").status == 200


def test_a_gateways_restart_asks_again(asking):
    page = page_of(asking, create(asking, "viewer", "v"))
    asking.gateway.stop()
    asking.gateway.start()
    wait_until(lambda: page.get("/api/info").status == 401)


def test_signing_out_while_the_broker_is_away(asking):
    page = page_of(asking, create(asking, "viewer", "v"))
    kept = page.cookie
    asking.broker.stop()
    assert page.delete("/api/session").status == 200
    asking.broker.start()
    page.cookie = kept
    wait_until(lambda: page.get("/api/info").status == 401)
