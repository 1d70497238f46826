"""What becomes of each record before it is written. This file is yours: spoutgen wrote it once and leaves it alone.

``transform`` must be a function of the record alone: a batch that was interrupted is read and written again, and has to
become the same files. So no clock, no chance, no counter, no look at anything that changes.

What raises is met as ``output.on_error`` in spout.yaml says: fail, skip or dead_letter.
"""

from __future__ import annotations

from spout.records import Record


def transform(record: Record) -> Record | list[Record] | None:
    """The record as it is to be written; several, in a list; or None, to leave it out.

    ``record.data`` are its bytes, ``record.about()`` is what else is known of it: where it comes from, its key and
    time, say. ``record._replace(data=...)`` is the record with other bytes.
    """
    return record
