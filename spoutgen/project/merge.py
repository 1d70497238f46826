"""Base, yours, new -> what to do with each managed file. Pure.

=============================  =======================
yours = new, or new = base     yours stays
yours = base                   new (deleted if new has none)
you deleted it                 stays deleted
anything else                  touched: both sides changed
=============================  =======================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spoutgen.project.tree import Entry, Tree

Action = Literal["add", "change", "delete", "keep", "touched"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What an update does to one file; ``entry`` is what is to be written (add, change), else None."""

    path: str
    action: Action
    entry: Entry | None = None


def merge(base: Tree, yours: Tree, new: Tree) -> list[Decision]:
    """One decision a path that base or new has, in the order of the paths."""
    return [_decide(path, base.get(path), yours.get(path), new.get(path)) for path in sorted({*base, *new})]


def _decide(path: str, base: Entry | None, yours: Entry | None, new: Entry | None) -> Decision:
    if new in (yours, base):
        return Decision(path, "keep")
    if yours == base:
        if new is None:
            return Decision(path, "delete")
        return Decision(path, "add" if yours is None else "change", new)
    if yours is None:
        return Decision(path, "keep")
    return Decision(path, "touched")
