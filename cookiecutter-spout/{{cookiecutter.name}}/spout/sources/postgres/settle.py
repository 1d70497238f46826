"""Late commits: when the rows up to a mark are complete.

A key is given out before its transaction commits, so a row can turn up below rows that were read long ago. The rows up
to a *mark* (the greatest key visible at a moment) are complete once every transaction that was open at that moment has
ended: one that begins later gives out greater keys. Who is open is seen in pg_locks, which everybody may read: each
transaction holds a lock on its own virtual id, and each writer one on the table. Nobody is blocked by looking.

That a transaction whose lock is gone can be seen by the next snapshot is what CREATE INDEX CONCURRENTLY stands on too.
Comparing xmin with pg_snapshot_xmin would not do: a transaction gets its id at its first write, which can be after it
took its key or its now(), so ids are not in the order of keys.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from psycopg import sql

from spout.sources.postgres.connection import Connection
from spout.sources.postgres.refusals import refuse

_FIRST_LOOK = 0.02  # seconds until the second look; each one after it takes twice as long, up to
_LAST_LOOK = 0.5
_PATIENCE = 10.0  # seconds until the log names what is waited for

# Every transaction of this database that could write; autovacuum has no user.
_TRANSACTIONS = sql.SQL(
    "SELECT DISTINCT l.virtualxid, l.pid FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid"
    " WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.pid <> pg_backend_pid() AND (a.pid IS NULL"
    " OR a.usesysid IS NOT NULL AND a.datid = (SELECT oid FROM pg_database WHERE datname = current_database()))"
)
# Every transaction that has written to the tables, or is about to.
_WRITERS = (
    "SELECT DISTINCT l.virtualtransaction, l.pid FROM pg_locks l WHERE l.locktype = 'relation' AND l.granted"
    " AND l.mode = 'RowExclusiveLock' AND l.relation IN ({}) AND l.pid IS NOT NULL"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
# A transaction that was prepared in the meantime has left its session, but has not ended.
_PREPARED = sql.SQL("SELECT gid, 'prepared' FROM pg_prepared_xacts WHERE database = current_database()")
_LOCKED = sql.SQL(
    "SELECT DISTINCT relation FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class Settling:
    """A mark, and the wait until all rows up to it are there. ``rows`` is the FROM item that is read."""

    def __init__(
        self,
        mark: Sequence[str],
        connection: Connection,
        options: Mapping[str, Any],
        rows: sql.Composable,
        warn: Callable[..., None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """The mark must have been read before: who is open *after* it is what counts."""
        self.mark = mark
        self._connection = connection
        self._warn = warn
        self._clock = clock
        self._since = clock()
        self._ready_at = self._since + (options.get("delay") or 0.0)
        self._is_told = False
        self._delay = _FIRST_LOOK
        self._next_look = self._since
        # In turn: sessions that were open, then what of them was prepared.
        self._stages: list[sql.Composable] = []
        if not options["standby"]:
            is_wide = options["settle"] == "transactions"
            self._stages = [_TRANSACTIONS if is_wide else writers(connection, rows), _PREPARED]
        self._waiting: dict[str, str] | None = None

    def is_done(self, deadline: float) -> bool:
        """Wait for it until the deadline (of the clock)."""
        while self._stages or self._clock() < self._ready_at:
            wait = (self._next_look if self._stages else self._ready_at) - self._clock()
            if wait > 0:
                time.sleep(max(0.0, min(wait, deadline - self._clock())))
                if self._clock() >= deadline:
                    return False
            if self._stages and self._clock() >= self._next_look:
                self._look()
        return True

    def _look(self) -> None:
        """One look at who is still open; the next stage begins when nobody of this one is."""
        open_now = {name or "": pid or "" for name, pid in self._connection.rows(self._stages[0])}
        if self._waiting is None:
            self._waiting = open_now
        else:
            self._waiting = {name: pid for name, pid in self._waiting.items() if name in open_now}
        if not self._waiting:
            del self._stages[0]
            self._waiting = None
            return
        self._next_look = self._clock() + self._delay
        self._delay = min(2 * self._delay, _LAST_LOOK)
        if not self._is_told and self._clock() - self._since > _PATIENCE:
            self._is_told = True
            pids = sorted(set(self._waiting.values()))
            self._warn(
                "source_waits", reason="transactions are open that could still commit older rows", pids=pids[:10]
            )


def writers(connection: Connection, rows: sql.Composable) -> sql.Composable:
    """The query for the writers of all tables that reading ``rows`` touches: partitions, and what is behind views."""
    connection.rows(sql.SQL("BEGIN"))
    connection.rows(sql.SQL("EXPLAIN SELECT * FROM {}").format(rows))
    tables = [sql.Literal(int(oid or 0)) for (oid,) in connection.rows(_LOCKED)]
    connection.rows(sql.SQL("COMMIT"))
    return sql.SQL(_WRITERS).format(sql.SQL(", ").join(tables))


def is_standby(connection: Connection, options: Mapping[str, Any]) -> bool:
    """Whether the server is a standby, where open transactions cannot be seen and ``delay`` must do."""
    standby = connection.rows(sql.SQL("SELECT pg_is_in_recovery()")) == [("t",)]
    if standby and not options.get("delay"):
        refuse(
            options,
            "a standby, which does not know what transactions are open on its primary",
            "a primary, or a time after which no row commits late",
            "set `source.delay` to more than the longest transaction takes (30s, say), or read from the primary",
        )
    return standby
