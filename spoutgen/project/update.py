"""Carry an edit of the spec, or a newer template, into a project, and lose no edit of the user's.

Three trees meet: base (what we generated last), yours (what is there), new (what we would generate now). Each managed
file is decided on by itself (:mod:`spoutgen.project.merge`), then all of it is written or nothing
(:mod:`spoutgen.project.apply`).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spoutgen import __version__
from spoutgen.errors import ConflictError, Diagnostic, MachineError, Place, ProjectError
from spoutgen.project import apply
from spoutgen.project.create import project_files
from spoutgen.project.lock import BASE, LOCK, SPEC, read_base, read_lock, spec_digest
from spoutgen.project.merge import Decision, merge
from spoutgen.project.render import Rendered, render, template_digest
from spoutgen.project.textmerge import has_marks, merge_text
from spoutgen.project.tree import Entry, read_entry, read_paths
from spoutgen.spec import load


@dataclass(frozen=True, slots=True)
class Update:
    """What an update does: one decision a managed file, and what becomes of every path (None: deleted), lock last."""

    decisions: tuple[Decision, ...] = ()
    after: tuple[tuple[str, Entry | None], ...] = ()

    @property
    def news(self) -> tuple[Decision, ...]:
        """The decisions worth telling: what changes a file, and what its owner should know."""
        return tuple(decision for decision in self.decisions if decision.action != "keep" or decision.note)

    @property
    def conflicts(self) -> tuple[str, ...]:
        """The files that will hold conflict marks."""
        return tuple(decision.path for decision in self.decisions if decision.action == "conflict")


def update(folder: Path) -> Update:
    """Bring the project in ``folder`` up to date with its spec and this spoutgen; returns what was done.

    An interrupted update is finished first. Raises ConflictError SG408 while conflict marks of the last update remain,
    and ProjectError SG409, with nothing changed, if something is in the way.
    """
    with _explained(folder):
        _settle(folder)
        planned = plan(folder)
        _refuse_blocked(folder, planned)
        if planned.after:
            apply.stage(folder, dict(planned.after), planned.conflicts)
            orders = apply.read_orders(folder)
            assert orders is not None
            apply.apply(folder, orders)
    return planned


def plan(folder: Path) -> Update:
    """What an update would do. Reads only; what stands in the way is among the decisions, as blocked."""
    lock = read_lock(folder)
    spec_file = folder / SPEC
    data = spec_file.read_bytes() if spec_file.is_file() else b""
    if (lock.spoutgen, lock.spec, lock.template) == (__version__, spec_digest(data), template_digest()):
        return Update()
    rendered = render(load(folder))
    base, new = read_base(folder), rendered.managed()
    yours = read_paths(folder, {*base, *new})
    decisions = [_checked(folder, decision) for decision in merge(base, yours, new, merge_text)]
    return Update(tuple(decisions), tuple(_after(folder, rendered, base, decisions).items()))


def abort(folder: Path) -> list[str]:
    """Undo an update that was interrupted or left conflicts; returns the files whose later edits were put aside."""
    with _explained(folder):
        orders = apply.read_orders(folder)
        if orders is None:
            problem = "there is no update to undo: the last one is done, or there was none"
            raise ProjectError(Diagnostic("SG401", problem, Place(str(folder)), "version control has the older files"))
        return apply.abort(folder, orders)


def unresolved(folder: Path, conflicts: Iterable[str]) -> list[str]:
    """Those of the files that still hold conflict marks."""
    entries = ((path, read_entry(folder, path)) for path in conflicts)
    return [path for path, entry in entries if entry and entry.kind == "file" and has_marks(entry.data)]


def conflict_error(folder: Path, paths: Iterable[str], message: str) -> ConflictError:
    """One finding a file in conflict, at its first mark."""
    where = "" if folder == Path() else f" {shlex.quote(str(folder))}"
    hint = f"edit it until no mark is left, then `spoutgen update{where}`; to undo: `spoutgen update --abort{where}`"
    return ConflictError(*(Diagnostic("SG408", message, _first_mark(folder / path), hint) for path in paths))


def _refuse_blocked(folder: Path, planned: Update) -> None:
    """Raise with everything that is in the way; nothing has been changed yet."""
    blocked = [decision for decision in planned.decisions if decision.action == "blocked"]
    if blocked:
        hint = "move it away, or turn it into the file that it should be, and update again; nothing was changed"
        raise ProjectError(
            *(Diagnostic("SG409", d.note or "in the way", Place(str(folder / d.path)), hint) for d in blocked)
        )


def _settle(folder: Path) -> None:
    """Bring to an end what an earlier update left: an interruption, or conflicts that are resolved by now."""
    apply.clear_leftovers(folder)
    orders = apply.read_orders(folder)
    if orders is None:
        return
    if orders.state == "abort":
        apply.abort(folder, orders)
        return
    if orders.state == "apply":
        apply.apply(folder, orders)
    left = unresolved(folder, orders.conflicts)
    if left:
        raise conflict_error(folder, left, "conflict marks of the last update are still in this file")
    if orders.conflicts:
        apply.forget(folder)


def _checked(folder: Path, decision: Decision) -> Decision:
    """The decision, blocked if the file that would be put beside yours is there already."""
    if decision.action == "beside" and read_entry(folder, f"{decision.path}.new") not in (None, decision.entry):
        return Decision(decision.path, "blocked", note=f"{decision.path}.new is there already")
    return decision


def _after(
    folder: Path, rendered: Rendered, base: dict[str, Entry], decisions: Iterable[Decision]
) -> dict[str, Entry | None]:
    """Every path that the update writes or deletes: the managed files that change, base, and the lock at the end."""
    after: dict[str, Entry | None] = {}
    for decision in decisions:
        if decision.action == "delete":
            after[decision.path] = None
        elif decision.entry is not None:
            after[f"{decision.path}.new" if decision.action == "beside" else decision.path] = decision.entry
    fresh = project_files(rendered)
    own = {path: entry for path, entry in fresh.items() if path.startswith(f"{BASE}/")}
    after.update({path: entry for path, entry in own.items() if read_entry(folder, path) != entry})
    after.update({f"{BASE}/{path}": None for path in base if f"{BASE}/{path}" not in own})
    after[LOCK] = fresh[LOCK]
    return after


def _first_mark(file: Path) -> Place:
    lines = file.read_bytes().split(b"\n")
    number = next((number for number, line in enumerate(lines) if line.startswith(b"<<<<<<< yours")), 0)
    return Place(str(file), number + 1, 1, 7, lines[number].decode(errors="replace").rstrip("\r"))


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Tell an error of the file system as ours, with what to do."""
    try:
        yield
    except OSError as error:
        problem = f"the project cannot be written: {error.strerror or error}"
        hint = "nothing is lost: put it right and run `spoutgen update` again, or undo it: `spoutgen update --abort`"
        raise MachineError(Diagnostic("SG407", problem, Place(str(error.filename or folder)), hint)) from error
