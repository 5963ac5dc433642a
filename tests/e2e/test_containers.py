"""A job with an image: what the engine's client is told, and that no container is left. The engine here is the test itself,
behind a client of our own; the real one where there is one."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading

import pytest

from cluster import wait_until
from engine import hidden
from test_escape import refused_start

CLIENT = """#!/usr/bin/python3
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as engine:
    engine.connect(os.environ["DOCKER_HOST"].removeprefix("unix://"))
    engine.sendall(json.dumps([sys.argv[1:], dict(os.environ)]).encode() + b"\\n")
    answer = json.loads(engine.makefile().readline())
sys.stdout.write(answer["printed"])
sys.exit(answer["status"])
"""


class Engine:
    """Runs "containers": sessions of their own that no client's end touches."""

    def __init__(self, folder):
        self.folder = folder
        self.calls, self.running = [], {}
        (folder / "docker").write_text(CLIENT)
        (folder / "docker").chmod(0o755)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(folder / "engine"))
        self.server.listen()
        threading.Thread(target=self.accept, daemon=True).start()
        self.env = {"PATH": f"{folder}:/usr/bin:/bin", "DOCKER_HOST": f"unix://{folder}/engine", "HOME": str(folder)}

    def accept(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client:
            words, env = json.loads(client.makefile().readline())
            self.calls.append((words, env))
            printed, status = getattr(self, words[0])(words)
            try:
                client.sendall(json.dumps({"printed": printed, "status": status}).encode() + b"\n")
            except OSError:
                pass

    def info(self, _):
        return "", 0

    def run(self, words):
        options = dict(word[2:].split("=", 1) for word in words if word.startswith("--") and "=" in word)
        env = dict(line.split("=", 1) for line in pathlib.Path(options["env-file"]).read_text().splitlines())
        folder = options["mount"].split("source=")[1].split(",")[0]
        name = words[words.index("--name") + 1]
        process = subprocess.Popen(["sh", "-c", words[-1]], cwd=folder, env={"PATH": "/usr/bin:/bin", **env}, stdout=subprocess.PIPE,
                                   text=True, start_new_session=True)
        self.running[name] = process
        printed, _ = process.communicate()
        self.running.pop(name, None)
        return printed, process.returncode if process.returncode >= 0 else 128 - process.returncode

    def rm(self, words):
        process = self.running.get(words[-1])
        if process:
            os.killpg(process.pid, signal.SIGKILL)
        return "", 0 if process else 1

    def close(self):
        self.server.close()
        for process in list(self.running.values()):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def engine(tmp_path):
    engine = Engine(tmp_path)
    yield engine
    engine.close()


def create(cluster, command, **fields):
    return cluster.api.create(command, cluster.api.upload({"a.txt": "hello\n"}), image="debian:12", maxAttempts=1, **fields)


def test_commands_run_in_containers(cluster, engine):
    worker = cluster.worker("zmq", "--engine", "docker", env=engine.env)
    env = {"GREETING": "it's = \"fine\" $HOME", "LD_PRELOAD": "/none/evil.so", "DOCKER_HOST": "tcp://evil:1"}
    job = create(cluster, "cat a.txt; echo \"$GREETING\"\n\necho '$HOME' $HOME > out; exit 3\necho never", env=env, artifacts=["out"], network="none",
                 requires={"sandbox": "none"})
    status = cluster.api.status(job)
    assert (status["waitingReason"], status["requires"]) == ("no-match", {"sandbox": "none", "network-none": "yes", "images": "yes"}), status
    job = create(cluster, "cat a.txt; echo \"$GREETING\"\n\necho '$HOME' $HOME > out; exit 3\necho never", env=env, artifacts=["out"])
    status = cluster.api.wait_job(job)
    assert (status["exitCode"], status["stdout"], status["artifactsCount"]) == (3, "hello\nit's = \"fine\" $HOME\n", 1), status
    runs = [(words, seen) for words, seen in engine.calls if words[0] == "run"]
    assert len(runs) == 2
    for words, seen in runs:
        assert words[words.index("--name") + 1] == f"gleaner-{job}-1" and words[-4:-1] == ["debian:12", "sh", "-c"]
        assert not {"LD_PRELOAD", "GREETING", "GLEANER_JOB_ID"} & set(seen) and seen["DOCKER_HOST"] == engine.env["DOCKER_HOST"], "the client is ours"
    assert cluster.api.worker(cluster.api.status(job)["workerId"])["labels"]["engine"] == "docker"
    assert worker.running and not engine.running


def test_no_container_outlives_a_cancel(cluster, engine):
    cluster.worker("zmq", "--engine", "docker", env=engine.env)
    job = create(cluster, "sleep 300")
    wait_until(lambda: engine.running, 10, "the container")
    cluster.api.post("/api/jobs/cancel", {"jobId": job})
    wait_until(lambda: not engine.running, 6, "the end of the container")
    assert cluster.api.wait_job(create(cluster, "echo next"))["stdout"] == "next\n"


def test_no_container_outlives_its_worker(cluster, engine):
    worker = cluster.worker("http", "--engine", "docker", env=engine.env)
    create(cluster, "sleep 300")
    wait_until(lambda: engine.running, 10, "the container")
    worker.kill()
    wait_until(lambda: not engine.running, 5, "the end of the container")


def test_an_image_is_checked_and_needs_an_engine(cluster):
    cluster.worker("http")
    for image in ("", "-v", "a b", "x;y", "a\nb", "é", "x" * 256):
        answer = cluster.api.post("/api/jobs/create", {"command": "true", "fileUrl": "/uploads/n.zip", "filename": "n.zip", "image": image})
        assert (answer.status, answer["code"], answer["field"]) == (400, "SCHEMA", "image"), answer
    status = cluster.api.status(cluster.api.create(image="registry.example:5000/team/build@sha256:0a"))
    assert status["waitingReason"] == "no-match" and status["requires"] == {"images": "yes"}, status


def test_a_worker_without_its_engine_refuses_to_start(tmp_path):
    without = hidden("podman")
    if without is None:
        pytest.skip("podman is here, and cannot be hidden")
    assert "there is no podman" in refused_start(tmp_path, "--unsafe-no-sandbox", "--engine", "podman", before=without)


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_the_real_engine(cluster, name):
    image = "debian:12"
    if not shutil.which(name) or subprocess.run([name, "image", "inspect", image], capture_output=True).returncode:
        pytest.skip(f"this machine has no {name} with the image {image}")
    cluster.worker("zmq", "--engine", name)
    status = cluster.api.wait_job(create(cluster, "cat a.txt; pwd; echo new > new", artifacts=["new"]), 60)
    assert (status["stdout"], status["artifactsCount"]) == ("hello\n/job\n", 1), status
