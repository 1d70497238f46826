"""Repos, branches, commits and files, with the operations and the answers that pachd gives a 1.x worker."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

from spoutgen.local import database, files
from spoutgen.local.model import Branch, Commit, FileInfo, Put, Repo
from spoutgen.local.paths import canonical, checked
from spoutgen.local.refused import NotFoundError, RefusedError, UnfinishedParentError

_COMMIT_ID = re.compile(r"[0-9a-f]{32}\Z")
_COMMIT = (
    "SELECT commits.seq, commits.branch, commits.id, repos.name, branches.name, parents.id, commits.started,"
    " commits.finished, commits.size, commits.is_changed, commits.has_tree, commits.finishing, commits.error,"
    " commits.description FROM commits"
    " JOIN repos ON repos.id = commits.repo JOIN branches ON branches.id = commits.branch"
    " LEFT JOIN commits AS parents ON parents.seq = commits.parent"
)


def utc_now() -> datetime:
    """The time that commits are stamped with."""
    return datetime.now(timezone.utc)


@dataclass(frozen=True, slots=True)
class _Row:
    """A commit with its place in the database."""

    seq: int
    branch: int
    has_tree: bool
    commit: Commit


class Store:
    """One connection to the store file. Use it in one thread; any number of processes may have their own."""

    def __init__(self, path: Path, clock: Callable[[], datetime] = utc_now, *, is_shared: bool = False) -> None:
        """Open the store at ``path``, which must exist. Raises MachineError SG503.

        With ``is_shared`` several threads may use it, one at a time.
        """
        self.path = path
        self._clock = clock
        self._db = database.connect(path, is_shared=is_shared)

    @classmethod
    def create(cls, path: Path, clock: Callable[[], datetime] = utc_now, *, is_shared: bool = False) -> Store:
        """Open the store at ``path``, made empty first if there is none. Raises MachineError SG503."""
        database.create(path)
        return cls(path, clock, is_shared=is_shared)

    def close(self) -> None:
        """Give the connection back."""
        self._db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def now(self) -> str:
        """The clock's time as it is kept."""
        return self._clock().isoformat()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for statements that only read."""
        with database.machine_errors(self.path):
            yield self._db

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection inside a transaction: all or nothing."""
        with database.machine_errors(self.path), database.writing(self._db):
            yield self._db

    # Repos and branches

    def create_repo(self, name: str, description: str = "", branches: Iterable[str] = ()) -> None:
        """Make a repo, or do nothing if there is one; the branches have no head yet."""
        with self.writing() as db:
            db.execute(
                "INSERT INTO repos (name, description, created) VALUES (?, ?, ?) ON CONFLICT (name)"
                " DO UPDATE SET description = excluded.description",
                (name, description, self.now()),
            )
            repo = self._repo(name)
            for branch in branches:
                db.execute("INSERT OR IGNORE INTO branches (repo, name) VALUES (?, ?)", (repo, branch))

    def delete_repo(self, name: str) -> None:
        """Delete a repo with all that is in it."""
        with self.writing() as db:
            db.execute("DELETE FROM repos WHERE id = ?", (self._repo(name),))

    def repos(self) -> list[Repo]:
        """Every repo, the newest first."""
        with self.reading() as db:
            rows = db.execute(
                "SELECT repos.name, repos.description, repos.created, commits.size FROM repos"
                " LEFT JOIN branches ON branches.repo = repos.id AND branches.name = 'master'"
                " LEFT JOIN commits ON commits.seq = branches.head ORDER BY repos.id DESC"
            ).fetchall()
        return [Repo(name, about, datetime.fromisoformat(made), size or 0) for name, about, made, size in rows]

    def branches(self, repo: str) -> list[Branch]:
        """The branches of a repo, the newest first as pachctl lists them."""
        with self.reading() as db:
            rows = db.execute(
                "SELECT branches.name, commits.id FROM branches LEFT JOIN commits ON commits.seq = branches.head"
                " WHERE branches.repo = ? ORDER BY branches.id DESC",
                (self._repo(repo),),
            ).fetchall()
        return [Branch(repo, name, head) for name, head in rows]

    def head(self, repo: str, branch: str) -> str | None:
        """The id of the branch's head commit; None if there is no commit or no such branch."""
        return next((found.head for found in self.branches(repo) if found.name == branch), None)

    def drop_head(self, repo: str, branch: str) -> None:
        """Leave a branch without a head, as ``create branch`` without ``--head`` does; its commits stay in the repo.

        v1.13.4:src/server/pfs/server/driver.go:2495.
        """
        with self.writing() as db:
            db.execute("UPDATE branches SET head = NULL WHERE id = ?", (self._branch(repo, branch),))

    def _repo(self, name: str) -> int:
        row = self._db.execute("SELECT id FROM repos WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise NotFoundError("repo", name, [known for (known,) in self._db.execute("SELECT name FROM repos")])
        return int(row[0])

    # Commits

    def start_commit(self, repo: str, branch: str) -> Commit:
        """Open a commit on top of the branch's head; UnfinishedParentError while that head is open.

        v1.13.4:src/server/pfs/server/driver.go:1078.
        """
        with self.writing():
            return self._commit(self._start(repo, branch)).commit

    def started(self, repo: str, branch: str, id_: str | None = None, description: str = "") -> Commit:
        """A commit opened as `start_commit` does, within the caller's transaction; ``id_`` is that of 2.x's one."""
        return self._commit(self._start(repo, branch, id_, description)).commit

    def seq(self, commit: Commit) -> int:
        """Where a commit stands in the order of all commits."""
        return self._resolve(commit.repo, commit.id).seq

    def commit_at(self, seq: int) -> Commit:
        """The commit that stands there."""
        return self._commit(seq).commit

    def _start(self, repo: str, branch: str, id_: str | None = None, description: str = "") -> int:
        repo_id = self._repo(repo)
        self._db.execute("INSERT OR IGNORE INTO branches (repo, name) VALUES (?, ?)", (repo_id, branch))
        key = (repo_id, branch)
        branch_id, head = self._db.execute("SELECT id, head FROM branches WHERE repo = ? AND name = ?", key).fetchone()
        size = 0
        if head is not None:
            parent = self._commit(head).commit
            if parent.finished is None and parent.finishing is None:
                raise UnfinishedParentError(repo, parent.id)
            size = parent.size
        seq = self._db.execute(
            "INSERT INTO commits (id, repo, branch, parent, started, size, is_changed, has_tree, description)"
            " VALUES (?, ?, ?, ?, ?, ?, 0, 1, ?)",
            (id_ or uuid4().hex, repo_id, branch_id, head, self.now(), size, description),
        ).lastrowid
        self._db.execute("UPDATE branches SET head = ? WHERE id = ?", (seq, branch_id))
        return int(seq or 0)

    def finish_commit(self, repo: str, id_: str, *, is_empty: bool = False) -> Commit:
        """Finish an open commit; ``is_empty`` throws away what was put into it, as an update of a pipeline does.

        RefusedError, and the commit stays open, where a file would stand above another.
        """
        with self.writing():
            row = self._resolve(repo, id_)
            if row.commit.finished is not None:
                raise RefusedError(f"commit {repo}@{id_} has already finished")
            return self._finish(row, is_empty)

    def _finish(self, row: _Row, is_empty: bool) -> Commit:
        if is_empty:
            self._db.execute("DELETE FROM writes WHERE seq = ? AND node IS NULL", (row.seq,))
            is_changed, size = False, 0
        else:
            is_changed = files.apply(self._db, row.branch, row.seq)
            size = files.tree_size(self._db, row.branch, row.seq)
        self._db.execute(
            "UPDATE commits SET finished = ?, size = ?, is_changed = ?, has_tree = ? WHERE seq = ?",
            (self.now(), size, is_changed, not is_empty, row.seq),
        )
        return self._commit(row.seq).commit

    def delete_commit(self, repo: str, id_: str) -> None:
        """Delete an open commit; its parent is the branch's head again."""
        with self.writing() as db:
            row = self._resolve(repo, id_)
            if row.commit.finished is not None:
                raise RefusedError(f"commit {repo}@{id_} is finished", "only open commits can be deleted here")
            db.execute(
                "UPDATE branches SET head = (SELECT parent FROM commits WHERE seq = ?) WHERE id = ?",
                (row.seq, row.branch),
            )
            db.execute("DELETE FROM commits WHERE seq = ?", (row.seq,))

    def drop_commit(self, commit: Commit) -> None:
        """Delete a branch's head, finished or not, with what it changed."""
        with self.writing() as db:
            row = self._resolve(commit.repo, commit.id)
            db.execute("DELETE FROM versions WHERE seq = ?", (row.seq,))
            db.execute(
                "UPDATE branches SET head = (SELECT parent FROM commits WHERE seq = ?) WHERE id = ?",
                (row.seq, row.branch),
            )
            db.execute("DELETE FROM commits WHERE seq = ?", (row.seq,))

    def commit(self, repo: str, ref: str) -> Commit:
        """One commit, by its id or as the head of a branch."""
        with self.reading():
            return self._resolve(repo, ref).commit

    def commits(self, repo: str, branch: str | None = None, number: int = 0) -> list[Commit]:
        """The newest ``number`` commits (0: all) of a repo or of one of its branches, newest first."""
        with self.reading() as db:
            if branch is None:
                where, key = "commits.repo", self._repo(repo)
            elif _COMMIT_ID.match(branch):
                row = self._resolve(repo, branch)
                where, key = f"commits.seq <= {row.seq} AND commits.branch", row.branch
            else:
                where, key = "commits.branch", self._branch(repo, branch)
            limit = number or -1
            rows = db.execute(f"{_COMMIT} WHERE {where} = ? ORDER BY commits.seq DESC LIMIT ?", (key, limit)).fetchall()
        return [_as_row(row).commit for row in rows]

    def _branch(self, repo: str, name: str) -> int:
        known = dict(self._db.execute("SELECT name, id FROM branches WHERE repo = ?", (self._repo(repo),)).fetchall())
        if name not in known:
            raise NotFoundError(f"branch in repo {repo!r}:", name, known)
        return int(known[name])

    def _commit(self, seq: int) -> _Row:
        return _as_row(self._db.execute(f"{_COMMIT} WHERE commits.seq = ?", (seq,)).fetchone())

    def _resolve(self, repo: str, ref: str) -> _Row:
        """The commit that an id or a branch's name means. Raises NotFoundError, also for a branch without commits."""
        if _COMMIT_ID.match(ref):
            key = (self._repo(repo), ref)
            row = self._db.execute(f"{_COMMIT} WHERE commits.repo = ? AND commits.id = ?", key).fetchone()
            if row is None:
                raise NotFoundError(f"commit in repo {repo!r}:", ref, hint=f"spoutgen local list commit {repo}")
            return _as_row(row)
        branch = self._branch(repo, ref)
        (head,) = self._db.execute("SELECT head FROM branches WHERE id = ?", (branch,)).fetchone()
        if head is None:
            raise NotFoundError("commit yet on branch", f"{repo}@{ref}", hint="nothing was committed to it so far")
        return self._commit(head)

    # Files

    def put_files(self, repo: str, puts: Iterable[Put]) -> Commit | None:
        """One PutFile stream: all of it or nothing.

        Into an open commit the files are kept until it is finished, and None is returned. A branch whose head is
        finished, or that has none, gets a finished commit of its own, which is returned. All requests must have the
        same target (v1.13.4:src/server/pfs/server/driver.go:4528).
        """
        with self.writing():
            row: _Row | None = None
            target, is_one_off = "", False
            for put in puts:
                if row is None:
                    target = put.target
                    row, is_one_off = self._target(repo, target)
                elif put.target != target:
                    raise RefusedError(
                        "all requests in a put files call must have the same commit ID;"
                        f" expected '{target}', got '{put.target}'",
                        "one tar may hold marker files or data files, never both (pachyderm issue #6679)",
                    )
                files.stage(self._db, row.seq, checked(put.path), put.data, is_overwrite=put.is_overwrite)
            return self._finish(row, is_empty=False) if row is not None and is_one_off else None

    def _target(self, repo: str, target: str) -> tuple[_Row, bool]:
        """Where a stream's files go, and whether that is a commit made for this stream alone."""
        if _COMMIT_ID.match(target):
            row = self._resolve(repo, target)
            if row.commit.finished is not None:
                raise RefusedError(f"commit {repo}@{target} has already finished")
            return row, False
        head = self.head(repo, target)
        if head is not None and self.commit(repo, head).finished is None:
            return self._resolve(repo, head), False
        return self._commit(self._start(repo, target)), True

    def list_files(self, repo: str, ref: str, path: str = "/") -> list[FileInfo]:
        """What stands in a folder at a commit, by name; a file's path gives that file."""
        with self._tree(repo, ref) as row:
            path = canonical(path)
            found = self._look_up(row, path)
            if found is None and not path:
                return []
            if found is None:
                raise self._no_file(row, path)
            if found.kind == "file":
                return [FileInfo(path, "file", found.size)]
            return files.children(self._db, row.seq, found.node, path)

    def get_file(self, repo: str, ref: str, path: str) -> Iterator[bytes]:
        """A file's bytes at a commit, chunk by chunk; the errors come before the first one."""
        writes = self._writes(repo, ref, path)

        def chunks() -> Iterator[bytes]:
            with self.reading() as db:
                yield from files.read(db, writes)

        return chunks()

    def get_end_of_file(self, repo: str, ref: str, path: str, size: int) -> bytes:
        """The last ``size`` bytes of a file, or all of a shorter one, without reading the rest."""
        with self.reading() as db:
            return files.read_end(db, self._writes(repo, ref, path), size)

    def _writes(self, repo: str, ref: str, path: str) -> list[int]:
        with self._tree(repo, ref) as row:
            path = canonical(path)
            found = self._look_up(row, path)
            if found is None:
                raise self._no_file(row, path)
            if found.kind == "dir":
                hint = f"spoutgen local list file {repo}@{ref}:{path or '/'}"
                raise NotFoundError("file", f"{path or '/'}", hint=f"that is a folder: {hint}")
            return files.writes_of(self._db, found)

    def _look_up(self, row: _Row, path: str) -> files.Version | None:
        return files.look_up(self._db, row.branch, row.seq, path) if row.has_tree else None

    def _no_file(self, row: _Row, path: str) -> NotFoundError:
        folder = self._look_up(row, path.rpartition("/")[0])
        known = (
            [info.path for info in files.children(self._db, row.seq, folder.node, path.rpartition("/")[0])]
            if folder
            else []
        )
        return NotFoundError(f"file in {row.commit.repo}@{row.commit.branch}:", path, known)

    @contextmanager
    def _tree(self, repo: str, ref: str) -> Iterator[_Row]:
        """A commit whose files can be looked up; an open one reads as it would if it were finished now.

        As pachd does it (v1.13.4:src/server/pfs/server/driver.go:3403): what was put so far laid over the parent.
        """
        with database.machine_errors(self.path):
            row = self._resolve(repo, ref)
            if row.commit.finished is not None:
                yield row
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                files.apply(self._db, row.branch, row.seq)
                yield row
            finally:
                self._db.execute("ROLLBACK")


def _as_row(row: Any) -> _Row:
    seq, branch_id, id_, repo, branch, parent, started, finished, size, is_changed, has_tree, *of_2 = row
    finishing, error, description = of_2
    start = datetime.fromisoformat(started)
    ended, ending = (datetime.fromisoformat(at) if at else None for at in (finished, finishing))
    commit = Commit(repo, branch, id_, parent, start, ended, size, bool(is_changed), ending, error, description)
    return _Row(seq, branch_id, bool(has_tree), commit)
