"""The announced range, fetched whole before any of it is handed out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from spout.records import Limit, Position, Record
from spout.sources.kafka.client import Partition
from spout.sources.kafka.message import Fetched, described, name_of
from spout.sources.kafka.place import Place


class Replay:
    """The range from where ``places`` are to ``until``, partition by partition; what is gone from it is gone."""

    def __init__(self, places: Mapping[tuple[str, int], Place], until: Position) -> None:
        self.until = until
        self._places = places
        self._ends = {
            partition: until.get(place.partition.topic, {}).get(str(place.partition.number), place.next)
            for partition, place in places.items()
        }
        self._fetched = {partition: place.next for partition, place in places.items()}
        self._messages: dict[tuple[str, int], list[Fetched]] = {partition: [] for partition in places}
        self._given: Iterator[Fetched] | None = None
        self._next: Fetched | None = None
        self.is_empty = True

    def missing(self) -> dict[Partition, int]:
        """What is still to be fetched, and from where."""
        left = {}
        for key, place in self._places.items():
            at = max(self._fetched[key], place.next)  # a place that was lost has moved on
            if at < self._ends[key] and place.end < self._ends[key]:
                left[place.partition] = at
        return left

    def add(self, messages: Iterable[Fetched]) -> None:
        """Take what belongs to the range; the first message beyond it says that a partition has no more."""
        for message in messages:
            if message.error() is not None:
                continue
            key, offset = (message.topic(), message.partition()), message.offset()
            if offset >= self._fetched[key]:
                self._fetched[key] = offset + 1
                if offset < self._ends[key]:
                    self._messages[key].append(message)

    def hand_out(self, limit: Limit) -> list[Record]:
        """Records up to the limit, one partition after the other; then ``is_over``, or more next time."""
        if self._given is None:
            self._given = (message for found in self._messages.values() for message in found)
            self._next = next(self._given, None)
        records: list[Record] = []
        size = 0
        while self._next is not None and len(records) < limit.records and size < limit.bytes:
            message, self._next = self._next, next(self._given, None)
            place = self._places[message.topic(), message.partition()]
            place.next = message.offset() + 1
            data = message.value() or b""
            size += len(data)
            records.append(Record(data, None, name_of(message.offset()), place.group, partial(described, message)))
            self.is_empty = False
        return records

    @property
    def is_over(self) -> bool:
        """Whether all of it was handed out."""
        return self._given is not None and self._next is None
