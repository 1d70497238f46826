"""The rabbitmq source as a user runs it, on the local cluster: killed at random, its server killed, much to do."""

import json
import os
import time
from pathlib import Path

import pytest
from rabbit_rig import Broker, numbered
from servers.kill_story import SOAK, LocalSpout, Trouble, Verdict, count, run_to_the_end, tell, wait_until
from servers.proxy import Proxy
from servers.rabbitmq import KEPT, SPOUT

KILLS = 200 if SOAK else 30
A_LIFE = 200  # messages for each
MEMORY = 80 << 20  # bytes resident, whatever the backlog

SPEC = """\
version: 1
name: orders
pachyderm: {target}
image: orders:v1
source:
  {{type: rabbitmq, mode: {mode}, host: localhost, port: {port}, queue: {queue}, user: spout, password_env: {variable},
  tls_ca_file: {ca_file}, heartbeat: 5s}}
secrets: [{{name: rabbitmq, key: password, env: {variable}}}]
marker: mymark
output: {{path: "messages/{{first}}"}}
batch: {{records: {records}, wait: 200ms}}
"""
VARIABLE = "RABBITMQ_PASSWORD"


@pytest.fixture
def broker(rabbitmq):
    broker = Broker(rabbitmq)
    yield broker
    broker.close()


@pytest.fixture
def spout(broker, tmp_path):
    spouts = []

    def make(mode, queue, records=1000, port=None, target=1, **how):
        node = broker.node
        spec = SPEC.format(
            mode=mode,
            port=port or node.tls_port,
            queue=queue,
            ca_file=node.ca_file,
            variable=VARIABLE,
            records=records,
            target=target,
        )
        spouts.append(LocalSpout(spec, tmp_path, {VARIABLE: SPOUT.password}, **how))
        return spouts[0]

    yield make
    for each in spouts:
        each.close()


@pytest.fixture
def proxy(rabbitmq):
    with Proxy(("127.0.0.1", rabbitmq.tls_port)) as proxy:
        yield proxy


def killed(broker, queue, spout, proxy, seed):
    """Tell the story of a spout, with messages for each life, trouble in every third, and the server killed in one."""

    def restart():
        broker.node.kill()
        broker.node.start()
        broker.reconnect()

    def publish(number):
        broker.publish(queue, *numbered(A_LIFE, (number + 1) * A_LIFE))

    def publish_and_harm(number):
        publish(number)
        trouble(number)

    trouble = Trouble(proxy, restart, seed, kills=KILLS, restarts=1)
    broker.publish(queue, *numbered(A_LIFE))
    # What a queue gave is gone from it, so there must be more before the next life waits for a commit.
    how = {"meanwhile": trouble, "feed": publish} if queue == KEPT else {"meanwhile": publish_and_harm}
    verdict = tell(spout, numbered((KILLS + 1) * A_LIFE), KILLS, seed, longest_life=0.3, **how)
    assert set(trouble.done) == {"restart", "drop", "reset", "stall", "slow"}
    assert SPOUT.password.encode() not in spout.everything_said()
    return verdict


@pytest.mark.parametrize("target", [1, 2])
def test_a_killed_spout_on_a_stream_loses_and_repeats_nothing(broker, spout, proxy, target):
    stream = broker.stream()
    made = spout("stream", stream, records=50, port=proxy.port, target=target, is_warm=True)
    verdict = killed(broker, stream, made, proxy, seed=5 + target)
    assert verdict == Verdict(KILLS, lost=0, repeated=0, strange=0), made.words()
    assert json.loads(made.marker())["source"] == f"rabbitmq:stream:/:{stream}"


@pytest.mark.parametrize("target", [1, 2])
def test_a_killed_spout_on_a_queue_loses_nothing(broker, spout, proxy, target):
    broker.channel.queue_purge(KEPT)
    made = spout("queue", KEPT, records=50, port=proxy.port, target=target, is_warm=True)
    verdict = killed(broker, KEPT, made, proxy, seed=6 + target)
    assert (verdict.kills, verdict.lost, verdict.strange) == (KILLS, 0, 0), made.words()
    print(f"\nqueue on {target}.x: {verdict}")


@pytest.mark.parametrize("mode", ["queue", "stream"] if SOAK else ["stream"])
def test_200_000_records_in_little_memory(broker, spout, mode):
    queue = broker.stream() if mode == "stream" else broker.declare()
    wanted = [b"record %06d" % number + b"x" * 187 for number in range(200_000)]
    broker.publish(queue, *wanted)
    made = spout(mode, queue)
    began = time.monotonic()
    made.start()
    largest = []

    def look():
        largest.extend(resident(process) for process in made.user_code())
        return made.commits() >= 200

    wait_until(look, "all of it is committed")
    took = time.monotonic() - began
    assert run_to_the_end(made, wanted) == 0
    if mode == "queue":
        wait_until(lambda: consumed(broker, queue), "all of it is acknowledged")
    made.stop()
    assert count(made.lines(), wanted) == Verdict(0, 0, 0, 0)
    assert max(largest) < MEMORY
    print(f"\n{mode}: {200_000 / took:.0f} records a second, {max(largest) / 2**20:.0f} MiB at most")


def consumed(broker, queue):
    """No message is ready, and none is with the spout."""
    found = broker.node.api("GET", f"queues/%2F/{queue}")
    return found.get("messages") == 0


def resident(process):
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
