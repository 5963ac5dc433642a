"""The build under test: where it is, and what it was built for."""

import os
import pathlib
import re

TOP = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("GLEANER_BIN", TOP / "build/release/bin")).resolve()
VERSION = re.search(r'GLEANER_VERSION "([\d.]+)"', (TOP / "proto/options.h").read_text()).group(1)

broker = BIN / "gleaner-broker"
TSAN = broker.exists() and b"__tsan_init" in broker.read_bytes()

# What is waited for may take so many times as long: ThreadSanitizer makes programs slow.
PATIENCE = 4 if TSAN else 1
