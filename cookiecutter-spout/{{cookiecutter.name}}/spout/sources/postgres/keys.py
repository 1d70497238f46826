"""The key of a cursor: the columns that order the rows, as SQL, as a position, and as names.

A position is the key of a row as the server writes it, one text a column: ``["2026-01-01 00:00:00+00", "17"]``. So it
is exact whatever the type is, and means the same after a trip through JSON. ``[]`` is before all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from psycopg import sql

_WHOLE = frozenset(["smallint", "integer", "bigint", "oid", "xid8"])
_TIMES = frozenset(["timestamp with time zone", "timestamp without time zone"])


ROW = sql.Identifier("spoutgen row")  # no column of anybody's is called so: a column would be taken for the row


@dataclass(frozen=True, slots=True)
class Column:
    """A key column: its name, and its type as SQL writes it."""

    name: str
    type: str

    def named(self) -> sql.Composable:
        """The column of the row: by the name alone, ORDER BY would mean the text that is selected."""
        return sql.SQL("{}.{}").format(ROW, sql.Identifier(self.name))


@dataclass(frozen=True, slots=True)
class Key:
    """The columns of the key, first to last."""

    columns: Sequence[Column]

    def selected(self) -> sql.Composable:
        """``a::text, b::text``"""
        return sql.SQL(", ").join(sql.SQL("{}::text").format(column.named()) for column in self.columns)

    def order(self, down: bool = False) -> sql.Composable:
        """``a, b``, or ``a DESC, b DESC``. The index has them in this order, so nothing is sorted."""
        form = sql.SQL("{} DESC" if down else "{}")
        return sql.SQL(", ").join(form.format(column.named()) for column in self.columns)

    def compared(self, operator: str, position: Sequence[str]) -> sql.Composable:
        """``(a, b) > ('1'::bigint, 'x'::text)``, which an index on (a, b) answers."""
        values = [
            sql.SQL("{}::{}").format(sql.Literal(text), sql.SQL(column.type))
            for column, text in zip(self.columns, position, strict=True)
        ]
        names = [column.named() for column in self.columns]
        parts = (sql.SQL(", ").join(names), sql.SQL(operator), sql.SQL(", ").join(values))
        return sql.SQL("({}) {} ({})").format(*parts)

    def within(self, after: Sequence[str], until: Sequence[str] | None = None) -> sql.Composable:
        """The condition on rows after one position (``[]``: all), up to and with another."""
        conditions = [self.compared(">", after)] if after else []
        if until is not None:
            conditions.append(self.compared("<=", until))
        return sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true")

    def namer(self) -> Callable[[Sequence[str]], str]:
        """What makes a record's name of its key: its texts, written so that names sort as keys where that is easy."""
        writers = [_writer(column.type) for column in self.columns]
        if len(writers) == 1:
            (write,) = writers
            return lambda position: write(position[0])
        return lambda position: ",".join(
            write(text).replace("%", "%25").replace(",", "%2C") for write, text in zip(writers, position, strict=True)
        )

    def moment(self, position: Sequence[str]) -> float | None:
        """Seconds since 1970 of the first column that is a time; a time without a zone is taken for UTC."""
        for column, text in zip(self.columns, position, strict=True):
            if column.type in _TIMES:
                try:
                    moment = datetime.fromisoformat(_padded(text).removesuffix("Z"))
                except ValueError:  # infinity, BC, the year 10000
                    return None
                return moment.replace(tzinfo=timezone.utc).timestamp()
        return None


def _writer(kind: str) -> Callable[[str], str]:
    if kind in _WHOLE:
        return lambda text: text.zfill(20)
    if kind in _TIMES:
        return _padded
    return str


def _padded(text: str) -> str:
    """``2026-01-01 00:00:00.5+00`` as ``2026-01-01T00:00:00.500000Z``: as text in the same order as in time."""
    moment, zone = (text[:-3], "Z") if text.endswith("+00") else (text, "")
    day, space, clock = moment.partition(" ")
    if not space or not clock[-1:].isdigit():
        return text
    seconds, _, fraction = clock.partition(".")
    return f"{day}T{seconds}.{fraction:0<6}{zone}"
