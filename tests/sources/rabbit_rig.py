"""Queues and streams of the tests' own node, filled by an administrator, and the rabbitmq source on them."""

import itertools
import struct
import time
from contextlib import contextmanager, suppress

import pika
from pika.exceptions import AMQPError
from servers.rabbitmq import ADMIN, SPOUT
from spout.records import Limit
from spout.sources import rabbitmq

MANY = Limit(100_000, 1 << 30)
DEADLINE = 60.0
STREAM = {"x-queue-type": "stream"}
QUORUM = {"x-queue-type": "quorum"}

_numbers = itertools.count(1)


class Broker:
    """An administrator's connection to ``node``; ``warned`` is what sources had to say."""

    def __init__(self, node):
        self.node = node
        self.warned = []
        self._connect()

    def _connect(self):
        login = pika.PlainCredentials(ADMIN.name, ADMIN.password)
        self._connection = pika.BlockingConnection(
            pika.ConnectionParameters("127.0.0.1", self.node.port, credentials=login, heartbeat=0)
        )
        self.channel = self._connection.channel()

    def reconnect(self):
        """After the node was away."""
        self.close()
        self._connect()

    def declare(self, name=None, **arguments):
        """A new durable queue; returns its name."""
        name = name or f"queue-{next(_numbers)}"
        self.channel.queue_declare(name, durable=True, arguments=arguments)
        return name

    def stream(self, **arguments):
        return self.declare(f"stream-{next(_numbers)}", **STREAM, **arguments)

    def publish(self, queue, *bodies, **properties):
        """Put messages into a queue, and wait until it has them."""
        channel = self._connection.channel()
        confirmed = []
        send = channel._impl  # pika's own channel waits for each single message
        send.confirm_delivery(lambda frame: confirmed.append(frame.method.delivery_tag))
        if properties:
            for body in bodies:
                send.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2, **properties))
        else:  # pika makes ten thousand a second; here hundreds of thousands are wanted
            for at in range(0, len(bodies), 500):
                frames = _frames(channel.channel_number, queue.encode(), bodies[at : at + 500])
                send.connection._output_marshaled_frames([frames])
                self._connection.process_data_events(0)
        deadline = time.monotonic() + DEADLINE
        while max(confirmed, default=0) < len(bodies):
            assert time.monotonic() < deadline, f"{queue} does not take what is published"
            self._connection.process_data_events(0.1)
        channel.close()

    def ready(self, queue):
        return self.channel.queue_declare(queue, passive=True).method.message_count

    def options(self, **own):
        """Options as SPOUT_CONFIG has them."""
        defaults = {
            "mode": "queue", "host": "127.0.0.1", "port": self.node.port, "vhost": "/", "user": SPOUT.name,
            "password_env": "RABBITMQ_PASSWORD", "tls": False, "prefetch": 2000, "heartbeat": 30.0, "names": "delivery",
            "start": "first", "on_lost": "fail",
        }  # fmt: skip
        return {**defaults, **own}

    def source(self, queue, **own):
        return rabbitmq.make(
            self.options(queue=queue, **own), lambda event, **facts: self.warned.append((event, facts))
        )

    @contextmanager
    def reading(self, queue, position=None, **own):
        """A source that is open at ``position``."""
        source = self.source(queue, **own)
        try:
            source.open(position)
            yield source
        finally:
            source.close()

    def close(self):
        with suppress(AMQPError):  # the node was away
            self._connection.close()
        self._connection._impl.ioloop.close()


def _frames(channel, queue, bodies):
    """basic.publish of each body, persistent, to the default exchange, as it goes over the wire."""

    def frame(kind, payload):
        return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"

    publish = frame(1, struct.pack(">HHHBB", 60, 40, 0, 0, len(queue)) + queue + b"\0")
    most = 131_064  # of a body in one frame
    return b"".join(
        publish
        + frame(2, struct.pack(">HHQHB", 60, 0, len(body), 1 << 12, 2))
        + b"".join(frame(3, body[at : at + most]) for at in range(0, len(body), most))
        for body in bodies
    )


def taken(source, count, limit=MANY):
    """The next ``count`` records: not one more, and not one less."""
    found = []
    deadline = time.monotonic() + DEADLINE
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} records came"
        found += source.read(Limit(min(limit.records, count - len(found)), limit.bytes, limit.until), 0.2)
    return found


def until(condition, what):
    """Wait for a condition."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"it never came that {what}"
        time.sleep(0.01)


def data(records):
    return [record.data for record in records]


def numbered(count, first=0):
    return [b"message %d" % number for number in range(first, first + count)]
