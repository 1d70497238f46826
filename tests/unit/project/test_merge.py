"""The table of spoutgen/project/merge.py, and its laws."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoutgen.project.merge import merge
from spoutgen.project.textmerge import Merged, first_mark, is_binary, merge_text, with_git, with_merge3
from spoutgen.project.tree import BELOW_A_FILE, Entry

A, B, C = Entry(b"a\n"), Entry(b"b\n"), Entry(b"c\n")
LINK, FOLDER = Entry(b"elsewhere", kind="link"), Entry(b"not a file", kind="other")
CONFLICT = Entry(b"<<<<<<< yours\nb\n||||||| base\na\n=======\nc\n>>>>>>> new\n")
FRESH_CONFLICT = Entry(b"<<<<<<< yours\nb\n||||||| base\n=======\na\n>>>>>>> new\n")
ONE_TWO, ONE_TWO_3, ZERO_ONE_TWO = Entry(b"1\n2\n3\n"), Entry(b"1\n2\n3!\n"), Entry(b"0\n1\n2\n3\n")
BINARY = [Entry(bytes([0, number])) for number in range(3)]

TABLE = {
    "unchanged by both": (A, A, A, "keep", None),
    "changed by new only": (A, A, B, "change", B),
    "changed by you only": (A, B, A, "keep", None),
    "changed by both alike": (A, B, B, "keep", None),
    "changed by both in one place": (A, B, C, "conflict", CONFLICT),
    "changed by both in two places": (ONE_TWO, ONE_TWO_3, ZERO_ONE_TWO, "merge", Entry(b"0\n1\n2\n3!\n")),
    "new has it first": (None, None, A, "add", A),
    "new has it first, but you have another": (None, B, A, "conflict", FRESH_CONFLICT),
    "new has it first, and you have the same": (None, A, A, "keep", None),
    "dropped by new": (A, A, None, "delete", None),
    "dropped by new, changed by you": (A, B, None, "keep", None),
    "deleted by you": (A, None, A, "keep", None),
    "deleted by you, changed by new": (A, None, B, "keep", None),
    "deleted by both": (A, None, None, "keep", None),
    "binary, changed by new only": (BINARY[0], BINARY[0], BINARY[1], "change", BINARY[1]),
    "binary, all differ": (*BINARY, "beside", BINARY[2]),
    "made executable by new": (A, A, Entry(b"a\n", True), "change", Entry(b"a\n", True)),
    "made executable by you, changed by new": (A, Entry(b"a\n", True), B, "merge", Entry(b"b\n", True)),
    "changed by you, made executable by new": (A, B, Entry(b"a\n", True), "merge", Entry(b"b\n", True)),
    "a link of yours, unchanged by new": (A, LINK, A, "keep", None),
    "a link of yours, changed by new": (A, LINK, B, "beside", B),
    "a folder of yours, unchanged by new": (A, FOLDER, A, "keep", None),
    "a folder of yours, changed by new": (A, FOLDER, B, "blocked", None),
    "a folder of yours where new has a file": (None, FOLDER, B, "blocked", None),
    "turned to CRLF by you, changed by new": (
        ONE_TWO, Entry(b"1\r\n2\r\n3\r\n"), ZERO_ONE_TWO, "merge", Entry(b"0\r\n1\r\n2\r\n3\r\n"),
    ),
    "no final new line": (
        Entry(b"1\n2\n3"), Entry(b"1\n2\n3\n4"), Entry(b"0\n1\n2\n3"), "merge", Entry(b"0\n1\n2\n3\n4"),
    ),
    "empty to text": (Entry(b""), Entry(b""), A, "change", A),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
@pytest.mark.parametrize("path", ["f", "d/with space", "{{ cookiecutter.x }}"])
def test_the_table(case, path):
    base, yours, new, action, entry = TABLE[case]
    trees = ({path: side} if side else {} for side in (base, yours, new))
    decisions = merge(*trees, merge_text)
    if base is None and new is None:
        assert decisions == []
    else:
        assert [(d.path, d.action, d.entry) for d in decisions] == [(path, action, entry)]


@pytest.mark.parametrize(
    "case", ["dropped by new, changed by you", "deleted by you, changed by new", "binary, all differ"]
)
def test_what_the_owner_should_know_is_said(case):
    base, yours, new, *_ = TABLE[case]
    (decision,) = merge(*({"f": side} if side else {} for side in (base, yours, new)), merge_text)
    assert decision.note


def test_files_that_were_never_generated_are_not_even_looked_at():
    assert merge({}, {"mine": A}, {}, merge_text) == []


def test_a_file_that_new_only_renamed_takes_your_edits_along():
    decisions = merge({"old": A}, {"old": B}, {"new": A}, merge_text)
    assert [(d.path, d.action, d.entry) for d in decisions] == [("new", "add", B), ("old", "delete", None)]


def test_a_rename_that_is_not_certain_keeps_yours():
    decisions = merge({"old": A}, {"old": B}, {"one": A, "two": A}, merge_text)
    assert {d.path: d.action for d in decisions} == {"old": "keep", "one": "add", "two": "add"}
    decisions = merge({"old": A, "older": A}, {"old": B, "older": A}, {"one": A}, merge_text)
    assert {d.path: d.action for d in decisions} == {"old": "keep", "older": "delete", "one": "add"}


def test_a_file_that_new_renamed_and_changed_is_merged_under_its_new_name():
    yours, new = Entry(b"1\n2\n3\nmine\n"), Entry(b"one\n2\n3\n")
    decisions = merge({"old": ONE_TWO}, {"old": yours}, {"new": new}, merge_text)
    assert [(d.path, d.action, d.entry) for d in decisions] == [
        ("new", "add", Entry(b"one\n2\n3\nmine\n")),
        ("old", "delete", None),
    ]


def test_a_conflict_in_a_renamed_file_stands_in_the_new_one():
    yours, new = Entry(b"mine\n2\n3\n"), Entry(b"one\n2\n3\n")
    first, second = merge({"old": ONE_TWO}, {"old": yours}, {"new": new}, merge_text)
    assert (first.path, first.action, second.action) == ("new", "conflict", "delete")
    assert b"\nmine\n" in first.entry.data


def test_another_file_is_no_renamed_one():
    decisions = merge({"old": ONE_TWO}, {"old": A}, {"new": Entry(b"1\nx\ny\nz\n")}, merge_text)
    assert {d.path: d.action for d in decisions} == {"old": "keep", "new": "add"}


def test_a_renamed_file_that_you_made_binary_stays():
    decisions = merge({"old": ONE_TWO}, {"old": BINARY[0]}, {"new": ONE_TWO_3}, merge_text)
    assert {d.path: d.action for d in decisions} == {"old": "keep", "new": "add"}


BELOW_A_FILE_CASE = ({"x": A}, {"x": A, "x/y": BELOW_A_FILE}, {"x/y": B})
FOLDER_CASE = ({"x/y": A}, {"x/y": A, "x": Entry(b"y", kind="folder")}, {"x": B})


@pytest.mark.parametrize("case", [BELOW_A_FILE_CASE, FOLDER_CASE])
def test_a_file_and_a_folder_give_way_to_each_other(case):
    actions = {d.path: d.action for d in merge(*case, merge_text)}
    assert sorted(actions.values()) == ["add", "delete"]


def test_they_do_not_where_something_of_yours_is_in_the_way():
    base, _, new = FOLDER_CASE
    for yours in (
        {"x/y": B, "x": Entry(b"y", kind="folder")},
        {"x/y": A, "x": Entry(b"mine\0y", kind="folder")},
    ):
        assert {d.path: d.action for d in merge(base, yours, new, merge_text)}["x"] == "blocked"
    base, _, new = BELOW_A_FILE_CASE
    decisions = merge(base, {"x": C, "x/y": BELOW_A_FILE}, new, merge_text)
    assert {d.path: d.action for d in decisions} == {"x": "keep", "x/y": "blocked"}


# Laws

trees = st.dictionaries(st.sampled_from(["p", "q", "r/s"]), st.sampled_from([A, B, C, Entry(b"a\n", True), BINARY[0]]))


def result_of(yours, decisions):
    """The tree after the decisions have been carried out."""
    result = dict(yours)
    for decision in decisions:
        if decision.entry is not None:
            result[f"{decision.path}.new" if decision.action == "beside" else decision.path] = decision.entry
        elif decision.action == "delete":
            del result[decision.path]
    return result


@given(trees, trees)
def test_no_edit_of_yours_means_exactly_new(base, new):
    assert result_of(base, merge(base, base, new, merge_text)) == new


@given(trees, trees)
def test_nothing_new_means_exactly_yours(base, yours):
    assert result_of(yours, merge(base, yours, base, merge_text)) == yours


def edited(lines, edits):
    lines = list(lines)
    for where, what in edits:
        at = where % (len(lines) + 1)
        if what is None:
            del lines[at : at + 1]
        else:
            lines.insert(at, what)
    return lines


def texts(words):
    return st.lists(st.tuples(st.integers(0, 20), st.none() | st.sampled_from(words)), max_size=4)


BASE_LINES = st.lists(st.sampled_from([f"{c}\n".encode() for c in string.ascii_lowercase]), unique=True, max_size=12)
YOURS = texts([f"yours {n}\n".encode() for n in range(9)])
NEWS = texts([f"new {n}\n".encode() for n in range(9)])


@pytest.mark.parametrize("merge_by", [with_git, with_merge3])
@given(BASE_LINES, YOURS, NEWS)
def test_no_line_of_yours_is_lost(merge_by, base, your_edits, new_edits):
    yours, new = edited(base, your_edits), edited(base, new_edits)
    merged = merge_by(b"".join(base), b"".join(yours), b"".join(new))
    kept = merged.data.split(b"\n")
    for line in yours:
        if line not in base:
            assert kept.count(line[:-1]) >= yours.count(line)


@given(BASE_LINES, YOURS, NEWS)
def test_git_and_merge3_agree(base, your_edits, new_edits):
    sides = [b"".join(lines) for lines in (base, edited(base, your_edits), edited(base, new_edits))]
    by_git, by_merge3 = with_git(*sides), with_merge3(*sides)
    assert by_git.has_conflict == by_merge3.has_conflict
    assert by_git.has_conflict == bool(first_mark(by_merge3.data)) == bool(first_mark(by_git.data))
    if not by_git.has_conflict:
        assert by_git == by_merge3


@pytest.mark.parametrize(
    "text", [b"a\n<<<<<<< yours\nb", b"||||||| base\r\n", b">>>>>>> new", b"\n=======\n>>>>>>> new\n"]
)
def test_a_mark_that_was_left_alone_is_found(text):
    assert first_mark(text)


def test_what_is_no_mark():
    for text in (b"Title\n=======\n", b"<<<<<<< HEAD\n", b"a <<<<<<< yours\n", b""):
        assert first_mark(text) is None
    assert first_mark(b"a\nb\n>>>>>>> new\n") == 3


@pytest.mark.parametrize("merge_by", [with_git, with_merge3])
def test_marks_begin_lines_even_where_a_final_new_line_is_missing(merge_by):
    merged = merge_by(b"a", b"b", b"c")
    assert merged == Merged(CONFLICT.data, True)


def test_binary_is_told_by_a_nul():
    assert is_binary(b"a\0b")
    assert not is_binary("é".encode())
    assert not is_binary(b"")
