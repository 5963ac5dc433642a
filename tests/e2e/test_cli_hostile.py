"""The command `gleaner` before servers that are not as ours, and projects that are not as they should be."""

import io
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import zipfile

import pytest

from cluster import wait_until
from shell import AWAY, LOCAL


# ---- servers that are not as ours ----


def test_what_a_server_says_does_not_steer_the_terminal(shell, pretend):
    evil = "\x1b]0;x\x07\x9b2J"
    server = pretend({"jobId": evil, "status": evil, "name": evil, "errorMessage": evil, "message": evil, "owner": 1, "attempts": [3],
                      "jobs": [evil, {"jobId": evil, "startedAt": -2**63, "createdAt": 2**63 - 1}], "workers": [{"workerId": evil}]})
    for command in (["status", "j"], ["cancel", "j"], ["retry", "j"], ["jobs"], ["workers"], ["submit", "--", "true"]):
        done = shell.run(*command, "--server", server) if command[0] != "submit" else shell.run("submit", "--server", server, "--", "true")
        assert done.returncode == 0 and not any(ord(c) < 32 and c != "\n" or 127 <= ord(c) < 160 for c in done.stdout), done


def test_answers_that_are_none(shell, pretend):
    for body in (b"{", b"[]", b"\xff", b"[" * 5000):
        server = pretend(body)
        for command in (["jobs"], ["status", "j"], ["wait", "j"], ["cancel", "j"]):
            done = shell.run(*command, "--server", server)
            assert done.returncode == AWAY and done.stdout == "" and "not as a gateway" in done.stderr, done
    done = shell.run("submit", "--server", pretend({"success": True}), "--", "true")
    assert done.returncode == AWAY and "names no job" in done.stderr and done.stdout == "", done


def test_what_cannot_be_printed_was_not_told(shell):
    with open("/dev/full", "w", encoding="ascii") as full, shell.start("jobs", stdout=full, stderr=subprocess.PIPE) as jobs:
        assert jobs.wait(20) == LOCAL and b"cannot be printed" in jobs.stderr.read()


def test_artifacts_without_an_end(shell, pretend):
    job = {"jobId": "j", "status": "completed", "artifacts": ["*"]}
    server = pretend(lambda path: bytes(70 << 20) if "artifacts" in path else job)
    done = shell.run("artifacts", "j", "--max", "1M", "--to", "to", "--server", server)
    assert done.returncode == LOCAL and "too large" in done.stderr and done.stderr.count("\n") == 1 and not (shell.folder / "to").exists(), done


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_half_fetched_is_left(shell, pretend, number):
    over = threading.Event()
    server = pretend(lambda path: over.wait(30) and b"")
    with shell.start("artifacts", "j", "--zip", "all.zip", "--server", server) as fetching:
        wait_until(lambda: (shell.folder / "all.zip").exists(), 20, "the file")
        fetching.send_signal(number)
        assert fetching.wait(20) == -number and not (shell.folder / "all.zip").exists()
    over.set()


def test_nothing_half_unpacked_is_left(shell, pretend):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
        out.writestr("made", bytes(200 << 20))
    job = {"jobId": "j", "status": "completed", "artifacts": ["made"]}
    server = pretend(lambda path: packed.getvalue() if "artifacts" in path else job)
    with shell.start("artifacts", "j", "--to", "to", "--server", server) as fetching:
        part = shell.folder / "to" / f".gleaner-{fetching.pid}"
        while fetching.poll() is None and not part.exists():
            pass
        fetching.send_signal(signal.SIGINT)
        assert fetching.wait(20) == -signal.SIGINT and not list((shell.folder / "to").iterdir())


# ---- projects that are not as they should be ----


def test_a_project_behind_a_link_and_what_is_no_project(cluster, shell):
    cluster.worker("http")
    shell.write({"real/f.txt": "f"})
    (shell.folder / "link").symlink_to("real")
    os.mkfifo(shell.folder / "fifo")
    assert shell.run("run", "link", "--", "cat f.txt").stdout == "f"
    os.mkfifo(shell.folder / "real/fifo")
    inside = shell.run("run", "real", "--", "ls")
    assert inside.stdout == "f.txt\n" and "left at home: 'fifo'" in inside.stderr, inside
    special = shell.run("run", "fifo", "--", "true")
    assert special.returncode == LOCAL and "neither a folder nor a ZIP" in special.stderr, special
    two = shell.run("submit", "real", "link", "--", "true")
    assert two.returncode == 2 and "one too many" in two.stderr, two
    huge = shell.run("submit", "--memory", "9223372036854775807", "--", "true")
    assert huge.returncode == 2 and "out of range" in huge.stderr, huge
    image = shell.run("submit", "--image", b"\xff".decode(errors="surrogateescape"), "--", "true")
    assert image.returncode == 2 and "not UTF-8" in image.stderr, image


def test_only_what_was_asked_for_comes_into_the_folder(shell, pretend):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name in (".git/hooks/pre-commit", "Makefile", "out/good"):
            file.writestr(name, name)
    job = {"jobId": "j", "status": "completed", "artifacts": ["out/**"]}
    server = pretend(lambda path: packed.getvalue() if "/artifacts" in path else json.dumps(job).encode())
    done = shell.run("artifacts", "j", "--server", server)
    assert done.returncode == 0 and "'Makefile' was not asked for" in done.stderr, done
    assert (shell.folder / "out/good").read_text() == "out/good"
    assert not (shell.folder / ".git").exists() and not (shell.folder / "Makefile").exists()


@pytest.mark.parametrize("name", ["/tmp/gleaner-absolute", "../up", "a.txt/b", "a//b", "link/b", "./../x"])
def test_names_that_lead_elsewhere(shell, pretend, name):
    (shell.folder / "away").mkdir()
    (shell.folder / "inside").mkdir()
    (shell.folder / "inside/link").symlink_to("../away")
    (shell.folder / "inside/a.txt").write_text("mine")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr(name, "theirs")
    server = pretend(lambda path: packed.getvalue() if "/artifacts" in path else b'{"status": "completed", "artifacts": ["**"]}')
    done = shell.run("artifacts", "j", "--server", server, "--to", "inside")
    assert done.returncode == LOCAL and "cannot be written" in done.stderr, done
    assert not list((shell.folder / "away").iterdir()) and (shell.folder / "inside/a.txt").read_text() == "mine"
    assert not os.path.exists("/tmp/gleaner-absolute") and sorted(os.listdir(shell.folder)) == ["a.txt", "away", "inside"]


def test_an_ignore_file_that_is_a_folder_has_no_rules(cluster, shell):
    cluster.worker("http")
    shell.write({".gitignore/f": "a.txt\n", ".gleanerignore/f": ""})
    done = shell.run("run", "--", "find . -type f | sort")
    assert done.returncode == 0 and done.stdout.split() == ["./.gitignore/f", "./.gleanerignore/f", "./a.txt"], done


def test_folders_that_cannot_be_packed(cluster, shell):
    deep, deeper = "p/" + "d/" * 32, "p/" + "d/" * 101
    for files, words in (({"p/back\\slash": "x"}, "backslash"), ({deep + "f": "x"}, "folders deep"), ({deeper + "f": "x"}, "folders deep"),
                         ({"p/.gleanerignore": "x\n" * 140000}, "256 KiB")):
        shell.write({"p/a": "x", **files})
        done = shell.run("submit", "p", "--", "true")
        assert done.returncode == LOCAL and words in done.stderr and len(done.stderr.splitlines()) == 1, done
        shutil.rmtree(shell.folder / "p")
    assert cluster.api.get("/api/jobs").json["total"] == 0


def test_as_much_as_workers_take_and_no_more(cluster, shell):
    """By default, in count and depth."""
    cluster.worker("http")
    deep = "d/" * 31 + "f"
    shell.write({"p/" + deep: "deep\n"})
    for n in range(10_100):
        (shell.folder / f"p/{n}").touch()
    done = shell.run("run", "p", "--", f"ls | wc -l; cat {deep}")
    assert (done.returncode, done.stdout) == (0, "10101\ndeep\n"), done
    (shell.folder / "p/back\\slash").symlink_to("1")
    done = shell.run("run", "p", "--", "true")
    assert done.returncode == LOCAL and "backslash" in done.stderr, "a link's name travels, too"


def test_too_many_files_are_refused_before_they_are_sent(cluster, shell):
    """Folders on the way count, as workers count them: 3,226 times 30 of them and a file."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as p:
        for n in range(3_226):
            inside = os.path.join(p, str(n), *["d"] * 29)
            os.makedirs(inside)
            os.close(os.open(os.path.join(inside, "f"), os.O_CREAT))
        done = shell.run("submit", p, "--", "true")
        assert done.returncode == LOCAL and "more than 100000 files and folders" in done.stderr and ".gleanerignore" in done.stderr, done
        assert cluster.api.get("/api/jobs").json["total"] == 0


def test_no_room_for_a_delta_is_said_once(cluster, shell):
    shell.write({"p/a": "one\n"})
    (shell.folder / "p/big").write_bytes(os.urandom(100_000))
    assert shell.run("submit", "p", "--", "true").returncode == 0
    shell.write({"p/a": "two\n"})
    done = shell.run("submit", "p", "--", "true", env={"TMPDIR": "/nowhere"})
    assert done.returncode == LOCAL and done.stdout == "" and done.stderr.count("\n") == 1 and "'/nowhere'" in done.stderr, done
