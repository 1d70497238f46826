"""Two pipeline documents in the words of the spec."""

import copy
import json

import pytest
from projects import STORY

from spoutgen.pipeline import pipeline_json
from spoutgen.project.difference import Setting, differences, facts
from spoutgen.spec import load_text


def document(text):
    return json.loads(pipeline_json(load_text(text, "spout.yaml").spec))


def changes(old, new):
    return {setting.key: (setting.old, setting.new) for setting in differences(old, new)}


EDITS = {
    '"."': ('"*"', {"source.symbol": ('"."', '"*"')}),
    "30s": ("1h30m", {"source.interval": ("30s", "1h30m")}),
    ":v1": (":v2", {"image": ("spout-marker:v1", "spout-marker:v2")}),
    "name: spoutmarker": ("name: other", {"name": ("spoutmarker", "other")}),
    "mymark": ("{prefix: other}", {"marker": ("mymark", "{prefix: other}")}),
    "version: 1": (
        "version: 1\noutput: {path: 'd/{last}', overwrite: false}\nbatch: {bytes: 64KiB, wait: 200ms}",
        {
            "output.path": ("output", "d/{last}"),
            "output.overwrite": ("true", "false"),
            "batch.bytes": ("8MiB", "64KiB"),
            "batch.wait": ("5s", "200ms"),
        },
    ),
    "marker: ": (
        "description: a b\nenv: {A: 'x y', B: $(HOME), C: $$}\nresources: {limits: {memory: 64MiB}}\nmarker: ",
        {
            "description": (None, "a b"),
            "env.A": (None, "x y"),
            "env.B": (None, '"$(HOME)"'),
            "env.C": (None, '"$$"'),
            "resources.limits.memory": (None, "64Mi"),
        },
    ),
    "source:": (
        "secrets: [{name: db, key: password, env: PW}, {name: tls, mount: /etc/tls}]\n"
        "pipeline: {scheduling_spec: {priority_class_name: high}, spout: {service: {ip: ''}}}\nsource:",
        {
            "secrets.PW": (None, "{name: db, key: password}"),
            "secrets./etc/tls": (None, "{name: tls}"),
            "pipeline.scheduling_spec.priority_class_name": (None, "high"),
            "pipeline.spout.service.ip": (None, '""'),
        },
    ),
}


@pytest.mark.parametrize("old", EDITS)
def test_an_edit_of_the_spec_reads_as_that_edit(old):
    new, expected = EDITS[old]
    before, after = document(STORY), document(STORY.replace(old, new))
    assert changes(before, after) == expected
    assert changes(after, before) == {key: values[::-1] for key, values in expected.items()}
    assert changes(after, copy.deepcopy(after)) == {}


def test_nothing_of_a_document_is_left_out():
    """Whatever differs is said, also what only a person's hand can have put there."""
    before = document(STORY)
    for path, value in (
        (("spout", "marker"), "elsewhere"),
        (("transform", "cmd"), ["sh"]),
        (("transform", "env", "SPOUT_CONFIG"), "{broken"),
        (("transform", "env", "SPOUT_CONFIG"), '{"source": 1}'),
        (("transform", "secrets"), "wrong"),
        (("pipeline",), "wrong"),
        (("spout",), None),
    ):
        after = copy.deepcopy(before)
        inner = after
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        assert changes(before, after), path


def test_a_credential_is_not_shown():
    before, after = document(STORY), document(STORY)
    after["transform"]["env"]["DB_PASSWORD"] = "hunter2"
    assert changes(before, after) == {"env.DB_PASSWORD": (None, "***")}


def test_a_long_value_is_cut():
    (setting,) = differences(
        document(STORY), document(STORY.replace("marker: ", f"description: {'x' * 200}\nmarker: "))
    )
    assert setting == Setting("description", None, "x" * 57 + "...")


def test_facts():
    found = facts(document(STORY), 1)
    assert (found.pachyderm, found.name, str(found.marker), found.source) == (1, "spoutmarker", "mymark", "symbol")
    assert str(facts(document(STORY.replace("mymark", "{prefix: m}")), 1).marker) == "{prefix: m}"
    assert facts({"spout": None}, 2).marker is None
