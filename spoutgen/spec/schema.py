"""The JSON Schemas: what they say about a document, and the defaults they hold. The only importer of jsonschema.

The schema files are the truth, for editors as for us. What a person must read stands in them too, as annotations:

``x-expects``     what a value must be, a noun phrase: "a duration such as 30s"
``x-message``     the end of the message, for a rule that is not about one value's form: "does not go with `mount`"
``x-hint``        a hint to go with it
``x-code``        the finding's code, where SG204 would say too little
``x-characters``  the pattern of one allowed character, so that the message can name those that are not allowed
``x-unit``        duration, size or quantity: what spoutgen.spec.units makes of the text
``x-maximum``     the largest duration or size
``x-spoutgen``    of a source type: its requirements, and its defaults for ``output`` and ``batch``
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from spoutgen.resources import schemas_dir
from spoutgen.spec.units import UNITS, UnitError

Schema = Mapping[str, Any]


@cache
def source_types() -> tuple[str, ...]:
    """The source types that exist, in alphabetical order."""
    return tuple(sorted(path.stem for path in (schemas_dir() / "sources").glob("*.json")))


@cache
def source_schema(source_type: str) -> Schema:
    """The schema of one source type's options; ``source_type`` must exist."""
    schema: Schema = json.loads((schemas_dir() / "sources" / f"{source_type}.json").read_text("utf-8"))
    return schema


@cache
def bundle() -> Schema:
    """The whole schema as one document without outside references, as editors like it."""
    text = (schemas_dir() / "spec-1.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(re.sub(r'"sources/([a-z0-9_-]+)\.json"', r'"#/$defs/source-\1"', text))
    for source_type in source_types():
        source = {key: value for key, value in source_schema(source_type).items() if key not in ("$schema", "$id")}
        schema["$defs"][f"source-{source_type}"] = source
    return schema


def errors(data: Any) -> Iterator[Any]:
    """jsonschema's ValidationErrors about plain data, in no order that means anything."""
    iterate: Callable[[Any], Iterator[Any]] = _validator().iter_errors
    return iterate(data)


@cache
def _validator() -> Any:
    # Importing jsonschema takes longer than all the rest of a `validate` together, so it comes last.
    from jsonschema import Draft202012Validator, ValidationError  # noqa: PLC0415
    from jsonschema.validators import extend  # noqa: PLC0415

    @cache
    def compiled(pattern: str) -> re.Pattern[str]:
        # JSON Schema's patterns are ECMAScript's, where $ is the very end; Python's $ lets a final line break pass.
        return re.compile(re.sub(r"(?<!\\)\$(?=\)|$)", r"\\Z", pattern))

    def pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[Any]:
        if isinstance(instance, str) and not compiled(pattern).search(instance):
            yield ValidationError("pattern")

    def maximum(_validator: Any, limit: str, instance: Any, schema: Any) -> Iterator[Any]:
        parse = UNITS[schema["x-unit"]]
        try:
            if isinstance(instance, str) and parse(instance) > parse(limit):
                yield ValidationError("maximum")
        except UnitError:
            return  # the pattern says so already

    return extend(Draft202012Validator, {"pattern": pattern, "x-maximum": maximum})(bundle())


# Walking the schema


def resolved(schema: Schema) -> Schema:
    """The schema with its own ``$ref`` replaced by what it refers to; its own keywords win."""
    while "$ref" in schema:
        target = bundle()["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema


def at(path: tuple[str | int, ...], source_type: object = None) -> Schema | None:
    """The schema of the value at ``path``, for a spec of that source type; None where there is none."""
    schema: Schema = bundle()
    for key in path:
        found = next((child for part in _parts(schema, source_type) if (child := _child(part, key)) is not None), None)
        if found is None:
            return None
        schema = resolved(found)
    return schema


def properties(schema: Schema, source_type: object = None) -> dict[str, Schema]:
    """The named properties of a mapping's schema, those of the source type included."""
    named: dict[str, Schema] = {}
    for part in _parts(schema, source_type):
        for key, child in part.get("properties", {}).items():
            named.setdefault(key, resolved(child))
    return named


def _parts(schema: Schema, source_type: object) -> Iterator[Schema]:
    """The schema and the branches of it that can describe a mapping."""
    yield schema
    for choice in schema.get("allOf", ()):
        if choice["if"]["properties"]["type"]["const"] == source_type:
            yield resolved(choice["then"])
    if "object" in schema.get("type", ()) and "then" in schema:
        yield resolved(schema["then"])


def _child(schema: Schema, key: str | int) -> Schema | None:
    if isinstance(key, int):
        items: Schema | None = schema.get("items")
        return items
    named: Schema | None = schema.get("properties", {}).get(key)
    if named is not None:
        return named
    other = schema.get("additionalProperties")
    return other if isinstance(other, dict) else None


# Defaults


def with_defaults(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data with every default filled in, keys in the schema's order; unknown keys are dropped, wrong values stay."""
    top = bundle()["properties"]
    source = data.get("source")
    source_type = source.get("type") if isinstance(source, dict) else None
    known = source_type in source_types()
    extra = source_schema(source_type)["x-spoutgen"]["defaults"] if known else {}
    filled = _filled(top, data, {})
    if known:
        filled["source"] = _filled(source_schema(source_type)["properties"], source, {})
    for key in ("output", "batch"):
        written = filled.get(key, {})
        if isinstance(written, dict):
            filled[key] = _filled(top[key]["properties"], written, extra.get(key, {}))
    return filled


def _filled(named: Mapping[str, Schema], written: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    filled = {}
    for key, schema in named.items():
        if key in written:
            filled[key] = written[key]
        elif key in extra:
            filled[key] = extra[key]
        elif "default" in schema:
            filled[key] = schema["default"]
    return filled
