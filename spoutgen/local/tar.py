"""One tar from a stream, entry by entry, read exactly as far as Go's archive/tar reads it."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from typing import BinaryIO, Protocol

BLOCK = 512
ZERO = bytes(BLOCK)
# io.Copy moves 32 KiB at a time.
_PIECE = 32 << 10
_HEADER_ONLY = frozenset(
    (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)
)
# pax headers and long names are a few hundred bytes; a broken size must not fill the memory.
_MAX_EXTENDED = 1 << 20


class TarError(Exception):
    """The stream is no tar, or was cut where none may end."""


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before an entry's bytes. Folders and links have none: they become empty files of their name."""

    name: str
    size: int


class Stream(Protocol):
    """Bytes in order: at most ``size`` of them, nothing at the end of the stream."""

    def read(self, size: int) -> bytes:
        """Return at least one byte, or none at the end."""


class TarReader:
    """One tar; ``first`` is what was taken from the stream already. Call `next` and `copy` in turn."""

    def __init__(self, stream: Stream, first: bytes = b"") -> None:
        self._stream = stream
        self._first = first
        # What the entry before leaves to be skipped. Go too skips it only when it is asked for the next one.
        self._padding = 0
        self._header = Header("", 0)

    def next(self) -> Header | None:
        """The next entry; None at the tar's end: two zero blocks, or the stream's end between two blocks."""
        extended: dict[str, str] = {}
        # A stream that ends inside the padding is taken for complete (go1.13 archive/tar/reader.go, tryReadFull).
        while len(self._read(self._padding)) == self._padding:
            self._padding = 0
            header = self._next_block()
            if header is None:
                # Extended headers with nothing after them are an end like any other to Go.
                return None
            if header.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
                extended.update(_pax_records(self._extended(header)))
            elif header.type == tarfile.GNUTYPE_LONGNAME:
                extended["path"] = _text(self._extended(header).rstrip(b"\0"))
            elif header.type == tarfile.GNUTYPE_LONGLINK:
                self._extended(header)
            else:
                self._header = self._entry(header, extended)
                return self._header
        return None

    def copy(self, file: BinaryIO) -> None:
        """Copy the entry's bytes. Raises TarError if the stream ends first; the file then has those that came."""
        left = self._header.size
        while left:
            piece = self._stream.read(min(left, _PIECE))
            if not piece:
                name, size = self._header.name, self._header.size
                raise TarError(f"the stream ended inside {name!r}, {left} of {size} bytes missing")
            file.write(piece)
            left -= len(piece)

    def _entry(self, header: tarfile.TarInfo, extended: dict[str, str]) -> Header:
        if header.type == tarfile.XGLTYPE:
            # Go hands a global header out as an entry, so it becomes an empty file of its name.
            self._extended(header)
            return Header(header.name, 0)
        try:
            size = int(extended.get("size", header.size))
        except ValueError as error:
            raise TarError("a pax header gives no proper size") from error
        size = 0 if header.type in _HEADER_ONLY else size
        self._padding = -size % BLOCK
        return Header(extended.get("path", header.name), size)

    def _next_block(self) -> tarfile.TarInfo | None:
        """The next block, which must be a header; None at the tar's end."""
        block = self._read(BLOCK)
        if not block:
            return None
        if len(block) < BLOCK:
            raise TarError("the stream ended inside a header")
        if block == ZERO:
            second = self._read(BLOCK)
            if len(second) == BLOCK and second != ZERO:
                raise TarError("a single zero block stands inside the tar")
            if 0 < len(second) < BLOCK:
                raise TarError("the stream ended inside the closing zero blocks")
            return None
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (tarfile.HeaderError, ValueError) as error:
            raise TarError(f"not a tar header: {error}") from error
        if header.size < 0:
            raise TarError("not a tar header: negative size")
        if header.type == tarfile.GNUTYPE_SPARSE:
            raise TarError("sparse files are not supported here")
        return header

    def _extended(self, header: tarfile.TarInfo) -> bytes:
        if header.size > _MAX_EXTENDED:
            raise TarError("an extended header is too long")
        data = self._read(header.size)
        if len(data) < header.size:
            raise TarError("the stream ended inside an extended header")
        self._padding = -header.size % BLOCK
        return data

    def _read(self, size: int) -> bytes:
        """``size`` bytes, or as many as there are before the end."""
        first, self._first = self._first[:size], self._first[size:]
        return first + read_full(self._stream, size - len(first))


def read_full(stream: Stream, size: int) -> bytes:
    """``size`` bytes, or as many as there are before the end."""
    data = bytearray()
    while len(data) < size:
        piece = stream.read(size - len(data))
        if not piece:
            break
        data += piece
    return bytes(data)


def _pax_records(data: bytes) -> dict[str, str]:
    """The records of a pax header, each ``length key=value`` and a line break."""
    records: dict[str, str] = {}
    while data:
        length, space, _ = data.partition(b" ")
        if not space or not length.isdigit() or not len(length) < int(length) <= len(data):
            raise TarError("a pax header is damaged")
        record, data = data[len(length) + 1 : int(length)], data[int(length) :]
        key, equals, value = record.partition(b"=")
        if not equals or not value.endswith(b"\n"):
            raise TarError("a pax header is damaged")
        records[_text(key)] = _text(value[:-1])
    return records


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
