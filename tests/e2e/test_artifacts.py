"""Artifacts: the files that a job's patterns take come back as one ZIP."""

import hashlib
import io
import zipfile

import pytest

from cluster import wait_until

TRANSPORTS = pytest.mark.parametrize("transport", ["http", "zmq"])


def create(cluster, command, *patterns, **fields):
    native = cluster.native()
    answer = native.ask("job-create", command=command, fileUrl=cluster.api.upload({"given.txt": "given\n"}),
                        filename="p.zip", artifacts=list(patterns), **fields)
    assert answer["type"] == "job-create-ok", answer
    return answer["jobId"]


def ended(cluster, job):
    cluster.api.wait_job(job, 60)
    return cluster.native().ask("job-status", jobId=job)


def unpacked(cluster, job):
    """Name to bytes."""
    answer = cluster.api.get(f"/api/jobs/artifacts?jobId={job}")
    assert answer.status == 200, answer
    packed = zipfile.ZipFile(io.BytesIO(answer.body))
    assert packed.testzip() is None
    return {name: packed.read(name) for name in packed.namelist()}, answer.body


@TRANSPORTS
def test_what_matches_comes_back(cluster, transport):
    cluster.worker(transport)
    job = create(cluster, "mkdir -p out/deep; seq 200000 > out/deep/b; echo a > out/a.txt; echo x > x.log; mkdir sub; "
                          "echo y > sub/y.log; touch left", "out", "*.log", "**/given.*")
    status = ended(cluster, job)
    assert status["status"] == "completed", status
    files, body = unpacked(cluster, job)
    assert sorted(files) == ["given.txt", "out/a.txt", "out/deep/b", "x.log"]
    assert files["out/a.txt"] == b"a\n" and files["out/deep/b"] == "".join(f"{n}\n" for n in range(1, 200001)).encode()
    assert status["artifactsCount"] == 4 and status["artifactsBytes"] == len(body)
    assert status["artifactsSha256"] == hashlib.sha256(body).hexdigest()
    assert not status.get("artifactsNote")


@TRANSPORTS
def test_several_pieces_arrive_whole(cluster, transport):
    cluster.worker(transport)
    job = create(cluster, "head -c 5000000 /dev/urandom > big; sha256sum big", "big")
    printed = cluster.api.wait_job(job)["stdout"].split()[0]
    assert hashlib.sha256(unpacked(cluster, job)[0]["big"]).hexdigest() == printed


def test_a_job_that_failed_has_its_artifacts_too(cluster):
    cluster.worker("http")
    job = create(cluster, "echo why > report; exit 3", "report", maxAttempts=1)
    assert ended(cluster, job)["exitCode"] == 3
    assert unpacked(cluster, job)[0] == {"report": b"why\n"}


def test_nothing_that_matched_is_a_note_and_no_failure(cluster):
    cluster.worker("http")
    job = create(cluster, "true", "nope", "not/*.here")
    status = ended(cluster, job)
    assert status["status"] == "completed" and not status.get("artifactsSha256"), status
    assert status["artifactsNote"] == "Nothing matched `nope`. Nothing matched `not/*.here`."
    answer = cluster.api.get(f"/api/jobs/artifacts?jobId={job}")
    assert answer.status == 404 and answer["code"] == "NO_SUCH_ARTIFACTS"


def test_links_and_special_files_stay_behind(cluster, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    cluster.worker("http")
    job = create(cluster, f"mkdir out; echo a > out/a; ln -s {secret} out/link; ln -s {tmp_path} out/folder; mkfifo out/pipe", "out")
    status = ended(cluster, job)
    assert unpacked(cluster, job)[0] == {"out/a": b"a\n"}
    assert "`out/folder` and 1 more" in status["artifactsNote"] and "`out/pipe`" in status["artifactsNote"], status


def test_the_broker_may_be_away_meanwhile(cluster, tmp_path):
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    worker = cluster.worker("zmq")
    job = create(cluster, f"touch {begun}; while [ ! -e {gate} ]; do sleep 0.02; done; head -c 2000000 /dev/urandom > big", "big")
    wait_until(begun.exists, 10, "the job's start")
    cluster.broker.kill()
    gate.touch()
    wait_until(lambda: list(worker.folder.glob("spool/*/artifacts.zip")), 10, "the packed file")
    cluster.broker.start()
    assert ended(cluster, job)["status"] == "completed"
    assert len(unpacked(cluster, job)[0]["big"]) == 2000000
    worker.wait_event("artifacts-sent")
    wait_until(lambda: not list(worker.folder.glob("spool/*")), 10, "an empty spool")


@pytest.mark.parametrize("sha256", ["", "x", "../../etc/passwd", "g" * 64])
def test_a_hash_that_is_none_is_refused(cluster, sha256):
    native = cluster.native()
    native.ask("worker-register", workerId="w", hostname="h", slots=1)
    cluster.api.create()
    lease = native.ask("job-poll", workerId="w", slot=0, wait=5000)
    answer = native.ask("job-result", workerId="w", **{k: lease[k] for k in ("jobId", "attempt", "token")}, exitCode=0, artifactsSha256=sha256)
    assert (answer["code"], answer["field"]) == ("SCHEMA", "artifactsSha256")


def test_patterns_that_leave_the_folder_are_refused(cluster):
    native = cluster.native()
    for pattern in ("/etc/passwd", "../x", "a/../b", "a\\b"):
        answer = native.ask("job-create", command="true", fileUrl="/uploads/none.zip", filename="p.zip", artifacts=[pattern])
        assert answer["type"] == "error" and answer["code"] == "BAD_GLOB", answer
