"""Spec -> pipeline JSON of Pachyderm 1.x."""

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from spoutgen.pipeline import pipeline_json, v1
from spoutgen.pipeline.config import spout_config
from spoutgen.spec import load_text

STORY = """\
version: 1
name: spoutmarker
pachyderm: 1
image: spout-marker:v1
source:
  type: symbol
  symbol: "."
  interval: 30s
marker: mymark
"""
CONFIG = (
    '{"version":1,"name":"spoutmarker","source":{"type":"symbol","symbol":".","interval":30},'
    '"marker":{"name":"mymark"},"output":{"path":"output","format":"lines"},'
    '"batch":{"records":1,"bytes":8388608,"wait":5}}'
)


def spec_of(text):
    return load_text(text, "spout.yaml").spec


def expanded(value, variables):
    """What a container sees of a pod's variable: Kubernetes' rules for `$(NAME)` and `$$`."""

    def one(match):
        if match[0] == "$$":
            return "$"
        return variables.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", one, value)


def test_the_story_is_the_tutorial_s_pipeline():
    assert v1.pipeline(spec_of(STORY)) == {
        "pipeline": {"name": "spoutmarker"},
        "transform": {
            "image": "spout-marker:v1",
            "cmd": ["python3", "/app/main.py"],
            "env": {"SPOUT_CONFIG": CONFIG},
        },
        "spout": {"marker": "mymark", "overwrite": True},
    }


def test_overwrite_false_leaves_the_field_out():
    spec = spec_of(STORY + "output: {overwrite: false}\n")
    assert v1.pipeline(spec)["spout"] == {"marker": "mymark"}


def test_everything_else_of_the_spec():
    spec = spec_of(
        STORY
        + """\
description: "héllo {{ 7*7 }}"
env: {A: "1", B: "$(HOME) $$ $x"}
secrets:
  - {name: s, key: k, env: TOKEN}
  - {name: t, mount: /secrets/t}
resources:
  requests: {cpu: 0.5, memory: 64Mi}
  limits: {disk: 1Gi}
pipeline:
  transform: {debug: true}
  metadata: {labels: {team: x}}
"""
    )
    document = v1.pipeline(spec)
    assert document["description"] == "héllo {{ 7*7 }}"
    assert document["transform"]["env"]["A"] == "1"
    assert document["transform"]["env"]["B"] == "$$(HOME) $$$ $x"
    assert document["transform"]["secrets"] == [
        {"name": "s", "key": "k", "env_var": "TOKEN"},
        {"name": "t", "mount_path": "/secrets/t"},
    ]
    assert document["resource_requests"] == {"cpu": 0.5, "memory": "64Mi"}
    assert document["resource_limits"] == {"disk": "1Gi"}
    assert document["transform"]["debug"] is True
    assert document["transform"]["cmd"] == ["python3", "/app/main.py"]
    assert document["metadata"] == {"labels": {"team": "x"}}
    assert json.loads(pipeline_json(spec)) == document


@given(st.text(st.sampled_from("$()ABx{}'\"\\ é"), min_size=1, max_size=12))
def test_kubernetes_gives_the_container_what_was_written(value):
    spec = spec_of(STORY + f"env: {json.dumps({'A': 'a', 'V': value}, ensure_ascii=False)}\n")
    env = v1.pipeline(spec)["transform"]["env"]
    assert expanded(env["V"], {"A": "a", "B": "b"}) == value


@given(st.text(st.sampled_from("$()AB{}'\"\\ é😀"), min_size=1, max_size=12))
def test_a_symbol_survives_json_and_kubernetes(symbol):
    text = STORY.replace('"."', json.dumps(symbol, ensure_ascii=False))
    config = spout_config(spec_of(text))
    assert "$" not in config
    assert json.loads(expanded(config, {"A": "a"}))["source"]["symbol"] == symbol
