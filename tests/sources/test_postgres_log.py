"""Mode log on a real server: every change once, in the order of commits, and the slot never ahead of Pachyderm."""

import json
from functools import partial

import pytest
from postgres_rig import MANY, Shop, taken, until
from servers.postgres import PASSWORD
from spout.fatal import FatalError
from spout.records import Limit, UnrepeatableError
from spout.sources import postgres as source_module
from spout.sources.postgres.changes import lsn_number
from spout.sources.postgres.log import LogSource
from test_postgres_cursor import VALUES

FEW = Limit(2, 1 << 20)


@pytest.fixture(autouse=True)
def password(monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", PASSWORD)


@pytest.fixture
def shop(postgres):
    shop = Shop(postgres)
    shop.run("CREATE TABLE orders (id int PRIMARY KEY, note text)")
    shop.run("CREATE PUBLICATION orders FOR ALL TABLES")
    shop.run("SELECT pg_create_logical_replication_slot('orders', 'pgoutput')")
    shop.reading = partial(shop.reading, mode="log", slot="orders", publications=["orders"])
    yield shop
    shop.admin.close()


def changes(records):
    return [json.loads(record.data) for record in records]


def ids(records):
    return [change["after"]["id"] for change in changes(records)]


def add(shop, *numbers):
    """All in one transaction."""
    shop.run("INSERT INTO orders SELECT unnest(%s::int[])", list(numbers))


def confirmed(shop):
    ((lsn,),) = shop.run("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'orders'")
    return lsn


def test_every_kind_of_change(shop):
    shop.run("INSERT INTO orders VALUES (1, 'a')")
    shop.run("UPDATE orders SET note = 'b'")
    shop.run("UPDATE orders SET id = 2")
    shop.run("DELETE FROM orders")
    shop.run("TRUNCATE orders RESTART IDENTITY")
    with shop.reading() as source:
        records = taken(source, 5)
    moment = ("lsn", "xid", "time")
    assert [{key: change[key] for key in change if key not in moment} for change in changes(records)] == [
        {"op": "insert", "table": "public.orders", "after": {"id": 1, "note": "a"}},
        {"op": "update", "table": "public.orders", "after": {"id": 1, "note": "b"}},
        {"op": "update", "table": "public.orders", "before": {"id": 1}, "after": {"id": 2, "note": "b"}},
        {"op": "delete", "table": "public.orders", "before": {"id": 2}},
        {"op": "truncate", "table": "public.orders", "cascade": False, "restart_identity": True},
    ]  # fmt: skip
    assert [record.about()["key"] for record in records] == ["1", "1", "2", "2", None]
    assert records[0].group == {"table": "public.orders"}
    assert sorted(record.name for record in records) == [record.name for record in records]


def test_the_whole_old_row_with_replica_identity_full(shop):
    shop.run("ALTER TABLE orders REPLICA IDENTITY FULL")
    shop.run("INSERT INTO orders VALUES (1, 'a')")
    shop.run("UPDATE orders SET note = 'b'")
    shop.run("DELETE FROM orders")
    with shop.reading() as source:
        _, update, delete = changes(taken(source, 3))
    assert (update["before"], delete["before"]) == ({"id": 1, "note": "a"}, {"id": 1, "note": "b"})


def test_a_large_value_that_was_not_changed_is_named(shop):
    shop.run("ALTER TABLE orders ALTER COLUMN note SET STORAGE EXTERNAL")
    shop.run("INSERT INTO orders VALUES (1, repeat('x', 10000))")
    shop.run("UPDATE orders SET id = 2")
    shop.run("ALTER TABLE orders REPLICA IDENTITY FULL")
    shop.run("UPDATE orders SET id = 3")
    with shop.reading() as source:
        _, named, full = changes(taken(source, 3))
    assert (named["after"], named["unchanged"]) == ({"id": 2}, ["note"])
    assert len(full["after"]["note"]) == 10000
    assert "unchanged" not in full


def test_values_are_as_in_mode_cursor(shop):
    columns = ", ".join(f"c{number} {kind}" for number, kind in enumerate(VALUES))
    shop.run("CREATE DOMAIN small AS int[] CHECK (array_length(VALUE, 1) < 3)")
    shop.run("CREATE TYPE mood AS ENUM ('sad', 'ok')")
    shop.run(f"CREATE TABLE odd (id int PRIMARY KEY, nothing text, few small, moods mood[], mood mood, {columns})")
    places = ", ".join(["%s"] * len(VALUES))
    shop.run(f"INSERT INTO odd VALUES (1, NULL, '{{1,2}}', '{{sad,ok}}', 'ok', {places})", *VALUES.values())
    with shop.reading() as source:
        (record,) = taken(source, 1)
    with shop.reading.func(mode="cursor", table="odd", key=["id"]) as source:
        (row,) = taken(source, 1)
    assert record.data.endswith(b',"after":' + row.data + b"}")


def test_a_type_made_while_it_runs(shop):
    with shop.reading() as source:
        shop.run("CREATE TYPE mood AS ENUM ('sad', 'ok')")
        shop.run("CREATE TABLE moods (id int PRIMARY KEY, moods mood[])")
        shop.run("INSERT INTO moods VALUES (1, '{ok}')")
        shop.run("ALTER TABLE moods ADD COLUMN more int DEFAULT 7")
        shop.run("INSERT INTO moods VALUES (2, '{sad,NULL}')")
        first, second = changes(taken(source, 2))
    assert first["after"] == {"id": 1, "moods": ["ok"]}
    assert second["after"] == {"id": 2, "moods": ["sad", None], "more": 7}


def test_transactions_come_as_they_commit_and_in_parts(shop):
    with shop.session() as late, shop.reading() as source:
        late.execute("INSERT INTO orders VALUES (1), (2), (3)")
        add(shop, 4, 5)
        late.commit()
        records = []
        while len(records) < 5:
            records += source.read(FEW, 5.0)
    assert ids(records) == [4, 5, 1, 2, 3]


@pytest.mark.parametrize("done", range(7))
def test_it_goes_on_after_any_position(shop, done):
    """Within a transaction, at its end, and at the very beginning."""
    add(shop, 1, 2, 3)
    add(shop, 4)
    add(shop, 5, 6)
    with shop.reading() as source:
        position = None
        for _ in range(done):
            (record,) = taken(source, 1, Limit(1, 1 << 20))
            position = json.loads(json.dumps(record.position))
            source.ack(position)
    with shop.reading(position) as source:
        add(shop, 7)
        assert ids(taken(source, 7 - done)) == list(range(done + 1, 8))
        assert source.read(MANY, 0.1) == []


def test_a_replay_has_the_same_bytes(shop):
    add(shop, 1, 2, 3)
    add(shop, 4, 5)
    with shop.reading() as source:
        source.read(Limit(1, 1 << 20), 5.0)
        (start,) = source.read(Limit(1, 1 << 20), 5.0)
        before = taken(source, 2, Limit(1, 1 << 20))
    add(shop, 6)
    with shop.reading(start.position) as source:
        again = taken(source, 2, Limit(100, 1 << 20, before[-1].position))
        assert [(r.data, r.name) for r in again] == [(r.data, r.name) for r in before]
        assert again[-1].position == before[-1].position
        assert ids(taken(source, 2)) == [5, 6]


def test_the_slot_moves_when_told_and_not_before(shop):
    begin = confirmed(shop)
    with shop.reading() as source:
        add(shop, 1, 2)
        first, second = taken(source, 2, Limit(1, 1 << 20))
        assert confirmed(shop) == begin
        source.ack(first.position)
        source.ack(second.position)
        until(lambda: confirmed(shop) == second.position["lsn"], "the slot is confirmed")


def test_an_acknowledged_batch_is_not_written_again(shop):
    """A marker can be one batch behind what was acknowledged: the slot knows better."""
    add(shop, 1)
    with shop.reading() as source:
        (record,) = taken(source, 1)
        source.ack(record.position)
        until(lambda: confirmed(shop) == record.position["lsn"], "the slot is confirmed")
    with shop.reading({**record.position, "lsn": "0/1"}) as source, pytest.raises(UnrepeatableError):
        source.read(Limit(10, 1 << 20, record.position), 5.0)
    with shop.reading(record.position) as source:
        add(shop, 2)
        assert ids(taken(source, 1)) == [2]


def lose(shop, how):
    """A marker's position, and a server that does not have it any more."""
    add(shop, 1)
    with shop.reading() as source:
        position = taken(source, 1)[-1].position
    if how == "moved by somebody else":
        add(shop, 2)
        shop.run("SELECT pg_replication_slot_advance('orders', pg_current_wal_lsn())")
    if how in ("dropped", "made anew"):
        shop.run("SELECT pg_drop_replication_slot('orders')")
        add(shop, 2)
    if how == "made anew":
        shop.run("SELECT pg_create_logical_replication_slot('orders', 'pgoutput')")
    if how == "another server":
        position = {**position, "system": "1"}
    if how == "a shorter log":
        position = {**position, "lsn": "FFFF/0"}
    return position


@pytest.mark.parametrize("how", ["moved by somebody else", "dropped", "made anew", "another server", "a shorter log"])
def test_a_lost_position_is_no_silent_jump(shop, how):
    position = lose(shop, how)
    with pytest.raises(FatalError, match="on_lost: earliest"), shop.reading(position) as source:
        source.read(MANY, 0.1)
    for choice in ("earliest", "latest"):
        shop.warned.clear()
        with shop.reading(position, on_lost=choice, create=True) as source:
            source.read(Limit(1, 1), 0.0)  # a jump within read() is made before what comes now
            number = 10 if choice == "earliest" else 11
            add(shop, number)
            until(partial(lambda wanted: wanted in ids(source.read(MANY, 0.2)), number), "what came after the jump")
        assert shop.warned[0][0] == "position_lost"


def test_a_slot_whose_log_is_gone(shop):
    add(shop, 1)
    with shop.reading() as source:
        position = taken(source, 1)[-1].position
    shop.run("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
    shop.run("SELECT pg_reload_conf()")
    try:
        for number in range(2, 5):
            shop.run("SELECT pg_switch_wal()")
            add(shop, number)
        status = "SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'orders'"
        until(lambda: shop.run("CHECKPOINT") == [] and shop.run(status) == [("lost",)], "the slot is lost")
    finally:
        shop.run("ALTER SYSTEM RESET max_slot_wal_keep_size")
        shop.run("SELECT pg_reload_conf()")
    with pytest.raises(FatalError, match="max_slot_wal_keep_size"), shop.reading(position):
        pass
    with shop.reading(position, on_lost="earliest", create=True) as source:
        add(shop, 100)
        assert ids(taken(source, 1)) == [100]


def test_it_makes_the_slot_if_it_may(shop):
    shop.run("SELECT pg_drop_replication_slot('orders')")
    options = shop.options(mode="log", slot="orders", publications=["orders"], create=True)
    assert ("slot orders", "not there yet, will be made") in source_module.probe(options, None)
    assert shop.run("SELECT 1 FROM pg_replication_slots") == []
    source = shop.source(mode="log", slot="orders", publications=["orders"], create=True)
    began = source.open(None)
    assert began["lsn"] == confirmed(shop)
    add(shop, 1)
    assert ids(taken(source, 1)) == [1]
    source.close()


def test_latest_leaves_out_what_the_slot_has_kept(shop):
    add(shop, 1)
    source = shop.source(mode="log", slot="orders", publications=["orders"], start="latest")
    began = source.open(None)
    add(shop, 2)
    assert ids(taken(source, 1)) == [2]
    source.close()
    with shop.reading(began) as again:
        assert ids(taken(again, 1)) == [2]


def test_a_second_spout_on_the_slot_waits(shop):
    with shop.reading(), pytest.raises(Exception, match="is active") as error, shop.reading():
        pass
    assert not isinstance(error.value, FatalError)


def test_wal_level_is_asked_for(shop):
    shop.run("ALTER SYSTEM SET wal_level = replica")
    shop.run("SELECT pg_drop_replication_slot('orders')")
    shop.cluster.stop()
    shop.cluster.start()
    try:
        with pytest.raises(FatalError, match="ALTER SYSTEM SET wal_level = logical;"), shop.reading():
            pass
    finally:
        with shop.cluster.connect() as server:
            server.execute("ALTER SYSTEM RESET wal_level")
        shop.cluster.stop()
        shop.cluster.start()


def test_a_server_that_shuts_down_does_not_wait_for_the_spout(shop):
    """It waits for every client that has not received all of its log."""
    with shop.reading() as source:
        add(shop, 1)
        taken(source, 1)
        shop.cluster.stop_soon()
        with pytest.raises(Exception, match=r"stream|terminat|closed|consume") as error:
            until(lambda: source.read(MANY, 0.2), "an error")
        shop.cluster.wait_until_down()
        shop.cluster.start()
    assert not isinstance(error.value, FatalError)


def test_lag_is_the_age_of_what_was_read_last(shop):
    add(shop, 1, 2)
    with shop.reading() as source:
        assert source.lag() is None
        source.read(Limit(1, 1 << 20), 5.0)
        assert source.lag().seconds < 30
        taken(source, 1)
        source.read(MANY, 0.1)
        assert source.lag() == (None, 0.0)


def test_probe_tells_what_is_there(shop):
    add(shop, 1)
    options = shop.options(mode="log", slot="orders", publications=["orders"])
    found = dict(source_module.probe(options, None))
    assert found["publication orders"] == "public.orders"
    assert "confirmed up to" in found["slot orders"]
    assert found["lag"].endswith("bytes of log")


class Clock:
    """Stands still until it is told to go."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def make_noise(shop, segments=2):
    """Log that is no business of the spout: a table that is not published, and the rest of some segments."""
    for number in range(segments):
        shop.run("INSERT INTO noise VALUES (%s)", number)
        shop.run("SELECT pg_switch_wal()")


@pytest.fixture
def noisy(shop):
    shop.run("DROP PUBLICATION orders")
    shop.run("SELECT pg_drop_replication_slot('orders')")
    shop.run("CREATE TABLE noise (id int)")
    shop.run("CREATE PUBLICATION orders FOR TABLE orders")
    shop.run("SELECT pg_create_logical_replication_slot('orders', 'pgoutput')")
    return shop


def moved(source):
    """Where it moves on to, sooner or later."""
    found = []
    until(lambda: source.read(MANY, 0.1) == [] and (at := source.moved()) and (found.append(at) or True), "it moves on")
    return found[0]


def test_a_quiet_table_lets_the_log_of_others_go(noisy):
    begin = confirmed(noisy)
    with noisy.reading(heartbeat=0.01) as source:
        make_noise(noisy)
        position = moved(source)
        assert noisy.run("SELECT %s::pg_lsn - %s::pg_lsn >= 16 << 20", position["lsn"], begin) == [(True,)]
        assert confirmed(noisy) == begin  # not before it is in the marker
        source.ack(position)
        until(lambda: confirmed(noisy) == position["lsn"], "the slot is confirmed")
        add(noisy, 1)
        (record,) = taken(source, 1)
    with noisy.reading(position) as source:
        assert [r.data for r in taken(source, 1)] == [record.data]
    with noisy.reading(record.position) as source:
        assert source.read(MANY, 0.2) == []


def test_a_transaction_that_is_open_while_the_slot_moves_on_comes_all_the_same(noisy):
    with noisy.session() as late, noisy.reading(heartbeat=0.01) as source:
        late.execute("INSERT INTO orders VALUES (1), (2)")
        make_noise(noisy)
        position = moved(source)
        source.ack(position)
        until(lambda: confirmed(noisy) == position["lsn"], "the slot is confirmed")
        late.execute("INSERT INTO orders VALUES (3)")
        late.commit()
        assert ids(taken(source, 3)) == [1, 2, 3]
    with noisy.reading(position) as source:
        assert ids(taken(source, 3)) == [1, 2, 3]


def test_it_does_not_move_past_what_was_not_read(noisy):
    with noisy.reading(heartbeat=0.01) as source:
        add(noisy, 1, 2, 3)
        (first,) = taken(source, 1, Limit(1, 1 << 20))
        make_noise(noisy)
        until(lambda: source._receive(0.0) or True, "more was received")
        assert source.moved() is None
        rest = taken(source, 2)
        position = moved(source)
        assert noisy.run("SELECT %s::pg_lsn > %s::pg_lsn", position["lsn"], rest[-1].position["lsn"]) == [(True,)]
    with noisy.reading(first.position) as source:
        assert ids(taken(source, 2)) == [2, 3]


def test_it_moves_by_whole_segments_and_no_more_often_than_told(noisy):
    clock = Clock()
    options = noisy.options(mode="log", slot="orders", publications=["orders"], heartbeat=60.0)
    source = LogSource(options, clock=clock)
    source.open(None)
    try:
        make_noise(noisy)
        far = noisy.run("SELECT pg_current_wal_lsn()::text")[0][0]
        clock.now = 59.0

        def has_seen():
            source._tell(reply=True)
            source._connection.wait(None)
            source._receive(clock.now)
            return source._received >= lsn_number(far)

        until(has_seen, "the server says how far it has looked")
        assert source.moved() is None
        clock.now = 61.0
        assert lsn_number(source.moved()["lsn"]) >= lsn_number(far)
        clock.now = 200.0
        assert source.moved() is None  # nothing new that would be worth it
    finally:
        source.close()
        noisy.wait_until_free()
