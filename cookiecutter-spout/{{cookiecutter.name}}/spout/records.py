"""The nouns that travel through the spout, and the two protocols that they travel between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

# A place in a source: any JSON value, opaque to everyone but that source. None is "from the beginning".
Position: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Record:
    """One record. ``position`` is where to go on after it; ``name`` is derived from the position alone, e.g. "17"."""

    data: bytes
    position: Position
    name: str


@dataclass(frozen=True, slots=True)
class Limit:
    """How much one read may return: at most ``records``, and no further record once ``bytes`` are reached.

    With ``until`` the read is a replay: the same records again, up to the one whose position is ``until``.
    """

    records: int
    bytes: int
    until: Position | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """The records from one position (None: the beginning) to another; never empty."""

    start: Position | None
    end: Position
    records: Sequence[Record]


@dataclass(frozen=True, slots=True)
class File:
    """One file to commit: ``chunks`` together are ``size`` bytes and can be walked once."""

    path: str
    size: int
    chunks: Iterable[bytes]


class UnrepeatableError(Exception):
    """Raised instead of a replay by a source whose records cannot be told apart from new ones, such as a plain queue.

    The spout then goes on after that range, under new names: what of it was not acknowledged comes again by itself. To
    fill the old names with other records would destroy the old ones, which may be acknowledged and gone: a worker
    that dies after it has taken an announcement, and before it has committed that, brings back the one before.
    """


class Source(Protocol):
    """Where records come from. Write the plain case: retries, batches and markers are done around it.

    ``identity`` names what is read (the type, and say the topic): a marker of another identity is refused.
    ``needs_ack`` is true where the outside waits for an ack even while nothing new comes (a queue).
    """

    @property
    def identity(self) -> str:
        """What this source reads, for ever the same for one stream of records."""

    @property
    def needs_ack(self) -> bool:
        """Whether an idle source wants its last ack at once, at the price of a barrier."""

    def open(self, position: Position | None) -> None:
        """Connect, so that the next read starts right after ``position``; all up to it is committed for good."""

    def read(self, limit: Limit, timeout: float) -> list[Record]:
        """The next records; [] when none came within about ``timeout`` seconds.

        A replay (``limit.until``) gives the very same records as before and stops at that position, or raises
        :class:`~spout.fatal.FatalError` where the outside does not have them any more; or always
        :class:`UnrepeatableError`, where the outside cannot do that at all.
        """

    def ack(self, position: Position) -> None:
        """All up to ``position`` is committed: the outside may forget it."""

    def close(self) -> None:
        """Let go of everything, also after an ``open`` that failed; another ``open`` may follow."""


class Sink(Protocol):
    """Where batches go."""

    def write(self, batch: Batch, committed: Callable[[Position], None]) -> None:
        """Write a batch; call ``committed`` with the end of each earlier batch now known to be committed."""

    def flush(self, committed: Callable[[Position], None]) -> None:
        """Wait until all that was written is committed, and say so to ``committed``."""

    def close(self) -> None:
        """Let go of everything."""
