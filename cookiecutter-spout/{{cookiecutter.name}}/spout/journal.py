"""The journal: the newest announcement, in a file beside the FIFO.

The worker starts a user process that died again, but does not pull the marker again: /pfs/<marker> still has what was
there when the worker itself started. So the newest announcement is kept here. It is worth something only as long
as the FIFO lives: a worker that starts anew makes a new FIFO and pulls the marker, and what the old FIFO held is gone.

Written to a second file and renamed, so a kill leaves the old one or the new one. No fsync: if the machine goes
down, the FIFO goes with it.
"""

from __future__ import annotations

import json
from pathlib import Path

from spout.fatal import FatalError
from spout.marker import Announcement

NAME = ".spout-journal.json"


class Journal:
    """The journal of the FIFO with this ``identity`` (device and inode), in ``folder``."""

    def __init__(self, folder: Path, identity: list[int]) -> None:
        self._path = folder / NAME
        self._new = folder / f"{NAME}.new"
        self._identity = identity

    def read(self) -> Announcement | None:
        """The newest announcement under this FIFO; None if there was none yet."""
        try:
            entry = json.loads(self._path.read_bytes())
            if entry["fifo"] != self._identity:
                return None
            return Announcement(entry["committed"], entry["writing"])
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            raise FatalError(
                "journal",
                found=f"{self._path} that cannot be read ({error!r})",
                expected="what this spout wrote there",
                remedy="delete the worker's pod: it starts anew from the marker",
            ) from error

    def write(self, announcement: Announcement) -> None:
        """Make ``announcement`` the newest one."""
        entry = {"fifo": self._identity, "committed": announcement.committed, "writing": announcement.writing}
        self._new.write_text(json.dumps(entry), encoding="ascii")
        self._new.replace(self._path)
