"""The real programs on free loopback ports, in a folder of the test's own."""

import os
import pathlib
import re
import signal
import subprocess
import time

from built import BIN, PATIENCE, TOP  # noqa: F401 (tests take them from here)
from client import Client
from native import Native

# What a sanitizer or an assertion writes; none may stand in a log.
SCARS = re.compile(r"ERROR: \w+Sanitizer|WARNING: \w+Sanitizer|runtime error:|Assertion .* failed")

# Seldom, one message that libzmq 4.3.4 allocated is still held when the program ends; a message that we forgot to close
# would be one a request. So a leak passes only if libzmq alone made it and it is this small.
ZMQ_LEAK = re.compile(r"=+\n==\d+==ERROR: LeakSanitizer: detected memory leaks\n\n(?:\w+ leak of \d+ byte\(s\) in [12] object\(s\) "
                      r"allocated from:\n    #0 .*_malloc .*\n(?:    #\d+ .*/libzmq\.so\S+\n)+\n)+"
                      r"SUMMARY: AddressSanitizer: \d+ byte\(s\) leaked in [12] allocation\(s\)\.\n?")


# Leaks are found in the log (SCARS). Freed memory is held back only a little, so that a program's size tells something.
SANITIZERS = {"LSAN_OPTIONS": "exitcode=0", "ASAN_OPTIONS": "quarantine_size_mb=8",
              "TSAN_OPTIONS": f"suppressions={pathlib.Path(__file__).with_name('tsan.supp')}"}
for name, value in SANITIZERS.items():
    os.environ.setdefault(name, value)  # for the programs that a test starts by itself


def wait_until(probe, seconds=10.0, what="the condition"):
    """The first true value of probe (), within a bound."""
    seconds *= PATIENCE
    end = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not come within {seconds} s"
        time.sleep(0.01)


class Host:
    """Where programs run: here, or in a network namespace (network.py)."""

    address, prefix, connect = "127.0.0.1", (), None

    @property
    def open(self):
        """What lets a program listen there in clear text."""
        return () if self.address == "127.0.0.1" else ("--insecure",)


LOOPBACK = Host()


class Program:
    """One of our programs: started, stopped, killed and started again with the same log and options."""

    def __init__(self, name, args, log, prefix=(), programs=BIN):
        self.name, self.args, self.log = name, [str(a) for a in args], pathlib.Path(log)
        self.prefix = list(prefix)  # a command that becomes the program, with the same process id
        self.programs = programs  # the folder that it is in
        self.process, self.awaited = None, False
        self.lines_before = 0

    def spawn(self, env=None):
        self.lines_before = len(self.lines())
        self.awaited = False  # true: the test itself has ended it, or seen it end
        keep = {k: v for k, v in os.environ.items() if not k.startswith("GLEANER_") and k not in ("WORKER_ID", "HOSTNAME")}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*self.prefix, self.programs / f"gleaner-{self.name}", *self.args], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env={**SANITIZERS, **keep, **(env or {})})
        return self

    def start(self, env=None, seconds=20):
        self.spawn(env)
        self.wait_event(f"{self.name}-ready", seconds)
        return self

    def lines(self):
        return self.log.read_text(errors="replace").splitlines() if self.log.exists() else []

    def events(self, event):
        """Log lines of that event since the last start."""
        return [line for line in self.lines()[self.lines_before:] if f" {event} " in line + " "]

    def wait_event(self, event, seconds=10):
        def found():
            lines = self.events(event)
            assert lines or self.process.poll() is None, f"{self.name} ended: " + "\n".join(self.lines()[-5:])
            return lines
        return wait_until(found, seconds, f"{event} in {self.log}")[-1]

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def rss(self):
        """Resident bytes now."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) * 1024

    def kill(self):
        self.awaited = True
        self.process.kill()
        self.process.wait(10)

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, seconds=20):
        self.awaited = True
        return self.process.wait(seconds)

    def stop(self, seconds=20):
        self.signal()
        return self.wait(seconds)


class Cluster:
    """A broker, and what a test adds to it. close () checks that everything that still runs ends cleanly."""

    def __init__(self, folder, broker_args=(), gateway=True, gateway_args=(), broker_env=None, host=LOOPBACK, tls=None, curve=False):
        self.folder, self.host = pathlib.Path(folder), host
        self.tls = tls  # an ssl.SSLContext when the gateway serves HTTPS
        self.programs, self.workers, self.closers = [], [], []
        self.web = self.folder / "web"  # a page of one file: these tests need no built one
        self.web.mkdir(exist_ok=True)
        (self.web / "index.html").write_text("<!doctype html><title>Gleaner</title>\n")
        broker_args = [*broker_args, *(["--curve"] if curve else [])]
        self.broker = self._add("broker", ["--listen", f"tcp://{host.address}:0", "--data", self.folder / "data", *host.open, *broker_args],
                                broker_env)
        self.broker_url = self._bound(self.broker)
        if gateway and curve:
            gateway_args = [*gateway_args, "--join", self.enroll("gateway"), "--curve-key", self.folder / "gateway.key"]
        self.gateway = self.add_gateway(gateway_args) if gateway else None
        if gateway:
            self.port = int(self.gateway.args[1].rsplit(":", 1)[1])
            self.server = f"{'https' if tls else 'http'}://{host.address}:{self.port}"
            self.api = self.client()

    def _add(self, name, args, env=None, host=None, programs=BIN):
        program = Program(name, args, self.folder / f"{name}{len(self.programs)}.log", (host or self.host).prefix, programs)
        self.programs.append(program)
        return program.start(env)

    @staticmethod
    def _bound(program):
        """The address that port 0 became; from now on a restart asks for the same one."""
        address = program.events(f"{program.name}-ready")[0].split("listening on ")[1].split()[0].rstrip(",")
        program.args[1] = address.removeprefix("http://").removeprefix("https://").rstrip("/")
        return program.args[1]

    def add_gateway(self, args=()):
        gateway = self._add("gateway", ["--listen", f"{self.host.address}:0", "--broker", self.broker_url, "--web", self.web,
                                        "--cache-dir", self.folder / f"cache{len(self.programs)}", *self.host.open, *args])
        self._bound(gateway)
        return gateway

    def broker_does(self, *args):
        """A command of gleaner-broker on this broker's data: what it ended with."""
        return subprocess.run([BIN / "gleaner-broker", *args, "--data", self.folder / "data"], capture_output=True, text=True,
                              timeout=60, env={**SANITIZERS, **os.environ})

    def enroll(self, role="worker", *args):
        """A join code: for the broker, or with --server among `args` for a gateway."""
        where = () if "--server" in args else ("--broker", self.broker_url)
        done = self.broker_does("enroll", "--role", role, *where, *args)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def worker(self, transport="http", *args, env=None, folder=None, host=None, programs=BIN, sandbox=False):
        """Without a sandbox unless it is asked for: most tests look at what a job leaves beside its folder."""
        args = args if sandbox else ("--unsafe-no-sandbox", *args)
        where = {"http": lambda: ["--server", self.server], "joined": lambda: [],
                 "zmq": lambda: ["--broker", self.broker_url]}[transport if transport in ("http", "joined") else "zmq"]()
        folder = folder or self.folder / f"work{len(self.programs)}"
        worker = self._add("worker", [*where, "--work-dir", folder, *args], env, host, programs)
        worker.folder = pathlib.Path(folder)
        self.workers.append(worker)
        return worker

    def client(self):
        client = Client(self.host.address, self.port, connect=self.host.connect, tls=self.tls)
        self.closers.append(client)
        return client

    def native(self, kind="dealer", keys=None):
        native = Native(self.broker_url, kind, keys)
        self.closers.append(native)
        return native

    def on_close(self, thing):
        self.closers.append(thing)
        return thing

    def stop(self):
        """Ends all programs, the broker last; each must end well. The cluster can still be closed."""
        for program in reversed(self.programs):
            if program.running:
                assert program.stop() == 0, program.log

    def close(self):
        for thing in reversed(self.closers):
            thing.close()
        statuses = {}
        for program in reversed(self.programs):  # workers first, the broker last
            if program.running:
                try:
                    program.signal()
                    statuses[program.log.name] = program.wait()
                except subprocess.TimeoutExpired:
                    program.kill()
                    statuses[program.log.name] = "did not end"
            elif program.process and not program.awaited:
                statuses[program.log.name] = f"ended by itself with {program.process.returncode}"
        scars = [f"{p.log.name}: {line}" for p in self.programs for line in ZMQ_LEAK.sub("", p.log.read_text()).splitlines()
                 if SCARS.search(line)]
        assert not scars, scars
        assert all(status == 0 for status in statuses.values()), statuses
