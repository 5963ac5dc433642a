"""Hosts in network namespaces of the test's own, joined by a cable that can be cut. Needs root."""

import ctypes
import os
import socket
import subprocess
import threading

import pytest

from cluster import Host

CLONE_NEWNET = 0x40000000


def ip(*words, check=True):
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=check)


class NamespaceHost(Host):
    def __init__(self, name, address):
        self.name, self.address = name, address
        self.prefix = ("ip", "netns", "exec", name)

    def connect(self, address, timeout=None, source_address=None):
        """As socket.create_connection, from inside the namespace: a socket stays in the one that made it."""
        result = []

        def run():
            try:
                with open(f"/run/netns/{self.name}", "rb") as namespace:
                    if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                result.append(socket.create_connection(address, timeout, source_address))
            except OSError as error:
                result.append(error)

        thread = threading.Thread(target=run)  # one of its own: setns is for the thread
        thread.start()
        thread.join()
        if isinstance(result[0], OSError):
            raise result[0]
        return result[0]


class Network:
    """`server` and `workers`, two hosts with a cable between them."""

    def __init__(self):
        mark = os.getpid()
        self.server = NamespaceHost(f"gl-server-{mark}", "10.231.77.1")
        self.workers = NamespaceHost(f"gl-workers-{mark}", "10.231.77.2")
        self.cable = f"gl{mark}"[:14]
        made = ip("netns", "add", self.server.name, check=False)
        if made.returncode:
            pytest.skip(f"network namespaces: {made.stderr.strip()}")
        ip("netns", "add", self.workers.name)
        ip("-n", self.server.name, "link", "add", self.cable, "type", "veth", "peer", "name", self.cable, "netns", self.workers.name)
        for host in (self.server, self.workers):
            ip("-n", host.name, "addr", "add", f"{host.address}/30", "dev", self.cable)
            ip("-n", host.name, "link", "set", "lo", "up")
            ip("-n", host.name, "link", "set", self.cable, "up")

    def cut(self):
        ip("-n", self.workers.name, "link", "set", self.cable, "down")

    def mend(self):
        ip("-n", self.workers.name, "link", "set", self.cable, "up")

    def lose_from(self, host):
        """One way only: what that host sends is thrown away."""
        other = self.workers if host is self.server else self.server
        ip("-n", host.name, "route", "add", "blackhole", f"{other.address}/32")

    def lose_no_more(self, host):
        other = self.workers if host is self.server else self.server
        ip("-n", host.name, "route", "del", "blackhole", f"{other.address}/32")

    def close(self):
        for host in (self.workers, self.server):
            ip("netns", "del", host.name, check=False)
