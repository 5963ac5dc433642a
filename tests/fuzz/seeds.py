#!/usr/bin/python3
"""seeds.py DIR: small inputs for each target, into DIR/NAME: what the outside sends when all is well, and near misses of it."""

import json
import pathlib
import re
import struct
import sys
import zlib

import msgpack

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/lib"))

from zips import Entry, extra_field, other_name, zip_by_hand, zip_of  # noqa: E402

TYPES, FIELDS = [], {}


def read_messages():
    """Types and fields, from their declarations."""
    text = (TOP / "proto/messages.def").read_text()
    for kind, rest in re.findall(r"^MSG_(BEGIN|FIELD|LIST) \((.*)$", text, re.M):
        parts = [part.strip() for part in rest.split(",")]
        if kind == "BEGIN":
            TYPES.append((parts[0], parts[2].strip('"')))
            FIELDS[parts[0]] = []
        else:
            FIELDS[TYPES[-1][0]].append((kind, parts[1], parts[3].strip('"')))


def value(kind, field_type, inside=True):
    if kind == "LIST":
        return []
    return {"STR": "a", "BYTES": b"bytes" if inside else "bytes", "INT": 1, "UINT": 1, "BOOL": True, "MAP": {"k": "v", "n": 1},
            "ROWS": {"KEY": "two\nlines"}, "DECIMAL": 1.5, "TEXTS": ["x", "y/*"]}[field_type]


def messages():
    for number, (name, wire) in enumerate(TYPES):
        fields = {field: value(kind, field_type) for kind, field_type, field in FIELDS[name]}
        yield f"{wire}-frame", b"\0" + msgpack.packb({"v": 1, "type": wire, "id": 7, **fields})
        if number < 128:
            yield f"{wire}-item", bytes([number * 2 + 1 & 0xFF]) + msgpack.packb(fields)
    yield "text-id", b"\0" + msgpack.packb({"v": 1, "type": "ping", "id": "seven"})
    yield "no-map", b"\0" + msgpack.packb([1, 2, 3])
    yield "deep", b"\0" + b"\x81\xa1a" * 12 + b"\xc0"
    yield "counts", b"\0\x82\xa1v\x01\xa4type\xdd\x04\x00\x00\x00"
    yield "twice", b"\0\x82\xa1v\x01\xa1v\x01"


def bodies():
    import json
    for number, (name, wire) in enumerate(TYPES[:256]):
        fields = {field: value(kind, field_type, False) for kind, field_type, field in FIELDS[name]}
        yield wire, bytes([number, number & 1]) + json.dumps(fields).encode()
    yield "repaired", b'\x05\x01{"stdout":"\\ud800 \\u0000 \xff"}'
    yield "deep", b"\0\0" + b'{"a":' * 40 + b"1" + b"}" * 40
    yield "twice", b'\0\0{"a":1,"a":2}'
    yield "numbers", b'\0\0{"a":1e999,"b":-0,"c":9223372036854775807,"d":1.0}'


def requests():
    def request(line, *headers, body=b"", host="Host: a"):
        return b"\0" + "\r\n".join([f"{line} HTTP/1.1", *([host] if host else []), *headers, "", ""]).encode() + body
    yield "page", request("GET /")
    yield "info", request("GET /api/info")
    yield "list", request("GET /api/jobs?limit=5&state=failed&text=%C3%A4")
    yield "status", request("GET /api/jobs/status?jobId=1-abcdef")
    yield "head", request("HEAD /api/workers/list")
    yield "options", request("OPTIONS /api/jobs")
    yield "create", request("POST /api/jobs/create", "Content-Type: application/json", "Content-Length: 33",
                            body=b'{"command":"true","fileUrl":"/u"}')
    yield "chunked", request("POST /api/jobs/create", "Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\n\r\n")
    yield "both-lengths", request("POST /api/jobs/create", "Transfer-Encoding: chunked", "Content-Length: 2", body=b"{}")
    yield "two-lengths", request("POST /api/jobs/create", "Content-Length: 2", "Content-Length: 2", body=b"{}")
    yield "bad-path", request("GET /api/%2e%2e/%00%5c")
    yield "no-host", request("GET /", host=None)
    yield "two-hosts", request("GET /", "Host: b")
    yield "expect", request("POST /api/execute", "Content-Type: multipart/form-data; boundary=b", "Content-Length: 99", "Expect: 100-continue")
    yield "range", request("GET /api/jobs/output?jobId=1-abcdef&stream=stdout", "Range: bytes=1-5")
    yield "poll", request("GET /api/jobs/get-job?workerId=w&wait=0")
    yield "events", request("GET /api/jobs/events?jobId=1-abcdef", "Accept: text/event-stream", "Last-Event-ID: 5")
    yield "renew", request("POST /api/jobs/renew", "Content-Length: 62", body=b'{"jobId":"1-abcdef","workerId":"w","attempt":1,"token":"t","w"')
    yield "put", request("POST /api/blobs/put?upload=0123&offset=0", "Content-Type: application/octet-stream", "Content-Length: 4", body=b"data")
    yield "two", request("GET /api/info") + request("GET /")[1:]
    yield "pieces", b"\6" + request("GET /api/info")[1:]
    yield "only-range", b"\7" + struct.pack("<Q", 1000 << 8) + b"bytes=0-99"


def forms():
    def part(name, data, filename=""):
        told = f'; filename="{filename}"\r\nContent-Type: application/zip' if filename else ""
        return b'--b\r\nContent-Disposition: form-data; name="' + name.encode() + b'"' + told.encode() + b"\r\n\r\n" + data + b"\r\n"
    small = zip_of({"a": "x"})
    end = b"--b--\r\n"
    good = part("file", small, "a.zip") + part("commands", b"make\r\nmake test")
    yield "good", b"\0" + good + end
    yield "distributed", b"\0" + good + part("mode", b"distributed") + part("env", b'{"A":"b"}') + part("priority", b"5") + end
    yield "texts", b"\0" + part("artifacts", b'["out/**"]') + part("labels", b"os=linux\r\nram=8") + good + end
    yield "pieces", b"\3\x0a\0\x40\0\x02\0" + good + end
    yield "twice", b"\0" + good + part("commands", b"again") + end
    yield "unknown", b"\0" + part("comands", b"x") + good + end
    yield "no-zip", b"\0" + part("file", b"text", "a.zip") + end
    yield "bad-name", b"\0" + part("file", small, "../a.zip") + end
    yield "no-file", b"\0" + part("commands", b"x") + end
    yield "cut", b"\x80\0" + good[:60]
    yield "more", b"\x80\xff" + good + end
    yield "no-border", b"\0nothing of the kind"


def built(*entries, damage=b""):
    """What the archive target builds a ZIP of: (how, name, bytes)."""
    out = bytes([1, len(entries)])
    for how, name, data in entries:
        out += bytes([how, len(name)]) + name + bytes([len(data)]) + data
    return out + damage


def deflated(data):
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    return pack.compress(data) + pack.flush()


def archives():
    yield "built", built((4, b"a.txt", b"text"), (16, b"d/", b""), (8, b"d/run", b"#!"))
    yield "built-deep", built((4, b"a/b/c/d", b"x"), (4, b"a/b/e", b"y"))
    yield "built-damaged", built((4, b"a", b"x"), damage=b"\x06\0\xff\x2a\0\x00")
    yield "built-link", built((20, b"l", b"/etc"))
    yield "built-parent", built((4, b"../x", b""))
    yield "built-empty", bytes([1, 0])
    for name, data in {
            "good": zip_of({"a": "x", "b/c": "y" * 99}), "large": zip_by_hand(Entry("a"), end64={}), "empty": zip_by_hand(comment=b"c"),
            "stored": zip_by_hand(Entry("a", method=0)), "follow": zip_by_hand(Entry("a", flags=8, own={"crc": 0, "packed": 0, "bytes": 0})),
            "second-name": zip_by_hand(Entry(b"\x84", flags=0, extra=other_name("ä", b"\x84"))),
            "large-numbers": zip_by_hand(Entry("b", bytes=0xFFFFFFFF, extra=extra_field(1, struct.pack("<Q", 1)), own={"bytes": 0xFFFFFFFF})),
            "fifo": zip_by_hand(Entry("f", mode=0o10644)), "prefix": zip_by_hand(Entry("a"), prefix=b"MZ")}.items():
        yield name, b"\0" + data
    base = ((4, b"a", b"x"), (4, b"b/c", b"y"))
    for name, delta in {"delta": ((4, b"./removed", b"b/c\n"), (8, b"a", b"z")), "delta-clash": ((4, b"A", b"z"),), "delta-of-more": ((4, b"./removed", b"c\n"),),
                        "delta-as-a-folder": ((4, b"a/b", b"z"),)}.items():
        over = built(*delta)[1:]
        yield name, b"\3" + struct.pack("<H", len(over)) + over + built(*base)[1:]


def configs():
    yield "worker", b"\1server = http://127.0.0.1:3000\nslots = 4\n# a comment\nlabel = gpu=yes,ram=64\nonce = true\npoll-wait = 30s\n"
    yield "archive", b"\1server=https://a\narchive-size = 10M\narchive-files=5\narchive-ratio=1\narchive-depth=3\n"
    yield "gateway", b"\0listen = 127.0.0.1:3000\nbroker = tcp://127.0.0.1:5555\nupload-max = 1G\nlog-level = debug\n"
    yield "typo", b"\1server = http://a\nslot = 3\n"
    yield "units", b"\0upload-max = 99999999999T\n"
    yield "arguments", b"\3--server\0http://a\0--slots=3\0--label\0a=b\0--once"
    yield "help", b"\2--help"
    yield "choice", b"\2--log-level=loud"


def statements():
    """A job row as the redo log has it: its code, 33 values."""
    text = lambda t: b"\2" + struct.pack("<I", len(t)) + t  # noqa: E731
    number = lambda n: b"\1" + struct.pack("<q", n)  # noqa: E731
    row = b"".join([number(1), text(b"abc123"), text(b"true"), text(b"/uploads/a.zip"), text(b"a.zip"), number(1000), number(3), number(5),
                    b"\0", b"\0", b"\0", b"\0", number(0), number(0), b"\0", b"\0", b"\0", number(-1), number(0), number(0), *[b"\0"] * 5,
                    b"\0", b"\0", number(0), b"\0", b"\0", b"\0", b"\0", b"\0"])
    batch = b"\1\x21" + row
    yield "job", b"\1" + struct.pack("<H", len(batch)) + batch
    yield "two", b"\3" + struct.pack("<H", 20) + b"\4\2" + text(b"label=x") + number(1) + b"\1" + struct.pack("<H", len(batch)) + batch
    yield "damaged", b"\5" + struct.pack("<H", len(batch)) + batch
    yield "file", b"\0GLNRREDO" + bytes(504)
    yield "cut", b"\1" + struct.pack("<H", 9) + b"\1\x21\1\0\0"


def rows():
    any_row = b"".join(b"\5\3abc" for _ in range(40))
    yield "job", b"\0" + b"\x3a" + b"\5\6abc123" + b"\5\4true" * 3 + b"\x0a" * 3 + b"\0" + b"\2" + b"\2" + any_row
    yield "texts", b"\0" + any_row
    yield "numbers", b"\0" + b"\1\xff\xff\xff\xff\xff\xff\xff\x7f" * 40
    yield "nulls", bytes(64)
    yield "all", b"".join(bytes([n]) + b"\2" * 40 for n in range(6))
    yield "worker", b"\2" + any_row
    yield "attempt", b"\1" + b"\x3a\x0a" + any_row


def spools():
    for name, wire in TYPES:
        if name in ("JOB_RESULT", "JOB_FAIL", "PING"):
            fields = {field: value(kind, field_type) for kind, field_type, field in FIELDS[name]}
            yield wire, msgpack.packb({"v": 1, "type": wire, **fields})
    yield "cut", msgpack.packb({"v": 1, "type": "job-result"})[:-3]


def journals():
    yield "lines", bytes([1, 0, 2, 1, 1, 0, 1, 6]) + struct.pack("<H", 6) + b"a\nb\nc\n" + bytes([20, 4, 5, 2, 1, 0, 0, 0, 1, 5])
    yield "part", bytes([1, 6]) + struct.pack("<H", 4) + b"part" + bytes([40, 4, 1, 14]) + struct.pack("<H", 4) + b"err\n"
    yield "use", bytes([1, 3]) + struct.pack("<Q", 1 << 40) + b"\1\2\3"


def globs():
    for number, (pattern, path) in enumerate([("*.log", "a.log"), ("**/x", "a/b/x"), ("out/", "out/a"), ("[a-z]?[!0]", "abc"), ("a/**/b", "a/b"),
                                              ("[]]", "]"), ("[ä-ü]*", "ö"), ("a*a*a*a*b", "a" * 20), ("./a//b", "a/b"), ("[", "[")]):
        yield str(number), pattern.encode() + b"\0" + path.encode()


def told():
    trace = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    yield "trace", b"\0" + trace
    yield "later", b"\0cc" + trace[2:] + b"-more"
    for number, path in enumerate([b"7?token=x", b"../../admin", b"%2e%2e/x", b"a/./b", b"..", b"#x", b"@evil/", b"a\\b", b"%252e%252e/"]):
        yield str(number), b"\1" + path
    yield "host", b"\0https://hooks.example:8443@evil/gleaner/"


def tokens():
    good = {"iss": "them", "aud": "us", "sub": "alice", "role": "viewer", "exp": 1700000001}
    yield "good", b"\1" + json.dumps(good).encode()
    yield "all", b"\1" + json.dumps({"alg": "HS256", "typ": "JWT", "crit": []}).encode() + b"\0" + json.dumps({**good, "nbf": 1, "aud": ["us"]}).encode()
    yield "no-role", b"\1" + json.dumps({**good, "role": None, "exp": 1e300}).encode()
    yield "stranger", b"\0eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."
    yield "dots", b"\0....."


def write_words(folder):
    """Names of fields and messages for libFuzzer, as msgpack and as JSON have them."""
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted({name for fields in FIELDS.values() for _, _, name in fields} | {wire for _, wire in TYPES})
    packed = ("".join(f"\\x{byte:02x}" for byte in msgpack.packb(name)) for name in names)
    (folder / "message").write_text("".join(f'"{word}"\n' for word in packed))
    (folder / "json").write_text("".join(f'"\\"{name}\\":"\n' for name in names))


def main(out):
    read_messages()
    write_words(pathlib.Path(out) / "words")
    made = {"message": messages, "json": bodies, "http": requests, "form": forms, "archive": archives, "config": configs, "redo": statements,
            "store": rows, "spool": spools, "journal": journals, "glob": globs, "told": told,
            "issuer": tokens}
    for target, seeds in made.items():
        folder = pathlib.Path(out) / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in seeds():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: seeds.py DIR")
    main(sys.argv[1])
