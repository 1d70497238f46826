"""Three-way merge of one text, by lines: by git where there is one, else by merge3. Same marks, same meaning.

A conflict stands in the text as git writes it with ``--diff3``::

    <<<<<<< yours
    ||||||| base
    =======
    >>>>>>> new
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

MARKS = {"yours": b"<<<<<<<", "base": b"|||||||", "middle": b"=======", "new": b">>>>>>>"}
# The middle mark has no name, and is an underline in some texts: that one alone is no sign of a conflict.
_MARK = re.compile(rb"^(?:<<<<<<< yours|\|\|\|\|\|\|\| base|>>>>>>> new)\r?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Merged:
    """The merged text; with ``has_conflict`` it holds conflict marks."""

    data: bytes
    has_conflict: bool


TextMerge = Callable[[bytes, bytes, bytes], Merged]


def is_binary(data: bytes) -> bool:
    """Whether lines mean nothing here; git's rule: a NUL among the first 8,000 bytes."""
    return b"\0" in data[:8000]


def first_mark(data: bytes) -> int | None:
    """The line of the first conflict mark in the text, counted from 1; a mark that was left alone counts too."""
    found = _MARK.search(data)
    return data.count(b"\n", 0, found.start()) + 1 if found else None


def merge_text(base: bytes, yours: bytes, new: bytes) -> Merged:
    """Merge by lines. A file that you turned to CRLF as a whole stays CRLF, and that alone is no conflict."""
    if _is_crlf(yours) and not _is_crlf(base) and not _is_crlf(new):
        base, new = (text.replace(b"\n", b"\r\n") for text in (base, new))
    merge = with_git if shutil.which("git") else with_merge3
    return merge(base, yours, new)


def with_git(base: bytes, yours: bytes, new: bytes) -> Merged:
    """By ``git merge-file``, which needs no repository and here reads no configuration."""
    with tempfile.TemporaryDirectory(prefix="spoutgen-") as folder:
        for name, data in (("yours", yours), ("base", base), ("new", new)):
            Path(folder, name).write_bytes(data)
        sides = ["yours", "base", "new"]
        labels = [word for side in sides for word in ("-L", side)]
        command = ["git", "merge-file", "-p", "--diff3", *labels, *sides]
        unconfigured = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CEILING_DIRECTORIES": folder}
        done = subprocess.run(command, cwd=folder, env={**os.environ, **unconfigured}, capture_output=True, check=False)
    if done.returncode > 127:  # 0: clean; 1 to 127: that many conflicts; above: git failed
        raise OSError(done.returncode, f"git merge-file: {done.stderr.decode(errors='replace').strip()}")
    return Merged(done.stdout, done.returncode > 0)


def with_merge3(base: bytes, yours: bytes, new: bytes) -> Merged:
    """By merge3, the three-way merge of Bazaar and Breezy."""
    from merge3 import Merge3

    a, o, b = (_lines(text) for text in (yours, base, new))
    newline = b"\r\n" if _is_crlf(yours) else b"\n"
    regions = list(Merge3(o, a, b).merge_regions())
    pieces: list[bytes] = []
    for region in regions:
        if region[0] == "conflict":
            _, base_from, base_to, a_from, a_to, b_from, b_to = region
            sides = {"yours": a[a_from:a_to], "base": o[base_from:base_to], "new": b[b_from:b_to]}
            pieces += _conflict(sides, newline)
        else:
            lines = {"unchanged": o, "a": a, "same": a, "b": b}[region[0]]
            pieces += lines[region[1] : region[2]]
    return Merged(b"".join(pieces), any(region[0] == "conflict" for region in regions))


def _conflict(sides: dict[str, list[bytes]], newline: bytes) -> Iterator[bytes]:
    yield MARKS["yours"] + b" yours" + newline
    yield from _closed(sides["yours"], newline)
    yield MARKS["base"] + b" base" + newline
    yield from _closed(sides["base"], newline)
    yield MARKS["middle"] + newline
    yield from _closed(sides["new"], newline)
    yield MARKS["new"] + b" new" + newline


def _closed(lines: Iterable[bytes], newline: bytes) -> Iterator[bytes]:
    """The lines, the last one with a line break too: a mark must begin a line of its own."""
    for line in lines:
        yield line if line.endswith(b"\n") else line + newline


def _lines(text: bytes) -> list[bytes]:
    """Lines by LF alone: a lone CR is a character like any other, as it is for git."""
    return re.findall(rb"[^\n]*\n|[^\n]+", text)


def _is_crlf(text: bytes) -> bool:
    """Whether every line break of the text is CRLF, and there is one."""
    return b"\r\n" in text and text.count(b"\n") == text.count(b"\r\n")
