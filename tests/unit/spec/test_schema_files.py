"""The schema files: complete, legal, and the only place where defaults and names stand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from spoutgen.resources import schemas_dir
from spoutgen.spec import load_text, schema
from spoutgen.spec.document import parse
from spoutgen.spec.text import Text
from spoutgen.spec.units import UNITS

FILES = [schemas_dir() / "spec-1.json", *sorted((schemas_dir() / "sources").glob("*.json"))]


def walk(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        yield path, value
        for key, item in value.items():
            yield from walk(item, f"{path}/{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from walk(item, f"{path}/{index}")


def described() -> Iterator[tuple[str, dict[str, Any]]]:
    """The properties that a person can write."""
    for file in FILES:
        for path, found in walk(json.loads(file.read_text("utf-8"))):
            if path.endswith("/properties") and not re.search("/(if|then|else)/", path):
                for key, value in found.items():
                    yield f"{file.stem}:{path}/{key}", value


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_file_is_a_legal_schema(file: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(file.read_text("utf-8")))


def test_the_bundle_stands_alone() -> None:
    jsonschema.Draft202012Validator.check_schema(schema.bundle())
    references = [found["$ref"] for _, found in walk(schema.bundle()) if isinstance(found.get("$ref"), str)]
    assert references
    for reference in references:
        assert reference.startswith("#/$defs/")
        assert reference.removeprefix("#/$defs/") in schema.bundle()["$defs"]


def test_the_types_are_the_files() -> None:
    named = schema.bundle()["properties"]["source"]
    assert sorted(named["properties"]["type"]["enum"]) == list(schema.source_types())
    chosen = [(choice["if"]["properties"]["type"]["const"], choice["then"]["$ref"]) for choice in named["allOf"]]
    assert sorted(chosen) == [(name, f"#/$defs/source-{name}") for name in schema.source_types()]
    for name in schema.source_types():
        assert schema.source_schema(name)["properties"]["type"] == {"const": name}
        assert schema.source_schema(name)["additionalProperties"] is False


@pytest.mark.parametrize(("path", "found"), list(described()))
def test_each_key_is_described(path: str, found: dict[str, Any]) -> None:
    if "const" in found and path.endswith("/type"):
        return
    assert found.get("description", "").endswith("."), path
    assert "x-expects" in schema.resolved(found), path
    assert not (("enum" in found) and ("const" in found)), path


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_patterns_hold_to_both_ends_in_every_language(file: Path) -> None:
    for path, found in walk(json.loads(file.read_text("utf-8"))):
        if isinstance(found.get("pattern"), str):
            # Without ^ and $ a pattern matches anywhere; \d and \w mean Unicode in Python and ASCII in JavaScript.
            assert found["pattern"].startswith("^"), path
            assert found["pattern"].endswith("$"), path
            assert not re.search(r"\\[dws]", found["pattern"]), path


def test_a_line_break_at_the_end_is_no_end() -> None:
    text = 'version: 1\nname: "x\\n"\nimage: x:1\nsource: {type: symbol, symbol: x}\nmarker: x\n'
    with pytest.raises(Exception, match="SG302"):
        load_text(text, "spout.yaml")


@pytest.mark.parametrize(("path", "found"), [(path, found) for path, found in described() if "x-unit" in found])
def test_units(path: str, found: dict[str, Any]) -> None:
    parse_unit = UNITS[found["x-unit"]]
    for key in ("default", "x-maximum"):
        if key in found:
            assert parse_unit(found[key]) > 0, path
    for example in found["examples"]:
        assert re.search(found["pattern"], example), path


MINIMAL = {"version": 1, "name": "x", "image": "x:1", "source": {"type": "symbol", "symbol": "x"}, "marker": "m"}


def with_value(path: str, value: object) -> dict[str, Any]:
    data = json.loads(json.dumps(MINIMAL))
    *outer, key = path.split(".")
    inner = data
    for part in outer:
        inner = inner.setdefault(part, {})
    inner[key] = value
    return data


def places() -> Iterator[tuple[str, Any]]:
    """Each key that can be written, dotted, with its default and its examples."""
    for key, found in schema.bundle()["properties"].items():
        yield key, found
        for below, inner in schema.properties(found, {"type": "symbol"} if key == "source" else {}).items():
            if below != "type" and found.get("type") == "object":
                yield f"{key}.{below}", inner
    for key, found in schema.bundle()["$defs"]["resources"]["properties"].items():
        yield f"resources.limits.{key}", found


EXAMPLES = [
    (path, value)
    for path, found in places()
    for value in [*found.get("examples", []), *([found["default"]] if "default" in found else [])]
    if path not in ("project", "batch.records")
]


@pytest.mark.parametrize(("path", "value"), EXAMPLES)
def test_each_default_and_example_is_legal(path: str, value: object) -> None:
    load_text(json.dumps(with_value(path, value)), "spout.yaml")


@pytest.mark.parametrize("name", schema.source_types())
def test_defaults_of_a_source_are_legal(name: str) -> None:
    own = schema.source_schema(name)["x-spoutgen"]
    assert set(own) >= {"requirements", "defaults"}
    named = schema.bundle()["properties"]
    for part, values in own["defaults"].items():
        for key in values:
            assert key in named[part]["properties"]
    # Path, format and overwrite have no general default, so each type must give all of them.
    assert set(own["defaults"]["output"]) >= {
        key for key, found in named["output"]["properties"].items() if "default" not in found
    }


def test_defaults_are_filled_from_the_schema() -> None:
    spec = load_text(json.dumps(MINIMAL), "spout.yaml").spec
    assert spec.pachyderm == 1
    assert (spec.output.path, spec.output.format, spec.output.overwrite) == ("output", "lines", True)
    assert (spec.batch.records, spec.batch.bytes, spec.batch.wait) == (1, 8 << 20, 5)
    assert spec.source.options == {"symbol": "x", "interval": 30}


def test_a_plain_validator_says_the_same_of_good_and_bad() -> None:
    """Editors use the bundle with validators of their own: what they refuse we refuse, and nothing good is refused."""
    plain = jsonschema.Draft202012Validator(schema.bundle())
    for path, value in EXAMPLES:
        assert plain.is_valid(with_value(path, value)), (path, value)
    bad = Path(__file__).parents[2] / "golden" / "bad"
    for file in sorted(bad.glob("*.yaml")):
        codes = set(re.findall(r" (SG\d{3}) ", file.with_suffix(".expected").read_text("utf-8")))
        # The codes of what a schema says, in files that say nothing else.
        if (
            codes
            and codes <= {"SG201", "SG202", "SG203", "SG302", "SG303"}
            and file.stem not in ("key-merge", "key-not-text")
        ):
            raw = file.read_text("utf-8")
            if file.stem != "name-too-long":
                assert not plain.is_valid(parse(Text("", raw.removeprefix("\ufeff"))).data), file.name
