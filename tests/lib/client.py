"""The HTTP API as a client with nothing but the standard library sees it."""

import http.client
import json
import os
import time
import uuid

from built import PATIENCE
from zips import zip_of

# Set: every answer that comes is held against the gateway's description of itself.
CHECK_API = os.environ.get("GLEANER_CHECK_API")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __getitem__(self, key):
        return self.json[key]

    def __repr__(self):
        return f"{self.status} {self.body[:500]!r}"


def multipart(fields, files):
    """A form's body and its content type; files: name to (filename, bytes)."""
    boundary = uuid.uuid4().hex
    body = b""
    for name, value in fields.items():
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    for name, (filename, data) in files.items():
        body += (f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
                 "Content-Type: application/zip\r\n\r\n").encode() + data + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


class Client:
    """One keep-alive connection; opened again when the server closed it before anything was sent."""

    def __init__(self, host, port, timeout=30, connect=None, tls=None):
        self.host, self.port, self.timeout = host, port, timeout
        self.connect = connect  # as socket.create_connection
        self.tls = tls  # an ssl.SSLContext
        self.connection = None

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def open(self):
        if self.tls:
            return http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout, context=self.tls)
        return http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)

    def request(self, method, path, body=None, headers=None):
        if isinstance(body, (dict, list)):
            body, headers = json.dumps(body), {"Content-Type": "application/json", **(headers or {})}
        for last in (False, True):
            kept = self.connection is not None
            if not kept:
                self.connection = self.open()
                if self.connect:
                    self.connection._create_connection = self.connect
            try:
                self.connection.request(method, path, body, headers or {})
                got = self.connection.getresponse()
                answer = Answer(got.status, got.headers, got.read())
                if got.will_close:
                    self.close()
                if CHECK_API:
                    import openapi  # only here: it needs one more package
                    openapi.saw(method, path, answer.status, answer.headers, answer.body)
                return answer
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                self.close()
                if last or not kept:
                    raise
            except BaseException:  # refused, or timed out: what is left of this connection answers nothing any more
                self.close()
                raise

    def get(self, path, **headers):
        return self.request("GET", path, headers=headers)

    def post(self, path, body=None):
        return self.request("POST", path, body)

    def put(self, path, body=None):
        return self.request("PUT", path, body)

    def delete(self, path, body=None):
        return self.request("DELETE", path, body)

    # ---- what most tests do ----

    def execute(self, commands, files=None, mode="distributed", filename="p.zip", data=None, **fields):
        """POST /api/execute with a ZIP of `files` (name to text), or with `data` as it is."""
        content = data if data is not None else zip_of(files or {"a.txt": "hello\n"})
        body, kind = multipart({"mode": mode, "commands": commands, **fields}, {"file": (filename, content)})
        return self.request("POST", "/api/execute", body, {"Content-Type": kind})

    def submit(self, commands, files=None, **fields):
        """The id of a new distributed job."""
        answer = self.execute(commands, files, **fields)
        assert answer.status == 200, answer
        return answer["jobId"]

    def upload(self, files=None):
        """The fileUrl of a ZIP that lies at the broker. The job that came with it is cancelled."""
        job = self.submit("true", files)
        self.post("/api/jobs/cancel", {"jobId": job})
        return self.status(job)["fileUrl"]

    def create(self, command="true", file_url="/uploads/none.zip", filename="p.zip", **fields):
        """The id of a job by POST /api/jobs/create."""
        answer = self.post("/api/jobs/create", {"command": command, "fileUrl": file_url, "filename": filename, **fields})
        assert answer.status == 200, answer
        return answer["jobId"]

    def status(self, job):
        answer = self.get(f"/api/jobs/status?jobId={job}")
        assert answer.status == 200, answer
        return answer.json

    def wait_job(self, job, seconds=20, until=("completed", "failed")):
        seconds *= PATIENCE
        end = time.monotonic() + seconds
        while True:
            status = self.status(job)
            if status["status"] in until:
                return status
            assert time.monotonic() < end, f"not {until} within {seconds} s: {status}"
            time.sleep(0.02)

    def worker(self, worker_id):
        """The registry's entry, or None."""
        entries = self.get("/api/workers/list")["workers"]
        return next((w for w in entries if w["workerId"] == worker_id), None)
