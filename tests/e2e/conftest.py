"""Fixtures of the end-to-end tests: a cluster a test, or one for all tests of a file that leave it as it was."""

import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from cluster import Cluster  # noqa: E402
from shell import Shell  # noqa: E402


@pytest.fixture
def clusters(tmp_path):
    """Makes clusters of the test's own: clusters (broker_args=...)."""
    made = []

    def make(**options):
        folder = tmp_path / f"cluster{len(made)}"
        folder.mkdir()
        made.append(Cluster(folder, **options))
        return made[-1]

    yield make
    for cluster in reversed(made):
        cluster.close()


@pytest.fixture
def cluster(clusters):
    """Broker and gateway, no worker."""
    return clusters()


@pytest.fixture
def shell(cluster, tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    one = Shell(cluster, folder)
    one.write({"a.txt": "hello\n"})
    return one


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Broker and gateway, no worker, the same for the whole file."""
    cluster = Cluster(tmp_path_factory.mktemp("shared"))
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def at_work(tmp_path_factory):
    """Broker, gateway and a worker of two slots, the same for the whole file."""
    cluster = Cluster(tmp_path_factory.mktemp("at-work"))
    cluster.worker("http", "--slots", "2")
    yield cluster
    cluster.close()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 12 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("mounting a tmpfs needs root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
