"""How a check ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["ok", "failed", "skipped"]


class FailedError(Exception):
    """The source breaks a promise: what was expected, what was found, what to do about it."""

    def __init__(self, expected: str, found: str, remedy: str) -> None:
        super().__init__(f"expected {expected}; found {found}; {remedy}")
        self.expected = expected
        self.found = found
        self.remedy = remedy


class SkippedError(Exception):
    """The check could not tell; ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Result:
    """One check's end. ``note`` is what an ok check looked at, or why one was skipped."""

    name: str
    title: str
    outcome: Outcome
    seconds: float
    note: str | None = None
    expected: str | None = None
    found: str | None = None
    remedy: str | None = None
