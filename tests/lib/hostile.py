"""Bytes that no client of ours sends, and what a server says of itself while it gets them."""

import json
import re
import socket
import time

# Sent with requests as if it were a secret: it must come back from nowhere.
CANARY = "canary-4f1d9c27"
CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Talk:
    """What came back for raw bytes: all of it, and whether the server closed then."""

    def __init__(self, got, closed, seconds):
        self.got, self.closed, self.seconds = got, closed, seconds

    @property
    def status(self):
        return int(self.got.split(b" ", 2)[1]) if self.got.startswith(b"HTTP/1.") else None

    @property
    def body(self):
        return self.got.partition(b"\r\n\r\n")[2]

    @property
    def json(self):
        length = re.search(rb"(?i)^content-length: (\d+)", self.got, re.M)
        return json.loads(self.body[:int(length.group(1))])

    def __repr__(self):
        return f"{self.got[:600]!r} closed={self.closed} after {self.seconds:.2f} s"


def talk(port, *pieces, quiet=0.4, seconds=10, pause=0.0):
    """Sends the pieces, and reads until the server closes or has been silent for `quiet` seconds since it said something."""
    begun = time.monotonic()
    got, closed = b"", False
    with socket.create_connection(("127.0.0.1", port), 5) as raw:
        try:
            for piece in pieces:
                raw.sendall(piece)
                time.sleep(pause)
        except OSError:
            pass  # it does not want to hear more
        end = begun + seconds
        while time.monotonic() < end:
            raw.settimeout(quiet if got else max(0.01, end - time.monotonic()))
            try:
                piece = raw.recv(65536)
            except socket.timeout:
                break
            except ConnectionResetError:
                closed = True
                break
            if not piece:
                closed = True
                break
            got += piece
    return Talk(got, closed, time.monotonic() - begun)


def refusals(answer):
    """Code to count, of the gateway's own part of /api/info or of a broker-info-ok."""
    return {entry["code"]: entry["count"] for entry in answer["refusals"]}


def gateway_refusals(api):
    return refusals(api.get("/api/info")["gateway"])


def logged(program, event, code, before):
    """Whether a refusal by that code stands among the lines after the first `before`, or so many did that the log had enough."""
    lines = program.events(event)
    if any(f" {event} {code} " in line for line in lines[before:]):
        return True
    recent = sorted({line[:19] for line in lines})[-2:]
    return sum(line[:19] in recent for line in lines) >= 10
