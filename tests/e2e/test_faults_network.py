"""A cable between the workers and the rest: cut, mended, and one-way. In network namespaces of the test's own."""

import pathlib
import time

import pytest

import record
from cluster import wait_until
from network import Network

TRANSPORTS = pytest.mark.parametrize("transport", ["http", "zmq"])


@pytest.fixture
def network():
    network = Network()
    yield network
    network.close()


def far_cluster(clusters, network, lease):
    """The broker and the gateway on one host; workers go to the other."""
    return clusters(broker_args=["--lease", lease, "--offline", lease, "--heartbeat", "1s", "--retry-backoff", "100ms"], host=network.server)


def begin(cluster, network, tmp_path, transport, commands):
    worker = cluster.worker(transport, "--id", "far", host=network.workers)
    note = tmp_path / "note"
    job = cluster.api.submit(f"echo $GLEANER_WORKER_ID >> {note}; {commands}")
    wait_until(note.exists, 15)
    return worker, job, note


@TRANSPORTS
def test_a_cable_that_is_mended_within_the_lease(clusters, network, tmp_path, transport):
    """The same attempt goes on, and its output is whole."""
    cluster = far_cluster(clusters, network, "30s")
    _, job, note = begin(cluster, network, tmp_path, transport, "for i in $(seq 40); do echo line $i; sleep 0.2; done")
    network.cut()
    time.sleep(6)
    network.mend()
    status = cluster.api.wait_job(job, 60)
    assert status["status"] == "completed" and status["attempt"] == 1, status
    assert status["stdout"] == "".join(f"line {n}\n" for n in range(1, 41)) and note.read_text() == "far\n"
    record.check(cluster, [job])


@TRANSPORTS
@pytest.mark.parametrize("way", ["both", "to-the-server", "to-the-workers"])
def test_a_cable_that_is_out_for_longer(clusters, network, tmp_path, transport, way):
    """The worker ends its job by its own clock, no later than another one may begin it; both meet again in peace."""
    cluster = far_cluster(clusters, network, "4s")
    worker, job, note = begin(cluster, network, tmp_path, transport, "[ $GLEANER_ATTEMPT = 2 ] || sleep 4712; echo done")
    if way == "both":
        network.cut()
    else:
        network.lose_from(network.workers if way == "to-the-server" else network.server)
    # A cancel could not reach it: only its own clock ends the job.
    worker.wait_event("lease-lost", 10)
    cluster.worker(transport, "--id", "near")
    status = cluster.api.wait_job(job, 30)
    assert status["status"] == "completed" and status["attempt"] == 2 and status["workerId"] == "near", status
    if way == "both":
        network.mend()
    else:
        network.lose_no_more(network.workers if way == "to-the-server" else network.server)
    wait_until(lambda: cluster.api.worker("far")["status"] == "idle", 40, "the far worker's return")
    assert note.read_text() == "far\nnear\n"
    record.check(cluster, [job])


def test_a_dead_connection_is_found(clusters, network, tmp_path):
    """Half-open: no packet says that the other end is gone. The descriptor does not stay for ever."""
    cluster = far_cluster(clusters, network, "4s")
    begin(cluster, network, tmp_path, "zmq", "sleep 4713")

    def is_socket(fd):
        try:
            return "socket" in str(fd.readlink())
        except FileNotFoundError:
            return False  # closed meanwhile

    def connections():
        return sum(map(is_socket, pathlib.Path(f"/proc/{cluster.broker.pid}/fd").iterdir()))

    before = connections()
    network.cut()
    wait_until(lambda: cluster.api.worker("far")["status"] == "offline", 15, "the loss")
    wait_until(lambda: connections() < before, 25, "the dead connection's end")
    network.mend()
    wait_until(lambda: cluster.api.worker("far")["status"] != "offline", 40)
    for job in record.jobs_of(cluster):
        cluster.api.post("/api/jobs/cancel", {"jobId": job})
    record.check(cluster)
