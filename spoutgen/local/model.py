"""What the local cluster holds, as data. Times are UTC, sizes are bytes, paths begin with a slash."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

FileKind = Literal["file", "dir"]


@dataclass(frozen=True, slots=True)
class Repo:
    """A repo; ``size`` is that of the head of its branch ``master``."""

    name: str
    description: str
    created: datetime
    size: int


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch; ``head`` is a commit's id, or None before the first commit."""

    repo: str
    name: str
    head: str | None


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit; ``finished`` is None while it is open.

    ``finishing`` and ``error`` are 2.x's: between finishing and finished the files are validated, and a commit whose
    validation failed is finished with an error and passed over by its children.

    ``size`` is that of all files at this commit, as Pachyderm's SizeBytes. ``is_changed`` says whether any file differs
    from the parent's; an announcing tar makes commits that change nothing on the output branch.
    """

    repo: str
    branch: str
    id: str
    parent: str | None
    started: datetime
    finished: datetime | None
    size: int
    is_changed: bool
    finishing: datetime | None = None
    error: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class FileInfo:
    """One line of a listing; a folder's size is that of everything in it."""

    path: str
    kind: FileKind
    size: int


@dataclass(frozen=True, slots=True)
class Put:
    """One request of a PutFile stream: ``data`` goes to ``path`` in ``target``, an open commit's id or a branch."""

    target: str
    path: str
    data: Iterable[bytes]
    is_overwrite: bool
