"""Records of 200 bytes: the kafka source, with the whole runtime around it, beside a bare consumer, in turn.

Both read the same topic from librdkafka's own mock cluster, a process of its own that answers at the speed of C, and
make the same lines of it, a file a partition and batch. Ours writes them through a FIFO that another process drains;
the bare consumer writes files. Compared is the time that each process computes a record: two consumers beside one
broker on two cores would mostly be measured waiting for it.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipe_sink import MEBI, RUNTIME, Row, computed, peak_memory, running

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from servers.tansu import options  # noqa: E402

ROUNDS = 5
TOPICS, PARTITIONS, EACH, SIZE = 10, 4, 20_000, 200  # the mock cluster keeps about 5 MB of a partition
COUNT = TOPICS * PARTITIONS * EACH
BATCH = 10_000
WARM = COUNT // 4  # records until which nothing is counted: starting, connecting, the first fetch

# Prints where its mock cluster listens, once it is filled, and serves until it is killed. It makes a topic by itself,
# with four partitions.
CLUSTER = """
import sys, time
from confluent_kafka import Producer
topics, partitions, each, size = map(int, sys.argv[1:])
producer = Producer({"bootstrap.servers": "", "test.mock.num.brokers": 1, "linger.ms": 20})
broker, = producer.list_topics(timeout=10).brokers.values()
for topic in range(topics):
    for number in range(each):
        for partition in range(partitions):
            producer.produce(f"orders{topic}", b"%0*d" % (size, number), partition=partition)
        if number % 2000 == 0:
            producer.flush()
producer.flush()
print(f"{broker.host}:{broker.port}", flush=True)
time.sleep(3600)
"""
# Prints the processor seconds between WARM records and nine tenths of them, and how many records that were.
BARE = """
import collections, os, sys
from confluent_kafka import Consumer, TopicPartition
servers, folder, topics, partitions, warm, count, batch = *sys.argv[1:3], *map(int, sys.argv[3:])
consumer = Consumer({"bootstrap.servers": servers, "group.id": "bare", "enable.auto.commit": False,
                     "queued.max.messages.kbytes": 8192})
consumer.assign([TopicPartition(f"orders{at // partitions}", at % partitions, 0) for at in range(topics * partitions)])
seen, held, lines, began = 0, 0, collections.defaultdict(list), None
while seen < 0.9 * count:
    for message in consumer.consume(10_000, 1.0):
        lines[message.topic(), message.partition()].append((message.offset(), message.value()))
        seen += 1
        held += 1
    if held >= batch:
        for (topic, partition), records in lines.items():
            with open(f"{folder}/{topic}-{partition}-{records[0][0]}-{records[-1][0]}", "wb") as file:
                file.write(b"\\n".join([*(value for _, value in records), b""]))
        lines.clear()
        held = 0
    if began is None and seen >= warm:
        began = sum(os.times()[:2]), seen
spent = sum(os.times()[:2]) - began[0]
print(spent, seen - began[1], flush=True)
os._exit(0)
"""


def measure() -> list[Row]:
    """The rows of the table: what, measured, target, met."""
    with cluster() as servers:
        pairs = [(*cost_of_source(servers), cost_of_bare(servers)) for _ in range(ROUNDS)]
    share = statistics.median(bare / ours for ours, _, bare in pairs)
    ours, memory, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    rates = f"{1 / ours:,.0f} records a processor second, {memory:.0f} MiB; bare {1 / bare:,.0f}"
    return [
        (
            f"kafka source, records of {SIZE} B",
            f"{share:.2f}x ({rates})",
            ">= 0.7x a bare consumer, < 80 MiB",
            share >= 0.7 and memory < 80,
        )
    ]


@contextmanager
def cluster() -> Iterator[str]:
    """A cluster with the topics; its address."""
    command = [sys.executable, "-c", CLUSTER, *map(str, (TOPICS, PARTITIONS, EACH, SIZE))]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert child.stdout
    try:
        yield child.stdout.readline().strip()
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def cost_of_source(servers: str) -> tuple[float, float]:
    """Processor seconds of a record; and the most memory, in MiB."""
    source = {
        "type": "kafka",
        **options(servers, topics=[f"orders{topic}" for topic in range(TOPICS)], cluster="bench"),
    }
    batch = {"records": BATCH, "bytes": 8 * MEBI, "wait": 5}
    seen, begin = 0, (0.0, 0)
    path = "data/{topic}/{partition}/{first}-{last}"
    with running([sys.executable, str(RUNTIME / "main.py")], source, batch, path) as (child, lines):
        for text in lines:
            said = json.loads(text)
            seen += said.get("records", 0)
            if begin == (0.0, 0) and seen >= WARM:
                begin = computed(child.pid), seen
            if seen >= 0.9 * COUNT:
                break
        spent, memory = computed(child.pid) - begin[0], peak_memory(child.pid)
    return spent / (seen - begin[1]), memory


def cost_of_bare(servers: str) -> float:
    """Processor seconds of a record."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", BARE, servers, folder, *map(str, (TOPICS, PARTITIONS, WARM, COUNT, BATCH))]
        spent, count = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return float(spent) / int(count)
