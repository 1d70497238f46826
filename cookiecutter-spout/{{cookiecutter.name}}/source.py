"""Where this spout's records come from. This file is yours: spoutgen wrote it once and never touches it again.

It must have a class ``Source``, made once with ``source.options`` of spout.yaml. Here it is a counter; replace its
inside by whatever you read. ``spoutgen test`` checks that it keeps its promises, ``spoutgen run`` runs it.

The promises, on which everything else stands (``spout/records.py`` has them as a Protocol):

* A *position* is any JSON value (text, number, list, object; not None) that says where to go on after a record. The
  marker keeps it, so it comes back from JSON: a tuple would come back as a list.
* ``open(position)`` makes the next read start right after it, whatever was read before; None is the beginning.
* A read with ``limit.until`` is a replay: the same records as before, byte for byte, up to that position.
* Everything a record is (bytes, position, name) follows from its place in the stream: not from the clock, not from
  chance, not from how often it was read.

Write the plain case. When anything here raises, the runtime closes the source and opens it again at the last record
that it got, with growing waits: no retry loops in here. Raise ``FatalError`` only for what no retry can mend.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from spout.fatal import FatalError
from spout.records import Limit, Position, Record


class Source:
    """A counter: one record every ``interval`` seconds, ``{"number": 1}``, ``{"number": 2}``, ..."""

    # What is read. A marker that another identity wrote is refused, so that no position is taken for another's.
    identity = "counter"
    # True where the outside waits for an ack even while nothing new comes (a message queue).
    needs_ack = False

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Take the options. Do not connect yet: that is for ``open``, which is tried again when it fails."""
        self._interval = float(options.get("interval", 0.1))
        self._number = 0
        self._next_at = 0.0

    def open(self, position: Position | None) -> None:
        """Connect, so that the next read starts right after ``position``. All up to there is committed for good."""
        self._number = position or 0
        self._next_at = time.monotonic() + self._interval

    def read(self, limit: Limit, timeout: float) -> list[Record]:
        """The next records: at most ``limit.records``, and no further one once ``limit.bytes`` are reached.

        [] when none came within about ``timeout`` seconds. With ``limit.until`` it is a replay, which stops there.
        """
        if limit.until is not None:
            return self._read_again(limit, limit.until)
        wait = self._next_at - time.monotonic()
        time.sleep(max(0.0, min(wait, timeout)))
        if wait > timeout:
            return []
        self._next_at = time.monotonic() + self._interval
        return [self._record()]

    def ack(self, position: Position) -> None:
        """All up to ``position`` is committed: the outside may forget it."""

    def close(self) -> None:
        """Let go of everything (connections, files, threads), also after an ``open`` that failed."""

    def _read_again(self, limit: Limit, until: int) -> list[Record]:
        if self._number > until:
            raise FatalError(
                "source",
                found=f"a replay up to {until}, after {self._number}",
                expected="a position that lies ahead",
                remedy="delete the worker's pod: it starts anew from the marker",
            )
        records: list[Record] = []
        size = 0
        while self._number < until and len(records) < limit.records and size < limit.bytes:
            records.append(self._record())
            size += len(records[-1].data)
        return records

    def _record(self) -> Record:
        """The next record. Its ``name`` becomes a part of a file's name: the same name whenever it is read."""
        self._number += 1
        data = json.dumps({"number": self._number}).encode()
        return Record(data, position=self._number, name=str(self._number))
