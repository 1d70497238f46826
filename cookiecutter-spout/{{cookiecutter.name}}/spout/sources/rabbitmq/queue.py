"""A queue: at least once. What it gives cannot be asked for again, only given back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from spout.records import Lag, Limit, Position, Record, UnrepeatableError
from spout.sources.rabbitmq.connection import Connection
from spout.sources.rabbitmq.look import ready
from spout.sources.rabbitmq.measure import Measured
from spout.sources.rabbitmq.message import described, named


class QueueSource:
    """The position is how many messages were taken so far: nothing can be found by it, it tells them apart.

    A message is acknowledged when its batch is committed. Until then the server keeps it, and gives it again to whoever
    asks after this channel is gone: to the next process, under the next numbers.
    """

    needs_ack = True

    def __init__(self, options: Mapping[str, Any], warn: Callable[..., None]) -> None:
        self.identity = f"rabbitmq:queue:{options['vhost']}:{options['queue']}"
        self._options = options
        self._warn = warn
        self._names_messages = options["names"] == "message"
        self._group = {"queue": str(options["queue"])}
        self._connection: Connection | None = None
        self._began = self._count = 0
        self._ready = Measured(lambda: ready(options)[0])

    def open(self, position: Position | None) -> None:
        """Count on from ``position``. What was taken and not acknowledged comes again."""
        self._began = self._count = position or 0
        self._connection = Connection(self._options)
        # A stream refuses the priority, a queue knows it: to read a stream as a queue would forget where it stood.
        self._connection.consume(self._options["prefetch"], {"x-priority": 0})

    def read(self, limit: Limit, timeout: float) -> list[Record]:
        """The next messages. A replay is refused: what is not acknowledged comes by itself, in whatever order."""
        if limit.until is not None:
            raise UnrepeatableError
        assert self._connection
        records = []
        for message in self._connection.receive(limit.records, limit.bytes, timeout):
            self._count += 1
            name = named(message) if self._names_messages else f"{self._count:020}"
            records.append(Record(message.body, self._count, name, self._group, partial(described, message)))
        return records

    def ack(self, position: Position) -> None:
        """Acknowledge all up to ``position`` that came over this connection.

        A channel numbers its deliveries from 1, and knows nothing of those of a channel before it.
        """
        tag = position - self._began
        if self._connection and tag > 0:
            self._connection.ack(tag)

    def lag(self) -> Lag | None:
        """The messages that nobody has taken, and those that wait here."""
        found = self._ready()
        return None if found is None or self._connection is None else Lag(found + self._connection.waiting)

    def close(self) -> None:
        """Give back what was not acknowledged."""
        if self._connection:
            self._connection.close()
            self._connection = None
