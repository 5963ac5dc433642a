"""A broker opens the data of every earlier version: golden/schema-N were written by programs of that version (golden/README.md)."""

import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess

import pytest

from client import Client
from cluster import BIN, SANITIZERS, Cluster, wait_until

TOP = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = TOP / "tests/golden"
SCHEMAS = sorted((int(path.name.split("-")[1]) for path in GOLDEN.glob("schema-*")))
NOW = int(re.search(r"SCHEMA_VERSION = (\d+)", (TOP / "broker/store_sqlite_schema.c").read_text()).group(1))
KEEP = [word for what in ("jobs", "output", "artifacts", "uploads") for word in (f"--keep-{what}", "0")]  # they grow old
BROKER = [BIN / "gleaner-broker", "--listen", "tcp://127.0.0.1:0", *KEEP]

# What may differ: what is told of a worker that is not there any more, and what an earlier version did not tell at all.
OF_A_WORKER = ("workerId", "hostname", "os", "cpuCount", "version")
REDO_SIZE = 4 * 1024 * 1024  # as it is laid out; kept without the zeros at its end
OF_THE_WAIT = ("waitingReason", "waiting")
SHOWN = ("stdout", "stderr", "outputCut")  # the first versions showed less of a long output


class Teller(Client):
    token = None

    def request(self, method, path, body=None, headers=None):
        shown = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return super().request(method, path, body, {**shown, **(headers or {})})


def brief(value):
    """As golden/make.py keeps it."""
    if isinstance(value, str) and len(value) > 1000:
        return "sha256:" + hashlib.sha256(value.encode()).hexdigest()
    return value


def unpack(schema, data):
    """A golden directory as a broker of that version left it."""
    shutil.copytree(GOLDEN / f"schema-{schema}/files", data)
    for folder in (data, *data.rglob("*")):
        folder.chmod(0o700 if folder.is_dir() else 0o600)
    if (data / "gleaner.db-redo").exists():
        os.truncate(data / "gleaner.db-redo", REDO_SIZE)
    database = sqlite3.connect(data / "gleaner.db")
    database.execute("PRAGMA journal_mode = WAL")  # as all versions have it
    database.executescript((GOLDEN / f"schema-{schema}/record.sql").read_text())
    database.close()
    (data / "gleaner.db").chmod(0o600)


def schema_of(data):
    database = sqlite3.connect(data / "gleaner.db")
    version = database.execute("PRAGMA user_version").fetchone()[0]
    database.close()
    return version


class Upgraded:
    def __init__(self, folder, schema, fresh=True):
        self.expected = json.loads((GOLDEN / f"schema-{schema}/expected.json").read_text())
        if fresh:
            folder.mkdir()
            unpack(schema, folder / "data")
        self.cluster = Cluster(folder, broker_args=[*KEEP, "--lease", "2s", "--offline", "2s", "--heartbeat", "500ms", "--retry-backoff", "100ms"])
        self.api = Teller("127.0.0.1", self.cluster.port)
        self.api.token = self.expected["tokens"].get("admin")
        self.cluster.on_close(self.api)

    def worker(self):
        path = self.cluster.folder / "worker.token"
        path.write_text(self.expected["tokens"].get("worker", "") + "\n")
        path.chmod(0o600)
        self.cluster.worker("http", "--id", "golden", *(["--token-file", path] if self.api.token else []))


@pytest.fixture(params=SCHEMAS)
def upgraded(request, tmp_path):
    made = Upgraded(tmp_path / "cluster", request.param)
    yield made
    made.cluster.close()


def held_to(upgraded, but=()):
    """Everything that the earlier version told is told as it told it."""
    expected, api = upgraded.expected, upgraded.api
    for name, was in expected["jobs"].items():
        now = api.status(was["jobId"])
        for field, value in was.items():
            if name in but or field in OF_THE_WAIT or (was["outputCut"] and field in SHOWN):
                continue
            said = now[field]
            if field == "attempts" and value:
                said = [{key: one[key] for key in old} for old, one in zip(value, said, strict=True)]
            assert brief(said) == value, (name, field)
    for name, streams in expected["outputs"].items():
        for stream, text in streams.items():
            got = api.get(f"/api/jobs/output?jobId={expected['jobs'][name]['jobId']}&stream={stream}")
            assert got.status == 200 and brief(got.body.decode()) == text, (name, stream)
    for name, data in expected["artifacts"].items():
        assert api.get(f"/api/jobs/artifacts?jobId={expected['jobs'][name]['jobId']}").body == bytes.fromhex(data)
    workers = {worker["workerId"]: worker for worker in api.get("/api/workers/list")["workers"]}
    assert {worker["workerId"] for worker in expected["workers"]} <= set(workers)
    for worker in expected["workers"]:
        if worker["workerId"] != "golden" or not but:
            assert [workers[worker["workerId"]][field] for field in OF_A_WORKER] == [worker[field] for field in OF_A_WORKER]


def test_every_earlier_schema_has_its_golden_directory():
    assert SCHEMAS == list(range(1, NOW))


def test_an_earlier_record_is_all_there_and_goes_on(upgraded):
    cluster, expected = upgraded.cluster, upgraded.expected
    undone = ("running", "pending", "of-the-admin")
    held_to(upgraded, but=("running",))
    if upgraded.api.token:
        listed = json.loads(cluster.broker_does("token", "list", "--json").stdout)
        assert {one["role"] for one in listed} >= {"admin", "submitter", "worker"}
        mine = Teller("127.0.0.1", cluster.port)
        mine.token = expected["tokens"]["submitter"]
        cluster.on_close(mine)
        assert mine.get(f"/api/jobs/status?jobId={expected['jobs']['completed']['jobId']}")["owner"] == "the submitter"
        assert mine.get(f"/api/jobs/status?jobId={expected['jobs']['of-the-admin']['jobId']}").status == 404
    cluster.broker.stop()  # a second start
    assert schema_of(cluster.folder / "data") == NOW
    assert "damaged" not in cluster.broker_does("--check").stdout
    cluster.broker.start()
    wait_until(lambda: upgraded.api.get("/api/info").status == 200)
    upgraded.worker()
    ended = upgraded.api.wait_job(expected["jobs"]["pending"]["jobId"])
    assert (ended["status"], ended["stdout"]) == ("completed", "third\nrun by a later version\n")
    ended = upgraded.api.wait_job(expected["jobs"]["running"]["jobId"])  # its worker has not come back
    assert (ended["status"], ended["stdout"], ended["attempt"]) == ("completed", "begun\nended\n", 2)
    held_to(upgraded, but=undone)


def refused(data):
    done = subprocess.run([*BROKER, "--data", data], capture_output=True, text=True, timeout=30,
                          env=SANITIZERS)
    assert done.returncode != 0 and "broker-ready" not in done.stderr
    return done.stderr


def test_a_record_of_a_later_schema_is_left_alone(tmp_path):
    data = tmp_path / "data"
    unpack(NOW - 1, data)
    database = sqlite3.connect(data / "gleaner.db")
    database.execute("PRAGMA user_version = 99")
    database.close()
    before = (data / "gleaner.db").read_bytes()
    said = refused(data)
    assert f"schema 99, this one knows {NOW}" in said and "upgrade it" in said, said
    assert (data / "gleaner.db").read_bytes() == before


def dies_at_write(data, number):
    """Starts a broker that a kill -9 ends at that write to a file. False: it was up before it came so far."""
    command = [*BROKER, "--data", data]
    killer = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64", "-e", f"inject=pwrite64:signal=SIGKILL:when={number}"]
    process = subprocess.Popen([*killer, *command], stderr=subprocess.PIPE, text=True, env=SANITIZERS)
    up = any("broker-ready" in line for line in process.stderr)
    if up:
        broker = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        os.kill(int(broker), signal.SIGKILL)
    assert process.wait(30) == -9
    process.stderr.close()
    return not up


@pytest.mark.skipif(subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True).returncode != 0, reason="strace may not trace here")
@pytest.mark.parametrize("schema", SCHEMAS[::3])
def test_a_kill_within_the_migration_leaves_it_openable(tmp_path, schema):
    folder = tmp_path / "cluster"
    folder.mkdir()
    unpack(schema, folder / "data")
    versions = [schema]
    for number in (3, 5, 7, 10, 15, 20, 25, 22):
        if not dies_at_write(folder / "data", number):
            break
        versions.append(schema_of(folder / "data"))
    assert len(versions) > 2 and versions == sorted(versions), versions
    if schema < 3:
        assert any(schema < version < NOW for version in versions), versions
    again = Upgraded(folder, schema, fresh=False)
    held_to(again, but=("running",))
    again.cluster.close()
