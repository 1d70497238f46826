"""The symbol source: one line each interval, the line before with the symbol added. The spout of the tutorial."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from spout.config import check_keys, seconds
from spout.fatal import FatalError, brief
from spout.marker import JSON_OPENING
from spout.records import Limit, Position, Record, Source
from spout.sources import pyramid

shape = pyramid.shape


def make(options: Mapping[str, Any], warn: Callable[..., None]) -> Source:
    """The source that the options describe."""
    return SymbolSource(options)


class SymbolSource:
    """Options: ``symbol``, 1 to 64 characters without a line feed; ``interval`` in seconds.

    The first line of all comes at once. After a resume the next new line comes one interval later, so that restarts
    never make the pyramid grow faster. Lines already announced are replayed without waiting, as they were,
    whatever the symbol is now.
    """

    identity = "symbol"
    needs_ack = False

    def __init__(
        self,
        options: Mapping[str, Any],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        check_keys(options, "source", "symbol", "interval")
        self._symbol = _symbol(options["symbol"])
        self._interval = seconds(options["interval"], "source.interval")
        self._clock = clock
        self._sleep = sleep
        self._pyramid = pyramid.EMPTY
        self._next_at = 0.0

    def open(self, position: Position | None) -> None:
        """Go on under the line at ``position``."""
        try:
            self._pyramid = pyramid.from_position(position)
        except ValueError as error:
            raise _lost(position, str(error)) from error
        self._next_at = self._clock() + (self._interval if position else 0.0)

    def read(self, limit: Limit, timeout: float) -> list[Record]:
        """The next line when its time has come, or the lines up to ``limit.until`` at once."""
        if limit.until is not None:
            return self._read_again(limit)
        wait = self._next_at - self._clock()
        self._sleep(max(0.0, min(wait, timeout)))
        if wait > timeout:
            return []
        return [self._add(self._symbol)]

    def ack(self, position: Position) -> None:
        """Nobody waits for it."""

    def close(self) -> None:
        """There is nothing to close."""

    def _read_again(self, limit: Limit) -> list[Record]:
        goal = pyramid.from_position(limit.until)
        records: list[Record] = []
        size = 0
        while len(records) < limit.records and size < limit.bytes and self._pyramid != goal:
            symbol = pyramid.next_symbol(self._pyramid, goal)
            if symbol is None:
                raise _lost(limit.until, "it does not lie ahead")
            records.append(self._add(symbol))
            size += len(records[-1].data)
        return records

    def _add(self, symbol: str) -> Record:
        self._pyramid = pyramid.grown(self._pyramid, symbol)
        self._next_at = self._clock() + self._interval
        name = str(pyramid.height(self._pyramid))
        return Record(self._pyramid.line.encode(), pyramid.to_position(self._pyramid), name)


def _symbol(value: object) -> str:
    """The symbol, if a pyramid of it can be written and read again."""
    if isinstance(value, str) and 1 <= len(value) <= pyramid.LONGEST_STEP and "\n" not in value:
        is_text = value.encode(errors="replace").decode() == value  # no half of a surrogate pair
        if is_text and not value.startswith(JSON_OPENING.decode()):
            return value
    raise FatalError(
        "config",
        found=f"source.symbol {brief(repr(value))}",
        expected=f"1 to {pyramid.LONGEST_STEP} characters without a line break",
        remedy="change `source.symbol` in spout.yaml",
    )


def _lost(position: Position, why: str) -> FatalError:
    return FatalError(
        "source",
        found=f"the position {brief(position)} ({why})",
        expected="a position of a symbol source",
        remedy="delete the worker's pod: it starts anew from the marker",
    )
