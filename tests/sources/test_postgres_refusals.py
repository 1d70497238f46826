"""What no retry mends says what to do, in SQL where that is the way; and no password is in any of it."""

import logging
import socket
from pathlib import Path

import psycopg
import pytest
from postgres_rig import MANY, Shop
from servers.postgres import HOST, PASSWORD, binaries, running_cluster, speaks
from spout.fatal import FatalError
from spout.sources import postgres as source_module
from spout.sources.postgres import login
from spout.sources.postgres.connection import _parameters as connection_of

CURSOR = {"mode": "cursor", "table": "orders", "key": ["id"]}
LOG = {"mode": "log", "slot": "orders", "publications": ["orders"]}


@pytest.fixture
def shop(postgres):
    shop = Shop(postgres)
    shop.run("CREATE TABLE orders (id int PRIMARY KEY, other int)")
    yield shop
    shop.admin.close()


@pytest.fixture(autouse=True)
def password(monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", PASSWORD)


def refused(shop, **options):
    """The words of the refusal, by the source as by the probe."""
    said = []
    with pytest.raises(FatalError) as error, shop.reading(**options):
        pass
    said.append(str(error.value))
    with pytest.raises(FatalError) as error:
        source_module.probe(shop.options(**options), None)
    said.append(str(error.value))
    assert PASSWORD not in "".join(said)
    assert said[0] == said[1]
    return said[0]


def test_a_wrong_password(shop, monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", PASSWORD + "wrong")
    assert "secret behind `password_env`" in refused(shop, **CURSOR)
    monkeypatch.delenv("DB_PASSWORD")
    assert "no environment variable DB_PASSWORD" in refused(shop, **CURSOR)
    assert "give `source.password_env`" in refused(shop, **CURSOR, password_env=None)


def test_an_unknown_database_or_role(shop):
    assert "correct `source.database`" in refused(shop, **CURSOR, database="shup")
    assert "password" in refused(shop, **CURSOR, user="nobody")
    shop.run("ALTER ROLE spout NOLOGIN")
    assert "CREATE ROLE spout LOGIN" in refused(shop, **CURSOR)


@pytest.fixture(scope="module")
def germans(postgres):
    """A server that speaks German."""
    why = speaks("de_DE")
    if why:
        pytest.skip(why)
    with running_cluster(binaries(), "de_DE") as cluster:
        yield cluster


def test_a_server_that_speaks_another_language(germans, monkeypatch):
    shop = Shop(germans)
    shop.run("CREATE TABLE orders (id int PRIMARY KEY)")
    assert "(3D000)" in (said := refused(shop, **CURSOR, database="shup"))
    assert "Datenbank" in said
    assert "correct `source.database`" in said
    monkeypatch.setenv("DB_PASSWORD", PASSWORD + "wrong")
    assert "(28P01)" in (said := refused(shop, **CURSOR))
    assert "Passwort-Authentifizierung" in said
    assert "secret behind `password_env`" in said
    monkeypatch.setenv("DB_PASSWORD", PASSWORD)
    shop.run("ALTER ROLE spout NOLOGIN")
    assert "`ALTER ROLE spout LOGIN;`" in refused(shop, **CURSOR)
    shop.run("ALTER ROLE spout LOGIN NOREPLICATION")
    assert "`ALTER ROLE spout REPLICATION;`" in refused(shop, **LOG)
    shop.run("REVOKE CONNECT ON DATABASE shop FROM PUBLIC")
    assert "GRANT CONNECT ON DATABASE shop TO spout;" in refused(shop, **CURSOR)
    shop.run("GRANT CONNECT ON DATABASE shop TO PUBLIC")
    shop.run("ALTER ROLE spout CONNECTION LIMIT 0")  # what may pass is waited for, in any language
    with pytest.raises(psycopg.OperationalError), shop.reading(**CURSOR):
        pass
    shop.admin.close()


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_the_state_of_a_refusal_leaves_nothing_open(shop, monkeypatch):
    parameters = connection_of(shop.options(**CURSOR), replication=False)
    before = open_files()
    assert login.refusal(parameters) is None
    assert login.refusal({**parameters, "dbname": "shup"}) == "3D000"
    assert login.refusal({**parameters, "password": "x"}) == "28P01"
    assert login.refusal({**parameters, "port": 1}) is None
    assert login.refusal({**parameters, "sslrootcert": "/nowhere"}) is None
    with socket.create_server((HOST, 0)) as silent:
        port = silent.getsockname()[1]
        assert login.refusal({**parameters, "port": port, "connect_timeout": 1}) is None
    assert open_files() == before


def test_a_certificate_of_another_authority(shop, tmp_path):
    assert "`source.tls_ca_file`" in refused(shop, **CURSOR, tls_ca_file="/etc/ssl/certs/ca-certificates.crt")
    assert "mount the secret" in refused(shop, **CURSOR, tls_ca_file=str(tmp_path / "none.pem"))


def test_a_server_without_tls(shop):
    shop.run("ALTER SYSTEM SET ssl = off")
    shop.run("SELECT pg_reload_conf()")
    try:
        assert "say `tls: false`" in refused(shop, **CURSOR)
        with shop.reading(**CURSOR, tls=False):
            pass
    finally:
        shop.run("ALTER SYSTEM RESET ssl")
        shop.run("SELECT pg_reload_conf()")


def test_a_missing_table_or_column(shop):
    assert "create the table" in refused(shop, **{**CURSOR, "table": "ordres"})
    assert "correct `source.key`" in refused(shop, **{**CURSOR, "key": ["di"]})
    query = {"mode": "cursor", "query": "SELEC 1", "key": ["id"]}
    assert "correct `source.query`" in refused(shop, **query)


def test_missing_privileges(shop):
    shop.run("REVOKE SELECT ON orders FROM spout")
    assert "GRANT SELECT ON public.orders TO spout;" in refused(shop, **CURSOR)


def test_a_key_that_cannot_order_the_rows(shop):
    shop.run("CREATE TABLE keyless (id int)")
    assert "ALTER TABLE public.keyless ALTER COLUMN id SET NOT NULL;" in refused(shop, **{**CURSOR, "table": "keyless"})
    shop.run("ALTER TABLE keyless ALTER COLUMN id SET NOT NULL")
    assert "CREATE UNIQUE INDEX CONCURRENTLY ON public.keyless (id);" in refused(shop, **{**CURSOR, "table": "keyless"})
    nulls = {"mode": "cursor", "query": "SELECT NULL::int AS id", "key": ["id"]}
    assert "in which the key (id) is null" in refused(shop, **nulls)


def test_a_key_without_an_index_of_its_order_is_slow_and_said_so(shop):
    shop.run("ALTER TABLE orders ALTER COLUMN other SET NOT NULL")
    with shop.reading(**{**CURSOR, "key": ["other", "id"]}):
        pass
    assert "CREATE INDEX CONCURRENTLY ON public.orders (other, id);" in shop.warned[0][1]["remedy"]


@pytest.mark.parametrize("made", ["int GENERATED ALWAYS AS IDENTITY (CACHE 20)", "int DEFAULT nextval('numbers')"])
def test_a_sequence_whose_numbers_are_taken_in_blocks(shop, made):
    """A session that keeps a block uses it whenever it likes: no open transaction tells of that."""
    shop.run("CREATE SEQUENCE numbers CACHE 20")
    shop.run(f"CREATE TABLE blocks (id {made} PRIMARY KEY, note text)")
    blocks = {**CURSOR, "table": "blocks"}
    said = refused(shop, **blocks)
    sequence = "blocks_id_seq" if "IDENTITY" in made else "numbers"
    assert f"`ALTER SEQUENCE {sequence} CACHE 1;`" in said
    assert "20 of at a time" in said
    with shop.reading(**blocks, delay=0.01):
        pass
    shop.run(f"ALTER SEQUENCE {sequence} CACHE 1")
    with shop.reading(**blocks):
        pass


def test_a_start_that_is_no_key(shop):
    with pytest.raises(FatalError, match=r"source\.start"), shop.reading(**CURSOR, start=["x"]):
        pass
    with pytest.raises(FatalError, match="a value for each column"), shop.reading(["1", "2"], **CURSOR):
        pass


def test_no_publication_no_slot_no_right(shop):
    assert "CREATE PUBLICATION orders FOR TABLE" in refused(shop, **LOG)
    shop.run("CREATE PUBLICATION orders FOR TABLE orders")
    assert "SELECT pg_create_logical_replication_slot('orders', 'pgoutput');" in refused(shop, **LOG)
    shop.run("ALTER ROLE spout NOREPLICATION")
    assert "ALTER ROLE spout REPLICATION;" in refused(shop, **LOG)


def test_a_slot_of_another_plugin(shop):
    shop.run("CREATE PUBLICATION orders FOR TABLE orders")
    shop.run("SELECT pg_create_logical_replication_slot('orders', 'test_decoding')")
    assert "pg_drop_replication_slot('orders')" in refused(shop, **LOG)


def test_a_slot_older_than_its_publication(shop):
    shop.run("SELECT pg_create_logical_replication_slot('orders', 'pgoutput')")
    shop.run("INSERT INTO orders VALUES (1)")
    shop.run("CREATE PUBLICATION orders FOR TABLE orders")
    with shop.reading(**LOG) as source, pytest.raises(FatalError, match="older than the slot"):
        source.read(MANY, 10.0)


def test_nothing_is_logged_by_the_driver(shop, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    with shop.reading(**CURSOR) as source:
        source.read(MANY, 0.1)
    assert PASSWORD not in caplog.text + repr(vars(source)) + "".join(capfd.readouterr())
