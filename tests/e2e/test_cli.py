"""The command `gleaner`, as a person and a script use it: real programs at both ends."""

import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import time
import unicodedata
import zipfile

import pytest

from cluster import wait_until
from shell import AWAY, CUT, LOCAL, NO_CODE, PROGRAM, REFUSED, Shell, wait_for_ears
from terminal import Terminal
from tokens import create


# ---- run ----


def test_run_is_as_if_it_ran_here(cluster, shell):
    cluster.worker("http", "--id", "w")
    done = shell.run("run", "--", "cat a.txt; echo problem >&2; exit 7")
    assert (done.returncode, done.stdout) == (7, "hello\n")
    assert done.stderr.splitlines()[-1] == "problem"
    words = shell.run("run", "--", "printf", "%s|", "two words", "it's", "$HOME", "", "*")
    assert words.stdout == "two words|it's|$HOME||*|", words
    assert shell.run("run", "--", "true").returncode == 0


def test_run_prints_while_the_job_runs(cluster, shell, tmp_path):
    cluster.worker("zmq")
    gate = tmp_path / "gate"
    with shell.start("run", "--", f"echo first; while [ ! -e {gate} ]; do sleep 0.02; done; echo last", stdout=subprocess.PIPE) as run:
        assert run.stdout.readline() == b"first\n"
        gate.touch()
        assert run.stdout.read() == b"last\n"
        assert run.wait(10) == 0


def test_run_says_why_it_waits(cluster, shell):
    cluster.worker("http", "--id", "w")
    with shell.start("run", "--on", "gpu=yes", "--", "true", stderr=subprocess.PIPE, text=True) as run:
        line = run.stderr.readline()
        assert line.startswith("gleaner: waiting: ") and "gpu" in line
        run.send_signal(signal.SIGTERM)
        assert run.wait(10) == CUT
    job = cluster.api.get("/api/jobs").json["jobs"][0]
    assert (job["status"], job["reason"], job["requires"]) == ("failed", "cancelled", {"gpu": "yes"})


@pytest.mark.parametrize("commands, status, words", [
    ("kill -9 $$", 128 + 9, "signal 9"),
    ("sleep 30", NO_CODE, "timeout"),
])
def test_run_tells_what_ended_the_job(cluster, shell, commands, status, words):
    cluster.worker("http")
    done = shell.run("run", "--timeout", "1s", "--", commands)
    assert done.returncode == status and words in done.stderr, done


def test_run_brings_the_files_back(cluster, shell):
    cluster.worker("http")
    shell.write({"project/in.txt": "x", "project/out/old.txt": "old", "outside.txt": "mine"})
    (shell.folder / "project/out/link.txt").symlink_to(shell.folder / "outside.txt")
    done = shell.run("run", "project", "--artifact", "out/**", "--artifact", "*.bin", "--",
                     "mkdir -p out/deep; echo new > out/old.txt; echo 1 > out/deep/n; rm -f out/link.txt; echo theirs > out/link.txt; "
                     "echo b > tool.bin; chmod +x tool.bin; echo no > left.txt")
    assert done.returncode == 0, done
    project = shell.folder / "project"
    assert (project / "out/old.txt").read_text() == "new\n" and (project / "out/deep/n").read_text() == "1\n"
    assert os.access(project / "tool.bin", os.X_OK) and not (project / "left.txt").exists()
    assert (shell.folder / "outside.txt").read_text() == "mine", "what a link led to is not written"
    assert (project / "out/link.txt").read_text() == "theirs\n" and not (project / "out/link.txt").is_symlink()
    assert not [name for _, _, names in os.walk(project) for name in names if name.startswith(".gleaner-")]


def test_names_in_other_languages_travel(cluster, shell):
    cluster.worker("http")
    shell.write({"größe/日本 語.txt": "in"})
    done = shell.run("run", "--artifact", "**/*.out", "--", "cat größe/*; mkdir -p é; echo out > é/ü.out", env={"LC_ALL": "C"})
    assert (done.returncode, done.stdout) == (0, "in"), done
    assert (shell.folder / "é/ü.out").read_text() == "out\n"


def test_decomposed_names_travel_as_they_are(cluster, shell):
    """From a Mac: e and an accent of its own; there and back, whole and as a delta."""
    cluster.worker("http")
    folder = unicodedata.normalize("NFD", "ö")
    name, made = unicodedata.normalize("NFD", "é/ü.txt"), folder + unicodedata.normalize("NFD", "/å.out")
    for text in ("in", "changed"):
        shell.write({name: text})
        done = shell.run("run", "--artifact", made, "--", f"cat {name}; mkdir {folder}; cat {name} > {made}")
        assert (done.returncode, done.stdout) == (0, text), done
        assert sorted(set(os.listdir(shell.folder)) - {".cache"}) == sorted(["a.txt", name[:2], folder])
        assert (shell.folder / made).read_text() == text
        shutil.rmtree(shell.folder / folder)


def test_what_is_ignored_stays_at_home(cluster, shell):
    cluster.worker("http")
    shell.write({".gitignore": "*.o\n/build/\n!keep.o\n# no\n", "a.o": "", "keep.o": "", "build/x": "", "sub/build/y": "",
                 "sub/.gitignore": "secret*\n", "sub/secret.txt": "", "sub/open.txt": "", ".gleanerignore": "big\n", "big": "", ".git/z": ""})
    (shell.folder / "link").symlink_to("a.txt")
    (shell.folder / "passwd").symlink_to("/etc/passwd")
    done = shell.run("run", "--", "find . -type f | sort; cat link")
    assert done.stdout.split() == ["./.gitignore", "./.gleanerignore", "./a.txt", "./keep.o", "./link", "./sub/.gitignore", "./sub/build/y",
                                   "./sub/open.txt", "hello"], done
    assert "left at home: 'passwd'" in done.stderr
    whole = shell.run("run", "--all", "--", "find . -type f | sort").stdout.split()
    assert {"./a.o", "./build/x", "./.git/z", "./big", "./sub/secret.txt"} <= set(whole) and "./passwd" not in whole


def test_a_link_takes_nothing_along_that_stays_at_home(cluster, shell):
    cluster.worker("http")
    shell.write({".gitignore": ".env\nprivate/\n", ".env": "s", "private/deep/k": "s", ".git/config": "s"})
    for name, target in {"l1": ".env", "l2": "private/deep/k", "l3": ".git/config", "l4": "a.txt", "l5": "l5"}.items():
        (shell.folder / name).symlink_to(target)
    done = shell.run("run", "--", "ls")
    assert done.stdout.split() == ["a.txt", "l4"] and "left at home: 'l1' and others" in done.stderr, done
    whole = shell.run("run", "--all", "--", "ls")
    assert whole.stdout.split() == ["a.txt", "l1", "l2", "l3", "l4", "private"], whole


def test_a_zip_goes_as_it_is(cluster, shell):
    cluster.worker("http")
    with zipfile.ZipFile(shell.folder / "p.zip", "w") as file:
        file.writestr("inside.txt", "in")
    assert shell.run("run", "p.zip", "--", "cat inside.txt").stdout == "in"
    assert cluster.api.get("/api/jobs").json["jobs"][0]["filename"] == "p.zip"


def test_the_same_folder_is_the_same_project(cluster, shell):
    jobs = [shell.run("submit", "--", "true").stdout.strip() for _ in range(2)]
    assert jobs[0] != jobs[1] and len({cluster.api.status(job)["fileUrl"] for job in jobs}) == 1
    keyed = [shell.run("submit", "--key", "k1", "--", "true").stdout.strip() for _ in range(2)]
    assert keyed[0] == keyed[1]


def test_options_reach_the_job(cluster, shell):
    done = shell.run("submit", "--json", "--name", "n", "--label", "a=b", "--label", "c", "--env", "X=1", "--env", "MINE", "--secret", "S",
                     "--timeout", "2m", "--attempts", "5", "--priority", "-3", "--memory", "64M", "--cpus", "1.5", "--no-network",
                     "--keep-going", "--image", "busybox", "--artifact", "a", "--artifact", "b/**", "--on", "os=linux", "--", "true",
                     env={"S": "hushhush", "MINE": "two\twords"})
    job = cluster.api.status(json.loads(done.stdout)["jobId"])
    expected = {"name": "n", "labels": {"a": "b", "c": "true"}, "env": {"X": "1", "MINE": "two\twords"}, "secretNames": ["S"],
                "timeoutMs": 120000, "maxAttempts": 5, "priority": -3, "memoryMb": 64, "network": "none", "onError": "continue",
                "image": "busybox", "artifacts": ["a", "b/**"], "requires": {"os": "linux", "images": "yes", "network-none": "yes"}}
    assert {name: job[name] for name in expected} == expected and float(job["cpus"]) == 1.5
    assert "hushhush" not in json.dumps(job)


def test_secrets_do_not_stand_on_command_lines(cluster, shell):
    shell.write({"token": "from a file\n"})
    shown = shell.run("submit", "--secret", "S=visible", "--", "true")
    assert shown.returncode == 2 and "can be read by others" in shown.stderr and "visible" not in shown.stderr
    assert shell.run("submit", "--secret", "NONE", "--", "true").returncode == 2
    assert cluster.api.get("/api/jobs").json["total"] == 0
    cluster.worker("http")
    done = shell.run("run", "--secret", "S=@token", "--", 'echo "$S" | wc -c; echo "$S"')
    assert done.stdout.split()[0] in ("12", "13") and "from a file" not in done.stdout


# ---- long work ----


def test_a_terminal_is_told_how_far_packing_is_and_then_no_more(shell, cluster):
    cluster.worker("http")
    folder = shell.folder / "large"
    folder.mkdir()
    with open(folder / "sparse", "wb") as file:
        file.write(os.urandom(16 << 20))  # or it would grow by more than a worker allows
        file.truncate(400 << 20)
    terminal = Terminal([PROGRAM, "run", "large", "--", "echo begun"], {**shell.env, "TERM": "xterm"}, shell.folder)
    shown = terminal.see(r"packing 1 files, [\d.]+ \w+ read") + terminal.see("begun")
    assert terminal.wait() == 0
    terminal.close()
    # Nothing of it is left on the line that the output begins on.
    assert re.search(r"\r +\r", shown) and shown.rindex("read") < shown.rindex("\r ") < shown.rindex("begun"), shown
    piped = shell.run("submit", "large", "--", "true")
    assert piped.returncode == 0 and "read" not in piped.stderr


def test_a_terminal_is_told_how_much_of_artifacts_has_come(shell, cluster):
    cluster.worker("http")
    shell.write({"p/x": "x"})
    job = shell.run("submit", "--artifact", "big", "p", "--", "head -c 100000000 /dev/urandom >big").stdout.strip()
    assert shell.run("wait", job).returncode == 0
    terminal = Terminal([PROGRAM, "artifacts", job], {**shell.env, "TERM": "xterm"}, shell.folder)

    def slowly():  # as a network would be that now and then brings something
        os.kill(cluster.gateway.pid, signal.SIGSTOP)
        seen = terminal.shows(r"receiving [\d.]+ \w+ of [\d.]+ MiB ")
        os.kill(cluster.gateway.pid, signal.SIGCONT)
        time.sleep(0.01)
        return seen
    wait_until(slowly, 20, "how far it is")
    shown = terminal.take()
    assert terminal.wait() == 0 and re.search(r"\r +\r$", shown + terminal.take())
    terminal.close()


# ---- Ctrl-C ----


def ask_at_terminal(shell, answer):
    """`gleaner run` at a terminal, Ctrl-C when the job runs, and the answer; its status and what the terminal showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(shell.folder)
        os.execve(PROGRAM, [PROGRAM, "run", "--", "echo begun; sleep 60"], shell.env)
    shown = b""

    def see(what, seconds=20):
        nonlocal shown
        end = time.monotonic() + seconds
        while what not in shown:
            assert time.monotonic() < end, shown
            if select.select([terminal], [], [], 0.1)[0]:
                try:
                    shown += os.read(terminal, 4096)
                except OSError:
                    break
        assert what in shown, shown

    see(b"begun")
    os.write(terminal, b"\x03")
    see(b"[c]ancel")
    os.write(terminal, answer)
    if answer == b"\n":
        time.sleep(0.3)
        os.kill(pid, signal.SIGTERM)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("answer, state", [(b"c\n", "failed"), (b"d\n", "running"), (b"\n", "failed")])
def test_ctrl_c_asks(cluster, shell, answer, state):
    cluster.worker("http")
    assert ask_at_terminal(shell, answer) == CUT
    job = cluster.api.get("/api/jobs").json["jobs"][0]
    assert job["status"] == state
    if state == "running":
        assert cluster.api.post("/api/jobs/cancel", {"jobId": job["jobId"]}).status == 200


# ---- the other commands ----


def test_logs_follow_over_a_restart_and_lose_nothing(cluster, shell):
    cluster.worker("http")
    job = shell.run("submit", "--", "for i in $(seq 400); do echo line $i; sleep 0.01; done").stdout.strip()
    with shell.start("logs", "-f", job, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as logs:
        assert logs.stdout.readline() == "line 1\n"
        for program in (cluster.gateway, cluster.broker):
            program.kill()
            program.start()
            time.sleep(0.3)
        rest = logs.stdout.read()
        assert logs.wait(30) == 0
        assert rest.splitlines() == [f"line {n}" for n in range(2, 401)]
        assert "Trying again" in logs.stderr.read()
    assert shell.run("logs", job).stdout.splitlines()[-1] == "line 400"


def test_logs_of_a_job_that_runs_end_at_once_without_follow(cluster, shell, tmp_path):
    cluster.worker("http")
    gate = tmp_path / "gate"
    job = shell.run("submit", "--", f"echo now; while [ ! -e {gate} ]; do sleep 0.02; done").stdout.strip()
    wait_until(lambda: cluster.api.status(job)["stdout"] == "now\n", 10, "its first line")
    done = shell.run("logs", job)
    assert (done.returncode, done.stdout) == (0, "now\n")
    gate.touch()
    assert shell.run("wait", job).returncode == 0


def test_a_job_that_is_tried_again_is_followed(cluster, shell):
    cluster.worker("http")
    made = cluster.api.execute("echo try $GLEANER_ATTEMPT; sleep 1; [ $GLEANER_ATTEMPT = 2 ]", retryOnExit="any", backoffMs="10")
    done = shell.run("logs", "-f", made["jobId"])
    assert done.returncode == 0 and done.stdout == "try 1\ntry 2\n" and "attempt 1 is over, attempt 2 follows" in done.stderr, done
    assert shell.run("logs", "--attempt", "1", made["jobId"]).stdout == "try 1\n"


def test_a_job_that_nobody_has_begun_is_shown_once(cluster, shell):
    job = shell.run("submit", "--", "echo one; sleep 0.3; echo two").stdout.strip()
    with shell.start("logs", "-f", job, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as logs:
        time.sleep(0.8)  # so that its streams are open before there is an attempt
        cluster.worker("http")
        assert (logs.stdout.read(), logs.stderr.read(), logs.wait(20)) == ("one\ntwo\n", "", 0)


def test_who_follows_does_not_hammer_the_server(clusters, tmp_path):
    cluster = clusters(gateway_args=["--rate", "5"])
    shell = Shell(cluster, tmp_path)
    cluster.worker("zmq")
    made = cluster.api.execute("echo $GLEANER_ATTEMPT; [ $GLEANER_ATTEMPT = 2 ]", retryOnExit="any", backoffMs="2500")
    done = shell.run("logs", "-f", made["jobId"])
    assert (done.returncode, done.stdout) == (0, "1\n2\n"), done


def test_a_server_that_never_answered_is_not_waited_for(shell):
    for command in (["logs"], ["logs", "-f"], ["wait"]):
        done = shell.run(*command, "job-x", "--server", "http://127.0.0.1:1")
        assert done.returncode == AWAY and len(done.stderr.splitlines()) == 1, done


def test_ctrl_c_ends_the_wait_for_all(cluster, shell):
    jobs = [shell.run("submit", "--", "true").stdout.strip() for _ in range(2)]
    with shell.start("wait", *jobs) as wait:
        wait_for_ears(wait)
        wait.send_signal(signal.SIGINT)
        assert wait.wait(5) == CUT


def test_ctrl_c_is_heard_while_the_server_hangs(shell):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for command in (["wait"], ["logs", "-f"]):
            with shell.start(*command, "job-x", "--server", server) as process:
                wait_for_ears(process)
                process.send_signal(signal.SIGINT)
                assert process.wait(10) == CUT


def test_lists_and_sheets(cluster, shell):
    cluster.worker("http", "--id", "w-1", "--slots", "3")
    job = shell.run("submit", "--name", "nightly", "--", "exit 4").stdout.strip()
    assert shell.run("wait", job).returncode == 4
    lines = shell.run("jobs").stdout.splitlines()
    assert lines[0].split() == ["JOB", "STATE", "CREATED", "TOOK", "WORKER", "WHAT"]
    assert lines[1].split()[:3] == [job, "failed:", "exit"] and lines[1].split()[-1] == "nightly"
    assert shell.run("jobs", "--state", "pending").stdout == "no jobs\n"
    assert json.loads(shell.run("jobs", "--json").stdout)["jobs"][0]["jobId"] == job
    assert [line.split()[0] for line in shell.run("workers").stdout.splitlines()] == ["WORKER", "w-1"]
    sheet = shell.run("status", job).stdout
    assert sheet.splitlines()[0] == f"{job}  failed: exit 4" and "nightly" in sheet and "w-1" in sheet
    assert shell.run("drain", "w-1").returncode == 0 and "draining" in shell.run("workers").stdout
    assert shell.run("resume", "w-1").returncode == 0 and "draining" not in shell.run("workers").stdout
    again = shell.run("retry", job).stdout.strip()
    assert again != job and cluster.api.status(again)["fileUrl"] == cluster.api.status(job)["fileUrl"]


def test_artifacts_are_fetched_later(cluster, shell):
    cluster.worker("http")
    job = shell.run("submit", "--artifact", "o/*", "--", "mkdir o; echo 1 > o/f").stdout.strip()
    assert shell.run("wait", job).returncode == 0
    assert shell.run("artifacts", job, "--to", "here").returncode == 0
    assert (shell.folder / "here/o/f").read_text() == "1\n"
    small = shell.run("artifacts", job, "--to", "small", "--max", "1")
    assert small.returncode == LOCAL and "too large" in small.stderr and not list((shell.folder / "small/o").iterdir()), small
    assert shell.run("artifacts", job, "--zip", "all.zip").returncode == 0
    assert zipfile.ZipFile(shell.folder / "all.zip").namelist() == ["o/f"]
    assert shell.run("artifacts", job, "--zip", "all.zip").returncode == LOCAL, "a file that is there is not overwritten"
    none = shell.run("submit", "--", "true").stdout.strip()
    assert shell.run("wait", none).returncode == 0
    assert shell.run("artifacts", none).returncode == 1


# ---- what goes wrong ----


def test_one_sentence_and_a_status_for_whatever_is_wrong(cluster, shell):
    shell.write({"conf": "server = http://x\nlable = 1\n", "closed/f": "x", "empty/.gitignore": "*\n"})
    token = shell.folder / "token"
    token.write_text("gleaner_a_b\n")
    token.chmod(0o644)
    rows = [
        (["rnu"], 2, "did you mean 'run'"),
        (["run", "--lable", "x", "--", "true"], 2, "did you mean '--label'"),
        (["run"], 2, "what is to be run"),
        (["run", "--", "echo", "a\nb"], 2, "line break"),
        (["run", "nowhere", "--", "true"], LOCAL, "nowhere"),
        (["run", "empty", "--", "true"], LOCAL, "no file"),
        (["status"], 2, "which job"),
        (["status", "job-none"], 1, "no job"),
        (["jobs", "--server", "http://127.0.0.1:1"], AWAY, "does not answer"),
        (["jobs", "--server", "nothing"], 2, "nothing"),
        (["jobs", "--server", f"{cluster.server}/elsewhere"], 1, ""),
        (["jobs", "--config", "conf"], 2, "conf:2: unknown option 'lable'"),
        (["jobs", "--token-file", "token"], LOCAL, "chmod 600"),
        (["jobs", "--token-file", "none"], LOCAL, "none"),
        (["jobs", "--limit", "0"], 2, "out of range"),
        (["run", "--cpus", "many", "--", "true"], REFUSED, "cpus"),
        (["cancel", "job-none"], 1, "no job"),
        (["drain", "nobody"], 1, "no worker"),
    ]
    for args, status, words in rows:
        done = shell.run(*args)
        said = done.stderr.splitlines()
        assert done.returncode == status and words in done.stderr and said and said[-1].startswith("gleaner"), (args, done)
        assert done.stdout == "", (args, done)
    assert cluster.api.get("/api/jobs").json["total"] == 0, "nothing was half done"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads whatever it likes")
def test_a_folder_that_cannot_be_read(cluster, shell):
    shell.write({"p/ok": "", "p/closed/f": ""})
    (shell.folder / "p/closed").chmod(0)
    done = shell.run("run", "p", "--", "true")
    (shell.folder / "p/closed").chmod(0o700)
    assert done.returncode == LOCAL and "closed" in done.stderr


def test_an_upload_that_is_refused_or_cut(clusters, tmp_path):
    cluster = clusters(gateway_args=["--upload-max", "1M"])
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "big").write_bytes(os.urandom(3 << 20))
    shell = Shell(cluster, folder)
    done = shell.run("run", "--", "true")
    assert done.returncode == REFUSED and "too large" in done.stderr, done
    (folder / "big").unlink()
    (folder / "small").write_text("x")
    cluster.gateway.kill()
    with shell.start("submit", "--", "true", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as submit:
        assert "does not answer" in submit.stderr.readline()
        cluster.gateway.start()
        assert submit.stdout.read().startswith("job-") and submit.wait(20) == 0
    assert cluster.api.get("/api/jobs").json["total"] == 1


def test_a_token_and_the_config_file(clusters, tmp_path):
    cluster = clusters(broker_args=["--auth", "on"])
    shell = Shell(cluster, tmp_path)
    token = create(cluster, "submitter", "alice")
    refused = shell.run("jobs")
    assert refused.returncode == REFUSED and refused.stderr.startswith("gleaner: "), refused
    assert wait_until(lambda: shell.run("jobs", env={"GLEANER_TOKEN": token}).returncode == 0, 5) is True
    (tmp_path / "token").write_text(token + "\n")
    (tmp_path / "token").chmod(0o600)
    assert shell.run("jobs", "--token-file", "token").returncode == 0
    config = tmp_path / ".config/gleaner/gleaner.conf"
    config.parent.mkdir(parents=True)
    config.write_text(f"# mine\nserver = {cluster.server}\ntoken-file = {tmp_path / 'token'}\n")
    env = {"GLEANER_SERVER": ""}
    assert shell.run("jobs", env={**env, "GLEANER_TOKEN": "gleaner_no_token"}).returncode == REFUSED, "a variable counts more than the file"
    assert shell.run("jobs", env=env).stdout == "no jobs\n"
    config.write_text("artifact = x\n")
    done = shell.run("run", "--", "true", env=env)
    assert done.returncode == 2 and "command line" in done.stderr
    assert token not in done.stderr


def test_help_of_every_command(shell):
    names = [line.strip().split("  ")[0] for line in shell.run("--help").stdout.splitlines() if line.startswith("  ")]
    assert {"run", "submit", "status", "logs", "wait", "cancel", "retry", "artifacts", "jobs", "workers", "help"} <= set(names)
    for name in names:
        done = shell.run(*name.split(), "--help")
        assert done.returncode == 0 and f"usage: gleaner {name}" in done.stdout and done.stderr == "", name
        assert shell.run("help", *name.split()).stdout == done.stdout
    assert shell.run("help").stdout == shell.run("--help").stdout
    wrong = shell.run("help", "wrokers")
    assert wrong.returncode == 2 and "did you mean 'workers'" in wrong.stderr and wrong.stdout == "", wrong
    assert shell.run("--version").stdout.startswith("gleaner ")
    bare = shell.run()
    assert bare.returncode == 2 and "usage:" in bare.stderr
