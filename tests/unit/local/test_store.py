"""Repos, branches, commits and files: the answers that pachd gives."""

import pytest

from spoutgen.errors import SpoutgenError
from spoutgen.local.model import FileInfo, Put
from spoutgen.local.refused import NotFoundError, RefusedError
from spoutgen.local.store import Store

MIB = 1 << 20


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / "store.db") as store:
        store.create_repo("r", branches=("master", "marker"))
        yield store


def put(store, commit, path, data, is_overwrite=True):
    store.put_files("r", [Put(commit, path, [data], is_overwrite)])


def committed(store, *files, is_overwrite=True, branch="master"):
    """A finished commit with these files put into it, one after another."""
    commit = store.start_commit("r", branch)
    store.put_files("r", [Put(commit.id, path, [data], is_overwrite) for path, data in files])
    return store.finish_commit("r", commit.id)


def content(store, ref, path):
    return b"".join(store.get_file("r", ref, path))


def message(error):
    return error.value.diagnostics[0].message


def test_a_new_repo_has_branches_without_heads(store):
    assert [(branch.name, branch.head) for branch in store.branches("r")] == [("marker", None), ("master", None)]
    assert [(repo.name, repo.size) for repo in store.repos()] == [("r", 0)]
    assert store.commits("r", "master") == []


def test_a_commit_is_on_top_of_the_one_before(store):
    first = committed(store, ("a", b"1"))
    second = committed(store, ("b", b"22"))
    assert second.parent == first.id
    assert [commit.id for commit in store.commits("r", "master")] == [second.id, first.id]
    assert [commit.id for commit in store.commits("r", first.id)] == [first.id]
    assert (first.size, second.size, store.repos()[0].size) == (1, 3, 3)
    assert store.commit("r", "master") == second
    assert len(second.id) == 32


def test_no_commit_is_started_while_the_head_is_open(store):
    open_ = store.start_commit("r", "master")
    with pytest.raises(RefusedError) as error:
        store.start_commit("r", "master")
    assert message(error) == f"parent commit r@{open_.id} has not been finished"


def test_deleting_an_open_commit_gives_the_branch_its_head_back(store):
    first = committed(store, ("a", b"1"))
    open_ = store.start_commit("r", "master")
    put(store, open_.id, "a", b"2")
    store.delete_commit("r", open_.id)
    assert store.head("r", "master") == first.id
    assert content(store, "master", "/a") == b"1"
    assert committed(store, ("a", b"3")).parent == first.id


def test_the_first_commit_of_a_branch_can_be_deleted_while_open(store):
    store.delete_commit("r", store.start_commit("r", "master").id)
    assert store.head("r", "master") is None
    with pytest.raises(NotFoundError, match="no commit yet on branch"):
        store.commit("r", "master")


def test_a_finished_commit_stays(store):
    done = committed(store, ("a", b"1"))
    for refused in (store.finish_commit, store.delete_commit):
        with pytest.raises(RefusedError):
            refused("r", done.id)
    with pytest.raises(RefusedError, match="already finished"):
        put(store, done.id, "a", b"2")


def test_appending_goes_on_across_commits(store):
    first = committed(store, ("a", b"1"), ("a", b"2"), is_overwrite=False)
    second = committed(store, ("a", b"3"), is_overwrite=False)
    third = committed(store, ("a", b""), is_overwrite=False)
    assert content(store, first.id, "a") == b"12"
    assert content(store, second.id, "a") == b"123"
    assert content(store, "master", "a") == b"123"
    assert [commit.is_changed for commit in (first, second, third)] == [True, True, False]


def test_overwriting_replaces_what_was_appended(store):
    committed(store, ("a", b"1"), ("a", b"2"), is_overwrite=False)
    same = committed(store, ("a", b"12"))
    other = committed(store, ("a", b"21"))
    again = committed(store, ("a", b"x"), ("a", b"21"))
    assert content(store, "master", "a") == b"21"
    assert [commit.is_changed for commit in (same, other, again)] == [False, True, False]


def test_an_older_commit_keeps_its_files(store):
    commits = [committed(store, ("a", b"%d" % number), (f"b{number}", b"")) for number in range(5)]
    for number, commit in enumerate(commits):
        assert content(store, commit.id, "a") == b"%d" % number
        assert [info.path for info in store.list_files("r", commit.id)] == [
            "/a",
            *(f"/b{n}" for n in range(number + 1)),
        ]


def test_folders_have_the_size_of_all_in_them(store):
    committed(store, ("d/e/x", b"12345"), ("d/y", b"1"), ("z", b""))
    committed(store, ("d/e/x", b"123"))
    assert store.list_files("r", "master") == [FileInfo("/d", "dir", 4), FileInfo("/z", "file", 0)]
    assert store.list_files("r", "master", "/d/") == [FileInfo("/d/e", "dir", 3), FileInfo("/d/y", "file", 1)]
    assert store.list_files("r", "master", "d/y") == [FileInfo("/d/y", "file", 1)]
    assert store.commit("r", "master").size == 4


def test_an_overwrite_removes_a_folder_silently(store):
    before = committed(store, ("d/e/x", b"123"), ("d/y", b"1"), ("z", b"z"))
    after = committed(store, ("d", b"file"))
    assert [info.path for info in store.list_files("r", "master")] == ["/d", "/z"]
    assert after.size == 5
    assert content(store, before.id, "d/e/x") == b"123"
    with pytest.raises(NotFoundError):
        content(store, "master", "d/e/x")


def test_a_file_below_a_file_is_found_when_the_commit_is_finished(store):
    commit = store.start_commit("r", "master")
    store.put_files("r", [Put(commit.id, path, [b"1"], True) for path in ("d", "d/x")])
    for _ in range(2):
        with pytest.raises(RefusedError, match="not a directory"):
            store.finish_commit("r", commit.id)
    assert store.commit("r", "master").finished is None


def test_appending_to_a_folder_is_found_when_the_commit_is_finished(store):
    committed(store, ("d/x", b"1"))
    commit = store.start_commit("r", "master")
    put(store, commit.id, "d", b"", is_overwrite=False)
    with pytest.raises(RefusedError, match="a file of type directory is already there"):
        store.finish_commit("r", commit.id)


def test_a_put_to_a_branch_is_a_commit_of_its_own(store):
    first = store.put_files("r", [Put("marker", "m1", [b"1"], True), Put("marker", "m2", [b"2"], True)])
    second = store.put_files("r", [Put("marker", "m1", [b"1"], True)])
    assert (first.size, first.is_changed, first.branch) == (2, True, "marker")
    assert (second.parent, second.is_changed) == (first.id, False)
    assert first.finished is not None


def test_a_put_to_a_branch_with_an_open_head_goes_into_it(store):
    commit = store.start_commit("r", "master")
    assert store.put_files("r", [Put("master", "a", [b"1"], True)]) is None
    assert store.finish_commit("r", commit.id).size == 1


def test_one_stream_has_one_target(store):
    commit = store.start_commit("r", "master")
    with pytest.raises(RefusedError) as error:
        store.put_files("r", [Put(commit.id, "a", [b"1"], True), Put("marker", "m", [b"1"], True)])
    expected = f"all requests in a put files call must have the same commit ID; expected '{commit.id}', got 'marker'"
    assert message(error) == expected
    # All or nothing.
    assert store.finish_commit("r", commit.id).size == 0
    with pytest.raises(RefusedError):
        store.put_files("r", [Put("marker", "m", [b"1"], True), Put("master", "a", [b"1"], True)])
    assert store.head("r", "marker") is None


def test_a_refused_name_leaves_nothing_behind(store):
    commit = store.start_commit("r", "master")
    with pytest.raises(RefusedError):
        store.put_files("r", [Put(commit.id, "good", [b"1"], True), Put(commit.id, "b*d", [b"1"], True)])
    assert store.list_files("r", commit.id) == []


def test_an_open_commit_reads_as_it_would_be_finished(store):
    committed(store, ("a", b"1"), ("d/x", b"1"))
    commit = store.start_commit("r", "master")
    put(store, commit.id, "a", b"2", is_overwrite=False)
    assert content(store, "master", "a") == b"12"
    assert [info.size for info in store.list_files("r", commit.id)] == [2, 1]
    put(store, commit.id, "d/x/y", b"1")
    with pytest.raises(RefusedError):
        content(store, "master", "a")


def test_a_commit_finished_empty_reads_as_nothing_and_its_child_goes_on(store):
    committed(store, ("a", b"1"))
    commit = store.start_commit("r", "master")
    put(store, commit.id, "a", b"2")
    empty = store.finish_commit("r", commit.id, is_empty=True)
    assert (empty.size, empty.is_changed, store.list_files("r", "master")) == (0, False, [])
    committed(store, ("b", b"2"))
    assert content(store, "master", "a") == b"1"
    assert store.commit("r", "master").size == 2


def test_large_files_are_kept_in_pieces(store):
    pieces = [bytes([number]) * (700 * 1024) for number in range(8)]
    commit = store.start_commit("r", "master")
    store.put_files("r", [Put(commit.id, "big", pieces, True)])
    store.finish_commit("r", commit.id)
    read = list(store.get_file("r", "master", "big"))
    assert b"".join(read) == b"".join(pieces)
    assert max(map(len, read)) <= MIB
    assert store.get_end_of_file("r", "master", "big", 10) == bytes([7]) * 10
    assert store.get_end_of_file("r", "master", "big", 2 * MIB) == b"".join(pieces)[-2 * MIB :]
    assert store.get_end_of_file("r", "master", "big", 100 * MIB) == b"".join(pieces)


def test_what_is_not_there_is_named_with_what_is(store):
    committed(store, ("output", b"1"))
    for ask, kind, hint in (
        (lambda: store.branches("rr"), "no repo 'rr'", "did you mean 'r'?"),
        (lambda: store.commits("r", "mastr"), "no branch in repo 'r': 'mastr'", "did you mean 'master'?"),
        (lambda: store.get_file("r", "master", "/outptu"), "no file in r@master: '/outptu'", "did you mean '/output'?"),
        (lambda: store.commit("r", "0" * 32), f"no commit in repo 'r': '{'0' * 32}'", "spoutgen local list commit r"),
        (
            lambda: store.get_file("r", "master", "/"),
            "no file '/'",
            "that is a folder: spoutgen local list file r@master:/",
        ),
    ):
        with pytest.raises(NotFoundError) as error:
            ask()
        assert (message(error), error.value.diagnostics[0].hint) == (kind, hint)


def test_a_deleted_repo_leaves_nothing(store):
    committed(store, ("a", b"1"), ("d/x", b"2"))
    store.put_files("r", [Put("marker", "m", [b"1"], True)])
    store.delete_repo("r")
    with store.reading() as db:
        for table in ("repos", "branches", "commits", "nodes", "versions", "writes", "chunks"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table


def test_overwrites_that_change_nothing_take_no_room(store):
    for _ in range(3):
        committed(store, ("a", b"same"))
    with store.reading() as db:
        assert db.execute("SELECT count(*) FROM chunks").fetchone() == (1,)


def test_every_error_is_one_of_ours(store):
    for ask in (lambda: store.start_commit("none", "master"), lambda: store.delete_repo("none")):
        with pytest.raises(SpoutgenError):
            ask()
