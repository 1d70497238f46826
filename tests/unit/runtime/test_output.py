"""Batches become files: paths and bytes from positions alone, always legal, never the marker's."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spout.config import Output
from spout.fatal import FatalError
from spout.output import dated, fault_of, files, legal
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


# Groups and fields


def of(group, name, facts=None, data=b"x"):
    return Record(data, name, name, group, facts or {})


ZERO, ONE = {"topic": "a", "partition": "0"}, {"topic": "a", "partition": "1"}


def test_partitions_that_the_path_names_are_kept_apart():
    records = [of(ZERO, "5", data=b"05"), of(ONE, "5", data=b"15"), of(ZERO, "6", data=b"06"), of(ONE, "6", data=b"16")]
    assert written(Batch(None, 1, records), "{topic}/{partition}/{first}-{last}") == [
        ("a/0/5-6", b"05\n06\n"),
        ("a/1/5-6", b"15\n16\n"),
    ]


def test_groups_of_the_same_values_are_one_whatever_object_they_are():
    records = [of(dict(ZERO), "5"), of(dict(ONE), "1"), of(dict(ZERO), "6")]
    made = written(Batch(None, 1, records), "{partition}/{first}-{last}")
    assert [path for path, _ in made] == ["0/5-6", "1/1-1"]


def test_a_group_s_value_becomes_legal():
    [(path, _)] = written(Batch(None, 1, [of({"topic": "../a{first}"}, "1")]), "{topic}/{first}")
    assert path == "..%2Fa%7Bfirst%7D/1"


def test_days_and_hours_are_those_of_the_records_in_utc():
    times = [1767225599.999, 1767225600.0, 1767229200.0]
    records = [of({}, str(at), {"time": moment}) for at, moment in enumerate(times)]
    made = written(Batch(None, 1, records), "{date}/{hour}/{first}")
    assert [path for path, _ in made] == ["2025-12-31/23/0", "2026-01-01/00/1", "2026-01-01/01/2"]


def test_keys_are_kept_apart_and_no_key_is_not_the_empty_one():
    keys = ["k", None, "", "k", "%-", 7]
    records = [of({}, str(at), {} if key is None else {"key": key}) for at, key in enumerate(keys)]
    made = written(Batch(None, 1, records), "{key}/{first}-{last}")
    assert [path for path, _ in made] == ["k/0-3", "%-/1-1", "%/2-2", "%25-/4-4", "7/5-5"]


def test_one_file_a_record_with_its_own_fields():
    records = [of(ZERO, "5", {"key": "k"}), of(ONE, "5", lambda: {"key": None})]
    made = written(Batch(None, 1, records), "{partition}/{key}/{first}", "files")
    assert [path for path, _ in made] == ["0/k/5", "1/%-/5"]


@pytest.mark.parametrize("moment", [None, "noon", True, float("nan"), float("inf"), 1e300])
def test_what_is_no_time_has_no_day(moment):
    assert dated(moment, "%Y-%m-%d") is None
    assert "which {hour} in output.path stands for" in fault_of(of({}, "1", {"time": moment}), "{hour}/{first}")


def test_a_path_that_is_too_long_is_seen_before_it_is_written():
    one = of({}, "n" * 10, {"key": "é" * 1000})
    assert fault_of(one, "{first}") is None
    assert fault_of(one, "{key}/{first}") == "its path would have 6011 characters; 4000 are possible"


def test_rejected_records_have_files_of_their_own():
    batch = Batch(None, 1, [of({}, "1")], [of({}, "2"), of({}, "3")])
    made = files(batch, Output("data/{first}", "files", on_error="dead_letter", dead_letters="dead/{first}"), "mymark")
    assert [(file.path, b"".join(file.chunks)) for file in made] == [("data/1", b"x"), ("dead/2", b"x\nx\n")]


def test_dead_letters_that_would_go_to_the_marker_are_refused():
    batch = Batch(None, 1, [], [of({}, "2")])
    with pytest.raises(FatalError, match="does not begin with the marker's name"):
        files(batch, Output("data", "lines", dead_letters="mymark/{first}"), "mymark")
