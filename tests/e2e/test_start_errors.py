"""What ends a program at its start: status 2 and one sentence on stderr, for each mistake."""

import os
import socket
import sqlite3

import pytest

from cluster import Program

LINE_MAX = 400


def refuses(tmp_path, name, *args, env=None, says=""):
    """Ends with 2 and says `says` in one line."""
    program = Program(name, args, tmp_path / f"{name}-refused.log").spawn(env)
    try:
        status = program.wait(10)
    finally:
        program.kill()
    lines = program.lines()[program.lines_before:]
    assert status == 2, (status, lines)
    assert len(lines) == 1 and says in lines[0] and len(lines[0]) < LINE_MAX, lines
    return lines[0]


def good(tmp_path, name):
    """Options that name would start with."""
    return {"broker": ["--listen", "tcp://127.0.0.1:0", "--data", tmp_path / "data"],
            "gateway": ["--listen", "127.0.0.1:0", "--broker", "tcp://127.0.0.1:1", "--cache-dir", tmp_path / "cache"],
            "worker": ["--broker", "tcp://127.0.0.1:1", "--work-dir", tmp_path / "work"]}[name]


NAMES = pytest.mark.parametrize("name", ["broker", "gateway", "worker"])


@NAMES
def test_an_unknown_option(tmp_path, name):
    refuses(tmp_path, name, *good(tmp_path, name), "--no-such-option", says="no-such-option")


@NAMES
def test_an_option_without_its_value(tmp_path, name):
    refuses(tmp_path, name, *good(tmp_path, name), "--log-level", says="log-level")


@NAMES
def test_a_value_out_of_its_range(tmp_path, name):
    refuses(tmp_path, name, *good(tmp_path, name), "--log-level", "loud", says="log-level")


@NAMES
def test_an_argument_that_is_no_option(tmp_path, name):
    refuses(tmp_path, name, *good(tmp_path, name), "stray", says="stray")


@pytest.mark.parametrize("name, option, value", [
    ("broker", "--lease", "5 parsecs"), ("broker", "--lease", "-1s"), ("broker", "--offline", "0"), ("broker", "--listen", "nowhere"),
    ("broker", "--listen", "tcp://127.0.0.1:99999"), ("gateway", "--listen", "127.0.0.1:99999"), ("gateway", "--listen", "127.0.0.1"),
    ("gateway", "--broker", "http://127.0.0.1:1"), ("gateway", "--body-max", "many"), ("worker", "--slots", "0"), ("worker", "--slots", "1e3"),
    ("worker", "--poll-wait", "1h"), ("worker", "--broker", "127.0.0.1:5555")])
def test_a_bad_value_is_named_with_its_option(tmp_path, name, option, value):
    args = good(tmp_path, name)
    if option in args:
        del args[args.index(option):args.index(option) + 2]
    refuses(tmp_path, name, *args, option, value, says=option.lstrip("-"))


@NAMES
def test_help_is_no_error(tmp_path, name):
    program = Program(name, ["--help"], tmp_path / "help.log").spawn()
    assert program.wait(10) == 0
    assert f"gleaner-{name}" in program.lines()[0] and any("--log-level" in line for line in program.lines())


def test_a_bad_value_in_the_environment(tmp_path):
    refuses(tmp_path, "broker", *good(tmp_path, "broker"), env={"GLEANER_BROKER_LEASE": "soon"}, says="GLEANER_BROKER_LEASE")


def test_the_environment_counts_and_the_command_line_counts_more(tmp_path):
    refuses(tmp_path, "broker", "--listen", "tcp://127.0.0.1:0", env={"GLEANER_BROKER_DATA": "/proc/no"}, says="/proc/no")
    broker = Program("broker", good(tmp_path, "broker"), tmp_path / "b.log").start(env={"GLEANER_BROKER_DATA": "/proc/no"})
    assert broker.stop() == 0


def test_a_worker_needs_one_server(tmp_path):
    refuses(tmp_path, "worker", "--work-dir", tmp_path / "w", says="--server")
    refuses(tmp_path, "worker", *good(tmp_path, "worker"), "--server", "http://127.0.0.1:1", says="--server")


def test_a_taken_port(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refuses(tmp_path, "broker", "--listen", f"tcp://127.0.0.1:{port}", "--data", tmp_path / "data", says=str(port))
        refuses(tmp_path, "gateway", "--listen", f"127.0.0.1:{port}", "--cache-dir", tmp_path / "cache", says=str(port))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    refuses(tmp_path, "broker", "--listen", "tcp://127.0.0.1:0", "--data", closed / "data", says=str(closed))
    refuses(tmp_path, "gateway", "--listen", "127.0.0.1:0", "--cache-dir", closed / "cache", says=str(closed))
    refuses(tmp_path, "worker", "--broker", "tcp://127.0.0.1:1", "--work-dir", closed / "work", says=str(closed))


@pytest.mark.parametrize("name, option", [("broker", "--data"), ("gateway", "--cache-dir"), ("worker", "--work-dir")])
def test_a_folder_that_is_a_file_or_cannot_be_made(tmp_path, name, option):
    file = tmp_path / "file"
    file.touch()
    for folder in (file, file / "below", "/proc/gleaner"):
        args = good(tmp_path, name)
        args[args.index(option) + 1] = folder
        refuses(tmp_path, name, *args, says=str(folder))


def test_a_second_broker_on_the_same_data(cluster, tmp_path):
    refuses(tmp_path, "broker", "--listen", "tcp://127.0.0.1:0", "--data", cluster.folder / "data", says=str(cluster.folder / "data"))
    assert cluster.api.get("/api/info").status == 200


def test_a_second_worker_in_the_same_folder(cluster, tmp_path):
    worker = cluster.worker("http")
    refuses(tmp_path, "worker", "--server", cluster.server, "--work-dir", worker.folder, says=str(worker.folder))
    assert worker.running


def test_a_newer_schema_is_refused_and_left_alone(clusters, tmp_path):
    cluster = clusters(gateway=False)
    assert cluster.broker.stop() == 0
    (store,) = [p for p in (cluster.folder / "data").iterdir() if p.is_file() and p.read_bytes()[:15] == b"SQLite format 3"]
    with sqlite3.connect(store) as db:
        db.execute("PRAGMA user_version = 9999")
    db.close()
    before = store.read_bytes()
    refuses(tmp_path, "broker", *cluster.broker.args, says="9999")
    assert store.read_bytes() == before


def test_a_store_that_is_no_database(clusters, tmp_path):
    cluster = clusters(gateway=False)
    assert cluster.broker.stop() == 0
    (store,) = [p for p in (cluster.folder / "data").iterdir() if p.is_file() and p.read_bytes()[:15] == b"SQLite format 3"]
    store.write_bytes(b"This is not a database. " * 1000)
    refuses(tmp_path, "broker", *cluster.broker.args, says="data")


def test_a_worker_waits_for_a_server_that_is_not_there_yet(clusters):
    """Not an error: it says so once, and begins when the broker comes."""
    cluster = clusters()
    cluster.broker.kill()
    worker = Program("worker", ["--broker", cluster.broker_url, "--work-dir", cluster.folder / "early"], cluster.folder / "early.log")
    cluster.programs.append(worker.spawn())
    worker.wait_event("server-away")
    cluster.broker.start()
    worker.wait_event("worker-ready", 15)
