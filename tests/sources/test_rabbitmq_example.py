"""The examples are run as their README says, against the tests' own server."""

from pathlib import Path

import pytest
from rabbit_rig import Broker
from servers.kill_story import LocalSpout, run_to_the_end
from servers.rabbitmq import SPOUT

EXAMPLES = Path(__file__).parents[2] / "examples/rabbitmq"


@pytest.mark.parametrize("example", ["orders", "history"])
def test_it_runs(rabbitmq, tmp_path, example):
    broker = Broker(rabbitmq)
    queue = broker.declare(example, **({"x-queue-type": "stream"} if example == "history" else {}))
    wanted = [b'{"order": %d}' % number for number in range(17, 20)]
    broker.publish(queue, *wanted)
    spec = (EXAMPLES / f"{example}.yaml").read_text()
    with LocalSpout(spec, tmp_path, {"RABBITMQ_PASSWORD": SPOUT.password}) as spout:
        here = ["source.host=localhost", "source.tls=false", f"source.port={rabbitmq.port}"]
        spout.start(*[word for setting in here for word in ("--set", setting)])
        assert run_to_the_end(spout, wanted) == 0, spout.words()
        spout.stop()
        assert spout.marker().startswith(b'{"spoutgen_marker":1')
    broker.close()
