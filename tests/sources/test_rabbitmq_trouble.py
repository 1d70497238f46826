"""The network and the server in trouble: under the reconnecting wrapper nothing is lost."""

import io
import os
import threading
import time

import pytest
from rabbit_rig import DEADLINE, QUORUM, Broker, data, numbered, until
from servers.proxy import Proxy
from servers.rabbitmq import KEPT, SPOUT
from spout.log import Log
from spout.reconnect import Reconnecting
from spout.records import Limit

COUNT = 3000
SOAK = os.environ.get("SPOUTGEN_SOAK") == "1"
BOTH = ["queue", "stream"]


@pytest.fixture(autouse=True)
def password(monkeypatch):
    monkeypatch.setenv("RABBITMQ_PASSWORD", SPOUT.password)


@pytest.fixture
def broker(rabbitmq):
    broker = Broker(rabbitmq)
    yield broker
    broker.close()


@pytest.fixture
def proxy(rabbitmq):
    with Proxy(("127.0.0.1", rabbitmq.port)) as proxy:
        yield proxy


@pytest.fixture(params=BOTH)
def mode(request):
    return request.param


def filled(broker, mode, count=COUNT):
    queue = broker.stream() if mode == "stream" else broker.declare(**QUORUM)
    broker.publish(queue, *numbered(count))
    return queue


class Reader:
    """Reads and acknowledges as the loop does: always one batch behind."""

    def __init__(self, broker, queue, mode, **own):
        self.said = io.StringIO()
        source = broker.source(queue, mode=mode, **{"heartbeat": 1.0, **own})
        self.source = Reconnecting(source, Log(self.said))
        self.source.open(None)
        self.records = []
        self._due = None

    def turn(self, records=100):
        found = self.source.read(Limit(records, 1 << 20), 0.2)
        if self._due is not None:
            self.source.ack(self._due)
        self._due = found[-1].position if found else None
        self.records += found
        return len(found)

    def until_all(self, wanted):
        missing = set(wanted)
        deadline = time.monotonic() + DEADLINE
        while missing := missing.difference(data(self.records)):
            assert time.monotonic() < deadline, f"{len(missing)} did not come: {self.said.getvalue()[-3000:]}"
            self.turn()

    def close(self):
        if self._due is not None:
            self.source.ack(self._due)
        self.source.close()


@pytest.mark.parametrize("harm", ["drop", "reset"])
def test_a_connection_that_ends(broker, proxy, mode, harm):
    queue = filled(broker, mode)
    reader = Reader(broker, queue, mode, port=proxy.port)
    for _ in range(3):
        until(reader.turn, "records come")
        getattr(proxy, harm)()
    reader.until_all(numbered(COUNT))
    reader.close()
    assert "source_lost" in reader.said.getvalue()
    if mode == "stream":
        assert data(reader.records) == numbered(COUNT)


@pytest.mark.parametrize("mode", BOTH if SOAK else ["stream"])  # what both have in common, and slow
def test_a_network_that_is_gone(broker, proxy, mode):
    """No byte comes and no connection ends: the heartbeat sees it."""
    queue = filled(broker, mode)
    reader = Reader(broker, queue, mode, port=proxy.port)
    until(reader.turn, "records come")
    proxy.stall()
    until(lambda: reader.turn() >= 0 and "source_lost" in reader.said.getvalue(), "the loss is seen")
    proxy.go_on()
    reader.until_all(numbered(COUNT))
    reader.close()
    if mode == "stream":
        assert data(reader.records) == numbered(COUNT)


def test_a_server_that_is_down_for_a_while(broker, proxy, mode):
    queue = filled(broker, mode)
    reader = Reader(broker, queue, mode, port=proxy.port)
    until(reader.turn, "records come")
    proxy.refuse()
    until(lambda: reader.turn() >= 0 and reader.said.getvalue().count("source_lost") > 1, "it tries again and again")
    proxy.listen()
    reader.until_all(numbered(COUNT))
    reader.close()
    assert "no connection to 127.0.0.1" in reader.said.getvalue()
    if mode == "stream":
        assert data(reader.records) == numbered(COUNT)


def test_a_slow_network(broker, proxy, mode):
    queue = filled(broker, mode, count=500)
    proxy.slow_down(100_000)
    reader = Reader(broker, queue, mode, port=proxy.port, heartbeat=20.0)
    reader.until_all(numbered(500))
    reader.close()
    assert data(reader.records) == numbered(500)
    assert "source_lost" not in reader.said.getvalue()


def test_a_worker_that_does_not_read_for_long(broker, mode):
    """Three heartbeats without a call: somebody must answer the server meanwhile."""
    queue = filled(broker, mode, count=10)
    reader = Reader(broker, queue, mode, heartbeat=2.0)
    reader.until_all(numbered(10))
    time.sleep(7)  # the silence is what is tested
    broker.publish(queue, b"later")
    reader.until_all([b"later"])
    reader.close()
    assert "source_lost" not in reader.said.getvalue()
    assert data(reader.records) == [*numbered(10), b"later"]


@pytest.mark.parametrize("mode", BOTH if SOAK else ["queue"])
def test_a_connection_closed_by_an_operator(broker, mode):
    queue = filled(broker, mode)
    reader = Reader(broker, queue, mode)
    until(reader.turn, "records come")
    # The management plugin knows of a connection a few seconds after that was made.
    until(lambda: close_connections(broker, SPOUT.name), "the connection is closed")
    until(lambda: reader.turn() >= 0 and "source_lost" in reader.said.getvalue(), "the loss is seen")
    reader.until_all(numbered(COUNT))
    reader.close()
    if mode == "stream":
        assert data(reader.records) == numbered(COUNT)


def test_a_channel_that_the_server_closes(broker, mode):
    """As consumer_timeout does: the connection stays, and no more comes."""
    queue = filled(broker, mode, count=10)
    reader = Reader(broker, queue, mode)
    reader.until_all(numbered(10))
    inner = reader.source._source._connection
    inner._channel._impl.basic_ack(9999)  # no such delivery: PRECONDITION_FAILED
    until(lambda: reader.turn() >= 0 and "unknown delivery tag" in reader.said.getvalue(), "the loss is seen")
    broker.publish(queue, b"later")
    reader.until_all([b"later"])
    reader.close()


def test_close_lets_go_of_its_thread(broker, mode):
    queue = filled(broker, mode, count=1)
    for _ in range(3):
        with broker.reading(queue, mode=mode):
            assert [thread.name for thread in threading.enumerate()].count("rabbitmq-heartbeat") == 1
    assert "rabbitmq-heartbeat" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize("end", ["stop", "kill"] if SOAK else ["stop"])  # the stories kill it
@pytest.mark.parametrize("mode", BOTH if SOAK else ["stream"])
def test_a_server_that_is_started_again(broker, mode, end):
    # Not a quorum queue, which lets a consumer wait for a whole minute after its node was killed.
    queue = broker.stream() if mode == "stream" else KEPT
    broker.channel.queue_purge(KEPT)
    broker.publish(queue, *numbered(COUNT))
    reader = Reader(broker, queue, mode)
    until(reader.turn, "records come")
    getattr(broker.node, end)()
    until(lambda: reader.turn() >= 0 and "source_lost" in reader.said.getvalue(), "the loss is seen")
    broker.node.start()
    broker.reconnect()
    reader.until_all(numbered(COUNT))
    reader.close()
    if mode == "stream":
        assert data(reader.records) == numbered(COUNT)


def close_connections(broker, user):
    found = [each for each in broker.node.api("GET", "connections") if each.get("user") == user]
    for connection in found:
        broker.node.api("DELETE", f"connections/{connection['name'].replace(' ', '%20').replace('>', '%3E')}")
    return found
