"""A database of its own for each test, and the postgres source on it."""

import time
from contextlib import contextmanager

from servers.postgres import HOST, PASSWORD, Cluster
from spout.records import Limit
from spout.sources import postgres

DEFAULTS = {
    "host": HOST, "database": "shop", "user": "spout", "password_env": "DB_PASSWORD", "tls": True, "start": "earliest",
    "on_lost": "fail", "timeout": 20.0, "settle": "transactions", "poll": 0.02, "page": 10_000, "create": False,
    "heartbeat": 60.0,
}  # fmt: skip
MANY = Limit(100_000, 1 << 30)
DEADLINE = 30.0


class Shop:
    """The database ``shop`` with the role ``spout``, made anew."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.warned = []
        with cluster.connect() as server:
            slots = "SELECT slot_name, active_pid FROM pg_replication_slots"
            until(lambda: all(pid is None for _, pid in server.execute(slots)), "no slot is in use")
            for name, _ in server.execute(slots).fetchall():
                server.execute("SELECT pg_drop_replication_slot(%s)", [name])
            server.execute("DROP DATABASE IF EXISTS shop WITH (FORCE)")
            server.execute("DROP ROLE IF EXISTS spout")
            server.execute("CREATE DATABASE shop")
            server.execute(f"CREATE ROLE spout LOGIN REPLICATION PASSWORD '{PASSWORD}'")
        self.admin = cluster.connect("shop")
        self.admin.execute("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO spout")

    def run(self, statement, *values):
        """A statement of the superuser; its rows."""
        cursor = self.admin.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []

    def session(self):
        """Another session of the superuser, which commits when told to."""
        session = self.cluster.connect("shop")
        session.autocommit = False
        return session

    def options(self, **own):
        tls = {"port": self.cluster.port, "tls_ca_file": str(self.cluster.ca_file)}
        return {**DEFAULTS, **tls, **own}

    def source(self, **own):
        return postgres.make(self.options(**own), lambda event, **facts: self.warned.append((event, facts)))

    @contextmanager
    def reading(self, position=None, **own):
        """A source that is open at ``position``."""
        source = self.source(**own)
        try:
            source.open(position)
        except BaseException:
            source.close()
            raise
        try:
            yield source
        finally:
            source.close()
            self.wait_until_free()

    def wait_until_free(self):
        """No session of a spout is left: the server notices a moment after the client has gone."""
        sessions = "SELECT 1 FROM pg_stat_activity WHERE usename = 'spout'"
        with self.cluster.connect() as server:
            until(lambda: not server.execute(sessions).fetchall(), "the spout's sessions have ended")


def taken(source, count, limit=MANY):
    """At least so many records, with as many reads as it takes."""
    records = []

    def is_enough():
        if len(records) < count:
            records.extend(source.read(limit, 0.2))
        return len(records) >= count

    until(is_enough, f"{count} records")
    return records


def until(condition, what, deadline=DEADLINE):
    """Wait for it."""
    ends = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < ends, f"not within {deadline} s: {what}"
        time.sleep(0.01)
