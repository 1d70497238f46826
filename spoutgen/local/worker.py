"""One pipeline's worker: does to a project what a worker of Pachyderm 1.x does to a spout.

A *run of the whole spout* has one scratch folder, one FIFO and one pull of the marker. In it the user code is started
again and again, and a reader takes tars from the FIFO one after another; it reads no tar before the one before it is
committed (v1.13.4:src/server/worker/pipeline/spout/spout.go:15, v1.9.12:src/server/worker/master.go:241).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spoutgen.errors import SpoutgenError
from spoutgen.local.backoff import Backoffs
from spoutgen.local.events import (
    Event,
    ReadingFailed,
    Restarting,
    Started,
    Stopped,
    TurnedAway,
    UserCodeExited,
)
from spoutgen.local.fifo import Fifo, StoppedError
from spoutgen.local.generations import Generation
from spoutgen.local.output import OpenCommits, OutdatedError, Output, TurnedAwayError
from spoutgen.local.pipelines import Pipeline
from spoutgen.local.refused import advice, reason
from spoutgen.local.scratch import scratch_folder
from spoutgen.local.store import Store
from spoutgen.local.streamed import StreamedTars
from spoutgen.local.tar import TarError
from spoutgen.local.usercode import Command, UserCode
from spoutgen.local.whole import WholeTars

# What `checkpoint` is called with, "before" and "after" each; "inside" too for "read" (after each piece taken from the
# FIFO), "marker put" and "put" (after each entry). A generation does not have all of them, nor in the same order.
STEPS = ("open", "temp file", "read", "start commit", "marker put", "put", "finish commit")
UPSTREAM = Backoffs()
# What ends a tar or a run of the spout without being a mistake of ours.
_TROUBLE = (SpoutgenError, TarError, OutdatedError, OSError)


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker works on. ``pfs`` is /pfs, ``temporary`` the container's folder for temporary files."""

    pipeline: Pipeline
    generation: Generation
    command: Command
    pfs: Path
    temporary: Path


class Worker:
    """Runs a spout until it is told to stop, in the thread that calls `run`."""

    def __init__(
        self,
        job: Job,
        open_store: Callable[[], Store],
        on_event: Callable[[Event], None],
        backoffs: Backoffs = UPSTREAM,
        checkpoint: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``on_event`` is called from several threads, and may call `stop`: then nothing more is read."""
        self._job = job
        self._open_store = open_store
        self._on_event = on_event
        self._backoffs = backoffs
        self._checkpoint = checkpoint
        self._stopped = threading.Event()
        self._fifos: set[Fifo] = set()
        self._lock = threading.Lock()
        self._open_commits = OpenCommits()
        self._is_over = threading.Event()
        self._crash: Exception | None = None

    def stop(self) -> None:
        """Let the worker end as soon as it has finished the step that it is at. May be called from any thread."""
        self._stopped.set()
        with self._lock:
            fifos = list(self._fifos)
        for fifo in fifos:
            fifo.wake()

    def run(self) -> None:
        """Run the spout, again and again, until `stop` is called."""
        waits = self._backoffs.spout.waits()
        while not self._stopped.is_set():
            try:
                self._run_spout()
            except StoppedError:
                break
            except _TROUBLE as error:
                why, hint = _in_words(error)
                delay = next(waits)
                self._on_event(Restarting(why, hint, delay))
                self._stopped.wait(delay)
        if self._crash is not None:
            raise self._crash
        self._on_event(Stopped())

    def _run_spout(self) -> None:
        job, spec = self._job, self._job.pipeline.spec
        with self._open_store() as store:
            if job.generation.deletes_open_commits:
                for commit in store.commits(spec.name, number=10):
                    if commit.finished is None:
                        store.delete_commit(spec.name, commit.id)
            with scratch_folder(job.pfs, store, spec.name, spec.marker) as has_marker:
                self._on_event(Started(has_marker))
                if job.generation.adds_readers:
                    self._run_with_many_readers()
                else:
                    self._run_with_one_reader(store)

    def _run_with_one_reader(self, store: Store) -> None:
        """The reader stands beside the user code, which is killed when reading fails (v1.11.0:spout.go:40-42)."""
        user_code = UserCode(self._job.command, self._backoffs.user_code, self._on_event)
        user_code.start()
        try:
            self._read(store, 1)
        finally:
            user_code.kill()

    def _run_with_many_readers(self) -> None:
        """Before each start of the user code there is one more reader, and none of them ever ends (v1.9.12:W9:969)."""
        readers: list[threading.Thread] = []

        def add_reader() -> None:
            number = len(readers) + 1
            readers.append(threading.Thread(target=self._read_beside_others, args=(number,), name=f"reader {number}"))
            readers[-1].start()

        user_code = UserCode(self._job.command, self._backoffs.user_code, self._take, add_reader)
        user_code.start()
        self._stopped.wait()
        user_code.kill()
        for reader in readers:
            reader.join()

    def _take(self, event: Event) -> None:
        if isinstance(event, UserCodeExited) and event.delay is None:
            self._is_over.set()
        self._on_event(event)

    def _read_beside_others(self, number: int) -> None:
        try:
            with self._open_store() as store:
                self._read(store, number)
        except StoppedError:
            pass
        except Exception as error:  # noqa: BLE001
            # It goes on in the thread that runs the worker.
            self._crash = error
            self.stop()

    def _read(self, store: Store, number: int) -> None:
        """Take tars from the FIFO until something ends the run of the spout, or for ever."""
        opens = self._job.generation.opens
        waits = self._backoffs.reader.waits()
        tars = self._tars(store)
        with self._fifo() as fifo:
            while True:
                try:
                    with fifo.opened():
                        # After a good end of the user code the commits of 1.9 and 1.10 fail: their context is over
                        # (v1.9.12:W9:79, :894).
                        if self._is_over.is_set():
                            return
                        tars.take(fifo)
                        while opens != "per tar":
                            fifo.check_stopped()
                            tars.take(fifo)
                except TurnedAwayError:
                    delay = next(waits)
                    self._on_event(TurnedAway(number, delay))
                    self._stopped.wait(delay)
                except _TROUBLE as error:
                    if opens == "once":
                        raise
                    delay = next(waits)
                    self._on_event(ReadingFailed(*_in_words(error), delay))
                    self._stopped.wait(delay)

    def _tars(self, store: Store) -> StreamedTars | WholeTars:
        job, report = self._job, self._on_event
        output = Output(store, job.pipeline, job.generation, self._open_commits, report, self._checkpoint)
        if job.generation.starts_commit == "after tar":
            return WholeTars(job.generation, output, job.temporary, self._backoffs.commit, self._stopped, report)
        return StreamedTars(job.generation, output, job.temporary)

    @contextmanager
    def _fifo(self) -> Iterator[Fifo]:
        fifo = Fifo(self._job.pfs / "out", self._stopped, self._checkpoint)
        with self._lock:
            self._fifos.add(fifo)
        try:
            yield fifo
        finally:
            with self._lock:
                self._fifos.discard(fifo)
            fifo.close()


def _in_words(error: Exception) -> tuple[str, str | None]:
    """An error's reason, and what to do about it if anything can be done."""
    if isinstance(error, SpoutgenError):
        return reason(error), advice(error)
    return str(error), None
