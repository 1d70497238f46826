"""Bytes -> Text: what is UTF-8 and may stand in YAML; and from character offsets to places that a person can find."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property

from spoutgen.errors import Diagnostic, Place, SpecError

MOST_BYTES = 1 << 20
BYTE_ORDER_MARK = "\ufeff"

# NUL and other control characters, lone surrogates, a byte order mark inside the text; and U+0085, U+2028 and U+2029,
# which PyYAML takes for line breaks (YAML 1.1) and would fold away.
_UNREADABLE = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
SURROGATE = re.compile("[\ud800-\udfff]")
# What editors count as the end of a line. YAML 1.1 knows three more; they are refused.
_LINE_BREAK = re.compile(r"\r\n|\r|\n")


class Text:
    """The characters of one file, without a byte order mark, and the ``file`` name that findings show."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        # A line may have a megabyte and ten thousand findings, which share one copy of it.
        self._shown: dict[int, str] = {}

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
            if row not in self._shown:
                self._shown[row] = self.text[starts[row] : ends[row]]
            yield Place(self.file, row + 1, column + 1, width, self._shown[row])
            row += 1
            if row == len(starts) or starts[row] >= end:
                return


def decode(raw: bytes, file: str) -> str:
    """The text of a file's bytes, which must be UTF-8; a byte order mark stays at its beginning."""
    if len(raw) > MOST_BYTES:
        raise SpecError(too_large(file, len(raw)))
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise SpecError(_not_utf8(raw, file, error)) from error


def too_large(file: str, size: int) -> Diagnostic:
    """The finding about a file of too many bytes."""
    message = f"the file has {size:,} bytes; a spec has at most {MOST_BYTES:,}"
    return Diagnostic("SG102", message, Text(file, "").place(0, 0), "is this the right file?")


def refuse_unreadable(text: Text, *, is_yaml: bool = True) -> None:
    """Raise for characters that no text should hold, or that YAML or PyYAML does not carry as they are."""
    found = (_UNREADABLE if is_yaml else SURROGATE).search(text.text)
    if not found:
        return
    code = ord(found[0])
    place = text.place(found.start(), found.end())
    if code in (0x85, 0x2028, 0x2029):
        hint = f'inside double quotes write it as "\\u{code:04x}"'
    elif code == 0:
        hint = "is this a text file in UTF-8?"
    else:
        hint = f'remove it; inside double quotes it can be written as "\\u{code:04x}"'
    raise SpecError(Diagnostic("SG103", f"the character U+{code:04X} may not stand in a YAML text", place, hint))


def _not_utf8(raw: bytes, file: str, error: UnicodeDecodeError) -> Diagnostic:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        place = Text(file, "").place(0, 0)
        return Diagnostic("SG103", "the file is UTF-16, not UTF-8", place, "save it as UTF-8")
    before = raw[: error.start].decode()
    line = raw[error.start :].split(b"\n", 1)[0].decode(errors="replace")
    place = Text(file, before + line).place(len(before), len(before) + 1)
    message = f"byte 0x{raw[error.start]:02x} at offset {error.start} is not UTF-8"
    return Diagnostic("SG103", message, place, "save the file as UTF-8")


def with_pairs_joined(text: str) -> str:
    """The text with surrogate pairs, as JSON's escapes write them, made into the characters that they mean."""
    if not SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
