"""Whole spouts that read Kafka on the local cluster: killed, their broker restarted, their connections harmed."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from processes import spouts_of
from servers.kill_story import LocalSpout, Trouble, Verdict, count, run_to_the_end, tell, wait_until
from servers.proxy import Proxy
from servers.tansu import Broker

ROOT = Path(__file__).parents[2]
RECORDS = 20_000
PARTITIONS = 3
MIB = 1 << 20

SPEC = """\
version: 1
name: orders
pachyderm: {target}
image: orders:v1
source: {{type: kafka, servers: "{servers}", topics: [orders], tls: false}}
marker: mymark
batch: {{records: {batch}, wait: 200ms}}
"""


def record(number):
    return b"%08d %s" % (number, b"." * (number * 37 % 200))


def fill(broker, first, last):
    broker.write("orders", ((number % PARTITIONS, record(number)) for number in range(first, last)))


@pytest.fixture
def proxied(tmp_path):
    """A broker behind a proxy, and the proxy."""
    with Proxy() as proxy, Broker(tmp_path, proxy.port) as broker:
        proxy.upstream = ("127.0.0.1", broker.port)
        broker.create("orders", PARTITIONS)
        yield broker, proxy


def spout_of(broker, tmp_path, batch=100, target=1, **how):
    folder = tmp_path / "spout"
    folder.mkdir()
    return LocalSpout(SPEC.format(servers=broker.servers, batch=batch, target=target), folder, **how)


@pytest.mark.parametrize("target", [1, 2])
def test_thirty_kills_and_trouble_in_between(proxied, tmp_path, target):
    broker, proxy = proxied
    trouble = Trouble(proxy, broker.restart, seed=target)

    def meanwhile(number):
        fill(broker, (number + 1) * RECORDS // 31, (number + 2) * RECORDS // 31)
        trouble(number)

    with spout_of(broker, tmp_path, target=target, is_warm=True) as spout:
        fill(broker, 0, RECORDS // 31)  # so that there is a commit to wait for
        verdict = tell(spout, map(record, range(RECORDS)), 30, target, meanwhile, longest_life=0.3)
        assert verdict == Verdict(kills=30, lost=0, repeated=0, strange=0), spout.words()
        assert set(trouble.done) == {"restart", "drop", "reset", "stall", "slow"}
        check_files(spout)


def check_files(spout):
    """Each file is of one partition, begins where its name says, and a partition's files follow one another."""
    places = dict.fromkeys(range(PARTITIONS), 0)
    for path, data in sorted(spout.files().items()):
        if path.startswith("/records/"):
            partition, first = map(int, path.rsplit("/", 2)[1:])
            assert places[partition] == first, path
            places[partition] += len(data.splitlines())


def test_a_broker_that_is_away_is_waited_for(proxied, tmp_path):
    broker, proxy = proxied
    with spout_of(broker, tmp_path) as spout:
        fill(broker, 0, 1000)
        spout.start()
        assert run_to_the_end(spout, map(record, range(1000))) == 0
        (process,) = spouts_of(spout.home)
        proxy.refuse()
        broker.kill()
        wait_until(lambda: "retry" in spout.words() or "again" in spout.words(), "the log tells of it")
        broker.start()
        proxy.listen()
        fill(broker, 1000, 2000)
        proxy.stall()
        proxy.go_on()
        assert run_to_the_end(spout, map(record, range(2000))) == 0
        assert spouts_of(spout.home) == [process]
        spout.stop()
        assert count(spout.lines(), map(record, range(2000))) == Verdict(0, 0, 0, 0)


def test_two_hundred_thousand_records_in_little_memory(tmp_path):
    total = 200_000
    with Broker(tmp_path) as broker, spout_of(broker, tmp_path, batch=20_000) as spout:
        broker.create("orders", PARTITIONS)
        broker.write("orders", ((number % PARTITIONS, b"%0200d" % number) for number in range(total)))
        spout.start()
        peak = 0

        def is_done():
            nonlocal peak
            for process in spouts_of(spout.home):
                try:
                    status = Path(f"/proc/{process}/status").read_text()
                except OSError:
                    continue
                found = [int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM")]
                peak = max(peak, *found, 0)
            marker = json.loads(spout.marker()) if spout.commits() else {}
            return sum((marker.get("writing") or {}).get("orders", {}).values()) == total and len(spout.files()) >= 3

        wait_until(is_done, "all is announced")
        assert run_to_the_end(spout, (b"%0200d" % number for number in range(total))) == 0
        spout.stop()
        assert count(spout.lines(), (b"%0200d" % number for number in range(total))) == Verdict(0, 0, 0, 0)
    assert 10 * MIB < peak < 80 * MIB


def test_no_credential_is_told_anywhere(tmp_path):
    canary = "canary-Kf7-password"
    login = "sasl: plain, user_env: KAFKA_USER, password_env: KAFKA_PASSWORD"
    secrets = "".join(f"- {{name: kafka, key: k, env: {name}}}\n" for name in ("KAFKA_USER", "KAFKA_PASSWORD"))
    with Broker(tmp_path, arguments=["--authentication"]) as broker:
        folder = tmp_path / "spout"
        folder.mkdir()
        spec = SPEC.format(servers=broker.servers, batch=10, target=1)
        text = spec.replace("tls: false", f"tls: false, {login}")
        environment = {"KAFKA_USER": "nobody", "KAFKA_PASSWORD": canary}
        with LocalSpout(f"{text}secrets:\n{secrets}", folder, environment) as spout:
            spout.start()
            wait_until(lambda: "refuses the login" in spout.words() or not spout.is_running(), "it is refused")
            assert "refuses the login" in spout.words()
            spout.kill()
            assert canary.encode() not in b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())


def test_the_example(tmp_path):
    """With what its README says is to be taken out."""
    text = (ROOT / "examples/kafka/orders.yaml").read_text()
    lines, kept = iter(text.splitlines()), []
    for line in lines:
        if line.startswith(("  tls_ca_file", "  sasl", "  user_env", "  password_env", "secrets:", "  - {name: kafka")):
            continue
        kept.append(line)
    with Broker(tmp_path) as broker:
        for topic in ("orders", "payments"):
            broker.create(topic, 2)
            broker.write(topic, ((number % 2, f"{topic} {number}".encode()) for number in range(10)))
        (tmp_path / "orders.yaml").write_text("\n".join(kept) + "\n")
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "SPOUTGEN_HOME": str(tmp_path / "cluster")}

        def spoutgen(*arguments):
            command = [sys.executable, "-m", "spoutgen", *arguments]
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            return done.stdout

        spoutgen(
            "new",
            "orders.yaml",
            "-o",
            "orders",
            "--set",
            f"source.servers={broker.servers}",
            "--set",
            "source.tls=false",
        )
        spoutgen("run", "orders", "--commits", "1", "--set", "batch.wait=1s")
        file = "orders@master:/records/payments/1/00000000000000000000.jsonl"
        told = [json.loads(line) for line in spoutgen("local", "get", "file", file).splitlines()]
        assert [line["value"] for line in told] == [f"payments {number}" for number in range(1, 10, 2)]
        assert Counter(line["partition"] for line in told) == {"1": 5}
        marker = json.loads(spoutgen("local", "get", "file", "orders@marker:/mymark"))
        assert marker["writing"] == {"orders": {"0": 5, "1": 5}, "payments": {"0": 5, "1": 5}}
