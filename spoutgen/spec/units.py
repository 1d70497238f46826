"""Durations (`1h30m`) and sizes (`8MiB`): text to numbers and back.

A duration is a number of seconds, a size a whole number of bytes. Both texts are whole numbers with units, largest
unit first, so that every value has a plain form and nothing depends on how a float is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

# Seconds as milliseconds, so that the sum is exact.
DURATION_UNITS = MappingProxyType({"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1})
SIZE_UNITS = MappingProxyType({"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1})

# What Kubernetes takes for memory and disk, and our own sizes.
QUANTITY_UNITS = MappingProxyType(
    {
        **SIZE_UNITS,
        **{"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40},
        **{"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12},
    }
)

_DURATION = re.compile(r"(?=\d)(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?(?:(\d{1,9})ms)?", re.ASCII)
_SIZE = re.compile(r"(\d{1,15})(GiB|MiB|KiB|B)", re.ASCII)
_QUANTITY = re.compile(r"(\d{1,15})(GiB|MiB|KiB|B|Ki|Mi|Gi|Ti|k|M|G|T)", re.ASCII)
_NUMBER = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([A-Za-zµ]*)", re.ASCII)

_DURATION_WORDS = MappingProxyType(
    {
        **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1_000),
        **dict.fromkeys(("ms", "msec", "millis", "millisecond", "milliseconds"), 1),
        **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60_000),
        **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3_600_000),
        **dict.fromkeys(("d", "day", "days"), 86_400_000),
    }
)
_SIZE_WORDS = MappingProxyType(
    {
        **dict.fromkeys(("", "b", "byte", "bytes"), 1),
        **dict.fromkeys(("k", "kb", "ki", "kib"), 1 << 10),
        **dict.fromkeys(("m", "mb", "mi", "mib"), 1 << 20),
        **dict.fromkeys(("g", "gb", "gi", "gib"), 1 << 30),
    }
)


class UnitError(ValueError):
    """A text that is no duration or size; ``hint`` says what to write instead, where that can be guessed."""

    def __init__(self, message: str, hint: str | None) -> None:
        super().__init__(message)
        self.hint = hint


def parse_duration(text: str) -> float:
    """Seconds in a text such as ``200ms``, ``30s``, ``5m`` or ``1h30m``; raises :class:`UnitError`."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise UnitError(f"{text!r} is not a duration", _duration_hint(text))
    milliseconds = sum(
        int(number) * unit for number, unit in zip(found.groups(), DURATION_UNITS.values(), strict=True) if number
    )
    return milliseconds / 1_000


def parse_size(text: str) -> int:
    """Bytes in a text such as ``512B``, ``64KiB`` or ``8MiB``; raises :class:`UnitError`."""
    found = _SIZE.fullmatch(text)
    if not found:
        raise UnitError(f"{text!r} is not a size", _size_hint(text))
    return int(found[1]) * SIZE_UNITS[found[2]]


def format_duration(seconds: float) -> str:
    """The shortest exact text of a duration in whole milliseconds: 5400 -> ``1h30m``, 0.2 -> ``200ms``."""
    rest = round(seconds * 1_000)
    text = ""
    for unit, milliseconds in DURATION_UNITS.items():
        count, rest = divmod(rest, milliseconds)
        if count:
            text += f"{count}{unit}"
    return text or "0s"


def format_size(size: int) -> str:
    """The text of a size in the largest unit that divides it: 8388608 -> ``8MiB``, 1500 -> ``1500B``."""
    unit = next(unit for unit, bytes_ in SIZE_UNITS.items() if size % bytes_ == 0) if size else "B"
    return f"{size // SIZE_UNITS[unit]}{unit}"


def _duration_hint(text: str) -> str | None:
    found = _NUMBER.fullmatch(text.strip())
    if not found:
        return "write whole numbers with h, m, s or ms, largest first: 1h30m, 5m, 30s, 200ms"
    number, word = found.groups()
    if not word and number.isdecimal():
        return f"write {number}s"
    # A bare number means seconds everywhere else, so that is what its author meant.
    factor = 1_000 if not word else _DURATION_WORDS.get(word.lower())
    if factor is None:
        return "the units are h, m, s and ms"
    milliseconds = float(number) * factor
    if milliseconds < 1 or not milliseconds.is_integer():
        return "the smallest step is 1ms"
    return f"write {format_duration(milliseconds / 1_000)}"


def _size_hint(text: str) -> str | None:
    found = _NUMBER.fullmatch(text.strip())
    factor = _SIZE_WORDS.get(found[2].lower()) if found else None
    if not found or factor is None:
        return "write a whole number with B, KiB, MiB or GiB: 64KiB, 8MiB"
    size = float(found[1]) * factor
    if size < 1 or not size.is_integer():
        return "write a whole number of bytes"
    kind = "; the units are powers of 1024" if found[2] and found[2] not in SIZE_UNITS else ""
    return f"write {format_size(int(size))}{kind}"


def parse_quantity(text: str) -> int:
    """Bytes in a size as spoutgen or Kubernetes writes it: ``64MiB``, ``64Mi``, ``64M``; raises :class:`UnitError`."""
    found = _QUANTITY.fullmatch(text)
    if not found:
        raise UnitError(f"{text!r} is not a size", _size_hint(text))
    return int(found[1]) * QUANTITY_UNITS[found[2]]


def kubernetes_quantity(text: str) -> str:
    """A checked quantity in Kubernetes' spelling: ``64MiB`` -> ``64Mi``, ``512B`` -> ``512``; others stay."""
    return text.removesuffix("B")


UNITS: Mapping[str, Callable[[str], float]] = MappingProxyType(
    {"duration": parse_duration, "size": parse_size, "quantity": parse_quantity}
)
