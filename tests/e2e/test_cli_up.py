"""`gleaner up`: three programs on this machine, from their start to their end."""

import json
import os
import pathlib
import signal
import socket
import subprocess

import pytest

from client import Client
from cluster import wait_until
from shell import LOCAL, PROGRAM


class Up:
    """`gleaner up --json`, which has said that all is ready."""

    def __init__(self, shell, data, *args):
        self.data = pathlib.Path(data)
        self.process = shell.start("up", "--json", "--unsafe-no-sandbox", "--data", data, *args, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True)
        text = ""
        while not text.endswith("}\n"):
            line = self.process.stdout.readline()
            assert line, self.process.communicate()
            text += line
        self.said = json.loads(text)
        self.server = self.said["server"]
        self.pids = [self.said[f"{name}Pid"] for name in ("broker", "gateway", "worker")]

    def end(self, number=signal.SIGINT, seconds=30):
        self.process.send_signal(number)
        return self.finish(seconds)

    def finish(self, seconds=30):
        _, self.stderr = self.process.communicate(timeout=seconds)
        return self.process.returncode

    def log(self, name):
        return (self.data / f"{name}.log").read_text()

    def nothing_runs(self):
        wait_until(lambda: not any(runs(pid) for pid in self.pids), 20, "the end of all three")


def runs(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def up(shell, tmp_path):
    """up (*args): one that is ended when the test is over."""
    made = []

    def start(*args, data=tmp_path / "data"):
        made.append(Up(shell, data, *args))
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()
        one.nothing_runs()


def test_a_job_runs_and_all_end_in_order(shell, up):
    one = up("--slots", "3")
    done = shell.run("run", "--server", one.server, "--", "cat a.txt")
    assert (done.returncode, done.stdout) == (0, "hello\n"), done
    assert json.loads(shell.run("workers", "--json", "--server", one.server).stdout)["workers"][0]["slots"] == 3
    assert one.end() == 0 and one.stderr == "", one.stderr
    one.nothing_runs()
    assert "worker-stopped" in one.log("worker") and "broker-stopped" in one.log("broker")
    again = up()
    assert json.loads(shell.run("jobs", "--json", "--server", again.server).stdout)["total"] == 1, "the queue is kept"
    assert again.end(signal.SIGTERM) == 0


def test_a_running_job_is_given_back_at_the_second_signal(shell, up):
    one = up()
    job = shell.run("submit", "--server", one.server, "--", "sleep 300").stdout.strip()
    api = Client("127.0.0.1", int(one.server.rsplit(":", 1)[1]))
    wait_until(lambda: api.status(job)["status"] == "running", 20, "the job runs")
    api.close()
    one.process.send_signal(signal.SIGINT)
    wait_until(lambda: "stopping" in one.log("worker"), 20, "the worker stops")
    assert one.process.poll() is None
    assert one.end() == 0


def test_what_a_person_is_told(shell, tmp_path):
    with shell.start("up", "--unsafe-no-sandbox", "--data", "here", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(8)]
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=30)
    assert process.returncode == 0 and rest == "" and "stopping" in said
    text = "".join(lines)
    assert "Gleaner runs." in text and "page   http://127.0.0.1:" in text and "try    gleaner run " in text and "Ctrl-C ends it." in text
    assert f"data   {shell.folder}/here\n" in text


def test_killed_it_leaves_nothing_behind(shell, up):
    one = up()
    shell.run("submit", "--server", one.server, "--", "sleep 300")
    one.process.kill()
    one.nothing_runs()


def test_nohup_holds(shell, tmp_path):
    with shell.start("up", "--unsafe-no-sandbox", "--data", tmp_path / "d", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                     preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as process:
        while "Ctrl-C" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.parametrize("which", ["broker", "gateway", "worker"])
def test_one_that_ends_is_named_and_the_others_end(up, which):
    one = up()
    os.kill(one.said[f"{which}Pid"], signal.SIGKILL)
    assert one.finish() == LOCAL
    assert f"gleaner: the {which} has ended by itself, by signal 9." in one.stderr and f"{which}-ready" in one.stderr, one.stderr
    one.nothing_runs()


def test_ports(shell, up):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = shell.run("up", "--unsafe-no-sandbox", "--data", "d", "--port", port)
        assert done.returncode == LOCAL and f"Cannot listen on 127.0.0.1:{port}" in done.stderr and done.stdout == "", done
        assert "the gateway has ended at its start" in done.stderr
    one = up("--port", port)
    assert one.server == f"http://127.0.0.1:{port}"
    try:
        usual = socket.create_server(("127.0.0.1", 3000))
    except OSError:  # somebody has it
        usual = None
    other = up(data=shell.folder / "other")
    assert not other.server.endswith(":3000") and other.end() == 0
    if usual:
        usual.close()


def test_folders(shell, up, tmp_path):
    one = up()
    second = shell.run("up", "--unsafe-no-sandbox", "--data", one.data)
    assert second.returncode == LOCAL and "the broker has ended at its start" in second.stderr, second
    assert shell.run("jobs", "--server", one.server).returncode == 0, "the first one is not disturbed"
    (tmp_path / "file").write_text("")
    done = shell.run("up", "--data", tmp_path / "file")
    assert done.returncode == LOCAL and len(done.stderr.splitlines()) == 1 and done.stdout == "", done


def test_without_a_sandbox_it_says_what_to_do(shell):
    script = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$0" up --data d'
    closed = ["unshare", "-Ur", "sh", "-c"]
    if subprocess.run([*closed, "echo 0 >/proc/sys/user/max_user_namespaces && ! unshare -U true"], capture_output=True).returncode:
        pytest.skip("user namespaces cannot be shut here")
    done = subprocess.run([*closed, script, PROGRAM], cwd=shell.folder, env=shell.env, capture_output=True, text=True, timeout=60)
    assert done.returncode == LOCAL and "no working sandbox" in done.stderr and "gleaner up --unsafe-no-sandbox" in done.stderr, done
