"""A file's SHA-256 on one core, its copy on the disk: what an upload costs at least.

usage: hashing.py openssl|sodium FILE COPY
prints seconds and the hash as JSON
"""
import ctypes, hashlib, json, os, sys, time

BLOCK = 1 << 20


class Sodium:
    """libsodium's, by its C functions."""

    def __init__(self):
        self.library = ctypes.CDLL("libsodium.so.23")
        self.state = ctypes.create_string_buffer(self.library.crypto_hash_sha256_statebytes())
        self.library.crypto_hash_sha256_init(self.state)

    def update(self, block):
        self.library.crypto_hash_sha256_update(self.state, (ctypes.c_char * len(block)).from_buffer(block), ctypes.c_ulonglong(len(block)))

    def hexdigest(self):
        out = ctypes.create_string_buffer(32)
        self.library.crypto_hash_sha256_final(self.state, out)
        return out.raw.hex()


ENGINES = {"openssl": hashlib.sha256, "sodium": Sodium}


def main():
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    start = time.monotonic()
    engine, block = ENGINES[sys.argv[1]](), bytearray(BLOCK)
    with open(sys.argv[2], "rb", buffering=0) as source, open(sys.argv[3], "wb", buffering=0) as copy:
        while got := source.readinto(block):
            part = block if got == BLOCK else bytearray(block[:got])
            engine.update(part)
            copy.write(part)
        os.fsync(copy.fileno())
    print(json.dumps({"seconds": time.monotonic() - start, "sha256": engine.hexdigest()}))


main()
