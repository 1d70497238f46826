"""A stream: exactly once. Its messages stay, each at its offset, until the server's retention takes them.

Read over AMQP 0.9.1 like a queue: one driver, one port, one way to log in, and no plugin on the server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from functools import partial
from math import inf
from typing import Any

from spout.fatal import FatalError, brief
from spout.records import Lag, Limit, Position, Record, UnrepeatableError
from spout.sources.rabbitmq.connection import Connection, Message
from spout.sources.rabbitmq.look import Range, look
from spout.sources.rabbitmq.measure import Measured
from spout.sources.rabbitmq.message import described

_PATIENCE = 5.0  # seconds until a stream that was read before is taken for an empty one


class StreamSource:
    """The position is the offset of the next message.

    Offsets only rise, and some are no message (the server keeps its own notes in a stream): so a hole is no loss, but
    one that reaches beyond the oldest message is.
    """

    needs_ack = False

    def __init__(self, options: Mapping[str, Any], warn: Callable[..., None]) -> None:
        self.identity = f"rabbitmq:stream:{options['vhost']}:{options['queue']}"
        self._options = options
        self._warn = warn
        self._group = {"queue": str(options["queue"])}
        self._connection: Connection | None = None
        self._next = self._acknowledged = 0
        self._nothing_before: float | None = None  # what a replay can ask for no more, since `on_lost` was followed
        self._newest = Measured(lambda: newest(options))

    def open(self, position: Position | None) -> Position | None:
        """Begin at ``position``, if it is still there; without one, where ``start`` says, which is returned."""
        self._nothing_before = None
        self._next = self._start() if position is None else self._checked(_offset(position))
        self._connection, self._acknowledged = Connection(self._options), 0
        self._connection.consume(self._options["prefetch"], {"x-stream-offset": self._next})
        return self._next if position is None else None

    def read(self, limit: Limit, timeout: float) -> list[Record]:
        """The next messages; a replay ends at ``limit.until``."""
        assert self._connection
        until = limit.until
        if until is not None:
            if self._nothing_before is not None and until <= self._nothing_before:
                raise UnrepeatableError  # `on_lost` has led to where nothing of that range is
            if self._next >= until:
                return []
        messages = self._connection.receive(limit.records, limit.bytes, timeout)
        if messages and messages[-1].method.delivery_tag > self._acknowledged:  # not those that were put back
            self._acknowledged = messages[-1].method.delivery_tag
            self._connection.ack(self._acknowledged)  # no more than leave to send more: nothing is kept
        return self._records(messages if until is None else self._up_to(until, messages))

    def ack(self, position: Position) -> None:
        """Nobody waits for it: a stream keeps everything."""

    def lag(self) -> Lag | None:
        """How many offsets lie between here and the newest message."""
        found = self._newest()
        return None if found is None else Lag(max(0, found + 1 - self._next))

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def _records(self, messages: list[Message]) -> list[Record]:
        records: list[Record] = []
        hole: int | None = None
        for message in messages:
            offset = _offset_of(message)
            if offset < self._next:  # a chunk may begin before what was asked for
                continue
            if offset > self._next and hole is None:
                hole = self._next
            self._next = offset + 1
            facts = partial(described, message)
            records.append(Record(message.body, self._next, f"{offset:020}", self._group, facts))
        if hole is not None:
            self._check_hole(hole)
        return records

    def _up_to(self, until: int, messages: list[Message]) -> list[Message]:
        """Those before ``until``; the rest is for later."""
        end = next((at for at, message in enumerate(messages) if _offset_of(message) >= until), None)
        if end is None:
            return messages
        assert self._connection
        self._connection.put_back(messages[end:])
        if _offset_of(messages[end - 1]) != until - 1 if end else self._next < until:
            raise self._lost(until, f"no message {until - 1} in it any more")
        return messages[:end]

    def _check_hole(self, hole: int) -> None:
        """While it was read, retention may have taken what was next. The oldest offset only rises: one look will do."""
        found = look(self._options, "first")
        if found is not None and found.oldest > hole:
            self._jump(hole, found, f"messages from {found.oldest} on")

    def _start(self) -> int:
        start = self._options["start"]
        if isinstance(start, int):
            return self._started_at(start)
        spec = _when(start) if start not in ("first", "last", "next") else start
        if spec != "next":
            found = look(self._options, spec)
            if found is None:
                return 0
            if found.first is not None:
                return found.first
        return newest(self._options) + 1  # nothing is as young as that time

    def _started_at(self, offset: int) -> int:
        found = look(self._options, offset)
        if found is not None and found.oldest > offset:
            return self._jump(offset, found, f"messages from {found.oldest} on")
        if (found is None or found.first is None) and offset > (end := newest(self._options) + 1):
            return self._jump(offset, found, f"an end at {end}")
        return offset

    def _checked(self, position: int) -> int:
        """``position``, if the message before it (which was read once) or the one at it is there.

        A stream that ends before it was deleted and made anew: to wait for it to grow would skip what is in it.
        """
        found = look(self._options, max(0, position - 1), patience=_PATIENCE if position else 1.0)
        if found is None:
            return position if position == 0 else self._jump(position, found, "no message in it")
        if found.first is None:
            return self._jump(position, found, f"messages {found.oldest} to {newest(self._options)}")
        if found.first > position and found.oldest > position:
            return self._jump(position, found, f"messages from {found.oldest} on")
        return position

    def _jump(self, position: int, found: Range | None, has: str) -> int:
        """Where ``on_lost`` says that it goes on."""
        on_lost = self._options["on_lost"]
        if on_lost == "fail":
            raise self._lost(position, has)
        oldest = found.oldest if found else 0
        place = oldest if on_lost == "earliest" else newest(self._options) + 1
        self._nothing_before = place if place >= position else inf  # inf: a stream made anew, where all is another's
        self._warn("position_lost", position=position, found=has, on_lost=on_lost, goes_on_at=place)
        return place

    def _lost(self, position: int, has: str) -> FatalError:
        return FatalError(
            "source",
            found=f"the stream {self._options['queue']} with {has}",
            expected=f"one that goes on at {position}, as the marker or `source.start` says",
            remedy="set `source.on_lost: earliest` to go on at its oldest message, `latest` to go on at its next one: "
            "what lies between is then missing",
        )


def newest(options: Mapping[str, Any]) -> int:
    """The newest offset of the stream; -1 if it is empty."""
    found = look(options, "last", to_the_end=True)
    return -1 if found is None or found.last is None else found.last


def _offset_of(message: Message) -> int:
    return int(message.properties.headers["x-stream-offset"])


def _offset(position: Position) -> int:
    if type(position) is int and position >= 0:
        return position
    raise FatalError(
        "source",
        found=f"the position {brief(position)}",
        expected="an offset of a stream",
        remedy="put `source.mode` in spout.yaml back to what the marker was written with",
    )


def _when(text: str) -> datetime:
    try:
        when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise FatalError(
            "config",
            found=f"source.start {brief(text)!r}",
            expected="first, last, next, an offset, or a time such as 2026-03-01T12:00:00Z",
            remedy="set `source.start` in spout.yaml",
        ) from error
    return when.astimezone(timezone.utc) if when.tzinfo else when.replace(tzinfo=timezone.utc)
