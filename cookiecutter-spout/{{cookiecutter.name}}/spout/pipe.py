"""PipeSink: batches go through the FIFO so that in the end nothing is lost and nothing comes twice.

The worker never acknowledges anything. But no worker from 1.9.12 to 1.13.4 reads the next tar before it has finished
the commit of the last one; so once it has taken a tar from the FIFO, every tar before that one is committed. And it
commits marker and data apart (from 1.12.1 on one tar must not hold both: upstream issue 6679). Hence two tars a batch:

1. the *announcing* tar holds only the marker: "committed up to A, writing A to B";
2. wait until the worker has taken it: now the batch before this one is committed;
3. write the journal, for a process that is started again under the same FIFO;
4. acknowledge the batch before this one to the source;
5. the data tar holds A to B.

A death before 2 is as if the batch had not been read. A death after 2 finds the announcement in the journal or in the
marker, and the same range is written again to the same files. Without 1, a death between the two commits loses
the batch or repeats it elsewhere; without 2, the journal would run ahead of the commits.
"""

from __future__ import annotations

from collections.abc import Callable

from spout import output, tar
from spout.config import Config
from spout.fifo import Fifo
from spout.journal import Journal
from spout.marker import Announcement, Budget, Shape
from spout.records import Batch, File, Position


class PipeSink:
    """Writes batches to ``fifo``; each step is a method of its own, named for what it does."""

    def __init__(self, config: Config, fifo: Fifo, journal: Journal, shape: Shape, budget: Budget) -> None:
        self._config = config
        self._budget = budget
        self._fifo = fifo
        self._journal = journal
        self._shape = shape
        self._unacknowledged: Position | None = None  # the end of what was written last

    def begin(self, position: Position) -> None:
        """Announce that nothing is being written, and that the spout goes on at ``position``: a start, or further.

        Here the journal comes first: a process that dies before it could write it, with its announcement committed,
        would find neither (the marker is pulled once a pod) and choose another beginning. The source is told when the
        next tar was taken, or the barrier, as of a batch.
        """
        announcement = Announcement(position, None)
        self.write_journal(announcement)
        self.announce(announcement)
        self.wait_until_taken()
        self._unacknowledged = position

    def write(self, batch: Batch, committed: Callable[[Position], None]) -> None:
        """Announce ``batch``, learn that the one before is committed, write the batch."""
        files = output.files(batch, self._config.output, self._config.marker)  # refused before it is announced
        announcement = Announcement(batch.start, batch.end)
        self.announce(announcement)
        self.wait_until_taken()
        self.write_journal(announcement)
        self.acknowledge(committed)
        if files:
            self.write_data(files)
        self._unacknowledged = batch.end

    def flush(self, committed: Callable[[Position], None]) -> None:
        """The barrier, for an ack while nothing new comes: two zero blocks, which every worker reads and forgets.

        (1.9.12 to 1.10.5 make an empty commit of them.)
        """
        if self._unacknowledged is not None:
            self.write_barrier()
            self.wait_until_taken()
            self.write_journal(Announcement(self._unacknowledged, None))
            self.acknowledge(committed)

    def announce(self, announcement: Announcement) -> None:
        """Write the announcing tar: only the marker's files.

        The last one is what a restart is given. Workers up to 1.11.2 commit half a file when user code dies inside it
        (v1.9.12:src/client/pfs.go:988), and half a marker says nothing: so it goes into the FIFO whole or not at all.
        """
        *parts, marker = self._budget.checked(self._shape.files(announcement))
        if parts and announcement.committed is None:
            # A worker commits the files one by one, up to 1.12.0, and never starts again from a branch that has parts
            # but not the marker (v1.13.4:src/server/worker/driver/driver.go:566). So the first time it comes first too.
            self._fifo.write_at_once(tar.archive(self._shape.files(announcement)[-1:]))
        self._fifo.write(tar.entries(parts))
        self._fifo.write_at_once(tar.archive([marker]))

    def wait_until_taken(self) -> None:
        """Wait until the FIFO is empty: every tar but the last one is committed."""
        self._fifo.wait_until_taken()

    def write_journal(self, announcement: Announcement) -> None:
        """Note the announcement beside the FIFO."""
        self._journal.write(announcement)

    def acknowledge(self, committed: Callable[[Position], None]) -> None:
        """Tell the source that the batch before this one is committed."""
        if self._unacknowledged is not None:
            committed(self._unacknowledged)
            self._unacknowledged = None

    def write_data(self, files: list[File]) -> None:
        """Write the data tar."""
        self._fifo.write(tar.archive(files))

    def write_barrier(self) -> None:
        """Write the end of a tar that has no beginning."""
        self._fifo.write([tar.END])

    def close(self) -> None:
        """Close the FIFO."""
        self._fifo.close()
