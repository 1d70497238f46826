"""The pyramid: the marker of the symbol source.

Every line extends the one before by the symbol of its time, so the last line and the lengths of the steps say it
all; whole lines exist only while they are written to the pipe. Its position, in JSON: ``{"steps": [[1, 9]], "line":
"........."}``, nine steps of one character each.

By name the marker is the pyramid itself, plain text, and its last line is the announcement: that line is being written,
all before it are committed. By prefix, a thousand lines each go to mymark01, mymark02, ..., and the index ``mymark``
holds the position, from which every part can be written again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from spout import marker
from spout.config import Config
from spout.fatal import FatalError, brief
from spout.marker import Announcement, Shape
from spout.records import File, Position

LONGEST_STEP = 64  # characters, the schema's limit for a symbol
LINES_A_PART = 1000


@dataclass(frozen=True, slots=True)
class Pyramid:
    """The last line, and (length in characters, how many times) of the steps that lead to it."""

    line: str
    steps: tuple[tuple[int, int], ...]


EMPTY = Pyramid("", ())


def height(pyramid: Pyramid) -> int:
    """How many lines it has."""
    return sum(count for _, count in pyramid.steps)


def grown(pyramid: Pyramid, symbol: str) -> Pyramid:
    """One line more."""
    length, count, before = len(symbol), 0, pyramid.steps
    if before and before[-1][0] == length:
        count, before = before[-1][1], before[:-1]
    return Pyramid(pyramid.line + symbol, (*before, (length, count + 1)))


def shrunk(pyramid: Pyramid) -> Pyramid:
    """One line less."""
    length, count = pyramid.steps[-1]
    last = ((length, count - 1),) if count > 1 else ()
    return Pyramid(pyramid.line[:-length], (*pyramid.steps[:-1], *last))


def lengths(pyramid: Pyramid) -> Iterator[int]:
    """The length of each step, in characters."""
    for length, count in pyramid.steps:
        for _ in range(count):
            yield length


def next_symbol(pyramid: Pyramid, goal: Pyramid) -> str | None:
    """What the next line adds on the way to ``goal``; None if ``goal`` does not lie ahead."""
    length = next(islice(lengths(goal), height(pyramid), None), None)
    begin = len(pyramid.line)
    if length is None or not goal.line.startswith(pyramid.line):
        return None
    return goal.line[begin : begin + length]


def to_position(pyramid: Pyramid) -> Position:
    """The position after the last line; None for the empty pyramid."""
    if pyramid == EMPTY:
        return None
    return {"steps": [[length, count] for length, count in pyramid.steps], "line": pyramid.line}


def from_position(position: Position | None) -> Pyramid:
    """The pyramid at ``position``; ValueError if it is none."""
    if position is None:
        return EMPTY
    if not isinstance(position, dict) or set(position) != {"line", "steps"}:
        raise ValueError("a position has a line and steps")
    line, steps = position["line"], position["steps"]
    if not isinstance(line, str) or "\n" in line or not isinstance(steps, list):
        raise ValueError("the line is one line of text, the steps are a list")
    for step in steps:
        if not isinstance(step, list) or len(step) != 2 or not all(type(number) is int for number in step):
            raise ValueError("a step is [length, count]")
        if not 1 <= step[0] <= LONGEST_STEP or step[1] < 1:
            raise ValueError(f"a step is 1 to {LONGEST_STEP} characters long")
    pyramid = Pyramid(line, tuple((length, count) for length, count in steps))
    if not steps or sum(length * count for length, count in pyramid.steps) != len(line):
        raise ValueError("the steps do not add up to the line")
    return pyramid


def text(path: str, pyramid: Pyramid, first: int = 0, end: int | None = None) -> File:
    """The file ``path`` with the lines ``first`` to ``end`` (counted from 0, the end not included)."""
    body = pyramid.line.encode()
    size = sum(at + 1 for at in islice(_line_ends(pyramid), first, end))
    return File(path, size, (body[:at] + b"\n" for at in islice(_line_ends(pyramid), first, end)))


def _line_ends(pyramid: Pyramid) -> Iterator[int]:
    """How long each line is in bytes."""
    begin = end = 0
    for length in lengths(pyramid):
        end += len(pyramid.line[begin : begin + length].encode())
        begin += length
        yield end


class TextShape:
    """The marker by name: the pyramid as plain text, each line ended by a line feed so that a cut one is seen."""

    def __init__(self, name: str) -> None:
        self._name = name

    def files(self, announcement: Announcement) -> list[File]:
        """The pyramid up to the line that is being written; on 2.x, where nothing is announced, that is committed."""
        return [text(self._name, from_position(_last(announcement)))]

    def read(self, path: Path) -> Announcement:
        """All but the last line are committed, the last one is being written."""
        with path.open("rb") as file:
            return _announcement(read_text(file, path))


class PartsShape:
    """The marker by prefix: parts of a thousand lines each, then the index, last.

    A marker that was by name until now is read too. It has no parts yet, so all of them are written with the next
    announcement. The index takes the place of the plain text only after them: a death in between finds the text again,
    and where an index is, its parts are.
    """

    def __init__(self, name: str, spout: str, source: str) -> None:
        self._name = name
        self._spout = spout
        self._source = source
        self._has_parts = True

    def files(self, announcement: Announcement) -> list[File]:
        """The part that the announced line is in (all others are as they were), and the index."""
        pyramid = from_position(_last(announcement))
        last = (height(pyramid) - 1) // LINES_A_PART
        first, self._has_parts = (last if self._has_parts else 0), True
        parts = [
            text(f"{self._name}{part + 1:02}", pyramid, part * LINES_A_PART, (part + 1) * LINES_A_PART)
            for part in range(first, last + 1)
        ]
        return [*parts, marker.write_json(self._name, self._spout, self._source, to_position(pyramid))]

    def read(self, path: Path) -> Announcement:
        """What the index says, or the plain text of a marker that was by name."""
        with path.open("rb") as file:
            self._has_parts = file.read(len(marker.JSON_OPENING)) == marker.JSON_OPENING
            if not self._has_parts:
                file.seek(0)
                return _announcement(read_text(file, path))
        facts = marker.read_json(path, self._spout, self._source, ("steps", "line"))
        try:
            return _announcement(from_position({"steps": facts["steps"], "line": facts["line"]}))
        except ValueError as error:
            raise marker.unreadable(path, f"a position that cannot be ({error})", "a pyramid") from error


def shape(config: Config, identity: str) -> Shape:
    """The shape that the config asks for."""
    if config.batch.records != 1:
        raise FatalError(
            "config",
            found=f"batch.records {config.batch.records}",
            expected="1: the last line of the pyramid announces one line",
            remedy="leave `batch.records` out of spout.yaml",
        )
    if config.marker_is_prefix:
        return PartsShape(config.marker, config.name, identity)
    return TextShape(config.marker)


def read_text(file: BinaryIO, path: Path) -> Pyramid:
    """The pyramid in ``file``, read line by line; FatalError unless each line extends the one before."""
    pyramid, body = EMPTY, b""
    # However wrong the file is, no more of it is read than the longest line that could be right at this place.
    while line := file.readline(len(body) + 4 * LONGEST_STEP + 1):
        if pyramid == EMPTY and line.startswith(marker.JSON_OPENING):
            expected = "a pyramid in plain text: `marker:` in spout.yaml was {prefix: ...}, put that back"
            raise marker.unreadable(path, "the index of a marker with a prefix", expected)
        symbol = _added(body, line)
        if symbol is None:
            found = f"{brief(line.decode(errors='replace'))!r} in line {height(pyramid) + 1}"
            expected = f"the line before it, 1 to {LONGEST_STEP} characters more, and a line end"
            raise marker.unreadable(path, found, expected)
        pyramid, body = grown(pyramid, symbol), line[:-1]
    if pyramid == EMPTY:
        raise marker.unreadable(path, "nothing", "at least one line of a pyramid")
    return pyramid


def _added(body: bytes, line: bytes) -> str | None:
    """What ``line`` adds to the line ``body``; None if it is not the next line of a pyramid."""
    if not (line.startswith(body) and line.endswith(b"\n")):
        return None
    try:
        symbol = line[len(body) : -1].decode()
    except UnicodeDecodeError:
        return None
    return symbol if 1 <= len(symbol) <= LONGEST_STEP else None


def _last(announcement: Announcement) -> Position | None:
    return announcement.committed if announcement.writing is None else announcement.writing


def _announcement(pyramid: Pyramid) -> Announcement:
    """The last line is being written, all before it are committed."""
    return Announcement(to_position(shrunk(pyramid)), to_position(pyramid))
