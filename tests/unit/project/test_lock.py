"""lock.json: what it says, and what is said when it says nothing usable."""

import json
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator

from spoutgen import __version__
from spoutgen.errors import ProjectError
from spoutgen.project.lock import LOCK, Build, Lock, Origin, as_entry, read_lock
from spoutgen.resources import schemas_dir

OURS = Lock(__version__, 1, "s" * 64, Origin(None, "t" * 64), "a:v1", {"a:v1": "c" * 64}, {"a": "seed", "b": "managed"})
BUILD = Build("c" * 64, {"PYTHON_IMAGE": "a" * 64}, "linux/arm64", f"sha256:{'1' * 64}", None)


@pytest.fixture
def lock_file(tmp_path):
    file = tmp_path / LOCK
    file.parent.mkdir()
    return file


def code_of(folder):
    with pytest.raises(ProjectError) as caught:
        read_lock(folder)
    return caught.value.diagnostics[0].code


def test_round_trip(tmp_path, lock_file):
    lock_file.write_bytes(as_entry(OURS).data)
    assert read_lock(tmp_path) == OURS
    with_build = replace(OURS, builds={"a:v1": BUILD})
    lock_file.write_bytes(as_entry(with_build).data)
    assert read_lock(tmp_path) == with_build


def test_a_lock_of_before_there_were_builds_has_none(tmp_path, lock_file):
    older = json.loads(as_entry(OURS).data)
    del older["builds"]
    lock_file.write_text(json.dumps(older))
    assert read_lock(tmp_path) == OURS


def test_a_folder_without_lock_is_no_project(tmp_path):
    assert code_of(tmp_path) == "SG401"
    assert code_of(tmp_path / "nowhere") == "SG401"


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}", b'{"version": 1}', b"\xff\xfe"])
def test_a_damaged_lock_is_said_to_be_damaged(tmp_path, lock_file, damage):
    lock_file.write_bytes(damage)
    assert code_of(tmp_path) == "SG405"


@pytest.mark.parametrize(
    "newer", [{"version": 2}, {"spoutgen": "99.0.0"}, {"spoutgen": "0.1.0.dev-next"}, {"version": 2, "files": None}]
)
def test_a_newer_project_is_refused(tmp_path, lock_file, newer):
    lock_file.write_text(json.dumps({**json.loads(as_entry(OURS).data), **newer}))
    assert code_of(tmp_path) == "SG404"


def test_an_older_project_is_taken(tmp_path, lock_file):
    lock_file.write_text(json.dumps({**json.loads(as_entry(OURS).data), "spoutgen": "0.0.9"}))
    assert read_lock(tmp_path).spoutgen == "0.0.9"


def test_the_lock_is_what_its_schema_says(project):
    validator = Draft202012Validator(json.loads((schemas_dir() / "lock-1.json").read_text()))
    validator.validate(json.loads((project / LOCK).read_bytes()))
    for builds in ({}, {"a:v1": BUILD}, {"a:v1": replace(BUILD, platform=None, pushed=BUILD.id)}):
        lock = replace(OURS, spec="0" * 64, template=Origin("t", "0" * 64), images={}, builds=builds)
        validator.validate(json.loads(as_entry(lock).data))
    assert not validator.is_valid({**json.loads((project / LOCK).read_bytes()), "more": 1})


@pytest.mark.parametrize(
    "wrong",
    [
        {"images": []},
        {"image": 1},
        {"pachyderm": "1"},
        {"template": "x"},
        {"more": 1},
        {"builds": []},
        {"builds": {"a:v1": {}}},
        {"builds": {"a:v1": {"contents": 1, "arguments": {}, "platform": None, "id": "", "pushed": None}}},
        {"builds": {"a:v1": {"contents": "", "arguments": [], "platform": None, "id": "", "pushed": None}}},
    ],
)
def test_a_lock_that_somebody_wrote_into_is_damaged(tmp_path, lock_file, wrong):
    lock_file.write_text(json.dumps({**json.loads(as_entry(OURS).data), **wrong}))
    assert code_of(tmp_path) == "SG405"
