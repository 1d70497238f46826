"""Any source, kept going: when it fails it is closed and opened again, right after the last record that it gave.

To end the process instead would be worse on every count: the worker waits up to 15 s before it starts a process
again, never resets that wait (v1.13.4:src/server/pkg/backoff/exponential.go:116), and gives it a stale marker.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence

from spout.fatal import FatalError, brief
from spout.log import Log
from spout.metrics import Meter
from spout.records import Lag, Limit, Position, Record, Source, UnrepeatableError

FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0


def backoff() -> Iterator[float]:
    """Seconds to wait before each new attempt, without end: doubled each time, and a little off at random."""
    delay = FIRST_DELAY
    while True:
        yield delay * random.uniform(0.5, 1.0)
        delay = min(2 * delay, LONGEST_DELAY)


class Reconnecting:
    """Wraps ``source``: while that is away, ``read`` waits and returns nothing.

    A FatalError or an UnrepeatableError goes through.
    """

    def __init__(
        self,
        source: Source,
        log: Log,
        meter: Meter | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._source = source
        self._log = log
        self._meter = meter or Meter()
        self._clock = clock
        self._sleep = sleep
        self._position: Position | None = None
        self._is_open = False
        self._delay = FIRST_DELAY
        self._retry_at = 0.0

    @property
    def identity(self) -> str:
        """The wrapped source's."""
        return self._source.identity

    @property
    def needs_ack(self) -> bool:
        """The wrapped source's."""
        return self._source.needs_ack

    def open(self, position: Position | None) -> Position | None:
        """Start after ``position``, trying until it works; return where it really begins, as the source says it."""
        self._position = position
        while not self._attempt(self._connect):
            self._sleep(max(0.0, self._retry_at - self._clock()))
        return self._position

    def read(self, limit: Limit, timeout: float) -> Sequence[Record]:
        """What the wrapped source reads; nothing while it is away."""
        if not self._is_open:
            wait = self._retry_at - self._clock()
            self._sleep(max(0.0, min(wait, timeout)))
            if wait > timeout or not self._attempt(self._connect):
                return []
        found: list[Sequence[Record]] = []
        if not self._attempt(lambda: found.append(self._source.read(limit, timeout))):
            return []
        self._delay = FIRST_DELAY
        (records,) = found
        if records:
            self._position = records[-1].position
        return records

    def ack(self, position: Position) -> None:
        """Pass the ack on. One that gets lost is no harm: the next one, or the next ``open``, says more."""
        if self._is_open:
            self._attempt(lambda: self._source.ack(position))

    def lag(self) -> Lag | None:
        """The wrapped source's; None where it has none, or is away."""
        found: list[Lag | None] = []
        measure = getattr(self._source, "lag", None)
        if measure is not None and self._is_open:
            self._attempt(lambda: found.append(measure()))
        return found[0] if found else None

    def moved(self) -> Position | None:
        """Where the wrapped source goes on, if it has passed by what is no record; None where it has no such thing."""
        found: list[Position | None] = []
        ask = getattr(self._source, "moved", None)
        if ask is not None and self._is_open:
            self._attempt(lambda: found.append(ask()))
        if found and found[0] is not None:
            self._position = found[0]
        return found[0] if found else None

    def close(self) -> None:
        """Close the wrapped source, as well as it lets itself be closed."""
        if self._is_open:
            self._is_open = False
            try:
                self._source.close()
            except Exception as error:  # noqa: BLE001 (a driver may raise anything)
                self._log.warning("source_close_failed", **_facts(error))

    def _connect(self) -> None:
        self._is_open = True
        began = self._source.open(self._position)
        if self._position is None:
            self._position = began
        self._meter.source_is_up(True)

    def _attempt(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except (FatalError, UnrepeatableError):
            raise
        except Exception as error:  # noqa: BLE001 (a driver may raise anything)
            self._lose(error)
            return False
        return True

    def _lose(self, error: Exception) -> None:
        delay = self._delay * random.uniform(0.5, 1.0)
        self._delay = min(2 * self._delay, LONGEST_DELAY)
        self._retry_at = self._clock() + delay
        self._meter.add("retries_total")
        self._meter.source_is_up(False)
        self._log.warning("source_lost", **_facts(error), retry_in=round(delay, 3))
        self.close()


def _facts(error: Exception) -> dict[str, str]:
    return {"error": type(error).__name__, "detail": brief(error, 400)}
