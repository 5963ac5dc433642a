"""userns.py COMMAND ...: runs it in namespaces of its own, in which every user is who they are, and root has no right over anything
that is outside of them. A program of its own, for systemd.py."""

import ctypes
import os
import pathlib
import sys

NEW_USER = 0x10000000

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
    os.execvp("unshare", ["unshare", "-m", "-p", "-f", "-C", "-n", "-u", "-i", "--kill-child=KILL", *sys.argv[1:]])
os.close(ready[1])
if os.read(ready[0], 1):
    for kind in ("uid_map", "gid_map"):
        pathlib.Path(f"/proc/{child}/{kind}").write_text("0 0 65536")
os.write(go[1], b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
