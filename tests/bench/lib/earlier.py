"""Figures that were asked for before there were peers: limits of our own, without a ratio."""
import json, shutil, signal, statistics, subprocess, time

from growth import crowd
from programs import BIN, CREATE, Programs, big_zip, newest_ids, operations, rss_kib, run_job, submit, upload, wait_for
from queues import LIMITS
from running import dispatch
from table import Failure, warn

PENDING = 100_000
WORKERS = 10_000


def idle(b):
    """Each operation on one connection, durability on"""
    with Programs(b.new_folder("idle")) as p:
        p.broker_and_gateway()
        few = operations(p, 1, b.of(500, 20))
        for name, limit in LIMITS.items():
            b.table.at_most(f"idle, one connection: {name}, median", few[name]["p50_us"] / 1000, "ms", limit)


def long_output(p, length, *transport):
    """Peak RSS in MiB of broker, gateway and worker, since they started, with a job that prints this many bytes."""
    process = p.worker(*transport)
    status, _ = run_job(p, b"head -c %d /dev/zero" % length)
    peaks = [rss_kib(x, "VmHWM") / 1024 for x in (p.broker, p.gateway, process)]
    p.end(process)
    told = status["stdoutBytes"] + (status.get("stdoutDropped") or 0)
    if told != length or status["status"] != "completed" or status["exitCode"] != 0:
        raise Failure(f"a job that prints {length} bytes: {({k: v for k, v in status.items() if k != 'stdout'})}")
    return peaks


def output(b):
    """A job that prints 10 GiB: memory"""
    mib = b.of(10 * 1024)
    for name in ("HTTP", "native"):
        with b.table.measuring(f"a job prints {mib:,} MiB, {name} worker"), Programs(b.new_folder("output")) as p:
            p.broker_and_gateway()
            peaks = long_output(p, mib << 20, *(p.native() if name == "native" else p.over_http()))
            for program, peak in zip(("broker", "gateway", "worker"), peaks):
                b.table.at_most(f"a job prints {mib:,} MiB, {name} worker: peak of the {program}", peak, "MiB", 64)


def uploading(b):
    """An upload of 1 GiB: memory"""
    mib = b.of(1024)
    with Programs(b.new_folder("uploading")) as p:
        p.broker_and_gateway()
        path = big_zip(p.folder / "big.zip", mib)
        before = [rss_kib(x) for x in (p.gateway, p.broker)]
        _, seconds = upload(p, path)
        peaks = [rss_kib(x, "VmHWM") for x in (p.gateway, p.broker)]
        for name, peak, rss in zip(("gateway", "broker"), peaks, before):
            b.table.at_most(f"{mib} MiB upload: growth of the {name}", (peak - rss) / 1024, "MiB", 32)
        b.table.info("    the same upload, for information", mib * 1.048576 / seconds, "MB/s")


def load(b):
    """Creates and reads over HTTP: rates of our own"""
    jobs = b.of(PENDING, 500)
    with Programs(b.new_folder("load")) as p:
        p.broker_and_gateway()
        rss = rss_kib(p.broker)
        creates = p.load(64, jobs, "POST", "/api/jobs/create", CREATE)
        b.table.at_least("durable creates over HTTP, 64 connections", creates["per_second"], "/s", 10000)
        b.table.at_most("broker memory a pending job", (rss_kib(p.broker) - rss) * 1024 / jobs, "bytes", 1024)
        reads = p.load(64, 2 * jobs, "GET", "/api/jobs/status?jobId=@", lines=newest_ids(p))
        b.table.at_least("status reads over HTTP, 64 connections", reads["per_second"], "/s", 30000)


def workers(b):
    """10,000 workers; with --quick both are a tenth, the workers and their share of a core"""
    count = b.of(WORKERS, 20)
    for name, options in (("a connection each", ()), ("one connection", ("--one-connection",))):
        what = f"{count:,} workers, {name}"
        with b.table.measuring(what), Programs(b.new_folder("workers")) as p:
            p.broker_and_gateway()
            cost = crowd(p, "--workers", count, "--settle", 20, "--seconds", 30, *options)
            b.table.at_least(f"{what}: registered within two minutes", cost["workers"], "", count)
            b.table.at_most(f"{what}: the broker's share of a core", cost["cpu_share"] * 100, "%", 10 * count / WORKERS)
            b.table.info("    of it the main thread, for information", cost["main_share"] * 100, "%")
            b.table.at_most(f"{what}: broker memory a worker", cost["bytes_per_worker"], "bytes", 2048)
            b.table.at_most(f"{what}: written to disk meanwhile", cost["data_bytes"], "bytes", 0)


def count_syncs(p, count):
    """Heartbeats and renewals, and the broker's writes to files and waits for a disk while there is nothing else."""
    calls = p.folder / "syncs"
    crowded = subprocess.Popen([BIN / "bench-workers", p.endpoint, str(p.broker.pid), "--workers", str(count), "--busy", str(count),
                                "--heartbeat", "1000", "--settle", "3", "--seconds", "15"], stdout=subprocess.PIPE, text=True)
    time.sleep(6)
    trace = subprocess.Popen(["strace", "-f", "-o", calls, "-e", "trace=fsync,fdatasync,sync_file_range,msync,pwrite64",
                              "-p", str(p.broker.pid)], stderr=subprocess.DEVNULL)
    seen = lambda: sum("(" in line for line in calls.read_text().splitlines())
    time.sleep(10)
    quiet = seen()
    p.call("POST", "/api/jobs/create", json.loads(CREATE))
    time.sleep(0.5)
    if seen() == quiet:
        raise Failure("strace sees nothing, not even what a new job costs")
    trace.send_signal(signal.SIGINT)
    trace.wait(20)
    done = json.loads(crowded.communicate()[0])
    return done["heartbeats"] + done["renewals"], quiet


def renewals(b):
    """Lease renewals write nothing"""
    what = "fsyncs and writes to files over heartbeats and renewals"
    if not shutil.which("strace"):
        warn("fsyncs of lease renewals: not counted, there is no strace")
        return
    with b.table.measuring(what), Programs(b.new_folder("renewals")) as p:
        p.broker_and_gateway("--lease", "3s")
        messages, calls = count_syncs(p, 200)
        if messages < 2000:
            raise Failure(f"only {messages} heartbeats and renewals came through")
        b.table.at_most(f"fsyncs and writes to files over {messages:,} heartbeats and renewals", calls, "calls", 0)


def until_queued(p, signals):
    """Seconds from the signals to a native worker that runs a job until the job is queued again."""
    process = p.worker(*p.native())
    job = submit(p, b"sleep 600")
    wait_for(p, job, "running")
    time.sleep(1)  # it has renewed its lease
    start = time.time()
    for sent in signals:
        process.send_signal(sent)
        time.sleep(0.05)
    wait_for(p, job, "pending")
    seconds = time.time() - start
    p.call("POST", "/api/jobs/cancel", {"jobId": job})
    process.send_signal(signal.SIGCONT)
    process.kill()
    process.wait(20)
    p.started.remove(process)
    return seconds


def lost(b):
    """The job is in the queue again once the broker knows that its worker is lost"""
    lease = 6
    with Programs(b.new_folder("lost")) as p:
        p.broker_and_gateway("--lease", f"{lease}s")
        b.table.at_most("a native worker says goodbye -> its job is queued", until_queued(p, (signal.SIGTERM, signal.SIGTERM)), "s", 1)
        # The broker gives a closed connection 3 s to come back (rule 18 of proto/README.md).
        b.table.at_most("one is killed -> its job is queued", until_queued(p, (signal.SIGKILL,)), "s", 3.5)
        b.table.at_most(f"one falls silent, leases of {lease} s -> its job is queued", until_queued(p, (signal.SIGSTOP,)), "s", lease)


def call_ms(p, path):
    start = time.time()
    answer = p.call("GET", path)
    return (time.time() - start) * 1000, answer


def whole_walk(p, query):
    """Milliseconds of a call, median, and seconds of all calls, until there is no cursor any more."""
    times, cursor = [], ""
    while cursor is not None:
        took, page = call_ms(p, f"/api/jobs?brief=1&{query}{cursor and '&cursor=' + cursor}")
        times.append(took)
        cursor = page.get("cursor")
    return statistics.median(times), sum(times) / 1000


def lists(b):
    """Lists of jobs, with every filter, of 1,000,000 finished ones"""
    for length, jobs in ((20, b.of(1_000_000)), (8000, b.of(100_000))):
        what = f"{jobs:,} jobs of {length} bytes"
        with b.table.measuring(what), Programs(b.new_folder("lists")) as p:
            p.preload(jobs, length).broker_and_gateway()
            middle = p.call("GET", "/api/jobs?brief=1&limit=1")["jobs"][0]["createdAt"] - jobs // 2
            for query in ("", "state=completed", "state=failed", "state=pending", "state=running", "worker=bench-worker-7", "label=kind",
                          "label=kind=nightly", f"since={middle}", f"until={middle}", "text=make", "text=nightly",
                          "state=failed&worker=bench-worker-0", "label=kind&worker=bench-worker-7", "state=completed&label=kind",
                          "text=nightly&state=failed", "text=no-such-text", "text=no-such-text&worker=bench-worker-7"):
                for brief in ("&brief=1", "") if not query else ("&brief=1",):
                    times = [call_ms(p, f"/api/jobs?{query}{brief}")[0] for _ in range(9)]
                    b.table.at_most(f"{what}: {query or 'newest 50'}{'' if brief else ', whole'}", statistics.median(times), "ms", 40)
            call, seconds = whole_walk(p, "text=no-such-text")
            b.table.at_most(f"{what}: a text that is nowhere, a call of them", call, "ms", 40)
            b.table.at_most(f"{what}: a text that is nowhere, all calls", seconds, "s", 10)


PARTS = (idle, dispatch, output, uploading, load, workers, renewals, lost, lists)
