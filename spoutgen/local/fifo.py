"""The worker's end of the FIFO: opened and read, block by block, and never waited for longer than the worker runs.

Nothing is read ahead: bytes that belong to the next tar stay in the FIFO, and the runtime counts on that. It asks the
FIFO how much is unread (FIONREAD), and zero means that the worker has finished everything before.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class StoppedError(Exception):
    """The worker is to end; whatever was being read or tried is given up."""


class Fifo:
    """One reader of the FIFO at ``path``. Once ``stopped`` is set and `wake` was called, whatever waits here raises."""

    def __init__(
        self, path: Path, stopped: threading.Event, checkpoint: Callable[[str], None] = lambda _: None
    ) -> None:
        self._path = path
        self._stopped = stopped
        self._checkpoint = checkpoint
        self._fd = -1
        self._is_opening = self._is_closed = False
        self._lock = threading.Lock()
        self._wake_reader, self._wake_writer = os.pipe2(os.O_CLOEXEC)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Open it for reading, which waits until somebody has it open for writing; closed at the end."""
        self._checkpoint("before open")
        self._fd = self._open_blocking()
        self._checkpoint("after open")
        try:
            yield
        finally:
            os.close(self._fd)
            self._fd = -1

    def wait_for_writer(self) -> None:
        """Return when somebody opens the FIFO for writing, or has it open (v1.13.4:.../pipeline/common.go:26)."""
        os.close(self._open_blocking())

    def _open_blocking(self) -> int:
        self._is_opening = True
        try:
            self.check_stopped()
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        finally:
            self._is_opening = False
        if self._stopped.is_set():
            os.close(descriptor)
            raise StoppedError
        return descriptor

    def read(self, size: int) -> bytes:
        """At least one byte; none if no writer is left and everything was read."""
        poll = select.poll()
        for descriptor in (self._fd, self._wake_reader):
            poll.register(descriptor, select.POLLIN)
        poll.poll()
        self.check_stopped()
        data = os.read(self._fd, size)
        self._checkpoint("inside read")
        return data

    def check_stopped(self) -> None:
        """Raise StoppedError if the worker is to end."""
        if self._stopped.is_set():
            raise StoppedError

    def wake(self) -> None:
        """Make whatever waits here look whether it is to stop. May be called from any thread."""
        with self._lock:
            if not self._is_closed:
                os.write(self._wake_writer, b".")
        # An open that waits for a writer ends when there is one, be it for an instant. It may be about to wait only.
        while self._is_opening:
            with suppress(OSError):
                os.close(os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            time.sleep(0.001)

    def close(self) -> None:
        """Give everything back; nobody may be waiting any more."""
        with self._lock:
            self._is_closed = True
            os.close(self._wake_reader)
            os.close(self._wake_writer)
