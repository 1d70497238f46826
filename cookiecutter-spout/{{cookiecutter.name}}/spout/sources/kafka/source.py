"""Topics, read from the offsets of the marker: ``{topic: {partition: offset of the next record}}``.

Each partition is a stream of its own; across them there is no order. A marker that knows a partition says where to go
on, and one that it does not know is read from its first record: it was made later.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import accumulate, repeat
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from spout.config import Config
from spout.fatal import FatalError, brief
from spout.marker import PartitionShape, Shape
from spout.records import Lag, Limit, Position, Record, UnrepeatableError
from spout.sources.kafka.client import EARLIEST, LATEST, Client, Partition
from spout.sources.kafka.message import Fetched, described, message_time
from spout.sources.kafka.place import Place
from spout.sources.kafka.replay import Replay

Warn = Callable[..., None]
Message: Any = confluent_kafka.Message
_CHUNK = 2 << 20  # bytes, about, that are taken from librdkafka at once
_MOST = 10_000  # records, likewise
_MOVES_EVERY = 600.0  # seconds between two markers that only say that no record came


class KafkaSource:
    """Options: those of schemas/sources/kafka.json."""

    def __init__(self, options: Mapping[str, Any], warn: Warn) -> None:
        self.identity = identity(options)
        self.needs_ack = bool(options.get("group"))
        self._options = options
        self._warn = warn
        self._pattern = re.compile(options["pattern"]) if options.get("pattern") else None
        self._client: Client | None = None
        self._places: dict[tuple[str, int], Place] = {}
        self._groups: dict[tuple[str, int], Mapping[str, str]] = {}
        self._rest: dict[str, dict[str, int]] = {}  # of topics that are not read now: kept, should they come back
        self._kept: list[Fetched] = []
        self._size = 1 << 14  # bytes, about, of a record
        self._looks_at = 0.0
        self._newest_time = 0.0
        self._moves_at = time.monotonic() + _MOVES_EVERY
        self._replay: Replay | None = None
        self._acked: dict[Partition, int] = {}

    def open(self, position: Position | None) -> Position | None:
        """Go on at ``position``; None: begin where `start` says, and return where that is."""
        self._client = Client(self._options)
        self._places, self._rest, self._acked, self._replay = {}, {}, {}, None
        found = self._partitions()
        known = position or {}
        self._rest = {topic: dict(places) for topic, places in known.items()}
        new = []
        for partition in found:
            at = self._rest.get(partition.topic, {}).pop(str(partition.number), None)
            if at is None:
                new.append(partition)
            else:
                self._add(partition, at)
        self._check_gone({partition.topic for partition in found})
        self._rest = {topic: places for topic, places in self._rest.items() if places}
        for partition, at in (self._starts(new) if position is None else self._client.offsets(new, EARLIEST)).items():
            self._add(partition, at)
        self._assign()
        self._looks_at = time.monotonic() + self._options["refresh"]
        return self._position() if position is None else None

    def read(self, limit: Limit, timeout: float) -> list[Record]:
        """The next records of whatever partition; a replay reads each partition up to the offset of ``until``."""
        if limit.until is not None:
            return self._read_again(limit, timeout)
        if time.monotonic() >= self._looks_at:
            self._look_for_partitions()
        messages, self._kept = self._kept, []
        if not messages:
            messages = self._connected().take(self._at_once(limit.records, limit.bytes), timeout)
        records = self._records(messages, limit)
        if records:
            records[-1] = records[-1]._replace(position=self._position())
        return records

    def ack(self, position: Position) -> None:
        """Write the group's offsets, if it was asked for: for tools that show lag, nobody reads them here."""
        if self.needs_ack and self._client is not None:
            places = {
                Partition(topic, int(number)): at for topic, found in position.items() for number, at in found.items()
            }
            moved = {partition: at for partition, at in places.items() if self._acked.get(partition) != at}
            if moved:
                self._client.commit(moved, lambda why: self._warn("group_offsets_failed", error=brief(why, 300)))
                self._acked = places

    def lag(self) -> Lag | None:
        """How many offsets are left, by what the brokers said last; the age of the newest record that was read."""
        if self._client is None:
            return None
        left = 0
        for place in self._places.values():
            newest = self._client.newest(place.partition)
            if newest is None:
                return None
            left += max(0, newest - (place.next if self._kept else max(place.next, place.end)))
        age = max(0.0, time.time() - self._newest_time) if self._newest_time else None
        return Lag(left, age if left else 0.0)

    def moved(self) -> Position | None:
        """The ends of the partitions, where those lie beyond the last record: ends of transactions, and aborted ones.

        Retention takes them as it takes records; a marker before them would then look like a lost one.
        """
        ahead = [place for place in self._places.values() if place.end > place.next]
        if not ahead or self._kept or self._replay is not None or time.monotonic() < self._moves_at:
            return None
        self._moves_at = time.monotonic() + _MOVES_EVERY
        for place in ahead:
            place.next = place.end
        return self._position()

    def close(self) -> None:
        """Let go of the cluster."""
        client, self._client = self._client, None
        self._kept, self._replay = [], None
        if client is not None:
            client.close()

    def seen(self, seconds: float) -> list[tuple[str, str]]:
        """What is there, topic by topic, for people; FatalError if the cluster does not have where it was opened.

        Only an attempt to read tells that for certain, so that is done, for at most so many ``seconds``.
        """
        client, deadline = self._connected(), time.monotonic() + seconds
        partitions = [place.partition for place in self._places.values()]
        first = client.offsets(partitions, EARLIEST)

        def is_sure(place: Place) -> bool:
            newest = client.newest(place.partition)
            return newest is not None and first[place.partition] <= place.next <= newest

        while not all(map(is_sure, self._places.values())) and time.monotonic() < deadline:
            for message in client.take(100, 0.2):
                if message.error() is not None:
                    self._met(message)
        rows = []
        for topic in sorted({partition.topic for partition in partitions}):
            mine = [partition for partition in partitions if partition.topic == topic]
            newest = "/".join("?" if (at := client.newest(each)) is None else str(at) for each in mine)
            oldest = "/".join(str(first[each]) for each in mine)
            plural = "" if len(mine) == 1 else "s"
            rows.append(
                (f"topic {topic}", brief(f"{len(mine)} partition{plural}, oldest {oldest}, newest {newest}", 200))
            )
        lag = self.lag()
        return [*rows, ("lag", "not known" if lag is None else f"{lag.records} records")]

    def _connected(self) -> Client:
        assert self._client is not None, "read before open"
        return self._client

    def _partitions(self) -> list[Partition]:
        """All partitions there are to read, now."""
        client = self._connected()
        topics = self._options.get("topics")
        if topics is None:
            assert self._pattern is not None
            topics = sorted(name for name in client.topics() if self._pattern.fullmatch(name))
        return [partition for topic in topics for partition in client.partitions(topic)]

    def _add(self, partition: Partition, at: int) -> None:
        self._places[partition] = place = Place(partition, at)
        self._groups[partition] = place.group

    def _position(self) -> Position:
        position = {topic: dict(places) for topic, places in self._rest.items()}
        for (topic, number), place in self._places.items():
            position.setdefault(topic, {})[str(number)] = place.next
        return position

    def _assign(self) -> None:
        """Read on right after what was handed out."""
        self._kept = []
        self._connected().assign({place.partition: place.next for place in self._places.values()})

    def _starts(self, partitions: list[Partition]) -> dict[Partition, int]:
        """Where to begin without a marker."""
        given = self._options["start_offsets"]
        named = {Partition(topic, int(number)): at for topic, found in given.items() for number, at in found.items()}
        if strangers := [f"{topic}/{number}" for topic, number in named if (topic, number) not in partitions]:
            raise FatalError(
                "source",
                found=f"`start_offsets` of {brief(', '.join(strangers))}",
                expected="partitions that are there and read",
                remedy="correct `source.start_offsets`",
            )
        start = self._options["start"]
        when = {"earliest": EARLIEST, "latest": LATEST}.get(start)
        others = [partition for partition in partitions if partition not in named]
        return {**self._connected().offsets(others, _milliseconds(start) if when is None else when), **named}

    def _look_for_partitions(self) -> None:
        """Partitions and topics that were made since; all of them from their first record."""
        self._looks_at = time.monotonic() + self._options["refresh"]
        new = [partition for partition in self._partitions() if partition not in self._places]
        if new:
            for partition, at in self._connected().offsets(new, EARLIEST).items():
                self._add(partition, self._rest.get(partition.topic, {}).pop(str(partition.number), at))
            self._assign()

    def _check_gone(self, topics: set[str]) -> None:
        """Partitions that the marker knows, of topics that are there and have fewer now: those were made anew."""
        for topic in topics & set(self._rest):
            for number, at in list(self._rest[topic].items()):
                partition = Partition(topic, int(number))
                self._lost(partition, at, f"no partition {number}: the topic was made anew, with fewer of them")
                del self._rest[topic][number]

    def _lost(self, partition: Partition, at: int, found: str, goes_on_at: int | None = None) -> None:
        """A position that the cluster does not have: refuse to guess, or say what was decided beforehand."""
        if self._options["on_lost"] == "fail":
            raise FatalError(
                "source",
                found=f"topic {partition.topic!r} with {found}",
                expected=f"offset {at} of partition {partition.number}, where the marker goes on",
                remedy="what lies between is gone (retention, or the topic was made anew). To go on without it: "
                "`source.on_lost: earliest` or `latest`; to begin anew: reset the marker",
            )
        self._warn(
            "position_lost",
            topic=partition.topic,
            partition=partition.number,
            offset=at,
            found=found,
            goes_on_at=goes_on_at,
        )

    def _at_once(self, records: int, size: int) -> int:
        """How many messages to take, so that about ``size`` bytes come and the memory stays small."""
        return max(1, min(records, _MOST, min(size, _CHUNK) // self._size + 1))

    def _records(self, messages: list[Fetched], limit: Limit) -> list[Record]:
        """Records of ``messages`` up to the limit; the rest is kept."""
        if any(map(Message.error, messages)):
            moved = [message for message in messages if message.error() is not None and self._met(message)]
            messages = [message for message in messages if message.error() is None]
            if moved:
                self._assign()
        messages, self._kept = messages[: limit.records], messages[limit.records :]
        if not messages:
            return []
        # A million records a second come by here: each step is one call for all of them, that loops in C.
        values = list(map(Message.value, messages))
        if None in values:
            values = [value or b"" for value in values]
        size = sum(map(len, values))
        if size >= limit.bytes:
            count = next(n for n, total in enumerate(accumulate(map(len, values)), 1) if total >= limit.bytes)
            self._kept = messages[count:] + self._kept
            messages, values = messages[:count], values[:count]
        self._size = max(1, size // len(messages))
        self._newest_time = message_time(messages[-1]) or self._newest_time
        keys = list(zip(map(Message.topic, messages), map(Message.partition, messages), strict=True))
        offsets = list(map(Message.offset, messages))
        for key, offset in dict(zip(keys, offsets, strict=True)).items():  # the last one of each partition
            self._places[key].next = offset + 1
        names = [str(offset).zfill(20) for offset in offsets]  # name_of, without a call each
        groups = map(self._groups.__getitem__, keys)
        facts = map(partial, repeat(described), messages)
        fields = zip(values, repeat(None), names, groups, facts, strict=False)
        return list(map(tuple.__new__, repeat(Record), fields))

    def _met(self, message: Fetched) -> bool:
        """Something that is no record; returns whether the partition's place was moved by it."""
        error = message.error()
        assert error is not None
        code, topic = error.code(), message.topic()
        if code == KafkaError.GROUP_AUTHORIZATION_FAILED and not self.needs_ack:
            return False  # librdkafka asks for the group's coordinator, whether anybody needs it or not
        place = self._places.get((topic, message.partition())) if topic else None
        if place is None:
            raise KafkaException(error)
        if code == KafkaError._PARTITION_EOF:
            place.end = message.offset()
            return False
        if code != KafkaError._AUTO_OFFSET_RESET:
            raise KafkaException(error)
        client = self._connected()
        first = client.offsets([place.partition], EARLIEST)[place.partition]
        last = client.offsets([place.partition], LATEST)[place.partition]
        jump = last if self._options["on_lost"] == "latest" else first
        held = f"offsets {first} to {last} in partition {place.partition.number}"
        self._lost(place.partition, place.next, held, goes_on_at=jump)
        place.next, place.end = jump, -1  # the end that was known may be one of a topic that is gone
        return True

    def _read_again(self, limit: Limit, timeout: float) -> list[Record]:
        """The announced range; first all of it is fetched: a connection that ends in between then repeats nothing."""
        if self._replay is None or self._replay.until != limit.until:
            replay = Replay(self._places, limit.until)
            if not replay.missing():
                return []  # it is there already
            self._replay, self._kept = replay, []
            self._connected().assign(replay.missing())
        deadline = time.monotonic() + timeout
        while left := self._replay.missing():
            at_once = self._at_once(_MOST, _CHUNK)
            messages = self._connected().take(at_once, max(0.0, deadline - time.monotonic()))
            moved = [message for message in messages if message.error() is not None and self._met(message)]
            self._replay.add(messages)
            now = self._replay.missing()
            if moved or len(now) < len(left):
                self._connected().assign(now)  # those that are done would fill the queue of the others
            if now and time.monotonic() >= deadline:
                return []
        records = self._replay.hand_out(limit)
        if self._replay.is_over:
            self._finish_replay(limit.until)
        if records:
            last = limit.until if self._replay is None else self._position()
            records[-1] = records[-1]._replace(position=last)
        return records

    def _finish_replay(self, until: Position) -> None:
        was_empty = self._replay is not None and self._replay.is_empty
        self._replay = None
        for place in self._places.values():
            place.next = until.get(place.partition.topic, {}).get(str(place.partition.number), place.next)
        self._assign()
        if was_empty:
            raise UnrepeatableError("all records of that range are gone: compacted, or older than the topic keeps them")


def _milliseconds(start: str) -> int:
    """A moment such as 2026-01-31T08:00:00Z, in milliseconds since 1970."""
    from datetime import datetime

    return round(datetime.fromisoformat(start.replace("Z", "+00:00")).timestamp() * 1000)


def identity(options: Mapping[str, Any]) -> str:
    """The cluster alone: a position names its topics itself, so one may be added without losing the others' places."""
    return f"kafka:{options['cluster']}"


def make(options: Mapping[str, Any], warn: Warn) -> KafkaSource:
    """The source of these options."""
    return KafkaSource(options, warn)


def shape(config: Config, identity: str) -> Shape:
    """The marker: with a prefix, one part a partition."""
    return PartitionShape(config.marker, config.marker_is_prefix, config.name, identity)
