"""One connection to PostgreSQL: statements whose rows stream in bounded memory, and what its errors mean.

psycopg's cursors load every value and keep a whole result; libpq itself, which psycopg wraps as ``psycopg.pq``, hands
over row by row, for COPY as for the replication protocol. Nothing here waits for ever: a server that has been silent
for ``timeout`` seconds while something was asked of it is taken for gone.
"""

from __future__ import annotations

import os
import select
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import pq, sql

from spout.fatal import FatalError
from spout.sources.postgres import login
from spout.sources.postgres.refusals import raise_if_fatal, refuse_login

_SHORTEST_TIMEOUT, _LONGEST_TIMEOUT = 2, 10  # seconds for a connection to be made; libpq takes 1 for 2

# The text of every value depends on these, and a batch that is read again must be the same bytes again.
_SETTINGS = {
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "lc_monetary": "C",
    "xmloption": "content",
    # A client that is gone without a word is noticed within about a minute, so it holds neither rows nor a slot.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
_AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")

Row = tuple[str | None, ...]


class Connection:
    """A connection as the options of the source say. ``rows`` for small results, ``copy`` for large ones."""

    def __init__(self, options: Mapping[str, Any], replication: bool = False) -> None:
        self._options = options
        self._patience = float(options["timeout"])
        self._silence = 0.0
        parameters = _parameters(options, replication)
        try:
            self._connection = psycopg.connect(**parameters, autocommit=True)
        except psycopg.OperationalError as error:
            raise_if_fatal(error, options)
            if not isinstance(error, psycopg.errors.ConnectionTimeout):
                state = login.refusal(parameters)
                if state is not None:
                    refuse_login(state, error, options)
            raise
        self.pg = self._connection.pgconn

    def text(self, statement: sql.Composable) -> bytes:
        """The statement as the server gets it."""
        return statement.as_bytes(self._connection)

    def rows(self, statement: sql.Composable) -> list[Row]:
        """All rows of a small result, every value as text."""
        self.send(self.text(statement))
        rows: list[Row] = []
        while (result := self.result(None)) is not None:
            for number in range(result.ntuples):
                values = (result.get_value(number, column) for column in range(result.nfields))
                rows.append(tuple(None if value is None else value.decode() for value in values))
        return rows

    def send(self, statement: bytes) -> None:
        """Send a statement; ``result`` gives what comes of it."""
        self._silence = 0.0
        self.pg.send_query(statement)
        self.flush()

    def flush(self) -> None:
        """Send what is in the buffer."""
        while self.pg.flush():
            self._wait(None, write=True)

    def result(self, deadline: float | None, judged: bool = True) -> pq.abc.PGresult | None:
        """The next result of what was sent; None after the last. Raises TimeoutError at the deadline (monotonic).

        An error of the server is raised, ``judged`` as a FatalError where no retry can mend it.
        """
        while self.pg.is_busy():
            if not self.wait(deadline):
                raise TimeoutError
        result = self.pg.get_result()
        if result is not None and result.status in (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE):
            error = error_of(result)
            while self.pg.get_result() is not None:
                pass
            if judged:
                raise_if_fatal(error, self._options)
            raise error
        return result

    def wait(self, deadline: float | None) -> bool:
        """Take what the server sends; False when nothing came before the deadline."""
        if not self._wait(deadline):
            return False
        self._silence = 0.0
        self.pg.consume_input()
        return True

    def _wait(self, deadline: float | None, write: bool = False) -> bool:
        """Wait on the socket. Only time spent here counts as silence: a slow sink is not the server's fault."""
        began = time.monotonic()
        patience = self._patience - self._silence
        limit = patience if deadline is None else min(patience, deadline - began)
        socket = [self.pg.socket]
        ready = select.select(socket, socket if write else [], [], max(0.0, limit))
        if ready[0] or ready[1]:
            if write and ready[0]:
                self.pg.consume_input()
            return True
        self._silence += time.monotonic() - began
        if self._silence >= self._patience:
            raise TimeoutError(f"nothing from the server for {self._patience:g} s")
        return False

    def close(self) -> None:
        """Let go of it; the server ends what is running."""
        self._connection.close()


class Copy:
    """The rows of one ``COPY ... TO STDOUT``: raw lines, as many at a time as wanted."""

    def __init__(self, connection: Connection, query: sql.Composable) -> None:
        self._connection = connection
        self._is_running = False
        self.is_done = False
        connection.send(connection.text(sql.SQL("COPY ({}) TO STDOUT").format(query)))

    def take(self, count: int, size: int, deadline: float) -> list[bytes]:
        """Up to ``count`` lines, none more once ``size`` bytes are reached; fewer at the deadline (monotonic)."""
        rows: list[bytes] = []
        if not self._is_running:
            try:
                self._connection.result(deadline)
            except TimeoutError:
                if time.monotonic() < deadline:
                    raise
                return rows
            self._is_running = True
        get = self._connection.pg.get_copy_data
        while count > 0 and size > 0:
            length, data = get(1)
            if length > 0:
                rows.append(bytes(data))
                count -= 1
                size -= length
            elif length == 0:
                if not self._connection.wait(deadline):
                    break
            else:
                while self._connection.result(None) is not None:
                    pass
                self.is_done = True
                break
        return rows


def unescaped(field: bytes) -> bytes:
    """A field of a COPY line as it is."""
    return _unescaped(field, _CONTROLS) if b"\\" in field else field


def json_of(field: bytes) -> bytes:
    """A field of a COPY line that holds JSON, as one line: a line end in JSON is white space between tokens."""
    return _unescaped(field, _SPACES) if b"\\" in field else field


_CONTROLS = {b"\\n": b"\n", b"\\t": b"\t", b"\\r": b"\r", b"\\b": b"\b", b"\\f": b"\f", b"\\v": b"\v"}
_SPACES = dict.fromkeys(_CONTROLS, b" ")


def _unescaped(field: bytes, meaning: Mapping[bytes, bytes]) -> bytes:
    if b"\\" not in field.replace(b"\\\\", b""):  # backslashes alone, as nearly always: three times as quick
        return field.replace(b"\\\\", b"\\")
    parts = field.split(b"\\\\")
    for escape, control in meaning.items():
        parts = [part.replace(escape, control) for part in parts]
    return b"\\".join(parts)


def error_of(result: pq.abc.PGresult) -> psycopg.Error:
    """The server's error in ``result``, as psycopg's class for its SQLSTATE."""
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    message = (result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or result.error_message).decode(errors="replace")
    try:
        return psycopg.errors.lookup(state)(message)
    except KeyError:
        return psycopg.DatabaseError(message)


def _parameters(options: Mapping[str, Any], replication: bool) -> dict[str, Any]:
    settings = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
    parameters: dict[str, Any] = {
        "host": options["host"],
        "port": options["port"],
        "dbname": options["database"],
        "user": options["user"],
        "password": password(options),
        "passfile": f"{os.devnull}/none",  # nothing that is not in the spec
        "client_encoding": "UTF8",
        "application_name": "spoutgen",
        "connect_timeout": max(_SHORTEST_TIMEOUT, min(_LONGEST_TIMEOUT, int(options["timeout"]))),
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
        "options": settings,
        "sslmode": "disable",
    }
    if options["tls"]:
        parameters["sslmode"] = "verify-full"
        parameters["sslrootcert"] = authorities(options)
    if replication:
        parameters["replication"] = "database"
    else:
        parameters["options"] += " -c default_transaction_read_only=on"
    return {name: value for name, value in parameters.items() if value is not None}


def password(options: Mapping[str, Any]) -> str | None:
    """The password in the variable that the options name; None where they name none."""
    variable = options.get("password_env")
    if variable is None:
        return None
    if variable not in os.environ:
        raise FatalError(
            "source",
            found=f"no environment variable {variable}",
            expected="the password in it, as `source.password_env` says",
            remedy="give it in `secrets` of spout.yaml: {name: ..., key: ..., env: " + variable + "}",
        )
    return os.environ[variable]


def authorities(options: Mapping[str, Any]) -> str:
    """The file of certificate authorities that the server's certificate is checked against."""
    given = options.get("tls_ca_file")
    if given is not None:
        if not Path(given).is_file():
            raise FatalError(
                "source",
                found=f"no file {given}",
                expected="the certificates of your authority there, as `source.tls_ca_file` says",
                remedy="mount the secret that holds them: `secrets` of spout.yaml, {name: ..., mount: ...}",
            )
        return str(given)
    paths = ssl.get_default_verify_paths()
    for candidate in (os.environ.get("SSL_CERT_FILE"), paths.cafile, *_AUTHORITIES):
        if candidate and Path(candidate).is_file():
            return candidate
    raise FatalError(
        "source",
        found="no file of certificate authorities on this image",
        expected="one, to check the server's certificate against",
        remedy="give `source.tls_ca_file`, or install the package ca-certificates in the Dockerfile",
    )


def texts(rows: Sequence[Row]) -> Iterator[str]:
    """The first column of each row."""
    return (row[0] or "" for row in rows)
