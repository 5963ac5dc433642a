"""The units of deploy/systemd: as systemd judges them, and as a real systemd runs them."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

import systemd
from cluster import wait_until

UNITS = sorted(systemd.UNITS.glob("*.service")) + sorted(systemd.UNITS.glob("*.socket"))
DROPINS = {"gleaner-broker.service": {"WatchdogSec": "2"},
           "gleaner-worker.service": {"LoadCredential": "token:/etc/gleaner/token",  # root's, and the broker asks for none
                                      "TimeoutStopSec": "1"}}
EXPOSURE_MAX = 30  # of 100: systemd-analyze prints a tenth


def analyze(*command, **env):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run(["systemd-analyze", *command], capture_output=True, text=True, timeout=60, env={**os.environ, **env})


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.suffix == ".service"], ids=lambda unit: unit.name)
def test_exposure(unit):
    done = analyze("security", "--offline=yes", f"--threshold={EXPOSURE_MAX}", "--no-pager", unit)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("folder, how", [(systemd.UNITS, ()), (systemd.UNITS / "user", ("--user",))], ids=["system", "user"])
def test_units_are_understood(tmp_path, folder, how):
    """Nothing in them is unknown, misspelt or refers to what is not there."""
    for unit in folder.iterdir():
        if unit.suffix in (".service", ".socket"):
            (tmp_path / unit.name).write_text(unit.read_text().replace("/usr/bin/gleaner", f"{systemd.BIN}/gleaner"))
    done = analyze("verify", *how, "--man=no", "--recursive-errors=no", *sorted(tmp_path.iterdir()), XDG_RUNTIME_DIR=str(tmp_path))
    ours = [line for line in done.stderr.splitlines() if "gleaner" in line]
    assert done.returncode == 0 and not ours, done.stderr


LENDER = """[Service]
Type=notify
User=lender
Environment=HOME=/run/lender/home XDG_RUNTIME_DIR=/run/lender SYSTEMD_UNIT_PATH=/etc/lender
RuntimeDirectory=lender
ExecStartPre=/bin/sh -c 'mkdir -p ~/.config/gleaner && echo server = http://127.0.0.1:3000 > ~/.config/gleaner/worker.conf'
ExecStart=/lib/systemd/systemd --user --unit=basic.target
Delegate=yes
"""


def lend(machine):
    """Somebody who has logged in, with a systemd of their own."""
    user = machine.etc / "lender"
    user.mkdir()
    for name in ("basic", "default", "shutdown"):
        (user / f"{name}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    text = (systemd.UNITS / "user" / "gleaner-worker.service").read_text().replace("/usr/bin/gleaner", "/run/bin/gleaner")
    (user / "gleaner-worker.service").write_text(text.replace("[Service]", "[Service]\nEnvironment=ASAN_OPTIONS=detect_leaks=0"))
    (machine.units / "lender.service").write_text(LENDER)
    (machine.folder / "lender.conf").write_text("u lender - - /home/lender /bin/sh\n")
    done = subprocess.run(["systemd-sysusers", f"--root={machine.folder}", machine.folder / "lender.conf"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def booted(tmp_path_factory):
    why = systemd.missing()
    if why:
        pytest.skip(why)
    machine = systemd.Systemd(tmp_path_factory.mktemp("systemd"))
    try:
        for unit in UNITS:
            machine.unit(unit.name, **DROPINS.get(unit.name, {}))
        (machine.etc / "gleaner" / "token").write_text("word\n")
        (machine.etc / "gleaner" / "token").chmod(0o600)
        (machine.etc / "gleaner" / "broker.conf").write_text("listen = tcp://127.0.0.1:5555\n")
        (machine.etc / "gleaner" / "gateway.conf").write_text("listen = 127.0.0.1:3000\n")
        (machine.etc / "gleaner" / "worker.conf").write_text("server = http://127.0.0.1:3000\nslots = 2\n"
                                                           "token-file = /run/credentials/gleaner-worker.service/token\n")
        lend(machine)
        for users in systemd.UNITS.glob("*.sysusers"):
            done = subprocess.run(["systemd-sysusers", f"--root={machine.folder}", users], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        machine.boot()
        machine.does("systemctl", "start", "gleaner-broker", "gleaner-gateway", "gleaner-worker")
        yield machine
    finally:
        machine.close()


# Asks again and again until it is told that this is enough: how often it got an answer, and how often no connection.
KNOCK = """
import http.client, json, os
answered, refused, first = 0, [], True
while not os.path.exists("/tmp/enough"):
    try:
        line = http.client.HTTPConnection("127.0.0.1", 3000, timeout=30)
        line.request("GET", "/healthz")
        answered += line.getresponse().status > 0
        if first:
            print("first", flush=True)
        first = False
    except ConnectionRefusedError as e:
        refused.append(str(e))
    except (ConnectionResetError, http.client.HTTPException):
        pass  # it had been taken by the one that stopped
print(json.dumps({"answered": answered, "refused": refused}))
"""


# What compilers, debuggers and runtimes do, each said when it goes; and what they may not.
WANTS = """
import ctypes, mmap, os
libc = ctypes.CDLL(None, use_errno=True)
mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) and print("makes code")
libc.personality(0x0040000) >= 0 and print("keeps addresses")
pid = os.fork()
if pid == 0:
    os._exit(0 if libc.ptrace(0, 0, 0, 0) == 0 else 1)
os.waitpid(pid, 0)[1] == 0 and print("is traced")
open("/tmp/file", "w").close()
try:
    os.chmod("/tmp/file", 0o4755)
except PermissionError:
    print("sets no setuid bit")
for line in open("/proc/self/status"):
    if line.startswith(("NoNewPrivs", "CapEff", "CapBnd")):
        print(line.split(":")[0], int(line.split()[1], 16))
print("sees", *sorted(os.listdir("/var")))
"""


def run_job(booted, *command):
    project = booted.etc / "project"
    project.mkdir(exist_ok=True)
    (project / "wants.py").write_text(WANTS)
    return booted.does("/run/bin/gleaner", "run", "--server", "http://127.0.0.1:3000", "/etc/project", "--", *command)


@pytest.mark.parametrize("name", ["broker", "gateway", "worker"])
def test_started_as_its_own_user_when_it_is_ready(booted, name):
    unit = f"gleaner-{name}.service"
    assert booted.show(unit, "ActiveState") == "active"
    pid = booted.show(unit, "MainPID")
    assert booted.does("stat", "-c", "%U", f"/proc/{pid}").strip() == f"gleaner-{name}"
    wait_until(lambda: booted.show(unit, "StatusText"), what="a status")


def test_a_job_runs_in_its_sandbox_below_the_worker_s_unit(booted):
    out = run_job(booted, "python3", "wants.py").splitlines()
    assert out == ["makes code", "keeps addresses", "is traced", "sets no setuid bit", "CapEff 0", "CapBnd 0", "NoNewPrivs 1", "sees run tmp"], out


def test_a_lender_s_own_systemd_runs_a_worker(booted):
    booted.does("systemctl", "start", "lender.service")

    def mine(*command):
        return booted.does("setpriv", "--reuid=lender", "--regid=lender", "--clear-groups", "env", "XDG_RUNTIME_DIR=/run/lender", "systemctl",
                           "--user", *command).strip()
    mine("start", "gleaner-worker")
    assert mine("is-active", "gleaner-worker") == "active"
    pid = mine("show", "--value", "-p", "MainPID", "gleaner-worker")
    assert booted.does("stat", "-c", "%U", f"/proc/{pid}").strip() == "lender"
    assert booted.does("cut", "-d", " ", "-f", "19", f"/proc/{pid}/stat").strip() == "19"  # nice
    mine("stop", "gleaner-worker")
    assert mine("show", "--value", "-p", "Result", "gleaner-worker") == "success"
    booted.does("systemctl", "kill", "--signal=KILL", "lender.service")


def test_events_are_fields_of_the_journal(booted):
    line = booted.does("journalctl", "--no-pager", "-o", "json", "GLEANER_EVENT=worker-ready",
                       "_SYSTEMD_UNIT=gleaner-worker.service").splitlines()[-1]
    entry = json.loads(line)
    assert entry["MESSAGE"].startswith("worker-ready worker ") and entry["PRIORITY"] == "6", entry
    assert (entry["SYSLOG_IDENTIFIER"], entry["_SYSTEMD_UNIT"]) == ("gleaner-worker", "gleaner-worker.service")


def test_a_reload_takes_over_what_it_can(booted):
    config = booted.etc / "gleaner" / "broker.conf"
    before = booted.show("gleaner-broker.service", "MainPID")
    config.write_text(config.read_text() + "log-level = debug\nlease = 90s\n")
    booted.does("systemctl", "reload", "gleaner-broker")
    wait_until(lambda: "lease" in booted.run("journalctl", "--no-pager", "GLEANER_EVENT=restart-needed").stdout, what="the warning")
    assert "log-level" in booted.does("journalctl", "--no-pager", "GLEANER_EVENT=config-reloaded")
    assert booted.show("gleaner-broker.service", "MainPID") == before
    wait_until(lambda: booted.show("gleaner-broker.service", "ActiveState") == "active", what="the end of the reload")


def test_a_loop_that_hangs_is_noticed(booted):
    """WatchdogSec is 2 s here, and the broker has lived through that; stopped, it is started again."""
    assert booted.show("gleaner-broker.service", "NRestarts") == "0"
    before = booted.show("gleaner-broker.service", "MainPID")
    booted.does("kill", "-STOP", before)
    wait_until(lambda: booted.show("gleaner-broker.service", "NRestarts") == "1", 20, "the restart")
    wait_until(lambda: booted.show("gleaner-broker.service", "ActiveState") == "active", 20, "the broker")
    assert run_job(booted, "echo", "again").strip().endswith("again")


def test_no_connection_is_refused_while_a_gateway_with_its_socket_starts_again(booted):
    booted.does("systemctl", "stop", "gleaner-gateway.service")
    booted.does("systemctl", "start", "gleaner-gateway.socket", "gleaner-gateway.service")
    assert "127.0.0.1:3000" in booted.does("journalctl", "--no-pager", "GLEANER_EVENT=socket-passed")
    knocking = subprocess.Popen(booted.inside("/usr/bin/python3", "-c", KNOCK), stdout=subprocess.PIPE, text=True)
    try:
        assert knocking.stdout.readline() == "first\n"
        booted.does("systemctl", "restart", "gleaner-gateway.service")
        booted.does("touch", "/tmp/enough")
        said = json.loads(knocking.communicate(timeout=60)[0])
    finally:
        knocking.kill()
        knocking.wait()
    assert not said["refused"] and said["answered"] > 1, said


def test_a_worker_that_stops_waits_for_its_job_and_says_goodbye(booted):
    """For longer than TimeoutStopSec, which is a second here: it asks for more."""
    job = subprocess.Popen(booted.inside("/run/bin/gleaner", "run", "--server", "http://127.0.0.1:3000", "/etc/project", "--", "sh", "-c",
                                         "echo begun; sleep 3; echo ended"), stdout=subprocess.PIPE, text=True)
    try:
        assert job.stdout.readline() == "begun\n"
        booted.does("systemctl", "stop", "gleaner-worker")
        assert job.communicate(timeout=60)[0] == "ended\n" and job.returncode == 0
    finally:
        job.kill()
        job.wait()
    assert booted.show("gleaner-worker.service", "Result") == "success"
