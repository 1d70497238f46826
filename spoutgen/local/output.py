"""The output repo as one reader of a worker writes to it: commits, data files, marker files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO

from spoutgen.errors import SpoutgenError
from spoutgen.local import pipelines
from spoutgen.local.events import CommitFinished, Event, MarkerCommitted
from spoutgen.local.generations import Generation
from spoutgen.local.model import Put
from spoutgen.local.paths import is_marker
from spoutgen.local.pipelines import Pipeline
from spoutgen.local.refused import RefusedError, UnfinishedParentError
from spoutgen.local.spec import MARKER_BRANCH
from spoutgen.local.store import Store

_PIECE = 1 << 20


class OutdatedError(Exception):
    """The pipeline was updated, and this worker belongs to the version before."""


class TurnedAwayError(Exception):
    """Another reader of this worker has a commit open, so this one could not start its own."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a tar; its bytes stand at ``offset`` in a file that they were received into."""

    name: str
    offset: int
    size: int


class OpenCommits:
    """The commits that the readers of one worker have open; before 1.11 there may be several readers."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._lock = threading.Lock()

    def start(self, store: Store, repo: str, branch: str) -> str:
        """Start a commit; TurnedAwayError if another reader has one open, UnfinishedParentError if nobody has."""
        with self._lock:
            try:
                id_ = store.start_commit(repo, branch).id
            except UnfinishedParentError as error:
                if error.commit in self._ids:
                    raise TurnedAwayError(str(error)) from error
                raise
            self._ids.add(id_)
            return id_

    def forget(self, id_: str) -> None:
        """The reader is done with it, whether it is finished or not."""
        with self._lock:
            self._ids.discard(id_)


class Output:
    """Writes for one reader of one worker; every step is announced to ``checkpoint``."""

    def __init__(
        self,
        store: Store,
        pipeline: Pipeline,
        generation: Generation,
        open_commits: OpenCommits,
        on_event: Callable[[Event], None],
        checkpoint: Callable[[str], None],
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._generation = generation
        self._repo = pipeline.name
        self._open_commits = open_commits
        self._on_event = on_event
        self._checkpoint = checkpoint

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Announce a step before and, unless it failed, after."""
        self._checkpoint(f"before {name}")
        yield
        self._checkpoint(f"after {name}")

    def start(self) -> str:
        """Start an output commit and return its id."""
        with self.step("start commit"):
            try:
                return self._open_commits.start(self._store, self._repo, self._pipeline.spec.output_branch)
            except UnfinishedParentError as error:
                raise UnfinishedParentError(self._repo, error.commit, self._what_to_do(error.commit)) from error

    def _what_to_do(self, commit: str) -> str:
        if self._generation.deletes_open_commits:
            return "that commit can never be finished; end this run and start the next, which deletes it"
        return (
            "a worker that is gone left that commit open, and workers before 1.11 never clean up: delete it by hand,"
            f" `spoutgen local delete commit {self._repo}@{commit}` (on a cluster: pachctl delete commit ...)"
        )

    def finish(self, commit: str) -> None:
        """Finish an output commit; where that is refused it stays open."""
        with self.step("finish commit"):
            try:
                finished = self._store.finish_commit(self._repo, commit)
            finally:
                self._open_commits.forget(commit)
        self._on_event(CommitFinished(finished))

    def delete(self, commit: str) -> None:
        """Delete an open output commit; upstream does not look whether this works either (v1.13.4:C:262)."""
        with suppress(SpoutgenError):
            self._store.delete_commit(self._repo, commit)
        self._open_commits.forget(commit)

    def put(self, entry: Entry, file: BinaryIO, commit: str) -> None:
        """Put one entry in a PutFile call of its own; a marker entry is a finished commit at once (v1.9.12:W9:932)."""
        self._put(self._requests([entry], file, commit), "marker put" if self._is_marker(entry) else "put")
        if self._is_marker(entry) and self._generation.copies_marker:
            # What the entry held was read by the put before; nothing is left for this one (v1.11.3:C:117).
            self._put([Put(commit, entry.name, [], False)], "put")

    def put_all(self, entries: list[Entry], file: BinaryIO, commit: str) -> None:
        """Put a whole tar in one PutFile stream (v1.13.4:C:87)."""
        self._put(self._requests(entries, file, commit), "marker put" if any(map(self._is_marker, entries)) else "put")

    def _put(self, puts: Iterable[Put], step: str) -> None:
        with self.step(step):
            marker = self._store.put_files(self._repo, self._noted(puts, step))
        if marker is not None:
            self._on_event(MarkerCommitted(marker))

    def _noted(self, puts: Iterable[Put], step: str) -> Iterator[Put]:
        for put in puts:
            yield put
            self._checkpoint(f"inside {step}")

    def _is_marker(self, entry: Entry) -> bool:
        return is_marker(entry.name, self._pipeline.spec.marker)

    def _requests(self, entries: list[Entry], file: BinaryIO, commit: str) -> Iterator[Put]:
        for entry in entries:
            if self._is_marker(entry):
                self._check_is_current()
                yield Put(MARKER_BRANCH, entry.name, _bytes_of(entry, file), True)
            else:
                yield Put(commit, entry.name, _bytes_of(entry, file), self._pipeline.spec.is_overwrite)

    def _check_is_current(self) -> None:
        """Raise OutdatedError if the pipeline has a newer version; one that was deleted passes (v1.13.4:C:110)."""
        current = pipelines.find(self._store, self._repo)
        if current is not None and current.version > self._pipeline.version:
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
