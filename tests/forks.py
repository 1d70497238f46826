"""Processes by fork instead of by exec, so that what they import is imported once; and what stands in for their Popen.

A story of kills starts hundreds of them, and each would spend ten times as long on imports as on its own work.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

Life = Callable[[Any], int]

_prctl = ctypes.CDLL(None).prctl


class Nursery:
    """The end of those who ask: one process at a time, each a fork of the one at the other end of ``sock``."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._news = sock.makefile("r")

    def start(self, order: Any, output: int) -> Forked:
        """A process that lives the life that ``order`` tells it to; what it prints goes to the file ``output``."""
        # Its length comes first: a message of a stream may come in pieces.
        text = json.dumps(order).encode()
        socket.send_fds(self._socket, [b"%08d" % len(text)], [output])
        self._socket.sendall(text)
        return Forked(self._socket, self._news)

    def close(self) -> None:
        """Let the other end go home."""
        self._news.close()
        self._socket.close()


class Forked:
    """As much of subprocess.Popen as is used of it."""

    stdin = None

    def __init__(self, sock: socket.socket, news: Any) -> None:
        self._socket = sock
        self._news = news
        self.stdout: Any = None
        self.returncode: int | None = None
        self.pid = int(news.readline())

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, itself only."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """The status, negative for a signal."""
        if self.returncode is None:
            if not select.select([self._socket], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            self.returncode = int(self._news.readline())
        return self.returncode

    def poll(self) -> int | None:
        """The status if it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self.returncode


def serve(sock: socket.socket, life: Life) -> None:
    """Fork whenever it is asked for, until nobody is at the other end. For a process that has one thread."""
    while True:
        length, fds, _, _ = socket.recv_fds(sock, 8, 1)
        if not length:
            return
        order = json.loads(sock.recv(int(length), socket.MSG_WAITALL))
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            sock.close()
            _die_with(parent)
            _live(life, order, fds[0])
        os.close(fds[0])
        sock.sendall(b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        sock.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


@contextmanager
def nursery_of(life: Life) -> Iterator[Nursery]:
    """A process of our own that forks others; it has what is imported now. For a process that has one thread."""
    ours, theirs = socket.socketpair()
    parent = os.getpid()
    if os.fork() == 0:
        ours.close()
        _die_with(parent)
        try:
            serve(theirs, life)
        finally:
            os._exit(0)
    theirs.close()
    nursery = Nursery(ours)
    try:
        yield nursery
    finally:
        nursery.close()


def _live(life: Life, order: Any, output: int) -> None:
    """Be a process that was just started: with its own output, no input, and an end."""
    status = 70
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, file in enumerate((nothing, output, output)):
            os.dup2(file, number)
        os.closerange(3, 256)
        status = life(order)
    finally:
        os._exit(status)


def _die_with(parent: int) -> None:
    """Ask the kernel for SIGKILL when the parent is gone."""
    _prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
