"""Mode ``log``: every change of the published tables, from a logical replication slot.

A position is ``{"lsn": "0/16B3748", "change": 3, "system": "77..."}``: all transactions whose commit record lies before
``lsn`` are done, and of the one whose record lies there, if any, so many changes. Transactions come in the order of
their commit records, so this says exactly what is done. The slot is never told more than what is committed in
Pachyderm, so whatever is lost on the way is sent again.

While the published tables are quiet the server goes on writing its log for all others, and keeps what the slot is not
told to be done with. So the position moves on then, too: into the marker first, and to the slot once that is committed.
"""

from __future__ import annotations

import json
import struct
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
from psycopg import sql

from spout.fatal import FatalError, brief
from spout.records import Lag, Limit, Position, Record, UnrepeatableError
from spout.sources.postgres import pgoutput, slot
from spout.sources.postgres.catalog import Types
from spout.sources.postgres.changes import Table, Transaction, lsn_number, lsn_text
from spout.sources.postgres.connection import Connection

_TOLD_EVERY = 10.0  # seconds, at most; the server gives a client up after wal_sender_timeout, 60 s if not set otherwise
_NO_LSN = 0
_SEGMENT = 16 << 20  # bytes: the server throws its log away by files of this size, unless it was built otherwise


class LogSource:
    """Streams from the slot and confirms what is acknowledged; one session at a time can, so a second spout waits."""

    needs_ack = True  # until it is confirmed, the server keeps its log

    def __init__(
        self,
        options: Mapping[str, Any],
        warn: Callable[..., None] = lambda event, **facts: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._warn = warn
        self._clock = clock
        # Each time the server is asked for an answer: often enough that an idle one is not taken for gone.
        self._told_every = min(_TOLD_EVERY, options["timeout"] / 3)
        self.identity = f"postgres:{options['database']}:slot {options['slot']}"
        self._connection: Connection | None = None

    def open(self, position: Position | None) -> Position | None:
        """Connect, check slot, publication and position, and start the stream."""
        self._ready: deque[tuple[int, int, Record]] = deque()
        self._last: Record | None = None
        self._transaction: Transaction | None = None
        self._tables: dict[int, Table] = {}
        self._lag: Lag | None = None
        self._gap: str | None = None
        self._received = _NO_LSN
        self._moves_at = self._clock() + self._options["heartbeat"]
        self._connection = connection = Connection(self._options, replication=True)
        self._types = Types(connection, self._options)
        began, self._server = slot.begun(connection, self._options, position, self._warn)
        self._lsn, self._change = lsn_number(began["lsn"]), began["change"]
        if self._server.confirmed > self._lsn:
            # Not an error yet: an announced batch that was already acknowledged is not read again (see _replayed).
            self._gap = lsn_text(self._server.confirmed)
            return None
        self._acked = self._server.confirmed
        self._start(connection)
        return began if began != position else None

    def read(self, limit: Limit, timeout: float) -> list[Record]:
        """The next changes. A big transaction comes in as many reads as it takes."""
        if self._gap is not None:
            self._missing(limit.until)
        deadline = self._clock() + timeout
        until = None if limit.until is None else (lsn_number(limit.until["lsn"]), limit.until["change"])
        records: list[Record] = []
        size = 0
        at = (self._lsn, self._change)
        while len(records) < limit.records and size < limit.bytes and at != until:
            # What is there goes at once: whether a batch waits for more is not asked here.
            if not self._ready and not self._receive(self._clock() if records else deadline):
                break
            while self._ready and len(records) < limit.records and size < limit.bytes and at != until:
                lsn, change, record = self._ready.popleft()
                at = (lsn, change)
                records.append(record)
                size += len(record.data)
        if records:
            self._lsn, self._change = at
        if until is not None and at > until:
            raise FatalError(
                "source",
                found=f"no change that ends at {json.dumps(limit.until)}",
                expected="the announced changes, as they were: has the publication been changed?",
                remedy="put the publication back as it was, or set the marker (`spoutgen marker set`)",
            )
        return records

    def ack(self, position: Position) -> None:
        """Tell the slot that all up to ``position`` may be forgotten."""
        lsn = lsn_number(position["lsn"])
        if self._gap is None and lsn > self._acked:
            self._acked = lsn
            self._tell(confirm=True)

    def moved(self) -> Position | None:
        """How far the server has looked through its log, if nothing that was published is left before that.

        What it says to have sent it has decoded: all transactions that ended before have come, in this very stream. One
        that is still open ends later, and comes then, as a whole: the server keeps what it needs for that.
        """
        is_between = not self._ready and self._last is None and self._transaction is None and self._gap is None
        if not is_between or self._received - self._lsn < _SEGMENT or self._clock() < self._moves_at:
            return None
        self._moves_at = self._clock() + self._options["heartbeat"]
        self._lsn, self._change = self._received, 0
        return self._position(self._lsn, 0)

    def lag(self) -> Lag | None:
        """How old the commit of the last change read is, by the server's clock; 0 once all is read."""
        return self._lag

    def close(self) -> None:
        """Let go of the connection, and so of the slot."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def _start(self, connection: Connection) -> None:
        names = ",".join('"' + name.replace('"', '""') + '"' for name in self._options["publications"])
        command = sql.SQL("START_REPLICATION SLOT {} LOGICAL {} (proto_version '1', publication_names {})").format(
            sql.Identifier(self._options["slot"]), sql.SQL(lsn_text(self._lsn)), sql.Literal(names)
        )
        try:
            connection.send(connection.text(command))
            connection.result(None)
        except (psycopg.errors.ObjectNotInPrerequisiteState, psycopg.errors.UndefinedFile) as error:
            raise slot.lost(self._options, brief(error, 200)) from error
        self._told_at = self._clock()

    def _missing(self, until: Position | None) -> None:
        """The slot begins after the position: the batch was acknowledged before, or somebody else moved the slot."""
        if until is not None and (until["lsn"] == self._gap or self._options["on_lost"] != "fail"):
            # Acknowledged is what is committed for good, so there is nothing to write again.
            raise UnrepeatableError(f"the slot is confirmed up to {self._gap} already")
        found = f"the slot confirmed up to {self._gap}, which lies after the marker's {lsn_text(self._lsn)}"
        if self._options["on_lost"] == "fail":
            raise slot.lost(self._options, found)
        assert self._connection
        jump = self._server.confirmed if self._options["on_lost"] == "earliest" else self._server.end
        self._warn("position_lost", found=found, on_lost=self._options["on_lost"], goes_on_at=lsn_text(jump))
        self._lsn, self._change, self._gap = jump, 0, None
        self._acked = self._server.confirmed
        self._start(self._connection)

    def _receive(self, deadline: float) -> bool:
        """Take messages until one makes records; False when none did before the deadline."""
        connection = self._connected()
        get = connection.pg.get_copy_data
        while not self._ready:
            length, data = get(1)
            if length > 0:
                self._take(bytes(data))
            elif length < 0:
                self._ended(connection)
            else:
                if self._clock() - self._told_at >= self._told_every:
                    self._tell(reply=True)
                    continue
                if not connection.wait(min(deadline, self._told_at + self._told_every)) and self._clock() >= deadline:
                    if self._last is None and self._lag is not None:
                        self._lag = Lag(None, 0.0)
                    return False
        return True

    def _ended(self, connection: Connection) -> None:
        """The server ended the stream: with an error, or because it shuts down."""
        try:
            while connection.result(None, judged=False) is not None:
                pass
        except psycopg.errors.UndefinedObject as error:
            raise FatalError(
                "source",
                found=f"`{brief(error, 200)}` while changes were decoded",
                expected="a publication that is older than the slot: changes before it was made cannot be read",
                remedy=slot.anew(self._options),
            ) from error
        except (psycopg.errors.ObjectNotInPrerequisiteState, psycopg.errors.UndefinedFile) as error:
            raise slot.lost(self._options, brief(error, 200)) from error
        raise psycopg.OperationalError("the server ended the stream")

    def _take(self, data: bytes) -> None:
        """One message of the stream."""
        if data[:1] == b"w":
            end, sent = struct.unpack_from(">Qq", data, 9)
            self._received = max(self._received, end)
            message = pgoutput.parsed(data[25:])
            if message is not None:
                self._apply(message, sent)
        elif data[:1] == b"k":
            end, _, wants_reply = struct.unpack_from(">QqB", data, 1)
            self._received = max(self._received, end)
            if wants_reply:
                self._tell()

    def _apply(self, message: pgoutput.Message, sent: int) -> None:
        if isinstance(message, pgoutput.Relation):
            self._tables[message.oid] = Table(message, self._types.writer)
        elif isinstance(message, pgoutput.Begin):
            self._transaction = Transaction(message)
            self._lag = Lag(None, max(0.0, (sent - message.time) / 1_000_000))
        elif isinstance(message, pgoutput.Commit):
            self._transaction = None
            if self._last is not None:
                self._push(message.end, 0, self._last)
                self._last = None
        else:
            assert self._transaction
            if isinstance(message, pgoutput.Change):
                self._hold(self._transaction.changed(message, self._tables[message.relation]))
            else:
                for relation in message.relations:
                    self._hold(self._transaction.truncated(message, self._tables[relation]))

    def _hold(self, record: Record) -> None:
        """The last change of a transaction ends after its commit record, so each waits for what follows it."""
        assert self._transaction
        if self._last is not None:
            self._push(self._transaction.lsn, self._transaction.count - 1, self._last)
        self._last = record

    def _push(self, lsn: int, change: int, record: Record) -> None:
        if (lsn, change) > (self._lsn, self._change):
            self._ready.append((lsn, change, record._replace(position=self._position(lsn, change))))

    def _tell(self, confirm: bool = False, reply: bool = False) -> None:
        """A status update. ``confirm`` moves the slot.

        In all others "flushed" is 0, which moves nothing, and lets the server's shutdown go by what was received: it
        would wait for ever for a client that has not flushed all of its log, of which most is no business of ours.
        """
        connection = self._connected()
        for flushed in (self._acked, _NO_LSN) if confirm else (_NO_LSN,):
            now = int((time.time() - pgoutput.EPOCH) * 1_000_000)
            received = max(self._received, flushed)
            status = struct.pack(">cQQQqB", b"r", received, flushed, flushed, now, reply)
            connection.pg.put_copy_data(status)
        connection.flush()
        self._told_at = self._clock()

    def _position(self, lsn: int, change: int) -> Position:
        return {"lsn": lsn_text(lsn), "change": change, "system": self._server.system}

    def _connected(self) -> Connection:
        assert self._connection
        return self._connection
