"""ZIP archives, good ones and those that nobody should extract."""

import io
import stat
import struct
import zipfile
import zlib


def zip_of(files):
    """A ZIP of `files`, name to text or bytes."""
    return zip_raw([(name, data, 0o644 | stat.S_IFREG) for name, data in files.items()])


def zip_raw(entries):
    """A ZIP of (name, data, Unix mode), names and modes as they are."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data, mode in entries:
            info = zipfile.ZipInfo("placeholder")
            info.filename = name
            info.create_system = 3  # Unix: the mode counts
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return out.getvalue()


class Entry:
    """One entry of a ZIP that is built by hand. What the directory says and what the entry's own header says are told apart:
    `own` has the fields of the latter that are to differ."""

    def __init__(self, name=b"a", data=b"x", mode=stat.S_IFREG | 0o644, method=8, flags=0x800, system=3, extra=b"", own_extra=None, own=None,
                 packed=None, follow=b"", **told):
        self.name = name.encode() if isinstance(name, str) else name
        self.data, self.mode, self.method, self.flags, self.system = data, mode, method, flags, system
        self.extra, self.own_extra = extra, extra if own_extra is None else own_extra
        self.own, self.told, self.follow = own or {}, told, follow
        if packed is None:
            pack = zlib.compressobj(9, zlib.DEFLATED, -15)
            packed = pack.compress(data) + pack.flush() if method == 8 else data
        self.packed = packed

    def fields(self):
        return {"crc": zlib.crc32(self.data), "packed": len(self.packed), "bytes": len(self.data), "method": self.method,
                "flags": self.flags, "name": self.name, "attributes": self.mode << 16, "disk": 0, **self.told}

    def header(self):
        f = {**self.fields(), "extra": self.own_extra, **self.own}
        return struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, f["flags"], f["method"], 0, 33, f["crc"], f["packed"], f["bytes"],
                           len(f["name"]), len(f["extra"])) + f["name"] + f["extra"]

    def central(self, at):
        f = {**self.fields(), "at": at, **{k: v for k, v in self.told.items() if k == "at"}}
        return struct.pack("<4sBBHHHHHIIIHHHHHII", b"PK\1\2", 20, self.system, 20, f["flags"], f["method"], 0, 33, f["crc"], f["packed"],
                           f["bytes"], len(f["name"]), len(self.extra), 0, f["disk"], 0, f["attributes"], f["at"]) + f["name"] + self.extra


def zip_by_hand(*entries, prefix=b"", gap=b"", before_end=b"", comment=b"", behind=b"", end64=None, **end):
    """A ZIP of `Entry`s, and bytes where none should be. `end` has fields of the end record that are to differ; `end64` likewise
    of the record for large archives, which is there when it is not None."""
    body, directory = bytearray(prefix), bytearray()
    for entry in entries:
        at = len(body)
        body += entry.header() + entry.packed + entry.follow + gap
        directory += entry.central(at)
    told = {"count": len(entries), "size": len(directory), "at": len(body), "disk": 0}
    large = b""
    if end64 is not None:
        f = {**told, "disk": 0, "locator": len(body) + len(directory) + len(before_end), "length": 44, **end64}
        large = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", f["length"], 45, 45, f["disk"], f["disk"], f["count"], f["count"], f["size"], f["at"])
        large += struct.pack("<4sIQI", b"PK\6\7", 0, f["locator"], 1)
    f = {**told, **end}
    return bytes(body + directory + before_end + large + struct.pack("<4sHHHHIIH", b"PK\5\6", f["disk"], f["disk"], f["count"], f["count"],
                                                                       f["size"], f["at"], len(comment)) + comment + behind)


def extra_field(number, data):
    return struct.pack("<HH", number, len(data)) + data


def other_name(name, raw):
    """The extra field that tells a name once more, in UTF-8."""
    return extra_field(0x7075, b"\1" + struct.pack("<I", zlib.crc32(raw)) + name.encode())
