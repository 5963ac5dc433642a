"""`gleaner token`: whose it is, and keeping one."""

import json
import os
import signal
import stat
import subprocess

import pytest

from cluster import wait_until
from shell import AWAY, CUT, LOCAL, PROGRAM, REFUSED, Shell
from terminal import Terminal
from tokens import create


@pytest.fixture
def closed(clusters, tmp_path):
    """A shell before a server that asks for tokens, with one that counts, but not in the environment."""
    cluster = clusters(broker_args=["--auth", "on"])
    (tmp_path / "closed").mkdir()
    shell = Shell(cluster, tmp_path / "closed")
    shell.token = create(cluster, "submitter", "alice")
    wait_until(lambda: shell.run("jobs", env={"GLEANER_TOKEN": shell.token}).returncode == 0, 10, "the token is known")
    shell.config = shell.folder / ".config/gleaner/gleaner.conf"
    shell.file = shell.folder / ".config/gleaner/tokens"
    shell.line = f"{cluster.server} {shell.token}\n"
    return shell


def save(shell, text, *args, env=None):
    return subprocess.run([PROGRAM, "token", "save", *args], input=text, cwd=shell.folder, env={**shell.env, **(env or {})},
                          capture_output=True, text=True, timeout=60)


def test_whose_it_is(cluster, shell, closed):
    done = closed.run("token", env={"GLEANER_TOKEN": closed.token})
    assert done.returncode == 0 and done.stdout.startswith("submitter, of alice\n") and "may submit and cancel jobs" in done.stdout
    assert "drain" not in done.stdout and closed.token not in done.stdout
    assert json.loads(closed.run("token", "--json", env={"GLEANER_TOKEN": closed.token}).stdout)["role"] == "submitter"
    assert closed.run("token").stdout.startswith("none") and closed.run("token", env={"GLEANER_TOKEN": "x"}).returncode == REFUSED
    everybody = shell.run("token")
    assert everybody.returncode == 0 and "admin: the server asks for no token" in everybody.stdout and "may drain" in everybody.stdout


def test_one_is_kept(closed):
    closed.write({".config/gleaner/gleaner.conf": "# mine\nserver = http://old:1\n  token-file=/nowhere\n"})
    done = save(closed, f"  {closed.token}\n")
    assert done.returncode == 0 and "submitter, of alice" in done.stdout and closed.token not in done.stdout + done.stderr, done
    assert stat.S_IMODE(closed.file.stat().st_mode) == 0o600 and closed.file.read_text() == closed.line
    assert closed.config.read_text() == f"# mine\nserver = {closed.env['GLEANER_SERVER']}\n"
    assert closed.run("jobs", env={"GLEANER_SERVER": ""}).stdout == "no jobs\n", "server and token come from the file"
    assert sorted(os.listdir(closed.file.parent)) == ["gleaner.conf", "tokens"]
    forgotten = closed.run("token", "forget")
    assert forgotten.returncode == 0 and "until it is revoked" in forgotten.stderr
    assert not closed.file.exists() and closed.run("jobs").returncode == REFUSED
    again = closed.run("token", "forget")
    assert again.returncode == 1 and "no token is saved" in again.stderr


def test_authorities_are_kept_for_every_folder(closed):
    """Of --ca the name is kept, as it leads there from everywhere."""
    closed.write({"here/cert.pem": ""})
    done = subprocess.run([PROGRAM, "token", "save", "--ca", "cert.pem"], input=closed.token, cwd=closed.folder / "here", env=closed.env,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    assert f"ca = {closed.folder / 'here/cert.pem'}" in closed.config.read_text().splitlines()


def test_a_config_file_behind_a_link_stays_there(closed):
    closed.write({"dotfiles/gleaner.conf": "# kept elsewhere\n", ".config/gleaner/x": ""})
    closed.config.symlink_to("../../dotfiles/gleaner.conf")
    assert save(closed, closed.token).returncode == 0
    assert closed.config.is_symlink() and "server = " in (closed.folder / "dotfiles/gleaner.conf").read_text()


def test_a_token_stays_with_its_server(closed):
    """Where the config file cannot be changed, the tokens are as they were, too."""
    closed.write({".config/gleaner/tokens": "http://old:1 gleaner_old\n", ".config/gleaner/x": ""})
    closed.file.chmod(0o600)
    closed.config.symlink_to("/proc/self/timers")  # it is empty, and nothing beside it can be made
    done = save(closed, closed.token)
    assert done.returncode == LOCAL and "cannot write" in done.stderr and len(done.stderr.splitlines()) == 1, done
    assert closed.file.read_text() == "http://old:1 gleaner_old\n" and stat.S_IMODE(closed.file.stat().st_mode) == 0o600
    closed.file.unlink()
    assert save(closed, closed.token).returncode == LOCAL and not closed.file.exists()


def test_nothing_is_kept_that_does_not_work(cluster, shell, closed):
    for text, args, status, words in (("gleaner_wrong_token\n", [], REFUSED, ""), ("\n", [], 2, "no token on stdin: gleaner token save <FILE"), ("", [], 2, "no token"),
                                      ("a\x1bb\n", [], 2, "no token"), ("x" * 5000, [], 2, "no token"),
                                      (closed.token, ["--server", "http://127.0.0.1:1"], AWAY, "does not answer")):
        done = save(closed, text, *args)
        assert done.returncode == status and words in done.stderr and len(done.stderr.splitlines()) == 1 and done.stdout == "", done
    opened = save(shell, closed.token)
    assert opened.returncode == REFUSED and "asks for no token" in opened.stderr, opened
    assert not closed.config.exists() and not closed.file.exists() and not (shell.folder / ".config").exists()
    closed.write({".config": ""})
    done = save(closed, closed.token)
    assert done.returncode == LOCAL and "cannot" in done.stderr and len(done.stderr.splitlines()) == 1, done


def test_it_is_typed_unseen(closed):
    terminal = Terminal([PROGRAM, "token", "save"], closed.env, closed.folder)
    try:
        terminal.see("not shown")
        wait_until(lambda: not_echoed(terminal), 10, "a silent terminal")
        terminal.type("wrong\x15" + closed.token + "x\x7f\r")
        assert terminal.wait() == 0 and closed.token not in terminal.shown and "submitter" in terminal.shown, terminal.shown
        assert closed.file.read_text() == closed.line
    finally:
        terminal.close()


def not_echoed(terminal):
    import termios
    return not termios.tcgetattr(terminal.terminal)[3] & termios.ECHO


@pytest.mark.parametrize("how, status", [("\x03", CUT), (signal.SIGTERM, -signal.SIGTERM)])
def test_giving_up_leaves_the_terminal_as_it_was(closed, how, status):
    terminal = Terminal([PROGRAM, "token", "save"], closed.env, closed.folder)
    try:
        wait_until(lambda: not_echoed(terminal), 10, "a silent terminal")
        terminal.type(how) if isinstance(how, str) else os.kill(terminal.pid, how)
        assert terminal.wait() == status and not not_echoed(terminal) and not closed.file.exists()
    finally:
        terminal.close()


def test_unknown_words_are_named(shell):
    for words, near in ((["token", "sav"], "token save"), (["token", "forgte"], "token forget")):
        done = shell.run(*words)
        assert done.returncode == 2 and f"did you mean '{near}'" in done.stderr and done.stdout == "", done
    assert "usage: gleaner token save" in shell.run("help", "token", "save").stdout
