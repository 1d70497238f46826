"""Spec -> pipeline JSON of Pachyderm 2.x."""

import json

import pytest
from jsonschema import Draft202012Validator
from pachyderm_sdk.api import pps

from spoutgen.pipeline import pipeline_json, v2
from spoutgen.pipeline.config import spout_config
from spoutgen.resources import schemas_dir
from spoutgen.spec import load_text

STORY = """\
version: 1
name: spoutmarker
pachyderm: 2
image: spout-marker:v1
source:
  type: symbol
  symbol: "."
  interval: 30s
marker: mymark
"""
EVERYTHING = (
    STORY
    + """\
project: team
description: dots
env: {PRICE: "$$5 $(X)"}
secrets:
- {name: db, key: password, env: DB}
- {name: tls, mount: /secrets/tls}
resources: {requests: {cpu: 0.5, memory: 64M}, limits: {memory: 1G}}
pipeline:
  outputBranch: out
  schedulingSpec: {nodeSelector: {disk: ssd}}
  transform: {user: "1000"}
"""
)


def spec_of(text):
    return load_text(text, "spout.yaml").spec


def test_the_story_on_2():
    spec = spec_of(STORY)
    assert v2.pipeline(spec) == {
        "pipeline": {"name": "spoutmarker"},
        "transform": {
            "image": "spout-marker:v1",
            "cmd": ["python3", "/app/main.py"],
            "env": {"SPOUT_CONFIG": spout_config(spec)},
        },
        "spout": {},
    }
    assert json.loads(spout_config(spec))["target"] == {"pachyderm": 2, "branch": "master"}


def test_everything_on_2():
    spec = spec_of(EVERYTHING)
    assert v2.pipeline(spec) == {
        "pipeline": {"project": {"name": "team"}, "name": "spoutmarker"},
        "description": "dots",
        "transform": {
            "image": "spout-marker:v1",
            "cmd": ["python3", "/app/main.py"],
            "env": {"PRICE": "$$$5 $$(X)", "SPOUT_CONFIG": spout_config(spec)},
            "secrets": [
                {"name": "db", "key": "password", "envVar": "DB"},
                {"name": "tls", "mountPath": "/secrets/tls"},
            ],
            "user": "1000",
        },
        "spout": {},
        "resourceRequests": {"cpu": 0.5, "memory": "64M"},
        "resourceLimits": {"memory": "1G"},
        "outputBranch": "out",
        "schedulingSpec": {"nodeSelector": {"disk": "ssd"}},
    }
    assert json.loads(spout_config(spec))["target"]["branch"] == "out"


@pytest.mark.parametrize("text", [STORY, EVERYTHING])
def test_the_published_fields_are_kept_by_the_sdk_s_messages(text):
    """Upstream's own messages know every field: one that they do not would be missing from what they give back."""
    document = json.loads(pipeline_json(spec_of(text)))
    request = pps.CreatePipelineRequest().from_dict(document).to_dict(include_default_values=False)
    assert sorted(request) == sorted(document)
    Draft202012Validator(json.loads((schemas_dir() / "pipeline-2.json").read_text())).validate(document)


@pytest.mark.parametrize(
    ("path", "glob"),
    [("output", "/output"), ("lines/{first}-{last}.txt", "/lines/*-*.txt"), ("a/{first}/x", "/a/*/x")],
)
def test_the_glob_that_takes_the_data_alone(path, glob):
    assert v2.data_glob(path) == glob
