"""A stock polling agent: it knows the documented HTTP API and nothing else. It never says who it is when it polls."""

import io
import pathlib
import subprocess
import threading
import zipfile

from client import Client


class OldAgent:
    def __init__(self, port, worker_id, folder, poll_s=0.05, heartbeat_s=1.0, says_id=False, extra=None):
        self.port, self.worker_id, self.folder = port, worker_id, pathlib.Path(folder)
        self.poll_s, self.heartbeat_s, self.says_id, self.extra = poll_s, heartbeat_s, says_id, extra or {}
        self.api, self.beats = Client("127.0.0.1", port), Client("127.0.0.1", port)
        self.stopping = threading.Event()
        self.taken, self.answers, self.errors = [], [], []
        self.threads = []

    def start(self):
        self.register()
        self.threads = [threading.Thread(target=run, args=(what,)) for run, what in
                        ((self._guard, self._beat), (self._guard, self._work))]
        for thread in self.threads:
            thread.start()
        return self

    def close(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(20)
        self.api.close()
        self.beats.close()

    def _guard(self, what):
        try:
            what()
        except Exception as error:  # shown by the test, which looks at `errors`
            self.errors.append(repr(error))

    def register(self):
        answer = self.api.post("/api/workers/register", {"workerId": self.worker_id, "hostname": "old", "os": "Any",
                                                         "cpuCount": 4, "version": "1.0", "tags": ["sent", "by", "old"]})
        assert answer.status == 200, answer

    def _beat(self):
        while not self.stopping.wait(self.heartbeat_s):
            answer = self.beats.post("/api/workers/heartbeat", {"workerId": self.worker_id, "status": "idle"})
            if answer.status == 404:
                self.register()

    def _work(self):
        while not self.stopping.is_set():
            job = self.poll()
            if job:
                self.taken.append(job["jobId"])
                self.answers.append(self.run(job))
            else:
                self.stopping.wait(self.poll_s)

    def poll(self):
        """A job, or None."""
        answer = self.api.get("/api/jobs/get-job" + (f"?workerId={self.worker_id}" if self.says_id else ""))
        assert answer.status in (200, 202), answer
        return answer["job"]

    def run(self, job):
        """Everything from the download to the answer to the result."""
        folder = self.folder / job["jobId"]
        folder.mkdir(parents=True)
        file = self.api.get(job["fileUrl"])
        if file.status != 200:
            return self.api.put("/api/jobs/submit-result", {"jobId": job["jobId"], "workerId": self.worker_id,
                                                            "errorMessage": f"download: {file.status}"})
        (folder / job["filename"]).write_bytes(file.body)
        zipfile.ZipFile(io.BytesIO(file.body)).extractall(folder)
        stdout, stderr, code = "", "", 0
        for command in job["command"].split("\n"):
            done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, stdin=subprocess.DEVNULL)
            stdout, stderr = stdout + done.stdout.decode("latin-1"), stderr + done.stderr.decode("latin-1")
            for kind, data in (("stdout", done.stdout), ("stderr", done.stderr)):
                if 0 < len(data) < 65536:
                    self.api.post("/api/jobs/stream-output", {"jobId": job["jobId"], "type": kind, "data": data.decode("latin-1")})
            code = done.returncode
            if code:
                break
        return self.api.post("/api/jobs/submit-result", {"jobId": job["jobId"], "workerId": self.worker_id, "exitCode": code,
                                                         "stdout": stdout, "stderr": stderr, **self.extra})
