#!/usr/bin/python3
"""Makes a golden data directory with programs of an earlier version: make.py SCHEMA PROGRAMS COMMIT

SCHEMA is the version that they write, PROGRAMS their folder. What comes of it: tests/golden/schema-N with `record.sql`, the
database as SQL; the files beside it; and `expected.json`, what the programs themselves answered about it before they ended.
Only what every version knows is used unless SCHEMA says that it is there.
"""

import hashlib
import json
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/lib"))
sys.dont_write_bytecode = True

from client import Client  # noqa: E402
from cluster import wait_until  # noqa: E402

MADE_ANEW = ("lock", "held-room", "control-token", "gleaner.db", "gleaner.db-wal", "gleaner.db-shm")  # or kept as text
REDO = "gleaner.db-redo"
LARGE_MAX = 64 * 1024  # of one file: a golden directory is to stay small


class Running:
    def __init__(self, name, programs, *args, env=None):
        self.log = tempfile.TemporaryFile("w+b")
        self.process = subprocess.Popen([programs / f"gleaner-{name}", *map(str, args)], stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, env=env)
        self.name = name
        wait_until(self.ready, 10, f"{name}-ready")

    def text(self):
        self.log.seek(0)
        return self.log.read().decode()

    def ready(self):
        assert self.process.poll() is None, self.text()
        return f"{self.name}-ready" in self.text()

    def address(self):
        return self.text().split("listening on ")[1].split()[0].rstrip(",").removeprefix("http://").rstrip("/")

    def stop(self):
        self.process.terminate()
        assert self.process.wait(20) == 0, self.text()


class Teller(Client):
    token = None

    def request(self, method, path, body=None, headers=None):
        shown = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return super().request(method, path, body, {**shown, **(headers or {})})


def make_jobs(api, schema):
    """What ends before the worker is stopped."""
    options = {}
    if schema >= 2:
        options = {"artifacts": "*.out", "env": "A=b", "labels": "story=golden", "name": "a name", "idempotencyKey": "once", "priority": "5"}
    jobs = {
        "completed": api.submit("cat a.txt\necho to stderr >&2\necho more >x.out", files={"a.txt": "hello\n"}, **options),
        "failed": api.submit("echo evidence >&2\nexit 3"),
        "long": api.submit("seq 1 3600"),  # longer than what lives in the database
    }
    if schema >= 2:
        jobs["tried-twice"] = api.submit("exit 7", retryOnExit="7", maxAttempts="2", backoffMs="1")
    if schema >= 4:
        jobs["secret"] = api.submit('echo "$KEY"', secrets='{"KEY":"a secret of its own"}')
    for job in jobs.values():
        api.wait_job(job)
    return jobs


def leave_undone(api, jobs):
    """A job that is queued, one that was cancelled, and one under a lease of which some output has come."""
    jobs["running"] = api.submit("echo begun; echo ended", files={"b.txt": "second\n"})
    api.post("/api/workers/register", {"workerId": "gone", "hostname": "gone", "os": "Linux", "cpuCount": 2, "version": "1"})
    got = api.get("/api/jobs/get-job?workerId=gone").json["job"]
    assert got["jobId"] == jobs["running"]
    api.post("/api/jobs/stream-output", {"jobId": got["jobId"], "workerId": "gone", "data": "begun\n", "type": "stdout"})
    jobs["pending"] = api.submit("cat c.txt; echo run by a later version", files={"c.txt": "third\n"})
    jobs["cancelled"] = api.submit("true")
    api.post("/api/jobs/cancel", {"jobId": jobs["cancelled"]})


def brief(value):
    """Long texts by their hash: the files and the record have them."""
    if isinstance(value, str) and len(value) > 1000:
        return "sha256:" + hashlib.sha256(value.encode()).hexdigest()
    if isinstance(value, dict):
        return {name: brief(one) for name, one in value.items()}
    return [brief(one) for one in value] if isinstance(value, list) else value


def expected(api, jobs, schema, tokens, commit):
    told = {"schema": schema, "commit": commit, "jobs": {}, "outputs": {}, "artifacts": {}, "tokens": tokens}
    for name, job in jobs.items():
        told["jobs"][name] = api.status(job)
        if name in ("completed", "failed", "long"):
            told["outputs"][name] = {stream: api.get(f"/api/jobs/output?jobId={job}&stream={stream}").body.decode() for stream in ("stdout", "stderr")}
    told["workers"] = api.get("/api/workers/list").json["workers"]
    return told


def keep(data, folder):
    """The data directory without what is made anew at each start; the database as text."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    database = sqlite3.connect(data / "gleaner.db")
    version, application = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id"))
    lines = [*database.iterdump(), f"PRAGMA application_id = {application};", f"PRAGMA user_version = {version};"]
    database.close()
    (folder / "record.sql").write_text("\n".join(lines) + "\n")
    for path in sorted(data.rglob("*")):
        name = path.relative_to(data)
        if not path.is_file() or name.name in MADE_ANEW:
            continue
        content = path.read_bytes()
        if name.name == REDO:
            content = content.rstrip(b"\0")  # it is laid out ahead
        assert len(content) <= LARGE_MAX, (name, len(content))
        (folder / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "files" / name).write_bytes(content)
    return version


def main(schema, programs, commit):
    programs, schema = pathlib.Path(programs).resolve(), int(schema)
    with tempfile.TemporaryDirectory() as temporary:
        temporary = pathlib.Path(temporary)
        data, tokens = temporary / "data", {}
        if schema >= 5:
            for role in ("admin", "submitter", "worker"):
                done = subprocess.run([programs / "gleaner-broker", "token", "create", "--role", role, "--name", f"the {role}", "--data", data],
                                      capture_output=True, text=True, check=True)
                tokens[role] = done.stdout.strip()
        broker = Running("broker", programs, "--listen", "tcp://127.0.0.1:0", "--data", data)
        (temporary / "web").mkdir()
        gateway = Running("gateway", programs, "--listen", "127.0.0.1:0", "--broker", broker.address(), "--web", temporary / "web",
                          *(["--cache-dir", temporary / "cache"] if schema >= 2 else []))
        host, port = gateway.address().rsplit(":", 1)
        api = Teller(host, int(port))
        api.token = tokens.get("submitter")
        (temporary / "token").write_text(tokens.get("worker", "") + "\n")
        (temporary / "token").chmod(0o600)
        worker = Running("worker", programs, "--server", f"http://{host}:{port}", "--id", "golden", "--work-dir", temporary / "work",
                         *(["--unsafe-no-sandbox"] if schema >= 4 else []), *(["--token-file", temporary / "token"] if tokens else []))
        jobs = make_jobs(api, schema)
        worker.stop()
        if tokens:
            api.token = tokens["admin"]
            job = {"command": "true", "fileUrl": "/uploads/none.zip", "filename": "p.zip", "requires": {"worker": "nobody"}}
            jobs["of-the-admin"] = api.post("/api/jobs/create", job).json["jobId"]
        leave_undone(api, jobs)
        time.sleep(0.2)  # what the record is told now and then
        told = expected(api, jobs, schema, tokens, commit)
        if schema >= 2:
            told["artifacts"]["completed"] = api.get(f"/api/jobs/artifacts?jobId={jobs['completed']}").body.hex()
        gateway.stop()
        broker.process.kill()  # what its redo log holds is not in the database then
        broker.process.wait()
        folder = TOP / f"tests/golden/schema-{schema}"
        version = keep(data, folder)
        assert version == schema, version
        (folder / "expected.json").write_text(json.dumps(brief(told), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
