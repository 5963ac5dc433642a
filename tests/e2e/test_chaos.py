"""A short piece of what lib/chaos.py does for as long as one likes."""

import os

from chaos import Chaos

SECONDS = float(os.environ.get("GLEANER_CHAOS_SECONDS", "25"))


def test_everything_at_once(tmp_path):
    chaos = Chaos(tmp_path, jobs=int(SECONDS * 4), seconds=SECONDS, workers=6, seed=7)
    try:
        chaos.run()
        told = chaos.check()
    finally:
        chaos.cluster.close()
    assert told["begun"] >= told["jobs"]
