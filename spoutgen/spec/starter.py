"""The text of a new spec: what `spoutgen new NAME` begins with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spoutgen.errors import Diagnostic, SpecError
from spoutgen.spec import credentials, violations
from spoutgen.spec.document import parse
from spoutgen.spec.edit import set_values
from spoutgen.spec.schema import source_schema, source_types
from spoutgen.spec.settings import path_of
from spoutgen.spec.text import Text
from spoutgen.spec.writing import flow

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


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask for: the dotted ``key``, what it is, and our own ``first`` value, "" where there is none."""

    key: str
    description: str
    first: str


def next_question(name: str, settings: Sequence[tuple[str, str]]) -> Question | None:
    """The next thing to ask for: what the source type requires and ``settings`` do not give; None if that is nothing.

    What is required can depend on an answer. Where nobody chose the type, its first values are taken without asking.
    """
    given = dict(settings)
    source_type = given.get("source.type", DEFAULT_TYPE)
    if source_type not in source_types():
        return None
    schema, first, lacking = source_schema(source_type), _first_values(source_type), missing(name, settings)
    for option, about in schema["properties"].items():
        key = f"source.{option}"
        is_offered = option in first and option in schema["required"] and "source.type" in given and key not in given
        if key in lacking or is_offered:
            return Question(key, about["description"], first.get(option, ""))
    return None


def missing(name: str, settings: Sequence[tuple[str, str]]) -> list[str]:
    """The dotted keys of the options that the source type requires and a new spec lacks, in the schema's order."""
    source_type = dict(settings).get("source.type", DEFAULT_TYPE)
    if source_type not in source_types():
        return []
    found = violations.check(parse(Text("spout.yaml", starter(name, settings))), ())
    lacking = {path[1] for path, finding in found if path[0] == "source" and finding.code == "SG202" and len(path) == 2}
    return [f"source.{option}" for option in source_schema(source_type)["properties"] if option in lacking]


def fault(name: str, settings: Sequence[tuple[str, str]], key: str) -> Diagnostic | None:
    """What is wrong with the value that ``settings`` give ``key``; None if nothing is, or only together with others."""
    try:
        found = violations.check(parse(Text("spout.yaml", starter(name, settings))), ())
    except SpecError as error:
        return error.diagnostics[0]
    path = path_of(key)
    return next((finding for place, finding in found if place[: len(path)] == path), None)


def completed(name: str, settings: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """``settings`` with the schema's example for whatever is missing: a command line that makes a project.

    Nothing that looks like a credential is in it.
    """
    full = [(key, value) for key, value in settings if not credentials.is_in_line(f"{key}={value}")]
    options = source_schema(dict(settings).get("source.type", DEFAULT_TYPE))["properties"]
    while lacking := missing(name, full):
        for key in lacking:
            example = options[key.removeprefix("source.")]["examples"][0]
            full.append((key, example if isinstance(example, str) else flow(example)))
    return full


def expected(key: str, settings: Sequence[tuple[str, str]]) -> str:
    """What the value of an option of the source must be, as its schema says it."""
    options = source_schema(dict(settings).get("source.type", DEFAULT_TYPE))["properties"]
    expects: str = options[key.removeprefix("source.")]["x-expects"]
    return expects


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
