"""The keywords of JSON Schema (draft 2020-12) that our schemas use: which of them a value breaks, and where.

Why not jsonschema: importing it took longer than all the rest of `spoutgen validate` together (70 of 155 ms of
processor time on the machine where this was written), and judging one spec 160 us, four times as long as here. It
stays the measure: tests/unit/spec/test_keywords.py holds this module to its verdicts, on random documents as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from spoutgen.spec.document import Path
from spoutgen.spec.units import UNITS, UnitError

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Broken:
    """One broken rule: the ``keyword`` of ``schema`` that the ``value`` at ``path`` breaks.

    For a key that is missing, unknown or misnamed (required, additionalProperties, propertyNames) the path ends in that
    key, and the value is the mapping around it.
    """

    path: Path
    keyword: str
    schema: Schema
    value: Any


@dataclass(frozen=True, slots=True)
class _Scope:
    """What a keyword may look at: the schema in which it stands, the value's path, the definitions for ``$ref``."""

    schema: Schema
    path: Path
    definitions: Mapping[str, Schema]

    def broken(self, keyword: str, value: Any) -> Broken:
        return Broken(self.path, keyword, self.schema, value)

    def at(self, key: str | int, keyword: str, value: Any) -> Broken:
        path = (*self.path, key)
        return Broken(path, keyword, self.schema, value)


def check(value: Any, schema: Schema, definitions: Mapping[str, Schema], path: Path = ()) -> Iterator[Broken]:
    """Every rule of the schema that the value breaks; ``definitions`` are its ``$defs``."""
    scope = _Scope(schema, path, definitions)
    for keyword, rule in schema.items():
        judge = _KEYWORDS.get(keyword)
        if judge is not None:
            yield from judge(value, rule, scope)


def _is_met(value: Any, schema: Schema, scope: _Scope) -> bool:
    return next(check(value, schema, scope.definitions), None) is None


# Values of any kind


def _is_integer(value: Any) -> bool:
    # 1.0 is an integer to JSON Schema.
    return (isinstance(value, int) or (isinstance(value, float) and value.is_integer())) and not isinstance(value, bool)


_TYPES: Mapping[str, Callable[[Any], bool]] = MappingProxyType(
    {
        "object": lambda value: isinstance(value, dict),
        "array": lambda value: isinstance(value, list),
        "string": lambda value: isinstance(value, str),
        "integer": _is_integer,
        "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
        "boolean": lambda value: isinstance(value, bool),
    }
)


def _type(value: Any, rule: str | list[str], scope: _Scope) -> Iterator[Broken]:
    if not any(_TYPES[name](value) for name in ([rule] if isinstance(rule, str) else rule)):
        yield scope.broken("type", value)


def _const(value: Any, rule: Any, scope: _Scope) -> Iterator[Broken]:
    if value != rule or isinstance(value, bool) != isinstance(rule, bool):
        yield scope.broken("const", value)


def _enum(value: Any, rule: list[Any], scope: _Scope) -> Iterator[Broken]:
    if not any(value == choice and isinstance(value, bool) == isinstance(choice, bool) for choice in rule):
        yield scope.broken("enum", value)


# Texts and numbers


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    # The patterns are ECMAScript's, where $ is the very end; Python's $ lets a final line break pass.
    return re.compile(re.sub(r"(?<!\\)\$(?=\)|$)", r"\\Z", pattern))


def _text(name: str, is_met: Callable[[str, Any], bool]) -> Callable[[Any, Any, _Scope], Iterator[Broken]]:
    def judge(value: Any, rule: Any, scope: _Scope) -> Iterator[Broken]:
        if isinstance(value, str) and not is_met(value, rule):
            yield scope.broken(name, value)

    return judge


def _number(name: str, is_met: Callable[[float, float], bool]) -> Callable[[Any, Any, _Scope], Iterator[Broken]]:
    def judge(value: Any, rule: float, scope: _Scope) -> Iterator[Broken]:
        if _TYPES["number"](value) and not is_met(value, rule):
            yield scope.broken(name, value)

    return judge


def _x_maximum(value: Any, rule: str, scope: _Scope) -> Iterator[Broken]:
    parse = UNITS[scope.schema["x-unit"]]
    try:
        if isinstance(value, str) and parse(value) > parse(rule):
            yield scope.broken("x-maximum", value)
    except UnitError:
        return  # the pattern says so already


# Mappings and lists


def _properties(value: Any, rule: Mapping[str, Schema], scope: _Scope) -> Iterator[Broken]:
    if isinstance(value, dict):
        for key, schema in rule.items():
            if key in value:
                yield from check(value[key], schema, scope.definitions, (*scope.path, key))


def _additional_properties(value: Any, rule: bool | Schema, scope: _Scope) -> Iterator[Broken]:
    if not isinstance(value, dict):
        return
    named = scope.schema.get("properties", {})
    for key, item in value.items():
        if key in named:
            continue
        if rule is False:
            yield scope.at(key, "additionalProperties", value)
        elif isinstance(rule, Mapping):
            yield from check(item, rule, scope.definitions, (*scope.path, key))


def _property_names(value: Any, rule: Schema, scope: _Scope) -> Iterator[Broken]:
    for key in value if isinstance(value, dict) else ():
        for broken in check(key, rule, scope.definitions):
            path = (*scope.path, key)
            yield Broken(path, "propertyNames", broken.schema, value)


def _required(value: Any, rule: list[str], scope: _Scope) -> Iterator[Broken]:
    for key in rule if isinstance(value, dict) else ():
        if key not in value:
            yield scope.at(key, "required", value)


def _min_properties(value: Any, rule: int, scope: _Scope) -> Iterator[Broken]:
    if isinstance(value, dict) and len(value) < rule:
        yield scope.broken("minProperties", value)


def _max_properties(value: Any, rule: int, scope: _Scope) -> Iterator[Broken]:
    if isinstance(value, dict) and len(value) > rule:
        yield scope.broken("maxProperties", value)


def _items(value: Any, rule: Schema, scope: _Scope) -> Iterator[Broken]:
    for index, item in enumerate(value if isinstance(value, list) else ()):
        yield from check(item, rule, scope.definitions, (*scope.path, index))


# Schemas made of schemas


def _ref(value: Any, rule: str, scope: _Scope) -> Iterator[Broken]:
    yield from check(value, scope.definitions[rule.removeprefix("#/$defs/")], scope.definitions, scope.path)


def _all_of(value: Any, rule: list[Schema], scope: _Scope) -> Iterator[Broken]:
    for schema in rule:
        yield from check(value, schema, scope.definitions, scope.path)


def _if(value: Any, rule: Schema, scope: _Scope) -> Iterator[Broken]:
    branch = scope.schema.get("then" if _is_met(value, rule, scope) else "else")
    if branch is not None:
        yield from check(value, branch, scope.definitions, scope.path)


def _not(value: Any, rule: Schema, scope: _Scope) -> Iterator[Broken]:
    if _is_met(value, rule, scope):
        yield scope.broken("not", value)


_KEYWORDS: Mapping[str, Callable[[Any, Any, _Scope], Iterator[Broken]]] = MappingProxyType(
    {
        "$ref": _ref,
        "type": _type,
        "const": _const,
        "enum": _enum,
        "pattern": _text("pattern", lambda value, rule: _compiled(rule).search(value) is not None),
        "minLength": _text("minLength", lambda value, rule: len(value) >= rule),
        "maxLength": _text("maxLength", lambda value, rule: len(value) <= rule),
        "minimum": _number("minimum", lambda value, rule: value >= rule),
        "maximum": _number("maximum", lambda value, rule: value <= rule),
        "exclusiveMinimum": _number("exclusiveMinimum", lambda value, rule: value > rule),
        "x-maximum": _x_maximum,
        "required": _required,
        "properties": _properties,
        "additionalProperties": _additional_properties,
        "propertyNames": _property_names,
        "minProperties": _min_properties,
        "maxProperties": _max_properties,
        "items": _items,
        "allOf": _all_of,
        "if": _if,
        "not": _not,
    }
)
# What says nothing about a value, or is read by the keyword beside it.
WITHOUT_VERDICT = frozenset({"$schema", "$id", "$defs", "title", "description", "default", "examples", "then", "else"})
KNOWN = frozenset(_KEYWORDS) | WITHOUT_VERDICT
