"""What lies on the disk: the files of a pattern, and the older ones that rotation has made of them.

A *log* is a path that the pattern matches, such as ``/var/log/app.log``; its *files* are the one that has this name
now, and the rotated ones beside it: ``app.log.1``, ``app.log.2.gz``, ``app.log-20260131``.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import stat
from typing import NamedTuple, TypeAlias

_ROTATED = re.compile(r"(?P<log>.*[^/])[.-](?P<when>[0-9]{1,20}(?:[-_.T][0-9]{1,20})*)(?P<gzip>\.gz)?", re.DOTALL)
_LOOKS = 11  # at a folder that changes all the time, before it is left for the next scan


class Found(NamedTuple):
    """One file: where it is, what it is, and how large (in bytes, compressed) at that moment."""

    path: str
    device: int
    inode: int
    size: int
    changed: int
    is_live: bool
    is_gzip: bool

    @property
    def key(self) -> tuple[int, int]:
        """Which file it is, as the file system has it: the same after a rename."""
        return self.device, self.inode


Listed: TypeAlias = dict[str, list[Found]]


def root(pattern: str) -> str:
    """The folder before the first wildcard."""
    fixed = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    return fixed[: fixed.rfind("/") + 1]


def files(pattern: str, before: Listed | None = None) -> Listed | None:
    """Log -> its files, the oldest first; None while somebody renames them. ``before`` is what the last call returned.

    Reading a folder is not atomic: an entry that is renamed meanwhile may come twice or never. So only what two looks
    have in common counts.
    """
    for _ in range(_LOOKS):
        found = _look(pattern)
        if before is not None and _names(before) == _names(found):
            return found
        before = found
    return None


def _names(found: Listed) -> list[tuple[str, int, int]]:
    return [(file.path, file.device, file.inode) for files in found.values() for file in files]


def _look(pattern: str) -> Listed:
    paths = {*glob.glob(pattern), *glob.glob(f"{pattern}[.-]*")}  # noqa: PTH207 (a pattern from the root)
    logs: dict[str, list[tuple[tuple[int, int, str], Found]]] = {}
    seen: set[tuple[int, int]] = set()
    for path in sorted(paths):
        log, age = _log_of(path, pattern)
        # Compressed, but not taken away yet: the plain one is whole, this one may not be.
        if log is None or (path.endswith(".gz") and age is not None and path[: -len(".gz")] in paths):
            continue
        try:
            status = os.stat(path)  # noqa: PTH116 (paths are texts here: there may be thousands)
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(status.st_mode) or (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        found = Found(
            path,
            status.st_dev,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            is_live=age is None,
            is_gzip=path.endswith(".gz"),
        )
        logs.setdefault(log, []).append((age or _NEWEST, found))
    return {log: [found for _, found in sorted(aged, key=lambda each: each[0])] for log, aged in sorted(logs.items())}


_NEWEST = (2, 0, "")


def _log_of(path: str, pattern: str) -> tuple[str | None, tuple[int, int, str] | None]:
    """The log that a path belongs to, and what sorts it among the rotated ones; (None, None) for a stranger.

    Short numbers count up with age (``.1`` is the newest), dates count down. A pattern that matches all of a folder
    matches the rotated ones too: they still belong to the log that they came from.
    """
    rotated = _ROTATED.fullmatch(path)
    if rotated and fnmatch.fnmatchcase(rotated["log"], pattern):
        when = rotated["when"]
        if len(when) <= 4:
            return rotated["log"], (1, -int(when), "")
        return rotated["log"], (0, 0, when)
    return (path, None) if fnmatch.fnmatchcase(path, pattern) else (None, None)
