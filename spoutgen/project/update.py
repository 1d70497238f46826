"""Carry an edit of the spec, or a newer template, into a project: decide first, then write all of it.

An update is staged whole in ``.spoutgen/update/`` before the first file of the project changes; once that folder has
its name, the update will be finished, if need be by the next `spoutgen update`. The lock is written last.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from spoutgen import __version__
from spoutgen.errors import Diagnostic, MachineError, Place, ProjectError
from spoutgen.project.create import project_files
from spoutgen.project.lock import BASE, FOLDER, LOCK, SPEC, read_base, read_lock, spec_digest
from spoutgen.project.merge import Decision, merge
from spoutgen.project.render import Rendered, render, template_digest
from spoutgen.project.tree import Entry, read_paths, write_entry, write_tree
from spoutgen.spec import load

STAGED = f"{FOLDER}/update"
STAGING = f"{FOLDER}/update.new"
ORDERS = "orders.json"
FILES = "files"


@dataclass(frozen=True, slots=True)
class Update:
    """What an update does: the decisions for the managed files, and all that is to be written or deleted."""

    decisions: tuple[Decision, ...] = ()
    write: tuple[tuple[str, Entry], ...] = ()
    delete: tuple[str, ...] = ()

    @property
    def changes(self) -> tuple[Decision, ...]:
        """The decisions that change a file."""
        return tuple(decision for decision in self.decisions if decision.action != "keep")


def update(folder: Path) -> Update:
    """Bring the project in ``folder`` up to date with its spec and this spoutgen; returns what was done.

    Raises ProjectError SG402, with nothing changed, if a managed file that would have to change was edited by hand.
    """
    try:
        finish_interrupted(folder)
        planned = plan(folder)
        touched = [decision.path for decision in planned.decisions if decision.action == "touched"]
        if touched:
            raise ProjectError.of(_was_edited(folder, path) for path in touched)
        if planned.write or planned.delete:
            _stage(folder, planned)
            finish_interrupted(folder)
    except OSError as error:
        place = Place(str(error.filename or folder))
        problem = f"the project cannot be updated: {error.strerror or error}"
        hint = "nothing is lost: put it right and run `spoutgen update` again"
        raise MachineError(Diagnostic("SG407", problem, place, hint)) from error
    return planned


def plan(folder: Path) -> Update:
    """What an update would do. Reads only."""
    lock = read_lock(folder)
    spec_file = folder / SPEC
    data = spec_file.read_bytes() if spec_file.is_file() else b""
    if (lock.spoutgen, lock.spec, lock.template) == (__version__, spec_digest(data), template_digest()):
        return Update()
    rendered = render(load(folder))
    base, new = read_base(folder), rendered.managed()
    yours = read_paths(folder, {*base, *new})
    decisions = merge(base, yours, new)
    return Update(tuple(decisions), *_orders(folder, rendered, base, decisions))


def _orders(
    folder: Path, rendered: Rendered, base: dict[str, Entry], decisions: Iterable[Decision]
) -> tuple[tuple[tuple[str, Entry], ...], tuple[str, ...]]:
    """Everything to write and to delete: the managed files that change, base, and the lock at the end."""
    write = {d.path: d.entry for d in decisions if d.entry is not None}
    delete = [d.path for d in decisions if d.action == "delete"]
    fresh = project_files(rendered)
    own = {path: entry for path, entry in fresh.items() if path.startswith(f"{BASE}/")}
    there = read_paths(folder, own)
    write.update({path: entry for path, entry in own.items() if there.get(path) != entry})
    delete += [f"{BASE}/{path}" for path in base if f"{BASE}/{path}" not in own]
    write[LOCK] = fresh[LOCK]
    return tuple(write.items()), tuple(delete)


def _was_edited(folder: Path, path: str) -> Diagnostic:
    return Diagnostic(
        "SG402",
        "this managed file was edited by hand, and the update would change it too; nothing was changed",
        Place(str(folder / path)),
        f"to see your edit: diff {folder / BASE / path} {folder / path}; move it aside or undo it, then update again",
    )


def _stage(folder: Path, planned: Update) -> None:
    """Write the whole update beside the project's files; it counts from the moment the folder gets its name."""
    staging = folder / STAGING
    shutil.rmtree(staging, ignore_errors=True)
    write_tree(dict(planned.write), staging / FILES)
    orders = {"write": [path for path, _ in planned.write], "delete": list(planned.delete)}
    write_entry(Entry(json.dumps(orders, indent=1).encode()), staging / ORDERS)
    staging.rename(folder / STAGED)
    _sync(folder / FOLDER)


def finish_interrupted(folder: Path) -> bool:
    """Carry out the update that stands staged, if any; every step may be done twice. Returns whether there was one."""
    staged = folder / STAGED
    if not (staged / ORDERS).is_file():
        return False
    orders = json.loads((staged / ORDERS).read_bytes())
    for path in orders["delete"]:
        (folder / path).unlink(missing_ok=True)
    for path in orders["write"]:
        source, target = staged / FILES / path, folder / path
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
    _sync(folder)
    # The orders go first: without them what is left of the folder means nothing.
    (staged / ORDERS).unlink()
    shutil.rmtree(staged, ignore_errors=True)
    return True


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
