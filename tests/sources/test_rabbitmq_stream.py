"""Streams on a real server: exactly once, by offsets."""

import time
from datetime import datetime, timezone

import pytest
from rabbit_rig import MANY, Broker, data, numbered, taken, until
from servers.rabbitmq import SPOUT
from spout.fatal import FatalError
from spout.records import Limit, UnrepeatableError


@pytest.fixture(autouse=True)
def password(monkeypatch):
    monkeypatch.setenv("RABBITMQ_PASSWORD", SPOUT.password)


@pytest.fixture
def broker(rabbitmq):
    broker = Broker(rabbitmq)
    yield broker
    broker.close()


@pytest.fixture
def stream(broker):
    return broker.stream()


def begins(broker, stream, position=None, is_empty=False, **own):
    """Where a source begins, as it says, and the first that it then reads, if it is not to be empty."""
    source = broker.source(stream, mode="stream", **own)
    try:
        began = source.open(position)
        return began, source.read(MANY, 0.3) or None if is_empty else taken(source, 1)[0].data
    finally:
        source.close()


def shortened(broker):
    """A stream whose first segments its retention took already, and the oldest offset that it still has."""
    stream = broker.stream(**{"x-stream-max-segment-size-bytes": 20_000, "x-max-length-bytes": 40_000})
    oldest = 0
    while not oldest:
        for body in numbered(20):  # one by one, so that each is a chunk and segments come to their end
            broker.publish(stream, body + b" " * 5000)
        oldest = begins(broker, stream)[0]
    while oldest != (oldest := begins(broker, stream)[0]):
        time.sleep(1)  # retention goes on for a moment after the last message
    return stream, oldest


def test_each_message_becomes_a_record_in_order(broker, stream):
    broker.publish(stream, *numbered(5))
    with broker.reading(stream, mode="stream") as source:
        records = taken(source, 5)
        assert source.read(MANY, 0.05) == []
        broker.publish(stream, b"later")
        assert data(taken(source, 1)) == [b"later"]
    assert data(records) == numbered(5)
    assert [record.position for record in records] == [1, 2, 3, 4, 5]
    assert [record.name for record in records] == [f"{offset:020}" for offset in range(5)]
    assert records[0].group == {"queue": stream}
    assert records[0].group is records[4].group
    assert not broker.warned


@pytest.mark.parametrize("position", [1, 499, 500, 999, 1000])
def test_it_resumes_exactly(broker, stream, position):
    broker.publish(stream, *numbered(1000))
    with broker.reading(stream, position, mode="stream") as source:
        assert data(taken(source, 1000 - position)) == numbered(1000 - position, first=position)
        assert source.read(MANY, 0.05) == []


def test_a_range_is_read_again_and_no_more(broker, stream):
    broker.publish(stream, *numbered(1000))
    with broker.reading(stream, 200, mode="stream", prefetch=50) as source:
        records = taken(source, 300, Limit(7, 1 << 20, until=500))
        assert data(records) == numbered(300, first=200)
        assert source.read(Limit(10, 1000, until=500), 0.1) == []
        assert source.read(Limit(1, 1000), 5)[0].position == 501


def test_more_than_prefetch_is_read_without_any_ack(broker, stream):
    broker.publish(stream, *numbered(500))
    with broker.reading(stream, mode="stream", prefetch=3) as source:
        assert data(taken(source, 500)) == numbered(500)


def test_where_it_starts(broker, stream):
    """Each start becomes an offset at once, which goes into the marker: it counts only once."""
    long_ago, far_ahead = "2020-01-01T00:00:00Z", "2099-01-01T00:00:00+01:00"
    for start in ("next", far_ahead):
        assert begins(broker, stream, start=start, is_empty=True) == (0, None)
    broker.publish(stream, *numbered(500))
    time.sleep(1.1)  # times of chunks have whole seconds over AMQP 0.9.1
    between = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    time.sleep(1.1)
    broker.publish(stream, b"last")
    assert begins(broker, stream, start="first") == (0, b"message 0")
    assert begins(broker, stream, start="last") == (500, b"last")
    assert begins(broker, stream, start="next", is_empty=True) == (501, None)
    assert begins(broker, stream, start=17) == (17, b"message 17")
    assert begins(broker, stream, start=501, is_empty=True) == (501, None)
    assert begins(broker, stream, start=long_ago) == (0, b"message 0")
    assert begins(broker, stream, start=between) == (500, b"last")
    assert begins(broker, stream, start=far_ahead, is_empty=True) == (501, None)
    assert begins(broker, stream, position=7, start="next") == (None, b"message 7")


def test_an_offset_beyond_the_end_is_lost(broker, stream):
    broker.publish(stream, *numbered(10))
    for lost in ({"position": 11}, {"position": 12345}, {"start": 11}):
        with pytest.raises(FatalError) as refused:
            begins(broker, stream, **lost)
        assert "on_lost" in refused.value.remedy
        assert "earliest" in refused.value.remedy
    assert "messages 0 to 9" in str(refused.value) or "an end at 10" in str(refused.value)


def test_a_stream_made_anew_is_another_one(broker, stream):
    broker.publish(stream, *numbered(10))
    broker.channel.queue_delete(stream)
    broker.declare(stream, **{"x-queue-type": "stream"})
    with pytest.raises(FatalError, match="no message in it"):
        begins(broker, stream, position=10)
    broker.publish(stream, *numbered(3))
    with pytest.raises(FatalError, match="messages 0 to 2"):
        begins(broker, stream, position=10)
    assert begins(broker, stream, position=10, on_lost="earliest") == (None, b"message 0")
    assert begins(broker, stream, position=10, on_lost="latest", is_empty=True) == (None, None)
    assert [(event, facts["goes_on_at"]) for event, facts in broker.warned] == [
        ("position_lost", 0),
        ("position_lost", 3),
    ]


def test_what_retention_took_is_lost(broker):
    stream, oldest = shortened(broker)
    with pytest.raises(FatalError, match=f"messages from {oldest} on"):
        begins(broker, stream, position=1)
    with pytest.raises(FatalError):
        begins(broker, stream, start=oldest - 1)
    assert begins(broker, stream, position=oldest)[0] is None
    with broker.reading(stream, 1, mode="stream", on_lost="earliest") as source:
        assert taken(source, 1)[0].position == oldest + 1
    with broker.reading(stream, 0, mode="stream", on_lost="earliest") as source:
        assert taken(source, 1)[0].position == oldest + 1


def test_a_replay_of_what_is_lost(broker, stream):
    """With ``earliest`` what is left of the range is read; nothing of it: the spout goes on after it."""
    broker.publish(stream, *numbered(10))
    shorter, oldest = shortened(broker)
    with broker.reading(shorter, 1, mode="stream", on_lost="earliest") as source:
        left = taken(source, 2, Limit(10, 1 << 20, until=oldest + 2))
        assert [record.position for record in left] == [oldest + 1, oldest + 2]
        assert source.read(Limit(10, 1 << 20, until=oldest + 2), 0.1) == []
    with broker.reading(shorter, 1, mode="stream", on_lost="latest") as source, pytest.raises(UnrepeatableError):
        source.read(Limit(10, 1000, until=3), 1)
    for on_lost in ("earliest", "latest"):
        with broker.reading(stream, 50, mode="stream", on_lost=on_lost) as source, pytest.raises(UnrepeatableError):
            source.read(Limit(10, 1000, until=60), 1)


def test_what_retention_takes_while_it_is_read_is_lost(broker, monkeypatch):
    """Seen by the hole: the first message that comes is not the one that was due, and the oldest is younger than it."""
    stream, oldest = shortened(broker)
    source = broker.source(stream, mode="stream")
    source.open(oldest)
    source._next = oldest - 5  # as if five of them had been there when it was opened
    with pytest.raises(FatalError, match=f"messages from {oldest} on"):
        source.read(MANY, 5)
    source.close()


def test_a_hole_in_the_middle_is_no_loss(broker, stream):
    """The server's own notes have offsets, too (made here by forgetting some that were read)."""
    broker.publish(stream, *numbered(100))
    source = broker.source(stream, mode="stream")
    source.open(50)
    source._next = 45
    assert taken(source, 1)[0].position == 51
    source.close()
    assert not broker.warned


def test_a_position_that_is_no_offset(broker, stream):
    with pytest.raises(FatalError, match="offset"):
        begins(broker, stream, position={"a": 1})


def test_lag(broker, stream):
    broker.publish(stream, *numbered(300))
    with broker.reading(stream, mode="stream") as source:
        taken(source, 100)
        assert source.lag().records == 200


def test_a_deleted_stream_is_missing(broker, stream):
    broker.publish(stream, b"x")
    source = broker.source(stream, mode="stream")
    source.open(None)
    taken(source, 1)
    broker.channel.queue_delete(stream)

    def cancelled():
        try:
            return source.read(MANY, 0.1) and False
        except ConnectionError:
            return True

    until(cancelled, "the consumer is cancelled")
    source.close()
    with pytest.raises(FatalError, match="create the queue"):
        source.open(1)
    source.close()
