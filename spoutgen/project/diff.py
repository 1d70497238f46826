"""The difference of one file as a unified diff, as git writes it. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from spoutgen.project.textmerge import is_binary
from spoutgen.project.tree import Entry

_NO_NEWLINE = "\\ No newline at end of file"


def unified(path: str, old: Entry | None, new: Entry | None) -> Iterator[str]:
    """The lines of the diff, without line breaks; nothing where nothing differs."""
    if old == new:
        return
    yield f"diff --git a/{path} b/{path}"
    modes = [_mode(entry) if entry else None for entry in (old, new)]
    if modes[0] is None:
        yield f"new file mode {modes[1]}"
    elif modes[1] is None:
        yield f"deleted file mode {modes[0]}"
    elif modes[0] != modes[1]:
        yield from (f"old mode {modes[0]}", f"new mode {modes[1]}")
    names = [f"{side}/{path}" if mode else "/dev/null" for side, mode in zip("ab", modes, strict=True)]
    if any(entry and is_binary(entry.data) for entry in (old, new)):
        yield f"Binary files {names[0]} and {names[1]} differ"
        return
    for number, line in enumerate(difflib.unified_diff(_lines(old), _lines(new), names[0], names[1], lineterm="")):
        yield line.removesuffix("\n")
        if number > 1 and line[:1] in "+- " and not line.endswith("\n"):
            yield _NO_NEWLINE


def counts(old: Entry | None, new: Entry | None) -> tuple[int, int]:
    """How many lines are added and removed; none where lines mean nothing."""
    if any(entry and (is_binary(entry.data) or entry.kind != "file") for entry in (old, new)):
        return 0, 0
    body = list(difflib.unified_diff(_lines(old), _lines(new), lineterm="", n=0))[2:]
    return sum(line.startswith("+") for line in body), sum(line.startswith("-") for line in body)


def _mode(entry: Entry) -> str:
    if entry.kind == "link":
        return "120000"
    return "100755" if entry.is_executable else "100644"


def _lines(entry: Entry | None) -> list[str]:
    """Lines by line feed alone, as git and patch have them."""
    return re.findall(r"[^\n]*\n|[^\n]+", entry.data.decode(errors="replace")) if entry else []
