"""The table of checks, and which of them run."""

import re
from pathlib import Path

import pytest

from spoutgen.conformance import suite
from spoutgen.conformance.outcome import FailedError, SkippedError
from spoutgen.conformance.subject import quick_config
from spoutgen.conformance.suite import CHECKS, Check, run_checks


def test_every_need_stands_before_what_needs_it():
    known = set()
    for check in CHECKS:
        assert set(check.needs) <= known, check.name
        known.add(check.name)
    assert len(known) == len(CHECKS)


def test_every_check_has_its_row_in_the_reference_and_no_other():
    text = (Path(__file__).parents[3] / "docs/reference/conformance.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)` \|", text.partition("## The checks")[2], re.MULTILINE)
    assert rows == [check.name for check in CHECKS]


def failing(_):
    raise FailedError("a", "b", "c")


def skipping(_):
    raise SkippedError("no records")


@pytest.fixture
def _table(monkeypatch):
    table = (
        Check("base", "", lambda _: "fine"),
        Check("bad", "", failing, ("base",)),
        Check("above", "", lambda _: "fine", ("bad",)),
        Check("empty", "", skipping, ("base",)),
        Check("over", "", lambda _: "fine", ("empty",)),
        Check("apart", "", lambda _: "fine"),
    )
    monkeypatch.setattr(suite, "CHECKS", table)


@pytest.mark.usefixtures("_table")
def test_what_is_wrong_is_told_once():
    results = {result.name: result for result in run_checks(None)}
    assert [result.outcome for result in results.values()] == ["ok", "failed", "skipped", "skipped", "skipped", "ok"]
    assert results["above"].note == "needs `bad`, which failed"
    assert results["over"].note == "no records"
    assert (results["bad"].expected, results["bad"].found, results["bad"].remedy) == ("a", "b", "c")


@pytest.mark.usefixtures("_table")
@pytest.mark.parametrize(
    ("only", "told", "run"),
    [
        (["base"], ["base"], ["base"]),
        (["above"], ["bad", "above"], ["base", "bad", "above"]),
        (["over", "apart"], ["over", "apart"], ["base", "empty", "over", "apart"]),
    ],
)
def test_only_some_and_what_they_stand_on(only, told, run):
    started = []
    results = list(run_checks(None, only, lambda check: started.append(check.name)))
    assert [result.name for result in results] == told
    assert started == run


def test_the_config_of_a_test_is_quick_and_a_broken_one_is_left_alone():
    quick = quick_config('{"source":{"type":"symbol","interval":30},"batch":{"records":1,"bytes":8,"wait":5}}')
    assert quick == {
        "source": {"type": "symbol", "interval": 0.01},
        "batch": {"records": 1, "bytes": 8, "wait": 0.05},
    }
    assert quick_config('{"source":{"type":"custom"},"batch":{"records":9,"wait":0}}')["batch"]["records"] == 3
    for text in (None, "", "{", "[]", '{"source":1}', "{}"):
        assert quick_config(text) == {}
