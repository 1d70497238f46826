"""The marker: JSON there and back, every refusal, and what the worker's link says."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spout.fatal import FatalError
from spout.marker import Announcement, JsonShape, pulled

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
SHAPE = JsonShape("mymark", "spoutmarker", "numbers")


def contents(shape, announcement):
    return {file.path: b"".join(file.chunks) for file in shape.files(announcement)}


@given(st.builds(Announcement, JSON, JSON))
def test_there_and_back(tmp_path_factory, announcement):
    path = tmp_path_factory.mktemp("marker") / "mymark"
    [file] = SHAPE.files(announcement)
    path.write_bytes(b"".join(file.chunks))
    assert path.stat().st_size == file.size
    assert SHAPE.read(path) == announcement


def test_the_file_itself():
    expected = '{"spoutgen_marker":1,"spout":"spoutmarker","source":"numbers","committed":null,"writing":{"é":1}}\n'
    assert contents(SHAPE, Announcement(None, {"é": 1})) == {"mymark": expected.encode()}


@pytest.mark.parametrize(
    ("change", "found", "remedy"),
    [
        ({"spoutgen_marker": 2}, "in format 2", "another version"),
        ({"spoutgen_marker": 2, "news": 1}, "in format 2", "another version"),
        ({"spout": "other"}, "of spout 'other'", "put the spec back to that spout"),
        ({"source": "kafka"}, "of source 'kafka'", "put the spec back to that source"),
        ({"more": 1}, "the keys", "older marker"),
    ],
)
def test_a_marker_of_something_else(tmp_path, change, found, remedy):
    marker = json.loads(contents(SHAPE, Announcement(1, 2))["mymark"])
    path = tmp_path / "mymark"
    path.write_text(json.dumps({**marker, **change}, separators=(",", ":")))
    refused(path, found, remedy)


@pytest.mark.parametrize("key", ["spout", "source", "committed", "writing"])
def test_a_marker_without_a_key(tmp_path, key):
    marker = json.loads(contents(SHAPE, Announcement(1, 2))["mymark"])
    del marker[key]
    path = tmp_path / "mymark"
    path.write_text(json.dumps(marker, separators=(",", ":")))
    refused(path, "", "")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "nothing"),
        (b".\n..\n", "plain text, '.\\n..\\n'"),
        (b"\xff\xfe\x00", "plain text"),
        (b"x" * 10**6, "plain text, 'xxx"),
        (b'{"spoutgen_marker":', "cut or broken"),
        (b'{"spoutgen_marker":1}]', "cut or broken"),
        (b'{"spoutgen_marker":1,"spout":"\xff"}', "cut or broken"),
        (b'{"spoutgen_marker":[' + b"[" * 100_000, "cut or broken"),
        (b'{"spoutgen_marker":1}', "of spout None"),
        (b'{"spoutgen_marker":null}', "in format None"),
    ],
)
def test_a_marker_that_nobody_can_read(tmp_path, data, found):
    path = tmp_path / "mymark"
    path.write_bytes(data)
    refused(path, found, "")


def test_a_marker_cut_anywhere_is_seen(tmp_path):
    whole = contents(SHAPE, Announcement(17, {"at": "é"}))["mymark"].rstrip()
    path = tmp_path / "mymark"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        refused(path, "", "")


def refused(path, found, remedy):
    with pytest.raises(FatalError) as caught:
        SHAPE.read(path)
    assert caught.value.subject == "marker"
    assert str(path) in caught.value.found
    assert found in caught.value.found
    assert remedy in caught.value.remedy
    assert "--reprocess" in caught.value.remedy or "image" in caught.value.remedy
    assert len(str(caught.value)) < 700


def test_a_link_that_leads_nowhere_is_the_very_first_start(tmp_path):
    (tmp_path / "mymark").symlink_to(tmp_path / "nothing")
    assert pulled(tmp_path / "mymark", SHAPE) is None
    assert not (tmp_path / "nothing").exists()


def test_a_link_that_leads_to_a_file(tmp_path):
    (tmp_path / "there").write_bytes(contents(SHAPE, Announcement(1, 2))["mymark"])
    (tmp_path / "mymark").symlink_to(tmp_path / "there")
    assert pulled(tmp_path / "mymark", SHAPE) == Announcement(1, 2)


def test_no_link_at_all_is_another_marker_than_the_pipeline_has(tmp_path):
    with pytest.raises(FatalError, match="no link at"):
        pulled(tmp_path / "mymark", SHAPE)


def test_a_folder_is_no_marker(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "mymark").symlink_to(tmp_path / "there")
    with pytest.raises(FatalError, match="a folder at"):
        pulled(tmp_path / "mymark", SHAPE)
