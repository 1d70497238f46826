"""The store against a plain dict: whatever is committed, in whatever order, reads back the same."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from spoutgen.local.model import Put
from spoutgen.local.refused import RefusedError
from spoutgen.local.store import Store

PATHS = st.sampled_from(["a", "b", "d", "d/x", "d/y", "d/e", "d/e/z", "b/x", "./a", "d//x"])
DATA = st.binary(max_size=3)
FILES = st.lists(st.tuples(PATHS, DATA, st.booleans()), max_size=4)


def plain(path: str) -> str:
    return path.replace("./", "").replace("//", "/")


def as_pending(files, pending):
    """Puts as pachd keeps them: one record a path, the path written last at the end; an overwrite drops the others."""
    for path, data, is_overwrite in files:
        before = pending.pop(plain(path), (False, b""))
        pending[plain(path)] = (True, data) if is_overwrite else (before[0], before[1] + data)
    return pending


def applied(tree: dict[str, bytes], pending) -> dict[str, bytes] | None:
    """The tree after a commit; None where a file would stand above another."""
    tree = dict(tree)
    for path, (is_overwrite, data) in pending.items():
        below = [other for other in tree if other.startswith(f"{path}/")]
        if below and not is_overwrite:
            return None
        for other in below:
            del tree[other]
        parts = path.split("/")
        if any("/".join(parts[:depth]) in tree for depth in range(1, len(parts))):
            return None
        tree[path] = data if is_overwrite else tree.get(path, b"") + data
    return tree


class Model(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store.create(Path(self.folder.name, "store.db"))
        self.store.create_repo("r", branches=("master",))
        self.finished: list[tuple[str, dict[str, bytes]]] = []
        self.open: str | None = None
        self.pending: dict = {}

    def teardown(self):
        self.store.close()
        self.folder.cleanup()

    @property
    def tree(self) -> dict[str, bytes]:
        return self.finished[-1][1] if self.finished else {}

    @precondition(lambda self: self.open is None)
    @rule()
    def start(self):
        self.open, self.pending = self.store.start_commit("r", "master").id, {}

    @precondition(lambda self: self.open is not None)
    @rule(files=FILES)
    def put(self, files):
        self.store.put_files("r", [Put(self.open, path, [data], over) for path, data, over in files])
        as_pending(files, self.pending)

    @precondition(lambda self: self.open is not None)
    @rule()
    def finish(self):
        after = applied(self.tree, self.pending)
        try:
            commit = self.store.finish_commit("r", self.open)
        except RefusedError:
            assert after is None
            return
        assert after is not None
        assert commit.size == sum(map(len, after.values()))
        if after != self.tree:
            assert commit.is_changed
        self.finished.append((commit.id, after))
        self.open = None

    @precondition(lambda self: self.open is not None)
    @rule()
    def delete(self):
        self.store.delete_commit("r", self.open)
        self.open = None

    @precondition(lambda self: self.open is None)
    @rule(files=FILES.filter(len))
    def put_to_the_branch(self, files):
        after = applied(self.tree, as_pending(files, {}))
        try:
            commit = self.store.put_files("r", [Put("master", path, [data], over) for path, data, over in files])
        except RefusedError:
            assert after is None
            return
        assert after is not None
        self.finished.append((commit.id, after))

    @rule()
    def open_again(self):
        path = self.store.path
        self.store.close()
        self.store = Store(path)

    @invariant()
    def every_commit_reads_back(self):
        listed = self.store.commits("r", "master")
        ids = [id_ for id_, _ in reversed(self.finished)]
        assert [commit.id for commit in listed] == ([self.open] if self.open else []) + ids
        for id_, tree in self.finished[-3:]:
            assert self.read(id_, "/") == tree
            for path, data in tree.items():
                assert b"".join(self.store.get_file("r", id_, path)) == data

    def read(self, ref: str, folder: str) -> dict[str, bytes]:
        """All files below a folder, by way of the listings; a folder's size must be that of its files."""
        tree: dict[str, bytes] = {}
        for info in self.store.list_files("r", ref, folder):
            if info.kind == "file":
                tree[info.path[1:]] = b"".join(self.store.get_file("r", ref, info.path))
                assert info.size == len(tree[info.path[1:]])
            else:
                below = self.read(ref, info.path)
                assert info.size == sum(map(len, below.values()))
                tree |= below
        return tree


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
