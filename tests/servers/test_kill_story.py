"""The harness of the kill stories sees what is wrong: a count that finds nothing proves nothing."""

from collections import Counter

from kill_story import LocalSpout, Verdict, count, wait_until

SPEC = """\
version: 1
name: dots
image: dots:v1
source: {type: symbol, symbol: ".", interval: 10ms}
marker: mymark
output: {path: "lines/{last}"}
"""


def test_what_is_counted():
    found = Counter({b"a": 1, b"b": 3, b"x": 2})
    assert count(found, [b"a", b"b", b"c", b"d"], kills=7) == Verdict(kills=7, lost=2, repeated=2, strange=2)
    assert count(Counter({b"a": 2}), [b"a", b"a"]) == Verdict(kills=0, lost=0, repeated=0, strange=0)


def test_a_spout_is_killed_and_goes_on(tmp_path):
    with LocalSpout(SPEC, tmp_path) as spout:
        spout.start()
        wait_until(lambda: len(spout.lines()) > 2, "there are lines")
        spout.kill()
        before = spout.lines()
        assert not spout.is_running()
        spout.start()
        wait_until(spout.kill_user_code, "there is user code")
        wait_until(lambda: len(spout.lines()) > len(before) + 2, "it goes on")
        spout.stop()
        lines = spout.lines()
        assert count(lines, [b"." * height for height in range(1, len(lines) + 1)]) == Verdict(0, 0, 0, 0)
        assert spout.marker().splitlines()[: len(before)] == [b"." * height for height in range(1, len(before) + 1)]
        assert b"resumed" in spout.everything_said()
