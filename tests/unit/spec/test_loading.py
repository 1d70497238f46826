"""Files to specs: what can be wrong with a file before its first character is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoutgen.errors import ProjectError, SpecError
from spoutgen.spec import find, load, load_text, read_text
from spoutgen.spec.credentials import shape

STORY = """\
version: 1
name: spoutmarker
image: spout-marker:v1
source:
  type: symbol
  symbol: "."
  interval: 1h30m
marker: {prefix: mymark}
output: {path: "lines/{first}.txt", format: files, overwrite: false}
batch: {bytes: 64KiB, wait: 200ms}
env: {B: two, A: one}
secrets:
- {name: db, key: password, env: DB_PASSWORD}
- {name: tls, mount: /tls}
resources: {requests: {cpu: 1, memory: 64MiB}}
description: "{{ 7*7 }} $(id) '''\\n😀"
pipeline: {parallelism_spec: {constant: 1}}
"""


def test_everything_arrives() -> None:
    loaded = load_text(STORY.encode(), "spout.yaml")
    spec = loaded.spec
    assert (spec.name, spec.image, spec.pachyderm, spec.project) == ("spoutmarker", "spout-marker:v1", 1, None)
    assert spec.description == "{{ 7*7 }} $(id) '''\n😀"
    assert spec.source.options == {"symbol": ".", "interval": 5400}
    assert list(spec.source.options) == ["symbol", "interval"]
    assert (spec.marker.name, spec.marker.is_prefix) == ("mymark", True)
    assert (spec.output.path, spec.output.format, spec.output.overwrite) == ("lines/{first}.txt", "files", False)
    assert (spec.batch.records, spec.batch.bytes, spec.batch.wait) == (1, 65_536, 0.2)
    assert dict(spec.env) == {"B": "two", "A": "one"}
    assert [(secret.name, secret.key, secret.env, secret.mount) for secret in spec.secrets] == [
        ("db", "password", "DB_PASSWORD", None),
        ("tls", None, None, "/tls"),
    ]
    assert spec.resources == {"requests": {"cpu": 1, "memory": "64Mi"}}
    assert spec.pipeline == {"parallelism_spec": {"constant": 1}}
    assert loaded.text == STORY
    assert [warning.code for warning in loaded.warnings] == ["SG310"]


def test_the_same_spec_in_another_order_is_the_same() -> None:
    one = load_text("version: 1\nname: x\nimage: x:1\nsource: {type: symbol, symbol: x, interval: 1s}\nmarker: m", "f")
    two = load_text("marker: m\nsource: {interval: 1s, symbol: x, type: symbol}\nimage: x:1\nname: x\nversion: 1", "f")
    assert one.spec == two.spec
    assert list(one.spec.source.options) == list(two.spec.source.options)


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_no_text_is_too_strange(text: str | bytes) -> None:
    with pytest.raises(SpecError) as caught:
        load_text(text, "spout.yaml")
    assert caught.value.diagnostics


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60))
def test_a_description_may_be_anything(text: str) -> None:
    story = "version: 1\nname: x\nimage: x:1\nsource: {type: symbol, symbol: x}\nmarker: m\n"
    if shape(text) is None:
        assert load_text(story, "f", [("description", text)]).spec.description == text


def test_a_folder_stands_for_its_spec(tmp_path: Path) -> None:
    (tmp_path / "spout.yaml").write_text(STORY, "utf-8")
    assert load(tmp_path).path == tmp_path / "spout.yaml"
    assert load(tmp_path / "spout.yaml").spec == load(tmp_path).spec
    assert read_text(find(tmp_path)) == STORY


def test_a_folder_without_a_spec(tmp_path: Path) -> None:
    with pytest.raises(ProjectError) as caught:
        load(tmp_path)
    assert caught.value.diagnostics[0].code == "SG401"
    (tmp_path / "spout.yml").touch()
    with pytest.raises(ProjectError) as caught:
        load(tmp_path)
    assert caught.value.diagnostics[0].hint == f"did you mean {tmp_path / 'spout.yml'}? a project's spec is spout.yaml"


def test_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "spout.yaml").touch()
    with pytest.raises(SpecError) as caught:
        load(tmp_path / "spuot.yaml")
    (finding,) = caught.value.diagnostics
    assert (finding.code, finding.hint) == ("SG101", f"did you mean {tmp_path / 'spout.yaml'}?")
    with pytest.raises(SpecError, match="SG101"):
        load(tmp_path / "no" / "such" / "file.yaml")
    with pytest.raises(SpecError, match="SG101"):
        load(tmp_path / "spout.yaml" / "below")


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "spout.yaml").symlink_to("gone.yaml")
    with pytest.raises((SpecError, ProjectError)):
        load(tmp_path)


def test_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    with pytest.raises(SpecError, match="SG101 Too many levels of symbolic links"):
        load(tmp_path / "loop.yaml")


def test_an_endless_file_is_read_no_further_than_the_bound() -> None:
    with pytest.raises(SpecError, match="SG102"):
        load(Path("/dev/zero"))


def test_a_folder_named_like_a_spec(tmp_path: Path) -> None:
    (tmp_path / "spout.yaml").mkdir()
    with pytest.raises((SpecError, ProjectError)):
        load(tmp_path)
