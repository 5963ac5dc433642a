"""Tokens of a cluster's broker, made and revoked by its own command; and clients that show one."""

import json
import subprocess

from client import Client
from cluster import BIN


def command(cluster, *args):
    """What `gleaner-broker token ...` prints; it must go well."""
    done = subprocess.run([BIN / "gleaner-broker", "token", args[0], "--data", cluster.folder / "data", *args[1:]], capture_output=True,
                          text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


def create(cluster, role, name, *args):
    return command(cluster, "create", "--role", role, "--name", name, *args).strip()


def revoke(cluster, token):
    command(cluster, "revoke", token.split("_")[1])


def listed(cluster):
    return json.loads(command(cluster, "list", "--json"))


class TokenClient(Client):
    """A client that shows a token with every request; None: none."""

    def __init__(self, cluster, token):
        super().__init__(cluster.host.address, cluster.port)
        self.token = token
        cluster.on_close(self)

    def request(self, method, path, body=None, headers=None):
        shown = {"Authorization": f"Bearer {self.token}"} if self.token is not None else {}
        return super().request(method, path, body, {**shown, **(headers or {})})
