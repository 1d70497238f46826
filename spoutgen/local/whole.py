"""Whole tars, first into a temporary file, then into a commit until that works: how workers from 1.11.3 on do it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event as Flag
from typing import BinaryIO

from spoutgen.errors import SpoutgenError
from spoutgen.local.backoff import Backoff
from spoutgen.local.events import Event, Wedged
from spoutgen.local.fifo import Fifo, StoppedError
from spoutgen.local.generations import Generation
from spoutgen.local.output import Entry, OutdatedError, Output
from spoutgen.local.refused import advice, reason
from spoutgen.local.tar import BLOCK, ZERO, Stream, TarReader, read_full


class WholeTars:
    """Takes tars from a FIFO into ``output``, each in one piece."""

    def __init__(
        self,
        generation: Generation,
        output: Output,
        temporary: Path,
        backoff: Backoff,
        stopped: Flag,
        on_event: Callable[[Event], None],
    ) -> None:
        """``temporary`` is the folder for temporary files; ``backoff`` is between attempts to commit."""
        self._generation = generation
        self._output = output
        self._temporary = temporary
        self._backoff = backoff
        self._stopped = stopped
        self._on_event = on_event

    def take(self, fifo: Fifo) -> None:
        """Take one tar and commit it, however long that takes. Raises TarError, and commits nothing, if it is torn."""
        with self._temporary_file() as file:
            with self._output.step("read"):
                entries = receive_tar(fifo, file)
            self._until_done(lambda: self._commit(entries, file))

    @contextmanager
    def _temporary_file(self) -> Iterator[BinaryIO]:
        with self._output.step("temp file"):
            self._temporary.mkdir(parents=True, exist_ok=True)
            file = tempfile.TemporaryFile(dir=self._temporary)  # noqa: SIM115
        with file:
            yield file

    def _until_done(self, attempt: Callable[[], None]) -> None:
        """Try until it is done; without end if it never can be, as upstream (v1.13.4:C:252, v1.11.3:C:277)."""
        waits = self._backoff.waits()
        number = 0
        while True:
            try:
                return attempt()
            except SpoutgenError as error:
                number += 1
                delay = next(waits)
                self._on_event(Wedged(reason(error), advice(error), number, delay))
                if self._stopped.wait(delay):
                    raise StoppedError from error

    def _commit(self, entries: list[Entry], file: BinaryIO) -> None:
        """Commit a tar: one output commit, empty if all entries are the marker's."""
        commit = self._output.start()
        try:
            if self._generation.calls_put_file == "for each file":
                self._put_each(entries, file, commit)
            else:
                self._output.put_all(entries, file, commit)
        except (SpoutgenError, OutdatedError, StoppedError):
            self._output.delete(commit)
            raise
        # Where this fails the commit stays open, and no attempt after it can start one: the spout is wedged.
        self._output.finish(commit)

    def _put_each(self, entries: list[Entry], file: BinaryIO, commit: str) -> None:
        for entry in entries:
            self._until_done(partial(self._output.put, entry, file, commit))


def receive_tar(fifo: Fifo, file: BinaryIO) -> list[Entry]:
    """Wait for the next tar and copy its bytes to ``file``; returns its entries.

    Zero blocks before it are skipped (v1.13.4:C:160, :215). Raises TarError if it is cut anywhere but between entries.
    """
    while True:
        first = _first_block(fifo)
        if first is None:
            fifo.wait_for_writer()
            continue
        entries = list(_entries(TarReader(fifo, first), file))
        file.flush()
        if entries:
            return entries


def _entries(tar: TarReader, file: BinaryIO) -> Iterator[Entry]:
    while header := tar.next():
        offset = file.tell()
        tar.copy(file)
        yield Entry(header.name, offset, header.size)


def _first_block(stream: Stream) -> bytes | None:
    """The first block that is not zero; None if the stream ends first.

    A piece of a block at the end counts as nothing: Go's io.CopyN reports it as a plain end of file (v1.13.4:C:219).
    """
    while True:
        block = read_full(stream, BLOCK)
        if len(block) < BLOCK:
            return None
        if block != ZERO:
            return block
