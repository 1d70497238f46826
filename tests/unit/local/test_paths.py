"""Which names pachd takes, and which of them are the marker's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoutgen.local.paths import canonical, checked, clean, is_marker
from spoutgen.local.refused import RefusedError


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a", "/a"),
        ("/a", "/a"),
        ("//a//b/", "/a/b"),
        ("./a/./b", "/a/b"),
        ("a/../b", "/b"),
        ("/../x", "/x"),
        ("2026-03-01T12:00:00Z #1 50% a=b~$'\",;&", "/2026-03-01T12:00:00Z #1 50% a=b~$'\",;&"),
    ],
)
def test_legal_names(name, path):
    assert checked(name) == path


@pytest.mark.parametrize("char", list("*?[]{}!()@+^"))
def test_glob_characters(char):
    with pytest.raises(RefusedError, match="globbing character"):
        checked(f"a{char}b")


@pytest.mark.parametrize("name", ["", ".", "/", "..", "é", "a\tb", "a\nb", "a\n", "\x7f", "\udcff"])
def test_names_of_anything_but_printable_ascii(name):
    with pytest.raises(RefusedError, match="only printable ASCII"):
        checked(name)


@pytest.mark.parametrize("name", ["../a", "a/../../b", "./../a"])
def test_names_above_the_root(name):
    with pytest.raises(RefusedError, match="traverses above root"):
        checked(name)


@pytest.mark.parametrize("name", ["mymark", "mymark01", "mymarker.txt", "mymark/a", "./mymark", "x/../mymark"])
def test_names_that_go_to_the_marker(name):
    assert is_marker(name, "mymark")


@pytest.mark.parametrize("name", ["/mymark", "mymar", "x/mymark", "MYMARK", "../mymark"])
def test_names_that_do_not(name):
    assert not is_marker(name, "mymark")


def test_without_a_marker_nothing_is():
    assert not is_marker("mymark", "")


@given(st.text(st.sampled_from("/.a"), max_size=12))
def test_cleaning_twice_is_cleaning_once(name):
    assert clean(clean(name)) == clean(name)
    assert canonical(canonical(name)) == canonical(name)
    assert "//" not in clean(name)
