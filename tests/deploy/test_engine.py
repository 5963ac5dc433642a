"""The Containerfile's images, made and run by a real engine: as who they run, what is in them, and a job's way through containers
that have what the manifests give them: no capability, a root that cannot be written, and a volume.

Two things are not the Containerfile's own: its base is the tests' clean Debian under the same name, since no registry is asked,
and its first stage hands over the packages that deploy/package made for the other tests, since a second build says nothing new."""

import os
import re
import subprocess

import pytest

import engine as engines
from built import VERSION
from cluster import BIN, TOP, wait_until
from test_front import free_port

BASE = "docker.io/library/debian:12-slim"
IMAGES = ("broker", "gateway", "worker", "cli")
HARDENED = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges")
TERM_SECONDS = 20


def image(name):
    return f"gleaner-{name}:{VERSION}"


@pytest.fixture(scope="module")
def engine(debian, tmp_path_factory):
    reason = engines.why_not()
    if reason:
        pytest.skip(reason)
    one = engines.Engine(tmp_path_factory.mktemp("engine"))
    try:
        one.base(debian, BASE)
        tried = one.once(BASE, "true", check=False)
        if tried.returncode:
            pytest.skip(f"the engine cannot run containers here: {tried.stderr[-300:]}")
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def images(engine, packages, tmp_path_factory):
    folder = tmp_path_factory.mktemp("context")
    (folder / "packages").mkdir()
    for package in packages:
        os.link(package, folder / "packages" / package.name)
    text, count = re.subn(r"(FROM \S+ AS build\n).*?(?=\n#|\nFROM)", r"\1COPY packages /packages\n", (TOP / "deploy/Containerfile").read_text(),
                          count=1, flags=re.S)
    assert count == 1 and f"FROM {BASE} AS build" in text and "deploy/package --out" not in text
    (folder / "Containerfile").write_text(text)
    for name in IMAGES:
        engine.build(folder / "Containerfile", name, image(name), folder)
    return engine


def shell(images, name, command):
    return images.once(image(name), "-c", command, options=("--entrypoint", "sh")).stdout


def test_what_the_images_say_and_hold(images):
    ports = {"broker": {"5555/tcp": {}}, "gateway": {"3000/tcp": {}}}
    volumes = {"broker": {"/data": {}}, "gateway": {"/cache": {}}, "worker": {"/work": {}}}
    base = set(images.once(BASE, "dpkg-query", "-W", "-f", "${Package}\n").stdout.split())
    size = "du -sxm --exclude=/var/cache --exclude=/var/lib/apt/lists / 2>/dev/null | cut -f 1"
    plain = int(images.once(BASE, "sh", "-c", size).stdout)
    for at, name in enumerate(IMAGES):
        told = images.inspect(image(name))
        config, program = told["Config"], "gleaner" if name == "cli" else f"gleaner-{name}"
        assert config["User"] == f"{10001 + at}:{10001 + at}" and config["Entrypoint"] == [program]
        assert config.get("ExposedPorts") == ports.get(name) and config.get("Volumes") == volumes.get(name)
        assert (told.get("Healthcheck") or {}).get("Test", [None])[0] == ("CMD" if name == "gateway" else None)
        assert images.once(image(name), "--version").stdout == f"{program} {VERSION}\n"
        assert shell(images, name, "id -u").strip() == str(10001 + at)

        # What it has beyond its base is there to run: no list of packages, no compiler, no sources.
        added = set(shell(images, name, "dpkg-query -W -f '${Package}\\n'").split()) - base
        assert program in added and not [p for p in added if re.search(r"-dev$|^(gcc|g\+\+|cpp|clang|cmake|ninja|make|nodejs|npm|git)", p)], added
        assert shell(images, name, "find /var/lib/apt/lists /packages /src -type f 2>/dev/null; true").strip() == ""
        print(f"gleaner-{name}: {int(shell(images, name, size)) - plain} MiB beyond its base")


def gleaner(server, folder, *args):
    done = subprocess.run([BIN / "gleaner", args[0], "--server", server, *map(str, args[1:])], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "HOME": str(folder)})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_job_outlives_a_killed_broker(images, tmp_path):
    broker_port, port = free_port(), free_port()
    server = f"http://127.0.0.1:{port}"
    images.start("broker", image("broker"), f"--listen=tcp://127.0.0.1:{broker_port}", "--data=/data", options=(*HARDENED, "--volume=record:/data"))
    images.start("gateway", image("gateway"), f"--listen=127.0.0.1:{port}", f"--broker=tcp://127.0.0.1:{broker_port}", "--cache-dir=/cache",
                 options=HARDENED)

    def says(name, event):
        wait_until(lambda: f" {event} " in images.logs(name), 20, f"{name}'s {event}")
    says("broker", "broker-ready")
    says("gateway", "broker-connected")
    (tmp_path / "project").mkdir()
    (tmp_path / "project/a.txt").write_text("hello\n")
    job = gleaner(server, tmp_path, "submit", tmp_path / "project", "--", "cat a.txt; touch /usr/x || echo kept").strip()

    images.call("kill", "--signal", "KILL", "broker")
    images.call("wait", "broker")
    assert images.state("broker")["ExitCode"] == 137
    images.call("rm", "broker")
    images.start("broker", image("broker"), f"--listen=tcp://127.0.0.1:{broker_port}", "--data=/data", options=(*HARDENED, "--volume=record:/data"))
    says("broker", "broker-ready")
    assert "pending" in gleaner(server, tmp_path, "status", job)

    # What the manifest's worker has: a filter of its own instead of the engine's, and a /proc that its sandbox may mount again.
    images.start("worker", image("worker"), f"--server={server}", "--work-dir=/work", "--slots=1",
                 options=(*HARDENED, "--security-opt=seccomp=unconfined", "--security-opt=unmask=ALL"))
    says("worker", "worker-ready")
    assert " sandbox bwrap" in images.logs("worker"), images.logs("worker")
    wait_until(lambda: "completed" in gleaner(server, tmp_path, "status", job), 20, "the job's end")
    assert gleaner(server, tmp_path, "logs", job).splitlines()[0] == "hello" and "kept" in gleaner(server, tmp_path, "logs", job)

    for name in ("worker", "gateway", "broker"):
        assert images.stop(name, TERM_SECONDS) == 0, images.logs(name)
