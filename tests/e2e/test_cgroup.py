"""Jobs in control groups (cgroup v2), by the kernel's real ones, where this machine gives a test some."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from cluster import Host, wait_until

MB = 1024 * 1024
PYTHON = sys.executable
WANTED = {"memory", "pids", "cpu"}
# 600 MB at most, 600 processes at most, whatever becomes of them.
FILES = {
    "hog.py": "import time\nkept = []\nfor _ in range(600): kept.append(bytearray(1 << 20))\ntime.sleep(60)\n",
    "bomb.py": "import os, signal, time\nsignal.alarm(20)\nfor _ in range(600):\n    try:\n        if not os.fork(): time.sleep(20); os._exit(0)\n"
               "    except OSError: pass\ntime.sleep(20)\n",
    "spin.py": "import time\nend = time.monotonic() + 2\nwhile time.monotonic() < end: pass\n",
    "unreaped.py": "import os, signal, time\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nif not os.fork(): os.execlp('sh', 'sh', '-c', 'setsid "
                   + PYTHON + " spin.py')\ntime.sleep(4)\n",
}


def places():
    """Groups that one for a worker might be made in: this process's own, and those above it."""
    mounts = [line.split()[1] for line in open("/proc/mounts") if line.split()[2] == "cgroup2"]
    own = [line.strip()[3:] for line in open("/proc/self/cgroup") if line.startswith("0::")]
    if mounts and own:
        place = pathlib.Path(mounts[0] + own[0])
        yield from (p for p in (place, *place.parents) if p.is_relative_to(mounts[0]))


def remove(group):
    for inner in [p for p in group.iterdir() if p.is_dir()]:
        remove(inner)
    (group / "cgroup.kill").write_text("1")
    wait_until(lambda: "populated 0" in (group / "cgroup.events").read_text(), 10, "an empty group")
    group.rmdir()


@pytest.fixture
def group():
    """One with all controllers, as a unit with Delegate=yes has it."""
    for place in places():
        made = place / f"gleaner-test-{os.getpid()}"
        try:
            made.mkdir()
        except OSError:
            continue
        if WANTED <= set((made / "cgroup.controllers").read_text().split()):
            if os.geteuid() == 0:
                os.setxattr(made, "user.delegate", b"1")
            yield made
            remove(made)
            return
        made.rmdir()
    pytest.skip("this machine gives no control group (v2) with memory, pids and cpu")


class Grouped(Host):
    """What starts there is in a group."""

    def __init__(self, group):
        self.prefix = ("/bin/sh", "-c", 'echo $$ > "$0"/cgroup.procs && exec "$@"', str(group))


def jobs_in(group):
    return list(group.glob("job-*"))


@pytest.fixture(params=["none", "bwrap"])
def grouped(request, group, clusters):
    cluster = clusters()
    cluster.the_worker = cluster.worker("http", host=Grouped(group), sandbox=request.param == "bwrap")
    cluster.bwrap = request.param == "bwrap"
    yield cluster
    wait_until(lambda: not jobs_in(group), 10, "the end of its jobs' groups")


def run(cluster, command, seconds=150, **fields):
    return cluster.api.wait_job(cluster.api.create(command, cluster.api.upload(FILES), **fields), seconds)


def test_the_worker_tells(grouped, group):
    assert str(group) in grouped.the_worker.events("cgroup")[0]
    assert "control groups" in grouped.the_worker.events("job-limits")[0]
    status = run(grouped, "echo hello; cat /proc/self/cgroup")
    assert status["stdout"].startswith("hello\n") and "worker" not in status["stdout"], status
    assert grouped.api.worker(status["workerId"])["labels"]["limits"] == "cgroup"
    assert str(grouped.the_worker.pid) in (group / "worker/cgroup.procs").read_text().split()


def test_memory(grouped):
    status = run(grouped, f"{PYTHON} hog.py\necho not reached", memoryMb=30, maxAttempts=3, onError="continue")
    assert (status["status"], status["reason"], status["attempt"], status["stdout"]) == ("failed", "out-of-memory", 1, ""), status
    used, limit = map(int, re.fullmatch(r"The job used (\d+) MB of its (\d+) MB of memory and was stopped\.", status["errorMessage"]).groups())
    assert limit == 30 and 20 <= used <= 30
    assert 20 * MB <= status["memoryPeakBytes"] <= 30 * MB
    assert run(grouped, "echo next")["stdout"] == "next\n"


def test_files_in_memory_are_memory(grouped):
    if not grouped.bwrap:
        pytest.skip("without a sandbox /tmp may be a disk")
    status = run(grouped, "head -c 300M /dev/zero > /tmp/large; sleep 60", memoryMb=100)
    assert status["reason"] == "out-of-memory", status


def test_processes(grouped):
    status = run(grouped, f"{PYTHON} bomb.py\necho not reached", pids=10, onError="continue")
    assert (status["status"], status["reason"], status["stdout"]) == ("failed", "too-many-processes", ""), status
    assert status["errorMessage"] == "The job ran 10 processes and threads at once, of its 10, and was stopped."
    assert run(grouped, "echo next")["stdout"] == "next\n"


def test_processor_time(grouped):
    status = run(grouped, f"{PYTHON} spin.py & {PYTHON} spin.py & wait", cpus=0.5)
    assert status["status"] == "completed"
    assert 500 < status["cpuMs"] < 0.7 * (status["completedAt"] - status["startedAt"])


def test_usage_that_nobody_reaped(grouped):
    status = run(grouped, f"{PYTHON} unreaped.py")
    assert status["cpuMs"] > 1000, status


def test_cancel_ends_all(grouped, group):
    job = grouped.api.create("(setsid setsid sleep 300 &) ; trap '' TERM; sleep 300 & wait", grouped.api.upload())
    procs = wait_until(lambda: [p for inner in jobs_in(group) for p in (inner / "cgroup.procs").read_text().split()][2:], 20)
    assert grouped.api.post("/api/jobs/cancel", {"jobId": job}).status == 200
    wait_until(lambda: not jobs_in(group), 15, "the end of its group")
    assert not any(os.path.exists(f"/proc/{pid}") for pid in procs)


def test_what_an_earlier_worker_left_is_ended(group, clusters):
    inner = group / "job-old.1"
    (inner / "deeper").mkdir(parents=True)
    with subprocess.Popen(["sleep", "300"]) as left:
        (inner / "deeper/cgroup.procs").write_text(str(left.pid))
        cluster = clusters()
        worker = cluster.worker("http", host=Grouped(group))
        assert left.wait(5) == -9
        assert "1 groups" in worker.events("cgroups-swept")[0] and not inner.exists()


def test_not_when_it_is_turned_off(group, clusters):
    cluster = clusters()
    worker = cluster.worker("http", "--cgroup", "off", host=Grouped(group))
    assert "--cgroup off" in worker.events("no-cgroup")[0]
    assert cluster.api.worker(run(cluster, "true")["workerId"])["labels"]["limits"] == "watch"
    assert not (group / "worker").exists()


def test_not_beside_other_processes(group, clusters):
    with subprocess.Popen(["sleep", "300"]) as other:
        (group / "cgroup.procs").write_text(str(other.pid))
        cluster = clusters()
        worker = cluster.worker("http", host=Grouped(group))
        assert "has other processes in it" in worker.events("no-cgroup")[0]
        assert run(cluster, "true")["status"] == "completed" and not (group / "worker").exists()
        other.kill()
