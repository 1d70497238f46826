"""A batch becomes files. Paths and bytes depend on positions and records alone, never on the clock, the machine or the
run: a batch that is written twice overwrites itself.
"""

from __future__ import annotations

import posixpath
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

from spout.config import Output
from spout.fatal import FatalError, brief
from spout.paths import legal
from spout.records import Batch, File, Lines, Record, Records, outermost

LONGEST_PATH = 4_000  # characters; what a tar and a commit can hold is more, what a file system can, less

_NOTHING = "%-"  # no key at all, or no time: a text that no key becomes
_FIELD = re.compile(r"\{([a-z_]+)\}")
_PIECE = 1 << 16  # bytes, about, of one piece of a file


def files(batch: Batch, output: Output, marker: str, *, is_beside: bool = False) -> list[File]:
    """The files of ``batch``; FatalError if one would be taken for the marker, or for a part of it.

    ``is_beside``: marker and data stand in one place, as on 2.x.
    """
    made = _written(batch.records, output.path, output.format)
    if batch.rejected:
        made += _written(batch.rejected, output.dead_letters, "lines")
    for file in made:
        if _is_marker(posixpath.normpath(file.path), marker, is_beside):
            _refuse_marker(file.path, marker, is_beside)
    return made


def _is_marker(path: str, marker: str, is_beside: bool) -> bool:
    """Whether it goes to the branch marker: the worker's own test (v1.13.4:src/server/worker/pipeline/common.go:106).

    Where there is no such branch: whether it is the marker, makes a folder of it, or could be one of its parts.
    """
    if not path.startswith(marker):
        return False
    return not is_beside or path[len(marker) :][:1] in ("", *"/.0123456789")


def _written(records: Sequence[Record], path: str, form: str) -> list[File]:
    fields = [field for field in _FIELD.findall(path) if field not in ("first", "last")]
    if form == "files":
        return [
            File(_expanded(path, _values(record, fields), record, record), len(record.data), [record.data])
            for record in records
        ]
    return [
        _lines(same, _expanded(path, values, outermost(same, 0), outermost(same, -1)))
        for values, same in _apart(records, fields)
    ]


def _apart(records: Sequence[Record], fields: list[str]) -> list[tuple[dict[str, str], list[Record | Lines]]]:
    """The records by the values of ``fields``, in the order in which these values come first.

    :class:`Lines` stay together, where all of the fields are their group's.
    """
    if not records:
        return []
    is_shared = all(field in records[0].group for field in fields)
    pieces = records.pieces if is_shared and isinstance(records, Records) else records
    if not fields:
        return [({}, list(pieces))]
    apart: dict[tuple[str, ...], tuple[dict[str, str], list[Record | Lines]]] = {}
    group: object = None
    same: list[Record | Lines] = []
    for piece in pieces:
        if not is_shared or piece.group is not group:
            group = piece.group
            values = _values(piece, fields)
            same = apart.setdefault(tuple(values.values()), (values, []))[1]
        same.append(piece)
    return list(apart.values())


def _values(record: Record | Lines, fields: list[str]) -> dict[str, str]:
    """What each field stands for, as a part of a legal path."""
    values = {field: legal(record.group[field]) for field in fields if field in record.group}
    if len(values) < len(fields) and isinstance(record, Record):
        about = record.about()
        for field in fields:
            value = values.get(field) or _value(about, field)
            if value is not None:
                values[field] = value
    return values


def _value(about: dict[str, Any], field: str) -> str | None:
    """One field of a single record; None where the record has no such thing."""
    if field == "key":
        key = about.get("key")
        return _NOTHING if key is None else legal(str(key))
    if field in ("date", "hour"):
        return dated(about.get("time"), "%Y-%m-%d" if field == "date" else "%H")
    return None


def dated(moment: object, form: str) -> str | None:
    """Seconds since 1970 in UTC, as ``form`` of ``time.strftime`` says; None if that is no time."""
    if isinstance(moment, bool) or not isinstance(moment, (int, float)):
        return None
    try:
        return time.strftime(form, time.gmtime(moment))
    except (ValueError, OverflowError, OSError):
        return None


def fault_of(record: Record, path: str) -> str | None:
    """Why ``record`` cannot get a file at ``path``; None if it can."""
    fields = [field for field in _FIELD.findall(path) if field not in ("first", "last")]
    values = _values(record, fields)
    missing = [field for field in fields if field in ("date", "hour") and field not in values]
    if missing:
        return f"it has no time of its own, which {{{missing[0]}}} in output.path stands for"
    length = len(_expanded(path, values, record, record))
    return f"its path would have {length} characters; {LONGEST_PATH} are possible" if length > LONGEST_PATH else None


def _lines(pieces: Sequence[Record | Lines], path: str) -> File:
    lines = [piece.data for piece in pieces]
    size = sum(map(len, lines)) + len(lines)
    return File(path, size, _ended(lines, max(1, _PIECE * len(lines) // size)))


def _ended(lines: list[bytes], at_once: int) -> Iterator[bytes]:
    """Each line and a line end, many short ones at once: never the whole batch a second time in memory."""
    for at in range(0, len(lines), at_once):
        if at_once == 1:
            yield lines[at]
            yield b"\n"
        else:
            yield b"\n".join([*lines[at : at + at_once], b""])


def _expanded(path: str, values: dict[str, str], first: Record, last: Record) -> str:
    def value(field: re.Match[str]) -> str:
        if field[1] == "first":
            return legal(first.name)
        if field[1] == "last":
            return legal(last.name)
        # Only a dead letter may come so far without a time.
        return values.get(field[1], _NOTHING if field[1] in ("date", "hour") else field[0])

    return _FIELD.sub(value, path)


def _refuse_marker(path: str, marker: str, is_beside: bool) -> None:
    why = "it could be the marker, or one of its parts" if is_beside else "such a file goes to the branch marker"
    raise FatalError(
        "output",
        found=f"a file to be written to {brief(path)!r}",
        expected=f"a path that does not begin with the marker's name {marker!r}: {why}",
        remedy="give `output.path` in spout.yaml a folder, such as data/{first}",
    )
