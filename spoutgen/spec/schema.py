"""The JSON Schemas: what they say about a document, and the defaults they hold. The only importer of jsonschema.

The schema files are the truth, for editors as for us. What a person must read stands in them too, as annotations:

``x-expects``     what a value must be, a noun phrase: "a duration such as 30s"
``x-message``     the end of the message, for a rule that is not about one value's form: "does not go with `mount`"
``x-hint``        a hint to go with it
``x-code``        the finding's code, where SG204 would say too little
``x-characters``  the pattern of one allowed character, so that the message can name those that are not allowed
``x-unit``        duration, size or quantity: what spoutgen.spec.units makes of the text
``x-maximum``     the largest duration or size
``x-credential``  of a source's option: its value is the name of a variable that `secrets` must provide
``x-spoutgen``    of a source type: its ``requirements``, its ``defaults`` for output and batch, what a new spec of the
                  type begins with (``starter``), the ``fields`` of ``output.path`` that keep its partitions apart,
                  those that a path may have (``more_fields``), and what is known of the ``values`` of fields: the
                  pattern of one character, ``{"option": NAME}`` for the values that an option of the source has, or
                  ``{"by": NAME, VALUE: PATTERN}`` where it depends on one; ``first`` is for ``last``, too
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
    bundled = _read("spec-1.json")
    for source_type in source_types():
        bundled["$defs"][f"source-{source_type}"] = _without_identity(_read(f"sources/{source_type}.json"))
    for name in ("pipeline-1", "pipeline-2"):
        target = _without_identity(_read(f"{name}.json"))
        bundled["$defs"] |= {**target.pop("$defs", {}), name: target}
    return bundled


def _read(name: str) -> dict[str, Any]:
    """A schema file, its references to other files turned into references within the bundle."""
    text = (schemas_dir() / name).read_text("utf-8")
    text = re.sub(r'"\$ref": "sources/([a-z0-9_-]+)\.json"', r'"$ref": "#/$defs/source-\1"', text)
    schema: dict[str, Any] = json.loads(re.sub(r'"\$ref": "(pipeline-\d)\.json"', r'"$ref": "#/$defs/\1"', text))
    return schema


def _without_identity(schema: Schema) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in ("$schema", "$id")}


def errors(data: Any) -> Iterator[Any]:
    """jsonschema's ValidationErrors about plain data, in no order that means anything."""
    iterate: Callable[[Any], Iterator[Any]] = _validator().iter_errors
    return iterate(data)


@cache
def _validator() -> Any:
    # Importing jsonschema takes longer than all the rest of a `validate` together, so it comes last.
    from jsonschema import Draft202012Validator, ValidationError
    from jsonschema.validators import extend

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

    keywords = {"pattern": pattern, "x-maximum": maximum}
    return extend(Draft202012Validator, keywords)(bundle())  # type: ignore[no-untyped-call]


# Walking the schema


def resolved(schema: Schema) -> Schema:
    """The schema with its own ``$ref`` replaced by what it refers to; its own keywords win."""
    while "$ref" in schema:
        target = bundle()["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema


def at(path: tuple[str | int, ...], data: Any) -> Schema | None:
    """The schema of the value at ``path`` within ``data``, which may lack it; None where there is none."""
    schema: Schema = bundle()
    for key in path:
        found = next((child for part in _parts(schema, data) if (child := _child(part, key)) is not None), None)
        if found is None:
            return None
        schema, data = resolved(found), _inner(data, key)
    return schema


def properties(schema: Schema, data: Any) -> dict[str, Schema]:
    """The named properties of a mapping's schema, those included that depend on what the mapping holds."""
    named: dict[str, Schema] = {}
    for part in _parts(schema, data):
        for key, child in part.get("properties", {}).items():
            named.setdefault(key, resolved(child))
    return named


def _parts(schema: Schema, data: Any) -> Iterator[Schema]:
    """The branches of the schema that describe a mapping, the most special first, and the schema itself."""
    for choice in (*schema.get("allOf", ()), schema):
        branch = choice.get("then" if _holds(choice.get("if", {}), data) else "else")
        if branch is not None:
            yield resolved(branch)
    yield schema


def _holds(condition: Schema, data: Any) -> bool:
    """Whether a mapping meets the condition of an if/then, of the two kinds that our schemas use."""
    is_equal = all(_inner(data, key) == wanted["const"] for key, wanted in condition.get("properties", {}).items())
    return is_equal and all(isinstance(data, dict) and key in data for key in condition.get("required", ()))


def _inner(data: Any, key: str | int) -> Any:
    if isinstance(data, dict):
        return data.get(key)
    return data[key] if isinstance(data, list) and isinstance(key, int) and key < len(data) else None


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
    """The data with all defaults, keys in the schema's order; unknown keys are dropped, wrong values stay."""
    top = bundle()["properties"]
    filled = _filled(top, data, {})
    source = filled.get("source")
    extra: Mapping[str, Any] = {}
    if isinstance(source, dict) and source.get("type") in source_types():
        own = source_schema(source["type"])
        filled["source"] = _filled(own["properties"], source, {})
        extra = own["x-spoutgen"]["defaults"]
    if isinstance(filled.get("metrics"), dict):
        filled["metrics"] = _filled(top["metrics"]["properties"], filled["metrics"], {})
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
