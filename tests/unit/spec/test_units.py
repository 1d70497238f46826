"""Durations and sizes: text to numbers and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoutgen.spec.units import (
    UnitError,
    format_duration,
    format_size,
    kubernetes_quantity,
    parse_duration,
    parse_quantity,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("200ms", 0.2), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("1h1m1s1ms", 3661.001), ("90s", 90), ("0s", 0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("30", "write 30s"),
        ("1.5s", "write 1s500ms"),
        ("0.5 h", "write 30m"),
        ("30 sec", "write 30s"),
        ("2days", "write 48h"),
        ("5min", "write 5m"),
        ("1h 30m", "write whole numbers with h, m, s or ms, largest first: 1h30m, 5m, 30s, 200ms"),
        ("30m1h", "write whole numbers with h, m, s or ms, largest first: 1h30m, 5m, 30s, 200ms"),
        ("", "write whole numbers with h, m, s or ms, largest first: 1h30m, 5m, 30s, 200ms"),
        ("-5s", "write whole numbers with h, m, s or ms, largest first: 1h30m, 5m, 30s, 200ms"),
        ("5 fortnights", "the units are h, m, s and ms"),
        ("1us", "the units are h, m, s and ms"),
        ("0.5ms", "the smallest step is 1ms"),
        ("٣s", "write whole numbers with h, m, s or ms, largest first: 1h30m, 5m, 30s, 200ms"),
        ("5s\n", "write 5s"),
    ],
)
def test_what_is_no_duration(text: str, hint: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse_duration(text)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("text", "size"), [("1B", 1), ("64KiB", 65_536), ("8MiB", 8_388_608), ("1GiB", 1_073_741_824), ("0B", 0)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("8", "write 8B"),
        ("8388608", "write 8MiB"),
        ("8MB", "write 8MiB; the units are powers of 1024"),
        ("8M", "write 8MiB; the units are powers of 1024"),
        ("1.5KiB", "write 1536B"),
        ("0.3KiB", "write a whole number of bytes"),
        ("8 MiB", "write 8MiB"),
        ("eight", "write a whole number with B, KiB, MiB or GiB: 64KiB, 8MiB"),
        ("8TiB", "write a whole number with B, KiB, MiB or GiB: 64KiB, 8MiB"),
    ],
)
def test_what_is_no_size(text: str, hint: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse_size(text)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("text", "size", "kubernetes"),
    [
        ("64MiB", 1 << 26, "64Mi"),
        ("64Mi", 1 << 26, "64Mi"),
        ("64M", 64_000_000, "64M"),
        ("512B", 512, "512"),
        ("1k", 1_000, "1k"),
        ("2Ti", 1 << 41, "2Ti"),
    ],
)
def test_quantities(text: str, size: int, kubernetes: str) -> None:
    assert parse_quantity(text) == size
    assert kubernetes_quantity(text) == kubernetes


def test_what_is_no_quantity() -> None:
    with pytest.raises(UnitError, match="'64 MiB' is not a size"):
        parse_quantity("64 MiB")


@given(st.integers(0, 10**11))
def test_durations_round_trip(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.integers(0, 10**14))
def test_sizes_round_trip(size: int) -> None:
    assert parse_size(format_size(size)) == size
