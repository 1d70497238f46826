"""The rabbitmq source as a user runs it, on the local worker: killed at random, its server killed, much to do."""

import json
import os
import time
from pathlib import Path

import pytest
from processes import spouts_of
from rabbit_rig import Broker, numbered
from servers.kill_story import LocalSpout, Verdict, count, run_to_the_end, tell, wait_until
from servers.rabbitmq import KEPT, SPOUT

SOAK = os.environ.get("SPOUTGEN_SOAK") == "1"
KILLS = 200 if SOAK else 30
MEMORY = 80 << 20  # bytes resident, whatever the backlog

SPEC = """\
version: 1
name: orders
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

    def make(mode, queue, records=1000):
        node = broker.node
        spec = SPEC.format(
            mode=mode, port=node.tls_port, queue=queue, ca_file=node.ca_file, variable=VARIABLE, records=records
        )
        spouts.append(LocalSpout(spec, tmp_path, {VARIABLE: SPOUT.password}))
        return spouts[0]

    yield make
    for each in spouts:
        each.close()


def restarts(broker):
    """Kills the server, too, in the middle of the story."""

    def meanwhile(number):
        if number == KILLS // 2:
            broker.node.kill()
            broker.node.start()
            broker.reconnect()

    return meanwhile


def test_a_killed_spout_on_a_stream_loses_and_repeats_nothing(broker, spout):
    stream = broker.stream()
    wanted = numbered(60 * KILLS)
    broker.publish(stream, *wanted)
    made = spout("stream", stream, records=20)
    verdict = tell(made, wanted, KILLS, seed=6, meanwhile=restarts(broker), longest_life=0.3)
    assert verdict == Verdict(KILLS, lost=0, repeated=0, strange=0), made.words()
    assert SPOUT.password.encode() not in made.everything_said()
    assert json.loads(made.marker())["source"] == f"rabbitmq:stream:/:{stream}"


def test_a_killed_spout_on_a_queue_loses_nothing(broker, spout):
    broker.channel.queue_purge(KEPT)
    wanted = numbered(60 * KILLS)
    broker.publish(KEPT, *wanted)
    made = spout("queue", KEPT, records=20)
    verdict = tell(made, wanted, KILLS, seed=7, meanwhile=restarts(broker), longest_life=0.3)
    assert (verdict.lost, verdict.strange) == (0, 0), made.words()
    assert SPOUT.password.encode() not in made.everything_said()
    print(f"\nqueue: {verdict}")


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
        largest.extend(resident(process) for process in spouts_of(made.home))
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
