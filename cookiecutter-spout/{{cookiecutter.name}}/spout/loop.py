"""The loop: marker -> open -> read -> batch -> write -> ack, for ever."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import NoReturn, Protocol

from spout.config import Limits
from spout.fatal import brief
from spout.log import Log
from spout.marker import Announcement
from spout.metrics import Meter
from spout.records import Batch, Lag, Limit, Position, Records, Sink, Source, UnrepeatableError, size_of

IDLE = 1.0  # seconds that one read waits for the first record of a batch
MEASURE_EVERY = 5.0  # seconds between two looks at how far behind the source is


class Metered(Source, Protocol):
    """A source that also says how far behind it is, and how far it has come where nothing was to be read."""

    def lag(self) -> Lag | None:
        """How far; None where it cannot tell."""

    def moved(self) -> Position | None:
        """Where to go on from, when that is worth a marker although no record lies before it; mostly None."""


def run(
    source: Metered,
    sink: Sink,
    announcement: Announcement | None,
    limits: Limits,
    log: Log,
    meter: Meter,
    clock: Callable[[], float] = time.monotonic,
) -> NoReturn:
    """Go on where ``announcement`` says (None: from the beginning); return only by an exception."""
    turn = _Turn(source, sink, limits, log, meter, clock)
    position = announcement.committed if announcement else None
    began = source.open(position)
    if announcement is None and began is not None:
        sink.begin(began)  # where "the latest" was when the spout began: never asked again
        position = began
    if announcement and announcement.writing is not None:
        try:
            batch = read_again(source, position, announcement.writing, limits)
        except UnrepeatableError:
            source.close()
            position = announcement.writing
            source.open(position)
        else:
            position = turn.write(batch)
            del batch
    while True:
        position = turn.advance(position)


class _Turn:
    """One batch further, and one more."""

    def __init__(
        self, source: Metered, sink: Sink, limits: Limits, log: Log, meter: Meter, clock: Callable[[], float]
    ) -> None:
        self._source = source
        self._sink = sink
        self._limits = limits
        self._log = log
        self._meter = meter
        self._clock = clock
        self._measured_at = clock() - MEASURE_EVERY
        self._moved: Position | None = None

    def advance(self, position: Position | None) -> Position | None:
        """The next batch. It is out of memory before another one is read."""
        batch = read_batch(self._source, position, self._limits, self._clock)
        if batch:
            position = self.write(batch)
        else:
            if self._source.needs_ack:
                self._sink.flush(self._committed)
            position = self._move_on(position)
        if self._clock() - self._measured_at >= MEASURE_EVERY:
            self._measured_at = self._clock()
            self._meter.behind(self._source.lag())
        return position

    def write(self, batch: Batch) -> Position:
        """Write it, say so, and return where it ends."""
        began = self._clock()
        self._meter.waits()
        self._sink.write(batch, self._committed)
        size = size_of(batch.records)
        self._meter.wrote(len(batch.records), size)
        self._log.info(
            "batch",
            records=len(batch.records),
            bytes=size,
            seconds=round(self._clock() - began, 6),
            first=brief(batch.records[0].name),
            last=brief(batch.records[-1].name),
        )
        return batch.end

    def _move_on(self, position: Position | None) -> Position | None:
        """Where to go on: further than ``position`` if the source passed by what is no record.

        In the marker before it is acknowledged: what the outside may forget is never more than what the marker knows.
        """
        moved = self._source.moved()
        if moved is None:
            return position
        self._sink.flush(self._committed)
        self._sink.begin(moved)
        self._moved = moved
        self._log.info("moved_on", position=brief(json.dumps(moved), 200))
        return moved

    def _committed(self, position: Position) -> None:
        if position != self._moved:
            self._meter.add("commits_total")
        self._source.ack(position)


def read_batch(source: Source, start: Position | None, limits: Limits, clock: Callable[[], float]) -> Batch | None:
    """The next batch, closed by records, bytes or the wait since its first record; None when nothing came."""
    records = Records()
    closes_at = 0.0
    while True:
        timeout = max(0.0, closes_at - clock()) if records else IDLE
        more = source.read(Limit(limits.records - len(records), limits.bytes - records.size), timeout)
        if not records:
            if not more:
                return None
            closes_at = clock() + limits.wait
        records.add(more)
        if len(records) >= limits.records or records.size >= limits.bytes or clock() >= closes_at:
            return Batch(start, records[-1].position, records)


def read_again(source: Source, start: Position | None, until: Position, limits: Limits) -> Batch:
    """The announced batch, exactly as it was, whatever closes a batch today: its files must be the same ones."""
    records = Records()
    while not records or records[-1].position != until:
        records.add(source.read(Limit(limits.records, limits.bytes, until), IDLE))
    return Batch(start, until, records)
