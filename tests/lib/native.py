"""The native protocol from Python: maps in, maps out."""

import msgpack
import zmq


class Native:
    def __init__(self, url, kind="dealer", keys=None):
        self.url, self.kind = url, kind
        self.keys = keys  # (the broker's public key, own public key, own secret key): CURVE
        self.socket = None
        self.open()

    def open(self):
        self.close()
        self.socket = zmq.Context.instance().socket(zmq.REQ if self.kind == "req" else zmq.DEALER)
        self.socket.linger = 0
        self.socket.sndtimeo = 10000  # one that was refused is connected to nobody
        if self.keys:
            self.socket.curve_serverkey, self.socket.curve_publickey, self.socket.curve_secretkey = self.keys
        self.socket.connect(self.url)

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None

    def send(self, *frames):
        """Frames as they are; a dealer's delimiter is not added."""
        self.socket.send_multipart(frames)

    def receive(self, seconds=10):
        """The next answer as a map, or None."""
        if not self.socket.poll(int(seconds * 1000)):
            return None
        return msgpack.unpackb(self.socket.recv_multipart()[-1])

    def ask_raw(self, body, seconds=10):
        self.send(*([body] if self.kind == "req" else [b"", body]))
        return self.receive(seconds)

    def ask(self, type, seconds=10, **fields):
        answer = self.ask_raw(msgpack.packb({"v": 1, "type": type, **fields}), seconds)
        assert answer is not None, f"no answer to {type}"
        return answer
