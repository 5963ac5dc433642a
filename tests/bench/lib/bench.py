"""What every part is given: how much to do, the table, and contests: ours and a peer in turns."""
import statistics
from pathlib import Path

from table import Failure, Table

# Of a run: everything is divided by the first; rounds of a contest; seconds a round shall take.
SIZES = {"full": (1, 5, 2.0), "quick": (10, 3, 0.3), "tiny": (2000, 2, 0.05)}
FIXED_ROUNDS = 3


class Contest:
    """Figures of repeated rounds by contestant, or why there are none."""

    def __init__(self):
        self.runs, self.reasons = {}, {}

    def median(self, name):
        return statistics.median(self.runs[name])


class Bench:
    def __init__(self, folder, size="full", soak_seconds=120, may_install=True):
        self.folder, self.table, self.may_install, self.soak_seconds = Path(folder), Table(), may_install, soak_seconds
        self.scale, self.rounds, self.round_seconds = SIZES[size]
        self.folders = 0

    def of(self, count, least=1):
        return max(least, count // self.scale)

    def new_folder(self, name):
        self.folders += 1
        return self.folder / f"{name}{self.folders}"

    def peers(self, stack, *kinds):
        """Those that could be started, by name, and why the others were not. They end with the stack."""
        there, reasons = {}, {}
        for kind in kinds:
            try:
                there[kind.name] = stack.enter_context(kind(self.new_folder("peer"), self.may_install))
            except Failure as why:
                reasons[kind.name] = str(why)
        return there, reasons

    def contest(self, contestants, first, reasons=(), fixed=False):
        """Runs functions of a count that return a figure, in turns. A first run of each warms up, and tells how large a
        count takes a round's time, the figure being a rate. A fixed count is not that short: fewer rounds, and a tenth of it
        to warm up. `reasons`: of those that cannot run."""
        contest = Contest()
        contest.reasons.update(reasons)
        counts = {}

        def one(name, count):
            try:
                return contestants[name](count)
            except (Failure, OSError) as why:
                contest.reasons[name] = str(why)
                contest.runs.pop(name, None)
                return None

        for name in contestants:
            rate = one(name, max(1, first // 10) if fixed else first)
            if rate is not None:
                counts[name] = first if fixed else max(first, int(rate * self.round_seconds))
                contest.runs[name] = []
        for _ in range(min(self.rounds, FIXED_ROUNDS) if fixed else self.rounds):
            for name in list(contest.runs):
                figure = one(name, counts[name])
                if figure is not None:
                    contest.runs[name].append(figure)
        return contest

    def ratio(self, what, contest, ours, peer, unit, at_least):
        """A row: ours to the peer's, round by round."""
        missing = [f"{contest.reasons[n]}" for n in (ours, peer) if n not in contest.runs]
        if missing:
            self.table.failed(what, "; ".join(missing))
            return
        runs = contest.runs[ours], contest.runs[peer]
        ratio = statistics.median(a / b for a, b in zip(*runs))
        self.table.add(what, contest.median(ours), unit, peer=contest.median(peer), peer_name=peer, ratio=ratio,
                       target=f">= {at_least} x", met=ratio >= at_least, runs=runs)


