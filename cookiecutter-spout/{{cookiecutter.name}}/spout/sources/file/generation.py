"""A generation: one file of a log, from its first line to its last, whatever name it has meanwhile."""

from __future__ import annotations

from typing import NamedTuple

from spout.fatal import FatalError
from spout.records import Limit
from spout.sources.file.body import HEAD, TAIL, Body, Place, digest
from spout.sources.file.folder import Found

_CHUNK = 1 << 20  # bytes that are read at once


class ChangedError(Exception):
    """What was read of a file is not in it any more: it was truncated."""


class Taken(NamedTuple):
    """So many whole lines, joined by line feeds, and the offset at which they begin."""

    data: bytes
    lines: int
    offset: int


class Generation:
    """How far one file was read. ``number`` counts the files of a log in the order in which they were read."""

    def __init__(self, number: int, place: Place, found: Found | None = None) -> None:
        self.number = number
        self.found = found
        self.missing_since: float | None = None
        self.is_lost = False
        self.is_expected = False
        self.line_bytes = 0.0
        self._place = place
        self._body: Body | None = None
        self._head = b""
        self._recent = b""
        self._looked: tuple[int, int] | None = None
        self._nothing_in: Found | None = None

    @property
    def read_to(self) -> int:
        """The offset up to which it was read."""
        return 0 if self.is_expected else self._place.offset

    def expect(self, place: Place) -> None:
        """It is to be read again from its beginning, and was once read up to ``place``: so it can be found."""
        self.close()
        self.found, self._place, self.is_expected = None, place, True

    def begin(self) -> None:
        """It was found: read it from its beginning."""
        assert self.found
        self.close()
        self._place, self.is_expected = beginning(self.found), False

    @property
    def may_have_more(self) -> bool:
        """Whether the file was changed on the disk since all of it was read."""
        return self.found is not None and self.found != self._nothing_in

    @property
    def place(self) -> Place:
        """Where it goes on."""
        return self._place

    @property
    def is_open(self) -> bool:
        """Whether its bytes can be had, even if nobody finds it any more."""
        return self._body is not None

    def is_at(self, found: Found) -> None:
        """It has this name now."""
        self.found = found
        self.missing_since = None
        if self._place.offset == 0 or self._place.inode != found.inode or self._place.device != found.device:
            self.close()
            old = self._place
            self._place = Place(found.device, found.inode, old.offset, old.head, old.tail)

    def open(self) -> Body:
        """Its bytes; ChangedError if they are others."""
        if self._body is None:
            assert self.found
            body = Body(self.found)
            self._head = body.read_at(0, min(HEAD, self._place.offset))
            begin = max(0, self._place.offset - TAIL)
            if body.is_plain or not body.ends_at(self._place.offset):
                self._recent = body.read_at(begin, self._place.offset - begin)
                if digest(self._head) != self._place.head or digest(self._recent) != self._place.tail:
                    if len(self._recent) == self._place.offset - begin or self.found.is_live:
                        body.close()
                        raise ChangedError
                    self._recent = b""  # a copy that is shorter than what was read: there is nothing to be had
            self._body = body
            self._looked = None
        return self._body

    def close(self) -> None:
        """Let go of the file; the place is kept."""
        if self._body is not None:
            self._body.close()
            self._body = None

    def read(self, limit: Limit, longest: int, until: int | None = None) -> Taken | None:
        """The next whole lines, at most up to the offset ``until``; None if there are none yet.

        ChangedError if the file was truncated."""
        body = self.open()
        state = body.state()
        if until is None and state == self._looked:
            return None
        if not body.is_plain and body.ends_at(self._place.offset):
            self._nothing(state)
            return None
        offset = self._place.offset
        most = longest + 1 if until is None else until - offset
        size = min(_CHUNK, limit.bytes, most)
        data = body.read_at(offset, size)
        count = limit.records
        while b"\n" not in data:
            if len(data) < size or (size == most and until is not None):
                self._check(body)
                self._nothing(state)
                return None
            if size == most:
                raise self._too_long(longest)
            size, count = min(max(2 * size, 4096), most), 1
            data = body.read_at(offset, size)
        self._check(body)  # after the reading: what was read was read of the file that we mean
        return self._taken(data, count)

    def _nothing(self, state: tuple[int, int]) -> None:
        self._looked = state
        self._nothing_in = self.found

    def _taken(self, data: bytes, most: int) -> Taken:
        end = data.rindex(b"\n")
        lines = line_ends(data)
        if lines > most:
            end, lines = line_end(data, most), most
        begin = self._place.offset
        self.line_bytes = (end + 1) / lines
        self._move(data, end + 1)
        return Taken(data[:end], lines, begin)

    def _move(self, data: bytes, size: int) -> None:
        """Go on after the first ``size`` bytes of ``data``."""
        head = self._place.head
        if len(self._head) < HEAD:
            self._head = (self._head + data[: min(size, HEAD)])[:HEAD]
            head = digest(self._head)
        self._recent = (self._recent + data[max(0, size - TAIL) : size])[-TAIL:]
        self._place = self._place._replace(offset=self._place.offset + size, head=head, tail=digest(self._recent))

    def _check(self, body: Body) -> None:
        """What was read before still stands there."""
        if body.is_plain and self._recent:
            begin = self._place.offset - len(self._recent)
            is_there = body.read_at(begin, len(self._recent)) == self._recent
            if not is_there or body.read_at(0, len(self._head)) != self._head:
                raise ChangedError

    def unread(self) -> int:
        """How many bytes of it are to be read; 0 while all that is there is a line without its end."""
        if self._body is None or self._looked == self._body.state() or not self._body.is_plain:
            return 0
        return max(0, self._body.size() - self._place.offset)

    def partial(self) -> int:
        """How many bytes stand after its last line end, when all else was read."""
        body = self.open()
        return len(body.read_at(self._place.offset, _CHUNK)) if not body.ends_at(self._place.offset) else 0

    def _too_long(self, longest: int) -> FatalError:
        path = self.found.path if self.found else "a rotated file"
        return FatalError(
            "source",
            found=f"a line of more than {longest} bytes in {path}, at byte {self._place.offset}",
            expected=f"lines of {longest} bytes at most",
            remedy="raise `source.max_line`, or set `source.files` so that it matches text files only",
        )


def line_ends(data: bytes) -> int:
    """How many there are. ``data.count`` takes three times as long where lines are longer than a few words."""
    return len(data) - len(data.replace(b"\n", b""))


def line_end(data: bytes, number: int) -> int:
    """Where the ``number``-th line feed of ``data`` stands; found by halves, without an object for each line."""
    begin, end = 0, len(data)
    while end - begin > 1:
        middle = (begin + end) // 2
        before = data.count(b"\n", begin, middle)
        if before >= number:
            end = middle
        else:
            begin, number = middle, number - before
    return begin


def beginning(found: Found) -> Place:
    """Where a file begins."""
    return Place(found.device, found.inode, 0, digest(b""), digest(b""))


def ending(found: Found) -> Place:
    """Where the last whole line of a file ends."""
    body = Body(found)
    try:
        end = body.size()
        if body.is_plain:
            end = _last_line_end(body, end)
        begin = max(0, end - TAIL)
        tail = body.read_at(begin, end - begin)
        return Place(found.device, found.inode, end, digest(body.read_at(0, min(HEAD, end))), digest(tail))
    finally:
        body.close()


def _last_line_end(body: Body, end: int) -> int:
    while end > 0:
        begin = max(0, end - _CHUNK)
        at = body.read_at(begin, end - begin).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        end = begin
    return 0
