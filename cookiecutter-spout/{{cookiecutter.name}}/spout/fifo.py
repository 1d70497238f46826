"""The FIFO /pfs/out: the one way out of a 1.x spout.

Opened once, for reading *and* writing, and kept for life. As long as we hold it, a worker that closes and reopens it
(1.9.12 to 1.10.5 do so for every tar: v1.9.12:src/server/worker/master.go:880) neither breaks our pipe nor loses what
is in the buffer, and opening never blocks.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import stat
import sys
import termios
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from spout.fatal import FatalError

PATIENCE = 30.0  # seconds until a worker that does not read is reported
SETTLE = 0.5  # seconds without a byte being read, after which a worker does not read leftovers any more

_PIECE = 1 << 16  # small pieces are gathered up to about this much for one write
_BUFFER = 1 << 18  # what we ask the kernel to keep: a worker on another core gets twice what 64 KiB let through
_FIRST_PAUSE, _LONGEST_PAUSE = 50e-6, 20e-3


class Fifo:
    """The open FIFO.

    ``stalled(seconds)`` is called when the worker has not read anything for ``patience`` seconds, and again each time
    that the wait has doubled.
    """

    def __init__(self, path: Path, stalled: Callable[[float], None], patience: float = PATIENCE) -> None:
        self.path = Path(os.path.realpath(path))  # /pfs/out is a link into the worker's scratch folder
        self.thrown_away = throw_leftovers_away(self.path)
        self._fd = _open(self.path, os.O_RDWR)
        status = os.fstat(self._fd)
        self.identity = [status.st_dev, status.st_ino]
        self._stalled = stalled
        self._patience = patience
        self._room = select.poll()
        self._room.register(self._fd, select.POLLOUT)
        self.capacity = select.PIPE_BUF
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # beyond /proc/sys/fs/pipe-user-pages-soft: then 64 KiB must do
                fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, _BUFFER)
            self.capacity = fcntl.fcntl(self._fd, fcntl.F_GETPIPE_SZ)

    def write(self, pieces: Iterable[bytes]) -> None:
        """Write all of ``pieces``, waiting for the worker as long as it takes."""
        watch = _Watch(self._patience, self._stalled)
        for piece in _gathered(pieces):
            rest = memoryview(piece)
            while rest:
                try:
                    rest = rest[os.write(self._fd, rest) :]
                    watch.restart()
                except BlockingIOError:
                    self._room.poll(1000 * self._patience)
                    watch.check()

    def write_at_once(self, pieces: Iterable[bytes]) -> None:
        """Write all of ``pieces`` so that a SIGKILL leaves either all of them in the FIFO or nothing.

        That needs one call of ``write`` that finds room for everything: always so up to PIPE_BUF, and in an empty FIFO
        up to its capacity, since Linux looks at a signal only where it would have to wait. What is longer can be torn.
        """
        whole = b"".join(pieces)
        if select.PIPE_BUF < len(whole) <= self.capacity:
            self.wait_until_taken()
        self.write([whole])

    def wait_until_taken(self) -> None:
        """Wait until the worker has read every byte that was written."""
        watch = _Watch(self._patience, self._stalled)
        pause = _FIRST_PAUSE
        while self.unread():
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            watch.check()

    def unread(self) -> int:
        """How many bytes the worker has yet to read (FIONREAD)."""
        return _unread(self._fd)

    def close(self) -> None:
        """Close the FIFO: only the end of the process does."""
        os.close(self._fd)


def throw_leftovers_away(path: Path) -> int:
    """Empty the FIFO of what a process that died left in it, and say how many bytes that were.

    Whatever was whole is announced and written again. The rest of a torn tar must not be joined with our first one:
    1.12.1 and later can then be left with marker and data in one tar, which they try to commit in vain and for ever.

    So all this is done as a mere reader. With no writer about, a worker that is inside a torn tar comes to the end of
    the file and drops it. While it reads on it is let, however slowly. Once it does not, it is between two tars: busy
    with a commit, or, in 1.11.0 to 1.11.2, waiting for a writer (v1.11.0:src/server/worker/pipeline/common.go:95).
    """
    fd = _open(path, os.O_RDONLY)
    try:
        if _unread(fd):
            _wait_until_settled(fd)
        thrown_away = 0
        with contextlib.suppress(BlockingIOError):
            while leftovers := os.read(fd, _BUFFER):
                thrown_away += len(leftovers)
        if thrown_away:
            time.sleep(_LONGEST_PAUSE)  # a worker that began to read just now comes to the end, too
        return thrown_away
    finally:
        os.close(fd)


def _wait_until_settled(fd: int) -> None:
    left, since = _unread(fd), time.monotonic()
    while time.monotonic() - since < SETTLE:
        time.sleep(_LONGEST_PAUSE)
        if left != (left := _unread(fd)):
            since = time.monotonic()


def _unread(fd: int) -> int:
    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), sys.byteorder)


class _Watch:
    """Says when nothing has moved for ``patience`` seconds, and again each time that the wait has doubled."""

    def __init__(self, patience: float, stalled: Callable[[float], None]) -> None:
        self._patience = patience
        self._stalled = stalled
        self.restart()

    def restart(self) -> None:
        self._since = time.monotonic()
        self._next = self._patience

    def check(self) -> None:
        waited = time.monotonic() - self._since
        if waited >= self._next:
            self._stalled(waited)
            self._next *= 2


def _open(path: Path, access: int) -> int:
    try:
        fd = os.open(path, access | os.O_NONBLOCK)
    except OSError as error:
        raise FatalError(
            "pipe",
            found=f"{path}: {error.strerror}",
            expected="the FIFO that a Pachyderm 1.x worker makes for a spout",
            remedy="run as a spout pipeline of Pachyderm 1.x, as root (its folder is the worker's own)",
        ) from error
    if not stat.S_ISFIFO(os.fstat(fd).st_mode):
        os.close(fd)
        raise FatalError(
            "pipe",
            found=f"{path}, which is no FIFO",
            expected="the FIFO that a Pachyderm 1.x worker makes for a spout",
            remedy="pipeline.json must have a `spout` part and the cluster must be 1.x (`pachyderm: 1`)",
        )
    return fd


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in fewer pieces: small ones joined, large ones passed on without a copy."""
    small: list[bytes] = []
    size = 0
    for piece in pieces:
        if len(piece) < _PIECE:
            small.append(piece)
            size += len(piece)
        if small and (size >= _PIECE or len(piece) >= _PIECE):
            yield b"".join(small)
            small, size = [], 0
        if len(piece) >= _PIECE:
            yield piece
    if small:
        yield b"".join(small)
