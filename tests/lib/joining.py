"""Join codes and CURVE keys as a client that is none of our programs sees them."""

import base64

import msgpack
import zmq
import zmq.utils.z85

PREFIX = "gleaner-join-"


def read_code(code):
    """What a join code says."""
    assert code.startswith(PREFIX), code
    text = code[len(PREFIX):]
    return msgpack.unpackb(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def write_code(**fields):
    return PREFIX + base64.urlsafe_b64encode(msgpack.packb(fields)).decode().rstrip("=")


def fresh_keys(code):
    """Keys that nobody knows yet, for the broker of the code."""
    return (zmq.utils.z85.encode(read_code(code)["brokerKey"]), *zmq.curve_keypair())


def joined(cluster, worker_id, *args):
    """A native client whose key has joined as that worker."""
    code = cluster.enroll("worker", *args)
    native = cluster.native(keys=fresh_keys(code))
    answer = native.ask("join", code=read_code(code)["code"], workerId=worker_id)
    assert answer["type"] == "join-ok" and answer["role"] == "worker", answer
    return native
