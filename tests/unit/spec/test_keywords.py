"""Our judgement of a document is jsonschema's, rule by rule and place by place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoutgen.errors import SpecError
from spoutgen.resources import schemas_dir
from spoutgen.spec.document import parse
from spoutgen.spec.keywords import KNOWN, check
from spoutgen.spec.schema import bundle
from spoutgen.spec.text import Text, decode

ORACLE = jsonschema.Draft202012Validator(bundle())
Verdict = set[tuple[tuple[str | int, ...], str]]


def theirs(data: Any) -> Verdict:
    """What jsonschema finds, in our way of naming places: a missing or unknown key is a place of its own."""
    found: Verdict = set()
    for error in ORACLE.iter_errors(data):
        path = tuple(error.absolute_path)
        if error.validator == "required":
            found |= {((*path, key), "required") for key in error.validator_value if key not in error.instance}
        elif error.validator == "additionalProperties":
            known = error.schema.get("properties", {})
            found |= {((*path, key), "additionalProperties") for key in error.instance if key not in known}
        elif "propertyNames" in error.absolute_schema_path:
            found.add(((*path, error.instance), "propertyNames"))
        else:
            found.add((path, error.validator))
    return found


def ours(data: Any) -> Verdict:
    return {
        (broken.path, broken.keyword)
        for broken in check(data, bundle(), bundle()["$defs"])
        if broken.keyword != "x-maximum"  # which is ours alone
    }


GOOD: dict[str, Any] = {
    "version": 1,
    "name": "spoutmarker",
    "description": "text",
    "pachyderm": 1,
    "image": "spout-marker:v1",
    "source": {"type": "symbol", "symbol": ".", "interval": "30s"},
    "marker": {"prefix": "mymark"},
    "output": {"path": "output", "format": "lines", "overwrite": True},
    "batch": {"records": 1, "bytes": "8MiB", "wait": "5s"},
    "env": {"LEVEL": "info"},
    "secrets": [{"name": "db", "key": "user", "env": "DB_USER"}, {"name": "tls", "mount": "/tls"}],
    "resources": {"requests": {"cpu": 0.5, "memory": "64MiB"}, "limits": {"cpu": 1, "disk": "1Gi"}},
    "pipeline": {"parallelism_spec": {"constant": 1}, "transform": {"debug": True}},
}


def test_what_is_right() -> None:
    assert ours(GOOD) == theirs(GOOD) == set()


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(-3, 3)
    | st.sampled_from(
        [1.0, 2.0, 10**7, "", "a", "1", "30s", "0s", "8MiB", "out", ".x", "a b", "symbol", "custom", "lines"]
    )
    | st.text(max_size=5).filter(lambda text: not text.endswith("\n"))  # where their $ is Python's
)
KEYS = st.sampled_from([*GOOD, "type", "symbol", "name", "key", "env", "mount", "prefix", "cpu", "x", "", "1A", "path"])
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=6
)


def places(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from places(value, (*path, key))


@st.composite
def nearly_good(draw: st.DrawFn) -> Any:
    """The good document with values replaced, added and taken away at random places."""
    data = json.loads(json.dumps(GOOD))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(data))))
        inner = data
        for key in path[:-1]:
            inner = inner[key]
        if not path:
            continue
        what = draw(st.sampled_from(["replace", "remove", "add"]))
        if what == "replace":
            inner[path[-1]] = draw(VALUES)
        elif what == "remove":
            del inner[path[-1]]
        elif isinstance(inner, dict):
            inner[draw(KEYS)] = draw(VALUES)
    return data


@given(nearly_good() | VALUES)
def test_random_documents(data: Any) -> None:
    assert ours(data) == theirs(data)


BAD = Path(__file__).parents[2] / "golden" / "bad"


@pytest.mark.parametrize("name", sorted(path.name for path in BAD.glob("*.yaml")))
def test_bad_examples(name: str) -> None:
    try:
        data = parse(Text(name, decode((BAD / name).read_bytes(), name).removeprefix("\ufeff"))).data
    except SpecError:
        return
    assert ours(data) == theirs(data)


def test_no_keyword_is_overlooked() -> None:
    """A schema with a keyword that we do not know would promise editors more than we check."""

    def walk(schema: Any) -> None:
        if not isinstance(schema, dict):
            return
        unknown = {key for key in schema if key not in KNOWN and not key.startswith("x-")}
        assert not unknown
        for key in ("properties", "$defs"):
            for inner in schema.get(key, {}).values():
                walk(inner)
        for key in ("items", "additionalProperties", "propertyNames", "if", "then", "else", "not"):
            walk(schema.get(key))
        for inner in schema.get("allOf", []):
            walk(inner)

    for file in [*schemas_dir().glob("spec-*.json"), *schemas_dir().glob("sources/*.json")]:
        walk(json.loads(file.read_text("utf-8")))
    walk(bundle())
