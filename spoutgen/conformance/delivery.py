"""Was anything lost, or did anything come twice? The history of a spout that was killed, judged by its own rules.

The commits of the marker's branch are the announcements: "committed up to A, writing A to B". They must make one chain
from the beginning, and the files at its end must be those that its batches make: that is what a run without a kill
leaves behind, whatever closed its batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Announcement:
    """What one commit of the marker says."""

    committed: Any
    writing: Any


class BrokenChainError(Exception):
    """The announcement at ``index`` does not follow from those before it."""

    def __init__(self, index: int, found: Announcement, last: Announcement | None) -> None:
        super().__init__(index)
        self.index = index
        self.found = found
        self.last = last


def chain(announcements: Iterable[Announcement]) -> list[Announcement]:
    """The batches that count in the end, each beginning where the one before it ends; BrokenChainError for none.

    An announcement is said again after a death. One whose death came before its journal was written never was worth
    anything: then the one before it is said again, and what follows may end elsewhere.
    """
    batches: list[Announcement] = []
    for index, found in enumerate(announcements):
        last = batches[-1] if batches else None
        if found == last:
            continue
        if len(batches) > 1 and found == batches[-2]:
            batches.pop()
        elif len(batches) == 1 and found.committed is None:
            batches = [found]
        elif found.committed == (last.writing if last else None):
            batches.append(found)
        else:
            raise BrokenChainError(index, found, last)
    return batches


def commits(markers: Sequence[Announcement], *, has_begun: bool) -> list[Announcement]:
    """The same of 2.x, where each marker is in the commit of its batch; BrokenChainError for a marker that goes back.

    Such a marker says where its batch ends, and only that of a pyramid also where it begins. With ``has_begun`` the
    first one came without a batch: it says where the spout began.
    """
    batches: list[Announcement] = []
    start = markers[0].committed if has_begun and markers else None
    ends = [start]
    for index, found in enumerate(markers):
        end = found.committed if found.writing is None else found.writing
        if end == ends[-1]:
            continue
        if end in ends or (found.writing is not None and found.committed != ends[-1]):
            raise BrokenChainError(index, Announcement(found.committed, end), batches[-1] if batches else None)
        batches.append(Announcement(ends[-1], end))
        ends.append(end)
    return batches


Files = Mapping[str, tuple[int, str]]


def end_states(batches: Sequence[Sequence[tuple[str, int, str]]], *, is_atomic: bool = False) -> list[Files]:
    """The files, path to size and digest; unless marker and data are one commit, also without the last batch: the end
    may have cut it off."""
    before: dict[str, tuple[int, str]] = {}
    for batch in batches[:-1]:
        before |= _by_path(batch)
    whole = before | _by_path(batches[-1]) if batches else before
    return [whole] if is_atomic or not batches else [whole, before]


def _by_path(batch: Sequence[tuple[str, int, str]]) -> dict[str, tuple[int, str]]:
    return {path: (size, digest) for path, size, digest in batch}


def difference(found: Files, expected: Files) -> str | None:
    """The first difference in words; None if there is none."""
    missing = sorted(expected.keys() - found.keys())
    if missing:
        return f"{_files(missing)} missing, the first is {missing[0]}"
    extra = sorted(found.keys() - expected.keys())
    if extra:
        return f"{_files(extra)} too many, the first is {extra[0]}"
    other = sorted(path for path in expected if found[path] != expected[path])
    if other:
        size, wanted = found[other[0]][0], expected[other[0]][0]
        what = f"{size} bytes instead of {wanted}" if size != wanted else f"as long ({size} bytes), but other bytes"
        return f"{_files(other)} wrong, the first is {other[0]}: {what}"
    return None


def _files(paths: Sequence[str]) -> str:
    return "1 file is" if len(paths) == 1 else f"{len(paths)} files are"
