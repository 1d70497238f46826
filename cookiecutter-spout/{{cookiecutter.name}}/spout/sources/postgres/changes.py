"""Changes of a transaction as records: one JSON object each.

{"op": "update", "table": "public.orders", "lsn": "0/16B3748", "xid": 740, "time": "2026-01-01T00:00:00.250000Z",
 "before": {"id": 7}, "after": {"id": 8, "paid": true}, "unchanged": ["note"]}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

from spout.records import Record
from spout.sources.postgres import values
from spout.sources.postgres.pgoutput import EPOCH, UNCHANGED, Begin, Change, Relation, Truncate, Unchanged, Value

_OPS = {"I": b"insert", "U": b"update", "D": b"delete"}
_START = datetime(2000, 1, 1, tzinfo=timezone.utc)


def lsn_text(lsn: int) -> str:
    """``0/16B3748``, as PostgreSQL writes it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def lsn_number(text: str) -> int:
    """The other way round; ValueError for anything else."""
    high, low = text.split("/")
    return (int(high, 16) << 32) | int(low, 16)


class Table:
    """A table of the stream: how its rows are written. ``writer`` gives for a type what writes its values."""

    def __init__(self, relation: Relation, writer: Callable[[int], values.Write]) -> None:
        self.name = f"{relation.schema}.{relation.table}"
        self.group = {"table": self.name}
        self._columns = [
            (name, json.dumps(name, ensure_ascii=False).encode() + b":", writer(kind))
            for name, kind, _ in relation.columns
        ]
        self._keys = [number for number, (_, _, is_key) in enumerate(relation.columns) if is_key]
        self._has_key = relation.identity != "f"

    def row(self, row: list[Value], numbers: list[int] | None = None) -> bytes:
        """A row as a JSON object; only these columns, where numbers are given."""
        pairs = zip(self._columns, row, strict=False)
        chosen = pairs if numbers is None else [(self._columns[number], row[number]) for number in numbers]
        made = [
            label + (b"null" if value is None else write(value))
            for (_, label, write), value in chosen
            if not isinstance(value, Unchanged)
        ]
        return b"{" + b",".join(made) + b"}"

    def keys_of(self, row: list[Value]) -> bytes:
        """The columns of the replica identity."""
        return self.row(row, self._keys)

    def unchanged(self, row: list[Value]) -> list[str]:
        """The columns whose values the server did not send."""
        return [name for (name, _, _), value in zip(self._columns, row, strict=False) if value is UNCHANGED]

    def key(self, row: list[Value]) -> str | None:
        """The replica identity of a row as text, say ``7`` or ``7,de``; None where the whole row is its identity."""
        if not self._has_key or not self._keys:
            return None
        parts = (row[number] for number in self._keys)
        return ",".join(part.decode() if isinstance(part, bytes) else "" for part in parts)


class Transaction:
    """One transaction: gives its records, in order, with their numbers from 1."""

    def __init__(self, begin: Begin) -> None:
        self.lsn = begin.lsn
        self.time = EPOCH + begin.time / 1_000_000
        self.count = 0
        moment = _START + timedelta(microseconds=begin.time)
        self._common = (
            f'"lsn":"{lsn_text(begin.lsn)}","xid":{begin.xid},"time":"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06}Z"'
        ).encode()

    def changed(self, change: Change, table: Table) -> Record:
        """An insert, an update or a delete."""
        old, new = change.old, change.new
        if old and new and not change.is_key:  # the whole old row: it has what the new one lacks
            new = [before if after is UNCHANGED else after for before, after in zip(old, new, strict=True)]
        parts = [self._head(_OPS[change.op], table)]
        if old is not None:
            parts.append(b'"before":' + (table.keys_of(old) if change.is_key else table.row(old)))
        if new is not None:
            parts.append(b'"after":' + table.row(new))
            if left := table.unchanged(new) if UNCHANGED in new else []:
                parts.append(b'"unchanged":' + json.dumps(left, ensure_ascii=False).encode())
        row = new if new is not None else old
        return self._record(parts, table, partial(self._facts, _OPS[change.op].decode(), table, row))

    def truncated(self, truncate: Truncate, table: Table) -> Record:
        """A table emptied at once."""
        more = {"cascade": truncate.cascade, "restart_identity": truncate.restart_identity}
        parts = [self._head(b"truncate", table), json.dumps(more, separators=(",", ":")).encode()[1:-1]]
        return self._record(parts, table, partial(self._facts, "truncate", table, None))

    def _head(self, op: bytes, table: Table) -> bytes:
        return b'"op":"' + op + b'","table":' + values.quoted(table.name.encode()) + b"," + self._common

    def _record(self, parts: list[bytes], table: Table, facts: Callable[[], Mapping[str, Any]]) -> Record:
        self.count += 1
        name = f"{self.lsn:016X}-{self.count:010}"
        return Record(b"{" + b",".join(parts) + b"}", None, name, table.group, facts)

    def _facts(self, op: str, table: Table, row: list[Value] | None) -> Mapping[str, Any]:
        return {"op": op, "key": None if row is None else table.key(row), "time": self.time}
