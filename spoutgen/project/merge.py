"""Base, yours, new -> what to do with each managed file. Pure: how two texts merge is handed in.

=========================================  ================================================================
yours = new, or new = base                 yours stays
yours = base                               new (deleted if new has none)
you deleted it                             stays deleted; said so if new changed it
you changed it, new has none               yours stays, said so
both changed it                            merged by lines, or a conflict in the text
both changed it, and lines mean nothing    yours stays, the new one is put beside it (a binary, a link)
yours is in the way                        blocked: a folder, a file that cannot be read, a path below a link
=========================================  ================================================================

A file that the template only renamed takes your edits along to its new name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spoutgen.project.textmerge import Merged, TextMerge, is_binary
from spoutgen.project.tree import Entry, Tree

Action = Literal["keep", "add", "change", "delete", "merge", "conflict", "beside", "blocked"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What an update does to one file: ``entry`` is what is to be written, ``note`` what its owner should know."""

    path: str
    action: Action
    entry: Entry | None = None
    note: str | None = None


def merge(base: Tree, yours: Tree, new: Tree, merge_text: TextMerge) -> list[Decision]:
    """One decision a path that base or new has, in the order of the paths."""
    renamed = _renames(base, yours, new)
    decisions = []
    for path in sorted({*base, *new}):
        if path in renamed:
            note = f"renamed from {renamed[path]}, with your edits"
            decisions.append(Decision(path, "add", yours[renamed[path]], note))
        elif path in renamed.values():
            decisions.append(Decision(path, "delete"))
        else:
            decisions.append(_decide(path, base.get(path), yours.get(path), new.get(path), merge_text))
    return decisions


def _decide(path: str, base: Entry | None, yours: Entry | None, new: Entry | None, merge_text: TextMerge) -> Decision:
    if new in (yours, base):
        return Decision(path, "keep")
    if yours == base:
        if new is None:
            return Decision(path, "delete")
        return Decision(path, "add" if yours is None else "change", new)
    if yours is None:
        return Decision(path, "keep", note="you deleted it; it stays deleted, though the new one is different")
    if new is None:
        return Decision(path, "keep", note="no longer generated; it stays because you changed it")
    if yours.kind == "other":
        return Decision(path, "blocked", note=yours.data.decode(errors="replace"))
    return _both_changed(path, base or Entry(b""), yours, new, merge_text)


def _both_changed(path: str, base: Entry, yours: Entry, new: Entry, merge_text: TextMerge) -> Decision:
    sides = (base, yours, new)
    if any(side.kind != "file" or is_binary(side.data) for side in sides):
        return Decision(path, "beside", new, f"yours stays; the new one is {path}.new")
    merged = _merged(base.data, yours.data, new.data, merge_text)
    is_executable = new.is_executable if yours.is_executable == base.is_executable else yours.is_executable
    entry = Entry(merged.data, is_executable)
    if merged.has_conflict:
        return Decision(path, "conflict", entry)
    return Decision(path, "keep") if entry == yours else Decision(path, "merge", entry)


def _merged(base: bytes, yours: bytes, new: bytes, merge_text: TextMerge) -> Merged:
    """The texts may be equal where only the mode bit is not."""
    if new in (base, yours):
        return Merged(yours, has_conflict=False)
    return Merged(new, has_conflict=False) if yours == base else merge_text(base, yours, new)


def _renames(base: Tree, yours: Tree, new: Tree) -> dict[str, str]:
    """New name -> old name of files that you changed and the template moved without changing them."""
    gone = [path for path in base if path not in new and yours.get(path, base[path]) != base[path]]
    gone = [path for path in gone if yours[path].kind == "file"]
    fresh = [path for path in new if path not in base and path not in yours]
    pairs = [(there, here) for here in gone for there in fresh if base[here] == new[there]]
    heres, theres = ([pair[side] for pair in pairs] for side in (1, 0))
    return {there: here for there, here in pairs if heres.count(here) == 1 and theres.count(there) == 1}
