"""How long the worker waits before it tries again (v1.13.4:src/server/pkg/backoff/exponential.go:75, :116)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """``initial`` seconds, growing by half each time up to ``cap``, each wait off by up to ``jitter`` of itself."""

    initial: float
    cap: float
    jitter: float = 0.5
    factor: float = 1.5

    def waits(self) -> Iterator[float]:
        """The waits, without end. Upstream draws them at random too, so no two runs are alike."""
        interval = self.initial
        while True:
            yield interval * random.uniform(1 - self.jitter, 1 + self.jitter)
            interval = min(interval * self.factor, self.cap)


@dataclass(frozen=True, slots=True)
class Backoffs:
    """The places where the worker waits. None is reset by success, only by a new run of what it guards."""

    # The user code ended (v1.13.4:src/server/worker/pipeline/common.go:53).
    user_code: Backoff = Backoff(0.5, 15)
    # A tar, or one file of it, could not be committed (common.go:274); counted anew for each.
    commit: Backoff = Backoff(0.5, 15)
    # The whole spout failed (v1.13.4:src/server/worker/worker.go:177).
    spout: Backoff = Backoff(10, 15)
    # A reader gave up a tar, before 1.11.3 (v1.9.12:src/server/worker/master.go:953, v1.11.0:.../common.go:158).
    reader: Backoff = Backoff(0.5, 15)
