"""A batch becomes files. Paths and bytes depend on positions alone, never on the clock, the machine or the run:
a batch that is written twice overwrites itself.
"""

from __future__ import annotations

import posixpath
import re
import string
from collections.abc import Iterator, Sequence

from spout.config import Output
from spout.fatal import FatalError, brief
from spout.records import Batch, File, Record

# Letters that are legal in a Pachyderm path and mean nothing in it (v1.13.4:src/server/pkg/path/path.go:79); a
# record's name has the rest as %XX, and the per cent sign too, so two names never become one path.
_PLAIN = frozenset(string.ascii_letters + string.digits + "-_.~:=,; ")
_FIELD = re.compile(r"\{(first|last)\}")
_PIECE = 1 << 16  # bytes, about, of one piece of a file


def files(batch: Batch, output: Output, marker: str) -> list[File]:
    """The files of ``batch``; FatalError if one would be taken for the marker."""
    if output.format == "files":
        made = [_one(record, output.path) for record in batch.records]
    else:
        made = [_lines(batch.records, output.path)]
    for file in made:
        # The worker's own test (v1.13.4:src/server/worker/pipeline/common.go:106).
        if posixpath.normpath(file.path).startswith(marker):
            _refuse_marker(file.path, marker)
    return made


def _one(record: Record, path: str) -> File:
    return File(_expanded(path, record, record), len(record.data), [record.data])


def _lines(records: Sequence[Record], path: str) -> File:
    lines = [record.data for record in records]
    size = sum(map(len, lines)) + len(lines)
    return File(_expanded(path, records[0], records[-1]), size, _ended(lines, max(1, _PIECE * len(lines) // size)))


def _ended(lines: list[bytes], at_once: int) -> Iterator[bytes]:
    """Each line and a line end, many short ones at once: never the whole batch a second time in memory."""
    for at in range(0, len(lines), at_once):
        if at_once == 1:
            yield lines[at]
            yield b"\n"
        else:
            yield b"\n".join([*lines[at : at + at_once], b""])


def _expanded(path: str, first: Record, last: Record) -> str:
    names = {"first": first.name, "last": last.name}
    return _FIELD.sub(lambda field: legal(names[field[1]]), path)


def legal(name: str) -> str:
    """``name`` as one part of a legal path, and another part for every other name."""
    if _PLAIN.issuperset(name) and name.strip("."):
        return name
    keep = _PLAIN - {"."} if not name.strip(".") else _PLAIN  # "." and ".." are folders
    return "".join(c if c in keep else "".join(f"%{byte:02X}" for byte in c.encode()) for c in name)


def _refuse_marker(path: str, marker: str) -> None:
    raise FatalError(
        "output",
        found=f"a file to be written to {brief(path)!r}",
        expected=f"a path that does not begin with the marker's name {marker!r}: such a file goes to the branch marker",
        remedy="give `output.path` in spout.yaml a folder, such as data/{first}",
    )
