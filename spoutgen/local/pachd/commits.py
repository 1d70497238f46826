"""Commits as Pachyderm 2.x has them, on the local store: open, finishing, finished, finished with an error.

One lock guards the store's connection; whoever waits for a commit waits on it. Finishing is asynchronous: a thread
validates what was committed, in the order of the commits, and what a killed server left unfinished is taken up when the
next one starts (v2.11.6:src/server/pfs/server/master.go:263).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from spoutgen.errors import MachineError
from spoutgen.local import files
from spoutgen.local.model import Commit
from spoutgen.local.pachd.paths import Change, checked_changes
from spoutgen.local.refused import CollisionError, NotFoundError, RefusedError
from spoutgen.local.store import Store

_RETRY = 0.5  # seconds until a commit that could not be finished is tried again


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: a commit's ``id``, or the head of ``branch``, or both."""

    repo: str
    branch: str
    id: str

    def __str__(self) -> str:
        return f"{self.repo}@{'='.join(filter(None, (self.branch, self.id)))}"


class Commits:
    """The commits of ``store``. ``checkpoint`` is told of each step; it may raise, or never come back."""

    def __init__(
        self, store: Store, checkpoint: Callable[[str], None], on_finished: Callable[[Commit], None] = lambda _: None
    ) -> None:
        self.store = store
        self.checkpoint = checkpoint
        self._on_finished = on_finished
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._is_closed = False
        self._finisher = threading.Thread(target=self._finish_all, name="pachd finisher", daemon=True)

    def start(self) -> None:
        """Begin to finish commits, those first that another server left."""
        self._finisher.start()

    def close(self) -> None:
        """Let go of everybody who waits, and of the store."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._finisher.join()
        self.store.close()

    @contextmanager
    def locked(self) -> Iterator[Store]:
        """The store, for this thread alone."""
        with self._lock:
            yield self.store

    def wake(self) -> None:
        """Tell everybody who waits to look again."""
        with self._changed:
            self._changed.notify_all()

    def find(self, target: Target) -> Commit:
        """One commit. Raises NotFoundError."""
        with self.locked() as store:
            if target.id and not target.id.startswith(("^", target.branch + "^")):
                return store.commit(target.repo, target.id)
            return store.commit(target.repo, target.branch)

    def start_commit(self, repo: str, branch: str, id_: str | None = None, description: str = "") -> Commit:
        """Open a commit on the branch's head, which must be finishing or finished (server_commit.go:252)."""
        with self.locked() as store, store.writing():
            return store.started(repo, branch, id_, description)

    def finish_commit(self, target: Target, error: str = "", description: str = "") -> None:
        """Say that nothing more comes; the commit is validated and finished later."""
        with self.locked() as store, store.writing() as db:
            commit = self.find(target)
            if commit.finishing is not None or commit.finished is not None:
                raise RefusedError(f"commit {target} has already finished")
            db.execute(
                "UPDATE commits SET finishing = ?, error = ?, description = coalesce(nullif(?, ''), description)"
                " WHERE id = ? AND repo = (SELECT id FROM repos WHERE name = ?)",
                (store.now(), error, description, commit.id, commit.repo),
            )
        self.wake()

    def clear_commit(self, target: Target) -> None:
        """Forget what was written into an open commit."""
        with self.locked() as store, store.writing() as db:
            commit = self.find(target)
            if commit.finishing is not None or commit.finished is not None:
                raise RefusedError("cannot clear finished commit")
            files.unstage(db, store.seq(commit))

    def drop_commit(self, target: Target) -> None:
        """Delete a commit without children; its parent is the head again."""
        with self.locked() as store:
            commit = self.find(target)
            if store.head(commit.repo, commit.branch) != commit.id:
                raise RefusedError(f"cannot drop a commit that has children: {target}")
            store.drop_commit(commit)
        self.wake()

    def modify(self, target: Target, changes: Iterable[Change], may_start: Callable[[str, str], None]) -> None:
        """One ModifyFile stream: all of it or nothing (v2.11.6:src/server/pfs/server/server_file.go:55).

        Into an open commit it is only added. A branch whose head is finished, or that has none, gets a commit that is
        started, filled and finished in one transaction; ``may_start`` refuses that by raising.
        """
        changes = checked_changes(changes)
        self.checkpoint("modify: received")
        with self.locked() as store, store.writing() as db:
            try:
                commit = self.find(target)
            except NotFoundError:
                if not target.branch or target.id or target.repo not in {repo.name for repo in store.repos()}:
                    raise
                commit = None
            is_open = commit is not None and commit.finishing is None and commit.finished is None
            if commit is None or not is_open:
                if target.id:
                    raise RefusedError(f"commit {target} has already finished")
                may_start(target.repo, target.branch)
                commit = store.started(target.repo, target.branch)
            seq = store.seq(commit)
            for change in changes:
                if change.data is None:
                    files.stage_delete(db, seq, change.path)
                else:
                    files.stage(db, seq, change.path, change.data, is_overwrite=False)
            if not is_open:
                db.execute("UPDATE commits SET finishing = ? WHERE seq = ?", (store.now(), seq))
            self.checkpoint("modify: staged")
        self.wake()
        self.checkpoint("modify: committed")

    def wait(self, target: Target, is_there: Callable[[Commit], bool], is_given_up: Callable[[], bool]) -> Commit:
        """The commit once ``is_there`` says so of it; as it is when the caller has given up or the server ends."""
        with self._changed:
            first = commit = self.find(target)
            while not (is_there(commit) or self._is_closed or is_given_up()):
                # Not woken when a caller goes away or another process writes.
                self._changed.wait(0.5)
                commit = self.store.commit(first.repo, first.id)
            return commit

    def _finish_all(self) -> None:
        while True:
            with self._changed:
                while not (self._is_closed or (row := self._next_finishing())):
                    self._changed.wait(0.5)
                if self._is_closed:
                    return
            self.checkpoint("finish: before")
            try:
                with self.locked():
                    commit = self._finish(*row)
            except MachineError:
                # A full disk, say: the commit stays as it is, and is tried again.
                with self._changed:
                    self._changed.wait(_RETRY)
                continue
            self.checkpoint("finish: after")
            self.wake()
            if commit is not None:
                self._on_finished(commit)

    def _next_finishing(self) -> Any:
        with self.store.reading() as db:
            return db.execute(
                "SELECT seq, branch, error FROM commits WHERE finishing IS NOT NULL AND finished IS NULL"
                " ORDER BY seq LIMIT 1"
            ).fetchone()

    def _finish(self, seq: int, branch: int, error: str) -> Commit | None:
        """Validate a commit and finish it; with an error it leaves no trace in the tree."""
        with self.store.writing() as db:
            if db.execute("SELECT 1 FROM commits WHERE seq = ? AND finished IS NULL", (seq,)).fetchone() is None:
                return None  # dropped meanwhile
            is_changed = False
            if not error:
                db.execute("SAVEPOINT validation")
                try:
                    is_changed = files.apply(db, branch, seq)
                except CollisionError as collision:
                    # v2.11.6:src/internal/storage/fileset/validator.go:57
                    error = f"file / directory path collision ({collision.path})"
                    db.execute("ROLLBACK TO validation")
                db.execute("RELEASE validation")
            size = files.tree_size(db, branch, seq)
            db.execute(
                "UPDATE commits SET finished = ?, error = ?, size = ?, is_changed = ? WHERE seq = ?",
                (self.store.now(), error, size, is_changed, seq),
            )
            return self.store.commit_at(seq)
