"""What every source must do, whatever it reads: the conformance kit, over a project of each kind in the table.

A new kind needs one line here: a sample of its options, with which it gives two dozen records at once.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from spoutgen.conformance.subject import subject
from spoutgen.conformance.suite import CHECKS, run_checks
from spoutgen.local.environment import Secrets
from spoutgen.local.spec import read_spec
from spoutgen.project.render import render
from spoutgen.project.tree import write_tree
from spoutgen.resources import template_dir
from spoutgen.spec import load_text
from spoutgen.spec.schema import source_types

SOURCES = Path(__file__).parents[1] / "sources"
SAMPLES = {
    "symbol": '{type: symbol, symbol: "é.", interval: 10ms}',
    "custom": "{type: custom, options: {interval: 0.01}}",
    "file": f"{{type: file, files: {__file__}}}",  # this very text has lines enough
}
# Kinds that read a server go through the same kit beside it: tests/sources/test_KIND_conformance.py.
ON_SERVERS = {"kafka", "postgres", "rabbitmq"}
# Whether a spout of each kind survives kills is what tests/e2e and tests/fault ask, for longer.
SOURCE_CHECKS = [check.name for check in CHECKS if not check.name.startswith("kill-")]


def results(kind, folder, marker="mymark", only=SOURCE_CHECKS):
    text = f"version: 1\nname: aspout\nimage: aspout:v1\nsource: {SAMPLES[kind]}\nmarker: {marker}\n"
    write_tree(render(load_text(text, "spout.yaml")).tree, folder)
    environment = {"PATH": "/usr/bin:/bin"}
    with subject(folder, read_spec(folder / "pipeline.json"), Secrets({}), environment, seconds=5.0) as made:
        return {result.name: result for result in run_checks(made, only)}


@pytest.fixture(scope="module", params=list(SAMPLES))
def found(request, tmp_path_factory):
    return results(request.param, tmp_path_factory.mktemp(request.param))


def test_every_kind_has_a_schema_and_a_sample_here():
    # In a process of its own: other tests add kinds to the table of this one.
    show = "from spout.sources import KINDS; print(*KINDS)"
    runtime = template_dir() / "{{cookiecutter.name}}"
    kinds = subprocess.run([sys.executable, "-B", "-c", show], cwd=runtime, check=True, capture_output=True, text=True)
    assert all((SOURCES / f"test_{kind}_conformance.py").exists() for kind in ON_SERVERS)
    assert set(SAMPLES) | ON_SERVERS == set(source_types()) == set(kinds.stdout.split())


@pytest.mark.parametrize("name", SOURCE_CHECKS)
def test_it_keeps_the_promise(found, name):
    assert found[name].outcome == "ok", found[name]


@pytest.mark.parametrize("kind", list(SAMPLES))
def test_its_marker_may_have_parts(kind, tmp_path):
    found = results(kind, tmp_path, marker="{prefix: mymark}", only=["marker"])
    assert found["marker"].outcome == "ok", found["marker"]
