"""A number that is asked for now and then."""

from __future__ import annotations

import time
from collections.abc import Callable

EVERY = 15.0  # seconds between two questions, each of which takes a connection of its own


class Measured:
    """What ``ask`` says, asked again after a while; None while the server does not answer: there is no harm in that."""

    def __init__(self, ask: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._asked_at = clock() - EVERY
        self._found: int | None = None

    def __call__(self) -> int | None:
        """The newest answer."""
        if self._clock() - self._asked_at >= EVERY:
            try:
                self._found = self._ask()
            except Exception:  # noqa: BLE001 (the reading connection meets it, too, and says so)
                self._found = None
            self._asked_at = self._clock()
        return self._found
