"""A queue in a file: whoever has something to say appends a line, and each whole line becomes a record.

The position after a record is the offset, in bytes, of the line that follows. It says all that is needed to go on, it
survives JSON, and the line before it never changes: so whatever was read can be read again, byte for byte.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any, BinaryIO

from spout.fatal import FatalError
from spout.records import Limit, Position, Record

_PAUSE = 0.05  # seconds until an end of the file is looked at again


class Source:
    """Options: ``path``, the file that others append to."""

    needs_ack = False

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Nothing is opened yet: ``open`` is tried again when it fails, this is not."""
        self._path = str(options["path"])
        self._file: BinaryIO | None = None
        self.identity = f"file:{self._path}"

    def open(self, position: Position | None) -> None:
        """Begin at that offset. A file that is not there yet is an error like any other: the runtime tries again."""
        self._file = open(self._path, "rb")  # noqa: PTH123, SIM115 (close() closes it)
        offset = position or 0
        if os.fstat(self._file.fileno()).st_size < offset:
            raise self._gone(offset)
        self._file.seek(offset)

    def read(self, limit: Limit, timeout: float) -> list[Record]:
        """Whole lines up to the limits; [] if none was there within ``timeout`` seconds."""
        gives_up_at = time.monotonic() + timeout
        while not (records := self._lines(limit)) and limit.until is None and time.monotonic() < gives_up_at:
            time.sleep(min(_PAUSE, max(0.0, gives_up_at - time.monotonic())))
        return records

    def ack(self, position: Position) -> None:
        """Nobody waits for it: the file keeps everything."""

    def close(self) -> None:
        """Close the file, if it was ever opened."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _lines(self, limit: Limit) -> list[Record]:
        assert self._file is not None
        records: list[Record] = []
        size = 0
        begin = self._file.tell()
        while len(records) < limit.records and size < limit.bytes and begin != limit.until:
            line = self._file.readline()
            if not line.endswith(b"\n"):
                if limit.until is not None:
                    raise self._gone(limit.until)
                self._file.seek(begin)  # the end of the file, or a line that is still being written
                break
            end = begin + len(line)
            # The name sorts as the records do, and follows from the position like everything else.
            records.append(Record(line[:-1], position=end, name=f"{begin:015}"))
            size += len(line) - 1
            begin = end
        return records

    def _gone(self, offset: int) -> FatalError:
        """Nothing mends this: the file was cut or replaced, so what the marker speaks of is not there any more."""
        return FatalError(
            "source",
            found=f"{self._path} without a line that ends at {offset}",
            expected="one, for so far it was read: nobody may cut or replace the file",
            remedy="put the file back, or give the new one another `source.identity`",
        )
