"""Many at once, and few descriptors: slow readers, a thousand workers that come back, cancels against results."""

import http.client
import os
import random
import resource
import socket
import threading
import time

import msgpack
import pytest
import zmq

import record
from client import Client
from cluster import wait_until
from native import Native

THOUSAND = int(os.environ.get("GLEANER_WORKERS", "1000"))


def test_a_reader_that_hardly_reads_costs_no_memory(clusters):
    """Live output at a byte a second, and the job goes on at full speed."""
    cluster = clusters()
    cluster.worker("zmq")
    warm = cluster.api.submit("head -c 1000000 /dev/zero")
    cluster.api.wait_job(warm)
    before = cluster.gateway.rss(), cluster.broker.rss()
    job = cluster.api.submit("sleep 0.5; head -c 60000000 /dev/zero; echo over >&2")
    readers = []
    for _ in range(5):
        reader = socket.create_connection(("127.0.0.1", cluster.port))
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.sendall(f"GET /api/jobs/output?jobId={job}&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        readers.append(reader)
    begun = time.monotonic()
    while cluster.api.status(job)["status"] not in record.FINAL:
        for reader in readers:
            reader.recv(1)
        assert time.monotonic() - begun < 60
        time.sleep(0.2)
    assert cluster.gateway.rss() - before[0] < 32 << 20 and cluster.broker.rss() - before[1] < 32 << 20
    for reader in readers:
        reader.close()
    jobs = record.check(cluster, [job])
    assert jobs[job]["status"] == "completed" and jobs[job]["stdoutBytes"] == 60_000_000


class Crowd:
    """Many native workers of one process, each with a connection of its own; they answer nothing but keep in touch."""

    def __init__(self, url, count):
        self.context = zmq.Context()
        self.context.max_sockets = count + 16
        self.poller, self.sockets = zmq.Poller(), []
        for _ in range(count):
            socket = self.context.socket(zmq.DEALER)
            socket.linger, socket.reconnect_ivl = 0, 100
            socket.connect(url)
            self.sockets.append(socket)
            self.poller.register(socket, zmq.POLLIN)

    def say(self, number, type, **fields):
        self.sockets[number].send_multipart([b"", msgpack.packb({"v": 1, "type": type, "workerId": f"crowd-{number}", **fields})])

    def all_say(self, type, seconds=60, **fields):
        """Each says it once; returns how many were answered as they should."""
        for number in range(len(self.sockets)):
            self.say(number, type, **fields)
        good, end = 0, time.monotonic() + seconds
        while good < len(self.sockets) and time.monotonic() < end:
            for socket, _ in self.poller.poll(1000):
                good += msgpack.unpackb(socket.recv_multipart()[-1])["type"] == f"{type}-ok"
        return good

    def close(self):
        self.context.destroy(linger=0)


@pytest.fixture
def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * THOUSAND + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"open files: the limit is {hard}, {wanted} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_thousand_workers_come_back_at_once(clusters, descriptors):
    """After a restart of the broker nobody is lost, and no lease has run out."""
    cluster = clusters(broker_args=["--lease", "20s", "--offline", "20s"])
    crowd = cluster.on_close(Crowd(cluster.broker_url, THOUSAND))
    assert crowd.all_say("worker-register", hostname="h", slots=1) == THOUSAND
    native = cluster.native()
    jobs = [native.ask("job-create", command="true", fileUrl="/uploads/none.zip", filename="p.zip")["jobId"] for _ in range(50)]
    leases = {}
    for number in range(50):
        given = native.ask("job-poll", workerId=f"crowd-{number}", slot=0, wait=1000)
        leases[number] = {key: given[key] for key in ("jobId", "attempt", "token")}
    cluster.broker.kill()
    cluster.broker.start()
    assert crowd.all_say("worker-heartbeat") == THOUSAND
    native.open()
    for number, lease in leases.items():
        assert native.ask("job-renew", workerId=f"crowd-{number}", **lease)["type"] == "job-renew-ok"
    time.sleep(4)  # longer than a closed connection is waited for
    info = native.ask("broker-info")
    assert info["totalWorkers"] == THOUSAND and info["runningJobs"] == 50
    listed = native.ask("worker-list")
    assert listed["idleWorkers"] == THOUSAND - 50 and listed["busyWorkers"] == 50
    for number, lease in leases.items():
        assert native.ask("job-result", workerId=f"crowd-{number}", **lease, exitCode=0)["type"] == "job-result-ok"
    found = record.check(cluster, jobs)
    assert all(job["status"] == "completed" and job["attempt"] == 1 for job in found.values())


@pytest.mark.parametrize("victim", ["broker", "gateway"])
def test_a_program_without_descriptors_recovers(clusters, victim):
    """Clients take all that there are; those who were served before are served still, and all are when some let go."""
    cluster = clusters()
    program = getattr(cluster, victim)
    program.stop()
    program.prefix = ["prlimit", "--nofile=80"]
    program.start()
    wait_until(lambda: cluster.api.get("/api/info").status == 200, 10)
    before = cluster.api.create()
    port = int(cluster.broker_url.rsplit(":", 1)[1]) if victim == "broker" else cluster.port
    greedy = []
    for _ in range(120):
        try:
            greedy.append(socket.create_connection(("127.0.0.1", port), timeout=1))
        except OSError:
            break
    time.sleep(0.5)
    if victim == "broker":
        assert cluster.api.status(before)["status"] == "pending"
    for connection in greedy:
        connection.close()

    def works():
        try:
            return Client("127.0.0.1", cluster.port, timeout=2).get("/api/info").status == 200
        except (OSError, http.client.HTTPException):
            return False
    wait_until(works, 20, "service")
    wait_until(lambda: Native(cluster.broker_url).ask_raw(msgpack.packb({"v": 1, "type": "broker-info"}), 2), 20)
    after = cluster.client().create()
    cluster.api.close()
    record.check(cluster, [before, after], all_final=False)


def test_cancels_race_with_results(clusters):
    """Whichever is first, it alone counts: after a cancel's answer no success is ever recorded, nor the other way."""
    cluster = clusters()
    dice = random.Random(5)
    hands, canceller = cluster.native(), cluster.native()
    hands.ask("worker-register", workerId="w", hostname="h", slots=1)
    jobs, said = [], {}
    for number in range(300):
        job = hands.ask("job-create", command="true", fileUrl="/uploads/none.zip", filename="p.zip", maxAttempts=1)["jobId"]
        given = hands.ask("job-poll", workerId="w", slot=0, wait=1000)
        lease = {key: given[key] for key in ("jobId", "attempt", "token")}
        barrier = threading.Barrier(2)

        def cancel():
            barrier.wait()
            time.sleep(dice.random() * 0.002)
            said[job] = canceller.ask("job-cancel", jobId=job)["status"]
        thread = threading.Thread(target=cancel)
        thread.start()
        barrier.wait()
        time.sleep(dice.random() * 0.002)
        result = hands.ask("job-result", workerId="w", **lease, exitCode=0, stdout=b"out", stderr=b"")
        thread.join()
        accepted = result["type"] == "job-result-ok"
        assert said[job] == ("completed" if accepted else "failed"), (result, said[job])
        jobs.append((job, accepted))
    assert 10 < sum(accepted for _, accepted in jobs) < 290, "the race was none"
    found = record.check(cluster, [job for job, _ in jobs])
    for job, accepted in jobs:
        assert found[job]["status"] == ("completed" if accepted else "failed"), found[job]
        assert accepted or found[job]["reason"] == "cancelled"
