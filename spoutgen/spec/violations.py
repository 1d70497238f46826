"""What the schema says against a document -> findings in plain English, one for each mistake, each at its place.

jsonschema tells which rule failed and where; its own messages are for programmers. Ours are made of the schema's
annotations (see :mod:`spoutgen.spec.schema`). One mistake can break several rules: a misspelt key is unknown and leaves
another one missing; a number where a word is wanted has the wrong type and is not in the list. Each is told once.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from spoutgen.errors import Diagnostic
from spoutgen.spec import schema
from spoutgen.spec.document import Document, Path
from spoutgen.spec.units import UNITS, UnitError, format_duration, format_size

_SHOWN = 40
_LISTED = 20
_LONGEST_WORD = 64


def check(document: Document, spoilt: Collection[Path]) -> list[tuple[Path, Diagnostic]]:
    """A finding with its path for each mistake that the schema sees, but none about the ``spoilt`` paths."""
    complaints: dict[Path, _Complaint] = {}
    for error in schema.errors(document.data):
        for complaint in _complaints(error, document.data):
            known = complaints.get(complaint.path)
            if known is None or complaint.rank < known.rank:
                complaints[complaint.path] = complaint
    unknown = {path[:-1] for path, complaint in complaints.items() if complaint.rule == "unknown"}
    return [
        (path, _diagnostic(document, complaint))
        for path, complaint in complaints.items()
        if path not in spoilt and not (complaint.rule in ("minProperties", "maxProperties") and path in unknown)
    ]


@dataclass(frozen=True, slots=True)
class _Complaint:
    """One broken rule: unknown, missing, key, or a keyword of JSON Schema; ``schema`` is where it stands."""

    path: Path
    rule: str
    schema: schema.Schema
    value: Any = None
    meant: str | None = None

    @property
    def rank(self) -> int:
        """The lower, the nearer to the mistake itself."""
        return {"unknown": 0, "type": 0, "missing": 2}.get(self.rule, 1)


def _complaints(error: Any, data: Any) -> Iterable[_Complaint]:
    path: Path = tuple(error.absolute_path)
    value, broken = error.instance, error.schema
    if error.validator == "required":
        # jsonschema gives one error for each missing key, but tells its name only in the message.
        for key in broken["required"]:
            if key not in value:
                yield _missing(path, key, value, data)
    elif error.validator == "additionalProperties":
        for key in value:
            if key not in broken["properties"]:
                yield _Complaint((*path, key), "unknown", broken, None, near(key, broken["properties"], value))
    elif "propertyNames" in error.absolute_schema_path:
        yield _Complaint((*path, value), "key", broken, value)
    else:
        yield _Complaint(path, error.validator, broken, value)


def _missing(path: Path, key: str, siblings: Mapping[str, Any], data: Any) -> _Complaint:
    """The complaint about a missing key, or about the key that was meant to be it."""
    parent = schema.at(path, data) or {}
    named = schema.properties(parent, siblings)
    for sibling in siblings:
        if sibling not in named and near(sibling, (key,)) == key:
            return _Complaint((*path, sibling), "unknown", parent, None, key)
    return _Complaint((*path, key), "missing", named.get(key, {}))


def near(word: str, known: Iterable[str], present: Collection[str] = ()) -> str | None:
    """The known word that was probably meant, unless it is nearly the same word one that is not there yet."""
    if len(word) > _LONGEST_WORD:
        return None
    wanted = re.sub("[_-]", "", word).lower()
    by_fold = {re.sub("[_-]", "", name).lower(): name for name in known}
    by_fold = {folded: name for folded, name in by_fold.items() if _may_be_meant(wanted, folded)}
    absent = [folded for folded, name in by_fold.items() if name not in present]
    tries = ((by_fold, 0.85), (absent, 0.7), (by_fold, 0.75))
    close = next(filter(None, (difflib.get_close_matches(wanted, words, 1, cutoff) for words, cutoff in tries)), None)
    return by_fold[close[0]] if close else None


def _may_be_meant(word: str, known: str) -> bool:
    """Whether slips of the fingers make ``word`` of ``known``, or something was left out or added at one of its ends.

    difflib only counts letters in common, by which `retries` is like `metrics`.
    """
    if word in known or known in word:
        return True
    letters = max(len(word), len(known))
    least = 2 if letters > 4 and word[0] == known[0] else 1
    return _slips(word, known) <= max(least, letters // 4)


def _slips(word: str, other: str) -> int:
    """How many letters are wrong, missing or too many, or pairs of neighbours exchanged."""
    rows = [list(range(len(other) + 1))]
    for at, letter in enumerate(word):
        above, row = rows[-1], [at + 1]
        for to, wanted in enumerate(other):
            best = min(above[to] + (letter != wanted), above[to + 1] + 1, row[to] + 1)
            if at and to and letter == other[to - 1] and word[at - 1] == wanted:
                best = min(best, rows[-2][to - 1] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]


# Words


def _diagnostic(document: Document, complaint: _Complaint) -> Diagnostic:
    name = dotted(complaint.path)
    match complaint.rule:
        case "unknown":
            code = "SG308" if complaint.path[0] == "pipeline" else "SG201"
            return document.at_key(complaint.path, code, f"unknown key `{name}`", _unknown_hint(complaint))
        case "missing":
            hint = _missing_hint(complaint)
            return document.at_key(complaint.path[:-1], "SG202", f"`{name}` is missing", hint)
        case "key":
            message = f"the key `{name}` must be {_expects(complaint.schema)}"
            return document.at_key(complaint.path, "SG204", message, _characters_hint(complaint))
        case "minProperties":
            return document.at_value(complaint.path, "SG202", f"`{name}` must be {_expects(complaint.schema)}")
        case "maxProperties":
            message = f"`{name}` must be {_expects(complaint.schema)}, not both"
            return document.at_value(complaint.path, "SG204", message)
        case "type":
            message = f"`{name}` must be {_expects(complaint.schema)}, not {described(complaint.value)}"
            return document.at_value(complaint.path, "SG203", message, _type_hint(document, complaint))
        case "not":
            message = f"`{name}` {complaint.schema['x-message']}"
            return document.at_key(complaint.path, "SG204", message, complaint.schema.get("x-hint"))
        case _:
            message = f"`{name}` must be {_expects(complaint.schema)}, not {described(complaint.value)}"
            code = complaint.schema.get("x-code", "SG204")
            return document.at_value(complaint.path, code, message, _value_hint(complaint))


def dotted(path: Path) -> str:
    """A path as messages show it: ``source.interval``, ``secrets[0].name``."""
    text = "".join(f"[{key}]" if isinstance(key, int) else "." + (key or '""') for key in path)
    return _cut(text.removeprefix("."), 80) or "the spec"


def described(value: Any) -> str:
    """A value in a message: short, and never more than one line."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return json.dumps(_cut(value, _SHOWN), ensure_ascii=False) if value else "empty text"
    if isinstance(value, list):
        return "a list"
    return "a mapping" if isinstance(value, dict) else f"the number {_cut(str(value), _SHOWN)}"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def _expects(broken: schema.Schema) -> str:
    expects: str = broken.get("x-expects", "something else")
    return expects


def _value_hint(complaint: _Complaint) -> str | None:
    """What to write instead of a value of the right type that is not allowed."""
    broken, value = complaint.schema, complaint.value
    hint: str | None = broken.get("x-hint")
    if not isinstance(value, str):
        return hint
    if "x-unit" in broken:
        return _unit_hint(broken, value)
    if "enum" in broken:
        choices = list(filter(_is_text, broken["enum"]))
        meant = near(value, choices)
        return f"did you mean `{meant}`?" if meant else f"there is: {', '.join(choices)}"
    return _characters_hint(complaint) or hint


def _characters_hint(complaint: _Complaint) -> str | None:
    """The characters of the value, or of the key, that are not allowed in it."""
    allowed = complaint.schema.get("x-characters")
    if allowed is None:
        return None
    wrong = [char for char in dict.fromkeys(complaint.value) if not re.fullmatch(allowed, char)]
    listed = " ".join("a space" if char == " " else json.dumps(char, ensure_ascii=False) for char in wrong[:8])
    return f"not allowed in it: {listed}" if wrong else None


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _unit_hint(broken: schema.Schema, value: str) -> str | None:
    parse = UNITS[broken["x-unit"]]
    try:
        number = parse(value)
    except UnitError as error:
        return error.hint
    return "it must be more than nothing" if number == 0 else f"at most {broken['x-maximum']}"


def _type_hint(document: Document, complaint: _Complaint) -> str | None:
    """What to write instead of a value of the wrong type."""
    broken, value = complaint.schema, complaint.value
    types = broken["type"] if isinstance(broken["type"], list) else [broken["type"]]
    node = document.nodes.get(complaint.path)
    written = node.text.text[node.start : node.end] if node and node.kind == "scalar" else None
    if value is None:
        return _empty_hint(document, complaint, "string" in types)
    if "string" in types and isinstance(value, bool | int | float) and written is not None:
        if broken.get("x-unit") and not isinstance(value, bool):
            return f"write {format_duration(value) if broken['x-unit'] == 'duration' else format_size(int(value))}"
        return f'write "{written}"'
    if isinstance(value, str) and {"integer", "number", "boolean"} & set(types):
        return _number_hint(value, types)
    if "array" in types and isinstance(value, dict):
        return "begin each item with `- `"
    return None


def _empty_hint(document: Document, complaint: _Complaint, wants_text: bool) -> str:
    """What to do about a key without a value: it may be meant as text, or be a comment by mistake."""
    node = document.nodes.get(complaint.path)
    if node is not None and wants_text and "x-unit" not in complaint.schema:
        text = node.text.text
        rest = text[node.end :].split("\n", 1)[0].strip()
        if node.end > node.start:
            return f'write "{text[node.start : node.end]}" for the text'
        if rest.startswith("#"):
            return f'everything after # is a comment; put the value in quotes: "{_cut(rest, 20)}"'
    outer = schema.at(complaint.path[:-1], document.data) or {}
    return "write a value" if complaint.path[-1] in outer.get("required", ()) else "write a value, or remove the key"


def _number_hint(value: str, types: list[str]) -> str | None:
    text = value.strip()
    if "boolean" in types:
        return f"remove the quotes: {text.lower()}" if text.lower() in ("true", "false") else None
    if re.fullmatch(r"[0-9]{1,15}", text):
        return f"remove the quotes: {text}"
    if "number" in types and (milli := re.fullmatch(r"([0-9]{1,9})m", text)):
        return f"write {int(milli[1]) / 1000:g}"
    return None


def _missing_hint(complaint: _Complaint) -> str | None:
    key, examples = complaint.path[-1], complaint.schema.get("examples")
    if not examples:
        return f"add `{key}: ...`"
    example = examples[0]
    text = json.dumps(example, ensure_ascii=False)
    plain = isinstance(example, str) and re.fullmatch(r"[a-zA-Z][\w.:/-]*", example)
    return f"add `{key}: {example if plain else text}`"


def _unknown_hint(complaint: _Complaint) -> str | None:
    key = str(complaint.path[-1])
    if len(complaint.path) == 1 and re.sub("([A-Z])", r"_\1", key).lower() in _pipeline_fields():
        return "fields of the pipeline specification go under `pipeline:`"
    if complaint.meant:
        return f"did you mean `{complaint.meant}`?"
    elsewhere = [parent for parent in _homes().get(key, ()) if parent != ".".join(map(str, complaint.path[:-1]))]
    if elsewhere:
        return f"`{key}` belongs under `{elsewhere[0]}:`"
    known = sorted(schema.properties(complaint.schema, {}))
    return f"the keys here are {', '.join(known)}" if 0 < len(known) <= _LISTED else None


@cache
def _homes() -> dict[str, list[str]]:
    """For each key below the top, the mappings in which it is known: interval -> [source]."""
    homes: dict[str, list[str]] = {}
    for parent in ("source", "marker", "output", "batch", "resources", "resources.requests"):
        for source_type in schema.source_types():
            data = {"source": {"type": source_type}}
            found = schema.at(tuple(parent.split(".")), data) or {}
            for key in schema.properties(found, data.get(parent)):
                if parent not in homes.setdefault(key, []):
                    homes[key].append(parent)
    return homes


@cache
def _pipeline_fields() -> frozenset[str]:
    """The top-level fields of a Pachyderm pipeline specification, in snake_case."""
    fields = (field for target in (1, 2) for field in schema.bundle()["$defs"][f"pipeline-{target}"]["properties"])
    return frozenset(re.sub("([A-Z])", r"_\1", field).lower() for field in fields)
