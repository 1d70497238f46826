"""The conformance kit on a real server: all of it for a stream, and what of it a queue can keep."""

import pytest
from rabbit_rig import Broker, numbered
from servers.rabbitmq import SPOUT

from spoutgen.conformance.subject import subject
from spoutgen.conformance.suite import CHECKS, run_checks
from spoutgen.local.environment import Secrets
from spoutgen.local.spec import read_spec
from spoutgen.project.render import render
from spoutgen.project.tree import write_tree
from spoutgen.spec import load_text

# Kills are what test_rabbitmq_stories.py is about.
NAMES = [check.name for check in CHECKS if not check.name.startswith("kill-")]
# What a queue keeps of it: all that asks for no replay, for it gives again what it wants, and as something new.
OF_A_QUEUE = {"loads", "records", "positions", "names", "marker", "idle"}


@pytest.fixture(scope="module", params=["stream", "queue"])
def found(request, rabbitmq, tmp_path_factory):
    broker = Broker(rabbitmq)
    queue = broker.stream() if request.param == "stream" else broker.declare()
    broker.publish(queue, *numbered(30))
    broker.close()
    folder = tmp_path_factory.mktemp("project")
    text = f"""
version: 1
name: aspout
image: aspout:v1
source:
  {{type: rabbitmq, mode: {request.param}, host: localhost, port: {rabbitmq.tls_port}, queue: {queue}, user: spout,
  password_env: RABBITMQ_PASSWORD, tls_ca_file: {rabbitmq.ca_file}}}
marker: mymark
secrets: [{{name: rabbitmq, key: password, env: RABBITMQ_PASSWORD}}]
"""
    write_tree(render(load_text(text, "spout.yaml")).tree, folder)
    environment = {"PATH": "/usr/bin:/bin"}
    secrets = Secrets({"RABBITMQ_PASSWORD": SPOUT.password})
    with subject(folder, read_spec(folder / "pipeline.json"), secrets, environment, seconds=10.0) as made:
        names = NAMES if request.param == "stream" else [name for name in NAMES if name in OF_A_QUEUE]
        yield request.param, {result.name: result for result in run_checks(made, names)}


@pytest.mark.parametrize("name", NAMES)
def test_it_keeps_the_promise(found, name):
    mode, results = found
    if mode == "queue" and name not in OF_A_QUEUE:
        assert name not in results
        return
    assert results[name].outcome == "ok", results[name]
