"""One literal table: the source types are the same everywhere that they stand."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_source_suite import SAMPLES

from spoutgen.resources import schemas_dir, template_dir
from spoutgen.spec import load
from spoutgen.spec.schema import source_schema, source_types

ROOT = Path(__file__).parents[2]
RUNTIME = template_dir() / "{{cookiecutter.name}}"
TYPES = set(source_types())
# What the runtime's folder of sources has beside the types.
SHARED = {"__init__", "pyramid"}


def test_the_spec_s_schema_has_them_in_its_list_and_leads_to_each():
    source = json.loads((schemas_dir() / "spec-1.json").read_text())["properties"]["source"]
    assert len(source["properties"]["type"]["enum"]) == len(TYPES)
    assert set(source["properties"]["type"]["enum"]) == TYPES
    leads = {each["if"]["properties"]["type"]["const"]: each["then"]["$ref"] for each in source["allOf"]}
    assert leads == {name: f"sources/{name}.json" for name in TYPES}
    assert len(source["allOf"]) == len(TYPES)


@pytest.mark.parametrize("name", sorted(TYPES))
def test_each_schema_is_of_its_name(name):
    schema = source_schema(name)
    assert schema["properties"]["type"] == {"const": name}
    assert schema["$id"] == f"https://spoutgen.dev/schemas/sources/{name}.json"
    assert schema["title"] == f"source.type: {name}"


def test_the_runtime_s_table_has_them():
    # In a process of its own: other tests add kinds to the table of this one.
    show = "import json; from spout.sources import KINDS; print(json.dumps(KINDS))"
    done = subprocess.run([sys.executable, "-B", "-c", show], cwd=RUNTIME, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == {name: name for name in TYPES}


def test_the_runtime_has_a_module_of_each_and_no_other():
    modules = {path.stem for path in (RUNTIME / "spout" / "sources").glob("*.py")}
    folders = {path.parent.name for path in (RUNTIME / "spout" / "sources").glob("*/__init__.py")}
    assert (modules | folders) - SHARED == TYPES
    assert not modules & folders


def test_each_has_an_example():
    specs = [path for path in (ROOT / "examples").glob("*/*.yaml") if "source:" in path.read_text()]
    assert {load(path).spec.source.type for path in specs} == TYPES


def test_each_has_a_page():
    pages = list((ROOT / "docs" / "reference" / "sources").glob("*.md"))
    assert {page.stem for page in pages} == TYPES
    for page in pages:
        assert page.read_text().startswith(f"# `source.type: {page.stem}`"), page


def test_each_goes_through_the_conformance_kit():
    on_servers = {
        match[1]
        for path in (ROOT / "tests" / "sources").glob("test_*_conformance.py")
        if (match := re.fullmatch(r"test_(.+)_conformance", path.stem))
    }
    assert set(SAMPLES) | on_servers == TYPES


@pytest.mark.parametrize("name", sorted(TYPES))
def test_each_requirement_is_pinned_and_the_one_that_is_tested(name):
    tested = set((ROOT / "constraints.txt").read_text().replace(" ;", "\n").split("\n"))
    for line in source_schema(name)["x-spoutgen"]["requirements"]:
        if line.startswith("#"):
            continue
        match = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[a-z0-9,]+\])?==([0-9][0-9A-Za-z.]*)", line)
        assert match, line
        assert f"{match[1]}=={match[2]}" in {each.strip() for each in tested}, line
