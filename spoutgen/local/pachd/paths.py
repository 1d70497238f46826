"""Which paths Pachyderm 2.x takes, and the changes that a ModifyFile stream is made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spoutgen.local.paths import GLOB, PRINTABLE, canonical
from spoutgen.local.refused import RefusedError


@dataclass(frozen=True, slots=True)
class Change:
    """Bytes added to the end of a file, or (``data`` None) a file or folder deleted; a folder ends in a slash."""

    path: str
    data: list[bytes] | None


def checked(path: str) -> str:
    """The place that a path means, in pachd's words if it is none (v2.11.6:src/internal/storage/paths.go:15)."""
    if not PRINTABLE.match(path):
        raise RefusedError(f"path ({path}) invalid: only printable ASCII characters allowed")
    glob = GLOB.search(path)
    if glob:
        raise RefusedError(f"path ({path}) invalid: globbing character ({glob[0]}) not allowed in path")
    if any(part in (".", "..") for part in path.split("/")):
        raise RefusedError(f"path ({path}) invalid: relative file paths are not allowed")
    return canonical(path)


def checked_changes(changes: Iterable[Change]) -> list[Change]:
    """The changes with canonical paths; adds to one file that follow each other are joined."""
    joined: list[Change] = []
    for change in changes:
        path = checked(change.path)
        if change.data is None:
            joined.append(Change(f"{path}/" if change.path.endswith("/") else path, None))
        elif joined and joined[-1].path == path and joined[-1].data is not None:
            joined[-1].data.extend(change.data)
        else:
            joined.append(Change(path, list(change.data)))
    return joined
