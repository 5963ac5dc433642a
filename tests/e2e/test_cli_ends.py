"""How `gleaner run` and `logs` end when the terminal or the reader goes away, and where a token may go."""

import os
import pty
import signal
import subprocess

import pytest

from cluster import wait_until
from shell import AWAY, CUT, PROGRAM, wait_for_ears

UNREAD = 141


def only_job(cluster):
    return cluster.api.get("/api/jobs").json["jobs"][0]


def test_a_hangup_cancels_as_sigterm_does(cluster, shell):
    cluster.worker("http")
    with shell.start("run", "--", "echo begun; sleep 60", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout.readline() == "begun\n"
        run.send_signal(signal.SIGHUP)
        assert "cancelled" in run.communicate(timeout=20)[1] and run.returncode == CUT
    assert only_job(cluster)["reason"] == "cancelled"


def test_nohup_holds(cluster, shell):
    cluster.worker("http")
    with shell.start("run", "--", "echo begun; sleep 2", stdout=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as run:
        assert run.stdout.readline() == b"begun\n"
        run.send_signal(signal.SIGHUP)
        assert run.wait(20) == 0
    assert only_job(cluster)["status"] == "completed"


def test_a_terminal_that_is_closed_cancels(cluster, shell):
    cluster.worker("http")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(shell.folder)
        os.execve(PROGRAM, ["gleaner", "run", "--", "echo begun; sleep 60"], shell.env)
    shown = b""
    while b"begun" not in shown:
        shown += os.read(terminal, 4096)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == CUT
    assert only_job(cluster)["reason"] == "cancelled"


@pytest.mark.parametrize("command", ["run", "logs"])
def test_a_pipe_that_nobody_reads(cluster, shell, command):
    cluster.worker("http")
    endless = "while :; do echo line; sleep 0.05; done"
    if command == "run":
        args = ["run", "--", endless]
    else:
        args = ["logs", "-f", shell.run("submit", "--", endless).stdout.strip()]
    with shell.start(*args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "line\n"
        process.stdout.close()
        assert process.wait(20) == UNREAD
        said = process.stderr.read()
    job = only_job(cluster)
    assert job["status"] == "running", "it goes on"
    said = [line for line in said.splitlines() if "running on" not in line]
    assert said == ([f"gleaner: nobody reads what the job prints; it goes on, and gleaner logs -f {job['jobId']} shows it."]
                    if command == "run" else [])
    cluster.api.post("/api/jobs/cancel", {"jobId": job["jobId"]})


def test_a_full_disk_is_told_with_the_job(cluster, shell):
    cluster.worker("http")
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([PROGRAM, "run", "--", "echo x; sleep 60"], cwd=shell.folder, env=shell.env, stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 123 and "cannot write stdout: No space left" in done.stderr and "it goes on" in done.stderr, done
    assert only_job(cluster)["status"] == "running"
    cluster.api.post("/api/jobs/cancel", {"jobId": only_job(cluster)["jobId"]})


@pytest.mark.parametrize("args", [["run", "--", "echo x"], ["jobs"], ["logs"]], ids=lambda args: args[0])
def test_what_cannot_be_printed_gets_into_no_connection(cluster, shell, args):
    """Of a closed stdout the number would be the first socket's."""
    cluster.worker("http")
    if args == ["logs"]:
        args = ["logs", shell.run("submit", "--", "echo x").stdout.strip()]
        assert shell.run("wait", args[1]).returncode == 0
    done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", PROGRAM, *args], cwd=shell.folder, env=shell.env, stderr=subprocess.PIPE, text=True,
                          timeout=60)
    assert done.returncode == 123, done


def test_a_token_in_clear_text_is_told_once(cluster, shell):
    env = {"GLEANER_TOKEN": "gleaner_a_b"}
    told = shell.run("jobs", "--server", "http://0.0.0.0:1", env=env)
    assert told.returncode == AWAY and told.stderr.count("in clear text") == 1, told
    for server, more in ((cluster.server, env), ("http://localhost:1", env), ("http://[::1]:1", env), ("https://0.0.0.0:1", env),
                         ("http://0.0.0.0:1", {})):
        assert "clear text" not in shell.run("jobs", "--server", server, env=more).stderr, server


@pytest.mark.parametrize("server", ["nothing", "ftp://host", "http://", "http://host:port", "http://host:99999", "http://a b", "http://h?x=1",
                                    "http://h#f", "http://user:secret@h", "://"])
def test_an_address_that_is_none_is_bad_usage(shell, server):
    for command in (["submit", "--", "true"], ["jobs"], ["doctor"], ["token"]):
        done = shell.run(command[0], "--server", server, *command[1:])
        assert done.returncode == 2 and "no server's address" in done.stderr and len(done.stderr.splitlines()) == 1, done


def test_a_wait_ends_with_the_terminal(cluster, shell):
    job = shell.run("submit", "--", "true").stdout.strip()
    with shell.start("wait", job) as wait:
        wait_for_ears(wait)
        wait.send_signal(signal.SIGHUP)
        assert wait.wait(10) == CUT
    wait_until(lambda: cluster.api.status(job)["status"] == "pending", 10, "it still waits")
