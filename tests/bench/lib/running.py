"""Commands that run, and files that go up and down."""
import contextlib, json, os, shutil, statistics, subprocess, sys, time
from pathlib import Path

import peers
from programs import BIN, Programs, big_zip, http_load, jobs_of, run_job, submit, tool, upload, wait_for
from table import Failure

SLOTS = 4
PATIENCE_S = 300


def through_gleaner(p, url, count):
    """Jobs `true` a second, from the first create until all of them are completed."""
    body = json.dumps({"command": "true", "fileUrl": url, "filename": "p.zip"})
    start = time.monotonic()
    p.load(16, count, "POST", "/api/jobs/create", body)
    while (info := p.call("GET", "/api/info"))["pendingJobs"] + info["runningJobs"]:
        if time.monotonic() - start > PATIENCE_S:
            raise Failure(f"{info['pendingJobs']} jobs still wait after {PATIENCE_S} s")
        time.sleep(0.005)
    rate = max(count, 16) / (time.monotonic() - start)
    if jobs_of(p, "failed", 1):
        raise Failure("a job that is `true` failed")
    return rate


def through_parallel(path, count):
    start = time.monotonic()
    run = subprocess.run([path, "--will-cite", f"-j{SLOTS}", "-n0", "true"], input="\n".join(map(str, range(count))) + "\n",
                         capture_output=True, text=True)
    if run.returncode:
        raise Failure(f"parallel ended with status {run.returncode}: {run.stderr[-200:]}")
    return count / (time.monotonic() - start)


def commands(b):
    """`true` end to end, 4 slots, no sandbox; bare posix_spawn of `sh -c true`, GNU parallel"""
    count = b.of(5000, 16)
    with Programs(b.new_folder("commands")) as p:
        p.broker_and_gateway()
        p.worker(*p.native(), "--slots", SLOTS)
        job = submit(p, b"true")
        url = wait_for(p, job, "completed")["fileUrl"]
        contestants = {"gleaner": lambda n: through_gleaner(p, url, n),
                       "posix_spawn": lambda n: tool("bench-spawn", n, SLOTS)["per_second"]}
        reasons = {}
        try:
            path = peers.need("parallel", "parallel", b.may_install)
            contestants["parallel"] = lambda n: through_parallel(path, n)
        except Failure as why:
            reasons["parallel"] = str(why)
        contest = b.contest(contestants, count, reasons, fixed=True)
        for peer, least in (("posix_spawn", 0.8), ("parallel", 3)):
            b.ratio(f"`true`, {count:,} jobs, {SLOTS} slots, to {peer}", contest, "gleaner", peer, "/s", least)


def shell(b):
    """`gleaner run -- true`; the same job by HTTP, asked for each 5 ms"""
    count = b.of(200, 3)
    with Programs(b.new_folder("shell")) as p:
        p.broker_and_gateway()
        p.worker(*p.native())
        folder = b.new_folder("project")
        folder.mkdir()
        (folder / "a.txt").write_text("a")
        command = [BIN / "gleaner", "run", "--server", f"http://127.0.0.1:{p.port}", "--", "true"]
        times = {"run": [], "http": []}
        for turn in range(count + 2):  # in turns; the first two warm up
            begun = time.monotonic()
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, "XDG_CACHE_HOME": str(p.folder)})
            ran = time.monotonic()
            if done.returncode:
                raise Failure(f"gleaner run ended with status {done.returncode}: {done.stderr[-200:]}")
            run_job(p, b"true")
            if turn >= 2:
                times["run"].append((ran - begun) * 1000)
                times["http"].append((time.monotonic() - ran) * 1000)
        run, http = (statistics.median(times[name]) for name in ("run", "http"))
        b.table.add(f"`gleaner run -- true`, {count} jobs", run, "ms", peer=http, peer_name="HTTP")
        b.table.add("what `gleaner run` adds to such a job", run - http, "ms", target="<= 30 ms", met=run - http <= 30)


def sandbox(b):
    """A sandboxed job of `true`, one after the other; bwrap with the same arguments and `true`"""
    folder = b.new_folder("sandbox")
    folder.mkdir()
    started = lambda what: lambda n: tool("bench-sandbox", what, BIN / "gleaner-keeper", folder, n)["per_second"]
    contest = b.contest({"sandbox": started("ours"), "bwrap": started("bwrap")}, b.of(300, 4), fixed=True)
    b.ratio("start of a sandbox with its keeper and a command, to bwrap alone", contest, "sandbox", "bwrap", "/s", 0.77)


def hashing(engine, path, copy):
    run = subprocess.run([sys.executable, Path(__file__).with_name("hashing.py"), engine, path, copy], capture_output=True, text=True)
    if run.returncode:
        raise Failure(f"sha256 by {engine}: {run.stderr.strip()[-200:]}")
    return json.loads(run.stdout)["seconds"]


def fastest_engine(folder):
    """The quicker SHA-256 on this machine."""
    probe = big_zip(folder / "probe.zip", 32)
    seconds = {}
    for engine in ("openssl", "sodium"):
        with contextlib.suppress(Failure):
            seconds[engine] = min(hashing(engine, probe, folder / "probe.copy") for _ in range(2))
    if not seconds:
        raise Failure("there is neither OpenSSL's SHA-256 nor libsodium's")
    return min(seconds, key=seconds.get)


def make_new(path):
    """Changes the file's bytes: a file that is there already is not what is measured."""
    with open(path, "r+b") as f:
        f.seek(4096)
        f.write(os.urandom(16))


def files(b):
    """1 GiB up, hashed and fsynced; sha256 and fsync on one core. Down; nginx's sendfile"""
    mib = b.of(1024)
    with contextlib.ExitStack() as stack:
        p = stack.enter_context(Programs(b.new_folder("files"))).broker_and_gateway()
        there, reasons = b.peers(stack, peers.Nginx)
        path = big_zip(p.folder / "big.zip", mib)
        engine = fastest_engine(p.folder)
        size = path.stat().st_size / 1e6
        last = {}

        def up(_):
            make_new(path)
            last["job"], seconds = upload(p, path)
            return size / seconds

        def sha(_):
            make_new(path)
            return size / hashing(engine, path, p.folder / "copy")

        name = f"sha256 ({engine})"
        b.ratio(f"upload of {mib} MiB, hashed and fsynced", b.contest({"upload": up, name: sha}, 1, fixed=True), "upload", name, "MB/s", 0.5)
        down(b, p, path, last.get("job"), there, reasons)


def down(b, p, path, job, there, reasons):
    what = f"download of {path.stat().st_size >> 20} MiB"
    if not job:
        b.table.failed(what, "there is no upload to download")
        return
    url = p.call("GET", f"/api/jobs/status?jobId={job}")["fileUrl"]
    size, times = path.stat().st_size / 1e6, 2
    rate = lambda port, target: lambda n: size * http_load(port, 1, n, "GET", target)["per_second"]
    contestants = {"download": rate(p.port, url)}
    if there:
        shutil.copy(path, there["nginx"].folder / "www/big.zip")
        contestants["nginx"] = rate(there["nginx"].port, "/big.zip")
    b.table.info("    the same for the first time: from the broker, verified, for information", contestants["download"](1), "MB/s")
    b.ratio(what, b.contest(contestants, times, reasons, fixed=True), "download", "nginx", "MB/s", 0.7)


def dispatch_ms(p, count, *transport):
    """Median from the submission's acknowledgement until the command runs, by the clock that both read."""
    process = p.worker(*transport)
    waits = []
    for _ in range(count):
        time.sleep(0.02)
        status, acknowledged = run_job(p, b"date +%s%N")
        waits.append((int(status["stdout"]) - acknowledged) / 1e6)
    p.end(process)
    return statistics.median(waits)


def dispatch(b):
    """Create acknowledged -> its command runs"""
    with Programs(b.new_folder("dispatch")) as p:
        p.broker_and_gateway()
        for name, transport in (("native", p.native()), ("HTTP", p.over_http())):
            b.table.at_most(f"create acknowledged -> command runs, {name} worker, median", dispatch_ms(p, b.of(40, 10), *transport), "ms", 20)


PARTS = (commands, shell, sandbox, files)
