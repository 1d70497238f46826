"""`spoutgen check` against each real server, with settings that are right and settings that are not."""

import json
import os
import socket
import subprocess
import sys

import pytest
from postgres_rig import Shop
from rabbit_rig import Broker as Rabbit
from rabbit_rig import numbered
from servers.postgres import HOST, PASSWORD
from servers.proxy import free_port
from servers.rabbitmq import SPOUT
from servers.tansu import Broker

from spoutgen.cli.main import main
from spoutgen.project.create import create
from spoutgen.project.render import render
from spoutgen.spec import load_text

CANARY = "canary-of-a-password"


@pytest.fixture
def look(tmp_path, monkeypatch, capfd):
    """``look(source, password)``: exit status and what was said of a project with these options."""
    monkeypatch.setenv("SPOUTGEN_HOME", str(tmp_path / "home"))

    def run(source, password=CANARY, *arguments):
        monkeypatch.setenv("SOURCE_PASSWORD", password)
        spec = {"version": 1, "name": "aspout", "image": "aspout:v1", "marker": "mymark", "source": source}
        if source.get("password_env"):
            spec["secrets"] = [{"name": "login", "key": "password", "env": "SOURCE_PASSWORD"}]
        create(render(load_text(json.dumps(spec), "spout.yaml")), tmp_path / "aspout")
        status = main(["check", str(tmp_path / "aspout"), *arguments])
        out, err = capfd.readouterr()
        assert password not in out + err
        return status, out + err

    return run


@pytest.fixture
def nobody():
    """A port on which nobody listens."""
    return free_port()


@pytest.fixture
def silence():
    """A port on which somebody listens and never says a word."""
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


# kafka


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    with Broker(tmp_path_factory.mktemp("tansu")) as broker:
        broker.create("orders", 2)
        broker.write("orders", [(0, b"a"), (0, b"b"), (1, b"c")])
        yield broker


def topics(servers, *names, **more):
    return {"type": "kafka", "servers": servers, "topics": list(names), "tls": False, **more}


def test_kafka_that_is_right(look, kafka):
    status, said = look(topics(kafka.servers, "orders"))
    assert status == 0, said
    assert "aspout: kafka reached" in said
    assert "lag" in said


@pytest.mark.parametrize(
    ("names", "more", "status", "says", "fix"),
    [
        (["nowhere"], {}, 1, "SG801 kafka: source: found no topic 'nowhere'", "create the topic"),
        (["orders", "nowhere"], {}, 1, "SG801 kafka: source: found no topic 'nowhere'", "create the topic"),
        (["orders"], {"tls": True}, 3, "SG802 kafka: ConnectionError: ", "hint: "),
    ],
    ids=["no topic", "one topic of two", "TLS where there is none"],
)
def test_kafka_that_is_wrong(look, kafka, names, more, status, says, fix):
    found, said = look(topics(kafka.servers, *names, **more))
    assert (found, says in said, fix in said) == (status, True, True), said


def test_kafka_that_is_away(look, nobody):
    status, said = look(topics(f"{HOST}:{nobody}", "orders"))
    assert (status, "SG802 kafka" in said, "refused" in said, "hint: " in said) == (3, True, True, True), said


# rabbitmq


@pytest.fixture(scope="module")
def rabbit(rabbitmq):
    broker = Rabbit(rabbitmq)
    broker.declare("checked")
    broker.publish("checked", *numbered(3))
    broker.declare("of-others", **{"x-queue-type": "quorum"})
    yield rabbitmq
    broker.close()


def queue(node, name="checked", **more):
    address = {"host": "localhost", "port": node.tls_port, "tls_ca_file": str(node.ca_file)}
    return {
        "type": "rabbitmq", "mode": "queue", "queue": name, "user": SPOUT.name, "password_env": "SOURCE_PASSWORD",
        **address, **more,
    }  # fmt: skip


def test_rabbitmq_that_is_right(look, rabbit):
    status, said = look(queue(rabbit), SPOUT.password)
    assert status == 0, said
    assert "aspout: rabbitmq reached" in said
    assert "3" in said


@pytest.mark.parametrize(
    ("more", "password", "says"),
    [
        ({}, CANARY, "Login was refused"),
        ({"name": "nowhere"}, SPOUT.password, "nowhere"),
        ({"vhost": "nowhere"}, SPOUT.password, "nowhere"),
        ({"mode": "stream"}, SPOUT.password, "checked"),
    ],
    ids=["another password", "no queue", "no vhost", "a queue for a stream"],
)
def test_rabbitmq_that_is_wrong(look, rabbit, more, password, says):
    status, said = look(queue(rabbit, **more), password)
    assert (status, "SG801 rabbitmq" in said, says in said, "hint: " in said) == (1, True, True, True), said


def test_rabbitmq_that_is_away(look, rabbit, nobody):
    status, said = look(queue(rabbit, port=nobody), SPOUT.password)
    assert (status, "SG802 rabbitmq" in said, "hint: " in said) == (3, True, True), said


# postgres


@pytest.fixture(scope="module")
def shop(postgres):
    made = Shop(postgres)
    made.run("CREATE TABLE orders (id bigint PRIMARY KEY, note text)")
    made.run("CREATE TABLE hidden (id bigint PRIMARY KEY)")
    made.run("REVOKE ALL ON hidden FROM spout")
    made.run("INSERT INTO orders SELECT n, 'x' FROM generate_series(1, 3) n")
    made.run("CREATE PUBLICATION orders FOR TABLE orders")
    made.run("CREATE ROLE reader LOGIN PASSWORD %s" % f"'{PASSWORD}'")  # noqa: UP031
    made.run("GRANT SELECT ON orders TO reader")
    yield made
    made.run("DROP OWNED BY reader")
    made.run("DROP ROLE reader")
    made.admin.close()


def login(shop, **more):
    address = {"host": HOST, "port": shop.cluster.port, "tls_ca_file": str(shop.cluster.ca_file)}
    return {
        "type": "postgres", "database": "shop", "user": "spout", "password_env": "SOURCE_PASSWORD", **address, **more,
    }  # fmt: skip


def rows(shop, **more):
    return login(shop, **{"mode": "cursor", "table": "orders", "key": ["id"], **more})


def log(shop, **more):
    return login(shop, **{"mode": "log", "slot": "checked", "publications": ["orders"], "create": True, **more})


@pytest.mark.parametrize("source", [rows, log])
def test_postgres_that_is_right(look, shop, source):
    status, said = look(source(shop), PASSWORD)
    assert status == 0, said
    assert "aspout: postgres reached" in said


def test_a_look_makes_no_slot(look, shop):
    assert look(log(shop), PASSWORD)[0] == 0
    assert shop.run("SELECT slot_name FROM pg_replication_slots WHERE slot_name = 'checked'") == []


@pytest.mark.parametrize(
    ("source", "more", "password", "says"),
    [
        (rows, {}, CANARY, "password authentication failed"),
        (rows, {"user": "stranger"}, PASSWORD, "password authentication failed"),
        (rows, {"database": "nowhere"}, PASSWORD, "nowhere"),
        (rows, {"table": "nowhere"}, PASSWORD, "nowhere"),
        (rows, {"table": "hidden"}, PASSWORD, "hidden"),
        (rows, {"key": ["note"]}, PASSWORD, "note"),
        (log, {"publications": ["nowhere"]}, PASSWORD, "nowhere"),
        (log, {"user": "reader"}, PASSWORD, "REPLICATION"),
        (log, {"create": False}, PASSWORD, "checked"),
    ],
    ids=[
        "another password", "no role", "no database", "no table", "no right to it", "no unique key", "no publication",
        "no right of replication", "no slot",
    ],
)  # fmt: skip
def test_postgres_that_is_wrong(look, shop, source, more, password, says):
    status, said = look(source(shop, **more), password)
    assert (status, "SG801 postgres" in said, says in said, "hint: " in said) == (1, True, True, True), said


def test_postgres_that_is_away(look, shop, nobody):
    status, said = look(rows(shop, port=nobody), PASSWORD)
    assert (status, "SG802 postgres" in said, "hint: " in said) == (3, True, True), said


# Whoever answers the telephone and says nothing


@pytest.mark.parametrize("kind", ["kafka", "rabbitmq", "postgres"])
def test_a_server_that_says_nothing(look, silence, kind):
    address = {"host": HOST, "port": silence, "tls": False, "user": "u", "password_env": "SOURCE_PASSWORD"}
    sources = {
        "kafka": topics(f"{HOST}:{silence}", "orders"),
        "rabbitmq": {"type": "rabbitmq", "mode": "queue", "queue": "q", **address},
        "postgres": {"type": "postgres", "mode": "cursor", "database": "d", "table": "t", "key": ["id"], **address},
    }
    status, said = look(sources[kind], CANARY, "--timeout", "3s")
    assert (status, f"SG802 {kind}" in said, "hint: " in said) == (3, True, True), said


# file


def test_files_that_are_right(look, tmp_path):
    (tmp_path / "app.log").write_text("a\nb\n")
    status, said = look({"type": "file", "files": f"{tmp_path}/*.log"})
    assert status == 0, said
    assert "aspout: file reached" in said
    assert "app.log" in said


def test_files_that_are_not_there_yet(look, tmp_path):
    status, said = look({"type": "file", "files": f"{tmp_path}/nowhere/*.log"})
    assert (status, "nowhere" in said) == (1, True), said


def test_a_file_that_nobody_may_read(look, tmp_path):
    file = tmp_path / "app.log"
    file.write_text("a\n")
    assert look({"type": "file", "files": str(file)})[0] == 0
    file.chmod(0)
    # Root may read everything, unless it gives that up.
    meek = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    command = [*meek, sys.executable, "-m", "spoutgen", "check", str(tmp_path / "aspout")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "SG801 file" in done.stderr, str(file) in done.stderr) == (1, True, True), done
