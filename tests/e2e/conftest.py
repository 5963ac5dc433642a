"""Fixtures of the end-to-end tests: a cluster a test, or one for all tests of a file that leave it as it was."""

import http.server
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from cluster import Cluster  # noqa: E402
from shell import Shell  # noqa: E402

# Whoever started the tests in the background had Ctrl-C ignored, by them and by all that they start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def clusters(tmp_path):
    """Makes clusters of the test's own: clusters (broker_args=...)."""
    made = []

    def make(**options):
        folder = tmp_path / f"cluster{len(made)}"
        folder.mkdir()
        made.append(Cluster(folder, **options))
        return made[-1]

    yield make
    for cluster in reversed(made):
        cluster.close()


@pytest.fixture
def cluster(clusters):
    """Broker and gateway, no worker."""
    return clusters()


@pytest.fixture
def shell(cluster, tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    one = Shell(cluster, folder)
    one.write({"a.txt": "hello\n"})
    return one


@pytest.fixture
def pretend():
    """pretend (answer): the address of a server that answers every request with that, or with what it says of the path.
    Its clock is `ahead` seconds ahead."""
    servers = []

    def make(answer, ahead=0):
        def said(path):
            body = answer(path) if callable(answer) else answer
            return body if isinstance(body, bytes) else json.dumps(body).encode()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                data = said(self.path)
                self.send_response(200)
                self.send_header("Content-Type", "application/octet-stream")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_GET

            def date_time_string(self, timestamp=None):
                return super().date_time_string((timestamp or time.time()) + ahead)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *args):
                if not isinstance(sys.exc_info()[1], ConnectionError):  # who asked went away
                    super().handle_error(*args)

        server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Broker and gateway, no worker, the same for the whole file."""
    cluster = Cluster(tmp_path_factory.mktemp("shared"))
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def at_work(tmp_path_factory):
    """Broker, gateway and a worker of two slots, the same for the whole file."""
    cluster = Cluster(tmp_path_factory.mktemp("at-work"))
    cluster.worker("http", "--slots", "2")
    yield cluster
    cluster.close()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 12 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("mounting a tmpfs needs root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
