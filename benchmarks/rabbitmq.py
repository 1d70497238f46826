"""A queue and a stream of 200-byte messages into files: the spout beside bare pika, which writes the same lines.

Ours runs on the local worker, with a commit and a durable marker of every batch; bare pika only writes files, and
acknowledges each one when it is written. Beside it, what a spout takes that waits for messages.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [
    str(ROOT),
    str(ROOT / "tests"),
    str(ROOT / "tests/sources"),
    str(ROOT / "cookiecutter-spout/{{cookiecutter.name}}"),
]
sys.dont_write_bytecode = True

from processes import spouts_of  # noqa: E402
from rabbit_rig import Broker  # noqa: E402
from servers.kill_story import LocalSpout, wait_until  # noqa: E402
from servers.rabbitmq import SPOUT, RabbitNode  # noqa: E402

COUNT = int(os.environ.get("SPOUTGEN_BENCH_MESSAGES", "200000"))
ROUNDS = 3
IDLE = 20.0  # seconds

SPEC = """
version: 1
name: orders
image: orders:v1
source: {{type: rabbitmq, mode: {mode}, host: 127.0.0.1, port: {port}, tls: false, queue: {queue}, user: spout,
  password_env: RABBITMQ_PASSWORD}}
secrets: [{{name: rabbitmq, key: password, env: RABBITMQ_PASSWORD}}]
marker: mymark
"""
BARE = """
import sys, pika
port, queue, mode, count, password, folder = sys.argv[1:]
login = pika.PlainCredentials("spout", password)
connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", int(port), credentials=login))
channel = connection.channel()
channel.basic_qos(prefetch_count=2000)
lines, seen = [], 0
def take(channel, method, properties, body):
    global seen
    seen += 1
    lines.append(body)
    if len(lines) == 1000:
        with open(f"{folder}/{seen}", "wb") as file:
            file.write(b"\\n".join([*lines, b""]))
        lines.clear()
        channel.basic_ack(method.delivery_tag, multiple=True)
channel.basic_consume(queue, take, arguments={"x-stream-offset": "first"} if mode == "stream" else None)
while seen < int(count):
    connection.process_data_events(1)
connection.close()
"""

Row = tuple[str, str, str, bool]


def measure() -> list[Row]:
    """The rows of the table: what, measured, target, met."""
    with tempfile.TemporaryDirectory() as folder:
        node = RabbitNode(Path(folder) / "node")
        try:
            node.start()
            return [*_speed(node, Path(folder), "queue"), *_speed(node, Path(folder), "stream")]
        finally:
            node.close()


def _speed(node: RabbitNode, folder: Path, mode: str) -> list[Row]:
    ratios, rates, largest, idle = [], [], 0.0, 0.0
    for turn in range(ROUNDS):
        at = folder / f"{mode}-{turn}"
        (at / "bare").mkdir(parents=True)
        bare = _bare(node, _filled(node, mode), mode, at / "bare")
        ours, memory, idle = _ours(node, _filled(node, mode), mode, at)
        ratios.append(bare / ours)
        rates.append(COUNT / ours)
        largest = max(largest, memory)
    ratio = statistics.median(ratios)
    return [
        (
            f"rabbitmq {mode}: rate beside bare pika",
            f"{ratio:.2f}x ({statistics.median(rates):.0f}/s)",
            ">= 0.7x",
            ratio >= 0.7,
        ),
        (f"rabbitmq {mode}: memory", f"{largest:.0f} MiB", "< 80 MiB", largest < 80),
        (f"rabbitmq {mode}: idle", f"{100 * idle:.2f} % of a core", "< 1 %", idle < 0.01),
    ]


def _filled(node: RabbitNode, mode: str) -> str:
    broker = Broker(node)
    queue = broker.stream() if mode == "stream" else broker.declare()
    broker.publish(queue, *[b"record %06d" % number + b"x" * 187 for number in range(COUNT)])
    broker.close()
    return str(queue)


def _bare(node: RabbitNode, queue: str, mode: str, folder: Path) -> float:
    arguments = [str(node.port), queue, mode, str(COUNT), SPOUT.password, str(folder)]
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", BARE, *arguments], check=True)
    return time.monotonic() - began


def _ours(node: RabbitNode, queue: str, mode: str, folder: Path) -> tuple[float, float, float]:
    """Seconds, MiB at most, and the share of a core while nothing comes."""
    spec = SPEC.format(mode=mode, port=node.port, queue=queue)
    with LocalSpout(spec, folder, {"RABBITMQ_PASSWORD": SPOUT.password}) as spout:
        began = time.monotonic()
        spout.start()
        memory = [0.0]

        def is_done() -> bool:
            memory.extend(_resident(process) for process in spouts_of(spout.home))
            return spout.commits() >= COUNT // 1000 and json.loads(spout.marker())["writing"] == COUNT

        wait_until(is_done, "all is committed", 600)
        took = time.monotonic() - began
        wait_until(lambda: sum(spout.lines().values()) == COUNT, "the last batch is there")
        (process,) = spouts_of(spout.home)
        time.sleep(2)
        before = _cpu(process)
        time.sleep(IDLE)
        return took, max(memory), (_cpu(process) - before) / IDLE


def _resident(process: int) -> float:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _cpu(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
