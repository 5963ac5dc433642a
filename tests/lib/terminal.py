"""A program at a terminal of its own."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

from built import PATIENCE


class Terminal:
    def __init__(self, args, env, folder, lines=24, columns=80):
        self.shown, self.status = "", None
        ready, go = os.pipe()
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.close(go)
            os.read(ready, 1)  # the terminal has its size
            os.chdir(folder)
            os.execvpe(args[0], args, env)
        self.resize(lines, columns)
        self.before = termios.tcgetattr(self.terminal)
        os.write(go, b"x")
        os.close(ready)
        os.close(go)

    def resize(self, lines, columns):
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, text):
        os.write(self.terminal, text.encode())

    def take(self):
        """What has been shown since, and is not told again."""
        shown, self.shown = self.shown, ""
        return shown

    def _read(self):
        if select.select([self.terminal], [], [], 0.1)[0]:
            try:
                self.shown += os.read(self.terminal, 65536).decode(errors="replace")
            except OSError:  # nobody is there any more
                return False
        return True

    def see(self, what, seconds=30):
        """Waits until that pattern was shown; all that was, up to now."""
        end = time.monotonic() + seconds * PATIENCE
        while not re.search(what, self.shown):
            assert time.monotonic() < end, (what, self.shown)
            assert self._read() or re.search(what, self.shown), (what, self.shown)
        return self.take()

    def shows(self, what):
        """Whether that pattern has been shown; looks for a moment."""
        self._read()
        return re.search(what, self.shown) is not None

    def wait(self, seconds=20):
        """Its exit status; negative: the signal that ended it."""
        end = time.monotonic() + seconds * PATIENCE
        while self.status is None:
            assert time.monotonic() < end, self.shown
            self._read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        while self._read() and select.select([self.terminal], [], [], 0)[0]:
            pass
        return self.status

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.terminal)
