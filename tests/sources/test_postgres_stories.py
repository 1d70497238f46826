"""Spouts on the local cluster and a real server: killed, cut off, the server restarted; then all is there once."""

import json
import os
import random
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from postgres_rig import MANY, Shop, until
from servers.kill_story import LocalSpout, Trouble, Verdict, count, run_to_the_end, tell, wait_until
from servers.postgres import HOST, PASSWORD
from servers.proxy import Proxy

KILLS = 30
# Each of these waits for some 32 MiB of log.
QUIET_KILLS = 15 if os.environ.get("SPOUTGEN_SOAK") == "1" else 5

SPEC = """
version: 1
name: aspout
image: aspout:v1
pachyderm: {target}
source:
  type: postgres
  host: {host}
  port: {port}
  database: shop
  user: spout
  password_env: DB_PASSWORD
  tls_ca_file: {ca_file}
  timeout: 2s
  {mode}
marker: mymark
batch: {{records: {records}, wait: 100ms}}
secrets: [{{name: db, key: password, env: DB_PASSWORD}}]
"""
MODES = {
    "cursor": "mode: cursor\n  table: orders\n  key: [id]\n  poll: 50ms",
    "log": "mode: log\n  slot: orders\n  publications: [orders]",
}
QUIET = MODES["log"] + "\n  heartbeat: 50ms"


@pytest.fixture(params=list(MODES))
def mode(request):
    return request.param


@pytest.fixture
def shop(postgres):
    shop = Shop(postgres)
    shop.run("CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text)")
    shop.run("CREATE PUBLICATION orders FOR TABLE orders")
    for slot in ("orders", "witness"):
        shop.run(f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")
    yield shop
    shop.admin.close()


@contextmanager
def spout_of(mode, shop, folder, port=None, records=50, target=1, **how):
    place = {"host": HOST, "port": port or shop.cluster.port, "ca_file": shop.cluster.ca_file}
    spec = SPEC.format(mode=MODES[mode], records=records, target=target, **place)
    with LocalSpout(spec, folder, {"DB_PASSWORD": PASSWORD}, **how) as spout:
        yield spout


def _commit(sessions):
    while sessions:
        sessions[-1].commit()
        sessions.pop().close()


class Feed:
    """Adds rows until somebody wants to know which; every fifth transaction commits after its successors.

    To iterate over it is to end it, and gives the lines that must be committed, once each.
    """

    def __init__(self, mode, shop):
        self._mode, self._shop = mode, shop
        self._is_over = threading.Event()
        self._lines = None
        self._thread = threading.Thread(target=self._add)
        self._thread.start()

    def _add(self):
        number, late, session = 0, [], None
        while not self._is_over.is_set():
            number += 1
            try:
                session = session or self._shop.session()
                session.execute("INSERT INTO orders (note) SELECT repeat('ä', 50) FROM generate_series(1, 5)")
                if number % 5 == 0:
                    late.append(session)
                    session = None
                    continue
                if number % 5 == 3:
                    _commit(late)
                session.commit()
            except psycopg.Error:  # the server is being restarted; its transactions are gone
                for gone in [*late, *filter(None, [session])]:
                    gone.close()
                late.clear()
                session = None
            self._is_over.wait(0.04)
        _commit([*late, *filter(None, [session])])

    def __iter__(self):
        if self._lines is None:
            self.end()
            self._lines = self._cursor() if self._mode == "cursor" else self._log()
        return iter(self._lines)

    def end(self):
        self._is_over.set()
        self._thread.join()

    def _cursor(self):
        with self._shop.cluster.connect("shop") as server:
            rows = server.execute("SELECT row_to_json(orders)::text FROM orders").fetchall()
        return [line.encode() for (line,) in rows]

    def _log(self):
        """What a witness sees, whom nobody kills, on a slot of its own."""
        with self._shop.cluster.connect("shop") as server:
            ids = {number for (number,) in server.execute("SELECT id FROM orders")}
        lines = []
        local = {"host": str(self._shop.cluster.folder), "user": "postgres", "password_env": None}
        source = self._shop.source(mode="log", slot="witness", publications=["orders"], **local)
        try:
            source.open(None)
            until(lambda: not (more := source.read(MANY, 1.0)) or lines.extend(more), "the end of the log")
        finally:
            source.close()
        assert {json.loads(record.data)["after"]["id"] for record in lines} == ids
        return [record.data for record in lines]


@pytest.mark.parametrize("target", [1, 2])
def test_kills_and_trouble_lose_and_repeat_nothing(mode, shop, tmp_path, target):
    def restart():
        shop.cluster.stop("immediate")
        shop.cluster.start()

    feed = Feed(mode, shop)
    try:
        with (
            Proxy((HOST, shop.cluster.port)) as proxy,
            spout_of(mode, shop, tmp_path, proxy.port, target=target, is_warm=True) as spout,
        ):
            trouble = Trouble(proxy, restart, seed=target, kills=KILLS)
            verdict = tell(spout, feed, KILLS, seed=7, meanwhile=trouble, longest_life=0.1)
            assert verdict == Verdict(kills=KILLS, lost=0, repeated=0, strange=0), spout.words()
            assert set(trouble.done) == {"restart", "drop", "reset", "stall", "slow"}
            assert PASSWORD.encode() not in spout.everything_said()
    finally:
        feed.end()


@pytest.mark.parametrize("target", [1, 2])
def test_kills_while_the_slot_moves_over_the_log_of_others_lose_nothing(shop, tmp_path, monkeypatch, target):
    """The published table is quiet most of the time, others are not: the slot keeps up, and never passes a change."""
    monkeypatch.setitem(MODES, "log", QUIET)
    shop.run("CREATE TABLE noise (id int)")
    confirmed = "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = 'orders'"
    behind = "SELECT %s::pg_lsn - confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'orders'"
    wanted, reached, late = [], [], []

    def add():
        wanted.extend(shop.run("INSERT INTO orders (note) VALUES ('x') RETURNING id"))

    def make_noise():
        for _ in range(2):
            shop.run("INSERT INTO noise VALUES (1)")
            shop.run("SELECT pg_switch_wal()")
        return shop.run("SELECT pg_current_wal_lsn()::text")[0][0]

    def slot_follows():
        end = make_noise()
        # It moves by 16 MiB and more, so it may stand just below that.
        until(lambda: shop.run(behind, end)[0][0] < 16 << 20, f"the slot follows the log up to {end}", 120)
        reached.append(shop.run(confirmed)[0][0])

    def meanwhile(number):
        _commit(late)  # it began before the slot moved on
        add()
        session = shop.session()
        wanted.extend(session.execute("INSERT INTO orders (note) VALUES ('late') RETURNING id").fetchall())
        late.append(session)
        make_noise()

    with spout_of("log", shop, tmp_path, target=target) as spout:
        add()
        chance = random.Random(target)
        spout.start()
        wait_until(spout.commits, "the first change is committed")
        for number in range(QUIET_KILLS):
            if number % 2 == 0:
                slot_follows()
            meanwhile(number)
            time.sleep(chance.uniform(0, 1.5))  # the moment of the kill is what is drawn here
            spout.kill_user_code() if number % 4 == 1 else (spout.kill(), spout.start())
        _commit(late)
        until(lambda: found_ids(spout) == Counter(number for (number,) in wanted), "every change, once", 120)
        slot_follows()
        spout.stop()
        assert found_ids(spout) == Counter(number for (number,) in wanted)
    assert len(set(reached)) == len(reached) > QUIET_KILLS // 2


def found_ids(spout):
    """How often each row stands in the committed files."""
    return Counter(json.loads(line)["after"]["id"] for line in spout.lines().elements())


def test_a_bad_network_and_a_restarted_server(mode, shop, tmp_path):
    """Each harm is done, and new rows are committed after it."""
    feed = Feed(mode, shop)
    with Proxy((HOST, shop.cluster.port)) as proxy, spout_of(mode, shop, tmp_path, proxy.port) as spout:

        def goes_on():
            before = spout.commits()
            wait_until(lambda: spout.commits() > before + 1, "new rows are committed")

        try:
            spout.start()
            goes_on()
            for harm in (proxy.drop, proxy.reset):
                harm()
                goes_on()
            proxy.stall()
            until(lambda: "Timeout" in spout.words(), "the stalled connection is given up", 60)
            proxy.go_on()
            goes_on()
            proxy.refuse()
            until(lambda: "refused" in spout.words(), "the spout cannot connect", 60)
            proxy.listen()
            goes_on()
            for how in ("fast", "immediate"):
                shop.cluster.stop(how)
                shop.cluster.start()
                goes_on()
            proxy.slow_down(50_000)
            goes_on()
            proxy.go_on()
            wanted = list(feed)
            assert not run_to_the_end(spout, wanted), spout.words()
            spout.stop()
            assert count(spout.lines(), wanted) == Verdict(0, 0, 0, 0)
        finally:
            feed.end()


def test_two_hundred_thousand_come_once_in_little_memory(mode, shop, tmp_path):
    shop.run("INSERT INTO orders (note) SELECT repeat('x', 100) FROM generate_series(1, 200000)")
    with spout_of(mode, shop, tmp_path, records=5000) as spout:
        spout.start()
        most = 0
        deadline = time.monotonic() + 120
        # To count lines is to read them all, so not before there can be enough.
        while spout.commits() < 40 or sum(spout.lines().values()) < 200_000:
            assert time.monotonic() < deadline, spout.words()
            most = max([most, *map(_peak_memory, spout.user_code())])
            time.sleep(0.05)
        spout.stop()
        found = spout.lines()
    assert (len(found), sum(found.values())) == (200_000, 200_000)
    assert 0 < most < 80 * 1024, f"{most} KiB"


def _peak_memory(process):
    """VmHWM in KiB."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:  # it has just ended
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)
