"""Findings as text for people and as JSON for programs."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from spoutgen.errors import Diagnostic, Place

# A longer line is cut to a window around the caret.
LONGEST_LINE = 120
_CUT = "..."
# Parts of emoji and of some scripts: without a width and not "printable", but harmless.
_JOINERS = "\u200c\u200d"

_COLOURS: Mapping[str, str] = MappingProxyType({"error": "31", "warning": "33", "hint": "36"})


def as_text(diagnostics: Iterable[Diagnostic], *, colour: bool = False) -> str:
    """``file:line:column: CODE message``, the line, a caret and a hint, for each finding."""
    return "".join(_finding(diagnostic, colour) for diagnostic in diagnostics)


def as_json(diagnostics: Iterable[Diagnostic]) -> str:
    """``{"diagnostics": [{file, line, column, width, code, severity, message, hint}]}``; no place is null."""
    return (
        json.dumps({"diagnostics": [_as_data(diagnostic) for diagnostic in diagnostics]}, indent=2, ensure_ascii=False)
        + "\n"
    )


def _as_data(diagnostic: Diagnostic) -> dict[str, Any]:
    place = diagnostic.place
    return {
        "file": place.file if place else None,
        "line": place.line if place else None,
        "column": place.column if place else None,
        "width": place.width if place else None,
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "hint": diagnostic.hint,
    }


def _finding(diagnostic: Diagnostic, colour: bool) -> str:
    place = diagnostic.place
    where = f"{printable(place.file)}:{place.line}:{place.column}: " if place else ""
    kind = f"{diagnostic.code} warning:" if diagnostic.severity == "warning" else diagnostic.code
    lines = [f"{where}{_painted(kind, diagnostic.severity, colour)} {printable(diagnostic.message)}"]
    if place and place.text and place.text.strip():
        line, caret = _shown(place)
        lines += [f"  {line}", f"  {_painted(caret, diagnostic.severity, colour)}"]
    if diagnostic.hint:
        lines.append(f"  {_painted('hint:', 'hint', colour)} {printable(diagnostic.hint)}")
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _painted(text: str, kind: str, colour: bool) -> str:
    if not colour:
        return text
    shown = text.lstrip(" ")
    return f"{text[: len(text) - len(shown)]}\x1b[{_COLOURS[kind]}m{shown}\x1b[0m"


def _shown(place: Place) -> tuple[str, str]:
    """The line as a terminal shows it, cut to a window around the caret, and the line with the caret under it."""
    text = place.text or ""
    start = min(place.column - 1, len(text))
    end = min(start + place.width, max(len(text), start + 1))
    first, last = 0, len(text)
    if last > LONGEST_LINE:
        first = max(0, min(start - LONGEST_LINE // 3, len(text) - LONGEST_LINE))
        last = first + LONGEST_LINE
    head = _CUT if first else ""
    tail = _CUT if last < len(text) else ""
    before, under = head + _visible(text[first:start]), _visible(text[start : min(end, last)])
    caret = " " * _columns(before) + "^" + "~" * (_columns(under) - 1)
    return before + under + _visible(text[max(start, min(end, last)) : last]) + tail, caret


def _visible(text: str) -> str:
    """Text as it can be shown in one line: tabs as two spaces, unprintable characters as their replacement."""
    return "".join(
        "  " if char == "\t" else char if char.isprintable() or char in _JOINERS else "\ufffd" for char in text
    )


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(
        0
        if unicodedata.combining(char) or char in _JOINERS or char in "\ufe0e\ufe0f"
        else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def printable(text: str) -> str:
    """A message without anything that would move a terminal's cursor or change its colours."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
