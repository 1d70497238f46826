"""The table of spoutgen/project/merge.py, and its laws."""

from hypothesis import given
from hypothesis import strategies as st

from spoutgen.project.merge import merge
from spoutgen.project.tree import Entry

A, B, C = Entry(b"a"), Entry(b"b"), Entry(b"c")
trees = st.dictionaries(st.sampled_from(["p", "q", "r/s"]), st.sampled_from([A, B, C, Entry(b"a", True)]))


def actions(base, yours, new):
    return {d.path: (d.action, d.entry) for d in merge(base, yours, new)}


def test_unchanged_by_both_is_kept():
    assert actions({"f": A}, {"f": A}, {"f": A}) == {"f": ("keep", None)}


def test_changed_by_new_only_is_changed():
    assert actions({"f": A}, {"f": A}, {"f": B}) == {"f": ("change", B)}


def test_changed_by_you_only_is_kept():
    assert actions({"f": A}, {"f": B}, {"f": A}) == {"f": ("keep", None)}


def test_changed_by_both_alike_is_kept():
    assert actions({"f": A}, {"f": B}, {"f": B}) == {"f": ("keep", None)}


def test_changed_by_both_differently_is_touched():
    assert actions({"f": A}, {"f": B}, {"f": C}) == {"f": ("touched", None)}


def test_new_has_it_first():
    assert actions({}, {}, {"f": A}) == {"f": ("add", A)}


def test_new_has_it_first_but_you_have_another():
    assert actions({}, {"f": B}, {"f": A}) == {"f": ("touched", None)}


def test_dropped_by_new_is_deleted():
    assert actions({"f": A}, {"f": A}, {}) == {"f": ("delete", None)}


def test_dropped_by_new_but_changed_by_you_is_touched():
    assert actions({"f": A}, {"f": B}, {}) == {"f": ("touched", None)}


def test_deleted_by_you_stays_deleted_even_if_new_changed_it():
    assert actions({"f": A}, {}, {"f": A}) == {"f": ("keep", None)}
    assert actions({"f": A}, {}, {"f": B}) == {"f": ("keep", None)}


def test_the_executable_bit_is_a_change():
    assert actions({"f": A}, {"f": A}, {"f": Entry(b"a", True)}) == {"f": ("change", Entry(b"a", True))}


def test_files_that_were_never_generated_are_not_even_looked_at():
    assert actions({}, {"mine": A}, {}) == {}


@given(trees, trees)
def test_no_edit_of_yours_means_exactly_new(base, new):
    result = dict(base)
    for decision in merge(base, base, new):
        assert decision.action in {"keep", "add", "change", "delete"}
        if decision.entry is not None:
            result[decision.path] = decision.entry
        elif decision.action == "delete":
            del result[decision.path]
    assert result == new


@given(trees, trees)
def test_nothing_new_means_exactly_yours(base, yours):
    assert all(decision.action == "keep" for decision in merge(base, yours, base))


@given(trees, trees, trees)
def test_what_you_edited_is_never_written_over(base, yours, new):
    for decision in merge(base, yours, new):
        if yours.get(decision.path) != base.get(decision.path):
            assert decision.action in {"keep", "touched"}
