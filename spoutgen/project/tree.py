"""Trees: the files of a project as data.

A path is relative, with forward slashes; a folder exists through its files. Links are entries of their own and are
never followed: what a link leads to is not part of the tree.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal


@dataclass(frozen=True, slots=True)
class Entry:
    """One path: the bytes of a file and whether it may be executed (the one mode bit that a project keeps).

    For a ``link``, ``data`` is where it leads; for a ``folder`` that stands where a file should be, the paths below it,
    joined by NUL; for ``other``, why nothing can be done with it (unreadable, a device, below a link).
    """

    data: bytes
    is_executable: bool = False
    kind: Literal["file", "link", "folder", "other"] = "file"


Tree = Mapping[str, Entry]

BELOW_A_FILE = Entry(b"it would be below a file", kind="other")

# A trace of running or installing something; whoever needs it makes it again.
BYTE_CODE = frozenset({"__pycache__"})
# What tools keep beside files and is never part of a tree: mypy run inside the template left 12 MB there once.
SKIPPED_FOLDERS = BYTE_CODE | {".git", ".mypy_cache", ".pytest_cache", ".ruff_cache"}


def digest(entry: Entry) -> str:
    """SHA-256 of an entry, kind and mode bit included, as hex."""
    return hashlib.sha256(_head(entry.kind, entry.is_executable) + entry.data).hexdigest()


def file_digest(folder: Path, path: str) -> str:
    """The digest of what is at ``path``, without holding a large file in memory."""
    try:
        # Opening a FIFO must not wait for a writer, and a link is not followed.
        descriptor = os.open(f"{folder}/{path}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if stat.S_ISREG(mode):
                sha = hashlib.sha256(_head("file", bool(mode & stat.S_IXUSR)))
                while block := stream.read(1 << 20):
                    sha.update(block)
                return sha.hexdigest()
    except OSError:
        pass  # a link, or nothing that can be read: what it is counts then
    return digest(read_entry(folder, path) or Entry(b"gone", kind="other"))


def _head(kind: str, is_executable: bool) -> bytes:
    return f"{kind} {'x' if is_executable else '-'}\n".encode()


def tree_digest(tree: Tree) -> str:
    """SHA-256 of a whole tree, whatever order it was read in, as hex."""
    return joint_digest({path: digest(entry) for path, entry in tree.items()})


def joint_digest(digests: Mapping[str, str]) -> str:
    """SHA-256 of a tree whose files' digests are known."""
    lines = (f"{digests[path]} {path}\n" for path in sorted(digests))
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def read_entry(folder: Path, path: str) -> Entry | None:
    """What is at ``path`` below ``folder``; None if nothing is. Raises for nothing that it finds, follows no link."""
    here = folder
    for part in PurePosixPath(path).parts[:-1]:
        here /= part
        if here.is_symlink():
            return Entry(f"{here} is a link".encode(errors="surrogateescape"), kind="other")
    file = folder / path
    try:
        mode = file.lstat().st_mode
        if stat.S_ISLNK(mode):
            return Entry(os.fsencode(file.readlink()), kind="link")
        if stat.S_ISDIR(mode):
            below = "\0".join(_paths(file, "", lambda path: PurePosixPath(path).name in BYTE_CODE))
            return Entry(below.encode(errors="surrogateescape"), kind="folder")
        if not stat.S_ISREG(mode):
            return Entry(b"it is no regular file", kind="other")
        return Entry(file.read_bytes(), bool(mode & stat.S_IXUSR))
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return BELOW_A_FILE
    except OSError as error:
        return Entry(f"it cannot be read: {error.strerror or error}".encode(), kind="other")


def read_paths(folder: Path, paths: Iterable[str]) -> dict[str, Entry]:
    """The entries of those of ``paths`` that exist below ``folder``."""
    found = ((path, read_entry(folder, path)) for path in paths)
    return {path: entry for path, entry in found if entry is not None}


def read_tree(folder: Path) -> dict[str, Entry]:
    """Every file and link below ``folder``, but for what tools keep there."""
    return read_paths(folder, _paths(folder, "", _is_of_a_tool))


def walk(folder: Path, skipped: Callable[[str], bool]) -> Iterator[str]:
    """The paths of the files below ``folder``, in order, but for what is ``skipped`` and what tools keep there."""
    return (path for path in _paths(folder, "", lambda path: _is_of_a_tool(path) or skipped(path)) if not skipped(path))


def _is_of_a_tool(path: str) -> bool:
    return path.rpartition("/")[2] in SKIPPED_FOLDERS


def _paths(folder: Path, below: str, skipped: Callable[[str], bool]) -> Iterator[str]:
    """The paths of all that is no folder, in order; a folder that is ``skipped`` is not entered."""
    try:
        entries = sorted(os.scandir(folder / below), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        path = f"{below}{entry.name}"
        if not entry.is_dir(follow_symlinks=False):
            yield path
        elif not skipped(path):
            yield from _paths(folder, f"{path}/", skipped)


def write_entry(entry: Entry, file: Path, *, is_durable: bool = True) -> None:
    """Write one new file or link, with its folders. The mode does not depend on the umask."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if entry.kind == "link":
        file.symlink_to(os.fsdecode(entry.data))
        return
    with file.open("xb") as stream:
        stream.write(entry.data)
        stream.flush()
        os.fchmod(stream.fileno(), 0o755 if entry.is_executable else 0o644)
        if is_durable:
            os.fsync(stream.fileno())


def write_tree(tree: Tree, folder: Path, *, is_durable: bool = True) -> None:
    """Write every entry below ``folder``; nothing may be there yet."""
    for path in sorted(tree):
        write_entry(tree[path], folder / path, is_durable=is_durable)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
