"""What people and programs get to see of findings."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoutgen.errors import Diagnostic, Place
from spoutgen.report import LONGEST_LINE, as_json, as_text


def shown(line: str, column: int, width: int) -> list[str]:
    return as_text([Diagnostic("SG204", "wrong", Place("f", 1, column, width, line))]).splitlines()[1:]


def test_a_finding() -> None:
    place = Place("spout.yaml", 7, 13, 2, "  interval: 30")
    finding = Diagnostic("SG203", "`source.interval` must be a duration", place, "write 30s")
    assert as_text([finding]) == (
        "spout.yaml:7:13: SG203 `source.interval` must be a duration\n"
        "    interval: 30\n"
        "              ^~\n"
        "  hint: write 30s\n"
    )


def test_a_warning_without_place_or_hint() -> None:
    assert as_text([Diagnostic("SG310", "careful", severity="warning")]) == "SG310 warning: careful\n"
    assert as_text([]) == ""


@pytest.mark.parametrize(
    ("line", "column", "width", "caret"),
    [
        ("\tname: x", 2, 4, "    ^~~~"),
        ("日本: x", 5, 1, "        ^"),
        ("日本: x", 1, 2, "  ^~~~"),
        ("e\u0301: x", 5, 1, "     ^"),
        ("👨\u200d👩: x", 6, 1, "        ^"),
        ("short", 6, 1, "       ^"),
        ("short", 99, 5, "       ^"),
    ],
)
def test_the_caret_stands_under_its_character(line: str, column: int, width: int, caret: str) -> None:
    assert shown(line, column, width)[1] == caret


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=400), st.integers(1, 500), st.integers(1, 500))
def test_a_line_never_grows_beyond_the_window(line: str, column: int, width: int) -> None:
    for text in shown(line.replace("\n", ""), column, width):
        assert len(text) <= 2 * (LONGEST_LINE + 8)
        assert text.translate({0x200C: None, 0x200D: None}).isprintable()


def test_the_window_shows_the_caret() -> None:
    line = "x" * 500 + "HERE" + "x" * 500
    text, caret = shown(line, 501, 4)
    assert text[caret.index("^") :][:4] == "HERE"
    assert text.startswith("  ...x")
    assert text.endswith("x...")


def test_nothing_can_paint_the_terminal() -> None:
    finding = Diagnostic("SG204", "bad \x1b[31m", Place("f\x1b", 1, 1, 1, "\x1b]0;title\x07"), "\x9b1m")
    assert as_text([finding]).replace("\n", "").isprintable()


def test_colour_only_when_asked() -> None:
    finding = Diagnostic("SG204", "wrong", Place("f", 1, 1, 1, "x"), "right")
    assert "\x1b[31mSG204\x1b[0m" in as_text([finding], colour=True)
    assert "\x1b" not in as_text([finding])


def test_json_has_the_same_facts() -> None:
    findings = [
        Diagnostic("SG203", "wörse", Place("f", 2, 3, 4, "text"), "hint"),
        Diagnostic("SG310", "careful", severity="warning"),
    ]
    assert json.loads(as_json(findings)) == {
        "diagnostics": [
            {
                **{"file": "f", "line": 2, "column": 3, "width": 4},
                **{"code": "SG203", "severity": "error", "message": "wörse", "hint": "hint"},
            },
            {
                **{"file": None, "line": None, "column": None, "width": None},
                **{"code": "SG310", "severity": "warning", "message": "careful", "hint": None},
            },
        ]
    }
