"""Where one partition is read."""

from __future__ import annotations

from spout.sources.kafka.client import Partition


class Place:
    """``next`` is the offset to go on at, ``end`` the newest one that is known to have been the partition's end.

    ``group`` is what all its records share: one object, by which they are told apart quickly.
    """

    __slots__ = ("end", "group", "next", "partition")

    def __init__(self, partition: Partition, at: int) -> None:
        self.partition = partition
        self.group = {"topic": partition.topic, "partition": str(partition.number)}
        self.next = at
        self.end = -1
