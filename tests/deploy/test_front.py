"""The examples of a proxy in front, as they stand but for names and ports, by the real nginx and Caddy: uploads, output and events
as they come, the page, a worker and the command through TLS, at the root and below a path."""

import http.client
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import threading

import pytest

from certificates import Authority
from client import Client, multipart
from cluster import BIN, TOP, wait_until
from debs import unpacked
from zips import zip_of

NAME = "gleaner.example.org"
FULL_PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"
MIB = 1024 * 1024


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def replaced(text, old, new):
    assert old in text, f"the example has no '{old}'"
    return text.replace(old, new)


class Front:
    def __init__(self, folder, cluster, kind, prefix, program):
        self.kind, self.prefix, self.binary = kind, prefix, program
        self.folder = folder
        self.port, self.plain_port = free_port(), free_port()
        self.authority = Authority(folder / "ca")
        self.certificate, self.key = self.authority.pair(hosts=("127.0.0.1", NAME))
        self.server = f"https://127.0.0.1:{self.port}{prefix}"
        self.program = getattr(self, kind)(cluster.port)
        self.log = folder / "front.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.program, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            env={**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)})
        wait_until(self.listens, 20, "the proxy")
        context = ssl.create_default_context(cafile=str(self.authority.file))
        self.api = Client("127.0.0.1", self.port, tls=context)
        self.context = context

    def listens(self):
        assert self.process.poll() is None, self.log.read_text()
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def nginx(self, gateway_port):
        text = (TOP / "deploy/nginx/gleaner.conf").read_text()
        text = replaced(text, "127.0.0.1:3000", f"127.0.0.1:{gateway_port}")
        text = replaced(text, "listen 443", f"listen 127.0.0.1:{self.port}")
        text = replaced(text, "listen 80", f"listen 127.0.0.1:{self.plain_port}")
        text = replaced(text, "/etc/ssl/gleaner/gleaner.pem", str(self.certificate))
        text = replaced(text, "/etc/ssl/gleaner/gleaner.key", str(self.key))
        if self.prefix:  # what the example says to do for it
            text = replaced(text, "    location / {", f"    location {self.prefix}/ {{")
            text = replaced(text, "proxy_pass http://gleaner;", "proxy_pass http://gleaner/;")
        (self.folder / "gleaner.conf").write_text(text)
        scratch = "".join(f"{kind}_temp_path {self.folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        # "user": as root it would give its files to another user.
        user = "user root;\n" if os.geteuid() == 0 else ""
        (self.folder / "nginx.conf").write_text(
            f"{user}daemon off;\npid {self.folder}/pid;\nerror_log stderr warn;\nevents {{ worker_connections 512; }}\n"
            f"http {{\naccess_log off;\n{scratch}include {self.folder}/gleaner.conf;\n}}\n")
        return [self.binary, "-e", "stderr", "-p", self.folder, "-c", self.folder / "nginx.conf"]

    def caddy(self, gateway_port):
        text = (TOP / "deploy/caddy/Caddyfile").read_text()
        text = replaced(text, "127.0.0.1:3000", f"127.0.0.1:{gateway_port}")
        text = replaced(text, f"{NAME} {{", f"https://127.0.0.1:{self.port}, https://{NAME}:{self.port} {{\n\ttls {self.certificate} {self.key}\n"
                                            "\tbind 127.0.0.1")
        if self.prefix:
            text = replaced(text, "\treverse_proxy", f"\thandle_path {self.prefix}/* {{\n\treverse_proxy")
            text = replaced(text, "\n\t# As large", "\t}\n\n\t# As large")
        options = f"{{\n\tadmin off\n\tskip_install_trust\n\thttp_port {self.plain_port}\n}}\n"
        (self.folder / "Caddyfile").write_text(options + text)
        return [self.binary, "run", "--adapter", "caddyfile", "--config", self.folder / "Caddyfile"]

    def get(self, path):
        return self.api.get(self.prefix + path)

    def stream(self, path):
        """The answer, to be read as it comes, and its connection."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=self.context)
        connection.request("GET", self.prefix + path)
        return connection.getresponse(), connection

    def submit(self, commands, files):
        """The job's id."""
        body, kind = multipart({"mode": "distributed", "commands": commands}, {"file": ("p.zip", zip_of(files))})
        return self.api.request("POST", self.prefix + "/api/execute", body, {"Content-Type": kind})["jobId"]

    def run(self, folder, *args):
        return subprocess.run([BIN / "gleaner", args[0], "--server", self.server, "--ca", self.authority.file, *map(str, args[1:])], cwd=folder,
                              capture_output=True, text=True, timeout=60, env={**os.environ, "HOME": str(self.folder)})

    def close(self):
        self.api.close()
        self.process.terminate()
        assert self.process.wait(20) == 0, self.log.read_text()


@pytest.fixture(scope="module")
def proxies(tmp_path_factory):
    """Kind to program: installed, or else unpacked; None where neither can be."""
    found = {}
    for kind, place in (("nginx", "usr/sbin/nginx"), ("caddy", "usr/bin/caddy")):
        found[kind] = shutil.which(kind, path=FULL_PATH)
        try:
            found[kind] = found[kind] or unpacked(kind, tmp_path_factory.mktemp(kind)) / place
        except OSError as error:
            print(error)
    return found


@pytest.fixture(scope="module", params=["nginx", "nginx /gleaner", "caddy", "caddy /gleaner"])
def front(request, tmp_path_factory, cluster, proxies):
    kind, _, prefix = request.param.partition(" ")
    if not proxies[kind]:
        pytest.skip(f"{kind} is not installed, and no mirror gives it")
    one = Front(tmp_path_factory.mktemp("front"), cluster, kind, prefix, proxies[kind])
    yield one
    one.close()


@pytest.fixture(scope="module")
def worker(front, cluster):
    """Works through the proxy: its polls are parked there."""
    one = cluster.worker("http", "--server", front.server, "--ca", front.authority.file, "--slots", "2")
    yield one
    assert one.stop() == 0


def test_the_page_and_its_files(front):
    page = front.get("/")
    assert page.status == 200 and "<title>" in page.body.decode()
    for name in re.findall(r'(?:src|href)="\./([^"]+)"', page.body.decode()):
        assert front.get(f"/{name}").status == 200, name


def test_its_name_is_taken_and_its_figures_are_not_shown(front):
    answer = front.api.request("GET", front.prefix + "/api/info", headers={"Host": NAME})
    assert answer.status == 200, answer
    assert front.api.get("/metrics").status == 404


def test_clear_text_is_sent_to_tls(front):
    client = Client("127.0.0.1", front.plain_port)
    answer = client.request("GET", "/x?y=1", headers={"Host": NAME})
    client.close()
    assert answer.status in (301, 308), answer
    assert re.fullmatch(rf"https://{NAME}(:{front.port})?/x\?y=1", answer.headers["Location"])


def test_a_project_goes_in_and_its_result_comes_back(front, worker, tmp_path):
    (tmp_path / "big.bin").write_bytes(os.urandom(6 * MIB))
    (tmp_path / "Makefile").write_text("test:\n\tcmp big.bin big.bin\n\tcp big.bin copy.bin\n\techo passed\n")
    done = front.run(tmp_path, "run", "--artifact", "copy.bin", "--", "make", "test")
    assert done.returncode == 0 and "passed" in done.stdout, done
    assert (tmp_path / "copy.bin").read_bytes() == (tmp_path / "big.bin").read_bytes()


def test_an_upload_is_not_kept_by_the_proxy_first(front, cluster):
    """Half of a body is at the gateway while the other half is not yet sent."""
    body, kind = multipart({"mode": "distributed", "commands": "true"}, {"file": ("p.zip", zip_of({"r": os.urandom(8 * MIB)}))})
    half = len(body) // 2

    def arrived():
        return sum(f.stat().st_size for f in pathlib.Path(cluster.folder).rglob("*") if f.is_file() and "data" in f.parts and f.stat().st_size < 9 * MIB)

    before = arrived()
    connection = http.client.HTTPSConnection("127.0.0.1", front.port, timeout=30, context=front.context)
    connection.putrequest("POST", front.prefix + "/api/execute")
    connection.putheader("Content-Type", kind)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    connection.send(body[:half])
    wait_until(lambda: arrived() - before > half // 2, 10, "half of the upload at the broker")
    connection.send(body[half:])
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    connection.close()


def test_output_comes_while_the_job_runs(front, worker):
    """The job ends only when what it printed first was seen here."""
    flag = worker.folder.parent / f"go-on-{front.port}"
    job = front.submit(f"echo first; while [ ! -e {flag} ]; do sleep 0.05; done; echo second", {"a": "b"})
    answer, connection = front.stream(f"/api/jobs/output?jobId={job}&stream=stdout&follow=1")
    assert answer.read(6) == b"first\n"
    flag.write_text("")
    assert answer.read() == b"second\n"
    connection.close()


def test_events_come_as_they_happen(front, worker):
    answer, connection = front.stream("/api/events")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/event-stream")
    lines = []

    def listen():
        for line in answer:
            lines.append(line)

    reader = threading.Thread(target=listen, daemon=True)
    reader.start()
    job = front.submit("true", {"a": "b"}).encode()
    wait_until(lambda: any(job in line and b"completed" in line for line in list(lines)), 20, "the job's end among the events")
    connection.sock.shutdown(socket.SHUT_RDWR)
    reader.join(10)
    assert not reader.is_alive()
    connection.close()
