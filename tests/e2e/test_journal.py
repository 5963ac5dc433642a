"""An attempt's journal: kept and served as stdout and stderr are, by workers that write one and beside those that do not."""

import hashlib
import http.client
import pathlib
import sqlite3
import subprocess
import tarfile
import time

import msgpack
import pytest

from cluster import BIN, wait_until

SHORT = b"0 phase download\n40 phase run\n41 begin 1\n43 out 6 1\n50 end 1 0\n"
LONG = b"".join(b"%d out 512 7\n" % ms for ms in range(25_000))  # more than a result takes, and than the record
JOURNAL_MAX = 8 * 1024 * 1024
PIECE = 256 * 1024
SIZES = pytest.mark.parametrize("journal", [SHORT, LONG], ids=["in-its-row", "in-a-file"])


def begin(native):
    """Takes a job as `w`; the fields by which its lease is named."""
    native.ask("worker-register", workerId="w", hostname="h", slots=1)
    lease = native.ask("job-poll", workerId="w", slot=0, wait=5000)
    return {"workerId": "w", **{k: lease[k] for k in ("jobId", "attempt", "token")}}


def write(native, about, data, stream="journal", offset=0):
    """Appends it in pieces; the length that the broker tells then."""
    answer = {"offset": offset}
    for at in range(0, len(data), PIECE):
        answer = native.ask("job-output", **about, stream=stream, offset=offset + at, data=data[at:at + PIECE])
        assert answer["type"] == "job-output-ok", answer
    return answer["offset"]


def end(native, about, journal=b"", **fields):
    return native.ask("job-result", **about, **{"exitCode": 0, "stdoutBytes": 0, "stderrBytes": 0, "journalBytes": len(journal), **fields})


def read(cluster, job, query="", **headers):
    return cluster.api.get(f"/api/jobs/output?jobId={job}&stream=journal{query}", **headers)


def finished(cluster, native, journal, **fields):
    job = cluster.api.create(**fields)
    about = begin(native)
    write(native, about, journal)
    assert end(native, about, journal)["type"] == "job-result-ok"
    return job


@SIZES
@pytest.mark.parametrize("transport", ["zmq", "http"])
def test_it_is_written_sealed_and_read(cluster, transport, journal):
    native, api = cluster.native(), cluster.api
    job = api.create()
    about = begin(native)
    lease = f"jobId={job}&workerId=w&attempt=1&token={about['token']}"
    if transport == "zmq":
        write(native, about, journal)
    for at in range(0, len(journal), PIECE) if transport == "http" else ():
        answer = api.request("POST", f"/api/jobs/output?{lease}&stream=journal&offset={at}", journal[at:at + PIECE],
                             {"Content-Type": "application/octet-stream"})
        assert answer.status == 200 and answer["offset"] == min(at + PIECE, len(journal)), answer
    running = api.status(job)
    assert (running["status"], running["journalBytes"]) == ("running", len(journal)) and read(cluster, job).body == journal
    sha256 = hashlib.sha256(journal).hexdigest()
    short = end(native, about, journal[:-1])
    assert (short["code"], short["stream"], short["offset"]) == ("OUTPUT_MISMATCH", "journal", len(journal))
    wrong = end(native, about, journal, journalSha256="0" * 64)
    assert (wrong["code"], wrong["stream"], wrong["offset"]) == ("OUTPUT_MISMATCH", "journal", len(journal))
    assert end(native, about, journal, journalSha256=sha256)["type"] == "job-result-ok"
    status = api.status(job)
    assert (status["status"], status["journalBytes"], status["journalSha256"]) == ("completed", len(journal), sha256)
    whole = read(cluster, job)
    assert whole.body == journal and whole.headers["X-Output-Bytes"] == str(len(journal)) and whole.headers["X-Attempt"] == "1"
    part = read(cluster, job, Range="bytes=10-29")
    assert (part.status, part.body, part.headers["Content-Range"]) == (206, journal[10:30], f"bytes 10-29/{len(journal)}")
    assert read(cluster, job, f"&offset={len(journal) - 5}").body == journal[-5:]
    beyond = read(cluster, job, f"&offset={len(journal) + 1}")
    assert (beyond.status, beyond["code"]) == (416, "BEYOND_END")
    assert read(cluster, job, "&attempt=1").body == journal and read(cluster, job, "&attempt=2").status == 404


@SIZES
def test_it_comes_with_the_result(cluster, journal):
    """As a text of `submit-result`, however long; and of a failure, too."""
    native, api = cluster.native(), cluster.api
    job = api.create()
    about = begin(native)
    write(native, about, b"what stood there before")
    answer = api.post("/api/jobs/submit-result", {**about, "exitCode": 0, "stdout": "out", "stderr": "", "journal": journal.decode()})
    assert answer.status == 200, answer
    status = api.status(job)
    assert (status["stdout"], status["journalBytes"]) == ("out", len(journal)) and read(cluster, job).body == journal
    job = api.create()
    failure = {**begin(native), "errorMessage": "why", "reason": "file-missing", "journal": SHORT.decode()}
    assert api.request("PUT", "/api/jobs/submit-result", failure).status == 200
    assert api.status(job)["reason"] == "file-missing" and read(cluster, job).body == SHORT


def test_it_is_followed_as_it_comes(cluster):
    native, asker = cluster.native(), cluster.native()
    job = cluster.api.create()
    about = begin(native)
    connection = http.client.HTTPConnection("127.0.0.1", cluster.port, timeout=20)
    write(native, about, SHORT[:17])
    connection.request("GET", f"/api/jobs/output?jobId={job}&stream=journal&follow=1")
    answer = connection.getresponse()
    assert answer.read(17) == SHORT[:17]
    asker.send(b"", msgpack.packb({"v": 1, "type": "job-follow", "jobId": job, "stream": "journal", "journalOffset": 17, "wait": 20_000}))
    write(native, about, b"hello\n", "stdout")
    assert asker.receive(0.4) is None, "only the journal wakes who asks for the journal"
    write(native, about, SHORT[17:], offset=17)
    got = asker.receive(5)
    assert (got["journal"], got["journalOffset"], got["journalBytes"], got["end"]) == (SHORT[17:], 17, len(SHORT), False)
    assert end(native, about, SHORT, stdoutBytes=6)["type"] == "job-result-ok"
    assert answer.read() == SHORT[17:]
    connection.close()
    every = native.ask("job-follow", jobId=job, journalOffset=0)
    assert (every["stdout"], every["stderr"], every["journal"], every["end"]) == (b"hello\n", b"", SHORT, True)


def test_who_does_not_know_of_it_is_not_bothered(cluster):
    """A job-follow as it always was neither waits for the journal nor gets it, and it makes no events."""
    native, asker = cluster.native(), cluster.native()
    job = cluster.api.create()
    about = begin(native)
    last = native.ask("events-read")["last"]
    asker.send(b"", msgpack.packb({"v": 1, "type": "job-follow", "jobId": job, "wait": 20_000}))
    write(native, about, SHORT)
    assert asker.receive(0.4) is None
    write(native, about, b"hello\n", "stdout")
    got = asker.receive(5)
    assert got["stdout"] == b"hello\n" and not [key for key in got if key.startswith("journal")]
    assert end(native, about, SHORT, stdoutBytes=6)["type"] == "job-result-ok"
    events = native.ask("events-read", after=last, jobId=job, wait=1000)["events"]
    assert {event["stream"] for event in events if event["eventType"] == "output"} <= {"stdout"}
    listed = cluster.api.get("/api/jobs")["jobs"][0]
    assert listed["stdout"] == "hello\n" and not listed["journalBytes"] and not listed["journalSha256"]


@SIZES
def test_it_survives_the_brokers_kill(cluster, journal):
    native = cluster.native()
    job = cluster.api.create()
    about = begin(native)
    half = len(journal) // 2
    write(native, about, journal[:half])
    cluster.broker.kill()
    cluster.broker.start()
    native.open()
    gap = native.ask("job-output", **about, stream="journal", offset=half + 1, data=b"x")
    assert (gap["code"], gap["stream"], gap["offset"]) == ("OUTPUT_GAP", "journal", half)
    write(native, about, journal[half - 5:], offset=half - 5)  # five bytes were there
    digest = hashlib.sha256(journal).hexdigest()
    assert end(native, about, journal, journalSha256=digest, stdout=b"whole", stdoutBytes=5)["type"] == "job-result-ok"
    cluster.broker.kill()
    cluster.broker.start()
    wait_until(lambda: cluster.api.get(f"/api/jobs/status?jobId={job}").status == 200)
    assert cluster.api.status(job)["journalBytes"] == len(journal) and read(cluster, job).body == journal


@SIZES
def test_a_lost_attempts_journal_stays(cluster, journal):
    native = cluster.native()
    job = cluster.api.create(maxAttempts=3, retryOnExit=[75], backoffMs=1)
    first = begin(native)
    write(native, first, journal)
    second = begin(native)  # registering anew gives the lease back
    assert second["attempt"] == 2 and read(cluster, job, "&attempt=1").body == journal and read(cluster, job).body == b""
    write(native, second, b"0 phase run\n")
    assert end(native, second, b"0 phase run\n", exitCode=75)["type"] == "job-result-ok"
    third = begin(native)
    cluster.api.post("/api/jobs/cancel", {"jobId": job})
    assert third["attempt"] == 3
    for attempt, kept in ((1, journal), (2, b"0 phase run\n"), (3, b"")):
        answer = read(cluster, job, f"&attempt={attempt}")
        assert answer.status == 200 and answer.body == kept, attempt
    assert [entry["status"] for entry in cluster.api.status(job)["attempts"]] == ["lost", "failed", "cancelled"]


@SIZES
def test_it_goes_with_the_output(clusters, journal):
    cluster = clusters(broker_args=["--keep-output", "1s"])
    native = cluster.native()
    job = finished(cluster, native, journal)
    wait_until(lambda: read(cluster, job, Range="bytes=0-0").status == 410, 20)  # one piece: it goes while it is read
    status = cluster.api.status(job)
    assert read(cluster, job)["code"] == "OUTPUT_GONE" and status["journalBytes"] == len(journal)
    assert status["outputGone"] is None and cluster.api.get(f"/api/jobs/output?jobId={job}").status == 200  # it printed nothing
    wait_until(lambda: not list((cluster.folder / "data/output").glob("*/*.journal")), 5)


def test_it_has_a_bound(clusters):
    """Its own: what is printed may be bounded by much less."""
    cluster = clusters(broker_args=["--output-max", "64K"])
    native = cluster.native()
    job = cluster.api.create()
    about = begin(native)
    assert write(native, about, bytes(JOURNAL_MAX + PIECE)) == JOURNAL_MAX
    assert native.ask("job-output", **about, stream="journal", offset=JOURNAL_MAX + PIECE, data=b"x")["offset"] == JOURNAL_MAX
    assert cluster.api.get("/api/info")["outputBytes"] == JOURNAL_MAX
    assert end(native, about, bytes(JOURNAL_MAX + 1))["offset"] == JOURNAL_MAX
    assert end(native, about, bytes(JOURNAL_MAX))["type"] == "job-result-ok"
    assert cluster.api.status(job)["journalBytes"] == JOURNAL_MAX
    assert cluster.api.get("/api/info")["outputBytes"] == JOURNAL_MAX


def broker(*args):
    return subprocess.run([BIN / "gleaner-broker", *map(str, args)], capture_output=True, text=True, timeout=60)


def test_it_is_backed_up_and_checked(clusters, tmp_path):
    cluster = clusters()
    native = cluster.native()
    for journal in (SHORT, LONG, b""):
        finished(cluster, native, journal)
    made = broker("--backup", tmp_path / "b.tar", "--data", cluster.folder / "data")
    assert made.returncode == 0, made
    copy = tmp_path / "copy"
    copy.mkdir(mode=0o700)
    with tarfile.open(tmp_path / "b.tar") as tar:
        tar.extractall(copy)
    good = broker("--check", "--data", copy)
    assert good.returncode == 0 and "1 output files" in good.stdout, good
    (file,) = copy.glob("output/*/*.journal")
    file.write_bytes(LONG.replace(b"7", b"8"))
    bad = broker("--check", "--data", copy)
    assert bad.returncode == 1 and "its journal is damaged" in bad.stdout, bad
    file.unlink()
    assert "its journal is missing" in broker("--check", "--data", copy).stdout


@pytest.mark.parametrize("stream", ["both", "Journal", ""])
def test_other_streams_are_refused_by_name(cluster, stream):
    native = cluster.native()
    cluster.api.create()
    answer = native.ask("job-output", **begin(native), stream=stream, offset=0, data=b"x")
    assert answer["code"] == "SCHEMA" and "journal" in answer["error"], answer


def test_an_agent_without_one(cluster):
    """Its answers and its results are what they were; there is a journal, and it is empty."""
    api = cluster.api
    api.post("/api/workers/register", {"workerId": "old", "hostname": "h"})
    job = api.create()
    assert api.get("/api/jobs/get-job?workerId=old")["job"]["jobId"] == job
    assert api.post("/api/jobs/stream-output", {"jobId": job, "type": "stdout", "data": "live"}).status == 200
    assert api.post("/api/jobs/stream-output", {"jobId": job, "type": "journal", "data": "x"}).status == 400
    assert api.status(job)["journalBytes"] == 0
    assert api.post("/api/jobs/submit-result", {"jobId": job, "workerId": "old", "stdout": "out", "stderr": "", "exitCode": 0}).status == 200
    status = api.status(job)
    assert (status["status"], status["stdout"], status["journalBytes"]) == ("completed", "out", 0)
    answer = read(cluster, job)
    assert (answer.status, answer.body) == (200, b"")


# ---- a data directory from before there were journals ----


def old_database(path, now):
    """Schema 2, and in it a job that is over, one that runs, and one that waits after a lost attempt. Their ids."""
    path.unlink()
    path.with_name("gleaner.db-redo").unlink()
    db = sqlite3.connect(path)
    db.executescript((pathlib.Path(__file__).parents[1] / "lib/schema2.sql").read_text())
    db.execute("INSERT INTO worker (worker_id, hostname, slots, registered_ms, last_seen_ms, online) VALUES ('w', 'h', 2, ?1, ?1, 1)", (now,))
    rows = {
        "over00": dict(state=2, attempt=1, worker_id="w", token="o" * 32, completed_ms=now, exit_code=0, stdout=b"old\n", stderr=b"",
                       stdout_bytes=4, stderr_bytes=0),
        "runs00": dict(state=1, attempt=1, worker_id="w", token="r" * 32, slot=0),
        "waits0": dict(state=0, attempt=1, slot=-1, not_before_ms=now + 3_600_000),
    }
    for number, (salt, more) in enumerate(rows.items()):
        row = dict(seq=(now + number) * 36 ** 3, salt=salt, command="true", file_url="/uploads/x.zip", filename="x.zip", timeout_ms=600_000,
                   max_attempts=3, created_ms=now, started_ms=now, completed_ms=0)
        row.update(more)
        db.execute(f"INSERT INTO job ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values()))
    db.execute("INSERT INTO attempt (seq, attempt, worker_id, token, accepted, reason, error_message, started_ms, completed_ms, late_ms) "
               "VALUES (?, 1, 'w', 'x', 0, 'worker-lost', 'It was lost.', ?, ?, 0)", ((now + 2) * 36 ** 3, now, now))
    db.commit()
    db.close()
    return [f"job-{now + number:013d}-000{salt}" for number, salt in enumerate(rows)]


def test_an_old_data_directory_is_taken_over(cluster):
    cluster.broker.stop()
    over, runs, waits = old_database(cluster.folder / "data/gleaner.db", int(time.time() * 1000) - 60_000)
    cluster.broker.start()
    native, api = cluster.native(), cluster.api
    wait_until(lambda: api.get("/api/info").status == 200)
    status = api.status(over)
    assert (status["stdout"], status["stdoutBytes"], status["journalBytes"], status["outputCut"]) == ("old\n", 4, 0, False)
    assert read(cluster, over).body == b"" and len(api.get("/api/jobs")["jobs"]) == 3
    about = {"jobId": runs, "workerId": "w", "attempt": 1, "token": "r" * 32}
    assert api.status(runs)["journalBytes"] == 0
    write(native, about, SHORT)
    assert read(cluster, runs).body == SHORT and api.status(runs)["journalBytes"] == len(SHORT)
    assert end(native, about, SHORT)["type"] == "job-result-ok" and read(cluster, runs).body == SHORT
    assert api.status(waits)["status"] == "pending" and read(cluster, waits, "&attempt=1").body == b""
    cluster.stop()
    assert broker("--check", "--data", cluster.folder / "data").returncode == 0
