#!/usr/bin/python3
"""Writes down what an earlier version says and knows: talk.py SCHEMA PROGRAMS COMMIT

words-SCHEMA.json: its messages with their fields, from the reference of that commit. talk-SCHEMA.json: what its native worker
and its gateway, with an HTTP worker behind it, said to their broker in the course of some jobs, and what that answered.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import make
from earlier_broker import EarlierBroker

TOP = pathlib.Path(__file__).resolve().parents[2]


def words(commit):
    text = subprocess.run(["git", "-C", TOP, "show", f"{commit}:proto/README.md"], capture_output=True, text=True, check=True).stdout
    parts = re.split(r"^#### `([a-z-]+)`$", text.split("<!-- reference: begin -->")[1].split("### Errors")[0], flags=re.M)
    return {name: re.findall(r"^\| `(\w+)` \|", part, re.M) for name, part in zip(parts[1::2], parts[2::2])}


def plain(value):
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


def talk(programs, schema, transport):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "web").mkdir()
        broker = make.Running("broker", programs, "--listen", "tcp://127.0.0.1:0", "--data", folder / "data")
        between = EarlierBroker(broker.address())
        gateway = make.Running("gateway", programs, "--listen", "127.0.0.1:0", "--broker", between.url if transport == "http" else broker.address(),
                               "--web", folder / "web", *(["--cache-dir", folder / "cache"] if schema >= 2 else []))
        host, port = gateway.address().rsplit(":", 1)
        where = ["--server", f"http://{host}:{port}"] if transport == "http" else ["--broker", between.url]
        worker = make.Running("worker", programs, *where, "--id", "earlier", "--work-dir", folder / "work",
                              *(["--unsafe-no-sandbox"] if schema >= 4 else []))
        api = make.Teller(host, int(port))
        for commands in ("cat a.txt; echo err >&2", "exit 3"):
            api.wait_job(api.submit(commands, files={"a.txt": "hello\n"}))
        api.get("/api/workers/list")
        api.get("/api/jobs/create")
        api.get("/api/info")
        worker.stop()
        api.post("/api/jobs/cancel", {"jobId": api.submit("true")})
        gateway.stop()
        broker.stop()
        between.close()
        return [plain(pair) for pair in between.said if pair[1]]


if __name__ == "__main__":
    here = TOP / "tests/golden"
    number, programs, commit = int(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve(), sys.argv[3]
    (here / f"words-{number}.json").write_text(json.dumps(words(commit), separators=(",", ":")) + "\n")
    told = {transport: talk(programs, number, transport) for transport in ("http", "zmq")}
    lines = ",\n".join(f'"{transport}": [\n' + ",\n".join(json.dumps(pair, separators=(",", ":")) for pair in pairs) + "\n]" for transport, pairs in told.items())
    (here / f"talk-{number}.json").write_text("{\n" + lines + "\n}\n")
