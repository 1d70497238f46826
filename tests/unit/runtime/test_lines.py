"""Lines in one piece are the records that they hold: the same batches, and the same files byte for byte."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spout.config import Limits, Output
from spout.log import Log
from spout.loop import read_again, read_batch
from spout.metrics import Meter
from spout.output import files
from spout.records import Batch, Lines, Record, Records, size_of
from spout.refine import Refining
from spout.sources.file.generation import line_end, line_ends
from spout.sources.file.source import FileSource

from .clocks import Clock

LINE = st.binary(max_size=12).map(lambda data: data.replace(b"\n", b"\r"))
GROUP = {"file": "app.log"}


def lines(*datas, group=GROUP, begin=0):
    return Lines(b"\n".join(datas), len(datas), lambda offset: str(begin + offset), begin + 99, group)


def records(*datas, group=GROUP, begin=0):
    made = []
    for data in datas:
        at = sum(len(record.data) + 1 for record in made)
        made.append(Record(data, None, str(begin + at), group))
    return [*made[:-1], made[-1]._replace(position=begin + 99)]


@given(st.lists(LINE, min_size=1, max_size=8))
def test_they_are_a_sequence_of_records(datas):
    made, expected = lines(*datas), records(*datas)
    assert list(made) == expected
    assert (len(made), size_of(made)) == (len(expected), size_of(expected))
    for index in range(-len(expected), len(expected)):
        assert made[index] == expected[index]
    assert made[1:] == expected[1:]
    with pytest.raises(IndexError):
        made[len(expected)]


@given(st.lists(st.tuples(st.booleans(), st.lists(LINE, min_size=1, max_size=4)), min_size=1, max_size=6))
def test_many_reads_are_one_sequence(reads):
    made, expected = Records(), []
    for number, (is_whole, datas) in enumerate(reads):
        more = (lines if is_whole else records)(*datas, begin=1000 * number)
        made.add(more)
        expected += more
    assert list(made) == expected
    assert (len(made), size_of(made)) == (len(expected), size_of(expected))
    assert (made[0], made[-1], made[1:]) == (expected[0], expected[-1], expected[1:])


def test_no_reads_are_no_records():
    made = Records()
    assert not made
    assert list(made) == []
    with pytest.raises(IndexError):
        made[0]


@given(st.lists(LINE, min_size=1, max_size=40), st.data())
def test_the_line_end_of_a_number(datas, data):
    text = b"".join(line + b"\n" for line in datas)
    number = data.draw(st.integers(1, len(datas)))
    assert line_ends(text) == len(datas)
    assert line_end(text, number) == sum(len(line) + 1 for line in datas[:number]) - 1


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from(["a", "b"]), st.lists(LINE, min_size=1, max_size=4)), min_size=1),
    st.sampled_from(["{first}-{last}", "{file}/{first}-{last}", "{file}/{key}/{last}"]),
    st.sampled_from(["lines", "files"]),
)
def test_the_files_of_a_batch_are_those_of_its_records(reads, path, form):
    groups = {"a": {"file": "a"}, "b": {"file": "b"}}
    pieces, single = Records(), []
    for number, (is_whole, name, datas) in enumerate(reads):
        pieces.add((lines if is_whole else records)(*datas, group=groups[name], begin=1000 * number))
        single += records(*datas, group=groups[name], begin=1000 * number)
    assert written(Batch(None, 1, pieces), path, form) == written(Batch(None, 1, single), path, form)


def written(batch, path, form="lines"):
    made = files(batch, Output(path, form), "mymark")
    bodies = [b"".join(file.chunks) for file in made]
    assert [len(body) for body in bodies] == [file.size for file in made]
    return [(file.path, body) for file, body in zip(made, bodies, strict=True)]


class Sink:
    """Keeps what is written."""

    def write(self, batch, committed):
        self.batch = batch


def test_what_looks_at_single_records_finds_them():
    batch = Records()
    batch.add(lines(b"keep 1", b"drop", b"keep 2"))
    sink = Sink()
    output = Output("{file}/{first}", "lines", envelope="text")
    transform = lambda record: record if record.data.startswith(b"keep") else None  # noqa: E731
    Refining(sink, output, None, transform, Log(None), Meter()).write(Batch(None, 99, batch), print)
    assert [record.data for record in sink.batch.records] == [
        b'{"file":"app.log","value":"keep 1"}',
        b'{"file":"app.log","value":"keep 2"}',
    ]


class Single:
    """A source whose records come single: what a list of them is, for comparison."""

    def __init__(self, source):
        self._source = source

    def read(self, limit, timeout):
        return list(self._source.read(limit, timeout))


def batches(source, clock, limits):
    found, start = [], None
    while batch := read_batch(source, start, limits, clock):
        found.append(batch)
        start = batch.end
    return found


def facts(batch):
    return batch.start, batch.end, list(batch.records), written(batch, "{file}/{first}-{last}")


@settings(deadline=None, max_examples=25)
@given(
    logs=st.lists(st.tuples(st.lists(LINE, min_size=1, max_size=30), LINE), min_size=1, max_size=2),
    count=st.integers(1, 20),
    size=st.integers(1, 80),
    again=st.tuples(st.integers(1, 20), st.integers(1, 80)),
)
def test_a_file_is_cut_into_the_same_batches_and_a_replay_into_the_same_files(logs, count, size, again):
    with tempfile.TemporaryDirectory() as folder:
        for name, (whole, partial) in zip("ab", logs, strict=False):
            Path(folder, f"{name}.log").write_bytes(b"".join(line + b"\n" for line in whole) + partial)
        options = {"files": f"{folder}/*.log", "start": "beginning", "on_lost": "fail", "max_line": 1 << 20}

        def opened(position=None):
            clock = Clock()
            source = FileSource(options, pytest.fail, clock, clock.sleep)
            source.open(position)
            return source, clock

        source, clock = opened()
        limits = Limits(count, size, 60)
        found = [facts(batch) for batch in batches(source, clock, limits)]
        source.close()
        source, clock = opened()
        assert [facts(batch) for batch in batches(Single(source), clock, limits)] == found
        source.close()
        if len(logs) == 1:
            assert [[record.data for record in made] for _, _, made, _ in found] == list(cut(logs[0][0], count, size))
        for start, end, _, made in found:
            source, _ = opened(start)
            batch = read_again(source, start, end, Limits(*again, 60))
            assert sorted(written(batch, "{file}/{first}-{last}")) == sorted(made)
            source.close()


def cut(datas, count, size):
    """What the limits mean: no record more than ``count``, and none once there are ``size`` bytes."""
    batch = []
    for data in datas:
        batch.append(data)
        if len(batch) == count or sum(map(len, batch)) >= size:
            yield batch
            batch = []
    if batch:
        yield batch
