"""What an update may leave behind: conflict marks, or itself half done. And what is said of both."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from spoutgen.errors import ConflictError, Diagnostic, Place, ProjectError
from spoutgen.project.apply import read_orders
from spoutgen.project.textmerge import first_mark
from spoutgen.project.tree import read_entry


def located(folder: Path) -> str:
    """The folder as an argument of our own commands, with a space before it; nothing for the folder one stands in."""
    return "" if folder == Path() else f" {shlex.quote(str(folder))}"


def check_is_settled(folder: Path) -> None:
    """Raise unless the last update has come to its end: ProjectError SG403, or ConflictError SG408."""
    orders = read_orders(folder)
    if orders is None:
        return
    if orders.state == "conflicts":
        refuse_marks(folder, orders.conflicts)
        return
    where = located(folder)
    hint = f"finish it: `spoutgen update{where}`; or undo it: `spoutgen update --abort{where}`"
    raise ProjectError(Diagnostic("SG403", "an update of this project was interrupted", Place(str(folder)), hint))


def refuse_marks(folder: Path, conflicts: Iterable[str]) -> None:
    """Raise ConflictError SG408 with those of the files that still hold conflict marks."""
    entries = ((path, read_entry(folder, path)) for path in conflicts)
    left = [path for path, entry in entries if entry and entry.kind == "file" and first_mark(entry.data)]
    if left:
        raise conflict_error(folder, left, "conflict marks of the last update are still in this file")


def conflict_error(folder: Path, paths: Iterable[str], message: str) -> ConflictError:
    """One finding a file in conflict, at its first mark."""
    where = located(folder)
    hint = f"edit it until no mark is left, then `spoutgen update{where}`; to undo: `spoutgen update --abort{where}`"
    return ConflictError(*(Diagnostic("SG408", message, _first_mark(folder / path), hint) for path in paths))


def _first_mark(file: Path) -> Place:
    data = file.read_bytes()
    line = first_mark(data) or 1
    return Place(str(file), line, 1, 7, data.split(b"\n")[line - 1].decode(errors="replace").rstrip("\r"))
