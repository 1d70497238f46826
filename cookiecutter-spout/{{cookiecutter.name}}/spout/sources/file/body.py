"""The bytes of one file, plain or gzip, at any offset; and its fingerprint.

What makes a file the one that it was is neither its name (rotation changes it) nor its inode alone (truncation keeps
it, compression changes it, a deleted file's is given to the next one): it is what stands in it, at the beginning and
right before the place up to which it was read.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
from typing import NamedTuple

from spout.sources.file.folder import Found

HEAD = 1024  # bytes from the beginning that are part of the fingerprint
TAIL = 256  # bytes right before the offset


class Place(NamedTuple):
    """A place in a file, and which file that is. JSON: an object with these keys."""

    device: int
    inode: int
    offset: int
    head: str
    tail: str


class MovedError(Exception):
    """Another file has this path by now."""


class Body:
    """An open file. It stays readable when its name is changed or taken away."""

    def __init__(self, found: Found) -> None:
        self._fd = os.open(found.path, os.O_RDONLY | os.O_CLOEXEC)
        self._gzip: gzip.GzipFile | None = None
        self._kept, self._kept_at = b"", 0
        status = os.fstat(self._fd)
        if (status.st_dev, status.st_ino) != found.key:
            self.close()
            raise MovedError(f"{found.path} was renamed")
        if found.is_gzip:
            self._file = os.fdopen(os.dup(self._fd), "rb")
            self._gzip = gzip.GzipFile(fileobj=self._file)

    @property
    def is_plain(self) -> bool:
        """Whether it can still change: what is compressed is whole."""
        return self._gzip is None

    def state(self) -> tuple[int, int]:
        """Its size on the disk, and when it was changed: as long as both are the same, so is what it holds."""
        status = os.fstat(self._fd)
        return status.st_size, status.st_mtime_ns

    def read_at(self, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset`` on (uncompressed); less only where the file ends."""
        if self._gzip is None:
            return os.pread(self._fd, size, offset)
        # Backward a gzip file begins anew; the next read begins where the last whole line of this one ended.
        kept = b""
        if self._kept_at <= offset < self._kept_at + len(self._kept):
            kept = self._kept[offset - self._kept_at :][:size]
        if len(kept) < size:
            self._gzip.seek(offset + len(kept))
            kept += self._gzip.read(size - len(kept))
            self._kept, self._kept_at = kept, offset
        return kept

    def ends_at(self, offset: int) -> bool:
        """Whether nothing comes after ``offset``."""
        if self._gzip is None:
            return os.fstat(self._fd).st_size <= offset
        # A gzip file ends with the size of what it holds, modulo 2**32 (RFC 1952): no need to unpack all of it.
        end = os.pread(self._fd, 4, max(0, os.fstat(self._fd).st_size - 4))
        if len(end) == 4 and struct.unpack("<I", end)[0] == offset % (1 << 32):
            return True
        return not self.read_at(offset, 1)

    def size(self) -> int:
        """How many bytes it holds, uncompressed; a gzip file is unpacked for it."""
        if self._gzip is None:
            return os.fstat(self._fd).st_size
        self._gzip.seek(0)
        self._kept = b""
        size = 0
        while data := self._gzip.read(1 << 18):
            size += len(data)
        return size

    def close(self) -> None:
        """Close it."""
        if self._gzip is not None:
            self._gzip.close()
            self._file.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def digest(data: bytes) -> str:
    """A fingerprint of a few bytes."""
    return hashlib.sha256(data).hexdigest()[:16]


def is_same(body: Body, place: Place, *, may_be_short: bool) -> bool:
    """Whether ``body`` is the file of ``place``, by what stands in it.

    A rotated one may be shorter, if a whole kibibyte says that it is the one: a copy that was made (``copytruncate``)
    before the last lines came; all of it was read then.
    """
    head = min(HEAD, place.offset)
    if not place.offset or digest(body.read_at(0, head)) != place.head:
        return False
    begin = max(0, place.offset - TAIL)
    if not body.is_plain and body.ends_at(place.offset):
        return True
    tail = body.read_at(begin, place.offset - begin)
    if len(tail) < place.offset - begin:
        return may_be_short and head == HEAD
    return digest(tail) == place.tail


def is_copy(body: Body, other: Body) -> bool:
    """Whether one of the two holds the beginning of the other: then it is a copy, maybe one that is being made."""
    common = min(body.size(), other.size())
    begin = max(0, common - TAIL)
    spans = ((0, min(HEAD, common)), (begin, common - begin))
    return common > 0 and all(body.read_at(*span) == other.read_at(*span) for span in spans)
