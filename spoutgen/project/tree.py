"""Trees: the files of a project as data.

A path is relative, with forward slashes; a folder exists through its files.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: its bytes, and whether it may be executed (the one mode bit that a project keeps)."""

    data: bytes
    is_executable: bool = False


Tree = Mapping[str, Entry]

# Byte code is a trace of running or installing the template, never part of it.
SKIPPED_FOLDERS = frozenset({"__pycache__"})


def digest(entry: Entry) -> str:
    """SHA-256 of an entry, mode bit included, as hex."""
    return hashlib.sha256((b"x" if entry.is_executable else b"-") + entry.data).hexdigest()


def tree_digest(tree: Tree) -> str:
    """SHA-256 of a whole tree, whatever order it was read in, as hex."""
    lines = (f"{digest(tree[path])} {path}\n" for path in sorted(tree))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def read_entry(file: Path) -> Entry | None:
    """The entry of a regular file; None if there is no file. Raises OSError for a folder or what cannot be read."""
    try:
        data = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Entry(data, os.access(file, os.X_OK))


def read_paths(folder: Path, paths: Iterable[str]) -> dict[str, Entry]:
    """The entries of those of ``paths`` that exist below ``folder``."""
    found = ((path, read_entry(folder / path)) for path in paths)
    return {path: entry for path, entry in found if entry is not None}


def read_tree(folder: Path) -> dict[str, Entry]:
    """Every regular file below ``folder``, byte code left out."""
    tree: dict[str, Entry] = {}
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS)
        for name in sorted(files):
            file = Path(here, name)
            entry = read_entry(file)
            if entry is not None:
                tree[file.relative_to(folder).as_posix()] = entry
    return tree


def write_entry(entry: Entry, file: Path) -> None:
    """Write one new file, with its folders, durably. The mode does not depend on the umask."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("xb") as stream:
        stream.write(entry.data)
        stream.flush()
        os.fchmod(stream.fileno(), 0o755 if entry.is_executable else 0o644)
        os.fsync(stream.fileno())


def write_tree(tree: Tree, folder: Path) -> None:
    """Write every entry below ``folder``; no file may be there yet."""
    for path in sorted(tree):
        write_entry(tree[path], folder / path)
