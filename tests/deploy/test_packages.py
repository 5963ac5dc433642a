"""The Debian packages in a clean Debian: what a new user does from the first apt-get to the last, upgrades, and what stays."""

import json
import os
import re
import shutil
import subprocess

import pytest

from built import VERSION
from cluster import TOP, wait_until
from debs import ALL, SERVICES, package
from units import Unit

OLD = "0.1.0"
SERVER = "http://127.0.0.1:3000"

PROJECT = {
    "Makefile": """CFLAGS = -O2 -Wall
test: sum-test
	./sum-test | tee report.txt
sum-test: test.c sum.c sum.h
	$(CC) $(CFLAGS) -o $@ test.c sum.c
""",
    "sum.h": "int sum (const int *numbers, int count);\n",
    "sum.c": '#include "sum.h"\n\nint sum (const int *numbers, int count)\n{\n    int all = 0;\n    while (count--)\n        all += numbers[count];\n'
             "    return all;\n}\n",
    "test.c": '#include <assert.h>\n#include <stdio.h>\n#include "sum.h"\n\nint main (void)\n{\n    int numbers[] = { 1, 2, 39 };\n'
              '    assert (sum (numbers, 3) == 42);\n    puts ("1 passed, 0 failed");\n    return 0;\n}\n',
}


def give(root, files, folder):
    """Their paths in there."""
    shutil.rmtree(root.path(folder), ignore_errors=True)
    root.path(folder).mkdir(parents=True)
    for file in files:
        shutil.copy(file, root.path(folder))
    return [f"{folder}/{file.name}" for file in files]


def packages_there(root):
    listed = root.run("dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package} ${Version}\n").stdout
    return {line.split()[1]: line.split()[2] for line in listed.splitlines() if line.startswith("ii ") and line.split()[1] in ALL}


def test_lintian_finds_no_error_and_no_warning(packages):
    if not shutil.which("lintian"):
        pytest.skip("lintian is not installed")
    done = subprocess.run(["lintian", "--tag-display-limit", "0", "--fail-on", "error,warning", *packages], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_same_sources_make_the_same_packages(packages, tmp_path):
    for one, other in zip(packages, package(tmp_path)):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_an_ordinary_users_packages_belong_to_root(packages):
    """Whoever builds: owners and modes are the packages', and nothing can be written by others."""
    for one in packages:
        for line in subprocess.run(["dpkg", "--contents", one], capture_output=True, text=True, check=True).stdout.splitlines():
            mode, owner = line.split()[:2]
            assert owner == "root/root" and mode in ("drwxr-xr-x", "-rwxr-xr-x", "-rw-r--r--"), line


def test_a_folder_can_be_installed_into(packages, tmp_path):
    """cmake --install by an ordinary user: the gateway and the worker find what is theirs."""
    done = subprocess.run(["cmake", "--install", TOP / "build/release", "--prefix", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("bin/gleaner-worker", "libexec/gleaner/gleaner-keeper", "share/gleaner/web/index.html", "etc/gleaner/broker.conf",
                 "share/man/man1/gleaner.1"):
        assert (tmp_path / name).exists(), name
    gateway = subprocess.Popen([tmp_path / "bin/gleaner-gateway", "--listen", "127.0.0.1:0", "--cache-dir", tmp_path / "cache"],
                               stderr=subprocess.PIPE, text=True)
    lines = [gateway.stderr.readline()]
    while "gateway-ready" not in lines[-1]:
        assert lines[-1], lines
        lines.append(gateway.stderr.readline())
    gateway.terminate()
    lines += gateway.stderr.readlines()
    assert gateway.wait(20) == 0 and not any("page-missing" in line for line in lines), lines


def test_a_new_users_session(debian_root, packages):
    root = debian_root
    before = root.files()

    # Installed with what they need, by apt alone; no systemd runs here, and that is fine.
    root.apt("install", *give(debian_root, packages, "/root/packages"))
    assert set(packages_there(root)) == set(ALL)
    for name in SERVICES:
        assert root.run("getent", "passwd", name).stdout.split(":")[6].strip().endswith("nologin")
        assert root.run(name, "--version").stdout == f"{name} {VERSION}\n"
    assert root.path("/etc/systemd/system/multi-user.target.wants/gleaner-broker.service").is_symlink()
    assert not os.path.lexists(root.path("/etc/systemd/system/multi-user.target.wants/gleaner-worker.service")), "a PC is lent by its owner"

    # The units' commands, as the units' users.
    broker, gateway = (Unit(root, name).start() for name in SERVICES[:2])
    with open(root.path("/etc/gleaner/worker.conf"), "a") as conf:
        conf.write("\nserver = http://127.0.0.1:3000\n")
    worker = Unit(root, "gleaner-worker").start()
    assert " sandbox bwrap" in worker.log.read_text(), worker.log.read_text()
    assert "<title>" in root.run("curl", "-sSf", f"{SERVER}/").stdout
    root.run("curl", "-sSf", f"{SERVER}/healthz")
    wait_until(lambda: root.run("curl", "-sf", f"{SERVER}/readyz", check=False).returncode == 0, 10, "the gateway's readiness")

    # A project in C, as an ordinary user has it.
    root.run("useradd", "-m", "ada")
    well = root.run("gleaner", "doctor", user="ada", env={"HOME": "/home/ada"}, check=False)
    assert well.returncode == 0, well.stdout + well.stderr
    for name, text in PROJECT.items():
        path = root.path(f"/home/ada/sum/{name}")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    root.run("chown", "-R", "ada:", "/home/ada/sum")
    ada = {"user": "ada", "cwd": "/home/ada/sum", "env": {"HOME": "/home/ada"}}
    done = root.run("gleaner", "run", "--artifact", "report.txt", "--", "make test", **ada)
    assert "1 passed, 0 failed" in done.stdout
    assert root.path("/home/ada/sum/report.txt").read_text() == "1 passed, 0 failed\n"
    assert not root.path("/home/ada/sum/sum-test").exists()
    figures = root.run("curl", "-sSf", f"{SERVER}/metrics").stdout
    assert 'gleaner_jobs_ended_total{state="completed"} 1' in figures and 'gleaner_workers{state="online"} 1' in figures, figures
    failing = root.run("gleaner", "run", "--", "make no-such-target", check=False, **ada)
    assert failing.returncode == 2 and "No rule to make target" in failing.stdout + failing.stderr

    # Removed: the configuration stays; purged: only data does.
    for unit in (worker, gateway, broker):
        assert unit.stop() == 0, unit.log.read_text()
    root.run("userdel", "-r", "ada", check=False)
    root.apt("remove", *ALL)
    assert not packages_there(root) and root.path("/etc/gleaner/worker.conf").exists()
    said = root.apt("purge", *SERVICES).stdout
    assert "gleaner-broker: its data stays in /var/lib/gleaner-broker" in said, said
    root.apt("autoremove", "--purge")
    strays = [name for name in left_over(root, before) if not re.match("/var/lib/gleaner-(broker|gateway|worker)(/|$)", name)]
    assert not strays, strays
    assert any(root.path("/var/lib/gleaner-broker/blobs").rglob("*")), "data stays"


def left_over(root, before):
    """What is there and was not before, but for what apt, dpkg and other packages' scripts keep for themselves."""
    others = r"/(root|tmp)/|/var/(cache/(apt|debconf|ldconfig|private)|lib/(apt|dpkg|private|systemd))(/|$)|/var/log/|/etc/(machine-id|mtab|(passwd|group|g?shadow|subuid|subgid)-)$"
    return sorted(name for name in root.files() - before if not re.match(others, name))


def links(root, name):
    """What enables the service."""
    return os.path.lexists(root.path(f"/etc/systemd/system/multi-user.target.wants/{name}.service"))


def job_state(root, job):
    return json.loads(root.run("curl", "-sSf", f"{SERVER}/api/jobs/status?jobId={job}").stdout)["status"]


def test_upgrade_reinstall_remove_and_back(debian_root, packages, tmp_path):
    """What the administrator has changed stays, and so do the jobs."""
    root = debian_root
    root.apt("install", *give(root, package(tmp_path, "--version", OLD), "/root/old"))
    assert packages_there(root) == {name: f"{OLD}-1" for name in ALL}
    conf = root.path("/etc/gleaner/broker.conf")
    edited = conf.read_text() + "\nkeep-jobs = 100h\n"
    conf.write_text(edited)
    root.run("systemctl", "disable", "gleaner-gateway")
    root.path("/tmp/hello").mkdir()
    root.path("/tmp/hello/a.txt").write_text("hello\n")
    units = [Unit(root, name).start() for name in SERVICES[:2]]
    job = root.run("gleaner", "submit", "/tmp/hello", "--", "cat a.txt").stdout.strip()
    assert job_state(root, job) == "pending"
    assert all(unit.stop() == 0 for unit in reversed(units))

    news = give(debian_root, packages, "/root/new")
    root.apt("install", *news)
    new = packages_there(root)
    assert set(new) == set(ALL) and f"{OLD}-1" not in new.values(), new
    assert conf.read_text() == edited
    assert links(root, "gleaner-broker") and not links(root, "gleaner-gateway"), "what was switched off stays off"
    root.apt("install", "--reinstall", *news)
    assert conf.read_text() == edited and not links(root, "gleaner-gateway")

    root.apt("remove", *ALL)
    assert conf.read_text() == edited and not root.path("/usr/bin/gleaner-broker").exists()
    masked = [name for name in SERVICES if os.path.lexists(root.path(f"/etc/systemd/system/{name}.service"))]
    assert masked == list(SERVICES), "what is removed is not started by a link that is left"
    root.apt("install", *news)
    assert not any(os.path.lexists(root.path(f"/etc/systemd/system/{name}.service")) for name in SERVICES)
    assert conf.read_text() == edited and links(root, "gleaner-broker") and not links(root, "gleaner-gateway")
    for unit in units:
        unit.start()
    assert job_state(root, job) == "pending"
    root.run("gleaner", "cancel", job)
    assert all(unit.stop() == 0 for unit in reversed(units))

    root.apt("purge", *ALL)
    assert not root.path("/etc/gleaner").exists() and not root.path("/var/cache/gleaner").exists()
    assert any(root.path("/var/lib/gleaner-broker/blobs").rglob("*")), "data stays"
