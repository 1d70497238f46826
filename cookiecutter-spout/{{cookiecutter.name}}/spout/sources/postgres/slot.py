"""The replication slot of mode ``log``: what must be there, and where to begin."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from psycopg import sql

from spout.fatal import FatalError, brief
from spout.records import Position
from spout.sources.postgres.changes import lsn_number, lsn_text
from spout.sources.postgres.connection import Connection
from spout.sources.postgres.refusals import quoted, refuse


@dataclass(frozen=True, slots=True)
class Server:
    """The server's identifier, the end of its log, and how far the slot is confirmed."""

    system: str
    end: int
    confirmed: int


@dataclass(frozen=True, slots=True)
class Slot:
    """A row of pg_replication_slots; ``status`` is its wal_status, "lost" once the server has thrown its log away."""

    plugin: str
    database: str
    confirmed: int
    status: str


def begun(
    connection: Connection, options: Mapping[str, Any], position: Position | None, warn: Callable[..., None]
) -> tuple[Position, Server]:
    """Where to begin, after checking everything; ``connection`` is one for replication."""
    system, end = identified(connection)
    check_level(connection, options)
    check_publications(connection, options)
    slot = found(connection, options)
    why = None if position is None else why_lost(slot, system, end, position)
    if why is not None:
        if options["on_lost"] == "fail":
            raise lost(options, why)
        warn("position_lost", found=why, position=position, on_lost=options["on_lost"])
    if slot is None or slot.status == "lost":
        slot = _created(connection, options, slot)
        system, end = identified(connection)
    check_slot(options, slot)
    server = Server(system, end, slot.confirmed)
    if position is not None and why is None:
        return position, server
    choice = options["start"] if position is None else options["on_lost"]
    lsn = end if choice == "latest" else slot.confirmed
    return {"lsn": lsn_text(max(lsn, slot.confirmed)), "change": 0, "system": system}, server


def identified(connection: Connection) -> tuple[str, int]:
    """The server's identifier, and the end of its log."""
    system, _, end, _ = connection.rows(sql.SQL("IDENTIFY_SYSTEM"))[0]
    return system or "", lsn_number(end or "0/0")


def check_level(connection: Connection, options: Mapping[str, Any]) -> None:
    """FatalError unless the server writes what logical decoding needs."""
    ((level,),) = connection.rows(sql.SQL("SHOW wal_level"))
    if level != "logical":
        refuse(
            options,
            f"wal_level = {level}",
            "wal_level = logical",
            "run `ALTER SYSTEM SET wal_level = logical;` as a superuser and restart the server",
        )


def check_publications(connection: Connection, options: Mapping[str, Any]) -> None:
    """FatalError unless all publications are there."""
    there = {row[0] for row in connection.rows(sql.SQL("SELECT pubname FROM pg_publication"))}
    for name in options["publications"]:
        if name not in there:
            refuse(
                options,
                f"no publication {name!r}",
                f"it, in the database {options['database']!r}",
                f"run `CREATE PUBLICATION {quoted(name)} FOR TABLE ...;` as the tables' owner, before the slot is made",
            )


def found(connection: Connection, options: Mapping[str, Any]) -> Slot | None:
    """The slot; None if there is none."""
    query = "SELECT plugin, database, confirmed_flush_lsn, wal_status FROM pg_replication_slots WHERE slot_name = {}"
    rows = connection.rows(sql.SQL(query).format(sql.Literal(options["slot"])))
    if not rows:
        return None
    plugin, database, confirmed, status = rows[0]
    return Slot(plugin or "", database or "", lsn_number(confirmed or "0/0"), status or "")


def check_slot(options: Mapping[str, Any], slot: Slot) -> None:
    """FatalError unless the slot is one for us."""
    if slot.plugin != "pgoutput" or slot.database != options["database"]:
        what = (
            f"the plugin {slot.plugin!r} for the database {slot.database!r}" if slot.plugin else "no logical decoding"
        )
        refuse(
            options,
            f"a slot {options['slot']!r} with {what}",
            f"pgoutput for the database {options['database']!r}",
            f"choose another `source.slot`, or make it anew: {anew(options)}",
        )


def lost(options: Mapping[str, Any], why: str) -> FatalError:
    """The error about a position that the server does not have any more."""
    return FatalError(
        "source",
        found=why,
        expected="a slot that has all changes since the marker's position",
        remedy="the changes in between are lost to this spout; say `on_lost: earliest` to go on with all that the slot "
        "still has, or `on_lost: latest` to go on with what comes (`create: true` lets the spout make a missing slot)",
    )


def anew(options: Mapping[str, Any]) -> str:
    """The SQL that makes the slot anew."""
    name = "'" + options["slot"] + "'"
    return (
        f"`SELECT pg_drop_replication_slot({name}); SELECT pg_create_logical_replication_slot({name}, 'pgoutput');`"
        " (changes before that are lost)"
    )


def why_lost(slot: Slot | None, system: str, end: int, position: Position) -> str | None:
    """Why the changes after a position are not all there; None if they may be."""
    try:
        lsn, known, _ = lsn_number(position["lsn"]), position["system"], int(position["change"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FatalError(
            "source",
            found=f"the position {brief(json.dumps(position))}",
            expected='one such as {"lsn": "0/16B3748", "change": 0, "system": "..."}',
            remedy="correct the marker (`spoutgen marker set`)",
        ) from error
    if slot is None:
        return "no slot of that name any more"
    if slot.status == "lost":
        return "a slot whose log the server has thrown away (wal_status is lost: max_slot_wal_keep_size was too small)"
    if known != system:
        return f"another server (its system identifier is {system}, the marker's was {known})"
    if end < lsn:
        return f"a server whose log ends at {lsn_text(end)}, before the marker's {position['lsn']}"
    return None


def _created(connection: Connection, options: Mapping[str, Any], slot: Slot | None) -> Slot:
    """The slot, made anew if the spec allows it."""
    name = sql.Literal(options["slot"])
    if not options["create"]:
        refuse_missing(options, slot)
    if slot is not None:
        connection.rows(sql.SQL("SELECT pg_drop_replication_slot({})").format(name))
    connection.rows(sql.SQL("SELECT pg_create_logical_replication_slot({}, 'pgoutput')").format(name))
    made = found(connection, options)
    assert made
    return made


def refuse_missing(options: Mapping[str, Any], slot: Slot | None = None) -> NoReturn:
    """FatalError about a slot that is not there, or of no use any more."""
    create = f"SELECT pg_create_logical_replication_slot('{options['slot']}', 'pgoutput');"
    gone = f"SELECT pg_drop_replication_slot('{options['slot']}'); " if slot else ""
    refuse(
        options,
        "a slot whose log the server has thrown away" if slot else f"no replication slot {options['slot']!r}",
        "a slot, for which the server keeps its log from now on",
        f"run `{gone}{create}`, or say `create: true`; drop the slot when the spout is given up, or the disk fills",
    )
