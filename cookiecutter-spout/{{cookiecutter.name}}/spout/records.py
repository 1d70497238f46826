"""The nouns that travel through the spout, and the two protocols that they travel between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeAlias

# A place in a source: any JSON value, opaque to everyone but that source. None is "from the beginning".
Position: TypeAlias = Any

# What is known of a record beside its bytes, as JSON values; or what tells it when somebody wants to know.
Facts: TypeAlias = Mapping[str, Any] | Callable[[], Mapping[str, Any]]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Record(NamedTuple):
    """One record (a tuple: there are a million of them a second, and a dataclass takes three times as long to make).

    ``position`` is where to go on after it; only the last record that a read returns must have one. ``name`` is derived
    from the position alone, e.g. "17", and is the only one of its name within its ``group``.

    ``group`` is what the records of one partition of the source have in common, text that ``output.path`` may use, e.g.
    ``{"topic": "orders", "partition": "3"}``: one and the same object for all of them. ``facts`` is the rest, e.g.
    ``{"key": "k", "time": 1767225600.5}`` (seconds since 1970, UTC).
    """

    data: bytes
    position: Position | None
    name: str
    group: Mapping[str, str] = _NOTHING
    facts: Facts = _NOTHING

    def about(self) -> dict[str, Any]:
        """All that is known of it beside its bytes."""
        return {**self.group, **(self.facts() if callable(self.facts) else self.facts)}


@dataclass(frozen=True, slots=True)
class Lines(Sequence[Record]):
    """Records that are lines of one group, as the bytes in which they stand: a source may return this for a list.

    Whoever wants single records finds them in here, each made when it is looked at. Where lines are written as they are
    nobody does: ``data`` goes from the source to the sink, and costs what bytes cost.

    ``data`` is ``lines`` of them (one at least), joined by line feeds; ``name_at`` names the one that begins at an
    offset in it; ``position`` is where to go on after the last one.
    """

    data: bytes
    lines: int
    name_at: Callable[[int], str]
    position: Position
    group: Mapping[str, str]

    @property
    def size(self) -> int:
        """The bytes of all records."""
        return len(self.data) - (self.lines - 1)

    def __len__(self) -> int:
        return self.lines

    def __iter__(self) -> Iterator[Record]:
        begin = 0
        while (end := self.data.find(b"\n", begin)) >= 0:
            yield self._record(begin, end)
            begin = end + 1
        yield self._record(begin, len(self.data))

    def __getitem__(self, index: Any) -> Any:
        if index == 0:
            return next(iter(self))
        if index == -1:
            return self._record(self.data.rfind(b"\n") + 1, len(self.data))
        return list(self)[index]

    def _record(self, begin: int, end: int) -> Record:
        position = self.position if end == len(self.data) else None
        return Record(self.data[begin:end], position, self.name_at(begin), self.group)


class Records(Sequence[Record]):
    """The records of one read after the other. ``pieces`` are those that came single, and :class:`Lines` as they came;
    ``size`` is the bytes of all records.
    """

    def __init__(self) -> None:
        self.pieces: list[Record | Lines] = []
        self.size = 0
        self._count = 0

    def add(self, more: Sequence[Record]) -> None:
        """Add what a read returned."""
        self._count += len(more)
        self.size += size_of(more)
        self.pieces += [more] if isinstance(more, Lines) else more

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Record]:
        for piece in self.pieces:
            if isinstance(piece, Lines):
                yield from piece
            else:
                yield piece

    def __getitem__(self, index: Any) -> Any:
        return outermost(self.pieces, index) if index in (0, -1) else list(self)[index]


def size_of(records: Sequence[Record]) -> int:
    """The bytes of all ``records``."""
    if isinstance(records, (Lines, Records)):
        return records.size
    return sum(len(record.data) for record in records)


def outermost(pieces: Sequence[Record | Lines], index: int) -> Record:
    """The very first record (``index`` 0) or the last one (-1)."""
    piece: Record | Lines = pieces[index]
    return piece[index] if isinstance(piece, Lines) else piece


class Lag(NamedTuple):
    """How far a source is behind the newest record outside; None where it cannot tell."""

    records: int | None
    seconds: float | None = None


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
    """The records from one position (None: the beginning) to another.

    A source's batch is never empty; what is left of it after a filter may be. ``rejected`` are dead letters.
    """

    start: Position | None
    end: Position
    records: Sequence[Record]
    rejected: Sequence[Record] = ()


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


class UncertainError(Exception):
    """Raised by a sink that cannot tell what is committed: the spout must read the marker again before it goes on."""


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

    def open(self, position: Position | None) -> Position | None:
        """Connect, so that the next read starts right after ``position``; all up to it is committed for good.

        Where ``position`` is None and the beginning is a place that may move (``start: latest``), return the place that
        it is now: it goes into the marker at once, so a start is chosen once. In all other cases return None.
        """

    def read(self, limit: Limit, timeout: float) -> Sequence[Record]:
        """The next records: a list, or :class:`Lines`; [] when none came within about ``timeout`` seconds.

        A replay (``limit.until``) gives the very same records as before and stops at that position, or raises
        :class:`~spout.fatal.FatalError` where the outside does not have them any more; or always
        :class:`UnrepeatableError`, where the outside cannot do that at all.
        """

    def ack(self, position: Position) -> None:
        """All up to ``position`` is committed: the outside may forget it."""

    def close(self) -> None:
        """Let go of everything, also after an ``open`` that failed; another ``open`` may follow."""


class Measured(Protocol):
    """What a source may have beside :class:`Source`."""

    def lag(self) -> Lag | None:
        """How far it is behind, from what it knows already or can learn at once; None while it cannot tell."""


class Sink(Protocol):
    """Where batches go."""

    def begin(self, position: Position) -> None:
        """Put ``position`` into the marker, before anything was read: this is where the spout began."""

    def write(self, batch: Batch, committed: Callable[[Position], None]) -> None:
        """Write a batch; call ``committed`` with the end of each earlier batch now known to be committed."""

    def flush(self, committed: Callable[[Position], None]) -> None:
        """Wait until all that was written is committed, and say so to ``committed``."""

    def close(self) -> None:
        """Let go of everything."""
