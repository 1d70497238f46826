"""Plain scalars mean what YAML 1.2's core schema says."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoutgen.spec.scalars import is_finite, resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(text, None) for text in ("", "~", "null", "Null", "NULL")],
        *[(text, True) for text in ("true", "True", "TRUE")],
        *[(text, False) for text in ("false", "False", "FALSE")],
        ("0", 0),
        ("-12", -12),
        ("+7", 7),
        ("007", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("-1e3", -1000.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("9" * 41, math.inf),
        *[
            (text, text)
            for text in (
                *(
                    "1:30",
                    "2026-11-22",
                    "1_000",
                    "0b11",
                    "0o9",
                    "0xG",
                    "0x",
                    "-0x1F",
                    "yes",
                    "Off",
                    "y",
                    ".",
                    "-",
                    "+",
                    "e3",
                ),
                *("..5", "1e", "nULL", "tRUE", "=", "<<", "1.2.3", "0777a", "٣", "1 ", "Infinity", "nan"),
            )
        ],
    ],
)
def test_resolve(text: str, value: object) -> None:
    found = resolve(text)
    assert found == value
    assert type(found) is type(value)


def test_not_a_number() -> None:
    found = resolve(".NaN")
    assert isinstance(found, float)
    assert math.isnan(found)
    assert not is_finite(found)
    assert is_finite("inf")


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    resolve(text)
