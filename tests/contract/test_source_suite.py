"""What every source must do, whatever it reads: the checks below, for each kind in the table.

A new kind needs one line here: a sample of its options, with which it has at least ``MANY`` records at once.
"""

import json
import time
from itertools import pairwise

import pytest
from spout.config import Config, Limits, Output
from spout.marker import Announcement
from spout.records import Limit, Record
from spout.sources import KINDS

MANY = 12
SAMPLES = {
    "symbol": {"symbol": "é.", "interval": 0},
    "custom": {"options": {"interval": 0}},
}
BATCH_RECORDS = {"symbol": 1}
ENOUGH = 1 << 20


@pytest.fixture(params=list(KINDS))
def kind(request):
    return request.param


def make(kind):
    return KINDS[kind].make(SAMPLES[kind])


def read(source, count, until=None):
    """At least ``count`` records, or all up to ``until``."""
    deadline = time.monotonic() + 20
    records = []
    while len(records) < count if until is None else not records or records[-1].position != until:
        records += source.read(Limit(count, ENOUGH, until), 0.1)
        assert time.monotonic() < deadline
    return records


def first_records(kind):
    source = make(kind)
    source.open(None)
    records = read(source, MANY)
    source.close()
    return records


def test_every_kind_has_a_sample_here():
    assert set(SAMPLES) == set(KINDS)


def test_it_opens_and_closes_twice(kind):
    source = make(kind)
    for _ in range(2):
        source.open(None)
        assert read(source, 1)[0].data == first_records(kind)[0].data
        source.close()
    source.close()


def test_its_identity_never_changes(kind):
    source = make(kind)
    before = source.identity
    source.open(None)
    read(source, 2)
    source.close()
    assert source.identity == make(kind).identity == before
    assert before == kind or before.startswith(f"{kind}:")
    assert isinstance(source.needs_ack, bool)


def test_records_have_bytes_a_name_of_their_own_and_a_position_of_their_own_that_json_keeps(kind):
    records = first_records(kind)
    assert all(isinstance(record, Record) and isinstance(record.data, bytes) for record in records)
    assert all(record.name for record in records)
    assert len({record.name for record in records}) == len(records)
    positions = [json.dumps(record.position, sort_keys=True) for record in records]
    assert len(set(positions)) == len(records)
    assert "null" not in positions
    assert [json.loads(position) for position in positions] == [record.position for record in records]


def test_it_resumes_exactly_after_any_record(kind):
    records = first_records(kind)
    for at in range(len(records) - 1):
        source = make(kind)
        source.open(records[at].position)
        again = read(source, len(records) - at - 1)
        source.close()
        assert again[: len(records) - at - 1] == records[at + 1 :]


def test_it_reads_any_range_again_to_the_same_records_and_stops_there(kind):
    records = first_records(kind)
    for start in range(-1, len(records) - 1):
        for end in range(start + 1, len(records)):
            source = make(kind)
            source.open(records[start].position if start >= 0 else None)
            again = read(source, MANY, until=records[end].position)
            assert again == records[start + 1 : end + 1]
            assert source.read(Limit(MANY, ENOUGH, records[end].position), 0.0) == []
            source.close()


def test_after_a_replay_it_goes_on_with_what_is_new(kind):
    records = first_records(kind)
    source = make(kind)
    source.open(records[1].position)
    read(source, MANY, until=records[4].position)
    assert read(source, 1)[0] == records[5]
    source.close()


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("replay", [False, True])
def test_it_never_returns_more_records_than_asked(kind, most, replay):
    records = first_records(kind)
    source = make(kind)
    source.open(None)
    until = records[-1].position if replay else None
    for _ in range(4):
        assert 0 <= len(source.read(Limit(most, ENOUGH, until), 0.1)) <= most
    source.close()


@pytest.mark.parametrize("replay", [False, True])
def test_it_returns_no_further_record_once_the_bytes_are_reached(kind, replay):
    records = first_records(kind)
    most = len(records[0].data) + 1
    source = make(kind)
    source.open(None)
    for _ in range(4):
        got = source.read(Limit(MANY, most, records[-1].position if replay else None), 0.1)
        assert sum(len(record.data) for record in got[:-1]) < most
    source.close()


def test_idle_it_returns_in_time(kind):
    source = make(kind)
    source.open(first_records(kind)[-1].position)
    began = time.monotonic()
    for _ in range(5):
        source.read(Limit(1, ENOUGH), 0.01)
    assert time.monotonic() - began < 10
    source.close()


def test_acks_are_taken_at_any_place_and_change_nothing(kind):
    records = first_records(kind)
    source = make(kind)
    source.open(None)
    again = []
    while len(again) < len(records):
        again += source.read(Limit(1, ENOUGH), 0.1)
        source.ack(again[-1].position)
    source.close()
    assert again == records


@pytest.mark.parametrize("is_prefix", [False, True])
def test_its_marker_is_read_back_as_it_was_announced(kind, is_prefix, tmp_path):
    records = first_records(kind)
    limits = Limits(BATCH_RECORDS.get(kind, 5), ENOUGH, 5.0)
    config = Config("aspout", kind, SAMPLES[kind], "mymark", is_prefix, Output("output", "lines"), limits)
    shape = KINDS[kind].shape(config, make(kind).identity)
    ends = [None, *(record.position for record in records[limits.records - 1 :: limits.records])]
    for committed, writing in pairwise(ends):
        files = shape.files(Announcement(committed, writing))
        assert files[-1].path == "mymark"
        assert all(file.path.startswith("mymark") for file in files)
        data = [b"".join(file.chunks) for file in files]
        assert [file.size for file in files] == [len(each) for each in data]
        (tmp_path / "mymark").write_bytes(data[-1])
        assert shape.read(tmp_path / "mymark") == Announcement(committed, writing)
