"""What a cursor must know of its table or query: the key's types and uniqueness, the newest row, how many are left."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from psycopg import sql

from spout.fatal import FatalError
from spout.sources.postgres.connection import Connection, texts
from spout.sources.postgres.keys import ROW, Column, Key
from spout.sources.postgres.refusals import quoted, refuse, table_parts

# Ordinary and partitioned tables have indexes to ask; views and the rest are taken at the spec's word, like queries.
_TABLES = ("r", "p")

_OID = (
    "(SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = {} AND c.relname = {})"
)


def rows_of(options: Mapping[str, Any]) -> sql.Composable:
    """The FROM item that is read: the table or the query, under the name ``ROW``."""
    if options.get("table"):
        return sql.SQL("{} AS {}").format(sql.Identifier(*table_parts(options["table"])), ROW)
    query = options["query"].strip().rstrip(";")
    # The line ends keep a comment in the last line from taking the bracket with it.
    return sql.SQL("(\n{}\n) AS {}").format(sql.SQL(query), ROW)


def checked_key(
    connection: Connection, options: Mapping[str, Any], rows: sql.Composable, warn: Callable[..., None]
) -> Key:
    """The key with its types; FatalError unless it can order the rows."""
    names = list(options["key"])
    chosen = sql.SQL(", ").join(map(sql.Identifier, names))
    connection.send(connection.text(sql.SQL("SELECT {} FROM {} LIMIT 0").format(chosen, rows)))
    oids: list[int] = []
    while (result := connection.result(None)) is not None:
        oids = [result.ftype(number) for number in range(result.nfields)]
    types = [
        next(texts(connection.rows(sql.SQL("SELECT {}::regtype").format(sql.Literal(oid))))).strip() for oid in oids
    ]
    key = Key([Column(name, kind) for name, kind in zip(names, types, strict=True)])
    if options.get("table") and _kind(connection, options) in _TABLES:
        _check_index(connection, options, names, warn)
        if not options.get("delay"):
            _check_sequences(connection, options, names)
    else:
        _check_nulls(connection, key, rows)
    return key


def newest(connection: Connection, key: Key, rows: sql.Composable, after: Sequence[str]) -> list[str] | None:
    """The greatest key after a position; None when there is none."""
    query = sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY {} LIMIT 1")
    found = connection.rows(query.format(key.selected(), rows, key.within(after), key.order(down=True)))
    return [text or "" for text in found[0]] if found else None


def estimate(connection: Connection, key: Key, rows: sql.Composable, after: Sequence[str]) -> int:
    """How many rows the planner believes to lie after a position."""
    query = sql.SQL("EXPLAIN (FORMAT JSON) SELECT 1 FROM {} WHERE {}").format(rows, key.within(after))
    return int(json.loads(next(texts(connection.rows(query))))[0]["Plan"]["Plan Rows"])


def behind(
    connection: Connection, options: Mapping[str, Any], key: Key, rows: sql.Composable, position: Sequence[str]
) -> str | None:
    """What shows that the rows of ``position`` are from another life of the table; None if nothing does.

    No row is as new as the position, and either the sequence that the key comes from has started again, or there is
    none to ask, and there are older rows: rows that are deleted as they get old leave the newest ones.
    """
    query = sql.SQL("SELECT 1 FROM {} WHERE {} LIMIT 1").format(rows, key.compared(">=", position))
    if not position or connection.rows(query):
        return None
    last = newest(connection, key, rows, [])
    found = "no row at all" if last is None else f"the newest row {json.dumps(last)}"
    if options.get("table") and len(key.columns) == 1:
        given = _last_of_sequence(connection, options, key.columns[0].name)
        if given is not None:
            return None if given >= int(position[0]) else found
    return None if last is None else found


def _last_of_sequence(connection: Connection, options: Mapping[str, Any], column: str) -> int | None:
    """The last number that the column's own sequence gave out; None if it has none, or that may not be seen."""
    schema, name = table_parts(options["table"])
    query = sql.SQL(
        "SELECT s.last_value FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_sequences s"
        " ON s.schemaname = n.nspname AND s.sequencename = c.relname"
        " WHERE c.oid = pg_get_serial_sequence({}, {})::regclass AND s.increment_by > 0"
    )
    whole = sql.Literal(".".join('"' + part.replace('"', '""') + '"' for part in (schema, name)))
    found = connection.rows(query.format(whole, sql.Literal(column)))
    return int(found[0][0]) if found and found[0][0] is not None else None


def _kind(connection: Connection, options: Mapping[str, Any]) -> str:
    schema, name = map(sql.Literal, table_parts(options["table"]))
    query = (
        "SELECT relkind FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = {} AND relname = {}"
    )
    return next(texts(connection.rows(sql.SQL(query).format(schema, name))), "")


def _check_index(
    connection: Connection, options: Mapping[str, Any], names: Sequence[str], warn: Callable[..., None]
) -> None:
    """A table's key must be unique and never null; without an index in its order each page is a sort."""
    schema, name = map(sql.Literal, table_parts(options["table"]))
    nullable = connection.rows(
        sql.SQL(
            "SELECT attname FROM pg_attribute WHERE attrelid = " + _OID + " AND attname IN ({}) AND NOT attnotnull"
        ).format(schema, name, sql.SQL(", ").join(map(sql.Literal, names)))
    )
    columns = ", ".join(map(quoted, names))
    for column in texts(nullable):
        refuse(
            options,
            f"the key column {column}, which may be null",
            "a key in every row",
            f"run `ALTER TABLE {{table}} ALTER COLUMN {quoted(column)} SET NOT NULL;`, or choose another `source.key`",
        )
    query = (
        "SELECT i.indisunique AND i.indpred IS NULL AND i.indisvalid, ARRAY_TO_JSON(ARRAY(SELECT a.attname FROM"
        " UNNEST(i.indkey) WITH ORDINALITY k(number, place) LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND"
        " a.attnum = k.number AND k.number <> 0 WHERE k.place <= i.indnkeyatts ORDER BY k.place))"
        " FROM pg_index i WHERE i.indrelid = " + _OID
    )
    indexes = [
        (unique == "t", json.loads(found or "[]"))
        for unique, found in connection.rows(sql.SQL(query).format(schema, name))
    ]
    if not any(unique and found and set(found) <= set(names) for unique, found in indexes):
        refuse(
            options,
            f"no unique index on ({columns}) or a part of it",
            "a key that no two rows have in common",
            f"run `CREATE UNIQUE INDEX CONCURRENTLY ON {{table}} ({columns});`, or add the primary key to `source.key`",
        )
    if not any(found[: len(names)] == list(names) for _, found in indexes):
        table_name = ".".join(map(quoted, table_parts(options["table"])))
        fix = f"CREATE INDEX CONCURRENTLY ON {table_name} ({columns});"
        warn("no_index", reason="no index is in the order of the key, so every page sorts the table", remedy=fix)


def _check_sequences(connection: Connection, options: Mapping[str, Any], names: Sequence[str]) -> None:
    """A sequence with a cache gives each session a block of numbers, for whatever transactions that has, whenever.

    No transaction that is open while a mark is set tells that some are left: so they would be passed by.
    """
    schema, name = map(sql.Literal, table_parts(options["table"]))
    # The sequence of an identity column belongs to it, one of nextval() stands in the default.
    query = (
        "SELECT s.seqrelid::regclass, s.seqcache FROM pg_sequence s WHERE s.seqcache > 1 AND s.seqrelid IN ("
        "SELECT d.objid FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid"
        " WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'i'"
        " AND d.refobjid = " + _OID + " AND a.attname IN ({columns})"
        " UNION SELECT d.refobjid FROM pg_attrdef f JOIN pg_attribute a"
        " ON a.attrelid = f.adrelid AND a.attnum = f.adnum"
        " JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid"
        " AND d.refclassid = 'pg_class'::regclass WHERE f.adrelid = " + _OID + " AND a.attname IN ({columns}))"
    ).replace("nspname = {} AND c.relname = {}", "nspname = {schema} AND c.relname = {name}")
    columns = sql.SQL(", ").join(map(sql.Literal, names))
    for sequence, size in connection.rows(sql.SQL(query).format(schema=schema, name=name, columns=columns)):
        refuse(
            options,
            f"keys from the sequence {sequence}, which each session takes {size} of at a time (CACHE): one that is used"
            " later than greater ones would be passed by",
            "keys that are given out one by one",
            f"run `ALTER SEQUENCE {sequence} CACHE 1;` and let open sessions end; or say `delay`, a time after which no"
            " such key is used any more; or use `mode: log`",
        )


def _check_nulls(connection: Connection, key: Key, rows: sql.Composable) -> None:
    """A row without a key would never be read, and nobody would know."""
    null = sql.SQL(" OR ").join(sql.SQL("{} IS NULL").format(column.named()) for column in key.columns)
    if connection.rows(sql.SQL("SELECT 1 FROM {} WHERE {} LIMIT 1").format(rows, null)):
        raise FatalError(
            "source",
            found=f"a row in which the key ({', '.join(column.name for column in key.columns)}) is null",
            expected="a key in every row: others would never be read",
            remedy="choose another `source.key`, or leave such rows out by the query",
        )
