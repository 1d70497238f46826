"""Mode ``cursor``: the rows of a table or a query in the order of a unique key, each once, as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from psycopg import sql

from spout.fatal import FatalError, brief
from spout.records import Lag, Limit, Position, Record, UnrepeatableError
from spout.sources.postgres import table
from spout.sources.postgres.connection import Connection, Copy, json_of, unescaped
from spout.sources.postgres.keys import ROW, Key
from spout.sources.postgres.settle import Settling, is_standby

_BUSY = 1000  # rows up to one mark from which on the next mark does not wait for its time
_LOST_CHECK = 60.0  # seconds between two looks, while nothing comes, whether the table was emptied


class CursorSource:
    """Reads pages of rows after the position, up to a mark below which no row can come any more (``settle.py``)."""

    needs_ack = False

    def __init__(
        self,
        options: Mapping[str, Any],
        warn: Callable[..., None] = lambda event, **facts: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._warn = warn
        self._clock = clock
        self.identity = f"postgres:{options['database']}:{options.get('table') or 'query'}:{','.join(options['key'])}"
        self._rows = table.rows_of(options)
        self._group = {"table": options.get("table") or "query"}
        self._is_query = not options.get("table")
        self._connection: Connection | None = None

    def open(self, position: Position | None) -> Position | None:
        """Connect and check the table, the key and the position."""
        self._copy: Copy | None = None
        self._settling: Settling | None = None
        self._mark: Sequence[str] | None = None
        self._held: list[bytes] = []
        self._last: list[bytes] | None = None
        self._rows_of_page = self._rows_of_mark = self._estimate = 0
        self._next_mark = self._next_check = 0.0
        self._connection = Connection(self._options)
        self._settings = {**self._options, "standby": is_standby(self._connection, self._options)}
        self._key = table.checked_key(self._connection, self._options, self._rows, self._warn)
        self._name = self._key.namer()
        began = position
        if position is None:
            began = self._start()
        elif position:
            began = self._checked(position)
        self._position: Sequence[str] = began or []
        return began if began != position else None

    def read(self, limit: Limit, timeout: float) -> list[Record]:
        """The next rows; a replay has the rows that lie there now, so the same ones as long as nobody changes them."""
        deadline = self._clock() + timeout
        if limit.until is not None:
            return self._read_again(limit, limit.until, deadline)
        while self._copy is not None or self._begin_page(deadline):
            assert self._copy
            lines = self._copy.take(limit.records, limit.bytes, deadline)
            self._rows_of_page += len(lines)
            self._rows_of_mark += len(lines)
            if self._copy.is_done:
                self._end_page()
            if lines:
                return self._records(lines)
            if self._copy is not None:  # the page is there, its rows are not, and the time is over
                break
        return []

    def ack(self, position: Position) -> None:
        """Nobody waits for it."""

    def lag(self) -> Lag | None:
        """Rows by the planner's estimate at the last mark, and how old that mark is."""
        if self._mark is None and self._settling is None:
            return Lag(0, 0.0) if self._next_check else None
        return Lag(max(1, self._estimate - self._rows_of_mark), self._clock() - self._marked_at)

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def _begin_page(self, deadline: float) -> bool:
        """Ask for the next page of rows; False when there is none before the deadline."""
        connection = self._connected()
        while self._mark is None:
            if self._settling is None:
                wait = self._next_mark - self._clock()
                time.sleep(max(0.0, min(wait, deadline - self._clock())))
                if self._clock() < self._next_mark:
                    return False
                if not self._set_mark(connection):
                    if self._clock() >= deadline:
                        return False
                    continue
            assert self._settling
            if not self._settling.is_done(deadline):
                return False
            self._mark, self._settling = self._settling.mark, None
            self._rows_of_mark = 0
        page = sql.SQL("SELECT row_to_json({row}), {key} FROM {rows} WHERE {within} ORDER BY {order} {limit}").format(
            row=ROW,
            key=self._key.selected(),
            rows=self._rows,
            within=self._key.within(self._position, self._mark),
            order=self._key.order(),
            limit=self._limit(),
        )
        self._copy = Copy(connection, page)
        self._rows_of_page = 0
        return True

    def _limit(self) -> sql.Composable:
        # A query's key may not be unique: rows of the same key must be seen, not fall between two pages.
        form = "FETCH FIRST {} ROWS WITH TIES" if self._is_query else "LIMIT {}"
        return sql.SQL(form).format(sql.Literal(self._options["page"]))

    def _end_page(self) -> None:
        self._copy = None
        if self._rows_of_page < self._options["page"]:
            self._mark = None
            if self._rows_of_mark >= _BUSY:
                self._next_mark = 0.0

    def _set_mark(self, connection: Connection) -> bool:
        """Set a mark at the newest row; False when nothing is new."""
        now = self._clock()
        self._next_mark = now + self._options["poll"]
        newest = table.newest(connection, self._key, self._rows, self._position)
        if newest is None:
            if now >= self._next_check and self._position:
                self._position = self._checked(self._position)
            self._next_check = max(self._next_check, now + _LOST_CHECK)
            return False
        self._marked_at = now
        self._rows_of_mark = 0
        self._estimate = table.estimate(connection, self._key, self._rows, self._position)
        self._settling = Settling(newest, connection, self._settings, self._rows, self._warn, self._clock)
        return True

    def _read_again(self, limit: Limit, until: Sequence[str], deadline: float) -> list[Record]:
        """Rows up to ``until``; one is held back, so that the last of all can carry that very position."""
        connection = self._connected()
        if self._copy is None:
            if list(self._position) == list(until):
                return []
            everything = sql.SQL("SELECT row_to_json({}), {} FROM {} WHERE {} ORDER BY {}").format(
                ROW,
                self._key.selected(),
                self._rows,
                self._key.within(self._position, until),
                self._key.order(),
            )
            self._copy = Copy(connection, everything)
        while True:
            if not self._copy.is_done:
                self._held += self._copy.take(limit.records + 1 - len(self._held), limit.bytes, deadline)
            is_last = self._copy.is_done and len(self._held) <= limit.records
            count = len(self._held) if is_last else min(limit.records, len(self._held) - 1)
            if is_last or count > 0 or self._clock() >= deadline:
                break
        if is_last and not self._held:
            self._warn("rows_gone", until=brief(json.dumps(until)))
            raise UnrepeatableError("none of the announced rows is there any more")
        lines, self._held = self._held[:count], self._held[count:]
        records = self._records(lines) if lines else []
        if is_last:
            self._copy = None
            if list(self._position) != list(until):
                # The last row was changed or deleted after it was announced: what is left ends there all the same.
                self._warn("rows_changed", until=brief(json.dumps(until)))
                records[-1] = records[-1]._replace(position=until)
                self._position = until
        return records

    def _records(self, lines: list[bytes]) -> list[Record]:
        """The lines as records."""
        name, group, facts = self._name, self._group, self._facts
        records: list[Record] = []
        last = self._last
        for line in lines:
            body, *key = line[:-1].split(b"\t")
            if key == last:
                self._refuse_key(key, "the key of two rows", "a key that no two rows have in common")
            last = key
            position = [unescaped(part).decode() for part in key]
            records.append(Record(json_of(body), position, name(position), group, partial(facts, position)))
        if any(b"\\N" in line for line in lines):  # rarely: most of such lines have it in their text
            for line in lines:
                if b"\\N" in (key := line[:-1].split(b"\t")[1:]):
                    self._refuse_key(key, "a row without a key", "a key in every row")
        self._last = last
        self._position = position
        return records

    def _facts(self, position: Sequence[str]) -> Mapping[str, Any]:
        moment = self._key.moment(position)
        facts: dict[str, Any] = {"key": ",".join(position)}
        return facts if moment is None else {**facts, "time": moment}

    def _refuse_key(self, key: Sequence[bytes], found: str, expected: str) -> None:
        shown = brief(", ".join(part.decode() for part in key))
        raise FatalError("source", found=f"{found} ({shown})", expected=expected, remedy="add a column to `source.key`")

    def _start(self) -> Position | None:
        """Where a spout without a marker begins."""
        start = self._options["start"]
        if start == "earliest":
            return None
        if start == "latest":
            return table.newest(self._connected(), self._key, self._rows, []) or []
        return self._fitting([str(part) for part in start])

    def _fitting(self, position: Any) -> Sequence[str]:
        """The position, if the key can have it."""
        columns = self._key.columns
        if not isinstance(position, list) or len(position) != len(columns):
            raise FatalError(
                "source",
                found=f"the position {brief(json.dumps(position))}",
                expected=f"a value for each column of the key: {', '.join(column.name for column in columns)}",
                remedy="correct `source.start`, or the marker (`spoutgen marker set`)",
            )
        fitting = [str(part) for part in position]
        values = self._key.compared("=", fitting)
        self._connected().rows(sql.SQL("SELECT 1 FROM {} WHERE {} LIMIT 0").format(self._rows, values))
        return fitting

    def _checked(self, position: Any) -> Sequence[str]:
        """The position if the table still reaches that far, else what ``on_lost`` says."""
        fitting = self._fitting(position)
        found = table.behind(self._connected(), self._options, self._key, self._rows, fitting)
        self._next_check = self._clock() + _LOST_CHECK
        if found is None:
            return fitting
        choice = self._options["on_lost"]
        if choice == "fail":
            raise FatalError(
                "source",
                found=f"{found}, which lies before the marker's {brief(json.dumps(position))}",
                expected="the rows that were read, or newer ones: has the table been emptied, restored or made anew?",
                remedy="say `on_lost: earliest` to read all that is there, or `on_lost: latest` to read what comes",
            )
        newest = table.newest(self._connected(), self._key, self._rows, [])
        jump = (newest or []) if choice == "latest" else []
        self._warn("position_lost", found=found, position=position, on_lost=choice, goes_on_after=jump)
        return jump

    def _connected(self) -> Connection:
        assert self._connection
        return self._connection


def keyed(connection: Connection, options: Mapping[str, Any]) -> tuple[Key, sql.Composable]:
    """The key and the rows, for who only wants to look."""
    rows = table.rows_of(options)
    return table.checked_key(connection, options, rows, lambda event, **facts: None), rows
