"""Mode cursor on a real server: each row once, in order, exact, whatever commits when."""

import json
from functools import partial

import pytest
from postgres_rig import MANY, Shop, taken, until
from servers.postgres import PASSWORD
from spout.fatal import FatalError
from spout.records import Limit, UnrepeatableError

ORDERS = "CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text)"


@pytest.fixture(autouse=True)
def password(monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", PASSWORD)


@pytest.fixture
def shop(postgres):
    shop = Shop(postgres)
    yield shop
    shop.admin.close()


@pytest.fixture
def orders(shop):
    shop.run(ORDERS)
    shop.reading = partial(shop.reading, mode="cursor", table="orders", key=["id"])
    return shop


def add(shop, *notes):
    for note in notes:
        shop.run("INSERT INTO orders (note) VALUES (%s)", note)


def notes(records):
    return [json.loads(record.data)["note"] for record in records]


def test_each_row_comes_once_and_in_order(orders):
    add(orders, "a", "b")
    with orders.reading() as source:
        first = taken(source, 2)
        add(orders, "c")
        (last,) = taken(source, 1)
    assert notes([*first, last]) == ["a", "b", "c"]
    assert first[1].position == ["2"]
    assert (last.name, last.group, last.about()["key"]) == ("0" * 19 + "3", {"table": "orders"}, "3")
    assert not orders.warned


def test_it_goes_on_after_its_position(orders):
    add(orders, *"abcde")
    with orders.reading(["3"]) as source:
        assert notes(taken(source, 2)) == ["d", "e"]


def test_limits_close_a_read_and_pages_join(orders):
    orders.run("INSERT INTO orders (note) SELECT repeat('x', 100) FROM generate_series(1, 1000)")
    with orders.reading(page=70) as source:
        assert len(source.read(Limit(7, 1 << 20), 5.0)) == 7
        few = source.read(Limit(1000, 250), 5.0)
        assert 1 < len(few) < 4
        rest = taken(source, 993 - len(few))
        assert rest[-1].position == ["1000"]


@pytest.mark.parametrize("settle", ["transactions", "writers"])
def test_a_late_commit_is_not_passed_by(orders, settle):
    """Row 1 is written first and committed last: a reader of what it sees would give 2, and never 1."""
    with orders.session() as late, orders.reading(settle=settle) as source:
        late.execute("INSERT INTO orders (note) VALUES ('late')")
        add(orders, "early")
        assert source.read(MANY, 0.5) == []
        late.commit()
        assert notes(taken(source, 2)) == ["late", "early"]


@pytest.mark.parametrize("settle", ["transactions", "writers"])
def test_a_prepared_transaction_is_waited_for(orders, settle):
    with orders.session() as late, orders.reading(settle=settle) as source:
        late.execute("INSERT INTO orders (note) VALUES ('late')")
        add(orders, "early")
        assert source.read(MANY, 0.3) == []
        late.execute("PREPARE TRANSACTION 'late'")
        late.commit()
        assert source.read(MANY, 0.5) == []
        orders.run("COMMIT PREPARED 'late'")
        assert notes(taken(source, 2)) == ["late", "early"]


def test_a_time_given_out_before_the_first_write_is_waited_for(shop):
    """now() is the begin of a transaction, so its rows are old long before it takes a lock, or has an id."""
    shop.run("CREATE TABLE events (at timestamptz DEFAULT now(), id int, PRIMARY KEY (at, id))")
    with shop.session() as late, shop.reading(mode="cursor", table="events", key=["at", "id"]) as source:
        late.execute("SELECT 1")
        shop.run("INSERT INTO events (id) VALUES (2)")
        assert source.read(MANY, 0.5) == []
        late.execute("INSERT INTO events (id) VALUES (1)")
        late.commit()
        records = taken(source, 2)
    assert [json.loads(record.data)["id"] for record in records] == [1, 2]
    assert records[0].about()["time"] < records[1].about()["time"]


def test_a_transaction_of_another_table_holds_nobody_up_who_waits_for_writers(orders):
    orders.run("CREATE TABLE other (id int)")
    with orders.session() as other, orders.reading(settle="writers") as source:
        other.execute("INSERT INTO other VALUES (1)")
        add(orders, "a")
        assert notes(taken(source, 1)) == ["a"]


def test_writers_of_partitions_are_seen(shop):
    shop.run("CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id)")
    shop.run("CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100)")
    with shop.session() as late, shop.reading(mode="cursor", table="parts", key=["id"], settle="writers") as source:
        late.execute("INSERT INTO parts_1 VALUES (1)")
        shop.run("INSERT INTO parts VALUES (2)")
        assert source.read(MANY, 0.5) == []
        late.commit()
        assert len(taken(source, 2)) == 2


def test_a_row_waits_for_its_delay(orders):
    add(orders, "a")
    with orders.reading(delay=0.6) as source:
        assert source.read(MANY, 0.3) == []
        assert notes(taken(source, 1)) == ["a"]


def test_a_replay_has_the_same_bytes(orders):
    add(orders, *"abcdef")
    with orders.reading() as source:
        source.read(Limit(1, 1 << 20), 5.0)
        before = taken(source, 3, Limit(3, 1 << 20))
    add(orders, "g")
    with orders.reading(["1"]) as source:
        again = []
        while not again or again[-1].position != before[-1].position:
            again += source.read(Limit(2, 1 << 20, before[-1].position), 5.0)
        assert [(record.data, record.name) for record in again] == [(record.data, record.name) for record in before]
        assert notes(taken(source, 3)) == ["e", "f", "g"]


def test_a_replay_of_rows_that_are_gone_ends_where_it_should(orders):
    add(orders, *"abc")
    orders.run("DELETE FROM orders WHERE id = 3")
    with orders.reading(["1"]) as source:
        (record,) = taken(source, 1, Limit(10, 1 << 20, ["3"]))
        assert (notes([record]), record.position) == (["b"], ["3"])
        assert orders.warned[0][0] == "rows_changed"
    orders.run("DELETE FROM orders WHERE id = 2")
    with orders.reading(["1"]) as source, pytest.raises(UnrepeatableError):
        source.read(Limit(10, 1 << 20, ["3"]), 5.0)


VALUES = {
    "numeric(30,10)": "12345678901234567890.1234567890",
    "numeric": "NaN",
    "float8": "0.1",
    "float4": "1e-30",
    "timestamptz": "2026-02-03 04:05:06.789+05:30",
    "timestamp": "infinity",
    "date": "0044-03-15 BC",
    "bytea": "\\x00ff5c",
    "int[]": "{{1,NULL},{3,4}}",
    "text[]": '{"a b",NULL,"NULL","q\\"\\\\"}',
    "jsonb": '{"a": [1.50, "\\n"]}',
    "json": '{"a":\n 1, "a":\t2}',
    "boolean": "t",
    "text": 'a\\b\tc\n"é😀\r',
    "uuid": "6f1c1d1e-0000-4000-8000-00000000000f",
    "interval": "1 year 2 days 03:04:05.6",
    "bigint": "-9223372036854775808",
    "inet": "10.0.0.1/8",
    "char(4)": "x",
    "int4range": "[1,5)",
    "time": "24:00",
    "box[]": "{(1,1),(0,0);(2,2),(1,1)}",
    "timestamptz[]": '{"2026-01-01 00:00:00+01"}',
}


def test_values_are_exact(shop):
    """What comes is what the server's own row_to_json says, on one line, and JSON."""
    columns = ", ".join(f"c{number} {kind}" for number, kind in enumerate(VALUES))
    shop.run(f"CREATE TABLE odd (id int PRIMARY KEY, nothing text, {columns})")
    shop.run(f"INSERT INTO odd VALUES (1, NULL, {', '.join(['%s'] * len(VALUES))})", *VALUES.values())
    with shop.reading(mode="cursor", table="odd", key=["id"]) as source:
        (record,) = taken(source, 1)
    assert b"\n" not in record.data
    shop.run("SET timezone = UTC")
    ((expected,),) = shop.run("SELECT row_to_json(odd)::text FROM odd")
    assert record.data.decode() == expected.replace('{"a":\n 1, "a":\t2}', '{"a":  1, "a": 2}')
    read = json.loads(record.data, parse_float=str)
    assert (read["c0"], read["c1"], read["c13"], read["nothing"]) == (
        "12345678901234567890.1234567890", "NaN", VALUES["text"], None
    )  # fmt: skip


KEYS = {
    "timestamptz": ("2026-01-01 00:00:00.000001+00", "2026-01-01 00:00:00.000002+00", "infinity"),
    "numeric": ("-1.5", "0.10000000000000000001", "0.10000000000000000002", "NaN"),
    "float8": ("0.1", "0.30000000000000004", "Infinity"),
    "text": ("", "\\N", "a\tb\\", "a'b", "é", "日本"),
    "uuid": ("00000000-0000-0000-0000-000000000001", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    "bytea": ("\\x", "\\x00", "\\xff5c"),
    "date": ("2026-01-01", "2026-01-02"),
    "smallint": ("-2", "-1", "30000"),
}


@pytest.mark.parametrize("kind", list(KEYS))
def test_any_type_can_be_a_key_and_comes_back_from_json(shop, kind):
    shop.run(f'CREATE TABLE "Odd one" ("the Key" {kind}, n int, PRIMARY KEY ("the Key", n))')
    for value in KEYS[kind]:
        shop.run('INSERT INTO "Odd one" VALUES (%s, 1), (%s, 2)', value, value)
    count = 2 * len(KEYS[kind])
    position, seen = None, []
    for _ in range(count):
        with shop.reading(position, mode="cursor", table="Odd one", key=["the Key", "n"]) as source:
            (record,) = taken(source, 1, Limit(1, 1 << 20))
        position = json.loads(json.dumps(record.position))
        seen.append((record.name, record.data))
    assert len({name for name, _ in seen}) == count
    with shop.reading(position, mode="cursor", table="Odd one", key=["the Key", "n"]) as source:
        assert source.read(MANY, 0.1) == []


def test_a_query_is_read_like_a_table(orders):
    add(orders, *"abcd")
    query = "SELECT id, upper(note) AS note FROM orders WHERE id <> 2; -- all but one"
    with orders.reading(mode="cursor", table=None, query=query[:-15]) as source:
        assert notes(taken(source, 3)) == ["A", "C", "D"]


def test_a_query_whose_key_is_not_unique_is_refused(orders):
    add(orders, *"ab")
    query = "SELECT 1 AS id, note FROM orders"
    with orders.reading(table=None, query=query, page=1) as source, pytest.raises(FatalError, match="key of two rows"):
        taken(source, 2)


@pytest.mark.parametrize(("start", "expected"), [("earliest", "abc"), ("latest", "c"), (["1"], "bc")])
def test_it_starts_where_the_spec_says(orders, start, expected):
    add(orders, *"ab")
    source = orders.source(mode="cursor", table="orders", key=["id"], start=start)
    began = source.open(None)
    assert began == {"earliest": None, "latest": ["2"]}.get(str(start), start)
    add(orders, "c")
    assert "".join(notes(taken(source, len(expected)))) == expected
    source.close()


def test_latest_of_an_empty_table_is_a_position_too(orders):
    source = orders.source(mode="cursor", table="orders", key=["id"], start="latest")
    assert source.open(None) == []
    add(orders, "a")
    source.close()
    with orders.reading([], start="latest") as again:
        assert notes(taken(again, 1)) == ["a"]
    source.close()


def test_a_table_that_was_emptied_is_no_silent_jump(orders):
    add(orders, *"abc")
    orders.run("TRUNCATE orders RESTART IDENTITY")
    add(orders, "new")
    with pytest.raises(FatalError, match="on_lost: earliest"), orders.reading(["3"]):
        pass
    with orders.reading(["3"], on_lost="earliest") as source:
        assert notes(taken(source, 1)) == ["new"]
    with orders.reading(["3"], on_lost="latest") as source:
        add(orders, "newer")
        assert notes(taken(source, 1)) == ["newer"]
    assert [event for event, _ in orders.warned] == ["position_lost"] * 2


def test_rows_that_were_deleted_are_no_lost_position(orders):
    add(orders, *"abc")
    orders.run("DELETE FROM orders")
    with orders.reading(["3"]) as source:
        add(orders, "d")
        assert notes(taken(source, 1)) == ["d"]


def test_lag_counts_what_is_left(orders):
    orders.run("INSERT INTO orders (note) SELECT 'x' FROM generate_series(1, 5000)")
    orders.run("ANALYZE orders")
    with orders.reading() as source:
        assert source.lag() is None
        source.read(Limit(1000, 1 << 20), 5.0)
        assert 3000 < source.lag().records < 5000
        taken(source, 4000)
        until(lambda: not source.read(MANY, 0.1), "nothing left")
        assert source.lag() == (0, 0.0)


def test_an_open_transaction_is_named_in_the_log(orders, monkeypatch):
    monkeypatch.setattr("spout.sources.postgres.settle._PATIENCE", 0.1)
    with orders.session() as late, orders.reading() as source:
        ((pid,),) = late.execute("SELECT pg_backend_pid()").fetchall()
        add(orders, "a")
        until(lambda: source.read(MANY, 0.1) or orders.warned, "a warning")
        assert orders.warned[0][1]["pids"] == [str(pid)]
