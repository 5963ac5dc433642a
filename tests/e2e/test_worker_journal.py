"""What a worker writes down of an attempt: phases, commands, the order of the output, what was used."""

import signal
import time

import pytest

from cluster import wait_until

TRANSPORTS = pytest.mark.parametrize("transport", ["http", "zmq"])


def entries(cluster, job, attempt=None):
    """The journal as (ms, kind, [arguments])."""
    query = f"&attempt={attempt}" if attempt else ""
    text = cluster.api.get(f"/api/jobs/output?jobId={job}&stream=journal{query}").body.decode()
    assert not text or text.endswith("\n")
    lines = [line.split(" ") for line in text.splitlines()]
    times = [int(line[0]) for line in lines]
    assert times == sorted(times)
    return [(int(line[0]), line[1], line[2:]) for line in lines]


def output(cluster, job, stream):
    return cluster.api.get(f"/api/jobs/output?jobId={job}&stream={stream}").body


def by_command(found):
    """The output's bytes between a command's begin and end."""
    sums, now = {}, None
    for _, kind, rest in found:
        if kind == "begin":
            now = int(rest[0])
            sums[now] = {"out": 0, "err": 0}
        elif kind == "end":
            now = None
        elif kind in ("out", "err"):
            sums[now][kind] += int(rest[0])
    return sums


def woven(cluster, job, found):
    """The output as it was printed, both streams in one."""
    streams = {"out": output(cluster, job, "stdout"), "err": output(cluster, job, "stderr")}
    at = {"out": 0, "err": 0}
    parts = []
    for _, kind, rest in found:
        if kind not in at:
            continue
        part = streams[kind][at[kind]:at[kind] + int(rest[0])]
        assert part.count(b"\n") == int(rest[1].rstrip("+"))
        assert rest[1].endswith("+") == (not part.endswith(b"\n"))
        at[kind] += len(part)
        parts.append(part)
    assert at == {kind: len(bytes_) for kind, bytes_ in streams.items()}
    return b"".join(parts)


@TRANSPORTS
def test_each_command_has_its_own_output_and_end(cluster, transport):
    cluster.worker(transport)
    commands = "\n".join(["echo one", "", "printf 12345 >&2", "seq 1 5000", "kill -9 $$", "echo never"])
    job = cluster.api.submit(commands)
    assert cluster.api.wait_job(job)["exitCode"] == 137
    found = entries(cluster, job)
    assert [rest for _, kind, rest in found if kind == "phase"] == [["download"], ["extract"], ["run"], ["upload"]]
    assert [rest for _, kind, rest in found if kind == "begin"] == [["1"], ["2"], ["3"], ["4"]]
    assert [rest for _, kind, rest in found if kind == "end"] == [["1", "0"], ["2", "0"], ["3", "0"], ["4", "137", "9"]]
    seq = len("".join(f"{n}\n" for n in range(1, 5001)))
    assert by_command(found) == {1: {"out": 4, "err": 0}, 2: {"out": 0, "err": 5}, 3: {"out": seq, "err": 0}, 4: {"out": 0, "err": 0}}


@TRANSPORTS
def test_the_order_of_both_streams_is_known(cluster, transport):
    cluster.worker(transport)
    job = cluster.api.submit("for i in 1 2 3 4; do echo out$i; sleep 0.08; echo err$i >&2; sleep 0.08; done")
    cluster.api.wait_job(job)
    assert woven(cluster, job, entries(cluster, job)) == b"".join(b"out%d\nerr%d\n" % (n, n) for n in range(1, 5))


@TRANSPORTS
def test_much_output_is_told_completely(cluster, transport):
    cluster.worker(transport)
    job = cluster.api.submit("seq 1 200000; seq 1 200000 >&2; printf end")
    status = cluster.api.wait_job(job)
    assert status["status"] == "completed", status
    found = entries(cluster, job)
    assert len(woven(cluster, job, found)) == 2 * len("".join(f"{n}\n" for n in range(1, 200001))) + 3
    assert max(int(rest[0]) for _, kind, rest in found if kind in ("out", "err")) <= 64 * 1024


def test_what_is_dropped_is_not_told(clusters):
    cluster = clusters(broker_args=["--output-max", "100000"])
    cluster.worker("http")
    job = cluster.api.submit("yes 0123456 | head -c 1000000")
    status = cluster.api.wait_job(job)
    assert status["stdoutDropped"] == 900000
    assert len(woven(cluster, job, entries(cluster, job))) == 100000


def test_what_was_used_is_told(cluster):
    cluster.worker("zmq")
    job = cluster.api.submit("python3 burn.py", files={"burn.py": (
        "import time\nx = bytearray(b'1' * 80_000_000)\nend = time.time() + 2.5\nwhile time.time() < end: pass\n")})
    status = cluster.api.wait_job(job)
    assert status["status"] == "completed", status
    used = [[int(n) for n in rest] for _, kind, rest in entries(cluster, job) if kind == "use"]
    assert len(used) >= 2
    cpu, memory, processes = zip(*used)
    assert list(cpu) == sorted(cpu) and cpu[-1] >= 500  # the machine may be busy with other things
    assert max(memory) >= 80_000_000 and max(processes) >= 2
    assert processes[-1] == 0


def test_a_job_that_goes_on_tells_every_end(cluster):
    cluster.worker("http")
    job = cluster.api.submit("exit 3\necho on\nexit 4", onError="continue")
    cluster.api.wait_job(job)
    assert [rest for _, kind, rest in entries(cluster, job) if kind == "end"] == [["1", "3"], ["2", "0"], ["3", "4"]]


def test_artifacts_are_a_phase(cluster):
    cluster.worker("http")
    job = cluster.api.submit("echo x > made.txt", artifacts="*.txt")
    cluster.api.wait_job(job)
    assert [rest[0] for _, kind, rest in entries(cluster, job) if kind == "phase"] == ["download", "extract", "run", "artifacts", "upload"]


@TRANSPORTS
def test_it_comes_while_the_job_runs(cluster, transport):
    cluster.worker(transport)
    job = cluster.api.submit("echo early; sleep 30")
    cluster.api.wait_job(job, until=("running",))
    end = time.monotonic() + 10
    while not any(kind == "out" for _, kind, _ in entries(cluster, job)):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert ["1"] in [rest for _, kind, rest in entries(cluster, job) if kind == "begin"]
    cluster.api.post("/api/jobs/cancel", {"jobId": job})


def test_a_lost_attempt_keeps_its_own(cluster):
    first = cluster.worker("http")
    job = cluster.api.submit("echo begun; sleep 2; echo done")
    cluster.api.wait_job(job, until=("running",))
    end = time.monotonic() + 10
    while b"begun" not in output(cluster, job, "stdout") or not any(kind == "out" for _, kind, _ in entries(cluster, job)):
        assert time.monotonic() < end
        time.sleep(0.05)
    first.kill()
    first.start()
    status = cluster.api.wait_job(job, seconds=60)
    assert (status["status"], status["attempt"]) == ("completed", 2), status
    assert not any(kind == "end" for _, kind, _ in entries(cluster, job, 1))
    assert any(kind == "end" for _, kind, _ in entries(cluster, job, 2))


def test_a_paused_worker_holds_no_job_up_for_long(cluster, tmp_path):
    worker = cluster.worker("http")
    job = cluster.api.submit(f"touch {tmp_path}/one; sleep 1\nsleep 0.1\nsleep 0.1\ntouch {tmp_path}/four")
    wait_until((tmp_path / "one").exists, 20, "the first command")
    worker.signal(signal.SIGSTOP)
    end = time.monotonic() + 20
    while not (tmp_path / "four").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    worker.signal(signal.SIGCONT)
    assert cluster.api.wait_job(job)["status"] == "completed"
    assert [rest for _, kind, rest in entries(cluster, job) if kind == "end"] == [[str(n), "0"] for n in range(1, 5)]
