"""The loop: marker -> open -> read -> batch -> write -> ack, for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NoReturn

from spout.config import Limits
from spout.fatal import brief
from spout.log import Log
from spout.marker import Announcement
from spout.records import Batch, Limit, Position, Record, Sink, Source, UnrepeatableError

IDLE = 1.0  # seconds that one read waits for the first record of a batch


def run(
    source: Source,
    sink: Sink,
    announcement: Announcement | None,
    limits: Limits,
    log: Log,
    clock: Callable[[], float] = time.monotonic,
) -> NoReturn:
    """Go on where ``announcement`` says (None: from the beginning); return only by an exception."""
    position = announcement.committed if announcement else None
    source.open(position)
    if announcement and announcement.writing is not None:
        try:
            batch = read_again(source, position, announcement.writing, limits)
        except UnrepeatableError:
            position = announcement.writing
            source.close()
            source.open(position)
        else:
            position = _write(batch, source, sink, log, clock)
            del batch
    while True:
        position = _advance(position, source, sink, limits, log, clock)


def _advance(
    position: Position | None, source: Source, sink: Sink, limits: Limits, log: Log, clock: Callable[[], float]
) -> Position | None:
    """One batch further. A function of its own, so that the batch is out of memory before the next one is read."""
    batch = read_batch(source, position, limits, clock)
    if batch:
        return _write(batch, source, sink, log, clock)
    if source.needs_ack:
        sink.flush(source.ack)
    return position


def read_batch(source: Source, start: Position | None, limits: Limits, clock: Callable[[], float]) -> Batch | None:
    """The next batch, closed by records, bytes or the wait since its first record; None when nothing came."""
    records: list[Record] = []
    size = 0
    closes_at = 0.0
    while True:
        timeout = max(0.0, closes_at - clock()) if records else IDLE
        more = source.read(Limit(limits.records - len(records), limits.bytes - size), timeout)
        if not records:
            if not more:
                return None
            closes_at = clock() + limits.wait
        records += more
        size += sum(len(record.data) for record in more)
        if len(records) >= limits.records or size >= limits.bytes or clock() >= closes_at:
            return Batch(start, records[-1].position, records)


def read_again(source: Source, start: Position | None, until: Position, limits: Limits) -> Batch:
    """The announced batch, exactly as it was, whatever closes a batch today: its files must be the same ones."""
    records: list[Record] = []
    while not records or records[-1].position != until:
        records += source.read(Limit(limits.records, limits.bytes, until), IDLE)
    return Batch(start, until, records)


def _write(batch: Batch, source: Source, sink: Sink, log: Log, clock: Callable[[], float]) -> Position:
    began = clock()
    sink.write(batch, source.ack)
    log.info(
        "batch",
        records=len(batch.records),
        bytes=sum(len(record.data) for record in batch.records),
        seconds=round(clock() - began, 6),
        first=brief(batch.records[0].name),
        last=brief(batch.records[-1].name),
    )
    return batch.end
