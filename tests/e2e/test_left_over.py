"""What jobs leave in their folders, however much that is: it goes, and nothing waits for it."""

import os
import sys
import time

import pytest

from cluster import wait_until

DEEP = 6000
LATE_SECONDS = 2
GONE_SECONDS = 90  # some disks take 3 ms for a folder, without sanitizers
NEST = f"""import os
for i in range({DEEP}):
    os.mkdir("d")
    os.chdir("d")
"""
TICK = """import pathlib, sys, time
while not pathlib.Path(sys.argv[1]).exists():
    print("tick", flush=True)
    time.sleep(0.05)
"""
FILES = {"nest.py": NEST, "tick.py": TICK}


def nest(folder):
    """As a job does it. A path of so many folders is longer than one may be: each is made in the one before."""
    folder.mkdir(parents=True)
    at = os.open(folder, os.O_RDONLY)
    for _ in range(DEEP):
        os.mkdir("d", dir_fd=at)
        inner = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(at)


def left(worker):
    return [path for name in ("jobs", "trash", "spool") for path in (worker.folder / name).iterdir()]


def gone(worker):
    wait_until(lambda: not left(worker), GONE_SECONDS, "the end of what the job has left")


@pytest.mark.parametrize("transport", ["http", "zmq"])
def test_thousands_of_folders_hold_up_no_other_job(cluster, tmp_path, transport):
    """Neither one in another slot, nor the next one in the same."""
    worker = cluster.worker(transport, "--slots", "2")
    api, archive, end = cluster.api, cluster.api.upload(FILES), tmp_path / "end"
    ticking = api.create(f"{sys.executable} tick.py {end}", archive, maxAttempts=1)
    deep = api.create(f"{sys.executable} nest.py", archive, maxAttempts=1)
    assert api.wait_job(deep, 60)["status"] == "completed"
    until, latest = time.monotonic() + 3 * LATE_SECONDS, 0.0
    ticks, ticked, slowest = 0, time.monotonic(), 0.0
    while time.monotonic() < until:
        begun = time.monotonic()
        job = api.create("echo next", archive, maxAttempts=1)
        while api.status(job)["status"] not in ("completed", "failed"):
            now, count = time.monotonic(), api.status(ticking)["stdout"].count("tick")
            slowest = max(slowest, now - ticked)
            if count > ticks:
                ticks, ticked = count, now
        latest = max(latest, time.monotonic() - begun)
        assert api.status(job)["stdout"] == "next\n"
    assert latest < LATE_SECONDS and slowest < LATE_SECONDS and ticks, (latest, slowest, ticks)
    assert not [path for path in left(worker) if deep in path.name], "its folder is not where another could be"
    end.touch()
    assert api.wait_job(ticking)["status"] == "completed"
    gone(worker)


def test_what_a_killed_worker_has_left_goes_after_its_next_start(cluster):
    worker = cluster.worker("zmq")
    assert worker.stop() == 0
    nest(worker.folder / "jobs/job-0000000000001-00000000.1")
    nest(worker.folder / "trash/0")
    worker.start()
    assert cluster.api.wait_job(cluster.api.submit("echo at once"), LATE_SECONDS)["stdout"] == "at once\n"
    gone(worker)
    assert not worker.events("trash-left")


def test_a_worker_that_ends_does_not_wait_for_all_of_it(cluster):
    worker = cluster.worker("zmq")
    assert worker.stop() == 0
    nest(worker.folder / "trash/0")
    worker.start()
    assert worker.stop(5) == 0
    worker.start()
    gone(worker)


def test_nothing_is_left_by_a_worker_that_ends(cluster):
    worker = cluster.worker("zmq", "--once")
    assert cluster.api.wait_job(cluster.api.submit("mkdir -p a/b c; touch a/b/d; chmod 0 a/b a"))["status"] == "completed"
    assert worker.wait(15) == 0
    assert not left(worker)
