"""Carry an edit of the spec, or a newer template, into a project, and lose no edit of the user's.

Each managed file is decided on by itself (:mod:`spoutgen.project.merge`), then all of it is written or nothing
(:mod:`spoutgen.project.apply`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from spoutgen.errors import ConflictError, Diagnostic, MachineError, Place, ProjectError
from spoutgen.project import apply
from spoutgen.project.lock import read_lock
from spoutgen.project.plan import Bump, Plan, located, plan
from spoutgen.project.template import Template
from spoutgen.project.textmerge import first_mark
from spoutgen.project.tree import read_entry

_FINISH = "put it right and run `spoutgen update` again, or undo it: `spoutgen update --abort`"


def update(folder: Path, template: Template | None = None, bump: Bump = "no") -> Plan:
    """Bring the project in ``folder`` up to date with its spec and this spoutgen; returns what was done.

    An interrupted update is finished first. Raises ConflictError SG408 while conflict marks of the last update remain,
    and ProjectError SG409, with nothing changed, if something is in the way.
    """
    read_lock(folder)
    with apply.alone(folder):
        with _explained(folder, f"nothing is lost: {_FINISH}"):
            _settle(folder)
        planned = plan(folder, template, bump)
        _refuse_blocked(folder, planned)
        if planned.after:
            _carry_out(folder, planned)
    return planned


def abort(folder: Path) -> list[str]:
    """Undo an update that was interrupted or left conflicts; returns the files whose later edits were put aside."""
    with apply.alone(folder), _explained(folder, f"nothing is lost: {_FINISH}"):
        orders = apply.read_orders(folder)
        if orders is None:
            problem = "there is no update to undo: the last one is done, or there was none"
            raise ProjectError(Diagnostic("SG401", problem, Place(str(folder)), "version control has the older files"))
        return apply.abort(folder, orders)


def check_is_settled(folder: Path) -> None:
    """Raise unless the last update has come to its end; for those who only look."""
    orders = apply.read_orders(folder)
    if orders is None:
        return
    if orders.state == "conflicts":
        left = unresolved(folder, orders.conflicts)
        if left:
            raise conflict_error(folder, left, "conflict marks of the last update are still in this file")
        return
    hint = f"finish it: `spoutgen update{located(folder)}`; or undo it: `spoutgen update --abort{located(folder)}`"
    raise ProjectError(Diagnostic("SG403", "an update of this project was interrupted", Place(str(folder)), hint))


def unresolved(folder: Path, conflicts: Iterable[str]) -> list[str]:
    """Those of the files that still hold conflict marks."""
    entries = ((path, read_entry(folder, path)) for path in conflicts)
    return [path for path, entry in entries if entry and entry.kind == "file" and first_mark(entry.data)]


def conflict_error(folder: Path, paths: Iterable[str], message: str) -> ConflictError:
    """One finding a file in conflict, at its first mark."""
    where = located(folder)
    hint = f"edit it until no mark is left, then `spoutgen update{where}`; to undo: `spoutgen update --abort{where}`"
    return ConflictError(*(Diagnostic("SG408", message, _first_mark(folder / path), hint) for path in paths))


def _refuse_blocked(folder: Path, planned: Plan) -> None:
    """Raise with everything that is in the way; nothing has been changed yet."""
    if planned.blocked:
        hint = "put that right, or turn it into the file that it should be, and update again; nothing was changed"
        found = ((Place(str(folder / decision.path)), decision.note or "in the way") for decision in planned.blocked)
        raise ProjectError(*(Diagnostic("SG409", note, place, hint) for place, note in found))


def _carry_out(folder: Path, planned: Plan) -> None:
    """Write the plan; where that fails in the middle, undo it at once."""
    with _explained(folder, "nothing was changed; put it right and update again"):
        try:
            orders = apply.stage(folder, dict(planned.after), planned.conflicts)
        except OSError:
            apply.clear_leftovers(folder)
            raise
    try:
        apply.apply(folder, orders)
    except OSError as error:
        with _explained(folder, f"the update is half done, and nothing is lost: {_FINISH}"):
            apply.abort(folder, orders)
        raise _cannot_write(folder, error, "all of it was undone; put it right and update again") from error


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


def _first_mark(file: Path) -> Place:
    data = file.read_bytes()
    line = first_mark(data) or 1
    return Place(str(file), line, 1, 7, data.split(b"\n")[line - 1].decode(errors="replace").rstrip("\r"))


@contextmanager
def _explained(folder: Path, hint: str) -> Iterator[None]:
    """Tell an error of the file system as ours, with what to do."""
    try:
        yield
    except OSError as error:
        raise _cannot_write(folder, error, hint) from error


def _cannot_write(folder: Path, error: OSError, hint: str) -> MachineError:
    problem = f"the project cannot be written: {error.strerror or error}"
    return MachineError(Diagnostic("SG407", problem, Place(str(error.filename or folder)), hint))
