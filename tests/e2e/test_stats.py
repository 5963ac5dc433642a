"""What /api/stats, /api/workers/activity and /api/info tell of what went on."""

import os
import sqlite3
import time

import pytest

from cluster import wait_until
from faults import Faults

STEPS = {"hour": (60_000, 60), "day": (300_000, 288), "week": (3_600_000, 168)}


def stats(cluster, range="hour"):
    answer = cluster.api.get(f"/api/stats?range={range}")
    assert answer.status == 200 and answer["success"] is True and answer["range"] == range, answer
    return answer.json


def total(answer, name):
    return sum(point[name] for point in answer["points"])


def reasons(answer):
    return {r["reason"]: r["count"] for r in answer["reasons"]}


def restart(cluster, kill=False):
    cluster.broker.kill() if kill else cluster.broker.stop()
    cluster.broker.start()
    wait_until(lambda: cluster.api.get("/api/stats").status == 200, 10)


def test_counts_are_of_what_was_run(cluster):
    worker = cluster.worker("zmq", "--slots", "2")
    jobs = [cluster.api.submit(f"sleep 0.2; exit {code}") for code in (0, 0, 0, 3, 4)]
    jobs.append(cluster.api.submit("kill -9 $$"))
    ended = [cluster.api.wait_job(job) for job in jobs]
    worker.stop()
    cancelled = cluster.api.create()
    cluster.api.post("/api/jobs/cancel", {"jobId": cancelled})
    cluster.api.create(idempotencyKey="k")
    cluster.api.create(idempotencyKey="k")  # the same job: not created again
    for range, (step_ms, count) in STEPS.items():
        got = stats(cluster, range)
        assert got["stepMs"] == step_ms and 1 <= len(got["points"]) <= count
        assert (got["created"], got["completed"], got["failed"]) == (8, 3, 4)
        assert reasons(got) == {"exit-nonzero": 2, "signal": 1, "cancelled": 1}
        assert [r["count"] for r in got["reasons"]] == [2, 1, 1]  # most frequent first
        assert [total(got, name) for name in ("created", "started", "completed", "failed")] == [8, 6, 3, 4]
        times = [point["time"] for point in got["points"]]
        assert times == sorted(times) and all(t % step_ms == 0 for t in times)
        assert times[-1] <= time.time() * 1000 < times[-1] + 2 * step_ms
        ran = sorted(job["completedAt"] - job["startedAt"] for job in ended)
        waited = sorted(job["startedAt"] - job["createdAt"] for job in ended)
        for percent, at in ((50, 2), (95, 5), (99, 5)):
            assert got[f"runP{percent}"] == pytest.approx(ran[at], rel=0.07)
            assert got[f"waitP{percent}"] == pytest.approx(waited[at], rel=0.07, abs=0.5)
        busy = [point for point in got["points"] if point["runP95"] is not None]
        assert busy and all(point["waitP50"] <= point["waitP95"] for point in busy)


def test_an_attempt_waits_since_its_job_came_back(cluster):
    """Another attempt's wait does not begin with the job's creation."""
    native = cluster.native()
    native.ask("worker-register", workerId="w", hostname="h", slots=1)
    job = cluster.api.create(backoffMs=1, retryOnExit=["any"], maxAttempts=2)
    time.sleep(3)
    for attempt in (1, 2):
        lease = native.ask("job-poll", workerId="w", slot=0, wait=5000)
        assert (lease["jobId"], lease["attempt"]) == (job, attempt)
        result = {k: lease[k] for k in ("jobId", "attempt", "token")}
        assert native.ask("job-result", workerId="w", exitCode=1, stdout=b"", stderr=b"", **result)["type"] == "job-result-ok"
    got = stats(cluster)
    assert (total(got, "started"), got["failed"]) == (2, 1)
    assert got["waitP50"] < 2000 < 2700 < got["waitP99"]


def test_levels_tell_of_queue_and_slots(cluster):
    native = cluster.native()
    native.ask("worker-register", workerId="w", hostname="h", slots=3)
    for _ in range(4):
        cluster.api.create()
    for slot in (0, 1):
        native.ask("job-poll", workerId="w", slot=slot, wait=1000)

    def shown():
        """The mean of the minute's samples, so long as it is of one kind; the first were taken before."""
        native.ask("worker-heartbeat", workerId="w")
        return {(p["pending"], p["running"], p["workers"], p["busySlots"], p["slots"]) for p in stats(cluster)["points"]}

    wait_until(lambda: (2, 2, 1, 2, 3) in shown(), 75, "a minute that begins with jobs and a worker")


def test_nothing_has_happened_yet(cluster):
    got = stats(cluster)
    assert len(got["points"]) == 1 and got["reasons"] == []
    assert got["created"] == got["completed"] == got["failed"] == 0
    for name in ("waitP50", "waitP95", "waitP99", "runP50", "runP95", "runP99"):
        assert got[name] is None
    assert got["points"][0]["waitP50"] is None and got["points"][0]["pending"] == 0
    assert cluster.api.get("/api/stats")["range"] == cluster.api.get("/api/stats?range=")["range"] == "hour"


@pytest.mark.parametrize("range", ["year", "Hour", "hourx", "0"])
def test_a_range_that_is_none_is_refused(shared, range):
    answer = shared.api.get(f"/api/stats?range={range}")
    assert (answer.status, answer["code"], answer["field"]) == (400, "SCHEMA", "range") and "hour, day or week" in answer["error"]


def test_counts_outlive_a_restart(cluster):
    cluster.worker("http")
    for code in (0, 7):
        cluster.api.wait_job(cluster.api.submit(f"exit {code}"))
    before = {range: stats(cluster, range) for range in STEPS}
    restart(cluster)
    cluster.api.wait_job(cluster.api.submit("true"))
    for range, was in before.items():
        now = stats(cluster, range)
        assert (was["created"], was["completed"], was["failed"]) == (2, 1, 1)
        assert (now["created"], now["completed"], now["failed"], reasons(now)) == (3, 2, 1, {"exit-nonzero": 1})
        assert total(now, "started") == 3 and now["runP99"] >= was["runP50"]


def test_a_crash_costs_the_last_minute_at_most(cluster):
    """What was kept within the first minute and a bit is there after kill -9, and counting goes on."""
    cluster.api.create()
    time.sleep(64)
    cluster.api.create()  # of the minute that is lost
    restart(cluster, kill=True)
    assert stats(cluster)["created"] == 1 and cluster.api.get("/api/info")["pendingJobs"] == 2
    cluster.api.create()
    assert stats(cluster, "week")["created"] == 2


def test_the_time_that_the_broker_was_down_is_a_gap(cluster):
    """Rows of two hours ago and of ten days ago, as an earlier run left them, and one that nobody can read."""
    cluster.api.create()
    assert cluster.broker.stop() == 0
    hour = 3_600_000
    with sqlite3.connect(cluster.folder / "data/gleaner.db") as db:
        rows = db.execute("SELECT time, bytes FROM stat WHERE kind = 2 ORDER BY time").fetchall()
        for back in (2, 240):
            db.execute("INSERT INTO stat (kind, time, bytes) VALUES (2, ?, ?)", (rows[-1][0] - back * hour, rows[-1][1]))
        db.execute("INSERT INTO stat (kind, time, bytes) VALUES (2, ?, x'00ff')", (rows[-1][0] - 3 * hour,))
        db.execute("INSERT INTO stat (kind, time, bytes) VALUES (77, 0, x'01')")
    db.close()
    cluster.broker.start()
    assert "2 rows" in cluster.broker.wait_event("stats-unreadable")
    wait_until(lambda: cluster.api.get("/api/stats").status == 200, 10)
    got = stats(cluster, "week")
    assert got["created"] == 2
    assert rows[-1][0] - 2 * hour in [p["time"] for p in got["points"]]
    assert rows[-1][0] - hour not in [p["time"] for p in got["points"]]
    assert stats(cluster, "day")["created"] == 1
    assert cluster.broker.stop() == 0  # what is too old goes
    with sqlite3.connect(cluster.folder / "data/gleaner.db") as db:
        assert not db.execute("SELECT 1 FROM stat WHERE kind = 2 AND time < ?", (rows[-1][0] - 168 * hour,)).fetchall()
    db.close()
    cluster.broker.start()


@pytest.mark.parametrize("hours", [2.5, -2.5])
def test_a_clock_that_jumps_leaves_a_gap(clusters, tmp_path, hours):
    faults = Faults(tmp_path / "faults")
    cluster = clusters(broker_env=faults.env)
    cluster.worker("http")
    cluster.api.wait_job(cluster.api.submit("true"))
    assert stats(cluster)["completed"] == 1
    faults.ahead("wall", hours * 3600)
    cluster.api.wait_job(cluster.api.submit("true"))
    hour, day = stats(cluster), stats(cluster, "day")
    assert (hour["created"], hour["completed"]) == (1, 1) and len(hour["points"]) <= 2
    assert day["completed"] == (2 if hours > 0 else 1)  # what is to come is not shown
    assert all(point["waitP95"] is None or point["waitP95"] < 60_000 for point in day["points"])
    faults.ahead("wall", 0)
    assert stats(cluster)["completed"] == 1 and len(activity(cluster)) == 1
    restart(cluster)
    assert stats(cluster)["completed"] == 1


def activity(cluster):
    answer = cluster.api.get("/api/workers/activity")
    assert answer.status == 200 and answer["success"] is True and answer["stepMs"] == 900_000, answer
    assert answer["until"] % 900_000 == 0 and answer["until"] > time.time() * 1000 - 900_000
    ids = [w["workerId"] for w in answer["workers"]]
    assert ids == sorted(ids) and all(len(w["activity"]) == 96 for w in answer["workers"])
    return {w["workerId"]: w["activity"] for w in answer["workers"]}


def test_activity_of_workers(cluster):
    native = cluster.native()
    for worker, slots in (("busy", 1), ("half", 2), ("idle", 1), ("off", 1)):
        native.ask("worker-register", workerId=worker, hostname="h", slots=slots)
    native.ask("worker-goodbye", workerId="off")
    for worker in ("busy", "half"):
        cluster.api.create()
        assert "jobId" in native.ask("job-poll", workerId=worker, slot=0, wait=1000)

    def shares():
        for worker in ("busy", "half", "idle"):
            native.ask("worker-heartbeat", workerId=worker)
        got = activity(cluster)
        assert list(got) == ["busy", "half", "idle", "off"] and set(got["off"]) == {"-"}
        assert all(set(text[:90]) == {"-"} for text in got.values())  # older than the test
        return [got[worker][94:] for worker in ("busy", "half", "idle")]

    wait_until(lambda: shares() in (["-9", "-5", "-0"], ["99", "55", "00"]), 20, "a sample of the workers")
    before = activity(cluster)
    restart(cluster)
    assert activity(cluster) == before or activity(cluster)["busy"][-1] == "-"  # or another quarter has just begun


def test_info_tells_of_the_disk_and_of_the_gateway(cluster):
    info = wait_until(lambda: cluster.api.get("/api/info").json if cluster.api.get("/api/info")["diskBytes"] else None, 5)
    disk = os.statvfs(cluster.folder / "data")
    assert info["success"] is True and info["diskBytes"] == disk.f_blocks * disk.f_frsize
    assert 0 < info["diskFreeBytes"] <= info["diskBytes"]
    boot = open("/proc/sys/kernel/random/boot_id").read().strip()
    assert info["gateway"] == {"version": info["version"], "uploadMax": 4 << 30, "machine": boot, "refusals": []}
    native = cluster.native()  # what that machine is for
    native.ask("worker-register", workerId="w", hostname="h", machine=boot)
    job = cluster.api.create(machine=info["gateway"]["machine"])
    assert native.ask("job-poll", workerId="w", wait=1000)["jobId"] == job


def test_gateways_are_listed_and_a_dead_one_is_forgotten(cluster):
    second = cluster.add_gateway(["--upload-max", "1M"])

    def listed():
        return {g["listen"]: g for g in cluster.api.get("/api/info")["gateways"]}

    first_name, second_name = (g.args[1] for g in (cluster.gateway, second))
    before = wait_until(lambda: len(listed()) == 2 and listed(), 5, "both gateways")
    assert set(before) == {first_name, second_name}
    assert len({g["gatewayId"] for g in before.values()}) == 2 and all(g["version"] for g in before.values())
    second.kill()
    killed = time.time() * 1000
    later = wait_until(lambda: listed()[first_name]["uptimeMs"] > 9000 and listed(), 20, "another hello")
    assert later[first_name]["lastSeen"] > before[first_name]["lastSeen"] + 5000
    assert later[first_name]["connections"] >= 1
    assert later[second_name]["lastSeen"] <= killed  # still shown, and how long it is silent
    wait_until(lambda: list(listed()) == [first_name], 65, "the dead one's end")
    cluster.broker.stop()
    cluster.broker.start()
    wait_until(lambda: cluster.api.get("/api/info").status == 200 and list(listed()) == [first_name], 15, "its hello to the new broker")


def test_too_many_gateways(shared):
    native = shared.native()
    for n in range(70):
        answer = native.ask("gateway-hello", gatewayId=f"g{n}", listen="[::1]:1", version="0", uptimeMs=n, connections=0)
        assert answer["type"] == "gateway-hello-ok" or (n >= 63 and answer["code"] == "TOO_MANY"), answer
    assert len(shared.api.get("/api/info")["gateways"]) == 64
