"""Files become the exact bytes of a tar: plain files only, nothing that depends on clock, user or machine.

Written by hand because every byte counts on the pipe, and the standard library's writer makes 38,000 entries a
second and pads a tar to 10,240 bytes: whatever follows the two zero blocks that end a tar is read as the beginning
of the next one (1.11.0 to 1.11.2 read zero blocks in pairs: an odd one breaks the next tar).

POSIX.1-1988 (ustar); a name that does not fit there gets a POSIX.1-2001 (pax) header before its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from spout.records import File

BLOCK = 512
END = bytes(2 * BLOCK)

_LARGEST = 8**11 - 1  # what eleven octal digits can say: 8 GiB less one byte
_OWNER = 2 * b"0000000\x00"  # uid and gid
_TIME = b"00000000000\x00"
_PAX_PATH = b"././@PaxHeader"


def archive(files: Iterable[File]) -> Iterator[bytes]:
    """The whole tar in pieces, each file's chunks as they are; ends in exactly two zero blocks."""
    yield from entries(files)
    yield END


def entries(files: Iterable[File]) -> Iterator[bytes]:
    """A tar without its end, to which more can be added."""
    for file in files:
        yield header(file.path, file.size)
        yield from file.chunks
        yield bytes(-file.size % BLOCK)


def header(path: str, size: int) -> bytes:
    """What stands before a file's bytes: one block, or three where the path or the size needs a pax header."""
    name = path.encode("ascii")
    if len(name) <= 100 and size <= _LARGEST:
        return _block(name, b"", size)
    if size <= _LARGEST and (split := _split(name)):
        return _block(split[1], split[0], size)
    return _pax(name, size)


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """``name`` as ustar's prefix (up to 155 bytes) and rest (up to 100), cut at the first slash that fits."""
    slash = name.find(b"/", len(name) - 101)
    if 0 < slash <= 155 and slash + 1 < len(name):
        return name[:slash], name[slash + 1 :]
    return None


def _pax(name: bytes, size: int) -> bytes:
    facts = b""
    if len(name) > 100:
        facts += _fact(b"path", name)
    if size > _LARGEST:
        facts += _fact(b"size", b"%d" % size)
    before = _block(_PAX_PATH, b"", len(facts), kind=b"x", mode=b"0000000\x00")
    return before + facts + bytes(-len(facts) % BLOCK) + _block(name[:100], b"", size if size <= _LARGEST else 0)


def _fact(key: bytes, value: bytes) -> bytes:
    """One pax record, ``length key=value``, whose length counts its own digits too."""
    rest = b" %s=%s\n" % (key, value)
    length = len(rest)
    while length != len(rest) + len(b"%d" % length):
        length = len(rest) + len(b"%d" % length)
    return b"%d%s" % (length, rest)


def _tail(kind: bytes, prefix: bytes) -> bytes:
    """Everything after the checksum: kind, link name, magic, owner's names, device numbers, prefix."""
    return b"%s%b%b%b%b%b" % (kind, bytes(100), b"ustar\x0000", bytes(80), prefix.ljust(155, b"\x00"), bytes(12))


_PLAIN = _tail(b"0", b"")
_PLAIN_SUM = sum(b"0000644\x00" + _OWNER + _TIME + b"        " + _PLAIN)


def _block(name: bytes, prefix: bytes, size: int, kind: bytes = b"0", mode: bytes = b"0000644\x00") -> bytes:
    """One header block. The checksum is the sum of its bytes with the checksum's own field taken as eight spaces."""
    length = b"%011o\x00" % size
    if not prefix and kind == b"0":
        checksum = _PLAIN_SUM + sum(name) + sum(length)
        return b"%b%b%b%b%b%06o\x00 %b" % (name.ljust(100, b"\x00"), mode, _OWNER, length, _TIME, checksum, _PLAIN)
    tail = _tail(kind, prefix)
    checksum = sum(name) + sum(mode + _OWNER + length + _TIME + b"        " + tail)
    return b"%b%b%b%b%b%06o\x00 %b" % (name.ljust(100, b"\x00"), mode, _OWNER, length, _TIME, checksum, tail)
