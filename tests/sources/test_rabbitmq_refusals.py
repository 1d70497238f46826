"""What no retry mends ends the spout and says what to do; all else is tried again; no password shows."""

import json
import logging

import pytest
from rabbit_rig import QUORUM, Broker
from servers.rabbitmq import SPOUT, STRANGER, WRITER
from spout.config import read_config
from spout.fatal import FatalError
from spout.records import Limit
from spout.sources import rabbitmq


@pytest.fixture(autouse=True)
def passwords(monkeypatch):
    monkeypatch.setenv("RABBITMQ_PASSWORD", SPOUT.password)
    monkeypatch.setenv("WRITER_PASSWORD", WRITER.password)
    monkeypatch.setenv("STRANGER_PASSWORD", STRANGER.password)


@pytest.fixture
def broker(rabbitmq):
    broker = Broker(rabbitmq)
    yield broker
    broker.close()


def failure(broker, queue, **own):
    """How ``open`` fails."""
    source = broker.source(queue, **own)
    try:
        source.open(None)
    except Exception as error:
        return error
    finally:
        source.close()
    raise AssertionError("it was opened")


@pytest.mark.parametrize("mode", ["queue", "stream"])
@pytest.mark.parametrize(
    ("own", "remedy"),
    [
        ({"queue": "no-such-queue"}, "create the queue"),
        ({"vhost": "no-such-vhost"}, "rabbitmqctl add_vhost no-such-vhost"),
        ({"vhost": "other"}, "rabbitmqctl set_permissions -p other spout '' '' '^refused$'"),
        ({"user": "stranger", "password_env": "STRANGER_PASSWORD"}, "rabbitmqctl set_permissions -p / stranger"),
        ({"user": "writer", "password_env": "WRITER_PASSWORD"}, "rabbitmqctl set_permissions -p / writer"),
        ({"password_env": "WRITER_PASSWORD"}, "`source.password_env`"),
        ({"user": "nobody"}, "`source.user`"),
        ({"password_env": "NOT_SET"}, "export NOT_SET"),
        ({"tls": True}, "`source.tls: false`"),
        ({"tls": True, "tls_ca_file": "/no/such/ca.pem"}, "`source.tls_..._file`"),
    ],
    ids=lambda value: "" if isinstance(value, str) else ",".join(value.values() if "tls" not in value else value),
)
def test_a_fix_for_each(broker, mode, own, remedy, caplog):
    broker.declare("refused")
    with caplog.at_level(logging.DEBUG):
        error = failure(broker, **{"queue": "refused", "mode": mode, **own})
    assert isinstance(error, FatalError), repr(error)
    assert remedy in error.remedy
    assert SPOUT.password not in f"{error} {error!r} {error.__cause__!r} {caplog.text}"


def test_a_certificate_that_nobody_signed(broker):
    error = failure(broker, broker.declare("refused"), tls=True, port=broker.node.tls_port)
    assert isinstance(error, FatalError)
    assert "`source.tls_ca_file`" in error.remedy


def test_a_certificate_of_another_host(broker):
    tls = {"tls": True, "port": broker.node.tls_port, "tls_ca_file": str(broker.node.ca_file)}
    error = failure(broker, broker.declare("refused"), **tls)
    assert isinstance(error, FatalError)
    assert "`source.host`" in error.remedy


@pytest.mark.parametrize("mode", ["queue", "stream"])
def test_tls(broker, mode):
    queue = broker.stream() if mode == "stream" else broker.declare()
    broker.publish(queue, b"x")
    tls = {"tls": True, "port": broker.node.tls_port, "tls_ca_file": str(broker.node.ca_file), "host": "localhost"}
    with broker.reading(queue, mode=mode, **tls) as source:
        assert source.read(Limit(10, 1000), 5)[0].data == b"x"


def test_a_stream_is_no_queue_and_a_queue_no_stream(broker):
    """Read as a queue, a stream would be read from wherever its end is at each start."""
    assert "`source.mode: stream`" in failure(broker, broker.stream()).remedy
    assert "`source.mode: queue`" in failure(broker, broker.declare(), mode="stream").remedy


def test_the_queue_of_another_connection(broker):
    broker.channel.queue_declare("mine-alone", exclusive=True)
    assert "without `exclusive`" in failure(broker, "mine-alone").remedy


def test_what_may_pass_is_tried_again(broker):
    """Another consumer that has the queue for itself may be the spout before this one, which is about to go."""
    queue = broker.declare()
    broker.channel.basic_consume(queue, lambda *_: None, exclusive=True)
    for error in (
        failure(broker, queue),
        failure(broker, queue, port=1),
        failure(broker, queue, host="no.such.invalid"),
    ):
        assert not isinstance(error, FatalError)
        assert str(error)


def test_a_file_for_each_message_only(broker):
    """A batch named for a message that comes twice would overwrite another batch."""
    config = {
        "version": 1, "name": "orders", "source": {"type": "rabbitmq", **broker.options(queue="q", names="message")},
        "marker": {"name": "mymark"}, "output": {"path": "m/{first}", "format": "lines"},
        "batch": {"records": 10, "bytes": 1000, "wait": 1},
    }  # fmt: skip
    read = read_config({b"SPOUT_CONFIG": json.dumps(config).encode()})
    with pytest.raises(FatalError, match=r"`output\.format: files`"):
        rabbitmq.shape(read, "rabbitmq:queue:/:q")
    config["output"]["format"] = "files"
    assert rabbitmq.shape(read_config({b"SPOUT_CONFIG": json.dumps(config).encode()}), "rabbitmq:queue:/:q")


@pytest.mark.parametrize("kind", [{}, QUORUM])
def test_probe(broker, kind):
    queue, stream = broker.declare(**kind), broker.stream()
    assert rabbitmq.probe(broker.options(queue=stream, mode="stream"), None) == [(f"stream {stream}", "empty")]
    broker.publish(queue, b"a", b"b")
    broker.publish(stream, b"a", b"b", b"c")
    assert rabbitmq.probe(broker.options(queue=queue), 17) == [
        (f"queue {queue}", "2 messages ready, 0 consumers"),
        ("lag", "2 messages"),
    ]
    assert rabbitmq.probe(broker.options(queue=stream, mode="stream"), 2) == [
        (f"stream {stream}", "offsets 0 to 2"),
        ("lag", "1 record"),
    ]
    assert broker.ready(queue) == 2
    for wrong, remedy in ((queue, "source.mode: queue"), (stream, "source.mode: stream")):
        with pytest.raises(FatalError, match=remedy):
            rabbitmq.probe(broker.options(queue=wrong, mode="stream" if wrong == queue else "queue"), None)
    with pytest.raises(FatalError, match="set_permissions"):
        rabbitmq.probe(broker.options(queue=queue, user="writer", password_env="WRITER_PASSWORD"), None)
    with pytest.raises(FatalError, match="create the queue"):
        rabbitmq.probe(broker.options(queue="no-such-queue"), None)
