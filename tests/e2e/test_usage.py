"""GET /api/usage: sums over the record, what they cost, and the table for a spreadsheet."""

import csv
import io
import sqlite3
import subprocess
import time

import pytest

import tokens
from cluster import BIN, SANITIZERS, wait_until
from record import BACK_TO_6

TARIFFS = ["--tariff-run-hour", "0.36", "--tariff-cpu-hour", "3.6", "--tariff-gib-hour", "1.25", "--tariff-gib-in", "0.5",
           "--tariff-gib-out", "2", "--currency", "EUR"]
SUMS = ("jobs", "attempts", "runMs", "cpuMs", "memoryMibSeconds", "bytesIn", "bytesOut")
GIB = 1 << 30


def usage(client, **query):
    answer = client.get("/api/usage?" + "&".join(f"{k}={v}" for k, v in query.items()))
    assert answer.status == 200 and answer["success"] is True, answer
    return answer.json


def groups(answer):
    return {("others" if g.get("others") else g["group"]): g for g in answer["groups"]}


class Agent:
    """A worker that says what we want it to say."""

    def __init__(self, cluster, name):
        self.native, self.name = cluster.native(), name
        self.native.ask("worker-register", workerId=name, hostname="h", slots=1)

    def take(self):
        lease = self.native.ask("job-poll", workerId=self.name, slot=0, wait=5000)
        return {k: lease[k] for k in ("jobId", "attempt", "token")}

    def end(self, lease, code=0, **told):
        answer = self.native.ask("job-result", workerId=self.name, exitCode=code, stdout=b"", stderr=b"", **lease, **told)
        assert answer["type"] == "job-result-ok", answer


def cost(g):
    """By the tariffs above, in millionths: whole numbers, each part rounded half up."""
    half_up = lambda amount, price, of: (amount * price + of // 2) // of  # noqa: E731
    return (half_up(g["runMs"], 360_000, 3_600_000) + half_up(g["cpuMs"], 3_600_000, 3_600_000)
            + half_up(g["memoryMibSeconds"], 1_250_000, 1024 * 3600) + half_up(g["bytesIn"], 500_000, GIB)
            + half_up(g["bytesOut"], 2_000_000, GIB))


@pytest.fixture
def used(clusters):
    """Two agents, three jobs, one of them tried twice; and what the broker says of them."""
    cluster = clusters(broker_args=TARIFFS)
    a, b = Agent(cluster, "a"), Agent(cluster, "b")
    first = cluster.api.create(labels={"team": "x"})
    lease = a.take()
    time.sleep(0.05)
    a.end(lease, cpuMs=1234, memoryPeakBytes=3 << 20, bytesIn=1000, bytesOut=2000)
    second = cluster.api.create(labels={"team": "=x"}, retryOnExit=["any"], maxAttempts=2, backoffMs=1)
    a.end(a.take(), code=1, cpuMs=10)
    b.end(b.take(), code=0, cpuMs=20, memoryPeakBytes=1 << 40, bytesOut=7 << 30)
    third = cluster.api.create()
    cluster.api.post("/api/jobs/cancel", {"jobId": third})  # nothing ran
    return cluster, [cluster.api.status(job) for job in (first, second, third)]


def test_sums_are_of_what_ended(used):
    cluster, jobs = used
    ran = [a["completedAt"] - a["startedAt"] for job in jobs for a in job["attempts"]]
    got = usage(cluster.api)
    assert got["by"] == "owner" and [g["group"] for g in got["groups"]] == [None] and got["currency"] == "EUR"
    assert (got["jobs"], got["attempts"], got["cpuMs"], got["runMs"]) == (3, 3, 1264, sum(ran))
    assert (got["bytesIn"], got["bytesOut"]) == (1000, 2000 + (7 << 30)) and "cut" not in {k for k, v in got.items() if v}
    by = groups(usage(cluster.api, by="worker"))
    assert set(by) == {"a", "b", None}
    assert (by["a"]["jobs"], by["a"]["attempts"], by["a"]["cpuMs"], by["a"]["runMs"]) == (1, 2, 1244, ran[0] + ran[1])
    assert (by["b"]["jobs"], by["b"]["attempts"], by["b"]["cpuMs"]) == (1, 1, 20)
    assert (by[None]["jobs"], by[None]["attempts"], by[None]["runMs"]) == (1, 0, 0)
    assert by["b"]["memoryMibSeconds"] == round(((1 << 20) * ran[2]) / 1000)
    by = groups(usage(cluster.api, by="label:team"))
    assert {k: (g["jobs"], g["attempts"]) for k, g in by.items()} == {"x": (1, 1), "=x": (1, 2), None: (1, 0)}
    assert groups(usage(cluster.api, by="label:tea")).keys() == {None}


def test_costs_are_whole_numbers(used):
    cluster, _ = used
    for by in ("owner", "worker", "label:team"):
        got = usage(cluster.api, by=by)
        assert [g["costMicros"] for g in got["groups"]] == [cost(g) for g in got["groups"]]
        assert got["costMicros"] == sum(g["costMicros"] for g in got["groups"]) > 14_000_000
        for name in SUMS[:4]:
            assert got[name] == sum(g[name] for g in got["groups"])
        assert [g["runMs"] for g in got["groups"]] == sorted((g["runMs"] for g in got["groups"]), reverse=True)


def test_a_range_is_kept(used):
    cluster, jobs = used
    ends = [a["completedAt"] for job in jobs for a in job["attempts"]]
    assert usage(cluster.api, since=ends[0] + 1)["attempts"] == sum(end > ends[0] for end in ends)
    assert usage(cluster.api, since=0, until=ends[0])["attempts"] == 0
    assert usage(cluster.api, since=ends[0], until=ends[0] + 1)["cpuMs"] >= 1234
    empty = usage(cluster.api, since=1, until=2)
    assert empty["groups"] == [] and empty["jobs"] == 0 == empty["costMicros"]
    now = time.time() * 1000
    whole = usage(cluster.api, until=9_000_000_000_000)
    assert abs(whole["until"] - now) < 60_000 and whole["since"] == whole["until"] - 30 * 24 * 3600 * 1000


def test_it_outlives_the_broker(used):
    cluster, _ = used
    before = usage(cluster.api, by="worker")
    cluster.broker.kill()
    cluster.broker.start()
    wait_until(lambda: cluster.api.get("/api/info").status == 200, 10)
    after = usage(cluster.api, by="worker")
    assert before["groups"] == after["groups"]


def test_a_database_of_before_has_its_sums(used):
    cluster, _ = used
    before = usage(cluster.api, by="worker")["groups"]
    cluster.broker.stop()
    db = sqlite3.connect(cluster.folder / "data/gleaner.db")
    for undo in BACK_TO_6:
        db.execute(undo)
    db.commit()
    db.close()
    cluster.broker.start()
    wait_until(lambda: cluster.api.get("/api/info").status == 200, 10)
    assert usage(cluster.api, by="worker")["groups"] == before


def test_the_table(used):
    cluster, _ = used
    answer = cluster.api.get("/api/usage?by=label:team&format=csv&since=0")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/csv; charset=utf-8")
    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert answer.headers["Content-Disposition"] == f'attachment; filename="gleaner-usage-1970-01-01-{today}.csv"'
    assert answer.body.count(b"\r\n") == 4 and answer.body.count(b"\n") == 4
    rows = {row["group"]: row for row in csv.DictReader(io.StringIO(answer.body.decode(), newline=""), strict=True)}
    assert set(rows) == {"x", "'=x", ""}  # what would be a formula is text
    assert {row["group"]: row["kind"] for row in rows.values()} == {"x": "group", "'=x": "group", "": "none"}
    by = groups(usage(cluster.api, by="label:team", since=0))
    for cell, group in (("x", "x"), ("'=x", "=x"), ("", None)):
        row, g = rows[cell], by[group]
        assert (int(row["jobs"]), int(row["attempts"]), row["currency"]) == (g["jobs"], g["attempts"], "EUR")
        assert row["run_seconds"] == f"{g['runMs'] // 1000}.{g['runMs'] % 1000:03}"
        assert row["cost"] == f"{g['costMicros'] // 1000000}.{g['costMicros'] % 1000000:06}"
        assert float(row["memory_gib_hours"]) == pytest.approx(g["memoryMibSeconds"] / 3686400, abs=1e-6)
        assert int(row["bytes_out"]) == g["bytesOut"]


@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@x", "a,b", 'a"b', "a b", "ä"])
def test_cells_are_text(shared, value):
    label = f"k{abs(hash(value)) % 10**9}"
    job = shared.api.create(labels={label: value})
    shared.api.post("/api/jobs/cancel", {"jobId": job})
    body = shared.api.get(f"/api/usage?by=label:{label}&format=csv").body.decode()
    cells = [row[0] for row in csv.reader(io.StringIO(body, newline=""), strict=True)]
    assert ("'" + value if value[0] in "=+-@" else value) in cells


def test_without_tariffs_nothing_costs(shared):
    got = usage(shared.api)
    assert got["costMicros"] is None and got["currency"] is None
    body = shared.api.get("/api/usage?format=csv").body.decode()
    assert all(row["cost"] == row["currency"] == "" for row in csv.DictReader(io.StringIO(body)))


@pytest.mark.parametrize("query, field", [("by=nobody", "by"), ("by=label:", "by"), ("by=", None), ("format=xml", "format"), ("since=x", "since"),
                                          ("since=5&until=4", "since"), ("until=-1", "until"), ("by=" + 300 * "x", "by")])
def test_what_makes_no_sense_is_refused(shared, query, field):
    answer = shared.api.get(f"/api/usage?{query}")
    assert (answer.status, answer.json.get("field")) == ((400, field) if field else (200, None)), answer


def test_who_sees_what(clusters):
    cluster = clusters()
    made = {name: tokens.create(cluster, role, name) for name, role in
            (("ann", "submitter"), ("bob", "submitter"), ("eve", "viewer"), ("root", "admin"), ("w", "worker"))}
    client = {name: tokens.TokenClient(cluster, token) for name, token in made.items()}
    wait_until(lambda: cluster.api.get("/api/info").status == 401, 10)
    for name, count in (("ann", 2), ("bob", 1)):
        for _ in range(count):
            client[name].post("/api/jobs/cancel", {"jobId": client[name].create()})
    assert {k: g["jobs"] for k, g in groups(usage(client["eve"])).items()} == {"ann": 2, "bob": 1}
    assert {k: g["jobs"] for k, g in groups(usage(client["root"])).items()} == {"ann": 2, "bob": 1}
    assert {k: g["jobs"] for k, g in groups(usage(client["ann"])).items()} == {"ann": 2}
    assert usage(client["bob"], by="worker")["jobs"] == 1
    assert client["w"].get("/api/usage").status == 403 and cluster.api.get("/api/usage").status == 401


def test_what_is_no_price_is_refused(tmp_path):
    for args, word in ((["--tariff-run-hour", "1,5"], "--tariff-run-hour"), (["--tariff-gib-out", "-1"], "--tariff-gib-out"),
                       (["--currency", "x" * 40], "--currency")):
        done = subprocess.run([BIN / "gleaner-broker", "--data", tmp_path / "d", *args], capture_output=True, text=True, timeout=30, env=SANITIZERS)
        assert done.returncode == 2 and word in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_more_groups_than_are_shown(clusters):
    cluster = clusters(broker_args=TARIFFS)
    agent = Agent(cluster, "a")
    for name in ("(others)", ""):  # they ran, and so come first
        cluster.api.create(labels={"n": name})
        lease = agent.take()
        time.sleep(0.05)
        agent.end(lease)
    for at in range(1008):
        cluster.api.post("/api/jobs/cancel", {"jobId": cluster.api.create(labels={"n": str(at)})})
    body = cluster.api.get("/api/usage?by=label:n&format=csv").body.decode()
    rows = list(csv.DictReader(io.StringIO(body, newline=""), strict=True))
    assert {(row["group"], row["kind"]) for row in rows[:2]} == {("(others)", "group"), ("", "group")}
    assert (rows[-1]["group"], rows[-1]["kind"], rows[-1]["jobs"]) == ("(others)", "others", "10")
    assert [row["kind"] for row in rows].count("group") == 1000 and body.splitlines()[0].endswith(",cost,currency,kind")
    got = usage(cluster.api, by="label:n")
    assert len(got["groups"]) == 1001 and got["groups"][-1]["others"] is True and got["groups"][-1]["jobs"] == 10
    assert got["jobs"] == 1010 == sum(g["jobs"] for g in got["groups"])
