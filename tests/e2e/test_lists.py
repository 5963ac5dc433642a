"""Lists of jobs: text, until, brief, and pages that miss and repeat nothing while jobs come."""

import sqlite3
import time

from record import BACK_TO_6


def page(api, query):
    answer = api.get(f"/api/jobs?{query}")
    assert answer.status == 200, answer
    return answer.json


def ids(api, query):
    """Of all pages."""
    found, cursor = [], ""
    while cursor is not None:
        got = page(api, f"{query}&cursor={cursor}" if cursor else query)
        found += [job["jobId"] for job in got["jobs"]]
        cursor = got.get("cursor")
    return found


def test_text_is_looked_for_in_id_command_filename_and_name(cluster):
    api = cluster.api
    command = api.create("make TARGET=Kernel")
    filename = api.create("true", filename="Kernel-src.zip")
    name = api.create("true", name="the kernel, nightly", env={"A": "x" * 1000})
    other = api.create("true", env={"A": "kernel"}, labels={"of": "kernel"})
    for text in ("kernel", "KERNEL", "Kernel"):
        assert ids(api, f"text={text}") == [name, filename, command]
    assert ids(api, "text=the%20kernel,") == [name] and ids(api, "text=target%3dk") == [command]
    assert ids(api, f"text={other}") == [other] == ids(api, f"text={other[9:].upper()}")
    assert ids(api, "text=%25") == ids(api, "text=_") == ids(api, "text=nothing") == []
    assert ids(api, "text=") == [other, name, filename, command]
    assert ids(api, "text=kernel&state=running") == [] and ids(api, "text=kernel&label=of") == []
    refused = api.get("/api/jobs?text=" + "x" * 256)
    assert refused.status == 400 and refused["field"] == "text"


def test_until_is_before(cluster):
    api = cluster.api
    old = api.create()
    time.sleep(0.02)
    then = api.status(api.create())["createdAt"]
    assert ids(api, f"until={then}") == [old] and len(ids(api, f"until={then + 1}")) == 2
    assert ids(api, f"since={then}&until={then}") == [] == ids(api, "until=0") and len(ids(api, "until=253402300799999")) == 2
    assert ids(api, "since=253402300799999") == []
    assert api.get("/api/jobs?until=x").status == 400


def test_brief_is_short(at_work):
    api = at_work.api
    command = "echo ä" + "ö" * 200 + "\necho out; echo err >&2; exit 3"
    job = api.wait_job(api.submit(command, env='{"SECRET": "value"}', labels='{"a": "b"}', name="long one", artifacts='["*"]'))
    (whole,) = [j for j in page(api, "limit=5")["jobs"] if j["jobId"] == job["jobId"]]
    (brief,) = [j for j in page(api, "limit=5&brief=1")["jobs"] if j["jobId"] == job["jobId"]]
    assert "err\n" in whole["stderr"] and whole["env"] == {"SECRET": "value"} and whole["command"] == command
    assert not any(brief.get(field) for field in ("stdout", "stderr", "env", "outputCut"))
    cut = brief["command"].encode()
    assert command.encode().startswith(cut) and 197 <= len(cut) <= 200
    same = ("status", "exitCode", "reason", "labels", "name", "artifacts", "artifactsUrl", "artifactsSha256", "stdoutBytes", "stderrBytes",
            "stdoutSha256", "workerId", "createdAt", "startedAt", "completedAt", "attempt", "maxAttempts", "filename", "fileUrl")
    assert {f: brief[f] for f in same} == {f: whole[f] for f in same}
    assert "stdout" in page(api, "brief=0")["jobs"][0]
    assert api.get("/api/jobs?brief=maybe").status == 400


def test_a_walk_misses_and_repeats_nothing_while_jobs_come(cluster):
    api = cluster.api
    before = [api.create(f"echo {n}") for n in range(23)]
    found, cursor = [], ""
    while cursor is not None:
        got = page(api, f"limit=4{cursor and '&cursor=' + cursor}")
        found += [job["jobId"] for job in got["jobs"]]
        cursor = got.get("cursor")
        api.create("echo between")
    assert found == before[::-1]
    assert page(api, "limit=500")["total"] == 23 + 6


def test_a_cursor_that_is_none(cluster):
    for cursor in ("x", "job-", "job-0000000000000-000000000"):
        answer = cluster.api.get(f"/api/jobs?cursor={cursor}")
        assert answer.status == 400 and answer["field"] == "cursor"


def test_what_is_rare_among_many_is_found_by_going_on(cluster):
    """More jobs than one call looks at: it says so by a cursor, and `total` is all of them."""
    api = cluster.api
    first = api.create("echo needle")
    cluster.broker.stop()
    db = sqlite3.connect(cluster.folder / "data/gleaner.db", isolation_level=None)
    columns = [row[1] for row in db.execute("PRAGMA table_info (job)")]
    values = ", ".join({"seq": "seq + n", "state": "3", "command": "'true'", "completed_ms": "created_ms", "worker_id": "'w'"}.get(c, c)
                       for c in columns)
    db.execute(f"WITH RECURSIVE count (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < 45000) "
               f"INSERT INTO job ({', '.join(columns)}) SELECT {values} FROM job CROSS JOIN count")
    db.execute("DELETE FROM total WHERE name = 'jobs'")  # then they are counted
    db.close()
    cluster.broker.start()
    got = api.get("/api/jobs?text=needle")
    assert got.status == 200 and got["jobs"] == [] and got["cursor"] and got["total"] == 45001
    assert ids(api, "text=needle") == [first] == ids(api, "state=pending")
    assert ids(api, "text=needle&state=failed&worker=w") == []
    assert page(api, "worker=w&state=pending")["jobs"] == []
    assert len(page(api, "worker=w&state=failed&limit=500&brief=1")["jobs"]) == 500


def test_a_record_of_the_schema_before_is_taken_over(cluster):
    """Labels are found by their key alone, and nobody drains."""
    api = cluster.api
    api.post("/api/workers/register", {"workerId": "w", "hostname": "h", "slots": 1})
    job = api.create("true", labels={"team": "red", "x": "=y"}, env={"A": "b"}, name="old one")
    cluster.broker.stop()
    db = sqlite3.connect(cluster.folder / "data/gleaner.db", isolation_level=None)
    version = db.execute("PRAGMA user_version").fetchone()[0]
    assert version == 7
    db.execute("DELETE FROM job_label WHERE label NOT LIKE '%=%'")
    for undo in (*BACK_TO_6, "ALTER TABLE job DROP COLUMN brief_options", "ALTER TABLE worker DROP COLUMN draining", "DROP INDEX job_running",
                 "DROP INDEX job_completed", "ALTER TABLE job DROP COLUMN journal", "ALTER TABLE job DROP COLUMN journal_bytes",
                 "DROP INDEX job_key", "DROP INDEX job_owner", "ALTER TABLE job DROP COLUMN owner",
                 "CREATE UNIQUE INDEX job_key ON job (idempotency_key) WHERE idempotency_key IS NOT NULL",
                 "ALTER TABLE attempt DROP COLUMN usage", "ALTER TABLE attempt DROP COLUMN journal", "DROP TABLE stat", "PRAGMA user_version = 2"):
        db.execute(undo)
    db.close()
    cluster.broker.start()
    for query in ("label=team", "label=team=red", "label=x", "label=x==y", "text=OLD", "state=pending"):
        assert ids(api, query) == [job], query
    assert page(api, "brief=1")["jobs"][0].get("env") is None and page(api, "limit=1")["jobs"][0]["env"] == {"A": "b"}
    assert not cluster.api.worker("w").get("draining")
