"""From the FIFO to a whole tar in a file, block by block as Go's archive/tar reads it.

Nothing is read ahead: bytes that belong to the next tar stay in the FIFO, and the runtime counts on that. It asks the
FIFO how much is unread (FIONREAD), and zero means that the worker has finished everything before.
"""

from __future__ import annotations

import os
import select
import tarfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

BLOCK = 512
_ZERO = bytes(BLOCK)
# io.Copy moves 32 KiB at a time.
_PIECE = 32 << 10
_HEADER_ONLY = frozenset(
    (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)
)
# pax headers and long names are a few hundred bytes; a broken size must not fill the memory.
_MAX_EXTENDED = 1 << 20


class StoppedError(Exception):
    """The worker is to end; whatever was being read or tried is given up."""


class TarError(Exception):
    """The stream is no tar, or was cut where none may end. Nothing of it is committed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a tar; its bytes stand at ``offset`` in the file that the tar was received into."""

    name: str
    offset: int
    size: int


class Stream(Protocol):
    """Bytes in order: at most ``size`` of them, nothing at the end of the stream."""

    def read(self, size: int) -> bytes:
        """Return at least one byte, or none at the end."""


class Fifo:
    """The reading end of the FIFO, opened once and kept, and the means to stop waiting for it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._is_opening = self._is_closed = False
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._stop_reader, self._stop_writer = os.pipe2(os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._stop_reader, select.POLLIN)

    def open(self) -> None:
        """Open for reading; returns when somebody has opened it for writing."""
        self._fd = self._open_blocking()
        self._poll.register(self._fd, select.POLLIN)

    def wait_for_writer(self) -> None:
        """Return when somebody opens the FIFO for writing, or has it open (v1.13.4:.../pipeline/common.go:27)."""
        os.close(self._open_blocking())

    def _open_blocking(self) -> int:
        self._is_opening = True
        try:
            if self._stopped.is_set():
                raise StoppedError
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        finally:
            self._is_opening = False
        if self._stopped.is_set():
            os.close(descriptor)
            raise StoppedError
        return descriptor

    def read(self, size: int) -> bytes:
        """At least one byte; none if no writer is left and everything was read."""
        self._poll.poll()
        if self._stopped.is_set():
            raise StoppedError
        return os.read(self._fd, size)

    def stop(self) -> None:
        """Make whatever waits here raise StoppedError, now and from now on. May be called from any thread."""
        with self._lock:
            self._stopped.set()
            if not self._is_closed:
                os.write(self._stop_writer, b".")
        # An open that waits for a writer ends when there is one, be it for an instant. It may be about to wait only.
        while self._is_opening:
            with suppress(OSError):
                os.close(os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            time.sleep(0.001)

    def close(self) -> None:
        """Give everything back; nobody may be waiting any more."""
        with self._lock:
            self._is_closed = True
            for descriptor in (self._fd, self._stop_reader, self._stop_writer):
                if descriptor >= 0:
                    os.close(descriptor)


def receive_tar(fifo: Fifo, file: BinaryIO) -> list[Entry]:
    """Wait for the next tar and copy it to ``file``; returns its entries.

    A tar ends with two zero blocks, or where the stream ends between two blocks of headers; zero blocks before it are
    skipped (v1.13.4:src/server/worker/pipeline/common.go:159, :214). Raises TarError for anything else.
    """
    while True:
        first = _first_block(fifo)
        if first is None:
            fifo.wait_for_writer()
            continue
        entries = list(_Tar(_Replay(first, fifo), file).entries())
        if entries:
            return entries


def _first_block(stream: Stream) -> bytes | None:
    """The first block that is not zero; None if the stream ends first.

    A piece of a block at the end counts as nothing: Go's io.CopyN reports it as a plain end of file (common.go:221).
    """
    while True:
        block = _read_full(stream, BLOCK)
        if len(block) < BLOCK:
            return None
        if block != _ZERO:
            return block


def _read_full(stream: Stream, size: int) -> bytes:
    """``size`` bytes, or as many as there are before the end."""
    data = bytearray()
    while len(data) < size:
        piece = stream.read(size - len(data))
        if not piece:
            break
        data += piece
    return bytes(data)


class _Replay:
    """A stream with a block that was read already put back in front."""

    def __init__(self, block: bytes, stream: Stream) -> None:
        self._block = block
        self._stream = stream

    def read(self, size: int) -> bytes:
        if self._block:
            piece, self._block = self._block[:size], self._block[size:]
            return piece
        return self._stream.read(size)


class _Tar:
    """One tar on its way from a stream to a file."""

    def __init__(self, stream: Stream, file: BinaryIO) -> None:
        self._stream = stream
        self._file = file

    def entries(self) -> list[Entry]:
        """Read to the tar's end; the bodies are in the file afterwards."""
        entries: list[Entry] = []
        extended: dict[str, str] = {}
        while True:
            header = self._header()
            if header is None:
                # Extended headers with nothing after them are an end like any other to Go (tar/reader.go, Next).
                self._file.flush()
                return entries
            if header.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
                extended.update(_pax_records(self._extended(header)))
            elif header.type == tarfile.GNUTYPE_LONGNAME:
                extended["path"] = _text(self._extended(header).rstrip(b"\0"))
            elif header.type == tarfile.GNUTYPE_LONGLINK:
                self._extended(header)
            elif header.type == tarfile.XGLTYPE:
                # Go hands a global header out as an entry, so it becomes an empty file of its name.
                self._extended(header)
                entries.append(Entry(header.name, self._file.tell(), 0))
            else:
                entries.append(self._entry(header, extended))
                extended = {}

    def _header(self) -> tarfile.TarInfo | None:
        """The next header; None at the tar's end."""
        block = _read_full(self._stream, BLOCK)
        if not block:
            return None
        if len(block) < BLOCK:
            raise TarError("the stream ended inside a header")
        if block == _ZERO:
            second = _read_full(self._stream, BLOCK)
            if len(second) == BLOCK and second != _ZERO:
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
        data = _read_full(self._stream, header.size)
        if len(data) < header.size:
            raise TarError("the stream ended inside an extended header")
        self._skip_padding(header.size)
        return data

    def _entry(self, header: tarfile.TarInfo, extended: dict[str, str]) -> Entry:
        name = extended.get("path", header.name)
        try:
            size = int(extended.get("size", header.size))
        except ValueError as error:
            raise TarError("a pax header gives no proper size") from error
        if header.type in _HEADER_ONLY:
            # Folders and links have no bytes; they become empty files, whatever they were.
            return Entry(name, self._file.tell(), 0)
        offset = self._file.tell()
        left = size
        while left:
            piece = self._stream.read(min(left, _PIECE))
            if not piece:
                raise TarError(f"the stream ended inside {name!r}, {left} of {size} bytes missing")
            self._file.write(piece)
            left -= len(piece)
        self._skip_padding(size)
        return Entry(name, offset, size)

    def _skip_padding(self, size: int) -> None:
        # A stream that ends here is taken for complete (tar/reader.go, tryReadFull).
        _read_full(self._stream, -size % BLOCK)


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
