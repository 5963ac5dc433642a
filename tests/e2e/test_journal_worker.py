"""What a worker writes into an attempt's journal: phases, commands, what was printed and when, what was used."""

import hashlib
import http.server
import json
import re
import signal
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

from cluster import wait_until

TRANSPORTS = pytest.mark.parametrize("transport", ["http", "zmq"])
ENTRY = re.compile(r"(\d+) (phase \w+|begin \d+|end \d+ \d+(?: \d+)?|(?:out|err) \d+ \d+\+?|use \d+ \d+ \d+|limits \S.*|cut)")


def raw(cluster, job, stream, **query):
    answer = cluster.api.get(f"/api/jobs/output?jobId={job}&stream={stream}" + "".join(f"&{k}={v}" for k, v in query.items()))
    assert answer.status == 200, answer
    return answer.body


def journal(cluster, job, **query):
    """The entries, each as [ms, kind, argument ...]; all of them well formed and in order."""
    entries = []
    for line in raw(cluster, job, "journal", **query).decode().splitlines():
        assert ENTRY.fullmatch(line), line
        ms, kind, *arguments = line.split()
        entries.append([int(ms), kind, *arguments])
    assert [e[0] for e in entries] == sorted(e[0] for e in entries)
    return entries


def told(entries, *kinds):
    return [" ".join(e[1:]) for e in entries if e[1] in kinds]


def replay(entries, streams):
    """What each command printed, as [number, [(stream, bytes) ...]], by the entries; they cover the streams exactly."""
    at = {"out": 0, "err": 0}
    commands, current = [], None
    for _, kind, *arguments in entries:
        if kind == "begin":
            current = [int(arguments[0]), []]
            commands.append(current)
        elif kind in at:
            data = streams[kind][at[kind]:at[kind] + int(arguments[0])]
            assert len(data) == int(arguments[0])
            assert arguments[1] == f"{data.count(bytes([10]))}{'' if data.endswith(bytes([10])) else '+'}"
            at[kind] += len(data)
            current[1].append((kind, data))
    assert at == {kind: len(data) for kind, data in streams.items()}
    return commands


def streams_of(cluster, job):
    return {"out": raw(cluster, job, "stdout"), "err": raw(cluster, job, "stderr")}


def run(cluster, command, **fields):
    job = cluster.api.create(command, cluster.api.upload(), **fields)
    return job, cluster.api.wait_job(job, 60)


@pytest.fixture(params=["http", "zmq"])
def cluster_at_work(request, clusters):
    cluster = clusters()
    cluster.worker(request.param)
    return cluster


def test_commands_with_their_ends_and_what_they_printed(cluster_at_work):
    cluster = cluster_at_work
    job, status = run(cluster, "echo one; echo uno >&2\n\n   \nprintf half; seq 1000\nkill -9 $$", maxAttempts=1)
    entries = journal(cluster, job)
    assert told(entries, "begin", "end") == ["begin 1", "end 1 0", "begin 2", "end 2 0", "begin 3", "end 3 137 9"]
    commands = replay(entries, streams_of(cluster, job))
    printed = [(n, *(b"".join(d for kind, d in what if kind == wanted) for wanted in ("out", "err"))) for n, what in commands]
    assert printed == [(1, b"one\n", b"uno\n"), (2, b"half" + b"".join(b"%d\n" % n for n in range(1, 1001)), b""), (3, b"", b"")]
    body = raw(cluster, job, "journal")
    assert (status["journalBytes"], status["journalSha256"]) == (len(body), hashlib.sha256(body).hexdigest())


def test_no_command_is_told_with_the_output_of_another(cluster_at_work):
    cluster = cluster_at_work
    job, _ = run(cluster, "\n".join(f"printf '{n:03} %0200d\\n' 0; printf {n:03} >&2" for n in range(100)))
    for number, printed in replay(journal(cluster, job), streams_of(cluster, job)):
        assert {data[:3] for _, data in printed} == {b"%03d" % (number - 1)}, number


def test_the_order_of_the_streams(cluster_at_work):
    cluster = cluster_at_work
    job, _ = run(cluster, "for n in 1 2 3 4 5; do echo out$n; sleep 0.1; echo err$n >&2; sleep 0.1; done")
    (_, printed), = replay(journal(cluster, job), streams_of(cluster, job))
    assert b"".join(data for _, data in printed) == b"".join(b"out%d\nerr%d\n" % (n, n) for n in range(1, 6))


def test_phases(cluster_at_work):
    cluster = cluster_at_work
    job, _ = run(cluster, "sleep 0.3", artifacts=["a.txt"])
    entries = journal(cluster, job)
    assert told(entries, "phase") == [f"phase {p}" for p in ("download", "extract", "run", "artifacts", "upload")]
    assert told(entries, "phase", "begin", "end") == ["phase download", "phase extract", "phase run", "begin 1", "end 1 0",
                                                      "phase artifacts", "phase upload"]
    times = {" ".join(e[1:]): e[0] for e in entries}
    assert times["phase download"] < 5000 and times["end 1 0"] - times["begin 1"] >= 295
    job, _ = run(cluster, "true")
    assert told(journal(cluster, job), "phase")[-2:] == ["phase run", "phase upload"]


def test_a_failure_before_the_commands(cluster_at_work):
    cluster = cluster_at_work
    job = cluster.api.create("true", "/uploads/none.zip", maxAttempts=1)
    assert cluster.api.wait_job(job)["status"] == "failed"
    assert told(journal(cluster, job), "phase") == ["phase download", "phase upload"]


def test_all_commands_of_a_job_that_goes_on(cluster_at_work):
    cluster = cluster_at_work
    job, _ = run(cluster, "exit 3\necho more\nfalse", onError="continue")
    assert told(journal(cluster, job), "begin", "end", "out") == ["begin 1", "end 1 3", "begin 2", "out 5 1", "end 2 0", "begin 3",
                                                                  "end 3 1"]
    job, _ = run(cluster, "exit 3\necho more")
    assert told(journal(cluster, job), "begin", "end", "out") == ["begin 1", "end 1 3"]


BURN = "import time\nheld = bytearray(64 * 1024 * 1024)\nend = time.process_time() + 1\nwhile time.process_time() < end: pass\n" \
       "time.sleep(2.5)"


def test_usage(cluster_at_work):
    cluster = cluster_at_work
    # A shell that waits for another: what is reaped below it counts, too.
    job = cluster.api.submit(f"sh -c '{sys.executable} burn.py; true'; true", {"burn.py": BURN})
    cluster.api.wait_job(job, 60)
    uses = [[int(a) for a in e[2:]] for e in journal(cluster, job) if e[1] == "use"]
    assert len(uses) >= 3 and max(rss for _, rss, _ in uses) > 64 * 1024 * 1024 and max(n for *_, n in uses) >= 3
    assert [cpu for cpu, *_ in uses] == sorted(cpu for cpu, *_ in uses)
    assert 1000 <= uses[-1][0] < 5000 and uses[-1][1:] == [0, 0]
    job, _ = run(cluster, "true")
    assert len(told(journal(cluster, job), "use")) == 1


def test_it_comes_while_the_job_runs(cluster_at_work, tmp_path):
    cluster = cluster_at_work
    job = cluster.api.submit(f"echo one\nprintf two; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; echo")
    expected = ["phase download", "phase extract", "phase run", "begin 1", "out 4 1", "end 1 0", "begin 2", "out 3 0+"]
    wait_until(lambda: told(journal(cluster, job), "phase", "begin", "end", "out") == expected, 10, "the journal")
    assert raw(cluster, job, "stdout") == b"one\ntwo"
    (tmp_path / "go").touch()
    cluster.api.wait_job(job)
    replay(journal(cluster, job), streams_of(cluster, job))


def test_only_what_is_kept_is_told(clusters):
    cluster = clusters(broker_args=["--output-max", "100000"])
    cluster.worker("http")
    cluster.worker("zmq")
    for _ in range(2):
        job, status = run(cluster, "yes | head -c 1000000; echo end >&2")
        assert status["stdoutBytes"] == 100_000 and status["stdoutDropped"] == 900_000
        replay(journal(cluster, job), streams_of(cluster, job))


def test_a_long_one(cluster_at_work):
    """Longer than goes into a result; and a command that prints nothing has no output to wait for."""
    cluster = cluster_at_work
    job, status = run(cluster, "\n".join(["true"] * 800), timeoutMs=120_000)
    entries = journal(cluster, job)
    assert told(entries, "end") == [f"end {n} 0" for n in range(1, 801)] and status["journalBytes"] > 16 * 1024
    assert entries[-1][1:] == ["phase", "upload"]


def test_each_attempt_has_its_own(cluster_at_work, tmp_path):
    cluster = cluster_at_work
    worker = cluster.workers[0]
    job = cluster.api.submit(f"echo $GLEANER_ATTEMPT\n[ $GLEANER_ATTEMPT = 2 ] || {{ touch {tmp_path}/there; sleep 60; }}")
    wait_until((tmp_path / "there").exists, 10, "the second command")
    wait_until(lambda: "begin 2" in told(journal(cluster, job), "begin"), 10, "its journal")
    worker.kill()
    worker.start()
    status = cluster.api.wait_job(job, 60)
    assert (status["status"], status["attempt"]) == ("completed", 2)
    assert told(journal(cluster, job, attempt=1), "begin", "out", "end", "phase")[3:] == ["begin 1", "out 2 1", "end 1 0", "begin 2"]
    assert told(journal(cluster, job), "begin", "out", "end") == ["begin 1", "out 2 1", "end 1 0", "begin 2", "end 2 0"]


def test_a_cancelled_job_keeps_what_was_told(cluster_at_work):
    cluster = cluster_at_work
    job = cluster.api.submit("echo one; sleep 60")
    wait_until(lambda: told(journal(cluster, job), "out"), 10, "the journal")
    cluster.api.post("/api/jobs/cancel", {"jobId": job})
    assert told(journal(cluster, job), "phase", "begin", "out", "end") == ["phase download", "phase extract", "phase run", "begin 1",
                                                                           "out 4 1"]


def test_a_timeout_tells_the_signal(cluster_at_work):
    cluster = cluster_at_work
    job, status = run(cluster, "sleep 60", timeoutMs=500, maxAttempts=1)
    assert status["reason"] == "timeout"
    assert told(journal(cluster, job), "begin", "end") == ["begin 1", "end 1 143 15"]


@TRANSPORTS
@pytest.mark.parametrize("damaged", [False, True])
def test_the_next_run_of_the_worker_sends_it_with_the_result(cluster, tmp_path, transport, damaged):
    worker = cluster.worker(transport)
    job = cluster.api.submit(f"echo one; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; seq 100", maxAttempts=1)
    wait_until(lambda: told(journal(cluster, job), "out"), 10, "the journal")
    cluster.gateway.kill()
    cluster.broker.kill()
    (tmp_path / "go").touch()
    spool = worker.folder / "spool"
    result = wait_until(lambda: next(iter(spool.glob("*/result")), None), 10, "the result on the disk")
    worker.kill()
    if damaged:
        result.with_name("journal").write_bytes(b"0 phase")
    cluster.broker.start()
    cluster.gateway.start()
    worker.start()
    status = cluster.api.wait_job(job)
    assert status["status"] == "completed", status
    entries = journal(cluster, job)
    assert bool(worker.events("journal-given-up")) == damaged
    if damaged:  # the broker has what had come before, and the job has not failed for it
        assert told(entries, "out")[0] == "out 4 1"
    else:
        replay(entries, streams_of(cluster, job))
        assert entries[-1][1:] == ["phase", "upload"]


@pytest.mark.parametrize("damage", [lambda b: b[:1000], lambda b: b"9" + b[1:]], ids=["cut", "changed"])
def test_what_the_broker_lost_of_it_is_sent_again(cluster, tmp_path, damage):
    worker = cluster.worker("zmq")
    commands = "\n".join(["true"] * 600)
    job = cluster.api.submit(f"{commands}\nwhile [ ! -e {tmp_path}/go ]; do sleep 0.05; done")
    wait_until(lambda: "begin 601" in told(journal(cluster, job), "begin"), 60, "the last command")
    file, = (cluster.folder / "data" / "output").rglob("*.journal")
    cluster.broker.kill()
    file.write_bytes(damage(file.read_bytes()))
    cluster.broker.start()
    (tmp_path / "go").touch()
    assert cluster.api.wait_job(job)["status"] == "completed"
    assert worker.events("output-mismatch") or worker.events("output-gap")
    assert told(journal(cluster, job), "begin", "end") == [f"{kind} {n}{end}" for n in range(1, 602)
                                                           for kind, end in (("begin", ""), ("end", " 0"))]


def test_a_worker_that_stands_still_holds_no_job_up(cluster, tmp_path):
    worker = cluster.worker("zmq")
    job = cluster.api.submit(f"touch {tmp_path}/one; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done\n"
                             f"touch {tmp_path}/two\ntouch {tmp_path}/three")
    wait_until((tmp_path / "one").exists, 20, "the first command")
    worker.signal(signal.SIGSTOP)
    (tmp_path / "go").touch()
    wait_until((tmp_path / "three").exists, 6, "the third command")
    worker.signal(signal.SIGCONT)
    cluster.api.wait_job(job)
    assert told(journal(cluster, job), "begin", "end") == [f"{kind} {n}{end}" for n in (1, 2, 3)
                                                           for kind, end in (("begin", ""), ("end", " 0"))]


class OldServer(http.server.BaseHTTPRequestHandler):
    """Stands before the gateway and knows no journals."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "stream=journal" in self.path:
            self.answer(400, json.dumps({"success": False, "code": "SCHEMA", "error": "`stream` must be stdout or stderr."}).encode())
            return
        if body.startswith(b"{"):
            body = json.dumps({k: v for k, v in json.loads(body).items() if not k.startswith("journal")}).encode()
        headers = {"Content-Type": self.headers["Content-Type"]} if self.headers["Content-Type"] else {}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.server.target + self.path, body or None, headers,
                                                               method=self.command)) as got:
                self.answer(got.status, got.read())
        except urllib.error.HTTPError as refused:
            self.answer(refused.code, refused.read())
        except OSError:
            self.answer(503, b"{}")

    do_GET = do_PUT = do_POST

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def test_a_server_that_knows_no_journals_gets_the_rest(cluster):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), OldServer)
    server.target = cluster.server
    threading.Thread(target=server.serve_forever, daemon=True).start()
    cluster.server, real = f"http://127.0.0.1:{server.server_port}", cluster.server
    worker = cluster.worker("http")
    job = cluster.api.submit("echo one; sleep 0.5; seq 30000")
    status = cluster.api.wait_job(job)
    assert (status["status"], status["journalBytes"]) == ("completed", 0), status
    assert raw(cluster, job, "stdout") == b"one\n" + b"".join(b"%d\n" % n for n in range(1, 30001))
    assert worker.events("journal-given-up")
    worker.stop()
    server.shutdown()
    server.server_close()
    cluster.server = real
