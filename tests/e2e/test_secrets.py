"""A job's secrets: given to its commands, and to be found nowhere else."""

import json
import os
import subprocess

import pytest

CREATE = {"command": "true", "fileUrl": "/uploads/none.zip", "filename": "p.zip"}
CANARY = "canary-5f3c-xyzzy"
PEM = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----\n"


def holders_of(folder, text):
    """Files below the folder that hold the text as it is."""
    found = subprocess.run(["grep", "-rlaF", text, str(folder)], capture_output=True, text=True, check=False)
    return found.stdout.split()


@pytest.mark.parametrize("transport", ["http", "zmq"])
def test_a_secret_reaches_the_command_and_nobody_else(cluster, transport):
    worker = cluster.worker(transport)
    job = cluster.api.submit('printf %s "$TOKEN" | sha256sum; printf "%s" "$KEY" | wc -l; echo "it is $TOKEN"; env >&2',
                             secrets=json.dumps({"TOKEN": CANARY, "KEY": PEM}))
    status = cluster.api.wait_job(job)
    digest = subprocess.run(["sha256sum"], input=CANARY.encode(), capture_output=True, check=True).stdout.decode()
    assert status["stdout"] == f"{digest}4\nit is ***\n"
    assert "TOKEN=***" in status["stderr"] and "MIIEvQIBADANBg" not in status["stderr"] and "kqhkiG9w0BAQEF" not in status["stderr"]
    assert status["secretNames"] == ["TOKEN", "KEY"]
    assert not {"secrets", "sealed"} & set(status)
    everything = json.dumps([status, cluster.api.get("/api/jobs").json, cluster.api.get(f"/api/jobs/output?jobId={job}").body.decode()])
    assert CANARY not in everything
    worker.stop()
    cluster.stop()
    assert holders_of(cluster.folder, CANARY) == [] and holders_of(cluster.folder, "kqhkiG9w0BAQEF") == []


def test_a_secret_in_pieces_is_masked_and_counts_agree(cluster):
    cluster.worker()
    half, rest = CANARY[:6], CANARY[6:]
    job = cluster.api.submit(f"printf %s {half}; sleep 0.3; printf %s {rest}; printf x; printf %s {half}",
                             secrets=json.dumps({"TOKEN": CANARY}))
    status = cluster.api.wait_job(job)
    assert (status["status"], status["stdout"]) == ("completed", f"***x{half}")
    assert status["stdoutBytes"] == len(status["stdout"])


def test_secrets_survive_a_restart_and_another_attempt(cluster):
    job = cluster.api.submit('test "$TOKEN" = ' + CANARY + ' && echo right || echo wrong; test "$GLEANER_ATTEMPT" = 2',
                             secrets=json.dumps({"TOKEN": CANARY}), retryOnExit="any", backoffMs=10)
    cluster.broker.kill()
    cluster.broker.start()
    cluster.worker()
    status = cluster.api.wait_job(job)
    assert (status["status"], status["stdout"], status["attempt"]) == ("completed", "right\n", 2)


def test_a_job_whose_key_is_gone_does_not_run_without_its_secrets(cluster):
    job = cluster.api.submit("echo ran", secrets=json.dumps({"TOKEN": CANARY}), maxAttempts=1)
    cluster.broker.stop()
    os.unlink(cluster.folder / "data" / "secrets.key")
    cluster.broker.start()
    cluster.worker()
    status = cluster.api.wait_job(job)
    assert (status["status"], status["reason"]) == ("failed", "secrets-lost") and not status["stdout"]
    assert "key" in status["errorMessage"] and cluster.broker.events("secrets-lost")


def test_a_key_that_others_can_read_is_refused_at_the_start(cluster):
    cluster.api.create(secrets={"TOKEN": CANARY})
    cluster.broker.stop()
    os.chmod(cluster.folder / "data" / "secrets.key", 0o644)
    cluster.broker.spawn()
    assert cluster.broker.wait() == 2
    assert "chmod 600" in "\n".join(cluster.broker.lines())


@pytest.mark.parametrize("value", [
    ["TOKEN"], {"A B": "12345"}, {"": "12345"}, {"GLEANER_X": "12345"}, {"A": "123"}, {"A": {"b": 1}}, {"A=B": "12345"}, "TOKEN",
    {"A": "x" * 65536}, {"A": "\0\0\0\0\0"},
])
def test_ill_secrets_are_refused_and_not_echoed(shared, value):
    answer = shared.api.post("/api/jobs/create", {**CREATE, "secrets": value})
    assert answer.status == 400 and answer["code"] in ("SCHEMA", "BAD_JSON"), answer
    assert "12345" not in answer.body.decode() and "xxxx" not in answer.body.decode()


def test_a_container_takes_secrets_of_one_line(shared):
    answer = shared.api.post("/api/jobs/create", {**CREATE, "image": "debian:12", "secrets": {"A": PEM}})
    assert (answer.status, answer["code"]) == (400, "SCHEMA") and "image" in answer["error"]
    assert shared.api.post("/api/jobs/create", {**CREATE, "image": "debian:12", "secrets": {"A": "12345"}}).status == 200


def test_one_key_with_another_secret_is_another_request(shared):
    def create(secret):
        return shared.api.request("POST", "/api/jobs/create", {**CREATE, "secrets": {"A": secret}}, {"Idempotency-Key": "secret"})
    first = create("hunter2")
    assert first.status == 200 and create("hunter2")["jobId"] == first["jobId"]
    assert create("hunter3")["code"] == "IDEMPOTENCY_MISMATCH"


def test_a_form_takes_secrets_as_lines_too(cluster):
    cluster.worker()
    answer = cluster.api.execute('test "$A" = 12345 && test "$B" = "x=6789" && echo "$A $B"', files={"a": ""}, secrets="A=12345\nB=x=6789")
    assert answer.status == 200, answer
    status = cluster.api.wait_job(answer["jobId"])
    assert (status["status"], status["stdout"]) == ("completed", "*** ***\n")
