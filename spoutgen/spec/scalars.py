"""What a plain scalar means: the core schema of YAML 1.2 (YAML 1.2.2, section 10.3.2).

Only null, true/false, integers and decimal numbers are special; ``1:30``, dates and all the rest are text. The words
that YAML 1.1 took for booleans (yes, no, on, off) are known here too: half of all readers would still take them so.
"""

from __future__ import annotations

import math
import re

Scalar = str | int | float | bool | None

YAML_1_1_BOOLEANS = {
    **dict.fromkeys(("yes", "Yes", "YES", "on", "On", "ON"), "true"),
    **dict.fromkeys(("no", "No", "NO", "off", "Off", "OFF"), "false"),
}

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **{sign + word: math.inf for sign in ("", "+") for word in (".inf", ".Inf", ".INF")},
    **{"-" + word: -math.inf for word in (".inf", ".Inf", ".INF")},
}
_NUMBER = re.compile(
    r"(?P<int>[-+]?[0-9]+)"
    r"|0o(?P<octal>[0-7]+)"
    r"|0x(?P<hex>[0-9a-fA-F]+)"
    r"|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"
)
# int() of a long text takes quadratic time, and Python refuses more than 4,300 digits.
LONGEST_NUMBER = 40


def resolve(text: str) -> Scalar:
    """The value of a plain scalar; a number that is too long for anything is returned as an infinity."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "-+.0123456789":
        return text
    found = _NUMBER.fullmatch(text)
    if not found:
        return text
    if len(text) > LONGEST_NUMBER:
        return math.inf
    if found["int"]:
        return int(text)
    if found["octal"]:
        return int(found["octal"], 8)
    if found["hex"]:
        return int(found["hex"], 16)
    return float(text)


def is_finite(value: Scalar) -> bool:
    """Whether a value can be written as JSON."""
    return not isinstance(value, float) or math.isfinite(value)
