"""What bash, zsh and fish complete, asked of real ones."""

import os
import shutil
import subprocess

import pytest

from shell import PROGRAM, Shell
from terminal import Terminal


@pytest.fixture(scope="module")
def home(at_work, tmp_path_factory):
    """A shell whose PATH has gleaner, in a folder with files, before a server that has a job."""
    folder = tmp_path_factory.mktemp("home")
    shell = Shell(at_work, folder)
    shell.write({"folder/inside.txt": "", "file one.pem": ""})
    shell.env["PATH"] = f"{PROGRAM.parent}:{os.environ['PATH']}"
    shell.env["ASAN_OPTIONS"] = "detect_leaks=0"
    shell.job = at_work.api.execute("true")["jobId"]
    shell.worker = at_work.api.get("/api/workers/list").json["workers"][0]["workerId"]
    return shell


def bash(home, *words):
    """What bash offers for the last of the words."""
    script = ('source <(gleaner completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); compopt () { :; }; _gleaner; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "--norc", "-c", script, "bash", "gleaner", *words], cwd=home.folder, env=home.env, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == "", done
    return done.stdout.split("\n")[:-1] if done.stdout.strip() else []


def fish(home, *words):
    line = " ".join(["gleaner", *words])
    done = subprocess.run(["fish", "--no-config", "-c", "gleaner completion fish | source; complete -C $argv[1]", line], cwd=home.folder,
                          env=home.env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == "", done
    return [row.split("\t")[0] for row in done.stdout.splitlines()]


class Zsh(Terminal):
    """An interactive zsh, in which Tab is pressed."""

    def __init__(self, home):
        super().__init__(["zsh", "-f", "-i"], {**home.env, "TERM": "dumb", "PS1": ""}, home.folder, lines=400, columns=200)
        self.type("PROMPT=; unsetopt zle_bracketed_paste; autoload -U compinit; compinit -u -D; LISTMAX=1000; "
                  "source <(gleaner completion zsh); print rea''dy\n")
        self.see("ready")

    def complete(self, text, what):
        """Types the text and Tab; what is shown, which must hold that, and the line is cleared."""
        self.type(text + "\t")
        shown = self.see(what)
        self.type("\x15print clea''red\n")
        self.see("cleared")
        return shown


def test_bash(home):
    assert bash(home, "ru") == ["run"] and {"run", "jobs", "completion", "--help"} <= set(bash(home, ""))
    assert bash(home, "jobs", "--sta") == ["--state"]
    assert bash(home, "jobs", "--state", "") == ["pending", "running", "completed", "failed"]
    assert bash(home, "jobs", "--state", "=", "pe") == bash(home, "jobs", "--state", "pe") == ["pending"]
    assert bash(home, "jobs", "--state", "=") == ["pending", "running", "completed", "failed"]
    assert bash(home, "cancel", "") == [home.job] == bash(home, "cancel", home.job[:8])
    assert bash(home, "drain", "") == [home.worker] == bash(home, "jobs", "--worker", "")
    assert bash(home, "run", "--ca", "fi") == ["file one.pem"] and set(bash(home, "run", "fo")) == {"folder"}
    assert bash(home, "artifacts", "--to", "f") == ["folder"]
    assert bash(home, "run", "--", "fi") == ["file one.pem"] and bash(home, "run", "--name", "") == []
    assert bash(home, "help", "work") == ["workers"] and bash(home, "nothing", "") == []
    assert bash(home, "token", "") == ["save", "forget", "create", "list", "revoke"] and bash(home, "token", "f") == ["forget"]
    assert bash(home, "token", "--js") == ["--json"] == bash(home, "token", "save", "--js") and bash(home, "token", "save", "") == []


def test_bash_takes_the_script(home):
    script = 'source <(gleaner completion bash); complete -p gleaner'
    done = subprocess.run(["bash", "--norc", "-c", script], env=home.env, capture_output=True, text=True, timeout=60)
    assert done.stdout == "complete -F _gleaner gleaner\n" and done.stderr == "", done


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish(home):
    assert fish(home, "ru") == ["run"] and {"run", "jobs", "completion"} <= set(fish(home, "''")) | set(fish(home, ""))
    assert fish(home, "jobs", "--sta") == ["--state"]
    assert set(fish(home, "jobs", "--state", "")) == {"pending", "running", "completed", "failed"}
    assert fish(home, "cancel", "") == [home.job] and fish(home, "drain", "") == [home.worker]
    assert fish(home, "jobs", "--worker", "") == [home.worker]
    assert fish(home, "artifacts", "--to", "f") == ["folder/"] and "'file one.pem'" in [f"'{n}'" for n in fish(home, "run", "--ca", "fi")]
    assert fish(home, "help", "work") == ["workers"]
    assert set(fish(home, "token", "")) == {"save", "forget", "create", "list", "revoke"} and fish(home, "token", "save", "--js") == ["--json"]


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh(home):
    zsh = Zsh(home)
    try:
        assert "submit" in zsh.complete("gleaner subm", "gleaner submit")
        shown = zsh.complete("gleaner jobs --state=", "failed")
        assert "pending" in shown and "completed" in shown
        zsh.complete("gleaner jobs --lab", "--label")
        zsh.complete("gleaner cancel ", home.job)
        zsh.complete("gleaner drain ", home.worker)
        zsh.complete("gleaner artifacts --to fol", "folder/")
        zsh.complete("gleaner run --ca fil", r"file\\ one.pem")
        zsh.complete("gleaner help wor", "workers")
        zsh.complete("gleaner token fo", "token forget")
        zsh.complete("gleaner token save --js", "--json")
        zsh.type("exit\n")
        assert zsh.wait() == 0
    finally:
        zsh.close()


def test_nothing_is_said_while_one_types(home):
    away = home.run("completion", "jobs", "--server", "http://127.0.0.1:1")
    assert (away.returncode, away.stdout, away.stderr) == (0, "", "")
    bare = home.run("completion")
    assert bare.returncode == 2 and "for which shell" in bare.stderr and bare.stdout == "", bare
    wrong = home.run("completion", "tcsh")
    assert wrong.returncode == 2 and "is not one of" in wrong.stderr, wrong


def test_ids_that_are_no_plain_words_are_not_offered(home, pretend):
    server = pretend({"jobs": [{"jobId": name} for name in ("job-1", "$(reboot)", "a;b", "-rf", "a b", "\x1b[2J", "")], "workers": []})
    done = home.run("completion", "jobs", "--server", server)
    assert (done.returncode, done.stdout, done.stderr) == (0, "job-1\n", "")
