"""The bench itself, by hardly any work: that it measures, and what it says when it cannot. Its figures mean nothing here."""

import json
import os
import subprocess
import sys

import pytest

from cluster import BIN, SANITIZERS, TOP

BENCH = TOP / "tests/bench"
sys.path.insert(0, str(BENCH / "lib"))

import peers  # noqa: E402
import table  # noqa: E402
from programs import tool  # noqa: E402

COLUMNS = {"part", "what", "ours", "unit", "peer", "peerName", "ratio", "target", "met", "spread", "elsewhere", "notes", "failed"}


def bench(tmp_path, *options, bin=BIN, **env):
    """Runs the bench. Its rows, its output and its status."""
    out = tmp_path / "rows.json"
    run = subprocess.run([BENCH / "run", "--tiny", "--no-install", "--json", out, *options], capture_output=True, text=True, timeout=120,
                         env={**SANITIZERS, **os.environ, "GLEANER_BIN": str(bin), "PYTHONDONTWRITEBYTECODE": "1", **env})
    assert out.exists(), run.stderr
    return json.loads(out.read_text()), run.stdout, run.returncode


def test_rows_tell_what_is_met_and_a_peer_that_is_missing_is_named(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    told, text, status = bench(tmp_path, "--only", "cycle", "--only", "handoff", PATH=str(empty))
    assert told["machine"]["processors"] >= 1 and told["machine"]["kernel"]
    assert all(set(row) == COLUMNS for row in told["rows"])
    missing = [row for row in told["rows"] if row["part"] == "cycle"]
    for row, package in zip(missing, ("redis-server", "beanstalkd", "redis-server")):
        assert f"apt-get install {package}" in row["failed"] and row["met"] is None
    assert status == 1 and len(missing) == 3 and text.count("NOT MEASURED: ") == 3 and "3 not measured" in text
    asked = [row for row in told["rows"] if row["part"] == "handoff" and row["target"]]
    assert len(asked) == 3, "the others go on"
    for row in asked:
        assert row["failed"] is None and row["ours"] >= 0 and row["met"] in (True, False)
        assert any(line.startswith(row["what"]) and ("met" in line or "NOT MET" in line) for line in text.splitlines())


def test_a_program_that_does_not_start_fails_its_rows_only(tmp_path):
    broken = tmp_path / "bin"
    broken.mkdir()
    for program in BIN.iterdir():
        if program.name.startswith(("gleaner-", "bench-")) and program.name != "gleaner-worker":
            (broken / program.name).symlink_to(program)
    (broken / "gleaner-worker").write_text("#!/bin/sh\necho it has no reason to work >&2\nexit 3\n")
    (broken / "gleaner-worker").chmod(0o755)
    told, _, status = bench(tmp_path, "--only", "commands", "--only", "restart", bin=broken)
    failed = [row for row in told["rows"] if row["failed"]]
    assert status == 1 and len(failed) == 1 and failed[0]["part"] == "commands" and "it has no reason to work" in failed[0]["failed"]
    assert [row["met"] for row in told["rows"] if row["part"] == "restart"] in ([True], [False])


class NotAlways(peers.Redis):
    durable = ("--appendonly", "yes", "--appendfsync", "everysec")


class NoLog(peers.Redis):
    durable = ("--appendonly", "no", "--appendfsync", "always")


class Seldom(peers.Beanstalkd):
    durable = ("-f", "50")


class Never(peers.Beanstalkd):
    durable = ("-f", "0", "-F")


@pytest.mark.parametrize("kind", [NotAlways, NoLog, Seldom, Never])
def test_a_peer_that_is_not_durable_is_never_measured(tmp_path, kind):
    try:
        peer = kind(tmp_path, may_install=False)
    except table.Failure as why:
        assert f"apt-get install {kind.package}" in str(why)  # it cannot be measured at all
        return
    with pytest.raises(table.Failure, match="not durable"):
        peer.__enter__()
    assert peer.process.poll() is not None, "it was left running"


@pytest.mark.parametrize("kind", [peers.Redis, peers.Beanstalkd])
def test_durable_peers_pass_their_own_check_and_are_driven(tmp_path, kind, monkeypatch):
    for name, value in SANITIZERS.items():
        monkeypatch.setenv(name, value)
    if not peers.find(kind.binary):
        with pytest.raises(table.Failure, match=kind.package):
            kind(tmp_path, may_install=False)
        pytest.skip(f"{kind.package} is not installed")
    with kind(tmp_path, may_install=False) as peer:
        assert tool("bench-cycle", kind.name.removesuffix("d"), peer.port, 20, 2, 2)["cycles_per_second"] > 0
    assert peer.process.poll() is not None


def test_installing_starts_no_service_and_keeps_a_policy_that_is_there(tmp_path, monkeypatch):
    policy, log = tmp_path / "policy-rc.d", tmp_path / "log"
    apt = tmp_path / "apt-get"
    apt.write_text(f"#!/bin/sh\necho \"$@\" >>{log}\ncat {policy} >>{log}\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(peers, "POLICY", policy)
    peers.install("no-such-package")
    assert "no-such-package" in log.read_text() and "exit 101" in log.read_text() and not policy.exists()
    policy.write_text("somebody's own\n")
    peers.install("no-such-package")
    assert "somebody's own" in log.read_text() and policy.read_text() == "somebody's own\n"


def test_noise_is_marked():
    t = table.Table()
    t.elsewhere.share = lambda: 0.0
    t.add("steady", 1.0, runs=[[1.0, 1.1, 1.05]])
    t.add("wild", 1.0, runs=[[1.0, 1.3, 1.0]])
    t.elsewhere.share = lambda: 0.5
    t.add("disturbed", 1.0)
    assert [row["notes"] for row in t.rows] == [[], ["spread 30%"], ["load from elsewhere 50%"]]
