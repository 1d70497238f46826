"""One ``spoutgen run``: the worker in a thread of its own, its events in a queue, and when to end."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator
from typing import Protocol

from spoutgen.local.backoff import Backoffs
from spoutgen.local.database import machine_errors
from spoutgen.local.events import CommitFinished, Event, LogLine, Stopped
from spoutgen.local.home import Home
from spoutgen.local.logfile import LogFile
from spoutgen.local.pipelines import Pipeline
from spoutgen.local.store import Store
from spoutgen.local.worker import UPSTREAM, Job, Worker

_MOST_EVENTS = 10_000


class Runner(Protocol):
    """A worker, of 1.x or 2.x, as a session needs it."""

    def run(self) -> None:
        """Run the spout until `stop` is called; the last event is Stopped."""

    def stop(self) -> None:
        """Let it end. May be called from any thread, and before `run`."""


class Session:
    """Runs a spout until `stop` is called, ``commits`` changes are committed, or ``seconds`` are over."""

    def __init__(
        self,
        home: Home,
        job: Job | Pipeline,
        commits: int | None = None,
        seconds: float | None = None,
        backoffs: Backoffs = UPSTREAM,
        make: Callable[[Callable[[Event], None]], Runner] | None = None,
    ) -> None:
        """A 1.x worker on ``job``; or what ``make`` gives, with only the pipeline in the place of the job."""
        self._left = commits
        self._seconds = seconds
        self._is_over = False
        self._events: queue.SimpleQueue[Event | Exception | None] = queue.SimpleQueue()
        pipeline = job.pipeline if isinstance(job, Job) else job
        if isinstance(job, Job):
            self._worker: Runner = Worker(job, lambda: Store(home.store), self._take, backoffs)
        elif make is not None:
            self._worker = make(self._take)
        with machine_errors(home.log(pipeline.name)):
            self._log = LogFile(home.log(pipeline.name))
        # A daemon: a second Ctrl-C ends the process whatever the worker is at, and the kernel then ends the user code.
        self._thread = threading.Thread(target=self._work, name="worker", daemon=True)

    def request_stop(self) -> None:
        """Ask for the end; safe in a signal handler."""
        self._events.put(None)

    def run(self) -> Generator[Event, None, None]:
        """Start the worker and yield its events until it has ended. Raises what broke it, if anything did."""
        ends_at = None if self._seconds is None else time.monotonic() + self._seconds
        self._thread.start()
        try:
            while True:
                event = self._next(ends_at)
                if event is None:
                    ends_at = None
                    self._worker.stop()
                elif isinstance(event, Exception):
                    raise event
                else:
                    yield event
                    if isinstance(event, Stopped):
                        return
        finally:
            self._is_over = True
            self._worker.stop()
            self._thread.join()
            self._log.close()

    def _next(self, ends_at: float | None) -> Event | Exception | None:
        """The next event; None when it is time to end."""
        if ends_at is None:
            return self._events.get()
        left = ends_at - time.monotonic()
        try:
            # Without the first part, events that come without a pause would put the end off for ever.
            return None if left <= 0 else self._events.get(timeout=left)
        except queue.Empty:
            return None

    def _work(self) -> None:
        try:
            self._worker.run()
        except Exception as error:  # noqa: BLE001
            # It goes on in the thread that waits for events.
            self._events.put(error)

    def _take(self, event: Event) -> None:
        """Called by the worker where it happens, so that after the last commit asked for nothing more is taken."""
        if isinstance(event, CommitFinished) and event.commit.is_changed and self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self._worker.stop()
        if isinstance(event, LogLine):
            self._log.write(event.text)
        # Whoever shows the events may be held up, by a pager say; then the spout waits too, and no memory fills.
        while self._events.qsize() > _MOST_EVENTS and not self._is_over:
            time.sleep(0.05)
        self._events.put(event)
