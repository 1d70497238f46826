"""Batches become files: paths and bytes from positions alone, always legal, never the marker's."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spout.config import Output
from spout.fatal import FatalError
from spout.output import files, legal
from spout.records import Batch, Record


def batch_of(*datas, names=None):
    names = names or [str(at + 1) for at in range(len(datas))]
    records = [Record(data, at, name) for at, (data, name) in enumerate(zip(datas, names, strict=True))]
    return Batch(None, records[-1].position, records)


def written(batch, path, form="lines"):
    made = files(batch, Output(path, form), "mymark")
    result = [(file.path, b"".join(file.chunks)) for file in made]
    assert [file.size for file in made] == [len(data) for _, data in result]
    return result


def test_lines_are_one_file_each_record_ended_by_a_line_feed():
    assert written(batch_of(b"a", b"", b"b\0"), "data/{first}-{last}") == [("data/1-3", b"a\n\nb\0\n")]


def test_files_are_one_a_record_with_its_bytes_alone():
    assert written(batch_of(b"a", b""), "{first}", "files") == [("1", b"a"), ("2", b"")]


@pytest.mark.parametrize("count", [1, 999, 1000, 1001, 2500])
def test_lines_of_a_large_batch(count):
    datas = [b"%d" % n for n in range(count)]
    assert written(batch_of(*datas), "output") == [("output", b"".join(data + b"\n" for data in datas))]


def test_other_braces_and_names_with_braces_are_only_letters():
    [(path, _)] = written(batch_of(b"a", b"b", names=["{last}", "{first}"]), "{{first}}/{other}/{last}/{first}")
    assert path == "{%7Blast%7D}/{other}/%7Bfirst%7D/%7Blast%7D"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("17", "17"),
        ("topic-0_00.42", "topic-0_00.42"),
        ("a b:c=d,e;f~", "a b:c=d,e;f~"),
        ("a/b", "a%2Fb"),
        ("a%2Fb", "a%252Fb"),
        ("me@example.org", "me%40example.org"),
        ("2026-01-02T03:04:05+00:00", "2026-01-02T03:04:05%2B00:00"),
        ("é", "%C3%A9"),
        ("*?[]{}!()@+^", "%2A%3F%5B%5D%7B%7D%21%28%29%40%2B%5E"),
        ("..", "%2E%2E"),
        (".", "%2E"),
        (".a", ".a"),
        ("\n\0", "%0A%00"),
    ],
)
def test_a_name_becomes_legal(name, expected):
    assert legal(name) == expected


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(TEXT)
def test_any_name_is_legal_in_the_end(name):
    assert re.fullmatch(r"[ -~]+", legal(name))
    assert not re.search(r"[*?\[\]{}!()@+^/]", legal(name))
    assert legal(name) not in (".", "..")


@given(TEXT, TEXT)
def test_two_names_never_become_one(one, other):
    assert (legal(one) == legal(other)) == (one == other)


@pytest.mark.parametrize(
    "path", ["mymark", "mymark01", "mymarker.txt", "mymark/a", "./mymark", "a/../mymark", "{first}"]
)
def test_a_path_that_would_go_to_the_marker_is_refused(path):
    with pytest.raises(FatalError, match="does not begin with the marker's name"):
        written(batch_of(b"a", names=["mymark"]), path)


@pytest.mark.parametrize("path", ["/mymark", "data/mymark", "mymar", "Mymark"])
def test_a_path_that_does_not_begin_so_is_fine(path):
    assert written(batch_of(b"a"), path)[0][0] == path
