"""Marker files, read and made outside of a spout. Pure.

The runtime owns their shapes (the template's spout/marker.py and spout/sources/pyramid.py); a contract test holds the
two sides together. There are three: JSON with ``committed`` and ``writing``; the JSON index of a pyramid in parts, with
``steps`` and ``line``; and a pyramid as plain text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from spoutgen.errors import Diagnostic, ProjectError
from spoutgen.project.difference import Facts

OPENING = b'{"spoutgen_marker":'
VERSION = 1
_LONGEST_STEP = 64
_SHOWN = 200

Kind = Literal["json", "index", "pyramid"]
_KEYS: Mapping[Kind, frozenset[str]] = {
    "json": frozenset({"committed", "writing"}),
    "index": frozenset({"steps", "line"}),
}


@dataclass(frozen=True, slots=True)
class MarkerFile:
    """What a marker file says. ``spout`` and ``source`` are None for a pyramid, which names neither.

    All up to ``committed`` is committed for good, ``committed`` to ``writing`` may be being written; for the pyramid's
    kinds both are ``{"steps": [[length, count], ...], "line": ...}``.
    """

    kind: Kind
    spout: str | None
    source: str | None
    committed: Any
    writing: Any


class MarkerError(ProjectError):
    """These bytes are no marker that this spout can go on from."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(Diagnostic("SG612", message, None, hint))


def read(data: bytes) -> MarkerFile:
    """What the bytes of a marker say. Raises MarkerError."""
    if not data.startswith(OPENING):
        if b'"spoutgen_marker"' in data and _is_json(data):
            message = "the marker was laid out anew by another program; its bytes begin with " + OPENING.decode()
            raise MarkerError(message, "take the bytes that `spoutgen marker export` printed, as they are")
        position = _pyramid(data)
        return MarkerFile("pyramid", None, None, _one_less(position), position)
    try:
        facts = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MarkerError(f"the marker is JSON that is cut or broken: {error}") from error
    if facts.get("spoutgen_marker") != VERSION:
        raise MarkerError(f"the marker is of format {facts.get('spoutgen_marker')!r}, this spoutgen knows {VERSION}")
    keys = frozenset(facts) - {"spoutgen_marker", "spout", "source"}
    kind = next((kind for kind, wanted in _KEYS.items() if keys == wanted), None)
    if kind is None or not isinstance(facts.get("spout"), str) or not isinstance(facts.get("source"), str):
        raise MarkerError(f"the marker has the keys {', '.join(sorted(facts))}, which nobody can resume from")
    if kind == "index":
        position = _checked({"steps": facts["steps"], "line": facts["line"]})
        return MarkerFile(kind, facts["spout"], facts["source"], _one_less(position), position)
    return MarkerFile(kind, facts["spout"], facts["source"], facts["committed"], facts["writing"])


def in_words(marker: MarkerFile) -> str:
    """How far a spout has come, in one line."""
    if marker.kind == "json":
        parts = (
            [f"committed up to {_brief(marker.committed)}"] if marker.committed is not None else ["at the beginning"]
        )
        return "; ".join([*parts, *([f"writing up to {_brief(marker.writing)}"] if marker.writing is not None else [])])
    lines, line = sum(count for _, count in marker.writing["steps"]), marker.writing["line"]
    shown = f"...{line[-40:]}" if len(line) > 40 else line
    return f"{lines} {'line' if lines == 1 else 'lines'}, the last one {json.dumps(shown, ensure_ascii=False)}"


def check_fits(data: bytes, facts: Facts, now: bytes | None) -> MarkerFile:
    """What ``data`` says, if the spout of ``facts`` can go on from it; ``now`` is the marker that it has, if any.

    Raises MarkerError where the runtime would refuse it, or it comes from another source.
    """
    marker, wanted = read(data), kind_of(facts)
    if marker.kind == "pyramid" and _is_json(data):
        message = "the marker is JSON that is none of spoutgen's; its bytes begin with " + OPENING.decode()
        raise MarkerError(message, "take the bytes that `spoutgen marker export` printed, as they are")
    if marker.kind != wanted and (marker.kind, wanted) != ("pyramid", "index"):  # it makes parts of a plain one
        raise MarkerError(
            f"the marker is {_KINDS[marker.kind]}; {facts.name} takes {_KINDS[wanted]}",
            "its form follows from `source.type` and from `marker:` being a name or a prefix",
        )
    if marker.spout is not None and marker.spout != facts.name:
        raise MarkerError(
            f"the marker was written by {marker.spout!r}, this is {facts.name!r}",
            "the runtime refuses the marker of another spout; give the pipeline that name",
        )
    known = identity_of(facts, now)
    if marker.source is not None and known is not None and marker.source != known:
        raise MarkerError(f"the marker is a position in the source {marker.source!r}, this spout reads {known!r}")
    return marker


def made(position: Any, facts: Facts, now: bytes | None) -> bytes:
    """A marker from which the spout goes on right after ``position``. Raises MarkerError."""
    kind = kind_of(facts)
    if kind == "pyramid":
        return b"".join(_lines(_checked(position)))
    identity = identity_of(facts, now)
    if identity is None:
        raise MarkerError(
            f"{facts.name} has no marker yet, so nobody but its source knows how the source is named in it",
            "let the spout commit once; or import a marker that was exported",
        )
    said = _checked(position) if kind == "index" else {"committed": position, "writing": None}
    marker = {"spoutgen_marker": VERSION, "spout": facts.name, "source": identity, **said}
    return json.dumps(marker, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def kind_of(facts: Facts) -> Kind:
    """Which kind of marker a spout has."""
    if facts.source != "symbol":
        return "json"
    return "index" if facts.marker and facts.marker.is_prefix else "pyramid"


def identity_of(facts: Facts, now: bytes | None) -> str | None:
    """How the source is named in markers, as far as that can be told from here."""
    if facts.source == "symbol":
        return "symbol"
    try:
        return read(now).source if now else None
    except MarkerError:
        return None


_KINDS: Mapping[Kind, str] = {
    "json": "JSON with a position",
    "index": "the index of a pyramid in parts",
    "pyramid": "a pyramid in plain text",
}


def _brief(position: Any) -> str:
    text = json.dumps(position, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _checked(position: Any) -> dict[str, Any]:
    """A position in a pyramid. Raises MarkerError."""
    wrong = MarkerError(
        "that is no position of a symbol source",
        """it is the last line and the steps to it: {"steps": [[1, 3]], "line": "..."} for three lines""",
    )
    if not isinstance(position, dict) or set(position) != {"steps", "line"} or not isinstance(position["line"], str):
        raise wrong
    steps, line = position["steps"], position["line"]
    if not isinstance(steps, list) or not steps or "\n" in line:
        raise wrong
    for step in steps:
        if not isinstance(step, list) or len(step) != 2 or not all(type(number) is int for number in step):
            raise wrong
        if not 1 <= step[0] <= _LONGEST_STEP or step[1] < 1:
            raise wrong
    if sum(length * count for length, count in steps) != len(line):
        raise wrong
    return position


def _lines(position: Mapping[str, Any]) -> Iterator[bytes]:
    end = 0
    for length, count in position["steps"]:
        for _ in range(count):
            end += length
            yield position["line"][:end].encode() + b"\n"


def _is_json(data: bytes) -> bool:
    """Whether it is a JSON list or object, and no pyramid but by chance: a single line."""
    try:
        return isinstance(json.loads(data), dict | list)
    except (ValueError, RecursionError):
        return False


def _pyramid(data: bytes) -> dict[str, Any]:
    """The position that a pyramid in plain text announces. Raises MarkerError."""
    steps: list[list[int]] = []
    line, before = "", b""
    if not data.endswith(b"\n"):
        raise MarkerError("the marker is cut: its last line has no end" if data else "the marker is empty")
    for number, raw in enumerate(data[:-1].split(b"\n"), start=1):
        try:
            step = raw[len(before) :].decode()
        except UnicodeDecodeError:
            step = ""
        if not raw.startswith(before) or not 1 <= len(step) <= _LONGEST_STEP:
            raise MarkerError(f"line {number} of the marker is not the next line of a pyramid")
        line, before = line + step, raw
        if steps and steps[-1][0] == len(step):
            steps[-1][1] += 1
        else:
            steps.append([len(step), 1])
    return {"steps": steps, "line": line}


def _one_less(position: Mapping[str, Any]) -> dict[str, Any] | None:
    """The position one line before; None before the first."""
    *before, (length, count) = position["steps"]
    steps = [*before, *([[length, count - 1]] if count > 1 else [])]
    return {"steps": steps, "line": position["line"][:-length]} if steps else None
