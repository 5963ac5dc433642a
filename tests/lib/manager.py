"""A service manager's side of sd_notify(3) and sd_listen_fds(3)."""

import os
import pathlib
import socket
import stat


PASSED = ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&0 </dev/null', "sh"]  # the socket comes as standard input


class Manager:
    """A datagram socket for NOTIFY_SOCKET; heard is all that has come, an assignment each."""

    def __init__(self, name):
        self.name, self.heard = str(name), []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.name[1:] if self.name.startswith("@") else self.name)
        self.socket.settimeout(0.05)

    def env(self, watchdog_s=None):
        return {"NOTIFY_SOCKET": self.name, **({"WATCHDOG_USEC": str(int(watchdog_s * 1e6))} if watchdog_s else {})}

    def take(self):
        try:
            while True:
                self.heard += self.socket.recv(65536).decode().splitlines()
        except TimeoutError:
            return self.heard

    def wait(self, probe, wait_until, what):
        return wait_until(lambda: [line for line in self.take() if probe(line)], 10, what)

    def close(self):
        self.socket.close()


def listener(host="127.0.0.1"):
    """What a socket unit would hold."""
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((host, 0))
    held.listen(128)
    return held
