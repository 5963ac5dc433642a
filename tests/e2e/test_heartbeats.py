"""When a worker is heard of: heartbeats, and polls that stand for them."""

import threading
import time

import msgpack
import pytest
import zmq

from cluster import Program

BEAT_MS = 400


class Listener:
    """A broker that has no job: it notes what it hears, and answers polls when `answer_after (slot)` seconds are over."""

    def __init__(self, answer_after):
        self.socket = zmq.Context.instance().socket(zmq.ROUTER)
        self.socket.linger = 0
        self.url = f"tcp://127.0.0.1:{self.socket.bind_to_random_port('tcp://127.0.0.1')}"
        self.answer_after = answer_after
        self.heard = []  # (seconds, message)
        self.parked = []  # (due, route, message)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def answer(self, route, message, **fields):
        fields = {"v": 1, "type": message["type"] + "-ok", **fields}
        packer = msgpack.Packer(autoreset=False)
        packer.pack_map_header(len(fields) + 1)
        for pair in fields.items():
            packer.pack(pair[0]), packer.pack(pair[1])
        packer.pack("id")  # comes back as the bytes that it was (a worker's is an uint 64)
        self.socket.send_multipart([route, b"", packer.bytes() + b"\xcf" + message["id"].to_bytes(8, "big")])

    def take(self):
        route, _, body = self.socket.recv_multipart()
        message = msgpack.unpackb(body)
        self.heard.append((time.monotonic(), message))
        if message["type"] == "worker-register":
            self.answer(route, message, workerId=message["workerId"], leaseMs=60_000, heartbeatMs=BEAT_MS)
        elif message["type"] == "worker-heartbeat":
            self.answer(route, message, workerId=message["workerId"], timestamp=1)
        elif message["type"] == "job-poll":
            self.parked.append((time.monotonic() + self.answer_after(message["slot"]), route, message))
        else:
            self.answer(route, message, workerId=message["workerId"])

    def run(self):
        while not self.ended.is_set():
            if self.socket.poll(5):
                self.take()
            for poll in [p for p in self.parked if p[0] <= time.monotonic()]:
                self.parked.remove(poll)
                self.answer(*poll[1:])
        self.socket.close()

    def times(self, *types):
        return [at for at, message in self.heard if message["type"] in types]

    def close(self):
        self.ended.set()
        self.thread.join()


@pytest.fixture
def listened(tmp_path):
    """What a worker of so many slots says in some seconds."""
    def listen(slots, answer_after, seconds):
        listener = Listener(answer_after)
        worker = Program("worker", ["--broker", listener.url, "--work-dir", tmp_path / "work", "--slots", slots], tmp_path / "worker.log")
        try:
            worker.start()
            time.sleep(seconds)
            assert worker.stop() == 0
        finally:
            if worker.running:
                worker.kill()
            listener.close()
        return listener
    return listen


def gaps(times):
    return [b - a for a, b in zip(times, times[1:])]


def test_a_poll_puts_the_next_heartbeat_off(listened):
    """Polls of one slot wait 1 s: there is time for two heartbeats in between, an interval apart from the poll and each other."""
    listener = listened(1, lambda slot: 1.0, 5)
    last = None
    for at, message in listener.heard:
        if message["type"] == "worker-heartbeat":
            assert at - last > 0.9 * BEAT_MS / 1000, "a heartbeat that tells nothing new"
        last = at
    polls, beats = listener.times("job-poll"), listener.times("worker-heartbeat")
    assert len(polls) >= 4 and len(beats) >= len(polls)
    assert max(gaps(sorted(polls + beats))) < 2 * BEAT_MS / 1000


def test_load_is_told_however_often_it_polls(listened):
    """Four slots, whose polls come sooner than a heartbeat's interval, all the time."""
    listener = listened(4, lambda slot: 0.25 + 0.05 * slot, 5)
    beats = [(at, message) for at, message in listener.heard if message["type"] == "worker-heartbeat"]
    assert all("memoryBytes" in message for _, message in beats)
    between = gaps([at for at, _ in beats])
    assert len(beats) >= 3 and max(between) < 3 * BEAT_MS / 1000
    assert min(between) > 1.5 * BEAT_MS / 1000, "polls had put none off"
