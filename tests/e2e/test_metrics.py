"""GET /metrics: what it counts is what happened, in both forms that Prometheus reads, and it tells nobody but who may know."""

import collections
import os
import signal
import threading
import time

import pytest

import tokens
from client import Client
from cluster import wait_until
from metrics import Scrape, check


def scrape(cluster, open=True):
    return Scrape(cluster.api, open)


def test_both_forms_say_the_same_and_prometheus_reads_them(at_work):
    at_work.api.wait_job(at_work.api.submit("exit 3"))
    text, opened = scrape(at_work, open=False), scrape(at_work)
    assert text.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert opened.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert opened.body.endswith(b"\n# EOF\n") and b"# EOF" not in text.body
    assert text.headers["Cache-Control"] == "no-store"
    assert text.names() == opened.names()
    assert len(opened.families) == len(text.families) > 40
    for family in opened.families:
        assert family.documentation.endswith(".") and family.type in ("counter", "gauge", "histogram", "info"), family
        assert family.name.startswith(("gleaner_", "process_")), family
        if family.name.endswith(("_seconds", "_bytes")):
            assert family.unit == family.name.rsplit("_", 1)[1]
    check("check", "metrics", data=text.body)


def test_counts_are_of_what_happened(clusters):
    cluster = clusters(broker_args=["--retry-backoff", "10ms", "--lease", "2s", "--offline", "2s"])
    worker = cluster.worker("http", "--slots", "2")
    ended = [cluster.api.wait_job(cluster.api.submit(f"sleep 0.1; exit {code}")) for code in (0, 0, 0, 3, 4)]
    ended.append(cluster.api.wait_job(cluster.api.submit("kill -9 $$")))
    retried = cluster.api.submit("exit 5", retryOnExit="any", maxAttempts=2)
    cluster.api.wait_job(retried)
    lost = cluster.api.submit("sleep 60", maxAttempts=1)
    cluster.api.wait_job(lost, until=("running",))
    busy = scrape(cluster)
    assert (busy("gleaner_jobs", state="running"), busy("gleaner_leases")) == (1, 1)
    worker.kill()
    assert cluster.api.wait_job(lost, 30)["reason"] == "worker-lost"
    cancelled = cluster.api.create()
    cluster.api.create(delayMs=3_600_000)
    waiting = cluster.api.create()
    cluster.api.post("/api/jobs/cancel", {"jobId": cancelled})
    got = scrape(cluster)
    assert got("gleaner_jobs_created_total") == 11
    assert got("gleaner_jobs_ended_total", state="completed") == 3 and got("gleaner_jobs_ended_total", state="failed") == 6
    failures = {r["reason"]: got("gleaner_job_failures_total", **r) for r in got.labels("gleaner_job_failures_total")}
    assert {r: n for r, n in failures.items() if n} == {"exit-nonzero": 3, "signal": 1, "worker-lost": 1, "cancelled": 1}
    assert got("gleaner_attempts_retried_total", reason="exit-nonzero") == 1
    assert got("gleaner_leases_given_total") == 9 == got("gleaner_job_wait_seconds_count") == got("gleaner_dispatch_seconds_count")
    assert got("gleaner_job_run_seconds_count") == 8
    ran = sum(job["completedAt"] - job["startedAt"] for job in ended)
    assert got("gleaner_job_run_seconds_sum") >= ran / 1000 and got("gleaner_job_run_seconds_bucket", le="0.05") <= 3  # the five that slept took longer
    assert (got("gleaner_jobs", state="pending"), got("gleaner_jobs", state="running"), got("gleaner_jobs_delayed")) == (2, 0, 1)
    assert got("gleaner_jobs_recorded") == 11
    wait_until(lambda: scrape(cluster)("gleaner_workers", state="offline") == 1, 10)
    since = cluster.api.status(waiting)["createdAt"] / 1000
    oldest = scrape(cluster)("gleaner_queue_oldest_seconds")
    assert 0 < oldest <= time.time() - since + 0.1


def test_a_lease_is_dispatched_once_however_often_it_is_asked_for(cluster):
    native = cluster.native()
    native.ask("worker-register", workerId="w", hostname="h", slots=1)
    cluster.api.create()
    told = [native.ask("job-poll", workerId="w", slot=0) for _ in range(3)]  # as after answers that were lost
    assert told[0]["token"] == told[1]["token"] == told[2]["token"]
    got = scrape(cluster)
    assert got("gleaner_dispatch_seconds_count") == 1 == got("gleaner_leases_given_total")
    cluster.broker.kill()
    cluster.broker.start()
    again = cluster.native()
    assert again.ask("job-poll", workerId="w", slot=0)["token"] == told[0]["token"]
    got = wait_until(lambda: (s := scrape(cluster))("gleaner_broker_up") and s, 10)
    assert got("gleaner_dispatch_seconds_count") == 0 == got("gleaner_leases_given_total")


def test_why_jobs_wait_is_counted_as_their_statuses_tell(clusters):
    cluster = clusters(broker_args=["--retry-backoff", "10m"])
    native = cluster.native()
    for worker in ("busy", "drains"):
        native.ask("worker-register", workerId=worker, hostname="h", slots=1, machine=worker, labels={"is": worker})
    failing = cluster.api.create(retryOnExit=["any"], maxAttempts=2, labels={"n": "1"})
    told = native.ask("job-poll", workerId="busy", slot=0)
    lease = {k: told[k] for k in ("jobId", "attempt", "token")}
    assert native.ask("job-result", workerId="busy", exitCode=1, stdout=b"", stderr=b"", **lease)["type"] == "job-result-ok"
    cluster.api.create()
    assert native.ask("job-poll", workerId="busy", slot=0)["jobId"]
    pinned = cluster.api.create(machine="drains")
    assert native.ask("worker-drain", workerId="drains")["type"] == "worker-drain-ok"
    jobs = [failing, cluster.api.create(delayMs=3_600_000), cluster.api.create(), cluster.api.create(requires={"is": "busy"}),
            cluster.api.create(requires={"is": "drains"}), cluster.api.create(requires={"is": "nowhere"}), pinned]
    told = collections.Counter(cluster.api.status(job)["waitingReason"] for job in jobs)
    assert told == {"backing-off": 1, "delayed": 1, "all-busy": 2, "all-draining": 2, "no-match": 1}

    def counted():
        got = scrape(cluster)
        return {r["reason"]: n for r in got.labels("gleaner_jobs_pending") if (n := got("gleaner_jobs_pending", **r))}
    wait_until(lambda: counted() == told, 15, "the next count")
    assert sum(told.values()) == scrape(cluster)("gleaner_jobs", state="pending")


def test_disk_and_commits_are_timed(cluster):
    before = scrape(cluster)
    for _ in range(20):
        cluster.api.create()
    got = scrape(cluster)
    syncs = lambda s: s("gleaner_sync_seconds_count", of="log") + s("gleaner_sync_seconds_count", of="database")  # noqa: E731
    assert syncs(got) - syncs(before) >= 20
    assert got("gleaner_sync_seconds_sum", of="log") > 0
    assert got("gleaner_commit_requests_sum") - before("gleaner_commit_requests_sum") >= 20
    disk = os.statvfs(cluster.folder / "data")
    assert wait_until(lambda: scrape(cluster)("gleaner_disk_size_bytes"), 10) == disk.f_blocks * disk.f_frsize
    assert got("gleaner_disk_full") == 0


def test_gauges_are_right_after_a_restart(clusters):
    cluster = clusters()
    native = cluster.native()
    native.ask("worker-register", workerId="w", hostname="h", slots=2)
    for _ in range(3):
        cluster.api.create()
    cluster.api.create(delayMs=3_600_000)
    assert native.ask("job-poll", workerId="w", slot=0)["jobId"]
    before = scrape(cluster)
    time.sleep(1.2)
    cluster.broker.kill()
    cluster.broker.start()
    got = wait_until(lambda: (s := scrape(cluster))("gleaner_broker_up") and s, 10)
    for name, labels in (("gleaner_jobs", {"state": "pending"}), ("gleaner_jobs", {"state": "running"}), ("gleaner_jobs_delayed", {}),
                         ("gleaner_jobs_recorded", {}), ("gleaner_leases", {}), ("gleaner_workers", {"state": "online"})):
        assert got(name, **labels) == before(name, **labels) > 0, name
    assert got("gleaner_jobs_created_total") == 0  # Prometheus knows that counters begin anew
    assert got("gleaner_queue_oldest_seconds") >= before("gleaner_queue_oldest_seconds") + 1
    assert got("gleaner_broker_process_start_time_seconds") > before("gleaner_broker_process_start_time_seconds")


def test_the_oldest_job_is_the_one_that_waits(cluster):
    assert scrape(cluster)("gleaner_queue_oldest_seconds") == 0
    first = cluster.api.create(priority=-5)
    time.sleep(0.5)
    cluster.api.create(priority=5)
    assert scrape(cluster)("gleaner_queue_oldest_seconds") >= 0.5  # not the next one to go, but who waits for longest
    cluster.api.post("/api/jobs/cancel", {"jobId": first})
    assert scrape(cluster)("gleaner_queue_oldest_seconds") < 0.5


def test_slots_are_counted_now_and_then(cluster):
    native = cluster.native()
    native.ask("worker-register", workerId="w", hostname="h", slots=3)
    cluster.api.create()
    assert native.ask("job-poll", workerId="w", slot=0)["jobId"]

    def seen():
        native.ask("worker-heartbeat", workerId="w")
        got = scrape(cluster)
        return got("gleaner_worker_slots", state="busy") == 1 and got("gleaner_worker_slots", state="free") == 2
    wait_until(seen, 15, "a count of slots")


def test_requests_are_counted_by_route_and_never_by_path(cluster):
    for path in ("/elsewhere/1", "/elsewhere/2", "/api/jobs/status?jobId=j-x", "/api/jobs/status", "/favicon.ico", "/uploads/" + 64 * "a" + ".zip",
                 "/api/info"):
        cluster.api.get(path)
    cluster.api.request("HEAD", "/api/info")
    cluster.api.post("/api/info", {})
    cluster.api.request("PATCH", "/api/info")
    got = scrape(cluster)
    count = lambda route, method, code: got("gleaner_http_requests_total", route=route, method=method, code=code)  # noqa: E731
    assert count("none", "GET", "404") == 2
    assert count("/api/jobs/status", "GET", "404") + count("/api/jobs/status", "GET", "400") == 2
    assert (count("/NAME", "GET", "404"), count("/uploads/NAME", "GET", "404")) == (1, 1)
    assert (count("/api/info", "GET", "200"), count("/api/info", "HEAD", "200")) == (1, 1)
    assert (count("none", "POST", "405"), count("none", "other", "405")) == (1, 1)
    assert got("gleaner_http_refusals_total", code="METHOD_NOT_ALLOWED") == 2
    assert b"elsewhere" not in got.body and b"favicon" not in got.body and b"j-x" not in got.body
    again = scrape(cluster)
    assert again("gleaner_http_requests_total", route="/metrics", method="GET", code="200") == 1
    assert again("gleaner_http_requests_in_flight") == 1 and again("gleaner_http_connections") == 1
    assert again("gleaner_http_request_seconds_count", kind="call") >= 8 and again("gleaner_http_request_seconds_count", kind="file") == 2


def test_a_client_that_leaves_is_counted(cluster):
    client = Client("127.0.0.1", cluster.port)
    cluster.native().ask("worker-register", workerId="w", hostname="h", slots=1)
    thread = threading.Thread(target=lambda: pytest.raises(OSError, client.get, "/api/jobs/get-job?workerId=w&slot=0&wait=60000"))
    thread.start()
    wait_until(lambda: scrape(cluster)("gleaner_http_requests_in_flight") == 2, 10)
    client.connection.sock.shutdown(2)
    wait_until(lambda: scrape(cluster)("gleaner_http_requests_in_flight") == 1, 10)
    thread.join()
    got = scrape(cluster)
    assert sum(got("gleaner_http_requests_total", **r) for r in got.labels("gleaner_http_requests_total")
               if r["route"] == "/api/jobs/get-job") == 1
    assert got("gleaner_http_request_seconds_count", kind="wait") == 1


def test_bytes_and_cache(clusters):
    cluster = clusters(gateway_args=["--header-timeout", "1s"])
    url = cluster.api.upload({"a.txt": "x" * 200_000})
    for _ in range(3):
        assert cluster.api.get(url).status == 200
    cluster.api.close()
    got = wait_until(lambda: (s := scrape(cluster))("gleaner_http_received_bytes_total") > 400 and s, 10)
    assert got("gleaner_http_sent_bytes_total") > 900
    assert (got("gleaner_cache_requests_total", result="miss"), got("gleaner_cache_requests_total", result="hit")) == (1, 2)
    assert got("gleaner_blob_bytes") > 0 and got("gleaner_broker_received_bytes_total") > 400 < got("gleaner_broker_sent_bytes_total")


def test_processes_and_versions(cluster):
    got = scrape(cluster)
    for prefix, program in (("process", cluster.gateway), ("gleaner_broker_process", cluster.broker)):
        assert got(f"{prefix}_resident_memory_bytes") == pytest.approx(program.rss(), rel=0.3)
        assert 0 < got(f"{prefix}_cpu_seconds_total") < 60
        assert time.time() - 60 < got(f"{prefix}_start_time_seconds") < time.time()
        fds = len(os.listdir(f"/proc/{program.pid}/fd"))
        if f"{prefix}_open_fds" in got.names():  # from Linux 6.2 on
            assert abs(got(f"{prefix}_open_fds") - fds) <= 3
    [version] = got.labels("gleaner_build_info")
    assert got.labels("gleaner_broker_build_info") == [version] and got("gleaner_build_info", **version) == 1


def test_without_a_broker_the_gateway_tells_so(cluster):
    assert scrape(cluster)("gleaner_broker_up") == 1
    cluster.broker.kill()
    got = wait_until(lambda: (s := scrape(cluster)) and not s("gleaner_broker_up") and s, 10)
    assert "gleaner_broker_up" in got.names() and "gleaner_jobs" not in got.names() and "process_open_fds" in got.names()


def test_malformed_frames_are_counted(cluster):
    native = cluster.native()
    for _ in range(3):
        native.socket.send_multipart([b"", b"\xc1"])
    wait_until(lambda: scrape(cluster)("gleaner_broker_refused_frames_total") == 3, 10)
    assert scrape(cluster)("gleaner_broker_refusals_total", code="BAD_MSGPACK") == 3


def test_who_may_read(clusters):
    cluster = clusters()
    made = {role: tokens.create(cluster, role, role) for role in ("viewer", "submitter", "admin")}
    made["worker"] = tokens.create(cluster, "worker", "w")
    wait_until(lambda: cluster.api.get("/api/info").status == 401, 10)
    for token in (None, "gleaner_none_none", ""):
        answer = tokens.TokenClient(cluster, token).get("/metrics")
        assert answer.status == 401 and b"gleaner_jobs" not in answer.body and b"process_" not in answer.body
    assert {role: tokens.TokenClient(cluster, token).get("/metrics").status for role, token in made.items()} == \
        {"viewer": 200, "submitter": 200, "admin": 200, "worker": 403}
    cluster.broker.signal(signal.SIGSTOP)
    try:
        time.sleep(1.2)  # what a token was worth is remembered for a second
        assert tokens.TokenClient(cluster, None).get("/metrics").status in (401, 503)
    finally:
        cluster.broker.signal(signal.SIGCONT)
