"""What an administrator has in hand: forms of the log, reload, what a service manager hears and passes, --check-config."""

import contextlib
import fcntl
import http.client
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

import tokens
from cluster import BIN, SANITIZERS, Cluster, Program, wait_until
from documents import free_port
from manager import PASSED, Manager, listener

NAMES = pytest.mark.parametrize("name", ["broker", "gateway", "worker"])
LINE_MAX = 4096


def good(folder, name):
    """Options that it starts with, and needs nobody else for."""
    return {"broker": ["--listen", "tcp://127.0.0.1:0", "--data", folder / "data"],
            "gateway": ["--listen", "127.0.0.1:0", "--broker", "tcp://127.0.0.1:1", "--cache-dir", folder / "cache"],
            "worker": ["--broker", "tcp://127.0.0.1:1", "--work-dir", folder / "work", "--unsafe-no-sandbox"]}[name]


@pytest.fixture
def start(tmp_path):
    """Programs by themselves; all end well at the end."""
    programs = []

    def begin(name, *args, env=None, prefix=(), event=None):
        program = Program(name, [*good(tmp_path, name), *args], tmp_path / f"{name}{len(programs)}.log", prefix)
        programs.append(program)
        program.spawn(env)
        wait_until(lambda: (event or {"worker": "job-limits"}.get(name, f"{name}-ready")) in program.log.read_text(), 20, "the start")
        return program

    yield begin
    for program in programs:
        if program.running:
            assert program.stop() == 0, program.log
        assert "Sanitizer" not in program.log.read_text()


# ---- the log ----

@NAMES
def test_json_is_one_object_a_line(start, name):
    program = start(name, "--log-format", "json")
    program.stop()
    entries = [json.loads(line) for line in program.lines()]
    assert len(entries) >= 2
    for entry in entries:
        assert set(entry) == {"time", "level", "program", "event", "text", "pid"}
        assert entry["program"] == name and entry["pid"] == program.pid and entry["level"] in ("debug", "info", "warn", "error")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["time"])


def test_json_bears_any_bytes_and_lines_are_bounded(tmp_path):
    """A certificate's path of all sorts of bytes, and then of very many, in what refuses it."""
    for path in (b'quote" back\\ \x1b[31m \xff\xc3 \xe2\x82\xac.pem', b"x" * 200 + b"\x01" * 100):
        data = tmp_path / "data"
        done = subprocess.run([BIN / "gleaner-broker", "--listen", "tcp://127.0.0.1:0", "--data", data, "--log-format", "json", "--log-level",
                               "debug", "--config", path], capture_output=True, env={**SANITIZERS, **os.environ})
        assert done.returncode == 2 and b"\x1b" not in done.stderr
    folder = tmp_path / os.fsdecode(b'a"b\\c\xff\x1b\xe2\x82\xac' + b"\x02" * 90)
    program = Program("broker", ["--listen", "tcp://127.0.0.1:0", "--data", folder, "--log-format", "json"], tmp_path / "broker.log").spawn()
    try:
        ready = wait_until(lambda: [line for line in program.log.read_bytes().splitlines() if b"broker-ready" in line], what="ready")[0]
    finally:
        program.stop()
    assert len(ready) < LINE_MAX
    assert 'a"b\\c\ufffd\x1b€' in json.loads(ready.decode("utf-8"))["text"]


@NAMES
def test_a_journal_that_reads_stderr_gets_levels_and_no_time(start, name):
    program = start(name, "--log-format", "journal")
    program.stop()
    assert all(re.match(r"<[3467]>[a-z][a-z-]+ ", line) for line in program.lines()), program.lines()


@pytest.fixture
def journal(tmp_path):
    """A journald that only listens, and what starts a program with it at journald's place, in a file system of its own."""
    probe = ["bwrap", "--die-with-parent", "--dev-bind", "/", "/", "--tmpfs", "/run", "--dir", "/run/systemd/journal", "true"]
    if not shutil.which("bwrap") or subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("no bubblewrap that works here")
    folder = tmp_path / "journal"
    folder.mkdir()
    return Manager(folder / "socket"), [*probe[:-3], "--bind", folder, "/run/systemd/journal", "--"]


def test_stderr_that_is_the_journal_s_is_found_by_itself(tmp_path, journal):
    journald, prefix = journal
    log = tmp_path / "broker.log"
    log.touch()
    info = log.stat()
    program = Program("broker", good(tmp_path, "broker"), log, prefix)
    program.spawn({"JOURNAL_STREAM": f"{info.st_dev}:{info.st_ino}"})
    try:
        journald.wait(lambda line: line == "GLEANER_EVENT=broker-ready", wait_until, "the event")
        assert "PRIORITY=6" in journald.heard and "SYSLOG_IDENTIFIER=gleaner-broker" in journald.heard
        assert any(line.startswith("MESSAGE=broker-ready listening on ") for line in journald.heard)
        assert not log.read_text()
    finally:
        program.stop()
        journald.close()


def reload_and_ask(pid, port):
    """It answers, whoever reads its log."""
    os.kill(pid, signal.SIGHUP)
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    line.request("GET", "/healthz")
    assert line.getresponse().status == 200
    line.close()


def test_a_journal_that_nobody_reads_holds_nobody_up(tmp_path, journal):
    """What it has no room for goes to stderr."""
    journald, prefix = journal
    log, port = tmp_path / "gateway.log", free_port()
    log.touch()
    info = log.stat()
    program = Program("gateway", [*good(tmp_path, "gateway"), "--listen", f"127.0.0.1:{port}"], log, prefix)
    program.spawn({"JOURNAL_STREAM": f"{info.st_dev}:{info.st_ino}"})
    try:
        journald.wait(lambda line: line == "GLEANER_EVENT=gateway-ready", wait_until, "its start")
        inside = int(pathlib.Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text())  # bwrap stays
        wait_until(lambda: (reload_and_ask(inside, port), log.read_text())[1], 60, "more than fits there")
        assert log.read_text().startswith("<6>config-reloaded ")
    finally:
        journald.take()
        program.stop()
        journald.close()


def test_another_stderr_than_the_journal_s_gets_text(start):
    program = start("broker", env={"JOURNAL_STREAM": "1:1"})
    assert re.match(r"\d{4}-.*Z info broker ", program.lines()[0])


def full_pipe():
    """Ends of a pipe that takes one page, and of which nobody reads."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    return reader, writer


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_stderr_that_nobody_reads_holds_nobody_up(tmp_path, form):
    config = tmp_path / "file.conf"
    config.write_text("")
    port = free_port()
    reader, writer = full_pipe()
    process = subprocess.Popen([BIN / "gleaner-gateway", "--listen", f"127.0.0.1:{port}", "--broker", "tcp://127.0.0.1:1", "--cache-dir",
                                tmp_path / "cache", "--config", config, "--log-format", form], stderr=writer, env={**os.environ, **SANITIZERS})
    os.close(writer)
    try:
        said = b""
        while b"gateway-ready" not in said:
            said += os.read(reader, 4096)
        for _ in range(100):
            reload_and_ask(process.pid, port)
        said = os.read(reader, 65536)
        process.send_signal(signal.SIGHUP)
        while b"log-lost" not in said:
            said += os.read(reader, 4096)
        for line in said.splitlines()[:-1]:  # whole ones
            assert json.loads(line)["event"] if form == "json" else re.match(rb"20\S+Z (info|warn|error) gateway [a-z-]+ ", line), line
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(reader)


def test_a_reader_of_stderr_that_has_gone_ends_nobody(tmp_path):
    reader, writer = full_pipe()
    os.close(reader)
    process = subprocess.Popen([BIN / "gleaner-broker", *good(tmp_path, "broker")], stderr=writer, env={**os.environ, **SANITIZERS})
    os.close(writer)
    try:
        wait_until(lambda: (tmp_path / "data" / "gleaner.db").exists() or process.poll() is not None, 20, "its record")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def open_files(pid):
    """What each number of it leads to."""
    found = {}
    for file in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[int(file.name)] = os.readlink(file).removeprefix("anon_inode:[").removesuffix("]")
    return found


@NAMES
def test_closed_streams_are_nobody_s_number(tmp_path, name):
    """What is printed must not get into a file of the program's own."""
    command = [BIN / f"gleaner-{name}", *good(tmp_path, name)]
    process = subprocess.Popen(["sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh", *command], env={**os.environ, **SANITIZERS})
    try:
        files = wait_until(lambda: "signalfd" in (found := open_files(process.pid)).values() and found, 20, "a file of its own")
        assert [files[number] for number in range(3)] == ["/dev/null"] * 3
    finally:
        process.kill()
        process.wait()


# ---- reload ----

@NAMES
def test_the_level_changes_at_run_time_and_a_broken_file_changes_nothing(start, tmp_path, name):
    config = tmp_path / "file.conf"
    config.write_text("log-level = info\n")
    program = start(name, "--config", config)
    config.write_text("log-level = error\nlog-levle = debug\n")
    program.signal(signal.SIGHUP)
    line = program.wait_event("config-refused")
    assert f"{config}:2" in line and "log-level" in line, line
    config.write_text("log-level = warn\n")
    program.signal(signal.SIGHUP)  # the next refusal is told of, and nothing below
    wait_until(lambda: program.running, what="it")
    config.write_text("log-level = nonsense\n")
    wait_until(lambda: (program.signal(signal.SIGHUP), program.events("config-refused")[1:])[1], what="a second refusal")
    config.write_text("log-level = info\n")
    wait_until(lambda: (program.signal(signal.SIGHUP), program.events("config-reloaded"))[1], what="the way back")


def test_values_that_need_a_restart_are_named_and_stay(start, tmp_path):
    config = tmp_path / "file.conf"
    config.write_text("lease = 60s\n")
    program = start("broker", "--config", config)
    config.write_text("lease = 61s\nkeep-jobs = 9h\ncurve = true\n")
    program.signal(signal.SIGHUP)
    warning = program.wait_event("restart-needed")
    assert "lease" in warning and "curve" in warning and "keep-jobs" not in warning
    assert program.events("config-reloaded")[-1].endswith("keep-jobs")
    config.write_text("")
    program.signal(signal.SIGHUP)
    wait_until(lambda: len(program.events("config-reloaded")) == 2, what="another reload")
    assert len(program.events("restart-needed")) == 1


@NAMES
def test_a_pipe_is_read_at_the_start_alone(start, tmp_path, name):
    """Nobody is waited for who would write it again, and what it said is not forgotten."""
    config = tmp_path / "file.conf"
    os.mkfifo(config)
    writer = threading.Thread(target=config.write_text, args=("log-level = debug\n",))
    writer.start()
    program = start(name, "--config", config)
    writer.join()
    program.signal(signal.SIGHUP)
    assert "is a pipe" in program.wait_event("config-refused")
    config.unlink()
    config.write_text("log-level = info\n")
    program.signal(signal.SIGHUP)
    assert program.wait_event("config-reloaded").endswith(" log-level")
    assert not program.events("restart-needed")


@NAMES
@pytest.mark.parametrize("what", ["gone", "folder", "huge", "bytes", "socket"])
def test_a_config_file_that_has_become_something_else_changes_nothing(start, tmp_path, name, what):
    config = tmp_path / "file.conf"
    config.write_text("log-level = debug\n")
    program = start(name, "--config", config)
    config.unlink()
    if what == "folder":
        config.mkdir()
    elif what == "huge":
        config.write_bytes(b"# " + b"x" * (1 << 20))
    elif what == "bytes":
        config.write_bytes(b"log-level = info\0\n")
    elif what == "socket":
        socket.socket(socket.AF_UNIX).bind(str(config))
    for _ in range(50):
        program.signal(signal.SIGHUP)
    assert str(config) in program.wait_event("config-refused")


def test_a_gateway_s_limits_change_under_way(clusters, tmp_path):
    config = tmp_path / "gateway.conf"
    config.write_text("body-max = 1M\n")
    cluster = clusters(gateway_args=["--config", config])
    body = json.dumps({"command": "x" * 5000}).encode()
    before = cluster.api.request("POST", "/api/jobs/create", body, {"Content-Type": "application/json"})
    config.write_text("body-max = 1K\n")
    cluster.gateway.signal(signal.SIGHUP)
    cluster.gateway.wait_event("config-reloaded")
    after = cluster.api.request("POST", "/api/jobs/create", body, {"Content-Type": "application/json"})
    assert before.status != 413 and after.status == 413


def test_a_worker_s_limits_change_under_way(cluster, tmp_path):
    config = tmp_path / "worker.conf"
    config.write_text("max-pids = 100\n")
    worker = cluster.worker("http", "--config", config)
    config.write_text("max-pids = 50\n")
    worker.signal(signal.SIGHUP)
    wait_until(lambda: "pids=50" in worker.events("job-limits")[-1], what="the new limits")


@pytest.mark.parametrize("transport", ["http", "zmq"])
def test_a_worker_goes_on_with_another_token(clusters, tmp_path, transport):
    """The first one lasts some seconds; a file that cannot be used changes nothing."""
    jwts = pytest.importorskip("jwts")
    issuer = jwts.Issuer(tmp_path, "HS256")
    cluster = clusters(broker_args=issuer.args)
    api = tokens.TokenClient(cluster, issuer.token("admin"))
    file = tmp_path / "token"
    file.write_text(issuer.token("worker", sub="lab-1", seconds=4))
    file.chmod(0o600)
    worker = cluster.worker(transport, "--id", "lab-1", "--token-file", file)
    ends = time.time() + 4
    file.chmod(0o644)
    worker.signal(signal.SIGHUP)
    worker.wait_event("token-refused")
    file.chmod(0o600)
    file.write_text(issuer.token("worker", sub="lab-1"))
    worker.signal(signal.SIGHUP)
    wait_until(lambda: len(worker.events("config-reloaded")) == 2, what="the reload")
    wait_until(lambda: time.time() > ends, what="the first one's end")
    assert api.wait_job(api.submit("echo on"))["status"] == "completed"
    assert not worker.events("worker-refused")


def test_a_terminal_that_hangs_up_ends_what_was_started_there(tmp_path):
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update({k: str(v) for k, v in SANITIZERS.items()})
        os.execv(BIN / "gleaner-broker", ["gleaner-broker", *(str(arg) for arg in good(tmp_path, "broker"))])
    said = b""
    while b"broker-ready" not in said:
        said += os.read(terminal, 4096)
    os.close(terminal)
    ended = wait_until(lambda: os.waitpid(pid, os.WNOHANG)[0], 20, "its end")
    assert ended == pid


# ---- what a service manager hears ----

@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
@NAMES
def test_ready_alive_reloading_and_stopping_are_told(start, tmp_path, name, abstract):
    manager = Manager(f"@gleaner-test-{os.getpid()}-{name}" if abstract else tmp_path / "notify")
    try:
        program = start(name, env=manager.env(watchdog_s=0.4))
        manager.wait(lambda line: line == "READY=1", wait_until, "READY=1")
        manager.wait(lambda line: line.startswith("STATUS="), wait_until, "a status")
        before = manager.heard.count("WATCHDOG=1")
        begun = time.monotonic()
        wait_until(lambda: manager.take().count("WATCHDOG=1") >= before + 10, 10, "signs of life")
        assert time.monotonic() - begun < 10 * 0.4  # each within the time that the manager gives
        earliest = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        manager.heard.clear()
        program.signal(signal.SIGHUP)
        manager.wait(lambda line: line == "READY=1", wait_until, "READY=1 again")
        told = [line for line in manager.heard if not line.startswith(("WATCHDOG", "STATUS"))]
        assert told[0] == "RELOADING=1" and told[2] == "READY=1", told
        assert earliest <= int(told[1].removeprefix("MONOTONIC_USEC=")) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        program.stop()
        assert "STOPPING=1" in manager.take()
    finally:
        manager.close()


def test_no_sign_of_life_comes_from_a_program_that_hangs(start, tmp_path):
    manager = Manager(tmp_path / "notify")
    try:
        program = start("broker", env=manager.env(watchdog_s=0.2))
        manager.wait(lambda line: line == "WATCHDOG=1", wait_until, "a sign of life")
        program.signal(signal.SIGSTOP)
        wait_until(lambda: "State:\tT" in pathlib.Path(f"/proc/{program.pid}/status").read_text(), what="the stop")
        manager.take()
        manager.heard.clear()
        manager.socket.settimeout(1)
        assert not manager.take()
        program.signal(signal.SIGCONT)
    finally:
        manager.close()


def test_another_s_watchdog_is_not_fed(start, tmp_path):
    manager = Manager(tmp_path / "notify")
    try:
        start("broker", env={**manager.env(watchdog_s=0.1), "WATCHDOG_PID": "1"})
        manager.wait(lambda line: line.startswith("STATUS="), wait_until, "a status")
        manager.socket.settimeout(0.5)
        assert "WATCHDOG=1" not in manager.take()
    finally:
        manager.close()


def test_an_address_that_is_none_is_refused(tmp_path):
    program = Program("broker", good(tmp_path, "broker"), tmp_path / "broker.log").spawn({"NOTIFY_SOCKET": "nowhere"})
    assert program.wait() == 2 and "NOTIFY_SOCKET" in program.lines()[0]


def test_a_drain_asks_for_more_time_and_ends_with_stop_wait(cluster, tmp_path):
    manager = Manager(tmp_path / "notify")
    try:
        worker = cluster.worker("zmq", "--stop-wait", "1s", env=manager.env())
        job = cluster.api.submit("sleep 600")
        wait_until(lambda: cluster.api.status(job)["status"] == "running", what="the job")
        manager.wait(lambda line: line.startswith("STATUS=1 of 1 slots"), wait_until, "a status that tells of it")
        worker.signal()
        manager.wait(lambda line: line.startswith("EXTEND_TIMEOUT_USEC="), wait_until, "a plea for time")
        assert worker.wait() == 0 and worker.events("stop-wait-over")
        wait_until(lambda: cluster.api.status(job)["status"] == "pending", what="the job to be given back")
    finally:
        manager.close()


# ---- what it passes ----

@pytest.mark.parametrize("mode, where, status", [(0o440, "credentials", 0), (0o444, "credentials", 2), (0o440, "elsewhere", 2)])
def test_a_credential_is_this_user_s_alone(tmp_path, mode, where, status):
    """systemd gives it by a list of access rights, which shows as the group's right to read."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / where / "token"
    file.write_text("word\n")
    file.chmod(mode)
    done = subprocess.run([BIN / "gleaner-worker", *good(tmp_path, "worker"), "--token-file", file, "--check-config"], capture_output=True,
                          text=True, env={**SANITIZERS, **os.environ, "CREDENTIALS_DIRECTORY": str(folder)})
    assert done.returncode == status and ("chmod 600" in done.stderr) == (status == 2), done.stderr



def knock(port, stop, said):
    """Connects and asks until told to stop; counts answers, and connections that were refused."""
    while not stop.is_set():
        try:
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            line.request("GET", "/healthz")
            said["answered"] += line.getresponse().status > 0
        except ConnectionRefusedError:
            said["refused"] += 1
        except (ConnectionResetError, http.client.HTTPException):
            said["cut"] += 1  # the one that stopped had taken it


class Held(Program):
    """A program that is started with a socket that somebody holds."""

    def __init__(self, name, args, log, held):
        super().__init__(name, args, log, PASSED)
        self.held = held

    def spawn(self, env=None):
        self.lines_before, self.awaited = len(self.lines()), False
        keep = {k: v for k, v in os.environ.items() if not k.startswith("GLEANER_")}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*self.prefix, BIN / f"gleaner-{self.name}", *self.args], stdin=self.held, stdout=log, stderr=log,
                                            env={**SANITIZERS, **keep})
        return self


def test_a_gateway_on_a_passed_socket_refuses_nobody_while_it_starts_again(tmp_path):
    held = listener()
    port = held.getsockname()[1]
    gateway = Held("gateway", good(tmp_path, "gateway"), tmp_path / "gateway.log", held).start()
    said, stop = {"answered": 0, "refused": 0, "cut": 0}, threading.Event()
    knocking = threading.Thread(target=knock, args=(port, stop, said))
    try:
        assert f":{port}" in gateway.events("socket-passed")[0]
        knocking.start()
        for _ in range(3):
            before = said["answered"]
            wait_until(lambda: said["answered"] > before + 1, what="answers")
            assert gateway.stop() == 0
            gateway.start()
        before = said["answered"]
        wait_until(lambda: said["answered"] > before + 1, what="answers of the last one")
    finally:
        stop.set()
        knocking.join()
        if gateway.running:
            assert gateway.stop() == 0
        held.close()
    assert said["refused"] == 0, said


@pytest.mark.parametrize("curve", [False, True], ids=["clear", "curve"])
def test_a_broker_on_a_passed_socket_serves_and_starts_again(tmp_path, curve):
    held = listener()
    port = held.getsockname()[1]
    cluster = Cluster(tmp_path, gateway=False, curve=curve)
    cluster.broker.stop()
    broker = Held("broker", cluster.broker.args, tmp_path / "held.log", held)
    cluster.programs.insert(0, broker)
    cluster.broker_url = f"tcp://127.0.0.1:{port}"
    try:
        broker.start()
        assert cluster.broker_url in broker.events("broker-ready")[0]
        joining = ["--join", cluster.enroll("gateway"), "--curve-key", tmp_path / "gateway.key"] if curve else []
        gateway = cluster.add_gateway(joining)
        gateway.wait_event("broker-connected")
        assert broker.stop() == 0
        socket.create_connection(("127.0.0.1", port), timeout=5).close()  # nobody is refused meanwhile
        broker.start()
        wait_until(lambda: len(gateway.events("broker-connected")) == 2, 20, "the gateway to come back")
    finally:
        cluster.close()
        held.close()


@pytest.mark.parametrize("name", ["broker", "gateway"])
def test_a_passed_socket_that_is_none_is_refused(tmp_path, name):
    with open(tmp_path / "file", "w+") as file:
        program = Held(name, good(tmp_path, name), tmp_path / "log", file).spawn()
        assert program.wait() == 2 and "LISTEN_FDS" in program.lines()[-1]


@pytest.mark.parametrize("name", ["broker", "gateway"])
def test_a_passed_socket_of_all_addresses_must_be_asked_for(tmp_path, name):
    held = listener("0.0.0.0")
    program = Held(name, good(tmp_path, name), tmp_path / "log", held).spawn()
    held.close()
    assert program.wait() == 2 and "--insecure" in program.lines()[-1]


# ---- the configuration ----

@NAMES
def test_check_config_says_that_all_is_well_and_starts_nothing(tmp_path, name):
    config = tmp_path / "file.conf"
    config.write_text("log-level = debug\n")
    done = subprocess.run([BIN / f"gleaner-{name}", *good(tmp_path, name), "--config", config, "--check-config"], capture_output=True, text=True,
                          env={**SANITIZERS, **os.environ})
    assert (done.returncode, done.stderr) == (0, "") and done.stdout == f"gleaner-{name}: the configuration can be used.\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.conf"]


@pytest.mark.parametrize("name, line, says", [
    ("broker", "lease = soon", "file.conf:1"), ("broker", "leese = 5s", "did you mean 'lease'"), ("broker", "jwt-issuer = me", "--jwt-key"),
    ("gateway", "tls-cert = nothing.pem", "--tls-key"), ("gateway", "rate = -1", "file.conf:1"), ("worker", "token-file = /nowhere", "/nowhere"),
    ("worker", "label = x", "--label"), ("worker", "max-cpus = many", "--max-cpus")])
def test_check_config_says_what_is_wrong(tmp_path, name, line, says):
    config = tmp_path / "file.conf"
    config.write_text(line + "\n")
    done = subprocess.run([BIN / f"gleaner-{name}", *good(tmp_path, name), "--config", config, "--check-config"], capture_output=True, text=True,
                          env={**SANITIZERS, **os.environ})
    assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1 and not done.stdout, done.stderr


@pytest.mark.parametrize("name, args, says", [
    ("broker", ["--listen", "tcp://0.0.0.0:5555"], "--insecure"), ("broker", ["--listen", "tcp://127.0.0.1:70000"], "no port"),
    ("gateway", ["--listen", "0.0.0.0:3000"], "--insecure"), ("gateway", ["--listen", "here"], "no address"),
    ("gateway", ["--tls-cert", "/nowhere.pem", "--tls-key", "/nowhere.key"], "/nowhere.pem")])
def test_check_config_looks_at_what_belongs_together(tmp_path, name, args, says):
    done = subprocess.run([BIN / f"gleaner-{name}", *args, "--check-config"], capture_output=True, text=True, env={**SANITIZERS, **os.environ})
    assert done.returncode == 2 and says in done.stderr, done.stderr


@NAMES
def test_two_config_files_are_refused(tmp_path, name):
    done = subprocess.run([BIN / f"gleaner-{name}", "--config", tmp_path / "a", f"--config={tmp_path / 'b'}"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr == f"gleaner-{name}: --config is given twice: give one file.\n"
