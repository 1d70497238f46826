"""The marker: JSON there and back, every refusal, and what the worker's link says."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spout.fatal import FatalError
from spout.log import Log
from spout.marker import Announcement, Budget, JsonShape, PartitionShape, pulled
from spout.metrics import Meter
from spout.records import File

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
    assert "marker reset" in caught.value.remedy or "image" in caught.value.remedy
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


# Partitions


def partitions(is_prefix):
    return PartitionShape("mymark", is_prefix, "aspout", "kafka:orders")


WHERE = Announcement({"orders": {"0": 5, "1": 7}}, {"orders": {"0": 5, "1": 9}, "new/one": {"0": 1}})


def test_by_name_partitions_have_one_file():
    assert contents(partitions(False), WHERE) == contents(JsonShape("mymark", "aspout", "kafka:orders"), WHERE)


def test_by_prefix_each_partition_that_moves_on_has_a_part_and_the_whole_comes_last():
    made = contents(partitions(True), WHERE)
    assert list(made) == ["mymark.new%2Fone.0", "mymark.orders.1", "mymark"]
    signed = {"spoutgen_marker": 1, "spout": "aspout", "source": "kafka:orders"}
    part = {"topic": "orders", "partition": "1", "committed": 7, "writing": 9}
    assert json.loads(made["mymark.orders.1"]) == {**signed, **part}
    assert json.loads(made["mymark.new%2Fone.0"])["committed"] is None


def test_a_restart_reads_the_whole(tmp_path):
    path = tmp_path / "mymark"
    for announcement in (WHERE, Announcement(None, {"a": {"0": 1}}), Announcement({"a": {"0": 1}}, None)):
        path.write_bytes(contents(partitions(True), announcement)["mymark"])
        assert partitions(True).read(path) == announcement


def test_where_nothing_is_being_written_there_is_only_the_whole():
    assert list(contents(partitions(True), Announcement({"orders": {"0": 5}}, None))) == ["mymark"]


def test_the_signature_of_a_part_is_no_whole_marker(tmp_path):
    path = tmp_path / "mymark"
    path.write_bytes(contents(partitions(True), WHERE)["mymark.orders.1"])
    with pytest.raises(FatalError, match="holds the keys"):
        partitions(True).read(path)


# Budget


def marker_file(size, path="mymark"):
    return File(path, size, [])


class Budgeted:
    def __init__(self):
        self.text, self.meter = io.StringIO(), Meter(lambda: 0.0)
        self.budget = Budget(Log(self.text), self.meter)

    @property
    def told(self):
        lines = [json.loads(line) for line in self.text.getvalue().splitlines()]
        return [(line["event"], line["file"], line["bytes"], line["limit"]) for line in lines]


def test_a_large_marker_is_told_once_and_written():
    it = Budgeted()
    for size in (64 << 10, (64 << 10) + 1, 70_000, 1 << 20):
        files = [marker_file(size)]
        assert it.budget.checked(files) is files
    assert it.told == [("marker_is_large", "mymark", (64 << 10) + 1, 1 << 20)]


def test_each_file_has_a_budget_of_its_own():
    it = Budgeted()
    it.budget.checked([marker_file(70_000, "mymark.a.0"), marker_file(60_000, "mymark")])
    it.budget.checked([marker_file(80_000, "mymark.a.1"), marker_file(70_000, "mymark")])
    assert [file for _, file, _, _ in it.told] == ["mymark.a.0", "mymark.a.1", "mymark"]


def test_a_marker_above_a_mebibyte_is_refused_with_the_way_out():
    it = Budgeted()
    with pytest.raises(FatalError, match="a marker file mymark of 1048577 bytes") as error:
        it.budget.checked([marker_file((1 << 20) + 1)])
    assert "marker: {prefix: NAME}" in error.value.remedy
    assert "marker_age" not in it.meter.text()


def test_a_part_is_told_of_and_never_refused():
    it = Budgeted()
    it.budget.checked([marker_file(5 << 20, "mymark07"), marker_file(100)])
    assert it.told == [("marker_is_large", "mymark07", 5 << 20, None)]


def test_what_is_checked_counts_as_marked():
    it = Budgeted()
    it.budget.checked([marker_file(1)])
    assert "spout_marker_age_seconds 0.0" in it.meter.text()
