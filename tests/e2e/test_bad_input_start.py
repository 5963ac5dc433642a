"""Rows 45 to 50 of the matrix of bad input, on programs that are started; and where each row of the whole matrix is tested."""

import contextlib
import os
import pathlib
import pty
import re
import subprocess

import pytest

from cluster import BIN, Program
from faults import Faults
from test_start_errors import good, refuses

HERE = pathlib.Path(__file__).parent
CONFIG = pytest.mark.parametrize("name", ["broker", "gateway", "worker"])


def refuses_config(tmp_path, name, text, *says):
    path = tmp_path / "gleaner.conf"
    path.write_bytes(text)
    line = refuses(tmp_path, name, *good(tmp_path, name), "--config", path, says=str(path))
    for part in says:
        assert part in line, line
    assert not re.search(r"[\x00-\x1f\x7f]", line)


@CONFIG
def test_row45_an_unknown_key(tmp_path, name):
    refuses_config(tmp_path, name, b"# fine\n\nlog-level = info\nlog-levle = info\n", ":4:", "log-levle", "log-level")
    refuses_config(tmp_path, name, b"no-such-thing-at-all = 1\n", ":1:", "no-such-thing-at-all")
    refuses_config(tmp_path, name, b"\x1b[2J = 1\n", ":1:")


@CONFIG
def test_row45_a_line_that_is_none(tmp_path, name):
    refuses_config(tmp_path, name, b"log-level = info\nlog-level\n", ":2:", "name = value")
    refuses_config(tmp_path, name, b"log-level = \x1b[2J\n", ":1:")


@CONFIG
def test_row45_a_config_file_that_is_none(tmp_path, name):
    refuses_config(tmp_path, name, b"log-level = info\0\n", "config file")
    refuses_config(tmp_path, name, b"# " + b"x" * (2 << 20))


@pytest.mark.parametrize("name, line", [
    ("broker", b"lease = 5 parsecs"), ("broker", b"lease = 1e9s"), ("broker", b"lease = 99999999999999999999s"), ("broker", b"output-max = 5X"),
    ("gateway", b"header-timeout = 10 s"), ("gateway", b"min-rate = 0"), ("gateway", b"connection-limit = 0"), ("gateway", b"body-max = -1"), ("gateway", b"idle-timeout = 10ms"),
    ("worker", b"slots = 1.5"), ("worker", b"slots = 100000")])
def test_row45_a_bad_unit_or_range(tmp_path, name, line):
    refuses_config(tmp_path, name, b"\n" + line + b"\n", ":2:")


@pytest.mark.parametrize("name, option, folder", [("broker", "--data", "/proc/none/data"), ("gateway", "--cache-dir", "/dev/null/cache"), ("worker", "--work-dir", "/proc/none")])
def test_row47_a_folder_that_cannot_be(tmp_path, name, option, folder):
    args = good(tmp_path, name)
    args[args.index(option) + 1] = folder
    refuses(tmp_path, name, *args, says=folder)


@pytest.mark.parametrize("kind, word", [(0x6969, "NFS"), (0xff534d42, "SMB"), (0xfe534d42, "SMB")])
def test_row47_a_data_directory_on_a_network_disk(tmp_path, kind, word):
    faults = Faults(tmp_path / "faults")
    faults.network_disk(kind)
    line = refuses(tmp_path, "broker", *good(tmp_path, "broker"), env=faults.env, says=str(tmp_path / "data"))
    assert word in line, line
    assert not (tmp_path / "data" / "gleaner.db").exists()


@CONFIG
def test_row49_an_unknown_flag_and_a_missing_file(tmp_path, name):
    line = refuses(tmp_path, name, *good(tmp_path, name), "--log-levle", "info", says="log-levle")
    assert "--log-level" in line
    assert "--help" in refuses(tmp_path, name, *good(tmp_path, name), "--zzz", says="zzz")
    refuses(tmp_path, name, *good(tmp_path, name), "--config", tmp_path / "none.conf", says=str(tmp_path / "none.conf"))
    help_ = Program(name, ["--help"], tmp_path / "usage.log").spawn()
    assert help_.wait(10) == 0 and any(line.startswith("usage: ") for line in help_.lines())


def shown_at_terminal(*command):
    """What a program prints to a terminal; stdout and stderr are that."""
    ours, terminal = pty.openpty()
    with subprocess.Popen(list(map(str, command)), stdin=terminal, stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # EIO: nobody holds the other end any more
            while block := os.read(ours, 4096):
                shown += block
        assert process.wait(20) == 0, shown
    os.close(ours)
    return shown


def test_row50_output_does_not_steer_the_terminal(cluster):
    cluster.worker("http")
    job = cluster.api.submit("printf '\\033]0;title\\007\\033[31mred \\302\\233 gr\\303\\274n\\n'; printf '\\033[2Jgone\\n' >&2")
    cluster.api.wait_job(job, 20)
    logs = [BIN / "gleaner", "logs", "--server", cluster.server, job]
    shown = shown_at_terminal(*logs)
    assert b"\x1b" not in shown and b"\x07" not in shown and b"\xc2\x9b" not in shown
    assert "^[]0;title^G^[[31mred <9b> grün\r\n".encode() in shown and b"^[[2Jgone\r\n" in shown
    assert b"\x1b[31mred \xc2\x9b" in shown_at_terminal(*logs, "--raw")
    piped = subprocess.run(list(map(str, logs)), capture_output=True, timeout=20)
    assert piped.stdout.startswith(b"\x1b]0;title\x07") and piped.stderr == b"\x1b[2Jgone\n", "a file gets what was printed"


# Rows that stand elsewhere.
ELSEWHERE = {
    14: "test_attack_load.py", 15: "test_roles.py", 17: "test_identities.py", 24: "test_curve.py", 46: "test_tls.py", 48: "test_identities.py",
    **{row: "test_hostile_archives.py" for row in range(36, 45)},
}


def test_every_row_has_a_test():
    text = "".join(path.read_text() for path in sorted(HERE.glob("test_bad_input_*.py")))
    here = {int(number) for number in re.findall(r"row(\d\d)[-_]", text)}
    assert here | ELSEWHERE.keys() == set(range(1, 51))
    assert all((HERE / file).exists() for file in ELSEWHERE.values())
