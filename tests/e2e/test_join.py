"""One command sets a worker or a gateway up: a join code, once."""

import time

import pytest
import zmq

from cluster import Program, wait_until
from joining import fresh_keys, joined, read_code, write_code
from test_start_errors import refuses

REFUSED = "wrong, used up or too old"


@pytest.fixture
def curved(clusters):
    return lambda **options: clusters(curve=True, **options)


def test_joined_once_and_at_work_ever_after(curved):
    cluster = curved()
    worker = cluster.worker("joined", "--join", cluster.enroll("worker", "--name", "lab"), "--id", "w1")
    kept = worker.folder / "broker.key"
    assert kept.stat().st_mode & 0o777 == 0o600 and not (worker.folder / "broker.key.joining").exists()
    assert worker.stop() == 0
    code, worker.args = worker.args[1], ["--work-dir", worker.folder]
    worker.start()  # without the code
    assert cluster.api.wait_job(cluster.api.submit("true"))["status"] == "completed"
    assert worker.stop() == 0
    worker.args += ["--join", code]  # as a service would that has it in its settings
    worker.start()
    assert worker.events("not-joined")
    assert cluster.api.wait_job(cluster.api.submit("true"))["status"] == "completed"


def test_what_has_joined_is_known_after_the_broker_was_killed(curved):
    cluster = curved()
    cluster.worker("joined", "--join", cluster.enroll(), "--id", "w1")
    cluster.broker.kill()
    cluster.broker.start()
    wait_until(lambda: cluster.api.get("/api/workers/list").status == 200 and cluster.api.worker("w1")["status"] == "idle", 20)
    assert cluster.api.wait_job(cluster.api.submit("true"))["status"] == "completed"


def test_once(curved):
    cluster = curved(gateway=False)
    code = cluster.enroll()
    program = Program("worker", ["--join", code, "--work-dir", cluster.folder / "one", "--once"], cluster.folder / "one.log").spawn()
    try:
        program.wait_event("worker-ready", 20)
    finally:
        assert program.stop() == 0


def bad_codes(cluster):
    """Codes that are worth nothing, by what is wrong with them."""
    used = cluster.enroll()
    native = cluster.native(keys=fresh_keys(used))
    assert native.ask("join", code=read_code(used)["code"], workerId="first")["type"] == "join-ok"
    good = read_code(cluster.enroll())
    expired = cluster.enroll("worker", "--expires", "1s")
    time.sleep(1.1)  # it is the clock that is waited for
    return {"used": used, "expired": expired, "another's secret": write_code(**{**good, "code": read_code(used)["code"][:-4] + "AAAA"}),
            "a gateway's": cluster.enroll("gateway")}


def test_codes_that_are_worth_nothing_all_get_one_answer(tmp_path, curved):
    cluster = curved(gateway=False)
    for why, code in bad_codes(cluster).items():
        line = refuses(tmp_path, "worker", "--join", code, "--work-dir", tmp_path / why.replace(" ", "-"), says=REFUSED)
        assert read_code(code)["code"] not in line, why


def test_a_code_for_several(curved):
    cluster = curved(gateway=False)
    code = cluster.enroll("worker", "--uses", "2")
    answers = [cluster.native(keys=fresh_keys(code)).ask("join", code=read_code(code)["code"], workerId=f"w{i}") for i in range(2)]
    assert [a["type"] for a in answers] == ["join-ok", "join-ok"]
    cluster.enroll()  # so that a stranger may still ask
    third = cluster.native(keys=fresh_keys(code)).ask("join", code=read_code(code)["code"], workerId="w2")
    assert third["code"] == "JOIN_REFUSED"


def test_an_answer_that_was_lost_is_given_again(curved):
    cluster = curved(gateway=False)
    code = cluster.enroll()
    keys = fresh_keys(code)
    for _ in range(2):
        answer = cluster.native(keys=keys).ask("join", code=read_code(code)["code"], workerId="w1")
        assert answer["type"] == "join-ok"
    assert cluster.native(keys=keys).ask("join", code=read_code(code)["code"], workerId="w2")["code"] == "JOIN_REFUSED"


def test_a_worker_that_is_known_is_not_taken_over(curved):
    cluster = curved(gateway=False)
    joined(cluster, "w1")
    code = cluster.enroll()
    assert cluster.native(keys=fresh_keys(code)).ask("join", code=read_code(code)["code"], workerId="w1")["code"] == "JOIN_REFUSED"


def test_guessing_is_slowed_down(curved):
    cluster = curved(gateway=False)
    code = read_code(cluster.enroll())
    stranger = cluster.native(keys=fresh_keys(write_code(**code)))
    codes = [stranger.ask("join", code="gleaner_aaaaaaaaaa_" + "A" * 43, workerId="w1")["code"] for _ in range(25)]
    assert codes[:20] == ["JOIN_REFUSED"] * 20 and codes[20:] == ["TOO_MANY"] * 5


def test_without_curve_nobody_joins(clusters):
    cluster = clusters(gateway=False)
    assert cluster.native().ask("join", code="gleaner_a_b", workerId="w1")["code"] == "JOIN_REFUSED"


@pytest.mark.parametrize("code", ["nonsense", "gleaner-join-", "gleaner-join-AAAA", "gleaner-join-" + "A" * 9000, "gleaner-join-\u00e4"])
def test_what_is_no_code(tmp_path, code):
    refuses(tmp_path, "worker", "--join", code, "--work-dir", tmp_path / "work", says="gleaner-join-")


def test_a_broker_that_is_away(tmp_path, curved):
    cluster = curved(gateway=False)
    code = write_code(**{**read_code(cluster.enroll()), "endpoint": "tcp://127.0.0.1:1"})
    program = Program("worker", ["--join", code, "--work-dir", tmp_path / "work"], tmp_path / "away.log").spawn()
    assert program.wait(30) == 2
    assert "no broker answers at tcp://127.0.0.1:1" in program.lines()[-1]


def test_options_that_do_not_go_together(tmp_path):
    refuses(tmp_path, "worker", "--join", "x", "--server", "http://127.0.0.1:1", "--work-dir", tmp_path / "w", says="give one of")
    refuses(tmp_path, "gateway", "--listen", "127.0.0.1:0", "--join", "x", says="--curve-key FILE")


@pytest.mark.parametrize("args, says", [
    ((), "--broker tcp://THIS-PC:5555"), (("--broker", "http://x"), "--broker tcp://"), (("--broker", "tcp://h:1", "--role", "king"), "role"),
    (("--broker", "tcp://h:1", "--uses", "0"), "uses"), (("--broker", "tcp://h:1", "--expires", "soon"), "expires")])
def test_enroll_says_what_is_missing(clusters, args, says):
    cluster = clusters(gateway=False)
    done = cluster.broker_does("enroll", *args)
    assert done.returncode == 2 and says in done.stderr and done.stdout == ""
