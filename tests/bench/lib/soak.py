"""Half of the maximum rate for long: does it stay as it was?"""
import os, statistics, threading
from pathlib import Path

from programs import Programs, rss_kib, tool
from table import Failure, warn

CLIENTS = 64
KEEP_S = 20  # a finished job's record goes after that, so that the disk can be flat; a tenth of the soak if that is less
SAMPLE_S = 1
FLAT = 1.2
FLOOR_MIB = 8  # growth below this is no growth


class Watcher(threading.Thread):
    """Memory, open files and disk of a broker, sample by sample."""

    def __init__(self, p):
        super().__init__(daemon=True)
        self.p, self.samples, self.ended = p, [], threading.Event()

    def run(self):
        while not self.ended.wait(SAMPLE_S):
            try:
                self.samples.append((rss_kib(self.p.broker) / 1024, len(os.listdir(f"/proc/{self.p.broker.pid}/fd")), used_mib(self.p.folder / "data")))
            except (OSError, Failure):
                return  # it has ended

    def stop(self):
        self.ended.set()
        self.join()
        return self.samples


def used_mib(folder):
    total = 0
    for path in Path(folder).rglob("*"):
        try:
            total += path.stat().st_blocks * 512
        except OSError:
            pass  # gone meanwhile
    return total / (1 << 20)


def flat(b, what, values, unit, floor):
    """A row: the median of the last fifth to that of the third fifth, when retention has begun to work."""
    fifth = max(1, len(values) // 5)
    before, after = statistics.median(values[2 * fifth:3 * fifth]), statistics.median(values[-fifth:])
    ratio = after / before if before else 1.0
    b.table.add(what, after, unit, peer=before, peer_name="midway", ratio=ratio, target=f"<= {FLAT} x", met=ratio <= FLAT or after - before <= floor)


def soak(b):
    """Half of the maximum rate for --soak seconds, from when old jobs go as fast as new ones come: latencies, memory, files and disk stay"""
    seconds = max(10 if b.scale == 1 else 5, b.soak_seconds)
    keep = max(1, min(KEEP_S, seconds // 10))
    with b.table.measuring("soak"), Programs(b.new_folder("soak")) as p:
        p.broker_and_gateway("--keep-jobs", f"{keep}s", "--keep-output", f"{keep}s")
        rates = [tool("bench-cycle", "native", p.native_port, b.of(20_000, CLIENTS), CLIENTS, CLIENTS)["cycles_per_second"] for _ in range(b.rounds)]
        rate = max(1, int(statistics.median(rates) / 2))
        b.table.info("soak: the maximum rate, native life cycles", statistics.median(rates), "/s", runs=[rates])
        warn(f"soak of {seconds} s at {rate} jobs/s")
        young = tool("bench-cycle", "pace", "native", p.native_port, rate, keep, CLIENTS, CLIENTS)["tenths"][-1]
        b.table.info("soak: create p50, before anything is old enough to go", young["create_p50_us"] / 1000, "ms")
        watcher = Watcher(p)
        watcher.start()
        result = tool("bench-cycle", "pace", "native", p.native_port, rate, seconds, CLIENTS, CLIENTS)
        samples = watcher.stop()
        report(b, result, samples, rate, seconds)


def report(b, result, samples, rate, seconds):
    first, last = result["tenths"][0], result["tenths"][-1]
    b.table.at_least(f"soak, {seconds} s: rate that was kept up", result["per_second"], "/s", round(rate * 0.98))
    for step in ("create", "finish"):
        for which in ("p50", "p99"):
            before, after = first[f"{step}_{which}_us"] / 1000, last[f"{step}_{which}_us"] / 1000
            ratio = after / before if before else 0.0
            b.table.add(f"soak, {seconds} s: {step} {which}, last tenth to first", after, "ms", peer=before, peer_name="first", ratio=ratio,
                        target=f"<= {FLAT} x", met=ratio <= FLAT)
    if len(samples) < 5:
        raise Failure("too few samples of memory, files and disk")
    for at, (what, unit, floor) in enumerate((("memory", "MiB", FLOOR_MIB), ("open files", "", 0), ("disk after retention", "MiB", FLOOR_MIB))):
        flat(b, f"soak, {seconds} s: {what}, last fifth to midway", [s[at] for s in samples], unit, floor)


PARTS = (soak,)
