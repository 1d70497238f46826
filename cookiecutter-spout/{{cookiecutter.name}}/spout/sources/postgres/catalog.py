"""What writes the values of a type: known for PostgreSQL's own types, asked for domains and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import sql

from spout.sources.postgres import values
from spout.sources.postgres.connection import Connection, Row

_FIRST_OWN = 16_384  # types below come with the server
_BOX = 603  # the only type whose arrays are written with semicolons
_QUERY = (
    "SELECT oid, typtype, typbasetype, CASE WHEN typcategory = 'A' AND typlen = -1 THEN typelem ELSE 0 END"
    " FROM pg_type WHERE "
)


class Types:
    """The types of one database. What is not known yet is asked on a connection of its own: the other one streams."""

    def __init__(self, connection: Connection, options: Mapping[str, Any]) -> None:
        self._options = options
        self._rows: dict[int, Row] = {}
        self._add(
            connection.rows(sql.SQL(_QUERY + "typtype = 'd' OR typcategory = 'A' AND typlen = -1 AND typelem <> 0"))
        )

    def writer(self, oid: int) -> values.Write:
        """What writes values of this type as JSON."""
        if oid in values.BUILT_IN:
            return values.BUILT_IN[oid]
        if oid not in self._rows and oid >= _FIRST_OWN:
            self._ask(oid)
        if oid not in self._rows:
            return values.quoted
        _, kind, base, element = self._rows[oid]
        if kind == "d":
            return self.writer(int(base or 0))
        if element != "0":
            return values.array_of(self.writer(int(element or 0)), self._delimiter(int(element or 0)))
        return values.quoted

    def _delimiter(self, element: int) -> bytes:
        return b";" if element == _BOX else b","

    def _ask(self, oid: int) -> None:
        connection = Connection(self._options)
        try:
            found = connection.rows(sql.SQL(_QUERY + "oid = {}").format(sql.Literal(oid)))
        finally:
            connection.close()
        # A type that is gone by now: its values stay text.
        self._add(found or [(str(oid), "b", "0", "0")])

    def _add(self, rows: list[Row]) -> None:
        self._rows.update((int(row[0] or 0), row) for row in rows)
