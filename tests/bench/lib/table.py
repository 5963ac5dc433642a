"""The table: a row a figure, beside what was asked for, and what makes a figure doubtful."""
import contextlib, json, os, statistics, sys
from pathlib import Path

NOISY = 0.20  # spread of repeated runs beyond which a figure is marked
ELSEWHERE = 0.1  # share of all processors that others may use before a figure is marked
WINDOW_S = 0.5  # the kernel counts by hundredths of a second: below this a share means nothing


class Failure(Exception):
    """Why something could not be measured, in one sentence."""


def spread(values):
    """How far repeated runs lie apart, as a share of their median."""
    middle = statistics.median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


class Elsewhere:
    """What processors did for programs that are not ours, by the kernel's counts."""

    def __init__(self):
        self.hz = os.sysconf("SC_CLK_TCK")
        self.reset()

    def reset(self):
        self.at, self.last = self.read(), 0.0

    def read(self):
        """Seconds: of processors that were busy or stolen, of ours, of all processors. Interrupts are nobody's."""
        words = [int(w) / self.hz for w in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        return words[0] + words[1] + words[2] + words[7], self.ours(), sum(words[:8])

    def ours(self):
        """Of this process, those it has waited for, and its living descendants with those they have waited for."""
        times = os.times()
        total, parents, used = sum(times[:4]), {}, {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = path.read_text().rsplit(")", 1)[1].split()
                pid = int(path.parent.name)
                parents[pid], used[pid] = int(fields[1]), sum(map(int, fields[11:15])) / self.hz
        for pid in used:
            above = parents[pid]
            while above > 1 and above != os.getpid():
                above = parents.get(above, 0)
            total += used[pid] if above == os.getpid() else 0
        return total

    def share(self):
        """Of all processors, since the last time; rows that come at once were measured at once."""
        now = self.read()
        busy, ours, every = (a - b for a, b in zip(now, self.at))
        if every > WINDOW_S * os.cpu_count():
            self.at, self.last = now, max(0.0, (busy - ours) / every)
        return self.last


class Table:
    def __init__(self):
        self.rows, self.part, self.elsewhere = [], "", Elsewhere()

    def add(self, what, ours=None, unit="", *, target="", met=None, peer=None, peer_name="", ratio=None, runs=(), failed=None):
        """`runs`: lists of repeated figures whose spread counts. `met` None: for information."""
        others = self.elsewhere.share()
        row = {"part": self.part, "what": what, "ours": ours, "unit": unit, "peer": peer, "peerName": peer_name, "ratio": ratio,
               "target": target, "met": met if met is None else bool(met), "spread": max((spread(r) for r in runs if len(r) > 1), default=None),
               "elsewhere": others, "failed": failed}
        row["notes"] = ([f"spread {row['spread']:.0%}"] if (row["spread"] or 0) > NOISY else []) + \
                       ([f"load from elsewhere {others:.0%}"] if others > ELSEWHERE else [])
        self.rows.append(row)
        print(line(row), flush=True)

    def at_most(self, what, value, unit, limit, runs=()):
        self.add(what, value, unit, target=f"<= {limit}", met=value <= limit, runs=runs)

    def at_least(self, what, value, unit, limit, runs=()):
        self.add(what, value, unit, target=f">= {limit}", met=value >= limit, runs=runs)

    def info(self, what, value, unit, runs=()):
        self.add(what, value, unit, runs=runs)

    def failed(self, what, why):
        self.add(what, failed=" ".join(str(why).split()) or repr(why))

    @contextlib.contextmanager
    def measuring(self, what):
        """What goes wrong inside becomes a row of its own, and the others go on."""
        try:
            yield
        except Exception as why:  # whatever it is: it is told
            self.failed(what, why if isinstance(why, Failure) else f"{type(why).__name__}: {why}")

    def summary(self):
        count = lambda test: sum(1 for row in self.rows if test(row))
        return (f"{count(lambda r: r['met'] is True)} met, {count(lambda r: r['met'] is False)} not met, "
                f"{count(lambda r: r['failed'])} not measured, {count(lambda r: r['notes'])} marked as noisy")

    def write_json(self, path, machine):
        Path(path).write_text(json.dumps({"machine": machine, "rows": self.rows}, indent=1) + "\n")


def number(value, unit=""):
    if value is None:
        return ""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"
    return f"{text} {unit}".strip()


def line(row):
    if row["failed"]:
        return f"{row['what']:64} NOT MEASURED: {row['failed']}"
    peer = f"{row['peerName']} {number(row['peer'], row['unit'])}" if row["peer"] is not None else ""
    ratio = f"{row['ratio']:.2f} x" if row["ratio"] is not None else ""
    verdict = {None: "", True: "met", False: "NOT MET"}[row["met"]]
    return f"{row['what']:64} {number(row['ours'], row['unit']):>16} {peer:>30} {ratio:>9} {row['target']:>11} {verdict:8}" + \
           "; ".join(row["notes"])


def header():
    return f"{'':64} {'ours':>16} {'peer':>30} {'ratio':>9} {'target':>11}"


def warn(text):
    print(text, file=sys.stderr, flush=True)
