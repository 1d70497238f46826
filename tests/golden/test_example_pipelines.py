"""Every example renders to exactly the pipeline JSON that stands here: add a folder to examples/, get a test."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from spoutgen.pipeline import pipeline_json
from spoutgen.resources import schemas_dir
from spoutgen.spec import load

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/spout.yaml"))
SERVERS = {target: json.loads((schemas_dir() / f"pipeline-{target}.json").read_text()) for target in (1, 2)}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_pipeline_json(example, golden):
    loaded = load(example)
    text = pipeline_json(loaded.spec)
    golden(Path(__file__).parent / "examples" / f"{example.name}.json", text)
    assert loaded.warnings == ()
    Draft202012Validator(SERVERS[loaded.spec.pachyderm]).validate(json.loads(text))


def test_every_golden_file_has_its_example():
    here = {path.stem for path in (Path(__file__).parent / "examples").glob("*.json")}
    assert here == {example.name for example in EXAMPLES}
