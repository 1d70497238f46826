"""The files of a branch, by change: puts are kept aside until their commit is finished, then become versions.

The functions here run inside the caller's transaction. A commit is known by its ``seq``: a file at a commit is its
newest version at or before that.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from spoutgen.local.model import FileInfo
from spoutgen.local.refused import CollisionError

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Version:
    """What stands in a node; ``first`` and ``last`` bound the writes that a file's bytes are."""

    node: int
    kind: Literal["file", "dir"]
    size: int
    first: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True)
class _Write:
    id: int
    is_overwrite: bool
    size: int
    is_delete: bool


def stage(db: sqlite3.Connection, seq: int, path: str, data: Iterable[bytes], *, is_overwrite: bool) -> None:
    """Keep the bytes of one put of an open commit; memory holds one chunk at a time."""
    write = db.execute(
        "INSERT INTO writes (seq, path, is_overwrite, size, sha256) VALUES (?, ?, ?, 0, '')", (seq, path, is_overwrite)
    ).lastrowid
    size, digest = 0, hashlib.sha256()
    for chunk in _chunks(data):
        db.execute("INSERT INTO chunks (written, data) VALUES (?, ?)", (write, chunk))
        size += len(chunk)
        digest.update(chunk)
    db.execute("UPDATE writes SET size = ?, sha256 = ? WHERE id = ?", (size, digest.digest(), write))


def stage_delete(db: sqlite3.Connection, seq: int, path: str) -> None:
    """Note that a file is deleted, or with a slash at the end a folder with all that is in it. 2.x only."""
    db.execute(
        "INSERT INTO writes (seq, path, is_overwrite, is_delete, size, sha256) VALUES (?, ?, 1, 1, 0, '')", (seq, path)
    )


def unstage(db: sqlite3.Connection, seq: int) -> None:
    """Forget what was put into an open commit."""
    db.execute("DELETE FROM writes WHERE seq = ? AND node IS NULL", (seq,))


def _chunks(data: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of at most a chunk, small ones joined."""
    waiting = bytearray()
    for piece in data:
        waiting += piece
        while len(waiting) >= CHUNK:
            yield bytes(waiting[:CHUNK])
            del waiting[:CHUNK]
    if waiting:
        yield bytes(waiting)


def apply(db: sqlite3.Connection, branch: int, seq: int) -> bool:
    """Make versions of what was put into commit ``seq``; returns whether any file is now different.

    Raises RefusedError where a file would stand above another; pachd too finds that only here, when the commit is
    finished (v1.13.4:src/server/pkg/hashtree/db.go:715, :820), so the commit stays open.
    """
    staged = _staged(db, seq)
    # Deletes first: what was deleted and not written again is in nobody's way, in whatever order it came.
    deleted = [path for path, writes in staged.items() if _apply_delete(db, branch, seq, path, writes)]
    changed = [path for path, writes in staged.items() if writes and _apply_path(db, branch, seq, path, writes)]
    return bool(deleted or changed)


def _apply_delete(db: sqlite3.Connection, branch: int, seq: int, path: str, writes: list[_Write]) -> bool:
    """Carry out the delete that ``writes`` begin with, unless a write follows it: that one is an overwrite then."""
    if not writes[0].is_delete:
        return False
    is_folder = path.endswith("/")
    if len(writes) > 1 and not is_folder:
        return False
    _drop(db, [writes.pop(0)])
    old = look_up(db, branch, seq, path.rstrip("/"))
    if old is None or old.node == 0 or (old.kind == "dir") is not is_folder:
        return False
    _remove(db, seq, old.node)
    return True


def _staged(db: sqlite3.Connection, seq: int) -> dict[str, list[_Write]]:
    """The writes of a commit by path, the path written last at the end; an overwrite drops those before it.

    That is how pachd keeps them: one record a path, read in the order of the last change
    (v1.13.4:src/server/pfs/server/driver.go:4174, :3434).
    """
    by_path: dict[str, list[_Write]] = {}
    rows = db.execute(
        "SELECT id, path, is_overwrite, size, is_delete FROM writes WHERE seq = ? AND node IS NULL ORDER BY id", (seq,)
    )
    for id_, path, is_overwrite, size, is_delete in rows.fetchall():
        if is_delete and path.endswith("/"):
            for below in [known for known in by_path if known.startswith(path)]:
                _drop(db, by_path.pop(below))
        before = by_path.pop(path, [])
        write = _Write(id_, bool(is_overwrite), size, bool(is_delete))
        if is_overwrite:
            _drop(db, before)
            by_path[path] = [write]
        else:
            by_path[path] = [*before, write]
    return by_path


def _apply_path(db: sqlite3.Connection, branch: int, seq: int, path: str, writes: list[_Write]) -> bool:
    is_overwrite, is_deleted = writes[0].is_overwrite, writes[0].is_delete
    if is_deleted:
        _drop(db, [writes.pop(0)])
    old = look_up(db, branch, seq, path)
    if old is not None and old.kind == "dir":
        if is_deleted:
            # A delete of 2.x means the file alone (v2.11.6:src/internal/storage/fileset/unordered_writer.go), and the
            # two are found to collide when the commit is validated (.../fileset/validator.go:57).
            raise CollisionError(f"{path}/", f"{path} is a folder")
        if not is_overwrite:
            raise CollisionError(
                f"{path}/", f'could not put file at "{path}"; a file of type directory is already there'
            )
        # An overwrite deletes whatever stands there first, a whole folder too, and says nothing
        # (v1.13.4:src/server/pfs/server/driver.go:4218).
        _remove(db, seq, old.node)
        old = None
    size = sum(write.size for write in writes)
    first, last = writes[0].id, writes[-1].id
    if old is not None and (_same_bytes(db, old, writes) if is_overwrite else size == 0):
        _drop(db, writes)
        return False
    if old is not None and not is_overwrite:
        size, first = old.size + size, old.first
    *folders, node = _make_nodes(db, branch, seq, path)
    db.executemany("UPDATE writes SET node = ? WHERE id = ?", [(node, write.id) for write in writes])
    _grow(db, seq, folders, size - (old.size if old else 0))
    _set_version(db, seq, Version(node, "file", size, first, last))
    return True


def _make_nodes(db: sqlite3.Connection, branch: int, seq: int, path: str) -> list[int]:
    """The nodes on the way to ``path``, root first, made where they are missing. RefusedError if one is a file."""
    parts = path.split("/")
    nodes: list[int] = []
    for depth, name in enumerate(parts):
        parent = nodes[-1] if nodes else 0
        key = (branch, parent, name)
        found = db.execute("SELECT id FROM nodes WHERE branch = ? AND parent = ? AND name = ?", key).fetchone()
        if found is None:
            node = db.execute("INSERT INTO nodes (branch, parent, name) VALUES (?, ?, ?)", key).lastrowid or 0
        else:
            (node,) = found
        nodes.append(node)
        is_folder = depth < len(parts) - 1
        there = _version(db, node, seq) if is_folder else None
        if there is not None and there.kind == "file":
            folder = "/".join(parts[: depth + 1])
            raise CollisionError(
                path,
                f'attempted to visit "{folder}", but it\'s not a directory',
                f"{folder} is a file, so nothing can stand below it: change the spout's output.path",
            )
    return nodes


def _grow(db: sqlite3.Connection, seq: int, folders: Iterable[int], by: int) -> None:
    for node in folders:
        old = _version(db, node, seq)
        _set_version(db, seq, Version(node, "dir", (old.size if old else 0) + by))


def _remove(db: sqlite3.Connection, seq: int, node: int) -> None:
    """Take a folder and everything in it out of the tree."""
    size = _version_size(db, node, seq)
    for below in (node, *_below(db, node)):
        if _version(db, below, seq):
            db.execute("REPLACE INTO versions (node, seq, kind, size) VALUES (?, ?, 'gone', 0)", (below, seq))
    above: list[int] = []
    parent = db.execute("SELECT parent FROM nodes WHERE id = ?", (node,)).fetchone()[0]
    while parent:
        above.append(parent)
        parent = db.execute("SELECT parent FROM nodes WHERE id = ?", (parent,)).fetchone()[0]
    _grow(db, seq, above, -size)


def _below(db: sqlite3.Connection, node: int) -> list[int]:
    rows = db.execute(
        "WITH RECURSIVE below (id, branch) AS (SELECT id, branch FROM nodes WHERE id = ? UNION ALL"
        " SELECT nodes.id, nodes.branch FROM nodes"
        " JOIN below ON nodes.branch = below.branch AND nodes.parent = below.id)"
        " SELECT id FROM below WHERE id <> ?",
        (node, node),
    )
    return [id_ for (id_,) in rows]


def _set_version(db: sqlite3.Connection, seq: int, version: Version) -> None:
    db.execute(
        "REPLACE INTO versions (node, seq, kind, size, first, last) VALUES (?, ?, ?, ?, ?, ?)",
        (version.node, seq, version.kind, version.size, version.first, version.last),
    )


def _drop(db: sqlite3.Connection, writes: Iterable[_Write]) -> None:
    db.executemany("DELETE FROM writes WHERE id = ?", [(write.id,) for write in writes])


def _same_bytes(db: sqlite3.Connection, old: Version, writes: list[_Write]) -> bool:
    """Whether the writes hold exactly the bytes of the old version: by digest, or by reading if one is in pieces."""
    if old.size != sum(write.size for write in writes):
        return False
    if old.first == old.last and len(writes) == 1:
        digests = db.execute("SELECT sha256 FROM writes WHERE id IN (?, ?)", (old.first, writes[0].id)).fetchall()
        return bool(digests[0] == digests[1])
    return _digest(db, writes_of(db, old)) == _digest(db, [write.id for write in writes])


def _digest(db: sqlite3.Connection, writes: Iterable[int]) -> bytes:
    digest = hashlib.sha256()
    for data in read(db, writes):
        digest.update(data)
    return digest.digest()


def _version(db: sqlite3.Connection, node: int, seq: int) -> Version | None:
    row = db.execute(
        "SELECT kind, size, first, last FROM versions WHERE node = ? AND seq <= ? ORDER BY seq DESC LIMIT 1",
        (node, seq),
    ).fetchone()
    return None if row is None or row[0] == "gone" else Version(node, *row)


def _version_size(db: sqlite3.Connection, node: int, seq: int) -> int:
    version = _version(db, node, seq)
    return version.size if version else 0


def look_up(db: sqlite3.Connection, branch: int, seq: int, path: str) -> Version | None:
    """What stands at a canonical path at commit ``seq``, ``""`` being the root; None if nothing does."""
    node = 0
    for name in path.split("/"):
        row = db.execute(
            "SELECT id FROM nodes WHERE branch = ? AND parent = ? AND name = ?", (branch, node, name)
        ).fetchone()
        if row is None:
            return None
        (node,) = row
    return _version(db, node, seq)


def tree_size(db: sqlite3.Connection, branch: int, seq: int) -> int:
    """The size of all files at commit ``seq``."""
    root = look_up(db, branch, seq, "")
    return root.size if root else 0


def children(db: sqlite3.Connection, seq: int, folder: int, path: str) -> list[FileInfo]:
    """What stands in a folder, by name. One step of an index a name, however many versions there are."""
    rows = db.execute(
        "SELECT nodes.name, versions.kind, versions.size FROM nodes JOIN versions ON versions.node = nodes.id"
        " AND versions.seq = (SELECT max(seq) FROM versions WHERE node = nodes.id AND seq <= ?)"
        " WHERE nodes.branch = (SELECT branch FROM nodes WHERE id = ?) AND nodes.parent = ?"
        " AND versions.kind <> 'gone' ORDER BY nodes.name",
        (seq, folder, folder),
    )
    return [FileInfo(f"{path}/{name}", kind, size) for name, kind, size in rows]


def writes_of(db: sqlite3.Connection, version: Version) -> list[int]:
    """The ids of the writes that a file's bytes are, in order."""
    rows = db.execute(
        "SELECT id FROM writes WHERE node = ? AND id BETWEEN ? AND ? ORDER BY id",
        (version.node, version.first, version.last),
    )
    return [id_ for (id_,) in rows]


def read(db: sqlite3.Connection, writes: Iterable[int]) -> Iterator[bytes]:
    """The bytes of writes, chunk by chunk."""
    for write in writes:
        for (data,) in db.execute("SELECT data FROM chunks WHERE written = ? ORDER BY id", (write,)):
            yield data


def read_end(db: sqlite3.Connection, writes: list[int], size: int) -> bytes:
    """At most the last ``size`` bytes of writes; reads no more chunks than it must."""
    end = b""
    for write in reversed(writes):
        for (data,) in db.execute("SELECT data FROM chunks WHERE written = ? ORDER BY id DESC", (write,)):
            end = bytes(data) + end
            if len(end) >= size:
                return end[-size:]
    return end
