"""Trees: reading, writing, digests."""

import os

import pytest

from spoutgen.project.tree import Entry, digest, read_entry, read_paths, read_tree, tree_digest, write_tree

TREE = {"a.txt": Entry(b"a\r\n"), "d/b with space": Entry(b"\x00\xff"), "d/{{ x }}": Entry(b"", True)}


def test_what_is_written_is_read_again(tmp_path):
    write_tree(TREE, tmp_path)
    assert read_tree(tmp_path) == TREE
    assert read_paths(tmp_path, ["a.txt", "gone", "d/gone"]) == {"a.txt": TREE["a.txt"]}


def test_links_are_not_followed(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("s")
    project = tmp_path / "project"
    project.mkdir()
    (project / "folder").symlink_to("../outside")
    (project / "file").symlink_to("../outside/secret")
    assert read_tree(project) == {
        "file": Entry(b"../outside/secret", kind="link"),
        "folder": Entry(b"../outside", kind="link"),
    }
    assert read_entry(project, "folder/secret").kind == "other"


def test_what_is_no_file_is_told_and_not_raised(tmp_path):
    write_tree(TREE, tmp_path)
    os.mkfifo(tmp_path / "fifo")
    for path in ("fifo", "a.txt/below"):
        assert read_entry(tmp_path, path).kind == "other"
    assert read_entry(tmp_path, "d") == Entry(b"b with space\0{{ x }}", kind="folder")


def test_modes_do_not_depend_on_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        write_tree(TREE, tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "d/{{ x }}").stat().st_mode & 0o777 == 0o755


def test_byte_code_is_left_out(tmp_path):
    write_tree({**TREE, "d/__pycache__/x.pyc": Entry(b"x")}, tmp_path)
    assert read_tree(tmp_path) == TREE


def test_a_file_that_is_there_is_never_written_over(tmp_path):
    write_tree(TREE, tmp_path)
    with pytest.raises(FileExistsError):
        write_tree(TREE, tmp_path)


def test_digests_see_content_mode_and_path():
    assert digest(Entry(b"a")) != digest(Entry(b"a", True)) != digest(Entry(b"b", True))
    assert tree_digest({"a": Entry(b"x")}) != tree_digest({"b": Entry(b"x")})
    assert tree_digest(TREE) == tree_digest(dict(reversed(TREE.items())))
