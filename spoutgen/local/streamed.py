"""Tars as they come, from the FIFO into a commit: how workers before 1.11.3 do it.

What came before an error is committed, so a tar that is cut leaves half of itself behind.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from spoutgen.errors import SpoutgenError
from spoutgen.local.fifo import Fifo, StoppedError
from spoutgen.local.generations import Generation
from spoutgen.local.output import Entry, Output
from spoutgen.local.tar import Header, TarError, TarReader


class StreamedTars:
    """Takes tars from a FIFO into ``output``, entry by entry."""

    def __init__(self, generation: Generation, output: Output, temporary: Path) -> None:
        self._generation = generation
        self._output = output
        self._temporary = temporary

    def take(self, fifo: Fifo) -> None:
        """Take one tar, or what comes of it; raises what ended it.

        The commit is finished even if there was an issue (v1.9.12:W9:903, v1.11.0:C:115). Only a worker that is stopped
        in order, which upstream knows nothing of, takes it back.
        """
        commit = self._output.start() if self._generation.starts_commit == "at open" else None
        try:
            tar = TarReader(fifo)
            while header := self._next(tar):
                # Started between the header and the bytes: where that fails the header is lost (v1.11.0:C:104).
                commit = commit or self._output.start()
                self._put(tar, header, commit)
            if self._generation.waits_for_writer:
                fifo.wait_for_writer()
        except StoppedError:
            if commit:
                self._output.delete(commit)
            raise
        except Exception:
            if commit:
                with suppress(SpoutgenError):
                    self._output.finish(commit)
            raise
        if commit:
            self._output.finish(commit)

    def _next(self, tar: TarReader) -> Header | None:
        with self._output.step("read"):
            return tar.next()

    def _put(self, tar: TarReader, header: Header, commit: str) -> None:
        """Put one entry, or as much of it as came: the stream to pachd ends, for pachd without an error, in any case.

        v1.9.12:src/client/pfs.go:988, v1.11.0:src/client/pfs.go:1018. The bytes wait in a file until all are there, so
        that a store is never held up by a slow spout.
        """
        cut: TarError | None = None
        self._temporary.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._temporary) as file:
            try:
                tar.copy(file)
            except TarError as error:
                cut = error
            self._output.put(Entry(header.name, 0, file.tell()), file, commit)
        if cut is not None:
            raise cut
