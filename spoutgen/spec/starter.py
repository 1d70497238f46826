"""The text of a new spec: what `spoutgen new NAME` begins with."""

from __future__ import annotations

from collections.abc import Sequence

from spoutgen.spec.edit import set_values
from spoutgen.spec.schema import source_schema, source_types

DEFAULT_TYPE = "symbol"

_SKELETON = """\
# yaml-language-server: $schema=.spoutgen/schema.json
version: 1
name: name
pachyderm: 1
image: image:v1
source:
  type: type
marker: mymark
"""


def starter(name: str, settings: Sequence[tuple[str, str]]) -> str:
    """A spec for the pipeline ``name``: of the symbol source or what ``settings`` say, with the type's first values.

    A wrong name or setting is written as it is: checking the text will say what is wrong with it, and where.
    """
    source_type = dict(settings).get("source.type", DEFAULT_TYPE)
    # An image's repository is lower case; a pipeline's name need not be.
    text = set_values(_SKELETON, [("name", name), ("image", f"{name.lower()}:v1"), ("source.type", source_type)])
    first = _first_values(source_type).items()
    text = set_values(text, [(f"source.{key}", value) for key, value in first])
    return set_values(text, settings)


def missing_options(settings: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The dotted keys, with their descriptions, that the source type requires and neither we nor ``settings`` give."""
    given = {key for key, _ in settings}
    source_type = dict(settings).get("source.type", DEFAULT_TYPE)
    if source_type not in source_types():
        return []
    schema = source_schema(source_type)
    first = _first_values(source_type)
    return [
        (f"source.{key}", schema["properties"][key]["description"])
        for key in schema["required"]
        if key != "type" and key not in first and f"source.{key}" not in given
    ]


def _first_values(source_type: str) -> dict[str, str]:
    """The options that a new spec of the type begins with, as its schema has them."""
    known = source_type in source_types()
    values: dict[str, str] = source_schema(source_type)["x-spoutgen"].get("starter", {}) if known else {}
    return values
