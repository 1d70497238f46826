"""What the server's refusals mean, and what to do: SQL where that is the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import psycopg

from spout.fatal import FatalError, brief

# libpq's errors have no SQLSTATE while it connects, but words: of a server that speaks English they say most. Of any
# other `login.py` finds out the SQLSTATE.
_REFUSALS: Sequence[tuple[str, str, str]] = (
    (
        "password authentication failed",
        "a password that the server accepts",
        "correct the secret behind `password_env`",
    ),
    ("no password supplied", "a password", "give `source.password_env`, and the secret that it names"),
    ("authentication failed", "a user that the server lets in", "correct `source.user`, or pg_hba.conf on the server"),
    (
        "no pg_hba.conf entry",
        "a line in the server's pg_hba.conf for this user, database and address",
        "add one, such as `hostssl {database} {user} ADDRESS/32 scram-sha-256`, and `SELECT pg_reload_conf();`",
    ),
    (
        "role ",
        "a role of that name that may log in",
        "run `CREATE ROLE {role} LOGIN PASSWORD '...';`, or correct `user`",
    ),
    ("database ", "a database of that name", "correct `source.database`"),
    (
        "server does not support SSL",
        "TLS, which `source.tls` asks for",
        "turn it on at the server (`ssl = on`), or say `tls: false`: then the password and all rows go in the clear",
    ),
    (
        "certificate",
        "a certificate for this very host, signed by an authority in `tls_ca_file`",
        "give the right `source.tls_ca_file`, and as `source.host` the name that the certificate has",
    ),
    ("replication role", "a role that may read the log", "run `ALTER ROLE {role} REPLICATION;` as a superuser"),
    ("start WAL sender", "a role that may read the log", "run `ALTER ROLE {role} REPLICATION;` as a superuser"),
    ("permission denied for database", "the right to connect", "run `GRANT CONNECT ON DATABASE {name} TO {role};`"),
)
_LOGINS = {
    "28P01": _REFUSALS[0][1:],
    "28000": (
        "a user that the server lets in",
        "correct `source.user`; on the server: a role that may log in (`ALTER ROLE {role} LOGIN;`), and a line in"
        " pg_hba.conf for it, the database and this address",
    ),
    "3D000": ("a database of that name", "correct `source.database`"),
    "42501": (
        "the rights to connect, and in `mode: log` to read the log",
        "run `GRANT CONNECT ON DATABASE {name} TO {role};`, for `mode: log` as a superuser"
        " `ALTER ROLE {role} REPLICATION;`",
    ),
}
_ENDINGS = ("does not exist", "is not permitted to log in")

# The server's own words say what is wrong; these say what to do, by SQLSTATE or its class.
_REMEDIES = {
    "42P01": "correct `source.table` or `source.query`, or create the table",
    "42703": "correct `source.key` or `source.query`",
    "42501": "run `GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON {table} TO {role};`",
    "42704": "create what is missing, or correct its name in spout.yaml",
    "3F000": "correct the schema's name in spout.yaml",
    "22P02": "correct the value in `source.start`, or in the marker",
    "22007": "correct the value in `source.start`, or in the marker",
    "22003": "correct the value in `source.start`, or in the marker",
    "0A000": "use a newer server, or another mode",
}


def raise_if_fatal(error: psycopg.Error, options: Mapping[str, Any]) -> None:
    """Raise a FatalError for what no retry can mend; return for all else."""
    words = " ".join(str(error).split())
    state = error.sqlstate
    if state is None and isinstance(error, psycopg.OperationalError):
        for sign, expected, remedy in _REFUSALS:
            is_named = sign in ("role ", "database ")  # both words stand in many messages
            if sign in words and (not is_named or any(end in words for end in _ENDINGS)):
                refuse(options, brief(words, 300), expected, remedy)
    elif state in _REMEDIES or (state or "").startswith("42"):
        remedy = _REMEDIES.get(state or "", "correct `source.query` or `source.key`")
        refuse(options, f"`{brief(words, 300)}` ({state})", "a server that can answer what the spec asks", remedy)


def refuse_login(state: str, error: psycopg.Error, options: Mapping[str, Any]) -> None:
    """Raise a FatalError for what no retry can mend of a refused login, by its SQLSTATE; return for all else."""
    if state in _LOGINS:
        expected, remedy = _LOGINS[state]
        refuse(options, f"`{brief(' '.join(str(error).split()), 300)}` ({state})", expected, remedy)


def refuse(options: Mapping[str, Any], found: str, expected: str, remedy: str) -> NoReturn:
    """Raise a FatalError; names in ``{}`` of the remedy are filled in, quoted as SQL wants them."""
    names = {
        "{role}": quoted(options["user"]),
        "{user}": options["user"],
        "{name}": quoted(options["database"]),
        "{database}": options["database"],
        "{table}": ".".join(map(quoted, table_parts(options.get("table") or "TABLE"))),
        "{schema}": quoted(table_parts(options.get("table") or "public.TABLE")[0]),
    }
    for name, value in names.items():
        remedy = remedy.replace(name, value)
    raise FatalError("source", found=found, expected=expected, remedy=remedy)


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    plain = name.isascii() and name.replace("_", "a").isalnum() and name == name.lower() and not name[0].isdigit()
    return name if plain else '"' + name.replace('"', '""') + '"'


def table_parts(table: str) -> tuple[str, str]:
    """Schema and name of a table as the spec writes it: ``orders`` is ``public.orders``."""
    schema, _, name = table.rpartition(".")
    return schema or "public", name
