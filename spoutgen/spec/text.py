"""A text with a name and lines: turns character offsets into places that a person can find."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property

from spoutgen.errors import Place

# What editors count as the end of a line. YAML 1.1 knows three more; document.py refuses those.
_LINE_BREAK = re.compile(r"\r\n|\r|\n")


class Text:
    """The characters of one file, without a byte order mark, and the ``file`` name that findings show."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text

    @cached_property
    def _lines(self) -> tuple[list[int], list[int]]:
        """Where each line starts, and where it ends (before its line break)."""
        breaks = list(_LINE_BREAK.finditer(self.text))
        return [0, *(found.end() for found in breaks)], [*(found.start() for found in breaks), len(self.text)]

    def place(self, start: int, end: int) -> Place:
        """The place from offset ``start`` to offset ``end``, cut to the line that it starts on."""
        return next(self.places(start, end))

    def places(self, start: int, end: int) -> Iterator[Place]:
        """One place for each line that the characters from ``start`` to ``end`` stand on."""
        starts, ends = self._lines
        row = bisect_right(starts, start) - 1
        while True:
            column = max(0, start - starts[row])
            width = max(1, min(end, ends[row]) - starts[row] - column)
            yield Place(self.file, row + 1, column + 1, width, self.text[starts[row] : ends[row]])
            row += 1
            if row == len(starts) or starts[row] >= end:
                return
