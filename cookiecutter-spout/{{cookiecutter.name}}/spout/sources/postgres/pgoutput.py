"""The messages of PostgreSQL's output plugin pgoutput, protocol version 1.

Its own pages describe them: https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

_BEGIN = struct.Struct(">QqI")
_COMMIT = struct.Struct(">BQQq")
_COLUMN = struct.Struct(">Ii")

EPOCH = 946_684_800  # 2000-01-01 in seconds since 1970: the server counts microseconds from there


class Unchanged:
    """In place of a large value that an update left alone: the server does not send it."""


UNCHANGED = Unchanged()
Value = bytes | None | Unchanged


class Begin(NamedTuple):
    """A transaction begins; ``lsn`` is where its commit record is. ``time`` in microseconds since 2000."""

    lsn: int
    time: int
    xid: int


class Commit(NamedTuple):
    """It ends; whatever commits later has its commit record at ``end`` or beyond."""

    lsn: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class Relation:
    """A table as the messages after this one have it. ``identity``: d, n, f or i, as pg_class.relreplident."""

    oid: int
    schema: str
    table: str
    identity: str
    columns: tuple[tuple[str, int, bool], ...]  # name, type, whether it is a part of the replica identity


class Change(NamedTuple):
    """``op`` is I, U or D; ``old`` the row before, or the columns of its key alone (``is_key``)."""

    op: str
    relation: int
    old: list[Value] | None
    is_key: bool
    new: list[Value] | None


class Truncate(NamedTuple):
    """All tables that one TRUNCATE emptied."""

    relations: tuple[int, ...]
    cascade: bool
    restart_identity: bool


Message = Begin | Commit | Relation | Change | Truncate


def parsed(data: bytes) -> Message | None:
    """One message; None for those that say nothing about rows (types, origins, logical messages)."""
    kind = data[:1]
    if kind in (b"I", b"U", b"D"):
        return _change(kind.decode(), data)
    if kind == b"B":
        return Begin(*_BEGIN.unpack_from(data, 1))
    if kind == b"C":
        _, lsn, end, _ = _COMMIT.unpack_from(data, 1)
        return Commit(lsn, end)
    if kind == b"R":
        return _relation(data)
    if kind == b"T":
        count, flags = struct.unpack_from(">IB", data, 1)
        return Truncate(struct.unpack_from(f">{count}I", data, 6), bool(flags & 1), bool(flags & 2))
    if kind in (b"Y", b"O", b"M"):
        return None
    raise ValueError(f"a message of pgoutput that begins with {kind!r}")


def _change(op: str, data: bytes) -> Change:
    relation = int.from_bytes(data[1:5], "big")
    old: list[Value] | None = None
    mark, at = data[5:6], 6
    is_key = mark == b"K"
    if mark in (b"K", b"O"):
        old, at = _tuple(data, at)
        mark, at = data[at : at + 1], at + 1
    new = _tuple(data, at)[0] if mark == b"N" else None
    return Change(op, relation, old, is_key, new)


def _tuple(data: bytes, at: int) -> tuple[list[Value], int]:
    count = int.from_bytes(data[at : at + 2], "big")
    at += 2
    values: list[Value] = []
    for _ in range(count):
        kind = data[at]
        at += 1
        if kind == 0x74:  # t: text
            start = at + 4
            at = start + int.from_bytes(data[at:start], "big")
            values.append(data[start:at])
        elif kind == 0x6E:  # n: null
            values.append(None)
        elif kind == 0x75:  # u: unchanged
            values.append(UNCHANGED)
        else:
            raise ValueError(f"a column of pgoutput of the kind {kind!r}")
    return values, at


def _relation(data: bytes) -> Relation:
    oid = int.from_bytes(data[1:5], "big")
    schema, at = _string(data, 5)
    table, at = _string(data, at)
    identity = data[at : at + 1].decode()
    count = int.from_bytes(data[at + 1 : at + 3], "big")
    at += 3
    columns: list[tuple[str, int, bool]] = []
    for _ in range(count):
        flags = data[at]
        name, at = _string(data, at + 1)
        kind, _ = _COLUMN.unpack_from(data, at)
        at += 8
        columns.append((name, kind, bool(flags & 1)))
    return Relation(oid, schema or "pg_catalog", table, identity, tuple(columns))


def _string(data: bytes, at: int) -> tuple[str, int]:
    end = data.index(b"\0", at)
    return data[at:end].decode(), end + 1
