"""Our own programs: a broker and a gateway in a folder of their own, workers, load generators."""
import ctypes, http.client, io, json, os, signal, subprocess, time, zipfile
from pathlib import Path

from table import Failure

TOP = Path(__file__).resolve().parents[3]
BIN = Path(os.environ.get("GLEANER_BIN", TOP / "build/release/bin")).resolve()
CREATE = '{"command": "make test", "fileUrl": "/uploads/x.zip", "filename": "x.zip"}'
PAGE = 500  # jobs in one answer
IDLE_S = 3  # the gateway closes a connection that is silent for longer than a while


LIBC = ctypes.CDLL(None)


def die_with_us():
    """In a child before it becomes a server: it is ended when the bench is killed."""
    PR_SET_PDEATHSIG = 1
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Programs:
    """With `with`: ends what it started, and says what had ended by itself when something goes wrong."""

    def __init__(self, folder):
        self.folder, self.started = Path(folder), []
        self.folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, why, trace):
        dead = [f"{Path(p.args[0]).name} ended with status {p.returncode}" for p in self.started if p.poll() is not None]
        self.stop()
        if dead and kind and issubclass(kind, Exception):
            raise Failure(f"{'; '.join(dead)} ({why})") from None

    def start(self, name, event, *args):
        log = self.folder / f"{name}{len(self.started)}-{time.monotonic_ns()}.log"
        with open(log, "w") as out:
            process = subprocess.Popen([BIN / f"gleaner-{name}", *map(str, args)], stdin=subprocess.DEVNULL, stderr=out,
                                       preexec_fn=die_with_us)
        self.started.append(process)
        for _ in range(3000):
            line = next((l for l in log.read_text().splitlines() if f" {event} " in l), None)
            if line:
                return process, line
            if process.poll() is not None:
                break
            time.sleep(0.02)
        raise Failure(f"gleaner-{name} did not start: {log.read_text()[-300:]}")

    def start_broker(self, *options, listen="tcp://127.0.0.1:*"):
        self.broker, line = self.start("broker", "broker-ready", "--listen", listen, "--data", self.folder / "data", *options)
        self.endpoint = line.split("listening on ")[1].split(",")[0]
        self.native_port = int(self.endpoint.rsplit(":", 1)[1])

    def start_gateway(self, *options):
        self.gateway, line = self.start("gateway", "gateway-ready", "--listen", "127.0.0.1:0", "--broker", self.endpoint,
                                        "--cache-dir", self.folder / "cache", *options)
        self.port = int(line.rsplit(":", 1)[1])
        self.http, self.http_used = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60), time.monotonic()

    def broker_and_gateway(self, *broker_options, gateway_options=()):
        self.start_broker(*broker_options)
        self.start_gateway(*gateway_options)
        return self

    def preload(self, finished, length=20, pending=0):
        """Fills the data folder; before the broker starts."""
        (self.folder / "data").mkdir(parents=True)
        tool("bench-preload", self.folder / "data/gleaner.db", finished, length, pending, prints=False)
        return self

    def worker(self, *transport, sandbox=False):
        return self.start("worker", "worker-ready", *transport, "--work-dir", self.folder / f"work{len(self.started)}",
                          *([] if sandbox else ["--unsafe-no-sandbox"]))[0]

    def native(self):
        return ("--broker", self.endpoint)

    def over_http(self):
        return ("--server", f"http://127.0.0.1:{self.port}")

    def call(self, method, path, body=None, headers=None):
        return json.loads(self.call_raw(method, path, body, headers))

    def call_raw(self, method, path, body=None, headers=None):
        if time.monotonic() - self.http_used > IDLE_S:
            self.http.close()  # it connects again by itself
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body)
        self.http.request(method, path, raw, headers or {})
        answer = self.http.getresponse().read()
        self.http_used = time.monotonic()
        return answer

    def load(self, connections, count, method, path, body=None, lines=()):
        return http_load(self.port, connections, count, method, path, body, lines)

    def end(self, process, sent=signal.SIGTERM):
        process.send_signal(sent)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.started.remove(process)

    def stop(self):
        while self.started:
            self.end(self.started[-1])


def tool(name, *args, lines=(), prints=True, seconds=None):
    """Runs one of our load generators to its end. Returns what it printed, decoded."""
    command = [BIN / name, *map(str, args)]
    try:
        run = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, timeout=seconds)
    except FileNotFoundError:
        raise Failure(f"{name} is not in {BIN}: build the release preset") from None
    if run.returncode and not run.stdout:
        raise Failure(f"{name} {' '.join(map(str, args))[:100]}: {run.stderr.strip()[-300:]} (status {run.returncode})")
    return json.loads(run.stdout) if prints else None


def http_load(port, connections, count, method, path, body=None, lines=()):
    args = [port, connections, max(count, connections), method, path] + ([body] if body else [])
    result = tool("bench-http", *args, lines=lines)
    if result["errors"]:
        raise Failure(f"{method} {path}: {result['errors']} of {result['requests']} answers were not 200")
    return result


def rss_kib(process, field="VmRSS"):
    with open(f"/proc/{process.pid}/status") as lines:
        for line in lines:
            if line.startswith(field + ":"):
                return int(line.split()[1])
    raise Failure(f"process {process.pid} has no {field}")


def jobs_of(p, state, count):
    """The newest jobs in that state, so many of them."""
    jobs, cursor = [], ""
    while cursor is not None and len(jobs) < count:
        page = p.call("GET", f"/api/jobs?brief=1&state={state}&limit={PAGE}{cursor and '&cursor=' + cursor}")
        jobs, cursor = jobs + page["jobs"], page.get("cursor")
    return jobs[:count]


def newest_ids(p, count=PAGE):
    return [j["jobId"] for j in p.call("GET", f"/api/jobs?brief=1&limit={min(count, PAGE)}")["jobs"]]


def operations(p, connections, count):
    """What bench-http tells of each operation, one after the other. Leaves no job of its own behind."""
    ids = [f"bench-{i}" for i in range(connections)]
    times = {"register": p.load(connections, count, "POST", "/api/workers/register", '{"workerId": "@", "hostname": "bench"}', ids)}
    times["heartbeat"] = p.load(connections, count, "POST", "/api/workers/heartbeat", '{"workerId": "@"}', ids)
    times["create"] = p.load(connections, count, "POST", "/api/jobs/create", CREATE)
    times["status"] = p.load(connections, count, "GET", "/api/jobs/status?jobId=@", lines=newest_ids(p, count))
    times["get-job"] = p.load(connections, max(count, connections), "GET", "/api/jobs/get-job?workerId=@", lines=ids)
    results = [json.dumps({"jobId": j["jobId"], "workerId": j["workerId"], "exitCode": 0, "stdout": "ok", "stderr": ""})
               for j in jobs_of(p, "running", max(count, connections))]
    times["submit-result"] = p.load(connections, len(results), "POST", "/api/jobs/submit-result", "@", results)
    return times


def small_zip():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as z:
        z.writestr("a.txt", "a")
    return data.getvalue()


def submit(p, command):
    form = b"".join(b'--bench\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % part
                    for part in ((b"mode", b"distributed"), (b"commands", command)))
    form += b'--bench\r\nContent-Disposition: form-data; name="file"; filename="p.zip"\r\n\r\n' + small_zip() + b"\r\n--bench--\r\n"
    return p.call("POST", "/api/execute", form, {"Content-Type": "multipart/form-data; boundary=bench"})["jobId"]


def wait_for(p, job, *states):
    status = {}
    while status.get("status") not in states:
        time.sleep(0.005)
        status = p.call("GET", f"/api/jobs/status?jobId={job}")
    return status


def run_job(p, command):
    """Runs a command as a job. Returns its final status and when its submission was acknowledged, ns since the epoch."""
    job = submit(p, command)
    acknowledged = time.time_ns()
    return wait_for(p, job, "completed", "failed"), acknowledged


def big_zip(path, mib):
    """A ZIP of so many MiB of noise, stored."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as z, z.open("noise", "w", force_zip64=True) as f:
        block = os.urandom(1 << 20)
        for _ in range(mib):
            f.write(block)
    return path


def upload(p, path):
    """Sends a file as the page does, with curl. Returns its job's id and the seconds."""
    start = time.monotonic()
    run = subprocess.run(["curl", "-sS", f"http://127.0.0.1:{p.port}/api/execute", "--form-string", "mode=distributed",
                          "--form-string", "commands=true", "-F", f"file=@{path}"], capture_output=True, text=True)
    seconds = time.monotonic() - start
    try:
        return json.loads(run.stdout)["jobId"], seconds
    except (ValueError, KeyError):
        raise Failure(f"an upload was refused: {(run.stdout + run.stderr)[-300:]}") from None
