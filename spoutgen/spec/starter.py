"""The text of a new spec: what `spoutgen new NAME` begins with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

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
    first = [(f"source.{key}", value) for key, value in _first_values(source_type).items()]
    text = set_values(text, first)
    if variables := _variables(source_type, {**dict(first), **dict(settings)}):
        secret = re.sub("[^a-z0-9-]+", "-", name.lower()).strip("-") or "secret"
        items = [f"{{name: {secret}, key: {_key_of(variable)}, env: {variable}}}" for variable in variables]
        text = set_values(text, [("secrets", f"[{', '.join(items)}]")])
    return set_values(text, settings)


def questions(settings: Sequence[tuple[str, str]]) -> list[tuple[str, str, str]]:
    """What the source type requires and ``settings`` do not give: dotted key, description, and our own first value.

    That is "" where there is none. Where nobody chose the type, only what has none is asked for.
    """
    given = dict(settings)
    source_type = given.get("source.type", DEFAULT_TYPE)
    if source_type not in source_types():
        return []
    schema, first = source_schema(source_type), _first_values(source_type)
    return [
        (f"source.{key}", schema["properties"][key]["description"], first.get(key, ""))
        for key in schema["required"]
        if key != "type" and f"source.{key}" not in given and (key not in first or "source.type" in given)
    ]


def _variables(source_type: str, values: Mapping[str, str]) -> list[str]:
    """The variables that the spec's options take credentials from, which its secrets must provide."""
    if "secrets" in values or source_type not in source_types():
        return []
    properties = source_schema(source_type)["properties"]
    named = (values.get(f"source.{key}") for key, option in properties.items() if option.get("x-credential"))
    return [name for name in dict.fromkeys(named) if name and re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name)]


def _key_of(variable: str) -> str:
    """The key of a Kubernetes secret for a variable: ``password`` for DB_PASSWORD."""
    return variable.lower().strip("_").rpartition("_")[2] or "value"


def _first_values(source_type: str) -> dict[str, str]:
    """The options that a new spec of the type begins with, as its schema has them."""
    known = source_type in source_types()
    values: dict[str, str] = source_schema(source_type)["x-spoutgen"].get("starter", {}) if known else {}
    return values
