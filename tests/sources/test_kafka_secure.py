"""source.type: kafka over TLS and with a login, right and wrong: a gate before the broker does what that one cannot."""

import logging

import pytest
from servers.certificates import Authority
from servers.kafka_gate import Gate, server_context
from servers.kill_story import LocalSpout, run_to_the_end, wait_until
from servers.tansu import Broker, options
from spout.fatal import FatalError
from spout.records import Limit
from spout.sources import kafka

PASSWORD, KEY_PASSWORD = "canary-Kf9-password", "canary-Kf9-key"
RECORDS = [b"%d" % number for number in range(30)]


class Place:
    """A broker behind a gate, with a topic ``orders``; certificates of the right authority and of another one."""

    def __init__(self, folder):
        authority, other = Authority(folder), Authority(folder, "other")
        self.ca_file, self.other_ca_file = str(authority.ca_file), str(other.ca_file)
        self.right = authority.signed("broker", "IP:127.0.0.1")
        self.elsewhere = authority.signed("elsewhere", "DNS:kafka.example.com")
        self.own = authority.signed("own", password=KEY_PASSWORD)
        self.foreign = other.signed("foreign")
        self.gate = Gate()
        self.broker = Broker(folder, self.gate.port)
        self.gate.upstream = ("127.0.0.1", self.broker.port)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("tansu"))
    with place.gate, place.broker:
        place.broker.create("orders")
        place.broker.write("orders", ((0, data) for data in RECORDS))
        yield place


@pytest.fixture
def place(made, monkeypatch):
    """The same, as open as it was; and the variables."""
    monkeypatch.setenv("KAFKA_USER", "spout")
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    monkeypatch.setenv("KAFKA_KEY_PASSWORD", KEY_PASSWORD)
    made.gate.logins.clear()
    yield made
    made.gate.tls = made.gate.users = None
    made.gate.mechanisms = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def tls(place, **given):
    return {"tls": True, "tls_ca_file": place.ca_file, **given}


def own_certificate(certificate, **given):
    return {"tls_certificate_file": str(certificate.certificate), "tls_key_file": str(certificate.key), **given}


def login(mechanism, **given):
    return {"sasl": mechanism, "user_env": "KAFKA_USER", "password_env": "KAFKA_PASSWORD", **given}


def read(place, **given):
    """All records."""
    source, records = kafka.make(options(place.broker.servers, topics=["orders"], **given), print), []
    try:
        source.open(None)
        wait_until(lambda: records.extend(source.read(Limit(100, 1 << 20), 0.5)) or len(records) >= 30, "30 records")
    finally:
        source.close()
    return [record.data for record in records]


def refused(place, caplog, **given):
    """The refusal of the source, which is also that of the probe; without a secret in it or in a log."""
    told = options(place.broker.servers, topics=["orders"], **given)
    source = kafka.make(told, print)
    with caplog.at_level(logging.DEBUG):
        try:
            with pytest.raises(FatalError) as error:
                source.open(None)
        finally:
            source.close()
        with pytest.raises(FatalError) as looked:
            kafka.probe(told, None)
    assert looked.value.remedy == error.value.remedy
    said = f"{error.value} {error.value!r} {error.value.__cause__!r} {looked.value} {caplog.text}"
    assert "canary" not in said
    return str(error.value)


def test_tls_with_the_right_authority(place):
    place.gate.tls = server_context(place.right)
    assert read(place, **tls(place)) == RECORDS


def test_tls_with_another_authority(place, caplog):
    place.gate.tls = server_context(place.right)
    assert "`source.tls_ca_file`" in refused(place, caplog, **tls(place, tls_ca_file=place.other_ca_file))


def test_tls_with_the_certificate_of_another_host(place, caplog):
    place.gate.tls = server_context(place.elsewhere)
    said = refused(place, caplog, **tls(place))
    assert "certificate verify failed" in said
    assert "write `source.servers` as the brokers' certificates have them" in said


def test_a_cluster_that_asks_for_a_certificate(place, caplog, monkeypatch):
    place.gate.tls = server_context(place.right, place.ca_file)
    own = own_certificate(place.own, tls_key_password_env="KAFKA_KEY_PASSWORD")
    assert read(place, **tls(place), **own) == RECORDS
    assert "`source.tls_certificate_file`" in refused(place, caplog, **tls(place))
    assert "refuses this spout's own certificate" in refused(
        place, caplog, **tls(place), **own_certificate(place.foreign)
    )
    monkeypatch.setenv("KAFKA_KEY_PASSWORD", "canary-wrong")
    assert "ssl.key.location" in refused(place, caplog, **tls(place), **own)
    monkeypatch.delenv("KAFKA_KEY_PASSWORD")
    assert "no variable KAFKA_KEY_PASSWORD" in refused(place, caplog, **tls(place), **own)


def test_tls_on_one_side_only_is_waited_for_and_said_so(place, monkeypatch):
    """A broker that ends a handshake may just be starting."""
    monkeypatch.setattr("spout.sources.kafka.client.REACH", 1.0)
    with pytest.raises(ConnectionError, match=r"PLAINTEXT broker listener|closed by peer"):
        read(place, **tls(place))
    place.gate.tls = server_context(place.right)
    with pytest.raises(ConnectionError, match=r"wants TLS or a login|SSL"):
        read(place)


@pytest.mark.parametrize("mechanism", ["plain", "scram-sha-256", "scram-sha-512"])
def test_a_login(place, mechanism, caplog, monkeypatch):
    place.gate.users = {"spout": PASSWORD}
    assert read(place, **login(mechanism)) == RECORDS
    assert set(place.gate.logins) == {(mechanism.upper(), "spout")}
    for name, value in (("KAFKA_PASSWORD", "canary-wrong"), ("KAFKA_USER", "nobody")):
        with monkeypatch.context() as changed:
            changed.setenv(name, value)
            said = refused(place, caplog, **login(mechanism))
            assert "refuses the login" in said
            assert "`source.password_env`" in said


def test_a_way_to_log_in_that_the_cluster_does_not_have(place, caplog):
    place.gate.users, place.gate.mechanisms = {"spout": PASSWORD}, ("PLAIN",)
    said = refused(place, caplog, **login("scram-sha-256"))
    assert "supported mechanisms: PLAIN" in said
    assert "`source.sasl`" in said


def test_a_cluster_that_wants_a_login_and_gets_none(place, monkeypatch):
    monkeypatch.setattr("spout.sources.kafka.client.REACH", 1.0)
    place.gate.users = {"spout": PASSWORD}
    with pytest.raises(ConnectionError):
        read(place)


SPEC = """\
version: 1
name: orders
image: orders:v1
pachyderm: {target}
source:
  type: kafka
  servers: "{servers}"
  topics: [orders]
  tls_ca_file: {ca_file}
  tls_certificate_file: {certificate}
  tls_key_file: {key}
  tls_key_password_env: KAFKA_KEY_PASSWORD
  sasl: {sasl}
  user_env: KAFKA_USER
  password_env: KAFKA_PASSWORD
  group: for-lag-tools
marker: mymark
batch: {{records: 10, wait: 200ms}}
secrets:
  - {{name: kafka, key: user, env: KAFKA_USER}}
  - {{name: kafka, key: password, env: KAFKA_PASSWORD}}
  - {{name: kafka, key: key, env: KAFKA_KEY_PASSWORD}}
"""


@pytest.mark.parametrize(("target", "sasl"), [(1, "plain"), (2, "scram-sha-512")])
def test_a_spout_that_is_let_in_tells_no_secret(place, tmp_path, target, sasl):
    """Its log, its files, its commits and its marker; with a reconnect in between."""
    place.gate.tls, place.gate.users = server_context(place.right, place.ca_file), {"spout": PASSWORD}
    files = {"ca_file": place.ca_file, "certificate": place.own.certificate, "key": place.own.key}
    spec = SPEC.format(servers=place.broker.servers, target=target, sasl=sasl, **files)
    environment = {"KAFKA_USER": "spout", "KAFKA_PASSWORD": PASSWORD, "KAFKA_KEY_PASSWORD": KEY_PASSWORD}
    with LocalSpout(spec, tmp_path, environment) as spout:
        spout.start()
        assert run_to_the_end(spout, RECORDS) == 0
        logins = len(place.gate.logins)
        place.gate.drop()
        wait_until(lambda: len(place.gate.logins) > logins, "it logs in again")
        spout.stop()
        assert spout.lines() == dict.fromkeys(RECORDS, 1)
        said = spout.everything_said()
    assert PASSWORD.encode() not in said
    assert KEY_PASSWORD.encode() not in said
    assert b"for-lag-tools" in said  # it was looked for where it would be
