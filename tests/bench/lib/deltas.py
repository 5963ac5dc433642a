"""A project of 200 MB that comes again: what is sent of it, and how long it takes until its command starts."""
import json, os, random, statistics, subprocess, time

from programs import BIN, Programs
from table import Failure

FILES, FILE_BYTES = 4000, 50_000
FILES_LEAST = 40
EDIT_S = 5  # how long somebody takes to change a line, at the least


def make_project(folder, count):
    """Half of the files are words, half are noise."""
    rng = random.Random(5)
    words = [f"w{rng.getrandbits(20):05x}" for _ in range(5000)]
    for n in range(count):
        path = folder / f"d{n % 40}" / f"f{n}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(FILE_BYTES) if n % 2 else " ".join(rng.choices(words, k=FILE_BYTES // 7)).encode())


def run(p, project):
    """Seconds from the start of `gleaner run` until its command has printed when it started, and bytes sent."""
    env = {**os.environ, "GLEANER_SERVER": f"http://127.0.0.1:{p.port}", "XDG_CACHE_HOME": str(p.folder / "cache")}
    start = time.time()
    done = subprocess.run([BIN / "gleaner", "run", project, "--json", "--", "date +%s.%N >&2; sleep 0.1"], env=env, capture_output=True, text=True)
    job = json.loads(done.stdout) if done.returncode == 0 else {}
    if not job.get("stderr"):
        raise Failure(f"gleaner run ended with {done.returncode}: {done.stderr[-200:]}")
    return float(job["stderr"]) - start, job["sentBytes"]


def edits(p, project, edit_s, times=5):
    """Seconds and bytes of that many runs, each so long after the one before, with one line more."""
    seconds, sent = [], []
    for _ in range(times):
        time.sleep(edit_s)
        with open(project / "d3/f3.txt", "a") as file:
            file.write("one more line\n")
        took, size = run(p, project)
        seconds.append(took)
        sent.append(size)
    return seconds, sent


def deltas(b):
    """`gleaner run` of a project of 200 MB, in a sandbox: the first time, as it was, after one line was edited"""
    with Programs(b.new_folder("deltas")) as p:
        p.broker_and_gateway()
        p.worker(*p.over_http(), sandbox=True)
        project = p.folder / "project"
        make_project(project, b.of(FILES, FILES_LEAST))
        first, _ = run(p, project)
        b.table.info("until the command starts, first run of 200 MB", first, "s")
        edit_s = b.of(EDIT_S, 0)
        seconds, sent = edits(p, project, edit_s, 1)
        b.table.at_most(f"until the command starts, first edit, of {edit_s} s, after that", seconds[0], "s", 1, runs=(seconds,))
        b.table.at_most("sent of it then", max(sent) / 1e6, "MB", 1)
        again = [run(p, project)[0] for _ in range(3)]
        b.table.info("until the command starts, the same once more", statistics.median(again), "s", runs=(again,))
        at_once, _ = edits(p, project, 0)
        b.table.at_most("until the command starts, after a line was edited within a moment", statistics.median(at_once), "s", 1, runs=(at_once,))
        seconds, sent = edits(p, project, edit_s)
        b.table.at_most(f"until the command starts, after a line was edited for {edit_s} s", statistics.median(seconds), "s", 1, runs=(seconds,))
        b.table.at_most("sent of it then", max(sent) / 1e6, "MB", 1)


PARTS = (deltas,)
