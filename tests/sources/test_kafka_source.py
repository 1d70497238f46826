"""source.type: kafka on a real broker, and on librdkafka's mock cluster for what the broker cannot do."""

import json
from collections import Counter

import pytest
from confluent_kafka import Producer
from servers.kill_story import wait_until
from servers.proxy import Proxy
from servers.tansu import Broker, options, write
from spout.fatal import FatalError
from spout.records import Limit, UnrepeatableError
from spout.sources import kafka
from spout.sources.kafka.client import Client

MIB = 1 << 20


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with Broker(tmp_path_factory.mktemp("tansu")) as made:
        yield made


@pytest.fixture
def topic(request, broker):
    name = request.node.name.replace("[", "-").replace("]", "")
    broker.create(name, 3)
    return name


@pytest.fixture(scope="module")
def mock():
    """librdkafka's own cluster: it knows transactions, times and offsets out of range, which Tansu does not."""
    producer = Producer({"test.mock.num.brokers": 2, "bootstrap.servers": ""})
    brokers = producer.list_topics(timeout=30).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    del producer


@pytest.fixture
def source():
    """``source(servers, position, ...)``: an opened source, which is closed afterwards."""
    made = []

    def open_one(servers, position=None, warn=lambda event, **facts: None, **given):
        made.append(kafka.make(options(servers, **given), warn))
        made[-1].started = made[-1].open(position)
        return made[-1]

    yield open_one
    for each in made:
        each.close()


def take(source, count, limit=None):
    """So many records, and no more."""
    records = []

    def more():
        records.extend(source.read(limit or Limit(count - len(records), 8 * MIB), 0.5))
        return len(records) >= count

    wait_until(more, f"{count} records were read")
    assert records[-1].position is not None
    return records


def again(source, until, limit=None):
    """A replay."""
    records = []

    def more():
        records.extend(source.read(limit or Limit(1000, MIB, until), 0.5))
        return records and records[-1].position == until

    wait_until(more, "the replay reached its end")
    return records


def by_partition(records):
    """What a batch's files hold: each partition's records in order."""
    found = {}
    for record in records:
        found.setdefault((record.group["topic"], record.group["partition"]), []).append((record.name, record.data))
    return found


def numbered(count, partitions=3, start=0):
    return [(number % partitions, b"%06d" % number) for number in range(start, start + count)]


def test_every_record_once_and_each_partition_in_order(broker, topic, source):
    broker.write(topic, numbered(5000))
    opened = source(broker.servers, topics=[topic])
    assert opened.started == {topic: {"0": 0, "1": 0, "2": 0}}
    records = take(opened, 5000)
    assert records[-1].position == {topic: {"0": 1667, "1": 1667, "2": 1666}}
    for (_, partition), found in by_partition(records).items():
        assert found == [(f"{at:020}", b"%06d" % (3 * at + int(partition))) for at in range(len(found))]
    assert opened.read(Limit(10, MIB), 0.1) == []
    assert opened.lag() == (0, 0.0)


def test_it_goes_on_where_it_was(broker, topic, source):
    broker.write(topic, numbered(3000))
    first = source(broker.servers, topics=[topic])
    before = take(first, 1234)
    position = json.loads(json.dumps(before[-1].position))
    second = source(broker.servers, position, topics=[topic])
    assert second.started is None
    after = take(second, 3000 - 1234)
    assert Counter(r.data for r in before + after) == Counter(data for _, data in numbered(3000))


def test_a_replay_gives_the_same_again_and_goes_on(broker, topic, source):
    broker.write(topic, numbered(3000))
    first = source(broker.servers, topics=[topic])
    start = take(first, 700)[-1].position
    wanted = take(first, 900)
    until = wanted[-1].position
    second = source(broker.servers, start, topics=[topic])
    assert by_partition(again(second, until, Limit(100, MIB, until))) == by_partition(wanted)
    rest = take(second, 1400)
    third = source(broker.servers, start, topics=[topic])
    assert len(take(third, 2300)) == 2300
    assert not {r.data for r in rest} & {r.data for r in wanted}


def test_limits_hold_by_bytes_too(broker, topic, source):
    broker.write(topic, ((0, b"x" * 1000) for _ in range(300)))
    opened = source(broker.servers, topics=[topic])
    taken = 0
    while taken < 300:
        records = take(opened, 1, Limit(1000, 4500))
        assert len(records) <= 5
        assert int(records[-1].name) == taken + len(records) - 1 == records[-1].position[topic]["0"] - 1
        taken += len(records)


def test_keys_headers_and_tombstones(broker, topic, source):
    producer = Producer({"bootstrap.servers": broker.servers})
    headers = [("kind", b"new"), ("tag", b"a"), ("tag", b"b"), ("raw", b"\xff"), ("none", None)]
    producer.produce(topic, b"v", key="k\u00e9y", partition=0, timestamp=1767225600500, headers=headers)
    producer.produce(topic, None, key=b"\xff", partition=0)
    producer.flush()
    first, second = take(source(broker.servers, topics=[topic]), 2)
    assert first.about() == {
        "topic": topic, "partition": "0", "offset": 0, "key": "k\u00e9y", "time": 1767225600.5,
        "headers": {"kind": "new", "tag": ["a", "b"], "raw": {"base64": "/w=="}, "none": None},
    }  # fmt: skip
    about = second.about()
    assert (second.data, about["tombstone"], about["key"], about["key_base64"]) == (b"", True, None, "/w==")


def test_what_compaction_took_away_is_gone_and_the_end_is_reached(broker, topic, source):
    for number in range(6):
        broker.write(topic, [(0, b"%d" % number)])
    first = source(broker.servers, topics=[topic])
    take(first, 1)
    wanted = [take(first, 1)[-1] for _ in range(4)]
    until = wanted[-1].position
    batches = broker.batches(topic, 0)
    assert len(batches) == 6
    for gone in (batches[2], batches[4]):  # one in the middle of the range, and its last
        broker.bucket.objects.pop(gone)
    start = {topic: {"0": 1, "1": 0, "2": 0}}
    second = source(broker.servers, start, topics=[topic])
    assert [r.data for r in again(second, until)] == [b"1", b"3"]
    assert [r.data for r in take(second, 1)] == [b"5"]


def test_a_range_of_which_nothing_is_left_is_given_up(broker, topic, source):
    for number in range(3):
        broker.write(topic, [(0, b"%d" % number)])
    broker.bucket.objects.pop(broker.batches(topic, 0)[1])
    opened = source(broker.servers, {topic: {"0": 1, "1": 0, "2": 0}}, topics=[topic])
    until = {topic: {"0": 2, "1": 0, "2": 0}}
    with pytest.raises(UnrepeatableError):
        wait_until(lambda: opened.read(Limit(10, MIB, until), 0.5), "it is given up")
    assert [r.data for r in take(opened, 1)] == [b"2"]


def test_topics_by_a_pattern_and_later_ones(broker, topic, source):
    broker.create(f"{topic}-a")
    broker.write(f"{topic}-a", [(0, b"a")])
    opened = source(broker.servers, pattern=f"{topic}-.*", refresh=0.05)
    assert opened.started == {f"{topic}-a": {"0": 0}}
    assert [r.data for r in take(opened, 1)] == [b"a"]
    broker.create(f"{topic}-b", 2)
    broker.write(f"{topic}-b", [(1, b"b")])
    (record,) = take(opened, 1)
    assert (record.data, record.position) == (b"b", {f"{topic}-a": {"0": 1}, f"{topic}-b": {"0": 0, "1": 1}})


def test_a_topic_that_is_added_begins_at_its_first_record_and_one_that_is_removed_is_remembered(broker, topic, source):
    broker.create("other")
    broker.write("other", [(0, b"old")])
    at = {topic: {"0": 0, "1": 0, "2": 0}, "gone": {"0": 7}}
    opened = source(broker.servers, at, topics=[topic, "other"], start="latest")
    (record,) = take(opened, 1)
    assert (record.data, record.position) == (b"old", {**at, "other": {"0": 1}})


def test_start_offsets(broker, topic, source):
    broker.write(topic, numbered(30))
    opened = source(broker.servers, topics=[topic], start_offsets={topic: {"1": 7}})
    assert opened.started == {topic: {"0": 0, "1": 7, "2": 0}}
    with pytest.raises(FatalError, match="start_offsets"):
        source(broker.servers, topics=[topic], start_offsets={topic: {"9": 7}})


def test_start_latest_and_at_a_moment(mock, source):
    write(mock, "moments", ((n % 2, b"x") for n in range(10)))
    assert source(mock, topics=["moments"], start="latest").started["moments"]["0"] == 5
    assert source(mock, topics=["moments"], start="2100-01-01T00:00:00Z").started["moments"]["1"] == 5
    assert source(mock, topics=["moments"]).started["moments"]["0"] == 0


def test_partitions_that_are_added_while_it_runs(broker, topic, source, monkeypatch):
    # No broker here can add partitions, so the last one stays unseen for a while.
    seen, partitions = [2], Client.partitions
    monkeypatch.setattr(Client, "partitions", lambda client, name: partitions(client, name)[: seen[0]])
    broker.write(topic, [(0, b"first"), (2, b"in the new one")])
    opened = source(broker.servers, topics=[topic], refresh=0.05)
    (record,) = take(opened, 1)
    assert (record.data, record.position) == (b"first", {topic: {"0": 1, "1": 0}})
    assert opened.read(Limit(10, MIB), 0.2) == []
    seen[0] = 3
    (record,) = take(opened, 1)
    assert (record.data, record.position) == (b"in the new one", {topic: {"0": 1, "1": 0, "2": 1}})


@pytest.mark.parametrize("on_lost", ["earliest", "latest"])
def test_a_position_that_is_lost_jumps_only_when_told_to(mock, source, on_lost):
    write(mock, "lost", ((0, b"%d" % n) for n in range(5)))
    newest = source(mock, topics=["lost"], start="latest").started["lost"]
    at = {"lost": {**newest, "0": 10_000}}  # as when the topic was made anew
    refused = source(mock, at, topics=["lost"])
    with pytest.raises(FatalError, match=r"on_lost: earliest") as error:
        wait_until(lambda: refused.read(Limit(1, MIB), 0.5), "it is refused")
    assert "10000" in error.value.expected
    warnings = []
    opened = source(mock, at, lambda *event, **facts: warnings.append((event, facts)), topics=["lost"], on_lost=on_lost)
    wait_until(lambda: opened.read(Limit(1, MIB), 0.5) or warnings, "it jumped")
    assert warnings[0][0] == ("position_lost",)
    assert (warnings[0][1]["offset"], warnings[0][1]["topic"]) == (10_000, "lost")
    assert warnings[0][1]["goes_on_at"] == (0 if on_lost == "earliest" else int(newest["0"]))


def test_a_topic_with_fewer_partitions_than_the_marker_knows(broker, topic, source):
    at = {topic: {"0": 0, "1": 0, "2": 0, "7": 12}}
    with pytest.raises(FatalError, match="made anew"):
        source(broker.servers, at, topics=[topic])
    warnings = []
    source(broker.servers, at, lambda *event, **facts: warnings.append(event), topics=[topic], on_lost="earliest")
    assert warnings == [("position_lost",)]


def test_the_groups_offsets_are_written_if_asked_for(broker, topic, source):
    from confluent_kafka import Consumer, TopicPartition

    broker.write(topic, numbered(30))
    opened = source(broker.servers, topics=[topic], group="for-lag-tools")
    assert opened.needs_ack
    opened.ack(take(opened, 30)[-1].position)
    reader = Consumer({"bootstrap.servers": broker.servers, "group.id": "for-lag-tools"})

    def committed():
        opened.read(Limit(1, MIB), 0.05)
        return [at.offset for at in reader.committed([TopicPartition(topic, n) for n in range(3)], timeout=10)] == [
            10
        ] * 3

    wait_until(committed, "the group has the offsets")
    reader.close()
    assert not source(broker.servers, topics=[topic]).needs_ack


def test_a_topic_that_is_missing(broker, source):
    with pytest.raises(FatalError, match="no topic 'nope'") as error:
        source(broker.servers, topics=["nope"])
    assert "source.topics" in error.value.remedy


def test_a_broker_that_is_down_is_no_fatal_error_and_names_the_reason(source, monkeypatch):
    monkeypatch.setattr("spout.sources.kafka.client.REACH", 0.5)
    with pytest.raises(ConnectionError, match="Connection refused"):
        source("127.0.0.1:1", topics=["any"])


@pytest.mark.parametrize("harm", ["drop", "reset"])
def test_a_connection_that_ends_loses_nothing(tmp_path, source, harm):
    proxy = Proxy()
    with proxy, Broker(tmp_path, proxy.port) as broker:
        proxy.upstream = ("127.0.0.1", broker.port)
        broker.create("orders", 2)
        broker.write("orders", numbered(2000, 2))
        records, position, opened = [], None, source(broker.servers, topics=["orders"])
        for _ in range(8):
            getattr(proxy, harm)()
            while True:
                try:
                    more = opened.read(Limit(250, MIB), 1.0)
                except ConnectionError:
                    opened = source(broker.servers, position, topics=["orders"])
                    continue
                if more:
                    records += more
                    position = more[-1].position
                    break
        while len(records) < 2000:
            records += opened.read(Limit(250, MIB), 1.0)
        assert Counter(r.data for r in records) == Counter(data for _, data in numbered(2000, 2))
        assert proxy.connections > 8


def test_a_stalled_connection_goes_on(tmp_path, source):
    proxy = Proxy()
    with proxy, Broker(tmp_path, proxy.port) as broker:
        proxy.upstream = ("127.0.0.1", broker.port)
        broker.create("orders")
        opened = source(
            broker.servers, topics=["orders"], settings={"socket.timeout.ms": 2000, "fetch.wait.max.ms": 100}
        )
        proxy.stall()
        assert opened.read(Limit(10, MIB), 0.2) == []
        write(f"127.0.0.1:{broker.port}", "orders", []) if False else None
        proxy.go_on()
        broker.write("orders", [(0, b"after")])
        assert [r.data for r in take(opened, 1)] == [b"after"]


def test_what_is_found_by_a_look(broker, topic):
    broker.write(topic, numbered(30))
    rows = dict(kafka.probe(options(broker.servers, topics=[topic]), {topic: {"0": 10, "1": 4, "2": 10}}))
    assert rows["cluster"] == "tansu_cluster, 1 broker"
    assert rows[f"topic {topic}"] == "3 partitions, oldest 0/0/0, newest 10/10/10"
    assert rows["lag"] == "6 records"
    with pytest.raises(FatalError, match="no topic"):
        kafka.probe(options(broker.servers, topics=["nope"]), None)


def test_a_look_sees_that_the_position_is_lost(mock):
    write(mock, "looked", [(0, b"x")])
    with pytest.raises(FatalError, match="on_lost"):
        kafka.probe(options(mock, topics=["looked"]), {"looked": {"0": 99}})


def test_a_login_that_is_refused_tells_no_password(tmp_path, source, monkeypatch):
    canary = "canary-Kf3-password"
    monkeypatch.setenv("KAFKA_USER", "nobody")
    monkeypatch.setenv("KAFKA_PASSWORD", canary)
    login = {"sasl": "scram-sha-512", "user_env": "KAFKA_USER", "password_env": "KAFKA_PASSWORD", "topics": ["any"]}
    with Broker(tmp_path, arguments=["--authentication"]) as broker:
        with pytest.raises(FatalError, match="refuses the login") as error:
            source(broker.servers, **login)
        assert canary not in repr(error.value) + str(error.value)
        monkeypatch.delenv("KAFKA_PASSWORD")
        with pytest.raises(FatalError, match="no variable KAFKA_PASSWORD"):
            source(broker.servers, **login)


def test_settings_that_librdkafka_refuses(source):
    with pytest.raises(FatalError, match=r"socket\.nonsense"):
        source("127.0.0.1:1", topics=["any"], settings={"socket.nonsense": 1})
    with pytest.raises(FatalError, match="librdkafka refuses"):
        source("127.0.0.1:1", topics=["any"], tls=True, tls_ca_file="/nowhere/ca.pem")
