"""The peers: from Debian's packages, on loopback, with durable settings that the peer itself confirms, in a folder of ours.

A peer is used with `with`. It is asked how it is set before anything is measured; Failure when it is not durable.
"""
import os, shutil, socket, subprocess, time
from pathlib import Path

from programs import die_with_us
from table import Failure, warn

POLICY = Path("/usr/sbin/policy-rc.d")
# Where Debian keeps programs that only root is expected to start.
PLACES = os.pathsep + "/usr/sbin"
START_S = 10


def find(binary):
    return shutil.which(binary, path=os.environ.get("PATH", "") + PLACES)


def install(package):
    """By apt-get, without starting the service that comes with it."""
    ours = False
    try:
        try:
            with open(POLICY, "x") as out:
                out.write("#!/bin/sh\nexit 101\n")
            ours = True
            POLICY.chmod(0o755)
        except FileExistsError:
            pass  # somebody has decided already
        run = subprocess.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", package], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
        if run.returncode:
            raise Failure(f"apt-get could not install the package {package}: {run.stderr.strip()[-200:]}")
    finally:
        if ours:
            POLICY.unlink()


def need(binary, package, may_install):
    """The program's path. Installs its package when that is allowed and possible."""
    if not find(binary) and may_install and os.geteuid() == 0 and shutil.which("apt-get"):
        warn(f"installing {package}")
        install(package)
    if not find(binary):
        raise Failure(f"{binary} is not installed: run `apt-get install {package}` as root")
    return find(binary)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Peer:
    """A server that is started by us and stopped by its process id."""

    name = package = binary = ""

    def __init__(self, folder, may_install=True):
        self.path = need(self.binary, self.package, may_install)
        self.folder, self.port = Path(folder) / self.name, free_port()
        self.folder.mkdir(parents=True)

    def command(self):
        raise NotImplementedError

    def verify(self):
        """Failure unless the running peer says that it is durable."""

    def __enter__(self):
        with open(self.folder / "log", "w") as log:
            self.process = subprocess.Popen([self.path, *map(str, self.command())], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, preexec_fn=die_with_us)
        try:
            self.wait()
            self.verify()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def wait(self):
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                return socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.02)
        raise Failure(f"{self.binary} did not start: {(self.folder / 'log').read_text().strip()[-200:]}")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Redis(Peer):
    name, package, binary = "redis", "redis-server", "redis-server"
    durable = ("--appendonly", "yes", "--appendfsync", "always")

    def command(self):
        # No snapshots and no rewriting beside the log: it is given its best.
        return ["--bind", "127.0.0.1", "--port", self.port, "--dir", self.folder, "--save", "", "--daemonize", "no",
                "--auto-aof-rewrite-percentage", "0", *self.durable]

    def setting(self, name):
        with socket.create_connection(("127.0.0.1", self.port), 5) as s:
            s.sendall(f"*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n${len(name)}\r\n{name}\r\n".encode())
            words = s.recv(4096).decode().split("\r\n")
        return words[4] if len(words) > 4 else ""

    def verify(self):
        for name, wanted in (("appendonly", "yes"), ("appendfsync", "always")):
            if self.setting(name) != wanted:
                raise Failure(f"Redis is not durable: its {name} is {self.setting(name) or 'unknown'}, not {wanted}; it is not measured so")


class Beanstalkd(Peer):
    name, package, binary = "beanstalkd", "beanstalkd", "beanstalkd"
    durable = ("-f", "0")

    def command(self):
        (self.folder / "binlog").mkdir()
        return ["-l", "127.0.0.1", "-p", self.port, "-b", self.folder / "binlog", *self.durable]

    def verify(self):
        words = Path(f"/proc/{self.process.pid}/cmdline").read_bytes().decode().split("\0")
        after = dict(zip(words, words[1:]))
        if after.get("-b") != str(self.folder / "binlog") or not list((self.folder / "binlog").glob("binlog.*")):
            raise Failure("beanstalkd is not durable: it writes no binlog; it is not measured so")
        if after.get("-f") != "0" or "-F" in words:
            raise Failure(f"beanstalkd is not durable: -f is {after.get('-f', 'not given')}, not 0; it is not measured so")


class Nginx(Peer):
    """Serves the files of its folder `www`."""

    name, package, binary = "nginx", "nginx-light", "nginx"

    def command(self):
        (self.folder / "www").mkdir()
        self.folder.chmod(0o755)
        user = "user root;" if os.geteuid() == 0 else ""  # the folder above is nobody else's
        temp = "".join(f"{name}_temp_path {self.folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (self.folder / "nginx.conf").write_text(
            f"{user} worker_processes 2; daemon off; pid {self.folder}/pid; error_log {self.folder}/error.log;\n"
            "events { worker_connections 4096; }\n"
            f"http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; {temp}\n"
            "types { application/json json; }\n"
            f"server {{ listen 127.0.0.1:{self.port}; root {self.folder}/www; }} }}\n")
        return ["-c", self.folder / "nginx.conf", "-p", self.folder]
