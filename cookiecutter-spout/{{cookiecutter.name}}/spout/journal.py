"""The journal: the newest announcement, in two files beside the FIFO.

The worker starts a user process that died again, but does not pull the marker again: /pfs/<marker> still has what was
there when the worker itself started. So the newest announcement is kept here. It is worth something only as long
as the FIFO lives: a worker that starts anew makes a new FIFO and pulls the marker, and what the old FIFO held is gone.

The two files are written in turn, each entry with a checksum and a number one higher than the last: a kill inside a
write leaves the entry before it. (A new file renamed over the old one would do as well, but ext4 then waits for the
disk: 0.2 to 1 ms a batch, measured, against 2 us.) No fsync: if the machine goes down, the FIFO goes with it.
"""

from __future__ import annotations

import errno
import json
import os
import zlib
from pathlib import Path
from typing import Any

from spout.fatal import FatalError
from spout.marker import Announcement

NAMES = (".spout-journal-0", ".spout-journal-1")


class Journal:
    """The journal of the FIFO with this ``identity`` (device and inode), in ``folder``."""

    def __init__(self, folder: Path, identity: list[int]) -> None:
        self._paths = [folder / name for name in NAMES]
        self._identity = identity
        self._number = 0  # of the newest entry

    def read(self) -> Announcement | None:
        """The newest announcement under this FIFO; None if there was none yet."""
        texts = [path.read_bytes() for path in self._paths if path.exists()]
        entries = [entry for text in texts if (entry := _entry(text))]
        if len(texts) == 2 and not entries:
            raise FatalError(
                "journal",
                found=f"{self._paths[0]} and {self._paths[1].name} that both cannot be read",
                expected="what this spout wrote there",
                remedy="delete the worker's pod: it starts anew from the marker",
            )
        newest = max(entries, key=lambda entry: int(entry["number"]), default=None)
        if newest is None or newest["fifo"] != self._identity:
            return None
        self._number = newest["number"]
        return Announcement(newest["committed"], newest["writing"])

    def write(self, announcement: Announcement) -> None:
        """Make ``announcement`` the newest one."""
        self._number += 1
        place = {"number": self._number, "fifo": self._identity}
        body = json.dumps({**place, "committed": announcement.committed, "writing": announcement.writing}).encode()
        line = b"%08x %b\n" % (zlib.crc32(body), body)
        path = self._paths[self._number % 2]
        fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)  # and not cut short: ext4 would wait for that, too
        try:
            if os.write(fd, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        finally:
            os.close(fd)


def _entry(text: bytes) -> dict[str, Any] | None:
    """The entry in a file, whose first line it is (a longer one may have stood there before); None if it is torn."""
    checksum, _, body = text.partition(b"\n")[0].partition(b" ")
    if checksum != b"%08x" % zlib.crc32(body):
        return None
    entry: dict[str, Any] = json.loads(body)
    return entry
