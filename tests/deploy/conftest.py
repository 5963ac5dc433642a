"""What is deployed is a release: these tests run its programs, whatever else is built."""

import os
import pathlib
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
os.environ.setdefault("GLEANER_BIN", str(TOP / "build/release/bin"))
sys.path.insert(0, str(TOP / "tests/lib"))

import pytest  # noqa: E402

from cluster import Cluster  # noqa: E402
from debs import ALL, package  # noqa: E402
from root import Root, make_debian, take_away, why_not  # noqa: E402


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Broker and gateway, which takes the examples' name; the built page; no worker."""
    one = Cluster(tmp_path_factory.mktemp("cluster"), gateway_args=("--host", "gleaner.example.org", "--web", TOP / "build/release/web"))
    yield one
    one.close()


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """What deploy/package makes."""
    made = package(tmp_path_factory.mktemp("packages"))
    assert {p.name.split("_")[0] for p in made} == set(ALL) and len(made) == len(ALL), made
    return made


@pytest.fixture(scope="session")
def debian(tmp_path_factory):
    """The files of a Debian that has a compiler, and nothing of Gleaner."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("debian") / "files"
    try:
        make_debian(folder, ["ca-certificates", "curl", "gcc", "libc6-dev", "make", "procps"])
    except OSError as error:
        pytest.skip(str(error))
    yield folder
    take_away(folder)


@pytest.fixture(scope="module")
def debian_root(debian, tmp_path_factory):
    """One of a file's own to work in."""
    one = Root(debian, tmp_path_factory.mktemp("root") / "root")
    yield one
    one.close()
