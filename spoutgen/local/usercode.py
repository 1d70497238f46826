"""The user code: started, started again whenever it ends, and killed with the worker."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from spoutgen.local.backoff import Backoff
from spoutgen.local.environment import Secrets
from spoutgen.local.events import Event, LogLine, UserCodeExited, UserCodeStarted

# Longer lines are cut: a program that prints no line breaks must not fill the memory.
_MAX_LINE = 64 << 10
_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, and what it may and may not know."""

    arguments: Sequence[str]
    stdin: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    secrets: Secrets
    accepted_statuses: frozenset[int]


class UserCode:
    """One run of the user code with all its starts, in a thread of its own.

    It is run again after a failure or a signal with the same FIFO and the same, by then stale, marker file; after
    status 0 (or an accepted one) never (v1.13.4:src/server/worker/pipeline/common.go:49, .../driver/driver.go:782).
    """

    def __init__(
        self,
        command: Command,
        backoff: Backoff,
        on_event: Callable[[Event], None],
        before_start: Callable[[], None] = lambda: None,
    ) -> None:
        """``before_start`` is called before each start, in the thread of the user code."""
        self._command = command
        self._before_start = before_start
        self._backoff = backoff
        self._on_event = on_event
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._last_line = ""
        # The thread lives as long as the process: the kernel sends the death signal when the thread that forked ends.
        self._thread = threading.Thread(target=self._run, name="user code")

    def start(self) -> None:
        """Start it. Ends when `kill` is called."""
        self._thread.start()

    def kill(self) -> None:
        """Kill the process, as Pachyderm does: SIGKILL, itself only, without warning. Returns when it is gone."""
        with self._lock:
            self._over.set()
            if self._process is not None:
                self._process.kill()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        waits = self._backoff.waits()
        starts = 0
        while not self._over.is_set():
            starts += 1
            self._before_start()
            status, message = self._run_once()
            if self._over.is_set():
                return
            is_done = status == 0 or status in self._command.accepted_statuses
            delay = None if is_done else next(waits)
            self._on_event(UserCodeExited(status, message, starts, delay))
            if delay is None:
                return
            self._over.wait(delay)

    def _run_once(self) -> tuple[int | None, str]:
        """Run it to its end; returns the status (None: it could not be started) and its last words."""
        self._last_line = ""
        try:
            with self._lock:
                if self._over.is_set():
                    return None, ""
                self._process = process = self._spawn()
        except OSError as error:
            return None, f"{self._command.arguments[0]}: {error.strerror}"
        self._on_event(UserCodeStarted(process.pid))
        threads = [threading.Thread(target=self._relay, args=(process.stdout,), daemon=True, name="user code output")]
        if self._command.stdin:
            threads.append(
                threading.Thread(target=self._feed, args=(process.stdin,), daemon=True, name="user code input")
            )
        for thread in threads:
            thread.start()
        status = process.wait()
        # A child of the user code that keeps the output open holds up the worker too (driver.go:772, WaitIO).
        while threads[0].is_alive() and not self._over.is_set():
            threads[0].join(0.1)
        return status, self._last_line

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command.arguments,
            stdin=subprocess.PIPE if self._command.stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._command.folder,
            env=self._command.environment,
            start_new_session=True,
            # Safe beside threads: it calls two functions of libc that were loaded long before, and takes no lock.
            preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509
        )

    def _feed(self, stdin: IO[bytes]) -> None:
        with suppress(OSError), stdin:
            stdin.write(("\n".join(self._command.stdin) + "\n").encode())

    def _relay(self, output: IO[bytes]) -> None:
        """Report every line of the output, without the secrets, cut to a bearable length."""
        secrets = self._command.secrets
        # Enough beyond the cut that a secret that stands across it is found whole.
        limit = _MAX_LINE + 4 * secrets.longest
        with output:
            while line := output.readline(limit):
                text = secrets.masked(line.decode("utf-8", "replace").rstrip("\r\n"))
                if not line.endswith(b"\n") and len(line) == limit:
                    text = f"{text[:_MAX_LINE]} ... (cut)"
                    while line and not line.endswith(b"\n"):
                        line = output.readline(limit)
                if self._over.is_set():
                    # Nobody listens any more; a child that outlives the user code may still write.
                    continue
                self._last_line = text or self._last_line
                self._on_event(LogLine(text))


def _die_with(parent: int) -> Callable[[], None] | None:
    """What the child does before it becomes the user code: ask the kernel to be killed when we are gone.

    Without it a SIGKILL of ours would leave a spout that nobody knows of, writing to a FIFO that nobody reads.
    """
    if _prctl is None:
        return None

    def ask() -> None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return ask
