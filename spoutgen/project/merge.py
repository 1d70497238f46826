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

A file that the template renamed, as it was or with few changes, takes your edits along to its new name. A file gives
way to a folder of its name, and a folder to a file, where all that stands in the way is deleted by the same update.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import PurePosixPath
from typing import Literal

from spoutgen.project.textmerge import Merged, TextMerge, is_binary
from spoutgen.project.tree import BELOW_A_FILE, Entry, Tree

# A renamed file keeps at least this share of its lines; git takes a half for the same question.
ENOUGH_LIKENESS = 0.5

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
    decisions: dict[str, Decision] = {}
    for path in sorted({*base, *new}):
        if path in renamed:
            decisions[path] = _moved(path, renamed[path], base, yours, new, merge_text)
        elif path in renamed.values():
            decisions[path] = Decision(path, "delete")
        else:
            decisions[path] = _decide(path, base.get(path), yours.get(path), new.get(path), merge_text)
    deleted = {path for path, decision in decisions.items() if decision.action == "delete"}
    for path, decision in decisions.items():
        if decision.action == "blocked" and _gives_way(path, yours[path], deleted):
            decisions[path] = Decision(path, "add", new[path])
    return list(decisions.values())


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
    if yours.kind == "folder":
        return Decision(path, "blocked", note="a folder stands where a file has to be")
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


def _gives_way(path: str, yours: Entry, deleted: Collection[str]) -> bool:
    """Whether all that stands in the way of ``path`` is deleted by the same update."""
    if yours.kind == "folder":
        below = yours.data.decode(errors="surrogateescape").split("\0") if yours.data else []
        return all(f"{path}/{name}" in deleted for name in below)
    return yours == BELOW_A_FILE and any(str(parent) in deleted for parent in PurePosixPath(path).parents)


def _moved(path: str, old: str, base: Tree, yours: Tree, new: Tree, merge_text: TextMerge) -> Decision:
    """What becomes of the file that the template calls ``path`` now, and you changed when it was called ``old``."""
    decision = _decide(path, base[old], yours[old], new[path], merge_text)
    action: Action = "conflict" if decision.action == "conflict" else "add"
    return Decision(path, action, decision.entry or yours[old], f"renamed from {old}, with your edits")


def _renames(base: Tree, yours: Tree, new: Tree) -> dict[str, str]:
    """New name -> old name of files that you changed and the template moved; only where there is no doubt."""
    vanished = [path for path in base if path not in new]
    fresh = [path for path in new if path not in base and path not in yours]
    renamed = {}
    for here in vanished:
        mine = yours.get(here, base[here])
        if mine == base[here] or mine.kind != "file":
            continue
        there = _only_likeness(base[here], fresh, new)
        if there is None or _only_likeness(new[there], vanished, base) != here:
            continue
        if new[there] == base[here] or not is_binary(mine.data):
            renamed[there] = here
    return renamed


def _only_likeness(entry: Entry, paths: Collection[str], tree: Tree) -> str | None:
    """The one path of the tree whose file is as good as this one; None if there is none, or no single best one."""
    ranked = sorted(((_likeness(entry, tree[path]), path) for path in paths), reverse=True)[:2]
    if not ranked or ranked[0][0] < ENOUGH_LIKENESS or (len(ranked) > 1 and ranked[0][0] == ranked[1][0]):
        return None
    return ranked[0][1]


def _likeness(one: Entry, other: Entry) -> float:
    """From 0 to 1: how many of the lines are the same."""
    if one == other:
        return 1.0
    if one.kind != other.kind or is_binary(one.data) or is_binary(other.data):
        return 0.0
    lines = (one.data.splitlines(), other.data.splitlines())
    return min(SequenceMatcher(None, *lines, autojunk=False).ratio(), 0.999)
