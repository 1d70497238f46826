"""One pipeline's worker: does to a project what a worker of Pachyderm 1.x does to a spout.

A *run of the whole spout* has one scratch folder, one FIFO and one pull of the marker. In it the user code is started
again and again, and tars are committed one after another; no tar is read before the one before it is committed. It ends
when reading fails, and after a while the next begins (v1.13.4:src/server/worker/pipeline/spout/spout.go:15).
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from spoutgen.errors import SpoutgenError
from spoutgen.local import pipelines
from spoutgen.local.backoff import Backoffs
from spoutgen.local.events import (
    CommitFinished,
    Event,
    MarkerCommitted,
    Restarting,
    Started,
    Stopped,
    Wedged,
)
from spoutgen.local.generations import Generation
from spoutgen.local.model import Commit, Put
from spoutgen.local.paths import is_marker
from spoutgen.local.pipelines import MARKER_BRANCH, Pipeline
from spoutgen.local.receive import Entry, Fifo, StoppedError, TarError, receive_tar
from spoutgen.local.refused import RefusedError, advice, reason
from spoutgen.local.scratch import scratch_folder
from spoutgen.local.store import Store
from spoutgen.local.usercode import Command, UserCode

# What `checkpoint` is called with, "before" and "after" each, in this order for every tar.
STEPS = ("temp file", "read", "start commit", "marker put", "put", "finish commit")
UPSTREAM = Backoffs()
_PIECE = 1 << 20


class OutdatedError(Exception):
    """The pipeline was updated, and this worker belongs to the version before."""


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

    _store: Store

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
        self._spec = job.pipeline.spec
        self._open_store = open_store
        self._on_event = on_event
        self._backoffs = backoffs
        self._checkpoint = checkpoint
        self._stopped = threading.Event()
        self._fifo: Fifo | None = None

    def stop(self) -> None:
        """Let the worker end as soon as it has finished the step that it is at. May be called from any thread."""
        self._stopped.set()
        fifo = self._fifo
        if fifo is not None:
            fifo.stop()

    def run(self) -> None:
        """Run the spout, again and again, until `stop` is called."""
        waits = self._backoffs.spout.waits()
        with self._open_store() as self._store:
            while not self._stopped.is_set():
                try:
                    self._run_spout()
                except StoppedError:
                    break
                except SpoutgenError as error:
                    self._wait_to_restart(reason(error), advice(error), next(waits))
                except (TarError, OutdatedError, OSError) as error:
                    self._wait_to_restart(str(error), None, next(waits))
        self._on_event(Stopped())

    def _wait_to_restart(self, why: str, hint: str | None, delay: float) -> None:
        self._on_event(Restarting(why, hint, delay))
        self._stopped.wait(delay)

    def _run_spout(self) -> None:
        job, name = self._job, self._spec.name
        if job.generation.deletes_open_commits:
            for commit in self._store.commits(name, number=10):
                if commit.finished is None:
                    self._store.delete_commit(name, commit.id)
        with scratch_folder(job.pfs, self._store, name, self._spec.marker) as has_marker, self._opened_fifo() as fifo:
            self._on_event(Started(has_marker))
            user_code = UserCode(job.command, self._backoffs.user_code, self._on_event)
            user_code.start()
            try:
                fifo.open()
                while True:
                    self._receive(fifo)
            finally:
                user_code.kill()

    @contextmanager
    def _opened_fifo(self) -> Iterator[Fifo]:
        self._fifo = fifo = Fifo(self._job.pfs / "out")
        try:
            # Told to stop before there was a FIFO to stop.
            if self._stopped.is_set():
                raise StoppedError
            yield fifo
        finally:
            self._fifo = None
            fifo.close()

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        self._checkpoint(f"before {name}")
        yield
        self._checkpoint(f"after {name}")

    def _receive(self, fifo: Fifo) -> None:
        """Take one tar from the FIFO and commit it, however long that takes."""
        if self._stopped.is_set():
            raise StoppedError
        with self._temporary_file() as file:
            with self._step("read"):
                entries = receive_tar(fifo, file)
            self._commit_until_done(entries, file)

    @contextmanager
    def _temporary_file(self) -> Iterator[BinaryIO]:
        self._checkpoint("before temp file")
        self._job.temporary.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._job.temporary) as file:
            self._checkpoint("after temp file")
            yield file

    def _commit_until_done(self, entries: list[Entry], file: BinaryIO) -> None:
        """Try to commit a tar until it is done; without end if it can never be, as upstream (common.go:252)."""
        waits = self._backoffs.commit.waits()
        attempt = 0
        while True:
            try:
                marker, output = self._commit(entries, file)
                break
            except SpoutgenError as error:
                attempt += 1
                delay = next(waits)
                self._on_event(Wedged(reason(error), advice(error), attempt, delay))
                if self._stopped.wait(delay):
                    raise StoppedError from error
        if marker is not None:
            self._on_event(MarkerCommitted(marker))
        self._on_event(CommitFinished(output))

    def _commit(self, entries: list[Entry], file: BinaryIO) -> tuple[Commit | None, Commit]:
        """Commit a tar: one output commit, empty if all entries are the marker's; returns marker and output commit."""
        name = self._spec.name
        with self._step("start commit"):
            output = self._store.start_commit(name, self._spec.output_branch)
        has_marker = any(is_marker(entry.name, self._spec.marker) for entry in entries)
        try:
            with self._step("marker put" if has_marker else "put"):
                marker = self._store.put_files(name, self._puts(entries, file, output.id))
        except (SpoutgenError, OutdatedError):
            # Upstream does not look whether this works either (common.go:262).
            with suppress(SpoutgenError):
                self._store.delete_commit(name, output.id)
            raise
        # Where this fails the commit stays open, and no attempt after it can start one: the spout is wedged.
        with self._step("finish commit"):
            return marker, self._store.finish_commit(name, output.id)

    def _puts(self, entries: list[Entry], file: BinaryIO, commit: str) -> Iterator[Put]:
        for entry in entries:
            if is_marker(entry.name, self._spec.marker):
                self._check_is_current()
                yield Put(MARKER_BRANCH, entry.name, _bytes_of(entry, file), True)
            else:
                yield Put(commit, entry.name, _bytes_of(entry, file), self._spec.is_overwrite)

    def _check_is_current(self) -> None:
        """Raise OutdatedError if the pipeline has a newer version; one that was deleted passes (common.go:109)."""
        current = pipelines.find(self._store, self._spec.name)
        if current is not None and current.version > self._job.pipeline.version:
            raise OutdatedError("outdated spout, now shutting down")


def _bytes_of(entry: Entry, file: BinaryIO) -> Iterator[bytes]:
    position, end = entry.offset, entry.offset + entry.size
    while position < end:
        file.seek(position)
        data = file.read(min(_PIECE, end - position))
        if not data:
            raise RefusedError("the worker's temporary file ended too soon")
        yield data
        position += len(data)
