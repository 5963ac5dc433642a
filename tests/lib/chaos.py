"""Everything at once: jobs over many workers of both kinds, while their programs are killed, stopped and cut at random.

Used by a short test, and for as long as wanted: chaos.py --seconds 300 --jobs 1000 [--seed N]. Ends by holding the whole
record against what must be true, and against what the commands themselves have noted.
"""

import argparse
import hashlib
import pathlib
import random
import signal
import sys
import tempfile
import threading
import time

import record
from cluster import Cluster
from proxy import Proxy

SHORT = ["--lease", "4s", "--offline", "6s", "--heartbeat", "1s", "--retry-backoff", "100ms", "--retry-backoff-max", "2s"]


class Chaos:
    def __init__(self, folder, jobs=120, seconds=20, workers=8, seed=1):
        self.folder, self.jobs, self.seconds = pathlib.Path(folder), jobs, seconds
        self.dice = random.Random(seed)
        self.notes = self.folder / "notes"
        self.notes.mkdir()
        self.cluster = Cluster(self.folder, broker_args=SHORT)
        # Half of the workers come by a cable of their own that can be cut.
        self.cables = [Proxy("127.0.0.1", int(self.cluster.broker_url.rsplit(":", 1)[1])), Proxy("127.0.0.1", self.cluster.port)]
        for cable in self.cables:
            self.cluster.on_close(cable)
        self.workers = [self.worker(number) for number in range(workers)]
        self.acknowledged, self.done = {}, threading.Event()
        self.struck = {}

    def worker(self, number):
        native = number % 2 == 0
        if number % 4 < 2:
            return self.cluster.worker("zmq" if native else "http", "--id", f"w{number}", "--slots", "2")
        cable = self.cables[0 if native else 1]
        where = ["--broker", f"tcp://127.0.0.1:{cable.port}"] if native else ["--server", f"http://127.0.0.1:{cable.port}"]
        worker = self.cluster._add("worker", [*where, "--work-dir", self.folder / f"work-{number}", "--id", f"w{number}", "--slots", "2", "--unsafe-no-sandbox"])
        return worker

    # ---- jobs ----

    def commands(self, number):
        """Prints bytes that are known beforehand, in some seconds or none, and notes each beginning."""
        dice = random.Random(number)
        size = dice.choice([10, 5_000, 50_000, 400_000])
        pause = dice.choice([0, 0.05, 0.5, 2])
        expected = b"".join(b"%d-%d\n" % (number, line) for line in range(size // 10))
        lines = [f"echo $GLEANER_ATTEMPT >> {self.notes}/{number}",
                 f"seq -f '{number}-%.0f' 0 {size // 10 - 1}" if size >= 10 else "true",
                 f"sleep {pause}", f"echo end-{number} >&2"]
        return "\n".join(lines), expected, b"end-%d\n" % number

    def submit_all(self):
        client = self.cluster.native()
        archive = None
        for number in range(self.jobs):
            command, _, _ = self.commands(number)
            while number not in self.acknowledged:
                try:
                    archive = archive or self.upload(client)
                    answer = client.ask("job-create", seconds=3, command=command, fileUrl=archive, filename="p.zip", maxAttempts=1000,
                                        idempotencyKey=f"chaos-{number}")
                    assert answer["type"] == "job-create-ok", answer
                    self.acknowledged[number] = answer["jobId"]
                except AssertionError as error:
                    if "no answer" not in str(error):
                        raise
                    client.open()
            time.sleep(self.seconds * 0.6 / self.jobs)

    @staticmethod
    def upload(client):
        from zips import zip_of
        data = zip_of({"a.txt": "x"})
        client.ask("blob-put", seconds=3, upload="chaos" * 6, offset=0, data=data)
        return client.ask("blob-commit", seconds=3, upload="chaos" * 6, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())["fileUrl"]

    # ---- trouble ----

    def strike(self):
        what = self.dice.choice(["kill broker", "kill gateway", "kill worker", "kill worker", "kill worker", "stop broker", "stop gateway",
                                 "stop worker", "stop worker", "cut", "cut"])
        self.struck[what] = self.struck.get(what, 0) + 1
        if what == "cut":
            cable = self.dice.choice(self.cables)
            cable.cut()
            time.sleep(self.dice.choice([0.5, 2, 7]))
            cable.mend()
            return
        how, name = what.split()
        program = self.dice.choice(self.workers) if name == "worker" else getattr(self.cluster, name)
        if how == "kill":
            program.kill()
            time.sleep(self.dice.choice([0, 0.3, 2]))
            program.start(seconds=60)
        else:
            program.signal(signal.SIGSTOP)
            time.sleep(self.dice.choice([0.3, 2, 7]))
            program.signal(signal.SIGCONT)

    def run(self):
        submitter = threading.Thread(target=self.submit_all, daemon=True)
        begun = time.monotonic()
        submitter.start()
        while time.monotonic() - begun < self.seconds:
            self.strike()
            time.sleep(self.dice.uniform(0, 1))
        submitter.join(60)
        assert len(self.acknowledged) == self.jobs, "not everything was submitted"
        self.wait_for_the_end(120)

    def wait_for_the_end(self, seconds):
        """After the last trouble everything ends within a bound."""
        end = time.monotonic() + seconds
        while True:
            info = self.cluster.api.get("/api/info")
            if info.status == 200 and info["pendingJobs"] + info["runningJobs"] == 0:
                return
            assert time.monotonic() < end, f"not over {seconds} s after the last trouble: {info}"
            time.sleep(0.2)

    # ---- what must be true ----

    def check(self):
        """Every job completed once, with the bytes that its command printed. Returns what there is to tell."""
        streams = {}
        for number, job in self.acknowledged.items():
            _, stdout, stderr = self.commands(number)
            for stream, expected in (("stdout", stdout), ("stderr", stderr)):
                got = self.cluster.api.get(f"/api/jobs/output?jobId={job}&stream={stream}").body
                assert got == expected, f"job {number}: {stream} has {len(got)} bytes of {len(expected)}, or others"
                streams[stream] = streams.get(stream, 0) + len(got)
        jobs = record.check(self.cluster, self.acknowledged.values())
        assert len(jobs) == self.jobs, "a key has made two jobs"
        begins = twice = 0
        for number, job in self.acknowledged.items():
            assert jobs[job]["status"] == "completed", jobs[job]
            begun = [int(attempt) for attempt in (self.notes / str(number)).read_text().split()]
            assert len(set(begun)) == len(begun), f"job {number}: an attempt was begun twice: {begun}"
            assert jobs[job]["attempt"] in begun
            begins, twice = begins + len(begun), twice + (len(begun) > 1)
        return {"jobs": self.jobs, "begun": begins, "begun more than once": twice, "bytes": sum(streams.values()), **self.struck}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        chaos = Chaos(folder, args.jobs, args.seconds, args.workers, args.seed)
        chaos.run()
        print(chaos.check(), flush=True)
        chaos.cluster.close()


if __name__ == "__main__":
    sys.exit(main())
