"""Stands between a broker and who speaks to it: writes down what is said, or lets through only what an earlier broker knew.

golden/words-N.json has the messages of that version with their fields. What it has not is refused as the earlier broker did, and
fields that it has not are passed over, in both directions: the broker behind it is then, to the other side, that one.
"""

import threading

import msgpack
import zmq

ENVELOPE = {"v", "type", "id"}


def raw_id(body):
    """The bytes of a message's id, which come back as they are (rule 5); nil when it has none."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(body)
    for _ in range(unpacker.read_map_header()):
        name, start = unpacker.unpack(), unpacker.tell()
        unpacker.skip()
        if name == "id":
            return body[start:unpacker.tell()]
    return msgpack.packb(None)


def packed(message, own_id):
    packer = msgpack.Packer()
    fields = {name: value for name, value in message.items() if name != "id"}
    head = packer.pack_map_header(len(fields) + 1) + packer.pack("id") + own_id
    return head + b"".join(packer.pack(name) + packer.pack(value) for name, value in fields.items())


class EarlierBroker(threading.Thread):
    def __init__(self, broker_url, words=None):
        super().__init__(daemon=True)
        self.words = words  # type to fields; None: all passes
        self.said = []  # [request, answer or None]
        self.refused = set()
        context = zmq.Context.instance()
        self.front, self.back, self.stopping = context.socket(zmq.ROUTER), context.socket(zmq.DEALER), threading.Event()
        for end in (self.front, self.back):
            end.setsockopt(zmq.LINGER, 0)
        self.url = f"tcp://127.0.0.1:{self.front.bind_to_random_port('tcp://127.0.0.1')}"
        self.back.connect(broker_url)
        self.waiting, self.serial = {}, 0
        self.start()

    def close(self):
        self.stopping.set()
        self.join(5)
        self.front.close()
        self.back.close()

    def known(self, message):
        if self.words is None:
            return message
        allowed = ENVELOPE | set(self.words[message["type"]]) | ({"auth", "peer"} if "auth-check" in self.words else set())
        return {name: value for name, value in message.items() if name in allowed}

    def take_request(self):
        peer, _, body = self.front.recv_multipart()
        request = msgpack.unpackb(body)
        entry = [request, None]
        self.said.append(entry)
        if self.words is not None and request["type"] not in self.words:
            self.refused.add(request["type"])
            text = f"The message type '{request['type']}' is not known here."
            refusal = {"v": 1, "type": "error", "code": "UNSUPPORTED", "error": text, "field": "type"}
            self.front.send_multipart([peer, b"", packed(refusal, raw_id(body))])
            return
        self.serial += 1
        self.waiting[self.serial] = (peer, raw_id(body), entry)
        self.back.send_multipart([b"", msgpack.packb({**self.known(request), "id": self.serial})])

    def take_answer(self):
        answer = msgpack.unpackb(self.back.recv_multipart()[-1])
        peer, sender_id, entry = self.waiting.pop(answer["id"])
        entry[1] = answer
        self.front.send_multipart([peer, b"", packed(self.known(answer), sender_id)])

    def run(self):
        poller = zmq.Poller()
        poller.register(self.front, zmq.POLLIN)
        poller.register(self.back, zmq.POLLIN)
        while not self.stopping.is_set():
            for end, _ in poller.poll(50):
                if end is self.front:
                    self.take_request()
                else:
                    self.take_answer()
