"""Whatever a job starts ends with it: its groups, its sessions, its orphans; and what its commands see and print."""

import hashlib
import os
import pathlib
import resource
import shutil
import signal
import sys
import time
import uuid

import pytest

from built import BIN, TSAN
from cluster import wait_until

TRANSPORTS = pytest.mark.parametrize("transport", ["http", "zmq"])
GONE_SECONDS = 5

# Leaves its group, its session and its parent, says who it is, ignores TERM.
DAEMON = """import os, signal, sys, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
if sys.argv[2] == "stubborn": signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open(sys.argv[1], "a") as note: note.write(f"{os.getpid()} ")
time.sleep(300)
"""
FILES = {"daemon.py": DAEMON}

# Chains in which each process forks the next and ends, so that none is long where it was seen.
CHAIN = """import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
[os.fork() for _ in range(4)]
while True:
    if os.fork(): os._exit(0)
    os.setsid()
    with open(sys.argv[1], "a") as note: note.write(f"{os.getpid()} ")
    time.sleep(0.1)
"""


def daemon(note, how="plain"):
    return f"{sys.executable} daemon.py {note} {how}"


def pids_in(note, count):
    def there():
        return note.exists() and len(note.read_text().split()) >= count
    wait_until(there, 20, "the job's start")
    return note.read_text().split()


def gone(pids):
    def ended(pid):
        try:
            return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError):
            return True
    return all(ended(pid) for pid in pids)


def create(cluster, command, files=None, **fields):
    """A job by POST /api/jobs/create, which takes every field."""
    return cluster.api.create(command, cluster.api.upload(files or {"a.txt": "hello\n"}), **fields)


@TRANSPORTS
@pytest.mark.parametrize("how", ["plain", "stubborn"])
def test_a_cancel_ends_what_left_its_session(cluster, tmp_path, transport, how):
    cluster.worker(transport)
    note = tmp_path / "pids"
    job = cluster.api.submit(f"{daemon(note, how)}; setsid sleep 300 & echo $! >> {note}; echo $$ >> {note}; sleep 300", FILES)
    pids = pids_in(note, 3)
    cluster.api.post("/api/jobs/cancel", {"jobId": job})
    wait_until(lambda: gone(pids), GONE_SECONDS, "the end of all processes")
    assert cluster.api.wait_job(cluster.api.submit("echo next"))["stdout"] == "next\n"


@TRANSPORTS
def test_a_worker_that_is_killed_leaves_no_process(cluster, tmp_path, transport):
    worker = cluster.worker(transport)
    note = tmp_path / "pids"
    cluster.api.submit(f"{daemon(note, 'stubborn')}; trap '' TERM; sleep 300 & echo $! $$ >> {note}; wait", FILES, maxAttempts="1")
    pids = pids_in(note, 3)
    worker.kill()
    wait_until(lambda: gone(pids), 2, "the end of all processes")


def test_a_worker_that_is_told_twice_ends_its_job(cluster, tmp_path):
    worker = cluster.worker("zmq")
    note = tmp_path / "pids"
    cluster.api.submit(f"{daemon(note)}; echo $$ >> {note}; sleep 300", FILES)
    pids = pids_in(note, 2)
    worker.signal()
    worker.wait_event("worker-stopping")
    worker.signal()
    assert worker.wait(GONE_SECONDS + 3) == 0
    assert gone(pids)


@TRANSPORTS
def test_what_a_command_leaves_behind_serves_the_next_and_ends_with_the_job(cluster, tmp_path, transport):
    cluster.worker(transport)
    note = tmp_path / "pids"
    commands = f"{daemon(note)}\nsleep 300 & echo $! >> {note}\nwhile [ $(wc -w < {note}) -lt 2 ]; do sleep 0.1; done\n" \
               f"kill -0 $(cat {note}) && echo alive"
    begun = time.monotonic()
    status = cluster.api.wait_job(cluster.api.submit(commands, FILES))
    assert (status["status"], status["stdout"], status["exitCode"]) == ("completed", "alive\n", 0)
    assert gone(note.read_text().split()) and time.monotonic() - begun < 10


def test_a_background_process_that_ignores_term_does_not_hold_the_result_up(cluster, tmp_path):
    cluster.worker("http")
    note = tmp_path / "pids"
    begun = time.monotonic()
    status = cluster.api.wait_job(cluster.api.submit(f"{daemon(note, 'stubborn')}\nwhile [ ! -s {note} ]; do sleep 0.1; done", FILES))
    assert status["status"] == "completed" and time.monotonic() - begun < GONE_SECONDS
    assert gone(note.read_text().split())


def test_moving_targets_are_ended(cluster, tmp_path):
    cluster.worker("http")
    note = tmp_path / "pids"
    job = cluster.api.submit(f"trap '' TERM; {sys.executable} chain.py {note}; sleep 300", {"chain.py": CHAIN})
    pids_in(note, 100)
    begun = time.monotonic()
    cluster.api.post("/api/jobs/cancel", {"jobId": job})

    def silent():
        before = note.stat().st_size
        time.sleep(0.5)
        return note.stat().st_size == before and gone(note.read_text().split())
    wait_until(silent, 2 * GONE_SECONDS, "the end of all processes")
    assert time.monotonic() - begun < GONE_SECONDS + 1


@pytest.mark.parametrize("how", ["exit 0", "kill -9 $PPID; exit 0"])
def test_a_process_without_its_first_thread_is_ended(cluster, tmp_path, how):
    """The kernel shows one as a zombie while its other threads run on."""
    cluster.worker("http")
    note = tmp_path / "note"
    headless = "import ctypes, sys, threading, time\n" \
               "def tell():\n" \
               "    while True:\n" \
               "        with open(sys.argv[1], 'a') as note: note.write('x')\n" \
               "        time.sleep(0.05)\n" \
               "threading.Thread(target=tell).start()\n" \
               "ctypes.CDLL(None).pthread_exit(None)\n"
    begun = time.monotonic()
    command = f"setsid {sys.executable} headless.py {note} & while [ ! -s {note} ]; do sleep 0.1; done; {how}"
    cluster.api.wait_job(cluster.api.submit(command, {"headless.py": headless}, maxAttempts="1"))
    assert time.monotonic() - begun < GONE_SECONDS
    size = note.stat().st_size
    time.sleep(0.5)
    assert note.stat().st_size == size


# ---- a keeper that is killed ----

def children(pid):
    """Ended ones that nobody has waited for, too; not those that serve one job after another."""
    return [child for child in all_children(pid) if command_of(child) not in ("gleaner-keeper", "gleaner-extract --fork-server")]


def command_of(pid):
    """Its program and arguments; of an ended one, nothing."""
    try:
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        words = []
    return " ".join([os.path.basename(words[0]), *words[1:]]) if words else ""


def all_children(pid):
    def parent(stat):
        try:
            return int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            return None
    return [stat.parent.name for stat in pathlib.Path("/proc").glob("[0-9]*/stat") if parent(stat) == pid]


@TRANSPORTS
@pytest.mark.parametrize("after", ["exit 0", "sleep 300"])
def test_a_job_that_kills_its_keeper_leaves_no_process(cluster, tmp_path, transport, after):
    worker = cluster.worker(transport)
    note = tmp_path / "pids"
    command = f"{daemon(note, 'stubborn')}; setsid sleep 300 & echo $! >> {note}; sleep 300 & echo $! $$ >> {note}; " \
              f"while [ $(wc -w < {note}) -lt 4 ]; do sleep 0.1; done; echo so far; kill -9 $PPID; {after}"
    status = cluster.api.wait_job(cluster.api.submit(command, FILES, maxAttempts="1"))
    pids = pids_in(note, 4)
    assert gone(pids), "the result comes when they are gone"
    assert (status["status"], status["reason"]) == ("failed", "worker-error"), status
    assert "its keeper was killed" in status["errorMessage"] and status["stdout"] == "so far\n", status
    wait_until(lambda: not children(worker.pid), GONE_SECONDS, "the worker's last child")
    assert cluster.api.wait_job(cluster.api.submit("echo next"))["stdout"] == "next\n"


def test_a_killed_keeper_is_tried_again(cluster, tmp_path):
    cluster.worker("http")
    command = f"[ -e {tmp_path}/once ] || {{ touch {tmp_path}/once; kill -9 $PPID; sleep 300; }}; echo $GLEANER_ATTEMPT"
    status = cluster.api.wait_job(create(cluster, command, backoffMs=10))
    assert (status["status"], status["stdout"]) == ("completed", "2\n"), status


def test_a_killed_keeper_is_not_the_end_of_other_jobs(cluster, tmp_path):
    """Neither of their processes nor of an extractor or a packer."""
    worker = cluster.worker("http", "--slots", "2")
    note, gate = tmp_path / "pids", tmp_path / "gate"
    commands = f"{daemon(note)}\nsetsid sleep 300 & echo $! >> {note}\nwhile [ ! -e {gate} ]; do sleep 0.1; done\n" \
               f"kill -0 $(cat {note}) && echo alive > out"
    job = create(cluster, commands, FILES, artifacts=["out"])
    pids = pids_in(note, 2)
    for _ in range(5):
        killer = cluster.api.submit("setsid sleep 300 & kill -9 $PPID", maxAttempts="1")
        assert cluster.api.wait_job(killer)["reason"] == "worker-error"
        assert not gone(pids[:1]) and not gone(pids[1:])
    gate.touch()
    status = cluster.api.wait_job(job)
    assert status["status"] == "completed" and status["artifactsCount"] == 1, status
    assert gone(pids)
    wait_until(lambda: not children(worker.pid), GONE_SECONDS, "the worker's last child")


def test_a_killed_keeper_and_moving_targets(cluster, tmp_path):
    cluster.worker("http")
    note = tmp_path / "pids"
    command = f": > {note}; trap '' TERM; {sys.executable} chain.py {note}; while [ $(wc -w < {note}) -lt 100 ]; do sleep 0.1; done; kill -9 $PPID"
    job = cluster.api.submit(command, {"chain.py": CHAIN}, maxAttempts="1")
    pids_in(note, 100)
    assert cluster.api.wait_job(job)["reason"] == "worker-error"
    size = note.stat().st_size
    time.sleep(0.5)
    assert note.stat().st_size == size and gone(note.read_text().split())


@TRANSPORTS
def test_a_cancel_finds_what_a_killed_keeper_left(cluster, tmp_path, transport):
    """The keeper is killed because of the cancel."""
    cluster.worker(transport)
    note = tmp_path / "pids"
    command = f"trap 'kill -9 $PPID' TERM; {daemon(note, 'stubborn')}; echo $$ >> {note}; while :; do sleep 0.1; done"
    job = cluster.api.submit(command, FILES)
    pids = pids_in(note, 2)
    cluster.api.post("/api/jobs/cancel", {"jobId": job})
    wait_until(lambda: gone(pids), GONE_SECONDS, "the end of all processes")
    assert cluster.api.wait_job(cluster.api.submit("echo next"))["stdout"] == "next\n"
    assert cluster.api.status(job)["reason"] == "cancelled"


def test_a_worker_that_ends_ends_what_a_killed_keeper_left(cluster, tmp_path):
    worker = cluster.worker("http")
    note = tmp_path / "pids"
    command = f"trap 'kill -9 $PPID' TERM; {daemon(note, 'stubborn')}; echo $$ >> {note}; while :; do sleep 0.1; done"
    cluster.api.submit(command, FILES)
    pids = pids_in(note, 2)
    worker.signal()
    worker.wait_event("worker-stopping")
    worker.signal()
    assert worker.wait(GONE_SECONDS + 3) == 0
    assert gone(pids)


def test_a_job_that_terminates_its_keeper_ends(cluster):
    cluster.worker("http")
    status = cluster.api.wait_job(cluster.api.submit("kill $PPID; sleep 300", maxAttempts="1"))
    assert status["exitCode"] == 143, status


# ---- keepers and the fork server serve one job after another ----

def at_rest(worker, command):
    """The worker's children that run just this."""
    return [int(child) for child in all_children(worker.pid) if command_of(child) == command]


FORK_SERVER = pytest.mark.skipif(TSAN, reason="a worker built for ThreadSanitizer has no fork server")
SERVERS = pytest.mark.parametrize("command", ["gleaner-keeper", pytest.param("gleaner-extract --fork-server", marks=FORK_SERVER)])


def new_files():
    """A project that the worker has not seen, and so must unpack."""
    return {"a.txt": "hello\n", "new.txt": uuid.uuid4().hex}


def run_one(cluster, word):
    status = cluster.api.wait_job(cluster.api.submit(f"echo {word}; cat a.txt", new_files(), maxAttempts="1"))
    assert (status["status"], status["stdout"]) == ("completed", f"{word}\nhello\n"), status


def test_one_keeper_and_one_fork_server_serve_all_jobs(cluster):
    worker = cluster.worker("zmq")
    run_one(cluster, 0)
    before = sorted(all_children(worker.pid))
    for i in range(1, 10):
        run_one(cluster, i)
    assert sorted(all_children(worker.pid)) == before and len(before) == (1 if TSAN else 2)


@SERVERS
def test_one_that_is_killed_at_rest_is_replaced(cluster, command):
    worker = cluster.worker("http")
    for i in range(4):
        run_one(cluster, i)
        for pid in at_rest(worker, command):
            os.kill(pid, signal.SIGKILL)

    def replaced():
        run_one(cluster, "again")
        return at_rest(worker, command)
    wait_until(replaced, 10, "a new one")
    assert not children(worker.pid)


@FORK_SERVER
def test_a_fork_server_that_is_killed_while_jobs_run(cluster, tmp_path):
    worker = cluster.worker("zmq", "--slots", "3")
    gate = tmp_path / "gate"
    waiting = cluster.api.submit(f"while [ ! -e {gate} ]; do sleep 0.02; done; echo passed")
    jobs = []
    for i in range(20):
        for pid in at_rest(worker, "gleaner-extract --fork-server"):
            os.kill(pid, signal.SIGKILL)
        jobs.append(cluster.api.submit(f"echo {i}; cat a.txt", new_files(), maxAttempts="1"))
    for i, job in enumerate(jobs):
        status = cluster.api.wait_job(job)
        assert (status["status"], status["stdout"]) == ("completed", f"{i}\nhello\n"), status
    gate.touch()
    assert cluster.api.wait_job(waiting)["stdout"] == "passed\n"


@FORK_SERVER
def test_a_fork_server_that_stands_still_is_not_waited_for_long(cluster):
    worker = cluster.worker("zmq")
    run_one(cluster, "first")
    for pid in at_rest(worker, "gleaner-extract --fork-server"):
        os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    run_one(cluster, "second")
    assert time.monotonic() - begun < 5


def test_a_program_that_cannot_be_a_fork_server_is_started_for_each_job(cluster, tmp_path):
    """It ends at once, each time; the worker does not start it over and over."""
    folder, note = tmp_path / "bin", tmp_path / "note"
    folder.mkdir()
    for name in ("worker", "keeper", "collect"):
        shutil.copy(BIN / f"gleaner-{name}", folder)
    program = folder / "gleaner-extract"
    program.write_text(f'#!/bin/sh\necho "$1" >> {note}\n[ "$1" != --fork-server ] || exit 1\nexec {BIN}/gleaner-extract "$@"\n')
    program.chmod(0o755)
    cluster.worker("zmq", programs=folder)
    for i in range(20):
        run_one(cluster, i)
    lines = note.read_text().split()
    assert len(lines) - lines.count("--fork-server") == 20 and lines.count("--fork-server") < 10, lines


@TRANSPORTS
def test_a_killed_worker_leaves_nothing_that_serves(cluster, transport):
    worker = cluster.worker(transport)
    run_one(cluster, "first")
    pids = all_children(worker.pid)
    assert pids
    worker.kill()
    wait_until(lambda: gone(pids), 2, "the end of all processes")


def test_a_worker_that_ends_waits_for_what_serves(cluster):
    worker = cluster.worker("zmq")
    run_one(cluster, "first")
    pids = all_children(worker.pid)
    assert worker.stop(5) == 0 and gone(pids)


def test_a_job_sees_nothing_of_the_one_before(cluster):
    worker = cluster.worker("zmq")
    secret = f"hunter2-{uuid.uuid4().hex}"
    assert cluster.api.wait_job(create(cluster, "echo $SECRET", env={"SECRET": secret}))["stdout"] == f"{secret}\n"
    look = "import os, re\n" \
           "pid = os.getppid()\n" \
           "pid = int(open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[1])\n" \
           "print(open(f'/proc/{pid}/cmdline').read().strip(chr(0)).rpartition('/')[2])\n" \
           "with open(f'/proc/{pid}/maps') as maps, open(f'/proc/{pid}/mem', 'rb') as mem:\n" \
           "    for line in maps:\n" \
           "        low, high, how = re.match(r'([0-9a-f]+)-([0-9a-f]+) (....)', line).groups()\n" \
           "        if how.startswith('rw') and int(high, 16) - int(low, 16) < 64 << 20:\n" \
           "            mem.seek(int(low, 16))\n" \
           "            if b'hunter' b'2-' in mem.read(int(high, 16) - int(low, 16)): print('found')\n" \
           "print(sorted(os.environ), os.listdir('.'))\n"
    status = cluster.api.wait_job(create(cluster, f"{sys.executable} look.py; echo $SECRET", {"look.py": look}))
    lines = status["stdout"].splitlines()
    assert lines[0] == "gleaner-keeper" and "found" not in lines and "SECRET" not in lines[1], status
    assert lines[1].endswith("['look.py']") and lines[2] == "" and len(at_rest(worker, "gleaner-keeper")) == 1, status


@pytest.mark.parametrize("change", ["prlimit --nofile=64:64 --pid $PPID", "renice -n 5 -p $PPID", "taskset -cp 0 $PPID",
                                    "ionice -c 3 -p $PPID", "flock -n 0"])
def test_what_a_job_does_to_its_keeper_is_gone_with_the_job(cluster, change):
    if not shutil.which(change.split()[0]):
        pytest.skip(f"this machine has no {change.split()[0]}")
    cluster.worker("zmq")
    look = "ulimit -n\nnice\ngrep Cpus_allowed: /proc/self/status\nionice\nflock -n 0 && echo free"
    before = cluster.api.wait_job(cluster.api.submit(look))["stdout"]
    assert cluster.api.wait_job(cluster.api.submit(change, maxAttempts="1"))["status"] == "completed"
    assert cluster.api.wait_job(cluster.api.submit(look, maxAttempts="1"))["stdout"] == before and before.endswith("free\n")


def test_a_keeper_that_dies_before_it_has_begun_costs_no_job(cluster):
    """It cannot take the descriptors that come with the job."""
    worker = cluster.worker("zmq")
    run_one(cluster, "first")
    (pid,) = at_rest(worker, "gleaner-keeper")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (4, 4))
    run_one(cluster, "second")
    assert gone([pid])


def test_a_keeper_that_was_stopped_at_rest_goes_on(cluster):
    worker = cluster.worker("zmq")
    run_one(cluster, "first")
    (pid,) = at_rest(worker, "gleaner-keeper")
    os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    run_one(cluster, "second")
    assert time.monotonic() - begun < 5 and at_rest(worker, "gleaner-keeper") == [pid]


# ---- commands ----

def test_on_error(cluster):
    cluster.worker("http")
    command = "echo a\n\n(exit 7)\necho b\n(exit 9)\n"
    status = cluster.api.wait_job(create(cluster, command))
    assert (status["exitCode"], status["stdout"]) == (7, "a\n"), status
    status = cluster.api.wait_job(create(cluster, command, onError="continue"))
    assert (status["exitCode"], status["stdout"]) == (7, "a\nb\n"), status
    status = cluster.api.wait_job(create(cluster, "kill -USR1 $$\necho on", onError="continue"))
    assert (status["exitCode"], status["stdout"]) == (128 + signal.SIGUSR1, "on\n"), status


@TRANSPORTS
def test_environment(cluster, transport):
    cluster.worker(transport, "--id", "me")
    env = {"GREETING": "hello wörld = 'x' $HOME", "EMPTY": "", "LANG": "xx", "LD_LIBRARY_PATH": "/nowhere"}
    env |= {f"N{i}": "v" * 100 for i in range(400)}
    command = 'echo "$GREETING" "[${EMPTY-unset}]" $LANG $GLEANER_ATTEMPT $GLEANER_WORKER_ID $LD_LIBRARY_PATH\n' \
              "env | grep -c ^N\necho $GLEANER_JOB_ID\nenv | grep -c ^LANG="
    job = create(cluster, command, env=env)
    status = cluster.api.wait_job(job)
    assert status["stdout"].splitlines() == ["hello wörld = 'x' $HOME [] xx 1 me /nowhere", "400", job, "1"], status


def command_lines():
    """Of all processes of this machine, as any user may read them."""
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            pass


@TRANSPORTS
def test_no_command_line_holds_the_environment(cluster, tmp_path, transport):
    cluster.worker(transport)
    gate, begun, secret = tmp_path / "gate", tmp_path / "begun", f"hunter2-{uuid.uuid4().hex}"
    command = f'touch {begun}; while [ ! -e {gate} ]; do sleep 0.02; done; echo "$SECRET"'
    job = create(cluster, command, env={"SECRET": secret})
    wait_until(begun.exists, 10, "the job's start")
    lines = list(command_lines())
    assert any(str(begun).encode() in line for line in lines), "the command itself is seen"
    assert not [line for line in lines if secret.encode() in line]
    gate.touch()
    assert cluster.api.wait_job(job)["stdout"] == f"{secret}\n"


def test_commands_and_environment_as_long_as_they_may_be(cluster):
    cluster.worker("zmq")
    commands = "\n".join(f"true {'x' * 990}" for _ in range(64)) + "\necho ${#LONG}"
    status = cluster.api.wait_job(create(cluster, commands, env={"LONG": "v" * 65000}))
    assert status["stdout"] == "65000\n", status


def test_commands_read_nothing_and_inherit_nothing(cluster):
    cluster.worker("http")
    status = cluster.api.wait_job(cluster.api.submit("cat\nreadlink /proc/self/fd/0\nls /proc/self/fd"))
    assert status["stdout"].split() == ["/dev/null", "0", "1", "2", "3"], status  # 3 is of ls itself


# ---- output ----

def output(cluster, job, stream="stdout"):
    return cluster.api.get(f"/api/jobs/output?jobId={job}&stream={stream}").body


@TRANSPORTS
def test_output_beyond_the_cap_is_dropped_and_counted(clusters, transport):
    cluster = clusters(broker_args=["--output-max", "64K"])
    cluster.worker(transport)
    job = cluster.api.submit("yes abcdefg | head -c 1000000; yes hij | head -c 3000 >&2; echo end")
    status = cluster.api.wait_job(job)
    assert status["status"] == "completed", status
    assert status["stdoutDropped"] == 1000004 - 65536 and not status.get("stderrDropped"), status
    assert output(cluster, job) == (b"abcdefg\n" * 8192)
    assert status["stdoutSha256"] == hashlib.sha256(b"abcdefg\n" * 8192).hexdigest()
    assert status["stderrSha256"] == hashlib.sha256(b"hij\n" * 750).hexdigest()


def test_much_output_leaves_memory_flat(clusters):
    cluster = clusters(broker_args=["--output-max", "1M"])
    worker = cluster.worker("zmq")
    before = worker.rss()
    job = cluster.api.submit("head -c 1000000000 /dev/zero")
    most = 0
    while cluster.api.status(job)["status"] in ("pending", "running"):
        most = max(most, worker.rss())
        time.sleep(0.05)
    assert cluster.api.status(job)["status"] == "completed"
    assert most - before < 32 << 20


# ---- leaving ----

def test_a_worker_that_is_to_end_gives_a_job_back_that_has_not_begun(cluster):
    """A download that never ends is not waited for."""
    import socket
    import threading
    silent = socket.create_server(("127.0.0.1", 0))
    came = threading.Event()

    def accept():
        connection, _ = silent.accept()
        came.set()
        try:
            connection.recv(65536)
            connection.recv(1)
        finally:
            connection.close()
    threading.Thread(target=accept, daemon=True).start()
    worker = cluster.worker("http")
    job = cluster.api.create("true", f"http://127.0.0.1:{silent.getsockname()[1]}/p.zip", maxAttempts=1)
    assert came.wait(10)
    assert worker.stop(3) == 0
    status = cluster.api.status(job)
    assert status["status"] == "pending" and os.path.exists(worker.folder), status
    silent.close()
