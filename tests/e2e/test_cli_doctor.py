"""`gleaner doctor`, and gleaner-worker --check: what is well, what is not, and what to do about it."""

import json
import os
import re
import subprocess

import pytest

from cluster import BIN, SANITIZERS, wait_until
from engine import hidden
from shell import PROGRAM, Shell
from tokens import create

NAMES = {"config", "server", "tls", "clock", "token", "version", "broker", "workers", "disk"}


def doctor(shell, *args, status=0, **more):
    """The last line of each check: (state, text), as lines and as JSON say."""
    done = shell.run("doctor", *args, **more)
    assert done.returncode == status and done.stderr == "", done
    assert all(re.fullmatch(r"(ok  |warn|FAIL)  \S{2,10} +\S.*", line) for line in done.stdout.splitlines()), done
    assert ("FAIL" in done.stdout) == (status == 1), done
    return {name: (state, text) for state, name, text in (line.split(None, 2) for line in done.stdout.splitlines())}


def test_all_is_well(cluster, shell):
    cluster.worker("http")
    found = doctor(shell)
    assert NAMES <= set(found) and all(found[name][0] == "ok" for name in NAMES), found
    assert "1 of 1 online" in found["workers"][1] and "the server asks for none" in found["token"][1]
    assert {"work-dir", "limits", "sleep"} <= set(found), "gleaner-worker is beside it"
    whole = json.loads(shell.run("doctor", "--json").stdout)
    assert whole["good"] is True and NAMES <= {check["name"] for check in whole["checks"]}
    assert {check["state"] for check in whole["checks"]} <= {"ok", "warn"} and all(check["text"] for check in whole["checks"])


def test_no_server(shell):
    assert "start gleaner-gateway there" in doctor(shell, "--server", "http://127.0.0.1:1", status=1)["server"][1]
    unknown = doctor(shell, "--server", "http://nobody.invalid:3000", status=1)["server"]
    assert unknown[0] == "FAIL" and "DNS" in unknown[1], unknown
    whole = json.loads(shell.run("doctor", "--json", "--server", "http://127.0.0.1:1").stdout)
    assert whole["good"] is False and [c["name"] for c in whole["checks"] if c["state"] == "fail"] == ["server"], whole


def test_no_worker_and_no_broker(cluster, shell):
    found = doctor(shell)
    assert found["workers"][0] == "warn" and "gleaner-worker --server" in found["workers"][1], found
    cluster.broker.kill()
    found = doctor(shell, status=1)
    assert found["broker"][0] == "FAIL" and "start gleaner-broker" in found["broker"][1] and "workers" not in found, found
    cluster.broker.start()


def test_tokens(clusters, tmp_path):
    cluster = clusters(broker_args=["--auth", "on"])
    shell = Shell(cluster, tmp_path)
    none = doctor(shell, status=1)["token"]
    assert none[0] == "FAIL" and "gleaner token save" in none[1]
    wrong = doctor(shell, env={"GLEANER_TOKEN": "gleaner_no_token"}, status=1)["token"]
    assert wrong[0] == "FAIL" and "does not count" in wrong[1] and "gleaner_no_token" not in wrong[1]
    token, soon = create(cluster, "submitter", "alice"), create(cluster, "viewer", "bob", "--expires", "3d")
    wait_until(lambda: shell.run("jobs", env={"GLEANER_TOKEN": soon}).returncode == 0, 10, "the tokens are known")
    assert doctor(shell, env={"GLEANER_TOKEN": token})["token"] == ("ok", "submitter, of alice")
    ends = doctor(shell, env={"GLEANER_TOKEN": soon})["token"]
    assert ends[0] == "warn" and "ends in 2 days" in ends[1], ends


def test_what_is_no_gateway(shell, pretend):
    for body in (b"<html>", {"anything": 1}, b""):
        found = doctor(shell, "--server", pretend(body), status=1)
        assert found["gateway"][0] == "FAIL" and "not as a gateway" in found["gateway"][1] and "broker" not in found, found


def session(version, gateway=None):
    return {"role": "admin", "required": False, "version": version, "gateway": {"version": gateway or version}, "workers": []}


@pytest.mark.parametrize("ahead, word", [(60, "behind"), (-60, "ahead of")])
def test_clocks(shell, pretend, ahead, word):
    state, text = doctor(shell, "--server", pretend(session("0.3.0"), ahead))["clock"]
    assert state == "warn" and word in text and re.search(r" (59|60|61) s ", text) and "timedatectl" in text, text
    assert doctor(shell, "--server", pretend(session("0.3.0"), ahead / 20))["clock"][0] == "ok"


def test_versions(shell, pretend):
    for answer, advice in ((session("99.0.0"), "upgrade this program"), (session("0.0.1"), "upgrade the server"),
                           (session("99.0.0", "0.0.1"), "upgrade the gateway"), (session("0.0.1", "99.0.0"), "upgrade the broker")):
        state, text = doctor(shell, "--server", pretend(answer))["version"]
        assert state == "warn" and text.endswith(advice), (answer, text)
    steering = doctor(shell, "--server", pretend(session("\x1b[2J")))
    assert "\x1b" not in str(steering)


def test_certificates(clusters, tmp_path):
    import ssl

    from certificates import Authority
    authority = Authority(tmp_path / "ca")
    for days, state in ((30, "ok"), (3, "warn")):
        certificate, key = authority.pair(f"server{days}", days=days)
        context = ssl.create_default_context(cafile=authority.file)
        shell = Shell(clusters(gateway_args=["--tls-cert", certificate, "--tls-key", key], tls=context), tmp_path)
        found = doctor(shell, "--ca", str(authority.file))["tls"]
        assert found[0] == state and re.search(rf"\b({days}|{days - 1}) (more )?days", found[1]), found
        assert "--ca FILE" in doctor(shell, status=1)["tls"][1]


def test_clear_text_on_a_network(clusters, tmp_path):
    from network import Network
    network = Network()
    try:
        cluster = clusters(broker_args=["--auth", "on"], host=network.server)
        shell = Shell(cluster, tmp_path)
        token = create(cluster, "viewer", "v")
        for env, words in (({"GLEANER_TOKEN": token}, "your token goes in clear text"), ({}, "what you send goes in clear text")):
            done = subprocess.run([*network.workers.prefix, PROGRAM, "doctor"], env={**shell.env, **env}, capture_output=True, text=True,
                                  timeout=60)
            assert re.search(rf"warn  tls +{words}", done.stdout), done
        cluster.stop()
    finally:
        network.close()


def test_a_broken_config_line_is_named(shell):
    shell.write({".config/gleaner/gleaner.conf": "server = http://x\ntoken-flie = y\n"})
    done = shell.run("doctor")
    assert done.returncode == 2 and "gleaner.conf:2" in done.stderr and "token-file" in done.stderr and done.stdout == "", done


# ---- gleaner-worker --check ----


def check(*args, status=0, env=None, before=()):
    done = subprocess.run([*before, BIN / "gleaner-worker", "--check", *map(str, args)], capture_output=True, text=True, timeout=60,
                          env={**SANITIZERS, **os.environ, **(env or {})})
    assert done.returncode == status, done
    return {name: (state, text) for state, name, text in (line.split(None, 2) for line in done.stdout.splitlines())}


def test_a_machine_can_work(tmp_path):
    found = check("--work-dir", tmp_path / "w", "--unsafe-no-sandbox")
    assert {"user", "programs", "work-dir", "sandbox", "network", "kill", "landlock", "engine", "limits", "time-sync", "sleep"} == set(found) - {
        "files", "processes"}
    assert found["kill"][0] == found["work-dir"][0] == found["programs"][0] == "ok" and found["sandbox"][0] == "warn", found
    assert os.listdir(tmp_path / "w") == [], "it leaves nothing behind"
    few = subprocess.run(["sh", "-c", 'ulimit -n 500 && exec "$0" --check --unsafe-no-sandbox --work-dir "$1"', BIN / "gleaner-worker",
                          tmp_path / "w"], capture_output=True, text=True, timeout=60)
    assert re.search(r"warn  files +500 .*LimitNOFILE", few.stdout), few


def test_the_sandbox_is_tried(tmp_path):
    found = subprocess.run([BIN / "gleaner-worker", "--check", "--work-dir", tmp_path / "w"], capture_output=True, text=True, timeout=60)
    if "FAIL  sandbox" in found.stdout:
        pytest.skip("no sandbox works here")
    assert re.search(r"ok +sandbox +bubblewrap works\nok +network .*\nok +kill ", found.stdout), found


def test_a_work_dir_that_is_in_use_or_cannot_be(cluster, tmp_path, small_disk):
    worker = cluster.worker("http")
    used = check("--work-dir", worker.folder, "--unsafe-no-sandbox")
    assert used["work-dir"][0] == "ok" and "where a worker runs" in used["work-dir"][1]
    assert (worker.folder / "worker-id").exists() and (worker.folder / "lock").exists()
    (tmp_path / "file").write_text("")
    bad = check("--work-dir", tmp_path / "file", status=1)
    assert bad["work-dir"][0] == "FAIL" and "--work-dir" in bad["work-dir"][1] and "sandbox" not in bad
    full = check("--work-dir", small_disk / "w", "--unsafe-no-sandbox", status=1)
    assert full["work-dir"][0] == "FAIL" and "make room" in full["work-dir"][1], full
    subprocess.run(["mount", "-o", "remount,noexec,size=80m", small_disk], check=True)
    noexec = check("--work-dir", small_disk / "w", "--unsafe-no-sandbox", status=1)
    assert noexec["work-dir"][0] == "FAIL" and "noexec" in noexec["work-dir"][1], noexec


def test_an_engine_that_is_not_there(tmp_path):
    without = hidden("podman")
    if without is None:
        pytest.skip("podman is here, and cannot be hidden")
    found = check("--work-dir", tmp_path / "w", "--unsafe-no-sandbox", "--engine", "podman", status=1, before=without)
    assert found["engine"][0] == "FAIL" and "podman" in found["engine"][1], found
