"""A source that fails is closed and opened again where it was, after a growing wait; nothing is lost by that."""

import io
import json

import pytest
from spout.fatal import FatalError
from spout.log import Log
from spout.metrics import Meter
from spout.reconnect import FIRST_DELAY, LONGEST_DELAY, Reconnecting
from spout.records import Lag, Limit, Record, UnrepeatableError

from .clocks import Clock

LIMIT = Limit(10, 1000)


class Flaky:
    """Gives 1, 2, 3, ...; fails wherever ``fails`` says so: the name of a method, so many times."""

    identity = "flaky"
    needs_ack = True

    def __init__(self, **fails):
        self.fails = fails
        self.opened = []
        self.acked = []
        self.closed = 0

    def _step(self, name):
        if self.fails.get(name, 0) > 0:
            self.fails[name] -= 1
            raise ConnectionError(f"{name} failed")

    def open(self, position):
        self.opened.append(position)
        self._step("open")
        self.at = position or 0

    def read(self, limit, timeout):
        self._step("read")
        self.at += 1
        return [Record(b"", self.at, str(self.at))]

    def ack(self, position):
        self._step("ack")
        self.acked.append(position)

    def close(self):
        self.closed += 1
        self._step("close")


class Wrapped:
    def __init__(self, source):
        self.source = source
        self.text = io.StringIO()
        self.clock = Clock()
        self.meter = Meter(self.clock)
        self.wrapper = Reconnecting(source, Log(self.text), self.meter, clock=self.clock, sleep=self.clock.sleep)

    def read(self, count):
        """Positions, until there are so many; the empty reads in between are None."""
        got = []
        while len([position for position in got if position]) < count:
            got += [record.position for record in self.wrapper.read(LIMIT, 1.0)] or [None]
        return got

    @property
    def log(self):
        return [json.loads(line) for line in self.text.getvalue().splitlines()]


def test_without_a_failure_it_is_not_there():
    it = Wrapped(Flaky())
    it.wrapper.open(None)
    assert it.read(3) == [1, 2, 3]
    it.wrapper.ack(2)
    it.wrapper.close()
    assert (it.source.opened, it.source.acked, it.source.closed, it.log) == ([None], [2], 1, [])
    assert (it.wrapper.identity, it.wrapper.needs_ack) == ("flaky", True)


def test_after_a_failed_read_it_goes_on_after_the_last_record_it_gave():
    it = Wrapped(Flaky())
    it.wrapper.open(None)
    assert it.read(2) == [1, 2]
    it.source.fails = {"read": 3}
    assert [position for position in it.read(2) if position] == [3, 4]
    assert it.source.opened == [None, 2, 2, 2]
    assert it.source.closed == 3
    assert [line["event"] for line in it.log] == ["source_lost"] * 3
    assert (it.log[0]["error"], it.log[0]["detail"]) == ("ConnectionError", "read failed")


def test_a_source_that_is_away_at_the_start_is_waited_for():
    it = Wrapped(Flaky(open=4))
    it.wrapper.open(7)
    assert it.read(1)[-1] == 8
    assert it.source.opened == [7] * 5


def test_the_wait_doubles_up_to_a_limit_with_chance_in_it_and_starts_small_again():
    it = Wrapped(Flaky(open=9))
    it.wrapper.open(None)
    it.read(1)
    waits = [line["retry_in"] for line in it.log]
    for at, wait in enumerate(waits):
        whole = min(FIRST_DELAY * 2**at, LONGEST_DELAY)
        assert whole / 2 - 0.001 <= wait <= whole + 0.001
    assert it.clock.now - 1000 == pytest.approx(sum(waits), abs=0.01)
    it.source.fails = {"read": 1}
    it.read(1)
    assert it.log[-1]["retry_in"] <= FIRST_DELAY


def test_no_read_takes_longer_than_its_timeout():
    it = Wrapped(Flaky(open=9))
    it.wrapper.open(None)
    while it.source.fails["open"]:
        before = it.clock.now
        assert it.wrapper.read(LIMIT, 0.2) == []
        assert it.clock.now - before <= 0.2 + 1e-9


def test_a_lost_ack_reconnects_and_while_it_is_away_acks_are_dropped():
    it = Wrapped(Flaky())
    it.wrapper.open(None)
    it.read(2)
    it.source.fails = {"ack": 1}
    it.wrapper.ack(1)
    it.wrapper.ack(2)
    assert it.source.acked == []
    assert [position for position in it.read(1) if position] == [3]
    it.wrapper.ack(3)
    assert it.source.acked == [3]


def test_a_close_that_fails_is_only_told():
    it = Wrapped(Flaky(close=9))
    it.wrapper.open(None)
    it.source.fails["read"] = 1
    assert it.read(1)[-1] == 1
    it.wrapper.close()
    it.wrapper.close()
    assert [line["event"] for line in it.log] == ["source_lost", "source_close_failed", "source_close_failed"]


def test_what_no_retry_can_mend_goes_through():
    class Gone(Flaky):
        def read(self, limit, timeout):
            raise FatalError("source", found="a", expected="b", remedy="c")

    it = Wrapped(Gone())
    it.wrapper.open(None)
    with pytest.raises(FatalError):
        it.wrapper.read(LIMIT, 1.0)
    assert it.log == []


def test_that_a_source_cannot_read_again_goes_through_and_it_stays_open():
    class Plain(Flaky):
        def read(self, limit, timeout):
            raise UnrepeatableError

    it = Wrapped(Plain())
    it.wrapper.open(3)
    with pytest.raises(UnrepeatableError):
        it.wrapper.read(Limit(10, 1000, 5), 1.0)
    assert (it.source.closed, it.log) == (0, [])


def test_where_a_source_begins_is_asked_once_and_opened_again_after():
    class Latest(Flaky):
        newest = 100

        def open(self, position):
            super().open(position)
            self.at = self.newest if position is None else position
            return self.at if position is None else None

    it = Wrapped(Latest(open=2, read=1))
    assert it.wrapper.open(None) == 100
    it.source.newest = 200
    assert it.read(1)[-1] == 101
    assert it.source.opened == [None, None, None, 100]


def test_an_open_that_no_retry_mends_goes_through_at_once():
    class Gone(Flaky):
        def open(self, position):
            raise FatalError("source", found="no topic", expected="one", remedy="make it")

    it = Wrapped(Gone())
    with pytest.raises(FatalError, match="no topic"):
        it.wrapper.open(None)
    it.wrapper.close()
    assert (it.clock.slept, it.source.closed) == ([], 1)


def test_open_waits_as_long_as_it_says_and_is_down_meanwhile():
    it = Wrapped(Flaky(open=3))
    up = []
    sleep = it.clock.sleep

    def watched(seconds):
        up.append("\nspout_source_up 1\n" in it.meter.text())
        sleep(seconds)

    it.wrapper = Reconnecting(it.source, Log(it.text), it.meter, clock=it.clock, sleep=watched)
    it.wrapper.open(5)
    assert up == [False] * 3
    assert it.clock.slept == pytest.approx([line["retry_in"] for line in it.log], abs=0.001)
    assert "\nspout_source_up 1\n" in it.meter.text()
    assert "\nspout_retries_total 3\n" in it.meter.text()


def test_lag_is_the_source_s_while_it_is_open():
    class Behind(Flaky):
        def lag(self):
            self._step("lag")
            return Lag(12)

    it = Wrapped(Behind(lag=1))
    assert it.wrapper.lag() is None
    it.wrapper.open(0)
    assert it.wrapper.lag() is None  # it failed, and so the source is away
    assert it.read(1)[-1] == 1
    assert it.wrapper.lag() == Lag(12)


def test_a_source_without_lag():
    it = Wrapped(Flaky())
    it.wrapper.open(0)
    assert it.wrapper.lag() is None


def test_a_source_that_moved_on_is_opened_again_there():
    class Moving(Flaky):
        def moved(self):
            self._step("moved")
            self.at = 60
            return 60

    it = Wrapped(Moving(moved=1))
    assert it.wrapper.moved() is None
    it.wrapper.open(5)
    assert it.wrapper.moved() is None  # it failed, and so the source is away
    assert it.wrapper.moved() is None
    assert it.read(1)[-1] == 6
    assert it.wrapper.moved() == 60
    it.source.fails["read"] = 1
    assert it.read(1)[-1] == 61
    assert it.source.opened == [5, 5, 60]


def test_a_source_that_never_moves_by_itself():
    it = Wrapped(Flaky())
    it.wrapper.open(0)
    assert it.wrapper.moved() is None
