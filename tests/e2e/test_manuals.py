"""Man pages and config files that the build has made: whole, true to the programs, and taken by them."""

import re
import shutil
import subprocess

import pytest

from cluster import BIN, SANITIZERS, Cluster
from built import TOP

MAN, CONF = BIN.parent / "man", BIN.parent / "conf"
PROGRAMS = ["gleaner-broker", "gleaner-gateway", "gleaner-worker", "gleaner"]
COMMANDS = [("gleaner-broker", "token", "create"), ("gleaner-broker", "token", "list"), ("gleaner-broker", "token", "revoke"),
            ("gleaner-broker", "enroll")]
PAGES = [f"{program}{kind}" for program in PROGRAMS for kind in (".1", ".conf.5")]


def says(*words):
    """What a program prints; it has to end well."""
    done = subprocess.run([BIN / words[0], *words[1:]], capture_output=True, text=True, timeout=30, env=SANITIZERS)
    assert done.returncode == 0 and not done.stderr, (words, done)
    return done.stdout


def options(*words):
    """The names of the options that --help tells."""
    return re.findall(r"^  (?:-\w, )?--([a-z-]+)", says(*words, "--help"), re.M)


def gleaner_commands():
    return [line.split("  ")[0] for line in re.findall(r"^  (\w.*)", says("gleaner", "--help"), re.M)]


def page(name):
    """As man shows it, without the line ends that it made."""
    shown = subprocess.run(["man", "-l", MAN / name], capture_output=True, text=True, timeout=30,
                           env={"PATH": "/usr/bin:/bin", "MANWIDTH": "2000", "MAN_KEEP_FORMATTING": "", "LC_ALL": "C.UTF-8"})
    assert shown.returncode == 0, shown.stderr
    return shown.stdout


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_good_mdoc(name):
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed")
    lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning", MAN / name], capture_output=True, text=True, timeout=30)
    assert (lint.returncode, lint.stdout) == (0, "")
    roff = subprocess.run(["groff", "-mdoc", "-ww", "-Tutf8", "-z", MAN / name], capture_output=True, text=True, timeout=30)
    assert roff.stderr == ""


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_rendered(name):
    if not shutil.which("man"):
        pytest.skip("man is not installed")
    text = page(name)
    assert "NAME\n" in text and "SEE ALSO\n" in text and "@" not in text.replace("K=@FILE", "").replace("=@FILE", "")


def test_every_option_is_in_its_page():
    if not shutil.which("man"):
        pytest.skip("man is not installed")
    wanted = {program: options(program) for program in PROGRAMS[:3]}
    wanted["gleaner"] = []
    for words in COMMANDS:
        wanted[words[0]] += options(*words)
    for command in gleaner_commands():
        wanted["gleaner"] += options("gleaner", *command.split())
    for program, names in wanted.items():
        text = page(f"{program}.1")
        assert len(names) > 10
        missing = [name for name in names if not re.search(rf"--{name}\b", text)]
        assert not missing, (program, missing)
    for command in gleaner_commands():
        assert f"gleaner {command}" in page("gleaner.1")


def test_the_exit_statuses_are_those_of_the_readme():
    if not shutil.which("man"):
        pytest.skip("man is not installed")
    rows = re.findall(r"^\| (\d+)(?: \+ N)? \|", (TOP / "cli/README.md").read_text(), re.M)
    part = page("gleaner.1").split("EXIT STATUS")[1].split("EXAMPLES")[0]
    assert rows and rows == re.findall(r"^ +(\d+) ", part, re.M)


def bare(text):
    """A config file with every name's # taken away."""
    return re.sub(r"^#(?=[a-z])", "", text, flags=re.M)


@pytest.mark.parametrize("whole", [True, False], ids=["commented", "bare"])
def test_the_config_files_are_taken(tmp_path, whole):
    files = {}
    for program in ("broker", "gateway", "worker", "gleaner"):
        text = (CONF / f"{program}.conf").read_text()
        name = program if program == "gleaner" else f"gleaner-{program}"
        assert text == says(name, "--options-as", "config")
        assert bare(text).count("\n") > len(re.findall(r"^[a-z][a-z-]* =", bare(text), re.M)) >= 3
        files[program] = tmp_path / f"{program}.conf"
        files[program].write_text(text if whole else bare(text))
    cluster = Cluster(tmp_path, broker_args=["--config", files["broker"]], gateway_args=["--config", files["gateway"]])
    try:
        cluster.worker("http", "--config", files["worker"])
        workers = says("gleaner", "workers", "--config", str(files["gleaner"]), "--server", cluster.server)
        assert "idle" in workers
    finally:
        cluster.close()


def test_every_option_is_in_its_config_file():
    for program in ("broker", "gateway", "worker"):
        names = re.findall(r"^([a-z][a-z-]*) =", bare((CONF / f"{program}.conf").read_text()), re.M)
        assert names == [name for name in options(f"gleaner-{program}") if name not in ("config", "check-config", "help", "version", "options-as")]


def test_formats_that_there_are_not():
    for program in PROGRAMS:
        for words in (["--options-as"], ["--options-as", "prose"], ["--options-as", "config", "--more"]):
            done = subprocess.run([BIN / program, *words], capture_output=True, text=True, timeout=30, env=SANITIZERS)
            assert done.returncode == 2 and "config, man, man-config or markdown" in done.stderr, (program, words, done)
