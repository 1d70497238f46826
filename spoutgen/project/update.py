"""Carry an edit of the spec, or a newer template, into a project, and lose no edit of the user's.

Each managed file is decided on by itself (:mod:`spoutgen.project.merge`), then all of it is written or nothing
(:mod:`spoutgen.project.apply`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spoutgen.errors import Diagnostic, MachineError, Place, ProjectError
from spoutgen.project import apply
from spoutgen.project.conflicts import located, refuse_marks
from spoutgen.project.lock import read_lock
from spoutgen.project.plan import Bump, Plan, plan, quick_plan
from spoutgen.project.template import Template

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


def quick_update(folder: Path, template: Template | None = None, bump: Bump = "no") -> Plan | None:
    """The plan of a project that has nothing to do, without locking or writing anything; None for any other."""
    planned = quick_plan(folder, template)
    return None if planned and planned.image.is_reused and bump != "no" else planned


def abort(folder: Path) -> list[str]:
    """Undo an update that was interrupted or left conflicts; returns the files whose later edits were put aside."""
    with apply.alone(folder), _explained(folder, f"nothing is lost: {_FINISH}"):
        orders = apply.read_orders(folder)
        if orders is None:
            problem = "there is no update to undo: the last one is done, or there was none"
            raise ProjectError(Diagnostic("SG401", problem, Place(str(folder)), "version control has the older files"))
        return apply.abort(folder, orders)


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
        _refuse_edited(folder, apply.edited_since(folder, orders))
        apply.apply(folder, orders)
    refuse_marks(folder, orders.conflicts)
    if orders.conflicts:
        apply.forget(folder)


def _refuse_edited(folder: Path, paths: list[str]) -> None:
    """An update that was interrupted would write over what has been edited since."""
    if paths:
        problem = "edited after an update was interrupted; to finish that update would undo the edit"
        hint = f"undo the update, which keeps your edit: `spoutgen update --abort{located(folder)}`; then update again"
        raise ProjectError(*(Diagnostic("SG409", problem, Place(str(folder / path)), hint) for path in paths))


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
