"""The one SQLite file of the local cluster: how it is made, opened, and what its tables mean.

Everything is kept by change: a commit adds rows for the files that it touched and for the folders above them, and
nothing else, so listing and reading cost what they return however many commits there are.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from spoutgen.errors import Diagnostic, MachineError, Place

APPLICATION_ID = 0x53504F54
VERSION = 2
# How long one process waits for another's write; a commit of a large tar takes seconds.
BUSY_SECONDS = 60.0

_TABLES = """
CREATE TABLE repos (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    created TEXT NOT NULL
);
CREATE TABLE branches (
    id INTEGER PRIMARY KEY,
    repo INTEGER NOT NULL REFERENCES repos ON DELETE CASCADE,
    name TEXT NOT NULL,
    head INTEGER,                        -- commits.seq
    UNIQUE (repo, name)
);
CREATE TABLE commits (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, -- grows with time over all repos, is never used again
    id TEXT NOT NULL,                    -- 32 hex digits
    repo INTEGER NOT NULL REFERENCES repos ON DELETE CASCADE,
    branch INTEGER NOT NULL REFERENCES branches ON DELETE CASCADE,
    parent INTEGER,                      -- commits.seq
    started TEXT NOT NULL,
    finished TEXT,                       -- NULL while open
    size INTEGER NOT NULL,
    is_changed INTEGER NOT NULL,
    has_tree INTEGER NOT NULL,           -- 0: finished empty, reads as no files
    finishing TEXT,                      -- 2.x: set before `finished`, which comes after validation
    error TEXT NOT NULL DEFAULT '',      -- 2.x: what validation found; such a commit has no versions
    description TEXT NOT NULL DEFAULT '',
    UNIQUE (repo, id)
);
CREATE INDEX commits_of_branch ON commits (branch, seq);
CREATE INDEX commits_of_repo ON commits (repo, seq);

-- A place in a branch's tree, once a file or folder was ever there; the root has parent 0 and name ''.
CREATE TABLE nodes (
    id INTEGER PRIMARY KEY,
    branch INTEGER NOT NULL REFERENCES branches ON DELETE CASCADE,
    parent INTEGER NOT NULL,             -- nodes.id
    name TEXT NOT NULL,
    UNIQUE (branch, parent, name)
);
-- What stands in a place from one commit on. A file's bytes are those of the node's writes first..last.
CREATE TABLE versions (
    node INTEGER NOT NULL REFERENCES nodes ON DELETE CASCADE,
    seq INTEGER NOT NULL,                -- commits.seq
    kind TEXT NOT NULL CHECK (kind IN ('file', 'dir', 'gone')),
    size INTEGER NOT NULL,
    first INTEGER,                       -- writes.id
    last INTEGER,                        -- writes.id
    PRIMARY KEY (node, seq)
) WITHOUT ROWID;
-- One put of bytes. It has no node until its commit is finished.
CREATE TABLE writes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    seq INTEGER NOT NULL REFERENCES commits ON DELETE CASCADE,
    node INTEGER,                        -- nodes.id
    path TEXT NOT NULL,
    is_overwrite INTEGER NOT NULL,
    size INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    is_delete INTEGER NOT NULL DEFAULT 0 -- 2.x: nothing is put, the path is deleted
);
CREATE INDEX writes_of_commit ON writes (seq);
CREATE INDEX writes_of_node ON writes (node, id);
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY,              -- in the order of the bytes
    written INTEGER NOT NULL REFERENCES writes ON DELETE CASCADE,
    data BLOB NOT NULL                   -- at most 1 MiB
);
CREATE INDEX chunks_of_write ON chunks (written, id);

CREATE TABLE pipelines (
    name TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    spec TEXT NOT NULL,                  -- pipeline JSON
    spec_commit TEXT NOT NULL,
    folder TEXT NOT NULL,
    created TEXT NOT NULL,
    updated TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL
);
CREATE TABLE projects (                  -- 2.x; the project `default` is always there
    name TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    created TEXT NOT NULL
);
"""

# From each earlier version to the next one.
_MIGRATIONS = {
    1: """
ALTER TABLE commits ADD COLUMN finishing TEXT;
ALTER TABLE commits ADD COLUMN error TEXT NOT NULL DEFAULT '';
ALTER TABLE commits ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE writes ADD COLUMN is_delete INTEGER NOT NULL DEFAULT 0;
CREATE TABLE projects (name TEXT PRIMARY KEY, description TEXT NOT NULL, created TEXT NOT NULL);
""",
}

_HINTS = {
    "full": "free some space and run again; what was committed is safe",
    "readonly": "make the file and its folder writable, or set SPOUTGEN_HOME to another folder",
    "unable to open": "make the folder readable and writable, or set SPOUTGEN_HOME to another folder",
    "not a database": "move the file away to start with an empty store, or set SPOUTGEN_HOME to another folder",
    "malformed": "move the file away to start with an empty store, or set SPOUTGEN_HOME to another folder",
    "locked": "another process keeps the store busy: wait for it or end it, then try again",
}


def unusable(path: Path, message: str, hint: str | None = None) -> MachineError:
    """The error for a store that cannot be used (SG503)."""
    return MachineError(Diagnostic("SG503", f"the local store cannot be used: {message}", Place(str(path)), hint))


@contextmanager
def machine_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite or the file system complains of into SG503 with what to do about it."""
    try:
        yield
    except sqlite3.Error as error:
        message = str(error)
        hint = next((hint for word, hint in _HINTS.items() if word in message), None)
        raise unusable(path, message, hint) from error
    except OSError as error:
        hint = "make the folder writable and see that the disk is not full, or set SPOUTGEN_HOME to another folder"
        raise unusable(path, error.strerror or str(error), hint) from error


def connect(path: Path, *, is_shared: bool = False) -> sqlite3.Connection:
    """Open an existing store. Raises MachineError SG503 if it is not one of ours, or a newer spoutgen's.

    With ``is_shared`` several threads may use the connection, one at a time.
    """
    with machine_errors(path):
        # mode=rw: a store that is not there is not made by looking for it.
        address = f"{path.absolute().as_uri()}?mode=rw"
        db = sqlite3.connect(
            address, uri=True, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=not is_shared
        )
        try:
            (application,) = db.execute("PRAGMA application_id").fetchone()
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if application != APPLICATION_ID:
                raise sqlite3.DatabaseError("the file is not a database of spoutgen")
            if version > VERSION:
                hint = "install the newer spoutgen, or set SPOUTGEN_HOME to another folder"
                raise unusable(path, f"a newer spoutgen made it (version {version}, this one knows {VERSION})", hint)
            if version < VERSION:
                _migrate(db)
            db.execute("PRAGMA foreign_keys = ON")
            # FULL: a finished commit survives a power cut, as on a cluster.
            db.execute("PRAGMA synchronous = FULL")
            db.execute(f"PRAGMA journal_size_limit = {64 << 20}")
        except BaseException:
            db.close()
            raise
        return db


def _migrate(db: sqlite3.Connection) -> None:
    """Bring a store of an earlier spoutgen up to date; of several processes that try, one does it."""
    with writing(db):
        (version,) = db.execute("PRAGMA user_version").fetchone()
        for old in range(version, VERSION):
            for statement in _MIGRATIONS[old].strip().split(";\n"):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {VERSION}")


def create(path: Path) -> None:
    """Make an empty store at ``path`` unless there is one. Several processes may do so at once."""
    fresh = path.with_name(f"{path.name}.new-{uuid4().hex}")
    with machine_errors(path):
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            db = sqlite3.connect(fresh, isolation_level=None)
            try:
                db.execute("PRAGMA journal_mode = WAL")
                marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};"
                db.executescript(f"BEGIN; {_TABLES} {marks} COMMIT;")
            finally:
                db.close()
            # A link and not a rename: whoever comes first wins, and nobody ever sees half a store.
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink(missing_ok=True)


@contextmanager
def writing(db: sqlite3.Connection) -> Iterator[None]:
    """One transaction, all or nothing; other processes wait for it. Within another one it is a part of that."""
    is_part: bool = db.in_transaction
    if is_part:
        yield
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # After "disk is full" SQLite may have rolled back by itself.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
