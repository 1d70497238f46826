"""The symbol source: when a line comes, and that an announced line comes again as it was."""

import pytest
from spout.fatal import FatalError
from spout.records import Limit
from spout.sources.symbol import SymbolSource

from .clocks import Clock

ONE = Limit(1, 8 << 20)


@pytest.fixture
def clock():
    return Clock()


def opened(clock, symbol=".", interval=30, at=None):
    source = SymbolSource({"symbol": symbol, "interval": interval}, clock, clock.sleep)
    source.open(at)
    return source


def test_the_first_line_of_all_comes_at_once_the_next_an_interval_later(clock):
    source = opened(clock)
    [first] = source.read(ONE, 1.0)
    assert (first.data, first.name, first.position) == (b".", "1", {"steps": [[1, 1]], "line": "."})
    assert clock.slept == []
    [second] = source.read(ONE, 60.0)
    assert (second.data, second.name, second.position) == (b"..", "2", {"steps": [[1, 2]], "line": ".."})
    assert clock.slept == [30.0]


def test_after_a_resume_the_next_line_comes_an_interval_later(clock):
    source = opened(clock, symbol="*", at={"steps": [[1, 2]], "line": ".."})
    assert source.read(ONE, 29.0) == []
    [record] = source.read(ONE, 29.0)
    assert (record.data, record.name) == (b"..*", "3")
    assert clock.slept == [29.0, 1.0]


def test_idle_waits_no_longer_than_asked(clock):
    source = opened(clock)
    source.read(ONE, 1.0)
    assert source.read(ONE, 0.25) == []
    assert source.read(ONE, 0.0) == []
    assert clock.slept == [0.25]


def test_a_replay_is_the_line_that_was_announced_whatever_the_symbol_is_now_and_waits_for_nothing(clock):
    source = opened(clock, symbol="**", at={"steps": [[1, 2]], "line": ".."})
    until = {"steps": [[1, 2], [3, 1]], "line": "..abc"}
    [record] = source.read(Limit(1, 100, until), 0.0)
    assert (record.data, record.position, record.name) == (b"..abc", until, "3")
    assert clock.slept == []
    [fresh] = source.read(ONE, 60.0)
    assert fresh.data == b"..abc**"
    assert clock.slept == [30.0]


def test_a_long_replay_goes_line_by_line(clock):
    source = opened(clock)
    until = {"steps": [[1, 2], [2, 1]], "line": ".,é "}
    lines = [source.read(Limit(1, 100, until), 0.0)[0].data.decode() for _ in range(3)]
    assert lines == [".", ".,", ".,é "]
    assert source.read(Limit(1, 100, until), 0.0) == []


@pytest.mark.parametrize(
    "until",
    [
        {"steps": [[1, 1]], "line": "."},
        {"steps": [[1, 3]], "line": "*.."},
        {"steps": [[2, 1]], "line": ".."},
        {"steps": [[2, 2]], "line": "...."},
    ],
)
def test_a_replay_to_a_place_that_does_not_lie_ahead_is_refused(clock, until):
    source = opened(clock, at={"steps": [[1, 2]], "line": ".."})
    with pytest.raises(FatalError, match="does not lie ahead"):
        source.read(Limit(5, 100, until), 0.0)


@pytest.mark.parametrize("at", [5, "..", {"line": ".."}, {"steps": [[1, 3]], "line": ".."}])
def test_a_position_that_cannot_be_is_refused(clock, at):
    with pytest.raises(FatalError, match="the position"):
        opened(clock, at=at)


@pytest.mark.parametrize("symbol", [".", "😀", "👩‍👩‍👧", " ", "{{ 7*7 }}", "'''\\\"$(id)", "\r", "{", "x" * 64])
def test_a_symbol_can_be_anything_that_fits_a_line(clock, symbol):
    [record] = opened(clock, symbol=symbol).read(ONE, 1.0)
    assert record.data.decode() == symbol


@pytest.mark.parametrize("symbol", ["", "x" * 65, "a\nb", "\ud800", 5, None, ["."], '{"spoutgen_marker":1}'])
def test_a_symbol_that_could_not_be_read_again_is_refused(clock, symbol):
    with pytest.raises(FatalError, match=r"source\.symbol"):
        opened(clock, symbol=symbol)


@pytest.mark.parametrize("interval", [-1, float("nan"), "30s", None, True])
def test_an_interval_is_seconds(clock, interval):
    with pytest.raises(FatalError, match=r"source\.interval"):
        opened(clock, interval=interval)


def test_unknown_options_are_refused():
    with pytest.raises(FatalError, match="source with the keys symbol, interval, colour"):
        SymbolSource({"symbol": ".", "interval": 1, "colour": "red"})
