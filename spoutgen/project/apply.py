"""Writing an update into a project: all of it or nothing, whatever kills it and whenever.

Everything stands in ``.spoutgen/update/`` before the first file of the project changes: ``after/`` has each file as it
will be, ``before/`` as it was, ``orders.json`` what to do and how far it is::

    {"state": "apply" | "conflicts" | "abort", "paths": [...], "folders": [...], "conflicts": [...]}

The folder gets its name in one step; from then on the update counts, and is finished or undone by the next command, for
every step of both may be done twice. Without conflicts the folder goes at the end; with conflicts it stays, so that the
update can still be undone. The lock is always the last of ``paths``.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from spoutgen.project.lock import FOLDER
from spoutgen.project.tree import Entry, digest, read_entry, read_paths, sync_folder, write_entry, write_tree

STAGED = f"{FOLDER}/update"
ABORTED = f"{FOLDER}/aborted"
_STAGING = f"{FOLDER}/update.new"
_DONE = f"{FOLDER}/update.done"


@dataclass(frozen=True, slots=True)
class Orders:
    """An update that is staged: ``paths`` to write or delete, ``folders`` that it makes, ``conflicts`` among them."""

    state: Literal["apply", "conflicts", "abort"]
    paths: tuple[str, ...]
    folders: tuple[str, ...]
    conflicts: tuple[str, ...]


def read_orders(folder: Path) -> Orders | None:
    """The update that stands in a project, if any: interrupted, or with conflicts."""
    try:
        orders = json.loads((folder / STAGED / "orders.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Orders(orders["state"], *(tuple(orders[key]) for key in ("paths", "folders", "conflicts")))


def stage(folder: Path, after: dict[str, Entry | None], conflicts: tuple[str, ...]) -> None:
    """Write down the whole update (None deletes); it counts from the moment the staged folder gets its name."""
    clear_leftovers(folder)
    staging = folder / _STAGING
    before = read_paths(folder, after)
    write_tree({path: entry for path, entry in after.items() if entry is not None}, staging / "after")
    for path in before:
        _copy(folder / path, staging / "before" / path)
        _take_mode(folder / path, staging / "after" / path)
    _write_orders(staging, Orders("apply", tuple(after), _new_folders(folder, after), conflicts))
    staging.rename(folder / STAGED)
    sync_folder(folder / FOLDER)


def apply(folder: Path, orders: Orders) -> None:
    """Carry out the staged update."""
    staged = folder / STAGED
    for path in orders.paths:
        _put(staged / "after" / path, folder / path)
    sync_folder(folder)
    if orders.conflicts:
        _write_orders(staged, Orders("conflicts", orders.paths, orders.folders, orders.conflicts))
    else:
        forget(folder)


def abort(folder: Path, orders: Orders) -> list[str]:
    """Undo the staged update, byte for byte; what you edited since is kept in ``.spoutgen/aborted/`` and returned."""
    staged = folder / STAGED
    if orders.state != "abort":
        _keep_edits(folder, orders)
        _write_orders(staged, Orders("abort", orders.paths, orders.folders, orders.conflicts))
    for path in orders.paths:
        _put(staged / "before" / path, folder / path)
    for made in reversed(orders.folders):
        with contextlib.suppress(OSError):  # not empty: somebody else has put a file there
            (folder / made).rmdir()
    sync_folder(folder)
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


def _new_folders(folder: Path, after: dict[str, Entry | None]) -> tuple[str, ...]:
    """The folders that the update has to make, outer ones first."""
    parents = {str(parent) for path, entry in after.items() if entry for parent in PurePosixPath(path).parents}
    return tuple(sorted(parent for parent in parents if not (folder / parent).exists()))


def _keep_edits(folder: Path, orders: Orders) -> None:
    """Save what was edited after the update wrote it: undoing must not cost work either."""
    shutil.rmtree(folder / ABORTED, ignore_errors=True)
    after = folder / STAGED / "after"
    before = folder / STAGED / "before"
    for path in orders.paths:
        yours = read_entry(folder, path)
        known = {digest(entry) for entry in (read_entry(after, path), read_entry(before, path)) if entry}
        if yours and yours.kind == "file" and digest(yours) not in known:
            _copy(folder / path, folder / ABORTED / path)


def _put(source: Path, target: Path) -> None:
    """Make ``target`` what ``source`` is, in one step; without a source there is to be no target."""
    beside = target.parent / f".{target.name}.spoutgen"
    with contextlib.suppress(NotADirectoryError):
        beside.unlink(missing_ok=True)  # of a kill between the copy and the replacement
    if not os.path.lexists(source):
        target.unlink(missing_ok=True)
        return
    _copy(source, beside)
    beside.replace(target)


def _take_mode(yours: Path, after: Path) -> None:
    """A file keeps the mode that its owner gave it, but for the bit that says whether it may be executed."""
    if after.is_file() and not after.is_symlink() and not yours.is_symlink():
        mode = stat.S_IMODE(yours.stat().st_mode) & ~0o111
        after.chmod(mode | (mode >> 2 & 0o111 if after.stat().st_mode & stat.S_IXUSR else 0))


def _copy(source: Path, target: Path) -> None:
    """Copy a file or a link with its mode and times, durably."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)
    if not target.is_symlink():
        with target.open("rb") as stream:
            os.fsync(stream.fileno())
