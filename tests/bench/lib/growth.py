"""What many jobs and workers cost: time, memory, a restart, parked polls, idleness."""
import contextlib, json, resource, signal, statistics, subprocess, time

from peers import free_port
from programs import BIN, CREATE, Programs, operations, rss_kib, tool
from table import Failure

FINISHED, FEW_FINISHED = 1_000_000, 1000
PENDING, FEW_PENDING = 1_000_000, 100
RESTART_PENDING = 100_000
WORKERS = 10_000
PARKED = 10_000
FILES_A_POLL = 2  # a gateway keeps a descriptor in reserve for each connection
SPARE_POLLS = 200  # files for everything else
FLAT_MIB = 24
COST = 1.2


def in_turns(b, what, few, full):
    """Rows: medians of each operation on one connection and the time of a native life cycle, the full one's to the other's."""
    count = b.of(500, 16)
    for p in (few, full):
        operations(p, 1, count)  # to warm up
    runs = [(operations(few, 1, count), operations(full, 1, count)) for _ in range(b.rounds)]
    for name in runs[0][0]:
        ours, base = ([r[i][name]["p50_us"] / 1000 for r in runs] for i in (1, 0))
        compare(b, f"{what}: {name}", ours, base, "ms")
    jobs = b.of(20_000, 64)
    lives = [[1e6 / tool("bench-cycle", "native", p.native_port, jobs, 64, 64)["cycles_per_second"] for p in (few, full)] for _ in range(b.rounds)]
    compare(b, f"{what}: a life cycle, 64 + 64 clients", [l[1] for l in lives], [l[0] for l in lives], "us")


def compare(b, what, ours, base, unit):
    ratio = statistics.median(a / c for a, c in zip(ours, base))
    b.table.add(what, statistics.median(ours), unit, peer=statistics.median(base), peer_name="few", ratio=ratio, target=f"<= {COST} x",
                met=ratio <= COST, runs=(ours, base))


def many(b):
    """Cost per operation with 1,000,000 finished jobs to that with 1,000, and 1,000,000 pending ones to 100; memory"""
    for kind, few_jobs, full_jobs in (("finished", FEW_FINISHED, b.of(FINISHED)), ("pending", FEW_PENDING, b.of(PENDING))):
        what = f"{full_jobs:,} {kind} jobs to {few_jobs:,}"
        with b.table.measuring(what), Programs(b.new_folder("few")) as few, Programs(b.new_folder("full")) as full:
            amounts = (lambda n: (0, 20, n)) if kind == "pending" else (lambda n: (n, 20, 0))
            few.preload(*amounts(few_jobs)).broker_and_gateway()
            full.preload(*amounts(full_jobs)).broker_and_gateway()
            more = rss_kib(full.broker) - rss_kib(few.broker)
            if kind == "pending":
                b.table.at_most(f"memory of a pending job, {full_jobs:,} of them after a restart", more * 1024 / full_jobs, "bytes", 512)
            in_turns(b, what, few, full)
            if kind == "finished":
                more = rss_kib(full.broker) - rss_kib(few.broker)
                b.table.at_most(f"{what}: broker memory, more after the same work", more / 1024, "MiB", FLAT_MIB)


def memory(b):
    """Of a pending job that was just created, of a connected worker"""
    jobs = b.of(100_000, 500)
    with b.table.measuring("memory of a pending job"), Programs(b.new_folder("memory")) as p:
        p.broker_and_gateway()
        p.load(64, b.of(1000, 64), "POST", "/api/jobs/create", CREATE)
        before = rss_kib(p.broker)
        p.load(64, jobs, "POST", "/api/jobs/create", CREATE)
        b.table.at_most(f"memory of a pending job, {jobs:,} created", (rss_kib(p.broker) - before) * 1024 / jobs, "bytes", 512)
    count = b.of(WORKERS, 20)
    with b.table.measuring("memory of a connected worker"), Programs(b.new_folder("memory")) as p:
        p.broker_and_gateway()
        cost = crowd(p, "--workers", count, "--settle", b.of(10, 1), "--seconds", 1)
        if cost["workers"] != count:
            raise Failure(f"only {cost['workers']} of {count} workers registered within two minutes")
        b.table.at_most(f"memory of a connected worker, {count:,} of them", cost["bytes_per_worker"], "bytes", 2048)
    with b.table.measuring("memory of a worker"), Programs(b.new_folder("memory")) as p:
        p.broker_and_gateway()
        cost = crowd(p, "--workers", count, "--settle", b.of(10, 1), "--seconds", 1, "--one-connection")
        b.table.info("    of it the broker's own: all over one connection, for information", cost["bytes_per_worker"], "bytes")


def crowd(p, *options):
    cost = tool("bench-workers", p.endpoint, p.broker.pid, *options)
    if cost["errors"]:
        raise Failure(f"bench-workers: {cost['errors']} answers were errors")
    return cost


def restart(b):
    """A killed broker starts again, until its first answer"""
    finished, pending = b.of(FINISHED), b.of(RESTART_PENDING)
    what = f"restart to first answer, {finished:,} finished and {pending:,} pending"
    with b.table.measuring(what), Programs(b.new_folder("restart")) as p:
        port, times = free_port(), []
        p.preload(finished, 20, pending).start_broker(listen=f"tcp://127.0.0.1:{port}")
        for _ in range(b.rounds):
            p.start_gateway()
            p.load(16, b.of(2000, 16), "POST", "/api/jobs/create", CREATE)
            p.end(p.gateway)
            p.end(p.broker, signal.SIGKILL)
            first = subprocess.Popen([BIN / "bench-cycle", "first", "native", str(port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            try:
                p.start_broker(listen=f"tcp://127.0.0.1:{port}")
            finally:
                said = first.communicate(timeout=150)
            if first.returncode:
                raise Failure(f"no first answer: {said[1].decode()[-200:]}")
            times.append(json.loads(said[0])["first_answer_ms"] / 1000)
        b.table.at_most(what, statistics.median(times), "s", 1, runs=[times])


def parked(b):
    """10,000 long polls wait at the gateway; fewer where no more open files are allowed, which the row says then"""
    asked, jobs = b.of(PARKED, 50), b.of(1000, 20)
    count = min(asked, allowed_files() // FILES_A_POLL - SPARE_POLLS)
    what = f"{count:,} parked long polls" + (" (open files allow no more)" if count < asked else "")
    with b.table.measuring(what), Programs(b.new_folder("parked")) as p:
        if count < asked / 2:
            raise Failure(f"it needs {FILES_A_POLL * (asked + SPARE_POLLS)} open files: run as root, or raise `ulimit -Hn`")
        p.broker_and_gateway(gateway_options=("--connection-limit", count + 100))
        result = tool("bench-cycle", "dispatch", "http", p.port, jobs, 3, count, p.gateway.pid)
        grown = (result["rss_waiting_kib"] - result["rss_before_kib"]) / count
        b.table.at_most(f"{what}: gateway memory of each", grown, "KiB", 16)
        p99 = result["handed_p99_us"] / 1000
        b.table.at_most(f"{what}: create acknowledged -> in hand, p99", p99, "ms", 10)
        b.table.info("    create sent -> job in hand, p99, for information", result["whole_p99_us"] / 1000, "ms")


def allowed_files():
    """Open files that the programs we start may have; raised as far as the system lets us."""
    wanted = FILES_A_POLL * (PARKED + SPARE_POLLS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        with contextlib.suppress(ValueError, OSError):  # not everybody may
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return wanted
        wanted = hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def quiet(b):
    """1,000 workers are connected and nothing happens"""
    count = b.of(1000, 20)
    with b.table.measuring(f"CPU when idle, {count:,} workers"), Programs(b.new_folder("quiet")) as p:
        p.broker_and_gateway()
        cost = crowd(p, "--workers", count, "--settle", b.of(20, 1), "--seconds", b.of(60, 1))
        if cost["workers"] != count:
            raise Failure(f"only {cost['workers']} of {count} workers registered within two minutes")
        b.table.at_most(f"CPU when idle, {count:,} workers connected: share of a core", cost["cpu_share"] * 100, "%", 1)


def scrapes(b):
    """GET /metrics while 10,000 workers are connected and poll, and while as many are known and quiet"""
    count, reads = b.of(WORKERS, 20), b.of(1000, 50)
    with b.table.measuring("GET /metrics"), Programs(b.new_folder("scrapes")) as p:
        p.broker_and_gateway()
        crowded = subprocess.Popen([BIN / "bench-workers", p.endpoint, str(p.broker.pid), "--workers", str(count), "--settle", "3",
                                    "--seconds", str(b.of(60, 5))], stdout=subprocess.PIPE, text=True)
        try:
            wait_for_workers(p, count)
            busy = scrape_times(p, reads)
        finally:
            crowded.terminate()
            crowded.wait(30)
        wait_for_workers(p, 0, online=True)
        quiet = scrape_times(p, reads)
        what = f"GET /metrics, {count:,} workers known"
        b.table.at_most(f"{what}: median", statistics.median(quiet), "ms", 5)
        b.table.at_most(f"{what}: p99", quiet[len(quiet) * 99 // 100], "ms", 5)
        what = f"GET /metrics, {count:,} workers connected, polling"
        b.table.at_most(f"{what}: median", statistics.median(busy), "ms", 5)
        b.table.at_most(f"{what}: p99", busy[len(busy) * 99 // 100], "ms", 5)


def scrape_times(p, reads):
    """In ms, sorted; apart from each other, as scrapes are: one after the other they would find the loop awake."""
    times = []
    for _ in range(reads):
        time.sleep(0.011)
        begun = time.perf_counter()
        p.call_raw("GET", "/metrics")
        times.append((time.perf_counter() - begun) * 1000)
    return sorted(times)


def wait_for_workers(p, count, online=False):
    """Until so many are known, or online."""
    for _ in range(1200):
        listed = [w for w in p.call("GET", "/api/workers/list")["workers"] if w["status"] != "offline"] if online else []
        if len(listed) == count if online else p.call("GET", "/api/info")["totalWorkers"] >= count:
            return
        time.sleep(0.1)
    raise Failure(f"not all of {count} workers came or went within two minutes")


PARTS = (many, memory, restart, parked, quiet, scrapes)
