"""What source types there are and what each takes, for people: read from the schemas, and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spoutgen.spec.output_rules import FIELDS
from spoutgen.spec.schema import Schema, source_schema


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a source. ``default`` is None where there is none; ``expects`` says what a value must be."""

    name: str
    description: str
    expects: str
    is_required: bool
    is_credential: bool
    default: Any
    example: Any


@dataclass(frozen=True, slots=True)
class SourceType:
    """A type of source. ``own_fields`` are those of the path ``fields`` that only this type has, and needs there."""

    name: str
    description: str
    options: tuple[Option, ...]
    output: Mapping[str, Any]
    batch: Mapping[str, Any]
    fields: tuple[str, ...]
    own_fields: tuple[str, ...]
    requirements: tuple[str, ...]


def source_type(name: str) -> SourceType:
    """The type of that name, which must exist."""
    schema = source_schema(name)
    about = schema["x-spoutgen"]
    own = tuple(about.get("fields", ()))
    return SourceType(
        name=name,
        description=schema["description"],
        options=tuple(
            _option(key, option, key in schema["required"])
            for key, option in schema["properties"].items()
            if key != "type"
        ),
        output=about["defaults"]["output"],
        batch=about["defaults"]["batch"],
        fields=(*FIELDS, *own, *about.get("more_fields", ())),
        own_fields=own,
        # A remark there is for whoever opens requirements.txt.
        requirements=tuple(line for line in about["requirements"] if not line.startswith("#")),
    )


def _option(name: str, schema: Schema, is_required: bool) -> Option:
    examples = schema.get("examples") or [None]
    return Option(
        name=name,
        description=schema["description"],
        expects=schema["x-expects"],
        is_required=is_required,
        is_credential=bool(schema.get("x-credential")),
        default=schema.get("default"),
        example=examples[0],
    )
