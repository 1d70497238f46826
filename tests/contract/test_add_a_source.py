"""CONTRIBUTING's "Add a source", followed literally: its texts, put into a copy of the checkout, are a source type."""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNTIME = Path("cookiecutter-spout") / "{{cookiecutter.name}}" / "spout"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The copy, after the four steps."""
    copy = tmp_path_factory.mktemp("checkout")
    for folder in ("spoutgen", "schemas", "cookiecutter-spout"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", "*_cache"))
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    steps = text.split("## Add a source", 1)[1].split("\n## ", 1)[0]
    kinds_and_texts = re.findall(r"^ {3}```(\w+)\n(.*?)^ {3}```$", steps, re.MULTILINE | re.DOTALL)
    assert [kind for kind, _ in kinds_and_texts] == ["json", "json", "python", "python"]
    schema, branch, module, row = (textwrap.dedent(text) for _, text in kinds_and_texts)
    for path in ("schemas/sources/counter.json", "schemas/spec-1.json", f"{RUNTIME}/sources/counter.py"):
        assert f"`{path}`" in steps
    (copy / "schemas/sources/counter.json").write_text(schema)
    spec = json.loads((copy / "schemas/spec-1.json").read_text())
    source = spec["properties"]["source"]
    source["properties"]["type"]["enum"].append("counter")
    source["allOf"].append(json.loads(branch))
    (copy / "schemas/spec-1.json").write_text(json.dumps(spec))
    (copy / RUNTIME / "sources/counter.py").write_text(module)
    table = copy / RUNTIME / "sources/__init__.py"
    before, middle, after = table.read_text().partition('    "custom": "custom",\n')
    assert middle
    table.write_text(f"{before}{middle}    {row.strip()}\n{after}")
    return copy


@pytest.fixture
def spoutgen(checkout, tmp_path):
    env = {**os.environ, "SPOUTGEN_HOME": str(tmp_path / "cluster"), "PYTHONPATH": str(checkout)}

    def run(*arguments, status=0):
        command = [sys.executable, "-m", "spoutgen", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    return run


def test_it_is_a_type_like_any_other(spoutgen, tmp_path):
    assert ["counter", "Numbers, counted up from a first one."] in [
        line.split(None, 1) for line in spoutgen("sources").splitlines()
    ]
    assert "first (required)" in spoutgen("sources", "counter")
    # There is no terminal to ask on, so what is missing is named.
    assert "`source.first` is missing" in spoutgen("new", "acounter", "--set", "source.type=counter", status=1)
    spoutgen("new", "acounter", "--set", "source.type=counter", "--set", "source.first=5")
    assert "spout.yaml" in spoutgen("validate", "acounter")
    assert not (tmp_path / "acounter/spout/sources/custom.py").exists()
    assert "next number  5\n" in spoutgen("check", "acounter")
    quick = ("--set", "source.interval=10ms", "--set", "batch.records=3")
    spoutgen("run", "acounter", "--commits", "2", *quick)
    spoutgen("run", "acounter", "--commits", "2", *quick)
    listed = spoutgen("local", "list", "file", "acounter@master:/numbers").splitlines()[1:]
    paths = [line.split()[0] for line in listed]
    numbers = [int(n) for path in paths for n in spoutgen("local", "get", "file", f"acounter@master:{path}").split()]
    assert sorted(numbers) == list(range(5, 5 + len(numbers)))
    assert len(paths) >= 4
    kept = spoutgen("test", "acounter", "--only", "replay", "--only", "marker", "--set", "source.interval=10ms")
    assert "failed" not in kept or "0 failed" in kept
