"""Trees: the files of a project as data.

A path is relative, with forward slashes; a folder exists through its files. Links are entries of their own and are
never followed: what a link leads to is not part of the tree.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal


@dataclass(frozen=True, slots=True)
class Entry:
    """One path: the bytes of a file and whether it may be executed (the one mode bit that a project keeps).

    For a ``link``, ``data`` is where it leads; for ``other``, why it is neither (a folder, unreadable, below a link).
    """

    data: bytes
    is_executable: bool = False
    kind: Literal["file", "link", "other"] = "file"


Tree = Mapping[str, Entry]

# Byte code is a trace of running or installing the template, never part of it.
SKIPPED_FOLDERS = frozenset({"__pycache__"})


def digest(entry: Entry) -> str:
    """SHA-256 of an entry, kind and mode bit included, as hex."""
    head = f"{entry.kind} {'x' if entry.is_executable else '-'}\n".encode()
    return hashlib.sha256(head + entry.data).hexdigest()


def tree_digest(tree: Tree) -> str:
    """SHA-256 of a whole tree, whatever order it was read in, as hex."""
    lines = (f"{digest(tree[path])} {path}\n" for path in sorted(tree))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def read_entry(folder: Path, path: str) -> Entry | None:
    """What is at ``path`` below ``folder``; None if nothing is. Raises for nothing that it finds, follows no link."""
    here = folder
    for part in PurePosixPath(path).parts[:-1]:
        here /= part
        if here.is_symlink():
            return Entry(f"{here} is a link".encode(), kind="other")
    file = folder / path
    try:
        mode = file.lstat().st_mode
        if stat.S_ISLNK(mode):
            return Entry(os.fsencode(file.readlink()), kind="link")
        if not stat.S_ISREG(mode):
            return Entry(b"not a file", kind="other")
        return Entry(file.read_bytes(), bool(mode & stat.S_IXUSR))
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return Entry(b"below a file", kind="other")
    except OSError as error:
        return Entry((error.strerror or "unreadable").encode(), kind="other")


def read_paths(folder: Path, paths: Iterable[str]) -> dict[str, Entry]:
    """The entries of those of ``paths`` that exist below ``folder``."""
    found = ((path, read_entry(folder, path)) for path in paths)
    return {path: entry for path, entry in found if entry is not None}


def read_tree(folder: Path) -> dict[str, Entry]:
    """Every file and link below ``folder``, byte code left out."""
    return read_paths(folder, _paths(folder, ""))


def _paths(folder: Path, below: str) -> Iterator[str]:
    """The paths of all that is no folder, in order."""
    try:
        entries = sorted(os.scandir(folder / below), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        path = f"{below}{entry.name}"
        if not entry.is_dir(follow_symlinks=False):
            yield path
        elif entry.name not in SKIPPED_FOLDERS:
            yield from _paths(folder, f"{path}/")


def write_entry(entry: Entry, file: Path) -> None:
    """Write one new file or link, with its folders, durably. The mode does not depend on the umask."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if entry.kind == "link":
        file.symlink_to(os.fsdecode(entry.data))
        return
    with file.open("xb") as stream:
        stream.write(entry.data)
        stream.flush()
        os.fchmod(stream.fileno(), 0o755 if entry.is_executable else 0o644)
        os.fsync(stream.fileno())


def write_tree(tree: Tree, folder: Path) -> None:
    """Write every entry below ``folder``; nothing may be there yet."""
    for path in sorted(tree):
        write_entry(tree[path], folder / path)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
