#!/usr/bin/env python3
"""A whole native worker: native_worker.py tcp://BROKER:5555 [JOBS] runs that many jobs, or works until it is stopped."""
import io, socket, subprocess, sys, tempfile, uuid, zipfile
import msgpack, zmq

broker = zmq.Context().socket(zmq.REQ)
broker.connect(sys.argv[1])
me = f"python-{uuid.uuid4().hex[:8]}"


def ask(type, **fields):
    broker.send(msgpack.packb({"v": 1, "type": type, **fields}))
    answer = msgpack.unpackb(broker.recv())
    if answer["type"] == "error":
        raise RuntimeError(answer["error"])
    return answer


def fetch(sha256, data=b""):
    while True:
        piece = ask("blob-get", sha256=sha256, offset=len(data))
        data += piece["data"]
        if len(data) == piece["bytes"]:
            return data


ask("worker-register", workerId=me, hostname=socket.gethostname(), slots=1)
jobs_left = int(sys.argv[2]) if len(sys.argv) > 2 else -1
while jobs_left:
    job = ask("job-poll", workerId=me, slot=0, wait=10000)
    if "jobId" not in job:
        continue
    lease = {"jobId": job["jobId"], "workerId": me, "attempt": job["attempt"], "token": job["token"]}
    with tempfile.TemporaryDirectory() as folder:
        archive = fetch(job["fileUrl"].removeprefix("/uploads/").removesuffix(".zip"))
        zipfile.ZipFile(io.BytesIO(archive)).extractall(folder)
        done = subprocess.run(["sh", "-e", "-c", job["command"]], cwd=folder, capture_output=True)
    ask("job-result", **lease, exitCode=done.returncode, stdout=done.stdout, stderr=done.stderr)
    jobs_left -= 1
ask("worker-goodbye", workerId=me)
