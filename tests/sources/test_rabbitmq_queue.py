"""Queues on a real server: at least once. What is acknowledged is gone, what is not comes again."""

import pika
import pytest
from rabbit_rig import MANY, QUORUM, Broker, data, numbered, taken, until
from servers.rabbitmq import SPOUT
from spout.records import Limit, UnrepeatableError


@pytest.fixture(autouse=True)
def password(monkeypatch):
    monkeypatch.setenv("RABBITMQ_PASSWORD", SPOUT.password)


@pytest.fixture
def broker(rabbitmq):
    broker = Broker(rabbitmq)
    yield broker
    broker.close()


@pytest.fixture(params=["classic", "quorum"])
def queue(request, broker):
    return broker.declare(**(QUORUM if request.param == "quorum" else {}))


def test_each_message_becomes_a_record_in_order(broker, queue):
    broker.publish(queue, *numbered(5))
    with broker.reading(queue) as source:
        records = taken(source, 5)
        assert source.read(MANY, 0.05) == []
    assert data(records) == numbered(5)
    assert [record.position for record in records] == [1, 2, 3, 4, 5]
    assert records[0].name == f"{1:020}"
    assert records[0].group == {"queue": queue}
    assert records[0].group is records[4].group


def test_what_is_acknowledged_is_gone_and_the_rest_comes_again(broker, queue):
    broker.publish(queue, *numbered(10))
    with broker.reading(queue) as source:
        records = taken(source, 8)
        source.ack(records[5].position)
        until(lambda: broker.ready(queue) == 0, "all of them were taken")
    until(lambda: broker.ready(queue) == 4, "the rest is back")
    with broker.reading(queue, position=8) as source:
        again = taken(source, 4)
    assert data(again) == numbered(4, first=6)
    assert [record.position for record in again] == [9, 10, 11, 12]
    assert not {record.name for record in again} & {record.name for record in records}


def test_an_ack_of_an_earlier_connection_takes_nothing(broker, queue):
    """A delivery tag is worth something on its own channel only: there it would stand for other messages."""
    broker.publish(queue, *numbered(6))
    source = broker.source(queue)
    source.open(None)
    first = taken(source, 3)
    source.close()
    source.open(first[-1].position)
    taken(source, 6)
    source.ack(first[-1].position)
    source.close()
    until(lambda: broker.ready(queue) == 6, "all of them are back")


def test_no_more_is_on_its_way_than_prefetch(broker, queue):
    broker.publish(queue, *numbered(20))
    with broker.reading(queue, prefetch=7) as source:
        taken(source, 7)
        assert source.read(MANY, 0.2) == []
        until(lambda: broker.ready(queue) == 13, "the rest stays there")
        source.ack(3)
        assert len(taken(source, 3)) == 3
        assert source.read(MANY, 0.2) == []


def test_limits(broker, queue):
    broker.publish(queue, *[b"x" * 100] * 20)
    with broker.reading(queue) as source:
        assert len(taken(source, 4, Limit(4, 1 << 20))) == 4
        until(lambda: len(source.read(Limit(10, 250), 0.2)) == 3, "three of them reach 250 bytes")
        assert len(source.read(Limit(10, 1), 5)) == 1


def test_a_replay_is_refused(broker, queue):
    broker.publish(queue, b"a")
    with broker.reading(queue) as source, pytest.raises(UnrepeatableError):
        source.read(Limit(1, 1, until=1), 1)


def test_named_for_the_message(broker, queue):
    """Its id, or a hash of what it is: the same name for the same message, whenever and however often it comes."""
    broker.publish(queue, b"a", message_id="order/17")
    broker.publish(queue, b"b", b"c", b"c")
    with broker.reading(queue, names="message") as source:
        first = taken(source, 4)
    with broker.reading(queue, names="message", position=4) as source:
        again = taken(source, 4)
    names = [record.name for record in first]
    assert names[0] == "order/17"
    assert len(set(names)) == 3
    assert sorted(names) == sorted(record.name for record in again)


def test_what_is_known_of_a_message(broker, queue):
    headers = {"kind": "new", "raw": b"\xff", "many": [1, None, {"deep": True}], "large": 1 << 40}
    broker.publish(
        queue, b"{}", message_id="17", timestamp=1767225600, content_type="application/json", headers=headers
    )
    with broker.reading(queue) as source:
        (first,) = taken(source, 1)
    with broker.reading(queue) as source:
        (again,) = taken(source, 1)
    assert first.about() == {
        "queue": queue,
        "key": queue,
        "exchange": "",
        "message_id": "17",
        "content_type": "application/json",
        "time": 1767225600.0,
        "headers": {**headers, "raw": "/w=="},
    }
    assert again.about() == first.about()  # not even a redelivery shows


def test_lag(broker, queue):
    broker.publish(queue, *numbered(30))
    with broker.reading(queue, prefetch=10) as source:
        taken(source, 10)
        assert source.lag().records == 20


def test_a_purged_queue_is_an_empty_one(broker, queue):
    broker.publish(queue, *numbered(3))
    broker.channel.queue_purge(queue)
    with broker.reading(queue, position=1000) as source:
        assert source.read(MANY, 0.1) == []
        broker.publish(queue, b"new")
        assert [(record.data, record.position) for record in taken(source, 1)] == [(b"new", 1001)]


def test_large_messages(broker, queue):
    """One record always passes, however large; it comes in many frames."""
    bodies = [bytes([number]) * (3 << 20) for number in range(4)]
    broker.publish(queue, *bodies)
    with broker.reading(queue) as source:
        found = [record for _ in bodies for record in taken(source, 1, Limit(10, 1000))]
    assert data(found) == bodies


def test_an_empty_message_is_a_record(broker, queue):
    broker.publish(queue, b"", b"x")
    with broker.reading(queue) as source:
        assert data(taken(source, 2)) == [b"", b"x"]


def test_a_transient_queue_is_read_as_well(broker):
    broker.channel.queue_declare("transient", auto_delete=True)
    broker.channel.basic_publish("", "transient", b"x", pika.BasicProperties())
    with broker.reading("transient") as source:
        assert data(taken(source, 1)) == [b"x"]
