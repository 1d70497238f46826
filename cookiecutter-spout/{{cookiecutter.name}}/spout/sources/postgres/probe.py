"""What `spoutgen check` says of a postgres source: it looks, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from psycopg import sql

from spout.records import Position
from spout.sources.postgres import slot, table
from spout.sources.postgres.changes import lsn_number, lsn_text
from spout.sources.postgres.connection import Connection
from spout.sources.postgres.cursor import keyed
from spout.sources.postgres.settle import is_standby

Rows = list[tuple[str, str]]


def probe(options: Mapping[str, Any], position: Position | None) -> Rows:
    """Findings as (what, how it is); FatalError with the fix for what would stop the spout."""
    is_log = options["mode"] == "log"
    connection = Connection(options, replication=is_log)
    try:
        ((version,),) = connection.rows(sql.SQL("SHOW server_version"))
        found: Rows = [("server", f"PostgreSQL {version}, {_secured(connection)}")]
        look = _log if is_log else _cursor
        return found + look(connection, options, position)
    finally:
        connection.close()


def _secured(connection: Connection) -> str:
    ((is_on,),) = connection.rows(
        sql.SQL("SELECT COALESCE((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)")
    )
    return "TLS" if is_on == "t" else "no TLS"


def _cursor(connection: Connection, options: Mapping[str, Any], position: Position | None) -> Rows:
    key, rows = keyed(connection, options)
    is_standby(connection, options)
    name = options.get("table") or "query"
    newest = table.newest(connection, key, rows, [])
    found = [(name, "empty" if newest is None else f"newest key {json.dumps(newest)}")]
    if position:
        why = table.behind(connection, options, key, rows, position)
        if why is not None:
            found.append(("marker", f"its position {json.dumps(position)} is lost: found {why}"))
            return found
    if table.newest(connection, key, rows, position or []) is None:
        return [*found, ("lag", "0 records")]
    return [*found, ("lag", f"about {max(1, table.estimate(connection, key, rows, position or []))} records")]


def _log(connection: Connection, options: Mapping[str, Any], position: Position | None) -> Rows:
    system, end = slot.identified(connection)
    slot.check_level(connection, options)
    slot.check_publications(connection, options)
    found: Rows = []
    for name in options["publications"]:
        query = sql.SQL(
            "SELECT schemaname || '.' || tablename FROM pg_publication_tables WHERE pubname = {} ORDER BY 1"
        )
        tables = [row[0] or "" for row in connection.rows(query.format(sql.Literal(name)))]
        shown = ", ".join(tables[:5]) + (f" and {len(tables) - 5} more" if len(tables) > 5 else "")
        found.append((f"publication {name}", shown or "no table"))
    there = slot.found(connection, options)
    if there is None:
        if not options["create"] or position is not None:
            slot.refuse_missing(options)
        return [*found, (f"slot {options['slot']}", "not there yet, will be made")]
    slot.check_slot(options, there)
    found.append((f"slot {options['slot']}", f"confirmed up to {lsn_text(there.confirmed)}, log {there.status}"))
    if position is not None:
        why = slot.why_lost(there, system, end, position)
        if why is not None:
            return [*found, ("marker", f"its position is lost: found {why}")]
    done = there.confirmed if position is None else max(there.confirmed, lsn_number(position["lsn"]))
    return [*found, ("lag", f"{max(0, end - done)} bytes of log")]
