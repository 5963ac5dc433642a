"""userns.py ID COMMAND ...: runs it in namespaces of its own, as a root who is ID outside of them. A program of its own, for
systemd.py."""

import ctypes
import os
import pathlib
import sys

NEW_USER = 0x10000000
COUNT = 65536

libc = ctypes.CDLL(None, use_errno=True)
ready, go = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    if libc.unshare(NEW_USER):
        sys.exit(f"unshare: {os.strerror(ctypes.get_errno())}")
    os.write(ready[1], b"x")
    os.read(go[0], 1)
    os.setgid(0)
    os.setuid(0)
    os.execvp("unshare", ["unshare", "-m", "-p", "-f", "-C", "-n", "-u", "-i", "--kill-child=KILL", *sys.argv[2:]])
os.close(ready[1])
if os.read(ready[0], 1):
    for kind in ("uid_map", "gid_map"):
        pathlib.Path(f"/proc/{child}/{kind}").write_text(f"0 {sys.argv[1]} {COUNT}")
os.write(go[1], b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
