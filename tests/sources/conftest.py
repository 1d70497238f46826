"""The runtime of the template on the path, and the servers that its sources read, each started once."""

import sys
from pathlib import Path

import pytest
from servers.postgres import Cluster, binaries, running_cluster
from servers.rabbitmq import RabbitNode, missing

sys.dont_write_bytecode = True  # cookiecutter copies whatever it finds in a template
sys.path.insert(0, str(Path(__file__).parents[2] / "cookiecutter-spout/{{cookiecutter.name}}"))


@pytest.fixture(scope="session")
def postgres() -> Cluster:
    bin_folder = binaries()
    if bin_folder is None:
        pytest.skip("no PostgreSQL server is installed (Debian: postgresql)")
    with running_cluster(bin_folder) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory):
    why = missing()
    if why:
        pytest.skip(why)
    node = RabbitNode(tmp_path_factory.mktemp("rabbitmq"))
    try:
        node.start()
        yield node
    finally:
        node.close()
