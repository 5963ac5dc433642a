"""What gleaner-extract does with ZIPs that nobody's tool makes: rows 36 to 44 of the list of bad input, each with its code."""

import os
import pathlib
import stat
import struct
import subprocess
import time
import unicodedata

import pytest

from cluster import BIN, SANITIZERS
from zips import Entry, extra_field, other_name, zip_by_hand, zip_of

LIMITS = {"files": 10_000, "bytes": 1 << 30, "ratio": 100, "depth": 32}
GOOD = Entry("good.txt")
LARGE = 0xFFFFFFFF


@pytest.fixture
def extract(tmp_path):
    def run(data, **limits):
        folder = tmp_path / "out"
        folder.mkdir()
        archive = tmp_path / "a.zip"
        archive.write_bytes(data)
        numbers = [str(value) for value in {**LIMITS, **limits}.values()]
        done = subprocess.run([BIN / "gleaner-extract", archive, folder, *numbers], capture_output=True, text=True, timeout=60,
                              env={**os.environ, **SANITIZERS})
        assert not done.stderr, done.stderr
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "out"], "something came beside the folder"
        return done.returncode, done.stdout.strip(), folder
    return run


def name_twice(one, other, **more):
    return zip_by_hand(Entry(one, **more), Entry(other))


def large_extra(*numbers):
    return extra_field(1, b"".join(struct.pack("<Q", n) for n in numbers))


def quoted():
    """One whose bytes hold the header of the next, and both are told of."""
    inner = Entry("in.txt", b"inner", method=0)
    outer = Entry("out.txt", inner.header() + inner.packed, method=0)
    at = len(outer.header())
    body = outer.header() + outer.packed
    directory = outer.central(0) + inner.central(at)
    return body + directory + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 2, 2, len(directory), len(body), 0)


UNIX = stat.S_IFREG | 0o644
HOSTILE = {
    # 36: no ZIP, or one with something before it
    "text": ("NOT_ZIP", b"this is no ZIP at all, but longer than its end record"),
    "nothing": ("NOT_ZIP", b""),
    "one-byte": ("NOT_ZIP", b"P"),
    "tar": ("NOT_ZIP", b"a.txt".ljust(512, b"\0") * 4),
    "program-before-it": ("NOT_ZIP", zip_by_hand(GOOD, prefix=b"#!/bin/sh\nexit\n")),
    "program-before-it-not-told": ("NOT_ZIP", b"#!/bin/sh\nexit\n" + zip_by_hand(GOOD)),
    "other-entry-before-it": ("NOT_ZIP", zip_by_hand(GOOD, prefix=Entry("hidden.txt").header() + b"x")),
    "bytes-and-no-entries": ("NOT_ZIP", zip_by_hand(prefix=b"PK\3\4 and more")),
    # 37: paths
    "parent": ("UNSAFE_PATH", zip_by_hand(GOOD, Entry("../evil"))),
    "parent-inside": ("UNSAFE_PATH", zip_by_hand(GOOD, Entry("a/../../evil"))),
    "parent-that-stays-inside": ("UNSAFE_PATH", zip_by_hand(GOOD, Entry("a/../evil"))),
    "parent-at-the-end": ("UNSAFE_PATH", zip_by_hand(GOOD, Entry("a/.."))),
    "parent-folder": ("UNSAFE_PATH", zip_by_hand(GOOD, Entry("../", b"", stat.S_IFDIR | 0o755))),
    "absolute": ("UNSAFE_PATH", zip_by_hand(GOOD, Entry("/tmp/evil"))),
    "two-slashes-first": ("UNSAFE_PATH", zip_by_hand(GOOD, Entry("//evil"))),
    "two-slashes": ("UNSAFE_PATH", zip_by_hand(GOOD, Entry("a//evil"))),
    "dot": ("UNSAFE_PATH", zip_by_hand(GOOD, Entry("./evil"))),
    "only-a-slash": ("UNSAFE_PATH", zip_by_hand(GOOD, Entry("/", b"", stat.S_IFDIR | 0o755))),
    "backslash-parent": ("UNSAFE_PATH", zip_by_hand(GOOD, Entry("a\\..\\b"))),
    "backslash-parent-dos": ("UNSAFE_PATH", zip_by_hand(GOOD, Entry("..\\evil", mode=0, system=0))),
    "backslash-drive": ("UNSAFE_PATH", zip_by_hand(GOOD, Entry("C:\\evil", mode=0, system=0))),
    "parent-by-the-other-name": ("UNSAFE_PATH", zip_by_hand(GOOD, Entry(b"\x84.txt", flags=0, extra=other_name("../evil", b"\x84.txt")))),
    # 38: types
    "symlink": ("UNSAFE_TYPE", zip_by_hand(GOOD, Entry("l", b"/etc/passwd", stat.S_IFLNK | 0o777))),
    "symlink-told-by-dos": ("UNSAFE_TYPE", zip_by_hand(GOOD, Entry("l", b"/etc", stat.S_IFLNK | 0o777, system=0))),
    "symlink-folder": ("UNSAFE_TYPE", zip_by_hand(Entry("l/", b"..", stat.S_IFLNK | 0o777), Entry("l/evil"))),
    "fifo": ("UNSAFE_TYPE", zip_by_hand(GOOD, Entry("f", b"", stat.S_IFIFO | 0o644))),
    "socket": ("UNSAFE_TYPE", zip_by_hand(GOOD, Entry("s", b"", stat.S_IFSOCK | 0o644))),
    "block-device": ("UNSAFE_TYPE", zip_by_hand(GOOD, Entry("d", b"", stat.S_IFBLK | 0o644))),
    "character-device": ("UNSAFE_TYPE", zip_by_hand(GOOD, Entry("d", b"", stat.S_IFCHR | 0o644))),
    "no-type-there-is": ("UNSAFE_TYPE", zip_by_hand(GOOD, Entry("d", b"", 0o170000 | 0o644))),
    # 39: names that are one
    "twice": ("DUPLICATE_PATH", name_twice("a", "a")),
    "other-case": ("DUPLICATE_PATH", name_twice("Readme.md", "README.MD")),
    "other-case-of-a-folder": ("DUPLICATE_PATH", name_twice("Src/a.c", "src/A.c")),
    "other-case-beyond-ascii": ("DUPLICATE_PATH", name_twice("Ünder.txt", "üNDER.txt")),
    "sharp-s": ("DUPLICATE_PATH", name_twice("straße", "STRASSE")),
    "composed-and-not": ("DUPLICATE_PATH", name_twice(unicodedata.normalize("NFC", "é.txt"), unicodedata.normalize("NFD", "é.txt"))),
    "kelvin": ("DUPLICATE_PATH", name_twice("k", "\u212a")),
    "file-over-folder": ("DUPLICATE_PATH", name_twice("a/b", "a")),
    "folder-over-file": ("DUPLICATE_PATH", name_twice("a", "a/b")),
    "folder-entry-over-file": ("DUPLICATE_PATH", zip_by_hand(Entry("a"), Entry("a/", b"", stat.S_IFDIR | 0o755))),
    "folder-entry-twice": ("DUPLICATE_PATH", zip_by_hand(*[Entry("a/", b"", stat.S_IFDIR | 0o755)] * 2)),
    "file-over-folder-in-other-case": ("DUPLICATE_PATH", name_twice("A/b", "a")),
    # 40: names
    "newline": ("BAD_NAME", zip_by_hand(GOOD, Entry("a\nb"))),
    "escape": ("BAD_NAME", zip_by_hand(GOOD, Entry("a\x1b[2Jb"))),
    "delete": ("BAD_NAME", zip_by_hand(GOOD, Entry("a\x7fb"))),
    "c1-control": ("BAD_NAME", zip_by_hand(GOOD, Entry("a\u009b2Jb"))),
    "text-turned-around": ("BAD_NAME", zip_by_hand(GOOD, Entry("a\u202etxt.exe"))),
    "zero-byte": ("BAD_NAME", zip_by_hand(GOOD, Entry(b"a\0../b"))),
    "no-name": ("BAD_NAME", zip_by_hand(GOOD, Entry(b""))),
    "not-utf8": ("BAD_NAME", zip_by_hand(GOOD, Entry(b"a\xff", flags=0))),
    "not-utf8-and-flagged": ("BAD_NAME", zip_by_hand(GOOD, Entry(b"a\xff"))),
    "overlong": ("BAD_NAME", zip_by_hand(GOOD, Entry(b"a\xc0\xafb"))),
    "surrogate": ("BAD_NAME", zip_by_hand(GOOD, Entry(b"a\xed\xa0\x80b"))),
    # 41: bombs
    "entries": ("ARCHIVE_LIMIT", zip_by_hand(*(Entry(f"f{n}", b"") for n in range(10_001)))),
    "entries-told-only": ("CORRUPT_ZIP", zip_by_hand(GOOD, count=9_999)),
    "folders-on-the-way": ("ARCHIVE_LIMIT", zip_by_hand(*(Entry(f"{n}/a/b/c/d/e/f/g/h/i", b"") for n in range(1_001)))),
    "depth": ("ARCHIVE_LIMIT", zip_by_hand(GOOD, Entry("d/" * 32 + "f"))),
    "path": ("ARCHIVE_LIMIT", zip_by_hand(GOOD, Entry("/".join(["d" * 200] * 6)))),
    "path-part": ("ARCHIVE_LIMIT", zip_by_hand(GOOD, Entry("d" * 256))),
    "size-told": ("ARCHIVE_LIMIT", zip_by_hand(GOOD, Entry("b", bytes=(1 << 30) + 1))),
    "sizes-told": ("ARCHIVE_LIMIT", zip_by_hand(GOOD, Entry("b", bytes=1 << 29), Entry("c", bytes=(1 << 29) + 1))),
    "size-told-of-4-eib": ("ARCHIVE_LIMIT", zip_by_hand(Entry("b", bytes=LARGE, extra=large_extra(1 << 62), own={"bytes": LARGE}))),
    "ratio": ("ARCHIVE_LIMIT", zip_by_hand(GOOD, Entry("b", bytes(20 << 20)))),
    # 42: what is not read here
    "encrypted": ("UNSUPPORTED_ZIP", zip_by_hand(GOOD, Entry("e", flags=0x801))),
    "encrypted-by-its-header": ("UNSUPPORTED_ZIP", zip_by_hand(GOOD, Entry("e", own={"flags": 0x801}))),
    "strongly-encrypted": ("UNSUPPORTED_ZIP", zip_by_hand(GOOD, Entry("e", flags=0x841))),
    "hidden-headers": ("UNSUPPORTED_ZIP", zip_by_hand(GOOD, Entry("e", flags=0x2800))),
    "aes": ("UNSUPPORTED_ZIP", zip_by_hand(GOOD, Entry("e", method=99))),
    **{f"method-{n}": ("UNSUPPORTED_ZIP", zip_by_hand(GOOD, Entry("m", method=n))) for n in (1, 6, 9, 12, 14, 93, 95, 98, 0xFFFF)},
    "patch": ("UNSUPPORTED_ZIP", zip_by_hand(GOOD, Entry("p", flags=0x820))),
    "other-disk": ("UNSUPPORTED_ZIP", zip_by_hand(GOOD, Entry("p", disk=1))),
    "part-of-several": ("UNSUPPORTED_ZIP", zip_by_hand(GOOD, disk=1)),
    "part-of-several-large": ("UNSUPPORTED_ZIP", zip_by_hand(GOOD, end64={"disk": 1})),
    # 43: damage
    "checksum": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("c", crc=1, own={"crc": 1}))),
    "checksum-stored": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("c", method=0, crc=1, own={"crc": 1}))),
    "checksums-differ": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("c", own={"crc": 1}))),
    "no-deflate": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("c", packed=b"\xff\xff\xff\xff"))),
    "cut-deflate": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("c", b"x" * 999, packed=b"\x03"))),
    "more-than-told": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("c", b"x" * 999, bytes=500))),
    "less-than-told": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("c", b"x" * 999, bytes=1500))),
    "stored-in-two-sizes": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("c", method=0, bytes=500))),
    "cut-in-half": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("b"))[:60]),
    "end-cut": ("CORRUPT_ZIP", zip_by_hand(GOOD)[:-1]),
    "start-cut": ("CORRUPT_ZIP", zip_by_hand(GOOD)[5:]),
    "bytes-behind": ("CORRUPT_ZIP", zip_by_hand(GOOD, behind=b"\0")),
    "long-comment": ("CORRUPT_ZIP", zip_by_hand(GOOD, comment=b"c" * 20_000)),
    "two-ends": ("CORRUPT_ZIP", zip_by_hand(GOOD, comment=zip_by_hand())),
    "bytes-before-the-end": ("CORRUPT_ZIP", zip_by_hand(GOOD, before_end=b"junk")),
    "directory-beyond": ("CORRUPT_ZIP", zip_by_hand(GOOD, at=4000)),
    "directory-too-long": ("CORRUPT_ZIP", zip_by_hand(GOOD, size=4000)),
    "directory-has-more": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("b"), count=1)),
    "directory-has-fewer": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("b" * 99), count=3)),
    "entry-elsewhere": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("b", at=3))),
    "entry-behind-the-end": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("b", at=0x7FFFFFFF))),
    "entry-into-the-directory": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("b", method=0, bytes=60, own={"bytes": 60, "packed": 60}))),
    "two-names-for-the-same-bytes": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("b.txt", at=0))),
    "one-inside-the-other": ("CORRUPT_ZIP", quoted()),
    "other-name-in-its-header": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("b", own={"name": b"c"}))),
    "parent-in-its-header": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("evil", own={"name": b"../e"}))),
    "other-method-in-its-header": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("b", own={"method": 0}))),
    "other-size-in-its-header": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("b", own={"bytes": 9}))),
    "a-second-name": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("b", extra=other_name("c", b"b")))),
    "a-second-name-of-a-flagged-one": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("ü", extra=other_name("ö", "ü".encode())))),
    "a-second-name-in-its-header": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry(b"\x84", flags=0, own_extra=other_name("c", b"\x84")))),
    "two-second-names": ("CORRUPT_ZIP", zip_by_hand(Entry(b"\x84", flags=0, extra=other_name("c", b"\x84") * 2))),
    "damaged-extra": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("b", extra=struct.pack("<HH", 1, 99)))),
    "folder-with-bytes": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("d/", b"bytes", stat.S_IFDIR | 0o755))),
    "large-without-its-numbers": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("b", bytes=LARGE, own={"bytes": LARGE}))),
    "large-with-half-a-number": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("b", bytes=LARGE, extra=extra_field(1, b"\0" * 4)))),
    "large-numbers-twice": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("b", bytes=LARGE, extra=large_extra(1) * 2))),
    "large-end-elsewhere": ("CORRUPT_ZIP", zip_by_hand(GOOD, end64={"locator": 7})),
    "large-end-beyond": ("CORRUPT_ZIP", zip_by_hand(GOOD, end64={"locator": (1 << 64) - 1})),
    "large-end-of-another-length": ("CORRUPT_ZIP", zip_by_hand(GOOD, end64={"length": 45})),
    "large-end-says-otherwise": ("CORRUPT_ZIP", zip_by_hand(GOOD, Entry("b"), end64={"count": 1})),
    "large-directory-beyond": ("CORRUPT_ZIP", zip_by_hand(GOOD, at=LARGE, end64={"at": (1 << 64) - 1})),
    "large-count": ("CORRUPT_ZIP", zip_by_hand(GOOD, count=0xFFFF, end64={"count": 1 << 62})),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_by_its_code(extract, name):
    code, data = HOSTILE[name]
    status, said, folder = extract(data)
    assert (status, said.split(":")[0]) == (3, code), (status, said)
    assert said.startswith(f"{code}: The archive was refused: ") and said.endswith(".") and said.isprintable() and said.isascii()
    assert not [p for p in folder.rglob("*") if p.is_symlink() or not (p.is_file() or p.is_dir())]


@pytest.mark.parametrize("limits, code", [
    ({"files": 2}, "ARCHIVE_LIMIT"), ({"bytes": 29}, "ARCHIVE_LIMIT"), ({"depth": 2}, "ARCHIVE_LIMIT"),
    ({"files": 4}, None), ({"bytes": 30}, None), ({"depth": 3}, None)])
def test_limits_are_what_the_worker_says(extract, limits, code):
    status, said, _ = extract(zip_by_hand(Entry("a/b/c", b"1" * 10), Entry("d", b"2" * 20)), **limits)
    assert (status, said.split(":")[0]) == ((3, code) if code else (0, "")), said


def test_a_ratio_that_is_allowed(extract):
    zeros = zip_by_hand(Entry("zeros", bytes(20 << 20)))
    status, said, folder = extract(zeros, ratio=2000)
    assert status == 0 and (folder / "zeros").stat().st_size == 20 << 20, said


def test_real_bytes_count_not_those_that_are_told(extract):
    """It says 10 bytes, and would become 64 MiB."""
    pack = Entry("b", bytes(64 << 20)).packed
    status, said, folder = extract(zip_by_hand(Entry("b", b"0123456789", packed=pack)))
    assert status == 3 and said.startswith("CORRUPT_ZIP: "), said
    assert sum(p.stat().st_size for p in folder.rglob("*")) < 1 << 20


def test_what_is_good_is_taken(extract):
    follow = Entry("streamed", b"s" * 99)
    name = "ä.txt"
    status, said, folder = extract(zip_by_hand(
        Entry("plain", b"1"), Entry("stored", b"2", method=0), Entry("empty", b""), Entry("no-mode", b"3", mode=0),
        Entry("dos.txt", b"4", mode=0, system=0), Entry("mac", b"5", system=19), Entry("folder/", b"", stat.S_IFDIR | 0o777, method=0),
        Entry("folder/x", b"6"), Entry("dos-folder", b"", mode=0, system=0, attributes=0x10),
        Entry("unix-folder", b"", stat.S_IFDIR | 0o700), Entry("a:b*?", b"7"), Entry("name with  spaces ", b"8"),
        Entry("no-flag-ü", b"9", flags=0), Entry(b"\x84.txt", b"10", flags=0, extra=other_name(name, b"\x84.txt")),
        Entry("same", b"11", extra=other_name("same", b"same")), Entry("aligned", b"12", own_extra=b"\0\0\0"),
        Entry("streamed", b"s" * 99, flags=0x808, own={"crc": 0, "packed": 0, "bytes": 0},
              follow=struct.pack("<4sIII", b"PK\7\x08", follow.fields()["crc"], len(follow.packed), 99)),
        Entry("large", b"13", bytes=LARGE, extra=large_extra(2), own={"bytes": LARGE}),
        gap=b"gap", comment=b"a comment"))
    assert status == 0, said
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == ["dos-folder", "folder", "unix-folder"]
    files = {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}
    assert files == {"plain": "1", "stored": "2", "empty": "", "no-mode": "3", "dos.txt": "4", "mac": "5", "folder/x": "6", "a:b*?": "7",
                     "name with  spaces ": "8", "no-flag-ü": "9", name: "10", "same": "11", "aligned": "12", "streamed": "s" * 99,
                     "large": "13"}


NAMES = ["é", "o\u0323\u0301", "o\u0301\u0323", "한", "ệ/Å", "\u212b", "\u0958", "\U0001d15e"]


@pytest.mark.parametrize("form", ["NFC", "NFD", None])
def test_names_keep_the_form_they_have(extract, form):
    """Composed, decomposed, neither, and what has no composed form: a name alone is nobody's double."""
    spelt = [unicodedata.normalize(form, name) if form else name for name in NAMES]
    files = [f"{n}/{name}" for n, name in enumerate(spelt)]
    status, said, folder = extract(zip_by_hand(*(Entry(name, flags=flags) for name, flags in zip(files, [0x800, 0] * 4))))
    assert status == 0, said
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()) == sorted(files)


@pytest.mark.parametrize("data, files", [
    (zip_by_hand(), []), (zip_by_hand(comment=b"empty"), []), (zip_by_hand(GOOD, end64={}), ["good.txt"]),
    (zip_by_hand(GOOD, end64={}, count=0xFFFF, size=LARGE, at=LARGE), ["good.txt"]), (zip_of({"a": "x", "b/c": "y"}), ["a", "b", "b/c"])],
    ids=["empty", "empty-with-comment", "large", "large-alone", "zipfile"])
def test_whole_archives_that_are_good(extract, data, files):
    status, said, folder = extract(data)
    assert status == 0, said
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*")) == files


@pytest.mark.parametrize("mode", [0o4755, 0o6777, 0o2644, 0o1777, 0o777, 0o666, 0o600, 0o100, 0o000, 0o644, 0o755, 0o7777])
def test_modes_are_0644_or_0755(extract, mode):
    """Row 44."""
    status, said, folder = extract(zip_by_hand(Entry("d/f", mode=stat.S_IFREG | mode), Entry("e/", b"", stat.S_IFDIR | mode)))
    assert status == 0, said
    assert stat.S_IMODE((folder / "d/f").stat().st_mode) == (0o755 if mode & 0o100 else 0o644)
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in "de"} == {0o755}


def shut_in(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return {line.split(":")[0]: line.split()[1] for line in status.splitlines() if line.split(":")[0] in ("Seccomp", "NoNewPrivs")}


def test_the_extractor_is_shut_in_while_it_works(tmp_path):
    archive, folder = tmp_path / "a.zip", tmp_path / "out"
    archive.write_bytes(zip_by_hand(*(Entry(f"zeros{n}", bytes(64 << 20)) for n in range(3))))
    folder.mkdir()
    process = subprocess.Popen([BIN / "gleaner-extract", archive, folder, "10", str(1 << 30), "100000", "32"])
    seen = []
    while process.poll() is None:
        if (folder / "zeros0").exists():
            try:
                seen.append(shut_in(process.pid))
            except (FileNotFoundError, ProcessLookupError):
                break
            time.sleep(0.001)
    assert process.wait(60) == 0
    assert seen and all(was == {"Seccomp": "2", "NoNewPrivs": "1"} for was in seen if was), seen[:3]
