"""Values -> YAML: the plainest text that every reader, also one of YAML 1.1, takes for exactly this value."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from spoutgen.spec.scalars import YAML_1_1_BOOLEANS, resolve

_WORD = r"[A-Za-z0-9_/.$%@+~=<>;^()'-]"
_PLAIN = re.compile(rf"[A-Za-z0-9_/.$]{_WORD}*(?:[: ]{_WORD}+)*", re.ASCII)
# Numbers, times and dates of YAML 1.1: 1_000, 1:30, 2020-01-01T10:00:00Z, 0x1F, 1e5.
_LIKE_A_NUMBER = re.compile(r"(?=.*[0-9])[-+.0-9_:a-fA-FeExXoOtTzZ ]+|[^A-Za-z]+", re.ASCII)
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\xa0\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\uffff]"
)


def writings(value: Any, style: str, indent: str = "", *, in_flow: bool) -> Iterator[str]:
    """The ways to write a value, the one like ``style`` first (see document.Node), the safest last.

    ``indent`` is what the lines of a block scalar begin with.
    """
    if not isinstance(value, str):
        yield flow(value, in_flow=in_flow)
        return
    if style == "'" and not _UNSEEN.search(value):
        yield "'" + value.replace("'", "''") + "'"
    elif style == "|" and "\n" in value:
        lines = value.removesuffix("\n").split("\n")
        yield "\n".join(["|" if value.endswith("\n") else "|-", *(indent + line if line else "" for line in lines)])
    elif style == "" and is_plain(value):
        yield value
    yield quoted(value)


def flow(value: Any, *, in_flow: bool = True) -> str:
    """A value in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key_text(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str):
        return value if is_plain(value) else quoted(value)
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    return json.dumps(value)


def key_text(key: str | int) -> str:
    """A mapping's key."""
    return str(key) if is_plain(str(key)) else quoted(str(key))


def is_plain(text: str) -> bool:
    """Whether a text means itself without quotes, in block and in flow style."""
    if not _PLAIN.fullmatch(text) or _LIKE_A_NUMBER.fullmatch(text):
        return False
    return isinstance(resolve(text), str) and text not in YAML_1_1_BOOLEANS and text.lower() not in ("y", "n")


def quoted(text: str) -> str:
    """The text in double quotes; what cannot be seen, or would not survive, as an escape."""

    def escaped(found: re.Match[str]) -> str:
        code = ord(found[0])
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"

    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{_UNSEEN.sub(escaped, text)}"'
