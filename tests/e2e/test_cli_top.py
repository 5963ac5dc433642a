"""`gleaner top`: at a terminal, and where there is none."""

import json
import os
import re
import signal
import termios

import pytest

from cluster import wait_until
from shell import AWAY, CUT, PROGRAM, REFUSED, Shell
from terminal import Terminal

OPEN, SHUT = "\x1b[?1049h", "\x1b[?1049l"
EVIL = "\x1b]0;x\x07\x9b2J\x01"


@pytest.fixture
def top(cluster, shell):
    """top (*args): at a terminal, before a cluster with a worker and a job that runs and has printed."""
    made = []
    cluster.worker("http", "--id", "pc-1", "--slots", "2")
    job = cluster.api.execute("printf 'one\\nthe \\033[31mlast\\n'; sleep 60", name="nightly")["jobId"]
    wait_until(lambda: "last" in cluster.api.status(job)["stdout"], 10, "its output")

    def start(*args, env=None, **size):
        terminal = Terminal([PROGRAM, "top", *args], {**shell.env, "TERM": "xterm", **(env or {})}, shell.folder, **size)
        made.append(terminal)
        terminal.job = job
        return terminal

    yield start
    for terminal in made:
        terminal.close()
    cluster.api.post("/api/jobs/cancel", {"jobId": job})


def is_as_before(terminal):
    return termios.tcgetattr(terminal.terminal) == terminal.before


def test_a_sight_for_pipes_and_programs(cluster, shell, top):
    live = top()
    shown = shell.run("top")
    assert shown.returncode == 0 and "\x1b" not in shown.stdout and shown.stderr == "", shown
    assert "0 waiting, 1 running" in shown.stdout and "1 online, 0 offline; 1 of 2 slots busy" in shown.stdout
    row = next(line for line in shown.stdout.splitlines() if live.job in line)
    assert row.split()[1:5] == ["pc-1", live.job, "1", "nightly"] and row.endswith("the ^[[31mlast")
    sight = json.loads(shell.run("top", "--json").stdout)
    assert set(sight) == {"info", "stats", "jobs", "workers"}
    assert (sight["jobs"][0]["lastLine"], sight["workers"][0]["workerId"]) == ("the ^[[31mlast", "pc-1")
    once = top("--once")
    assert once.wait() == 0 and OPEN not in once.shown and live.job in once.shown
    dumb = top(env={"TERM": "dumb"})
    assert dumb.wait() == 0 and OPEN not in dumb.shown and live.job in dumb.shown


def test_it_is_live_and_q_ends_it(cluster, top):
    terminal = top("--interval", "100ms")
    shown = terminal.see(terminal.job)
    assert shown.startswith(OPEN) and "\x1b[1m" in shown and not is_as_before(terminal)
    other = cluster.api.execute("sleep 60")["jobId"]
    terminal.see(other)
    cluster.api.post("/api/jobs/cancel", {"jobId": other})
    terminal.see("1 running")
    terminal.type("q")
    assert terminal.wait() == 0 and terminal.shown.endswith(SHUT) and is_as_before(terminal)


@pytest.mark.parametrize("number, status", [(signal.SIGINT, CUT), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_give_the_terminal_back(top, number, status):
    terminal = top()
    terminal.see(terminal.job)
    terminal.type("\x03") if number == signal.SIGINT else os.kill(terminal.pid, number)
    assert terminal.wait() == status and terminal.shown.endswith(SHUT) and is_as_before(terminal)


def test_ctrl_z_gives_it_back_for_a_while(top):
    terminal = top()
    terminal.see(terminal.job)
    terminal.type("\x1a")
    terminal.see(re.escape(SHUT))
    assert os.WIFSTOPPED(os.waitpid(terminal.pid, os.WUNTRACED)[1]) and is_as_before(terminal)
    os.kill(terminal.pid, signal.SIGCONT)
    assert terminal.see(terminal.job).startswith(OPEN)
    terminal.type("q")
    assert terminal.wait() == 0


def test_it_fits_the_window(top):
    terminal = top("--interval", "100ms", lines=10, columns=40)
    terminal.see(re.escape(OPEN))
    for lines, columns in ((10, 40), (24, 80), (3, 20), (60, 200)):
        terminal.resize(lines, columns)
        terminal.take()
        drawn = re.findall(r"(?s)\x1b\[H(.*?)\x1b\[J", terminal.see(r"(?s)(\x1b\[H.*?\x1b\[J.*?){3}"))[-1]
        rows = [re.sub(r"\x1b\[[0-9;]*[mK]", "", row).rstrip("\r") for row in drawn.split("\n")]
        assert len(rows) <= lines and all(len(row) <= columns for row in rows), (lines, columns, rows)
        assert ("pc-1" in drawn) == (lines > 3) and ("LAST LINE" in drawn) == (columns >= 80), (lines, columns, rows)
    terminal.type("q")
    assert terminal.wait() == 0


def test_without_colours(top):
    terminal = top(env={"NO_COLOR": "1"})
    shown = terminal.see(terminal.job)
    terminal.type("q")
    assert terminal.wait() == 0 and not re.search(r"\x1b\[[0-9;]*m", shown + terminal.shown)


def test_a_server_that_goes_away_is_waited_for(cluster, top):
    terminal = top("--interval", "100ms")
    terminal.see(terminal.job)
    cluster.gateway.kill()
    assert terminal.job in terminal.see("does not answer(?s:.*)pc-1"), "what was seen stays"
    cluster.gateway.start()
    terminal.see("broker [0-9.]+, up")
    terminal.type("q")
    assert terminal.wait() == 0


def test_what_it_cannot_ask(clusters, tmp_path, shell):
    away = shell.run("top", "--server", "http://127.0.0.1:1")
    assert away.returncode == AWAY and len(away.stderr.splitlines()) == 1 and away.stdout == "", away
    closed = Shell(clusters(broker_args=["--auth", "on"]), tmp_path)
    refused = closed.run("top")
    assert refused.returncode == REFUSED and len(refused.stderr.splitlines()) == 1 and refused.stdout == "", refused


def test_names_do_not_steer_the_terminal(shell, pretend):
    row = {"jobId": EVIL, "workerId": EVIL, "name": EVIL, "hostname": EVIL, "status": EVIL, "startedAt": -2**63, "lastHeartbeat": 2**63 - 1}
    server = pretend(lambda path: b"\n" + EVIL.encode() + b"\x9b1A" if "output" in path else
                     json.dumps({"version": EVIL, "uptimeMs": -1, "jobs": [EVIL, row], "workers": [row, 7]}).encode())
    plain = shell.run("top", "--server", server)
    assert plain.returncode == 0 and not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", plain.stdout), plain
    terminal = Terminal([PROGRAM, "top", "--server", server], {**shell.env, "TERM": "xterm"}, shell.folder)
    try:
        shown = terminal.see("HOST")
        terminal.type("q")
        assert terminal.wait() == 0
        ours = r"\x1b\[(\?1049[hl]|\?25[hl]|\?7[hl]|H|J|2J|K|[0-9;]*m)"
        assert not re.search(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f]", re.sub(ours, "", shown + terminal.shown)), shown
    finally:
        terminal.close()
