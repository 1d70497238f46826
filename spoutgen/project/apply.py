"""Writing an update into a project: all of it or nothing, whatever kills it and whenever.

Everything stands in ``.spoutgen/update/`` before the first file of the project changes: ``after/`` has each file as it
will be, ``before/`` as it was, ``orders.json`` what to do and how far it is::

    {"state": "apply" | "conflicts" | "abort",
     "changes": [{"path": "...", "before": digest or null, "after": digest or null}, ...],
     "folders": [...], "conflicts": [...]}

The folder gets its name in one step; from then on the update counts, and is finished or undone by the next command, for
every step of both may be done twice. Without conflicts the folder goes at the end; with conflicts it stays, so that the
update can still be undone. The lock is always the last of ``changes``.
"""

from __future__ import annotations

import contextlib
import fcntl
import filecmp
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from spoutgen.errors import Diagnostic, MachineError, Place, ProjectError
from spoutgen.project.lock import BASE, FOLDER, no_project
from spoutgen.project.tree import BYTE_CODE, Entry, digest, read_entry, read_paths, sync_folder, write_entry
from spoutgen.project.tree import write_tree as write_all

STAGED = f"{FOLDER}/update"
ABORTED = f"{FOLDER}/aborted"
_STAGING = f"{FOLDER}/update.new"
_DONE = f"{FOLDER}/update.done"


@dataclass(frozen=True, slots=True)
class Change:
    """One path of an update, and the digest of its file before it and after it (None: there is none)."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Orders:
    """An update that is staged: its ``changes``, the ``folders`` that it makes, the paths with ``conflicts``."""

    state: Literal["apply", "conflicts", "abort"]
    changes: tuple[Change, ...]
    folders: tuple[str, ...]
    conflicts: tuple[str, ...]


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the project for one command at a time; the kernel lets go of it when the command dies.

    Raises MachineError SG415 if another command holds it, ProjectError SG401 if there is no project, and SG409 if one
    of our own folders is a link: it would lead our writing out of the project.
    """
    for name in (FOLDER, BASE, STAGED, _STAGING, _DONE, ABORTED):
        if (folder / name).is_symlink():
            problem = f"{name} is a link; spoutgen writes there, and follows no link"
            raise ProjectError(Diagnostic("SG409", problem, Place(str(folder / name)), "put the folder itself there"))
    try:
        descriptor = os.open(folder / FOLDER, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ProjectError(no_project(folder)) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            problem = "another command is updating this project"
            raise MachineError(Diagnostic("SG415", problem, Place(str(folder)), "wait until it has ended")) from error
        yield
    finally:
        os.close(descriptor)


def read_orders(folder: Path) -> Orders | None:
    """The update that stands in a project, if any: interrupted, or with conflicts."""
    file = folder / STAGED / "orders.json"
    try:
        orders = json.loads(file.read_bytes())
        changes = tuple(Change(**change) for change in orders["changes"])
        return Orders(orders["state"], changes, tuple(orders["folders"]), tuple(orders["conflicts"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError) as error:
        problem = f"the orders of the last update cannot be read: {error}"
        hint = f"{file.parent}/before has the files as they were; when all is in place, remove {file.parent}"
        raise ProjectError(Diagnostic("SG405", problem, Place(str(file)), hint)) from error


def stage(folder: Path, after: Mapping[str, Entry | None], conflicts: tuple[str, ...]) -> Orders:
    """Write down the whole update (None deletes); it counts from the moment the staged folder gets its name."""
    clear_leftovers(folder)
    staging = folder / _STAGING
    before = {path: entry for path, entry in read_paths(folder, after).items() if entry.kind in ("file", "link")}
    write_all({path: entry for path, entry in after.items() if entry is not None}, staging / "after")
    for path in before:
        _share(folder / path, staging / "before" / path)
        _take_mode(folder / path, staging / "after" / path)
    digests = {path: digest(entry) for path, entry in before.items()}
    changes = tuple(Change(path, digests.get(path), digest(entry) if entry else None) for path, entry in after.items())
    orders = Orders("apply", changes, _new_folders(folder, after), conflicts)
    _write_orders(staging, orders)
    staging.rename(folder / STAGED)
    sync_folder(folder / FOLDER)
    return orders


def apply(folder: Path, orders: Orders) -> None:
    """Carry out the staged update."""
    to_write = [change.path for change in orders.changes if change.after]
    to_delete = [change.path for change in orders.changes if not change.after]
    _delete(folder, to_delete)
    for path in to_delete:
        _remove_if_empty(folder, PurePosixPath(path).parent)
    _write(folder, folder / STAGED / "after", to_write)
    if orders.conflicts:
        _write_orders(folder / STAGED, replace(orders, state="conflicts"))
    else:
        forget(folder)


def abort(folder: Path, orders: Orders) -> list[str]:
    """Undo the staged update, byte for byte; what you edited since is kept in ``.spoutgen/aborted/`` and returned."""
    if orders.state != "abort":
        _keep_edits(folder, orders)
        _write_orders(folder / STAGED, replace(orders, state="abort"))
    _delete(folder, [change.path for change in orders.changes if not change.before])
    for made in reversed(orders.folders):
        with contextlib.suppress(OSError):  # not empty: somebody else has put a file there
            (folder / made).rmdir()
    _write(folder, folder / STAGED / "before", [change.path for change in orders.changes if change.before])
    forget(folder)
    kept = folder / ABORTED
    return sorted(path.relative_to(kept).as_posix() for path in kept.rglob("*") if path.is_file())


def forget(folder: Path) -> None:
    """The staged update is over, in one step; then its files go."""
    shutil.rmtree(folder / _DONE, ignore_errors=True)
    (folder / STAGED).rename(folder / _DONE)
    clear_leftovers(folder)


def clear_leftovers(folder: Path) -> None:
    """Remove what a killed command left that never counted, or counts no more."""
    for name in (_STAGING, _DONE):
        shutil.rmtree(folder / name, ignore_errors=True)


def _write_orders(staged: Path, orders: Orders) -> None:
    file = staged / "orders.json"
    new = staged / "orders.json.new"
    new.unlink(missing_ok=True)
    write_entry(Entry((json.dumps(asdict(orders), indent=1) + "\n").encode()), new)
    new.replace(file)
    sync_folder(staged)


def _new_folders(folder: Path, after: Mapping[str, Entry | None]) -> tuple[str, ...]:
    """The folders that the update has to make, outer ones first."""
    parents = {str(parent) for path, entry in after.items() if entry for parent in PurePosixPath(path).parents}
    return tuple(sorted(parent for parent in parents if not (folder / parent).is_dir()))


def _keep_edits(folder: Path, orders: Orders) -> None:
    """Save what was edited after the update was staged: undoing must not cost work either."""
    shutil.rmtree(folder / ABORTED, ignore_errors=True)
    for path in edited_since(folder, orders):
        _copy(folder / path, folder / ABORTED / path)


def edited_since(folder: Path, orders: Orders) -> list[str]:
    """The files that are neither as they were before the update nor as it writes them."""
    found = ((change, read_entry(folder, change.path)) for change in orders.changes)
    return [
        change.path
        for change, yours in found
        if yours and yours.kind == "file" and digest(yours) not in (change.before, change.after)
    ]


def _delete(folder: Path, paths: list[str]) -> None:
    """Deletions come first: a folder may have to stand where a file is, or a file where a folder is."""
    for path in paths:
        file = folder / path
        with contextlib.suppress(NotADirectoryError):
            _beside(file).unlink(missing_ok=True)
        if os.path.lexists(file) and (file.is_symlink() or not file.is_dir()):
            file.unlink()


def _remove_if_empty(folder: Path, below: PurePosixPath) -> None:
    """Remove a folder that the deletions left empty, and those around it; byte code is nothing of anybody's."""
    while below != PurePosixPath():
        here = folder / below
        with contextlib.suppress(OSError):  # it is gone already, or not empty
            if BYTE_CODE.issuperset(entry.name for entry in here.iterdir()):
                for name in BYTE_CODE:
                    shutil.rmtree(here / name, ignore_errors=True)
                here.rmdir()
        below = below.parent


def _write(folder: Path, source: Path, paths: list[str]) -> None:
    """Make each path what it is below ``source``. All that comes before the last, the lock, is durable before it."""
    for path in paths[:-1]:
        _put(source / path, folder / path)
    for parent in {(folder / path).parent for path in paths[:-1]}:
        sync_folder(parent)
    for path in paths[-1:]:
        _put(source / path, folder / path)
        sync_folder((folder / path).parent)


def _put(source: Path, target: Path) -> None:
    """Make ``target`` what ``source`` is, in one step, and leave it alone if it is so already."""
    beside = _beside(target)
    beside.unlink(missing_ok=True)
    if not _is_same(source, target):
        _share(source, beside)
        beside.replace(target)


def _beside(target: Path) -> Path:
    """Where a file is written before it takes its place; a kill in between leaves it there."""
    return target.parent / f".{target.name}.spoutgen"


def _is_same(one: Path, other: Path) -> bool:
    if not os.path.lexists(other) or one.lstat().st_mode != other.lstat().st_mode:
        return False
    if one.is_symlink():
        return one.readlink() == other.readlink()
    return filecmp.cmp(one, other, shallow=False)


def _take_mode(yours: Path, after: Path) -> None:
    """A file keeps the mode that its owner gave it, but for the bit that says whether it may be executed."""
    if after.is_file() and not after.is_symlink() and not yours.is_symlink():
        mode = stat.S_IMODE(yours.stat().st_mode) & ~0o111
        after.chmod(mode | (mode >> 2 & 0o111 if after.stat().st_mode & stat.S_IXUSR else 0))


def _share(source: Path, target: Path) -> None:
    """Give a file a second name, which costs no writing; or copy it, where the file system has no such thing.

    A file of the project is only ever replaced, so what it was keeps its bytes, owner and times under the other name.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except FileNotFoundError:
        raise
    except OSError:
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    """Copy a file or a link with its mode and times, durably."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)
    if not target.is_symlink():
        with target.open("rb") as stream:
            os.fsync(stream.fileno())
