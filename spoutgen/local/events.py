"""What a worker tells whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass

from spoutgen.local.model import Commit


@dataclass(frozen=True, slots=True)
class Started:
    """A run of the whole spout begins; ``has_marker`` says whether a marker was pulled."""

    has_marker: bool


@dataclass(frozen=True, slots=True)
class UserCodeStarted:
    """The user code runs."""

    pid: int


@dataclass(frozen=True, slots=True)
class UserCodeExited:
    """The user code ended, or could not be started (``status`` None, ``message`` says why).

    ``status`` is negative for a signal, as in subprocess. It is started again after ``delay`` seconds; None: never,
    which is what Pachyderm does after status 0. ``starts`` counts its starts in this run of the spout.
    """

    status: int | None
    message: str
    starts: int
    delay: float | None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that the user code printed, without the line break and without the values of secrets."""

    text: str


@dataclass(frozen=True, slots=True)
class CommitFinished:
    """A tar is committed on the output branch."""

    commit: Commit


@dataclass(frozen=True, slots=True)
class MarkerCommitted:
    """The marker files of a tar are committed on the branch ``marker``."""

    commit: Commit


@dataclass(frozen=True, slots=True)
class Wedged:
    """A tar could not be committed for the ``attempt``-th time; nothing else is read until it can be."""

    reason: str
    hint: str | None
    attempt: int
    delay: float


@dataclass(frozen=True, slots=True)
class ReadingFailed:
    """A reader could not take a tar, or not all of it, and opens the FIFO again after ``delay`` seconds.

    What it had read is committed; what the FIFO still holds is read as if a tar began there.
    """

    reason: str
    hint: str | None
    delay: float


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """Reader ``number`` (from 1) could not start a commit because another has one open; it tries again.

    Nothing is wrong: of several readers one reads, and the others do this all the time.
    """

    number: int
    delay: float


@dataclass(frozen=True, slots=True)
class Restarting:
    """The whole spout failed and starts again after ``delay`` seconds: new FIFO, marker pulled again."""

    reason: str
    hint: str | None
    delay: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """The worker has ended: user code killed, scratch folder gone."""


Event = (
    Started
    | UserCodeStarted
    | UserCodeExited
    | LogLine
    | CommitFinished
    | MarkerCommitted
    | Wedged
    | ReadingFailed
    | TurnedAway
    | Restarting
    | Stopped
)
