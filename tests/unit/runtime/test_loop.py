"""The loop: what closes a batch, what a resume reads again, when an idle source gets its ack."""

import io
import json

import pytest
from spout.config import Limits
from spout.log import Log
from spout.loop import IDLE, read_batch, run
from spout.marker import Announcement
from spout.metrics import Meter
from spout.records import Limit, Record, UnrepeatableError

from .clocks import Clock


class StopError(Exception):
    """Ends a loop that never ends."""


class Script:
    """A source that plays a script: a list of records, a number of seconds to be idle, or an error."""

    identity = "script"

    def __init__(self, clock, script, needs_ack=False):
        self.clock = clock
        self.script = list(script)
        self.needs_ack = needs_ack
        self.calls = []

    def open(self, position):
        self.calls.append(("open", position))

    def read(self, limit, timeout):
        self.calls.append((limit, timeout))
        if not self.script:
            raise StopError
        step = self.script.pop(0)
        if isinstance(step, list):
            return step
        self.clock.sleep(min(step, timeout))
        return []

    def ack(self, position):
        self.calls.append(("ack", position))

    def lag(self):
        return None

    def moved(self):
        return None

    def close(self):
        raise AssertionError("the loop does not close")


class Recorder:
    """A sink that remembers."""

    def __init__(self):
        self.calls = []

    def begin(self, position):
        self.calls.append(("begin", position))

    def write(self, batch, committed):
        self.calls.append((batch.start, batch.end, [record.data for record in batch.records]))

    def flush(self, committed):
        self.calls.append("flush")

    def close(self):
        raise AssertionError("the loop does not close")


def records(first, last, size=1):
    return [Record(bytes([n]) * size, n, str(n)) for n in range(first, last + 1)]


@pytest.fixture
def clock():
    return Clock()


def batch(clock, script, limits):
    source = Script(clock, script)
    made = read_batch(source, None, limits, clock)
    return [record.position for record in made.records], source.calls


def test_records_close_a_batch_and_each_read_is_asked_for_no_more_than_is_missing(clock):
    got, calls = batch(clock, [records(1, 2), records(3, 5)], Limits(5, 1000, 60))
    assert got == [1, 2, 3, 4, 5]
    assert calls == [(Limit(5, 1000), IDLE), (Limit(3, 998), 60)]


def test_bytes_close_a_batch(clock):
    got, calls = batch(clock, [records(1, 2, 100), records(3, 4, 100)], Limits(99, 350, 60))
    assert got == [1, 2, 3, 4]
    assert calls[1] == (Limit(97, 150), 60)


def test_the_wait_closes_a_batch_counted_from_its_first_record(clock):
    got, calls = batch(clock, [records(1, 1), 2.0, records(2, 2), 2.0, 9.0], Limits(99, 1000, 5))
    assert got == [1, 2]
    assert [timeout for _, timeout in calls] == [IDLE, 5, 3, 3, 1]
    assert clock.now == 1005


def test_no_wait_takes_what_one_read_gives(clock):
    assert batch(clock, [records(1, 3)], Limits(99, 1000, 0))[0] == [1, 2, 3]


def test_nothing_is_no_batch(clock):
    assert read_batch(Script(clock, [9.0]), 7, Limits(1, 1, 1), clock) is None
    assert clock.now == 1000 + IDLE


def looped(clock, source, announcement):
    sink, log = Recorder(), io.StringIO()
    with pytest.raises(StopError):
        run(source, sink, announcement, Limits(2, 1000, 5), Log(log, clock=lambda: 0.0), Meter(), clock)
    return sink.calls, [json.loads(line) for line in log.getvalue().splitlines()]


def test_from_the_beginning(clock):
    source = Script(clock, [records(1, 2), records(3, 3), records(4, 4)])
    calls, log = looped(clock, source, None)
    assert source.calls[0] == ("open", None)
    assert calls == [(None, 2, [b"\1", b"\2"]), (2, 4, [b"\3", b"\4"])]
    assert log[0] == {
        **{"time": "1970-01-01T00:00:00.000Z", "level": "info", "event": "batch"},
        **{"records": 2, "bytes": 2, "seconds": 0.0, "first": "1", "last": "2"},
    }


def test_an_announced_range_is_read_again_as_one_batch_whatever_closes_a_batch_today(clock):
    source = Script(clock, [records(5, 6), 1.0, records(7, 9), records(10, 11)])
    calls, _ = looped(clock, source, Announcement(4, 9))
    assert source.calls[0] == ("open", 4)
    assert [limit.until for limit, _ in source.calls[1:4]] == [9, 9, 9]
    assert calls == [(4, 9, [b"\5", b"\6", b"\7", b"\x08", b"\x09"]), (9, 11, [b"\x0a", b"\x0b"])]
    assert source.calls[4][0].until is None


def test_where_nothing_was_being_written_it_just_goes_on(clock):
    source = Script(clock, [records(10, 11)])
    calls, _ = looped(clock, source, Announcement(9, None))
    assert source.calls[0] == ("open", 9)
    assert calls == [(9, 11, [b"\x0a", b"\x0b"])]


@pytest.mark.parametrize(("needs_ack", "expected"), [(True, ["flush", "flush"]), (False, [])])
def test_an_idle_source_gets_its_ack_if_it_needs_one(clock, needs_ack, expected):
    source = Script(clock, [records(1, 2), 1.0, 1.0], needs_ack)
    calls, _ = looped(clock, source, None)
    assert calls == [(None, 2, [b"\1", b"\2"]), *expected]


def test_a_source_that_cannot_read_again_goes_on_after_what_was_announced():
    class Plain(Script):
        def read(self, limit, timeout):
            if limit.until is not None:
                raise UnrepeatableError
            return super().read(limit, timeout)

        def close(self):
            self.calls.append(("close",))

    clock = Clock()
    source, sink = Plain(clock, [[Record(b"x", 8, "8")]]), Recorder()
    with pytest.raises(StopError):
        run(source, sink, Announcement(3, 7), Limits(1, 100, 0.0), Log(None), Meter(), clock)
    assert [call for call in source.calls if call[0] in ("open", "close")] == [("open", 3), ("close",), ("open", 7)]
    assert sink.calls == [(7, 8, [b"x"])]


class Latest(Script):
    """Begins at the newest record there is when it is opened."""

    newest = 100

    def open(self, position):
        super().open(position)
        return self.newest if position is None else None


def test_a_start_is_chosen_once_and_in_the_marker_before_anything_is_read(clock):
    source = Latest(clock, [])
    calls, _ = looped(clock, source, None)
    assert calls == [("begin", 100)]


def test_a_spout_that_dies_before_its_first_batch_goes_on_where_it_began(clock):
    source = Latest(clock, [records(101, 102)])
    source.newest = 200
    calls, _ = looped(clock, source, Announcement(100, None))
    assert source.calls[0] == ("open", 100)
    assert calls == [(100, 102, [b"\x65", b"\x66"])]


def test_a_source_that_begins_at_its_beginning_says_nothing(clock):
    assert looped(clock, Script(clock, []), None)[0] == []


def test_a_batch_that_is_being_written_waits_also_when_it_is_read_again(clock):
    meter, seen = Meter(clock), []

    class Slow(Recorder):
        def write(self, batch, committed):
            clock.sleep(3)
            seen.append(meter.waited())

    source = Script(clock, [records(5, 6), records(7, 8)])
    with pytest.raises(StopError):
        run(source, Slow(), Announcement(4, 6), Limits(2, 1000, 5), Log(None), meter, clock)
    assert seen == [3, 3]
    assert meter.waited() == 0


class Passing(Script):
    """Passes by what is no record: here 50 to 60, while it is idle for the first time."""

    def moved(self):
        self.calls.append("moved?")
        return 60 if self.calls.count("moved?") == 1 else None


def test_a_source_that_passed_by_what_is_no_record_goes_into_the_marker_once_the_batch_before_is_acknowledged(clock):
    source = Passing(clock, [records(1, 2), 1.0, 1.0, records(61, 62)], needs_ack=True)
    calls, log = looped(clock, source, None)
    assert calls == [(None, 2, [b"\1", b"\2"]), "flush", "flush", ("begin", 60), "flush", (60, 62, [b"\x3d", b"\x3e"])]
    assert [line["position"] for line in log if line["event"] == "moved_on"] == ["60"]


def test_what_was_passed_by_is_no_commit_of_a_batch(clock):
    class Acknowledging(Recorder):
        def write(self, batch, committed):
            committed(batch.end)

        def begin(self, position):
            self.begun = position

        def flush(self, committed):
            if getattr(self, "begun", None):
                committed(self.begun)
                self.begun = None

    source = Passing(clock, [records(1, 2), 1.0, 1.0], needs_ack=True)
    meter = Meter(clock)
    with pytest.raises(StopError):
        run(source, Acknowledging(), None, Limits(2, 1000, 5), Log(None), meter, clock)
    assert [call for call in source.calls if call[0] == "ack"] == [("ack", 2), ("ack", 60)]
    assert "spout_commits_total 1\n" in meter.text()
