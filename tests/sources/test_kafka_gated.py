"""source.type: kafka and what the broker of the tests does not tell: aborted transactions, and where a time begins.

It keeps transactions and their ends; what of them was aborted the gate before it tells, as a broker does.
"""

import pytest
from confluent_kafka import Producer
from servers.kafka_gate import Gate
from servers.kill_story import wait_until
from servers.tansu import Broker, options
from spout.records import Limit
from spout.sources import kafka

MANY = Limit(1000, 1 << 20)


@pytest.fixture(scope="module")
def gated(tmp_path_factory):
    gate = Gate()
    with gate, Broker(tmp_path_factory.mktemp("tansu"), gate.port) as broker:
        gate.upstream = ("127.0.0.1", broker.port)
        yield gate, broker


@pytest.fixture
def broker(gated):
    return gated[1]


@pytest.fixture
def topic(request, broker):
    name = request.node.name.replace("[", "-").replace("]", "")
    broker.create(name)
    return name


@pytest.fixture
def opened(broker, topic):
    """``opened(position, ...)``: a source on the topic."""
    made = []

    def open_one(position=None, **given):
        made.append(kafka.make(options(broker.servers, topics=[topic], **given), print))
        made[-1].open(position)
        return made[-1]

    yield open_one
    for each in made:
        each.close()


class Writer:
    """A producer that is in a transaction whenever it writes."""

    def __init__(self, broker, topic, name):
        self._topic = topic
        self._producer = Producer({"bootstrap.servers": broker.servers, "transactional.id": f"{topic}-{name}"})
        self._producer.init_transactions(60)
        self._producer.begin_transaction()

    def write(self, *values):
        for value in values:
            self._producer.produce(self._topic, value, partition=0)
        self._producer.flush(60)

    def commit(self):
        self._producer.commit_transaction(60)
        self._producer.begin_transaction()

    def abort(self):
        self._producer.abort_transaction(60)
        self._producer.begin_transaction()


def all_of(source, limit=MANY):
    """All records up to the end of the partition."""
    records = []

    def is_at_the_end():
        more = source.read(limit, 0.3)
        records.extend(more)
        return not more and source.lag() == (0, 0.0)

    wait_until(is_at_the_end, "all was read, and nothing is left")
    return records


def story(broker, topic):
    """Offsets 0 a, 1 commit, 2 x, 3 b, 4 x, 5 commit of b, 6 abort, 7 c, 8 commit, 9 x, 10 abort."""
    good, bad = Writer(broker, topic, "good"), Writer(broker, topic, "bad")
    good.write(b"a")
    good.commit()
    bad.write(b"x")
    good.write(b"b")
    bad.write(b"x")
    good.commit()
    bad.abort()
    good.write(b"c")
    good.commit()
    bad.write(b"x")
    bad.abort()


def test_aborted_records_never_come_and_are_no_lag(gated, topic, opened):
    gate, broker = gated
    story(broker, topic)
    before = gate.aborted
    records = all_of(opened())
    assert [(record.data, int(record.name)) for record in records] == [(b"a", 0), (b"b", 3), (b"c", 7)]
    assert gate.aborted > before


def test_everything_comes_without_read_committed(broker, topic, opened):
    story(broker, topic)
    assert [record.data for record in all_of(opened(read_committed=False))] == [b"a", b"x", b"b", b"x", b"c", b"x"]


@pytest.mark.parametrize("done", range(4))
def test_it_goes_on_and_reads_again_between_transactions(broker, topic, opened, done):
    story(broker, topic)
    first = opened()
    position = {topic: {"0": 0}}
    for _ in range(done):
        position = all_at_once(first, 1)[-1].position
    second = opened(position)
    assert b"".join(record.data for record in all_of(second)) == b"abc"[done:]
    third, until = opened({topic: {"0": 0}}), {topic: {"0": 8}}
    again = []
    wait_until(
        lambda: again.extend(third.read(Limit(2, 1 << 20, until), 0.5)) or (again and again[-1].position == until),
        "the replay reached its end",
    )
    assert [record.data for record in again] == [b"a", b"b", b"c"]


def all_at_once(source, count):
    records = []
    wait_until(lambda: records.extend(source.read(Limit(count, 1 << 20), 0.5)) or records, f"{count} records")
    return records


def test_a_marker_follows_the_ends_of_transactions(broker, topic, opened, monkeypatch):
    """Retention takes them, too, and a position before them would look lost."""
    story(broker, topic)
    slow = opened()
    assert all_of(slow)[-1].position == {topic: {"0": 8}}
    assert slow.moved() is None  # not each time: a commit is made of it
    monkeypatch.setattr("spout.sources.kafka.source._MOVES_EVERY", 0.0)
    source = opened()
    assert source.moved() is None
    all_of(source)
    end = {topic: {"0": 11}}
    assert source.moved() == end
    assert source.moved() is None
    late = Writer(broker, topic, "late")
    late.write(b"d")
    late.commit()
    (record,) = all_of(source)
    assert (record.data, record.position) == (b"d", {topic: {"0": 12}})
    assert [record.data for record in all_of(opened(end))] == [b"d"]


def test_a_marker_does_not_pass_by_what_was_fetched_and_not_read(broker, topic, opened, monkeypatch):
    monkeypatch.setattr("spout.sources.kafka.source._MOVES_EVERY", 0.0)
    broker.write(topic, ((0, b"%d" % number) for number in range(50)))
    source = opened()
    seen = []
    while len(seen) < 50:
        at = {topic: {"0": len(seen)}}
        moved = source.moved()
        assert moved in (None, at)
        seen += source.read(Limit(1, 1 << 20), 0.5)
    assert [record.data for record in seen] == [b"%d" % number for number in range(50)]


def test_it_starts_at_a_moment_in_each_partition_once(gated, topic):
    gate, broker = gated
    name = f"{topic}-three"
    broker.create(name, 3)
    noon = 1767268800000  # 2026-01-01T12:00:00Z
    times = {0: [noon - 2000, noon - 1, noon, noon + 5000], 1: [noon + 1, noon + 2], 2: [noon - 9000]}
    producer = Producer({"bootstrap.servers": broker.servers})
    for partition, moments in times.items():
        gate.times[name, partition] = moments
        for number, moment in enumerate(moments):
            producer.produce(name, b"%d-%d" % (partition, number), partition=partition, timestamp=moment)
    producer.flush(60)
    for start in ("2026-01-01T12:00:00Z", "2026-01-01T14:30:00+02:30"):
        source = kafka.make(options(broker.servers, topics=[name], start=start), print)
        try:
            # Partition 2 has nothing so young: only what comes from now on.
            assert source.open(None) == {name: {"0": 2, "1": 0, "2": 1}}
            assert sorted(record.data for record in all_of(source)) == [b"0-2", b"0-3", b"1-0", b"1-1"]
        finally:
            source.close()
    later = kafka.make(options(broker.servers, topics=[name], start="2026-01-01T12:00:00Z"), print)
    try:
        later.open({name: {"0": 0, "1": 2, "2": 1}})  # with a marker, `start` does not count
        assert len(all_of(later)) == 4
    finally:
        later.close()


def test_start_offsets_and_a_moment_for_the_others(gated, topic):
    gate, broker = gated
    name = f"{topic}-two"
    broker.create(name, 2)
    broker.write(name, ((number % 2, b"%d" % number) for number in range(10)))
    for partition in range(2):
        gate.times[name, partition] = [1000, 2000, 3000, 4000, 5000]
    given = {"start": "1970-01-01T00:00:04Z", "start_offsets": {name: {"1": 1}}}
    source = kafka.make(options(broker.servers, topics=[name], **given), print)
    try:
        assert source.open(None) == {name: {"0": 3, "1": 1}}
        found = sorted((record.group["partition"], int(record.name)) for record in all_of(source))
        assert found == [("0", 3), ("0", 4), ("1", 1), ("1", 2), ("1", 3), ("1", 4)]
    finally:
        source.close()
