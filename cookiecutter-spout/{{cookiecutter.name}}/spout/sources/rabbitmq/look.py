"""Questions to the server, each over a connection of its own that lasts no longer than the answer.

On the connection that reads, an answer would come only after every message that is on its way, and all of these would
have to be kept meanwhile.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pika
from pika.exceptions import ChannelClosedByBroker

from spout.sources.rabbitmq.connection import CONNECT, parameters, refusals

_ROUNDS = 50  # a stream that is written to has no end; so far it is followed


class Range(NamedTuple):
    """Offsets of a stream: its ``oldest``, and the ``first`` and ``last`` seen of those asked for; None if none is."""

    oldest: int
    first: int | None
    last: int | None


def ready(options: Mapping[str, Any]) -> tuple[int, int]:
    """How many messages are ready in the queue, and how many consumers it has."""
    with _channel(options) as (_, channel):
        found = channel.queue_declare(options["queue"], passive=True).method
        return found.message_count, found.consumer_count


def is_stream(options: Mapping[str, Any]) -> bool:
    """Whether it is a stream, and whether it may be read: a consumer as only a stream takes it, from where it ends.

    A queue refuses it, and gives no message away.
    """
    with _channel(options) as (_, channel):
        channel.basic_qos(prefetch_count=1)
        try:
            channel.basic_consume(options["queue"], lambda *_: None, arguments={"x-stream-offset": "next"})
        except ChannelClosedByBroker as error:
            if "x-stream-offset" in error.reply_text:
                return False
            raise
        return True


def look(options: Mapping[str, Any], spec: object, *, to_the_end: bool = False, patience: float = 1.0) -> Range | None:
    """What the stream has from ``spec`` on (an offset, "first", "last", a datetime); None for an empty stream.

    With ``to_the_end``, ``last`` is the stream's newest offset. TimeoutError if the server does not answer. The number
    of messages that it tells is seconds old, so a stream that is said to be empty has ``patience`` seconds, in which
    the server answers again and again, to show that it is not.

    That there is nothing is not told by waiting. A second consumer, from "first", is asked for after the one from
    ``spec``: when it has its first message and one more question is answered, the other one would have had its own.
    """
    with _channel(options) as (connection, channel):
        queue = options["queue"]
        asked, oldest = _Seen(), _Seen()
        is_empty = channel.queue_declare(queue, passive=True).method.message_count == 0
        deadline = time.monotonic() + (patience if is_empty else CONNECT)
        channel.basic_qos(prefetch_count=1000 if to_the_end else 1)
        channel.basic_consume(queue, asked, arguments={"x-stream-offset": spec})
        channel.basic_consume(queue, oldest, arguments={"x-stream-offset": "first"})
        while oldest.first is None:
            if time.monotonic() > deadline:
                if is_empty:
                    return None
                raise TimeoutError(f"the stream {queue} gave no message within {CONNECT:g} s")
            connection.process_data_events(0.05)
            channel.queue_declare(queue, passive=True)
        for _ in range(_ROUNDS):
            before = asked.last
            channel.queue_declare(queue, passive=True)
            connection.process_data_events(0)
            if not to_the_end or asked.last == before or asked.tag is None:
                break
            channel.basic_ack(asked.tag, multiple=True)
        return Range(oldest.first, asked.first, asked.last)


class _Seen:
    """A consumer that remembers offsets, and lets go of the messages."""

    def __init__(self) -> None:
        self.first: int | None = None
        self.last: int | None = None
        self.tag: int | None = None

    def __call__(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        self.last, self.tag = int(properties.headers["x-stream-offset"]), method.delivery_tag
        if self.first is None:
            self.first = self.last


@contextlib.contextmanager
def _channel(options: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    with refusals(options):
        connection = pika.BlockingConnection(parameters(options))
        try:
            yield connection, connection.channel()
        finally:
            with contextlib.suppress(Exception):
                connection.close()
