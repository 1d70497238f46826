"""The conformance kit over a kafka project, on a real broker."""

import pytest
from servers.tansu import Broker

from spoutgen.conformance.subject import subject
from spoutgen.conformance.suite import CHECKS, run_checks
from spoutgen.local.environment import Secrets
from spoutgen.local.spec import read_spec
from spoutgen.project.render import render
from spoutgen.project.tree import write_tree
from spoutgen.spec import load_text

# Kills are what test_kafka_stories.py is about.
NAMES = [check.name for check in CHECKS if not check.name.startswith("kill-")]
SPEC = """\
version: 1
name: aspout
image: aspout:v1
source: {{type: kafka, servers: "{servers}", topics: [orders], tls: false}}
marker: {marker}
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with Broker(tmp_path_factory.mktemp("tansu")) as made:
        # One partition: the kit compares orders, and across partitions there is none.
        made.create("orders")
        made.write("orders", ((0, b"%d" % number) for number in range(60)))
        yield made


def results(broker, folder, marker, names):
    write_tree(render(load_text(SPEC.format(servers=broker.servers, marker=marker), "spout.yaml")).tree, folder)
    with subject(folder, read_spec(folder / "pipeline.json"), Secrets({}), {"PATH": "/usr/bin:/bin"}, 2.0) as made:
        return {result.name: result for result in run_checks(made, names)}


@pytest.fixture(scope="module")
def found(broker, tmp_path_factory):
    return results(broker, tmp_path_factory.mktemp("project"), "mymark", NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_keeps_the_promise(found, name):
    assert found[name].outcome == "ok", found[name]


def test_its_marker_may_have_parts(broker, tmp_path):
    found = results(broker, tmp_path, "{prefix: mymark}", ["marker"])
    assert found["marker"].outcome == "ok", found["marker"]
