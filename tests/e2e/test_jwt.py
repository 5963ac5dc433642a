"""A second way in: tokens that an issuer has signed, and all those that it has not, or not so."""

import time

import pytest

from cluster import wait_until
from jwts import AUDIENCE, NAME, SECRET, Issuer, by_hand
from test_start_errors import refuses
from tokens import TokenClient, command, create

HOUR = 3600


@pytest.fixture(scope="module", params=["RS256", "ES256", "HS256"])
def issuer(request, tmp_path_factory):
    return Issuer(tmp_path_factory.mktemp("issuer"), request.param)


@pytest.fixture(scope="module")
def rsa(tmp_path_factory):
    return Issuer(tmp_path_factory.mktemp("rsa"))


@pytest.fixture
def trusting(clusters):
    """A cluster whose broker takes an issuer's word."""
    return lambda issuer, *args, **options: clusters(broker_args=[*issuer.args, *args], **options)


def says(cluster, token):
    """Status and code of a call with that token, and the broker's own word, which must be the same."""
    answer = TokenClient(cluster, token).get("/api/audit")
    native = cluster.native().ask("audit-read", auth=token)
    assert native.get("code") == answer.json.get("code"), (native, answer.body)
    return answer.status, answer.json.get("code")


def test_whom_the_issuer_names_comes_in(trusting, issuer):
    cluster = trusting(issuer)
    assert cluster.api.get("/api/info").status == 401  # to trust an issuer is to ask
    assert says(cluster, issuer.token()) == (200, None)
    assert says(cluster, issuer.token(aud=["others", AUDIENCE])) == (200, None)
    assert says(cluster, issuer.token(nbf=int(time.time()) + 5)) == (200, None)  # its clock is another one
    assert says(cluster, issuer.token(exp=time.time() + 5.5)) == (200, None)
    assert says(cluster, issuer.token("viewer")) == (403, "FORBIDDEN")
    assert cluster.native().ask("auth-check", auth=issuer.token("viewer", seconds=HOUR))["name"] == "jwt:alice"
    own = create(cluster, "admin", "root")  # the first way is still there
    assert wait_until(lambda: says(cluster, own) == (200, None))


def worthless(issuer, other):
    """Tokens that are worth nothing, by what is wrong with them."""
    good, now = issuer.token(), int(time.time())
    header, payload, signature = good.split(".")
    claims, kind = issuer.claims(), issuer.algorithm
    public = issuer.public
    swapped = {"RS256": "ES256", "ES256": "RS256", "HS256": "RS256"}[kind]
    return {
        "expired": issuer.token(seconds=-1), "without end": issuer.token(exp=None), "an end in words": issuer.token(exp="tomorrow"),
        "an end beyond time": issuer.token(exp=1e300), "not yet": issuer.token(nbf=now + HOUR), "not yet, in words": issuer.token(nbf="now"),
        "another issuer": issuer.token(iss=NAME + "/"), "no issuer": issuer.token(iss=None), "another audience": issuer.token(aud="x"),
        "other audiences": issuer.token(aud=["x", AUDIENCE + "x"]), "no audience": issuer.token(aud=None), "nobody": issuer.token(sub=None),
        "an empty name": issuer.token(sub=""), "a name with a line": issuer.token(sub="a\nb"), "a long name": issuer.token(sub="a" * 129),
        "a number for a name": issuer.token(sub=7), "another's key": other.token(), "no signature": f"{header}.{payload}.",
        "alg none": by_hand({"alg": "none"}, claims), "alg None": by_hand({"alg": "None"}, claims),
        "none with a signature": by_hand({"alg": "none"}, claims, b"x"), "alg of two": by_hand({"alg": [kind]}, claims, public),
        "HS256 by what everybody knows": by_hand({"alg": "HS256"}, claims, public if kind != "HS256" else b"gleaner" * 8),
        "HS384": by_hand({"alg": "HS384"}, claims, public), "lower case": by_hand({"alg": kind.lower()}, claims, public),
        "another header": by_hand({"alg": swapped}, claims, public), "no alg": by_hand({}, claims, public),
        "critical": issuer.token(headers={"crit": ["exp"]}),
        "alg twice": by_hand(b'{"alg":"none","alg":"%s"}' % kind.encode(), claims, public),
        "another payload": f"{header}.{by_hand({}, issuer.claims(sub='eve')).split('.')[1]}.{signature}",
        "another end": good[:-8] + ("AAAAAAAA" if good[-8:] != "AAAAAAAA" else "BBBBBBBB"), "two parts": f"{header}.{payload}",
        "four parts": good + ".x", "five parts": good + ".x.y", "padding": f"{header}.{payload}=.{signature}", "dots": "..", "no JSON": "e30.e30.e30",
        "a list": by_hand([], []), "too long": issuer.token(padding="x" * 4096), "deep": by_hand(b"[" * 1000, claims),
    }


def test_what_is_worth_nothing_gets_the_same_words(trusting, issuer, tmp_path):
    """Through the gateway and at the broker; the log alone tells why."""
    cluster = trusting(issuer)
    other = Issuer(tmp_path, issuer.algorithm)
    if issuer.algorithm == "HS256":
        other.secret = SECRET[::-1]
    native, words = cluster.native(), set()
    for why, token in worthless(issuer, other).items():
        answer = TokenClient(cluster, token).get("/api/info")
        assert answer.status == 401 and answer.headers["WWW-Authenticate"] == "Bearer", why
        if len(token) <= 4096:
            said = native.ask("broker-info", auth=token)
            assert said["code"] == "UNAUTHORIZED", why
            words.add(said["error"])
        words.add(answer["error"])
    assert len(words) == 1
    assert says(cluster, issuer.token()) == (200, None)
    log = cluster.broker.log.read_text()
    assert "the JWT has expired" in log  # of the others it tells ten in a second
    assert issuer.token().split(".")[2] not in log


@pytest.mark.parametrize("role", [None, "", "king", "gateway", "none", "Admin", 7, ["admin"]])
def test_who_has_no_role_is_told(trusting, rsa, role):
    cluster = trusting(rsa)
    assert says(cluster, rsa.token(role)) == (403, "NO_ROLE")
    assert says(cluster, rsa.token(role)) == (403, "NO_ROLE")  # as the gateway remembers it


def test_the_role_stands_where_the_broker_was_told(trusting, rsa):
    cluster = trusting(rsa, "--jwt-role-claim", "https://gleaner.example/role")
    assert says(cluster, rsa.token("admin")) == (403, "NO_ROLE")
    assert says(cluster, rsa.token(None, **{"https://gleaner.example/role": "admin"})) == (200, None)


def test_a_role_may_what_it_may_with_a_token(trusting, rsa):
    cluster = trusting(rsa)
    create_job = ("POST", "/api/jobs/create", {"command": "true", "fileUrl": "/uploads/none.zip", "filename": "p.zip"})
    register = ("POST", "/api/workers/register", {"workerId": "w1", "hostname": "h"})
    calls = [create_job, register, ("POST", "/api/workers/drain", {"workerId": "none"}), ("GET", "/api/jobs", None),
             ("GET", "/api/audit", None)]
    table = {"viewer": "403 403 403 200 403", "submitter": "200 403 403 200 403", "worker": "403 200 403 403 403", "admin": "200 200 404 200 200"}
    for role, words in table.items():
        client = TokenClient(cluster, rsa.token(role, sub="w1"))
        got = [client.get(path).status if method == "GET" else client.post(path, body).status for method, path, body in calls]
        assert " ".join(map(str, got)) == words, role


def test_it_counts_until_its_end_and_no_longer(trusting, rsa):
    cluster = trusting(rsa)
    end = int(time.time()) + 3
    client = TokenClient(cluster, rsa.token(exp=end))
    assert client.get("/api/info").status == 200
    while time.time() < end - 0.5:
        assert client.get("/api/info").status == 200
        time.sleep(0.1)
    wait_until(lambda: client.get("/api/info").status == 401, 3)
    assert time.time() >= end


def test_its_jobs_are_its_subjects(trusting, rsa):
    cluster = trusting(rsa)
    mine = TokenClient(cluster, rsa.token("submitter"))
    job = mine.create()
    assert TokenClient(cluster, rsa.token("submitter", seconds=60)).status(job)["owner"] == "jwt:alice"  # another token of hers
    namesake = TokenClient(cluster, create(cluster, "submitter", "alice"))
    wait_until(lambda: namesake.get("/api/jobs").status == 200)
    assert namesake.get(f"/api/jobs/status?jobId={job}").status == 404
    assert TokenClient(cluster, rsa.token("submitter", sub="bob")).get(f"/api/jobs/status?jobId={job}").status == 404
    assert mine.post("/api/jobs/cancel", {"jobId": job}).status == 200
    admin = TokenClient(cluster, rsa.token(sub="root"))
    told = [(e["what"], e.get("identity"), e.get("name"), e["role"]) for e in admin.get("/api/audit")["entries"]]
    assert ("job-create", "jwt", "jwt:alice", "submitter") in told and ("job-cancel", "jwt", "jwt:alice", "submitter") in told


def test_no_token_can_be_named_so(cluster):
    with pytest.raises(AssertionError, match="must not begin with 'jwt:'"):
        command(cluster, "create", "--role", "submitter", "--name", "jwt:alice")


def test_a_workers_jwt_speaks_for_its_subject(trusting, rsa):
    cluster = trusting(rsa)
    native, token = cluster.native(), rsa.token("worker", sub="pc-1")
    assert native.ask("worker-register", auth=token, workerId="pc-1", hostname="h")["type"] == "worker-register-ok"
    assert native.ask("worker-register", auth=token, workerId="pc-2", hostname="h")["code"] == "WORKER_TOKEN_BOUND"
    bound = create(cluster, "worker", "lab")
    wait_until(lambda: native.ask("worker-register", auth=bound, workerId="pc-3", hostname="h")["type"] == "worker-register-ok")
    assert native.ask("worker-register", auth=rsa.token("worker", sub="pc-3"), workerId="pc-3", hostname="h")["code"] == "WORKER_TOKEN_BOUND"


@pytest.mark.parametrize("transport", ["http", "native"])
def test_a_worker_shows_one(trusting, rsa, tmp_path, transport):
    cluster = trusting(rsa)
    path = tmp_path / "token"
    path.write_text(rsa.token("worker", sub="lab-1"))
    path.chmod(0o600)
    cluster.worker(transport, "--id", "lab-1", "--token-file", path)
    alice = TokenClient(cluster, rsa.token("submitter"))
    assert alice.wait_job(alice.submit("true"), 60)["status"] == "completed"


def test_a_subject_asks_as_often_with_many_as_with_one(trusting, rsa):
    cluster = trusting(rsa, gateway_args=["--rate", "5", "--rate-burst", "20"])
    tokens = [rsa.token("viewer", seconds=HOUR + i) for i in range(4)]
    clients = [TokenClient(cluster, token) for token in tokens]
    time.sleep(0.5)
    answers = [client.get("/api/info").status for _ in range(3) for client in clients]
    assert answers.count(200) == 12
    other = TokenClient(cluster, rsa.token("viewer", sub="bob"))
    answers = [client.get("/api/info").status for _ in range(5) for client in clients]
    assert answers.count(429) > 5 and other.get("/api/info").status in (200, 429)  # the address has a bucket of its own


def test_a_key_that_cannot_be_used_is_told_of(tmp_path, rsa):
    curve, secret = Issuer(tmp_path, "ES256"), Issuer(tmp_path, "HS256")

    def told(key, algorithm, text, *more):
        args = ["--listen", "tcp://127.0.0.1:0", "--data", tmp_path / "data", "--jwt-key", key, "--jwt-algorithm", algorithm]
        refuses(tmp_path, "broker", *args, *(more or ("--jwt-issuer", NAME, "--jwt-audience", AUDIENCE)), says=text)

    told(tmp_path / "none", "RS256", "cannot read")
    told(tmp_path, "RS256", "cannot read")
    told(curve.key, "RS256", "RS256 needs: an RSA public key")
    told(rsa.key, "ES256", "ES256 needs: a public key on the curve P-256")
    told(secret.key, "RS256", "RS256 needs")
    told(rsa.key, "HS256", "HS256 needs: a secret")  # a public key is no secret
    short = tmp_path / "short"
    short.write_text("x" * 31 + "\n")
    short.chmod(0o600)
    told(short, "HS256", "32 bytes")
    secret.key.chmod(0o644)
    told(secret.key, "HS256", "chmod 600")
    told(rsa.key, "none", "jwt-algorithm")
    told(rsa.key, "RS256", "go together", "--jwt-issuer", NAME)
    refuses(tmp_path, "broker", "--data", tmp_path / "data", "--jwt-audience", AUDIENCE, says="go together")
