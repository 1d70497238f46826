"""The sources that the fault tests read: a sequence, a queue that cannot be read again, a pyramid of a certain height.

They live here and not in the template: `spout_life` adds them to the runtime's table. ``folder`` is the story's: the
file ``last`` in it says where the stream ends; without it there is no end.
"""

import functools
import json
import random
import time
from pathlib import Path

from spout.marker import JsonShape
from spout.records import Record, UnrepeatableError
from spout.sources import Kind, pyramid
from spout.sources.symbol import SymbolSource

KIB, MIB = 1 << 10, 1 << 20
ENDLESS = 10**9
# Below and above one block of a tar, the 64 KiB of a pipe, the 1 MiB that the runtime asks for.
SIZES = {
    "small": (1, 40, 511, 512, 513, 1500, 3000),
    "pipe": (1, 512, 8 * KIB, 64 * KIB - 1024, 64 * KIB, 64 * KIB + 1, 200 * KIB, MIB + 1),
    "large": (1, 70 * KIB, 3 * MIB, 20 * MIB),
}


@functools.lru_cache(maxsize=64)
def record_bytes(seed: int, sizes: str, number: int) -> bytes:
    """The bytes of a record, a function of its number (and the story's seed) alone."""
    chance = random.Random(f"{seed}/{number}")
    weights = [4, 2, 1, 0.3] if sizes == "large" else None
    size = chance.choices(SIZES[sizes], weights)[0]
    text = b"%d " % number
    return (text * (size // len(text) + 1))[:size]


def boundary_after(seed: int, number: int, most: int) -> int:
    """Where the batch ends that begins after ``number``, where batches are to end in the same places in every life."""
    while True:
        number += 1
        if number % most == 0 or random.Random(f"{seed}:{number}").random() < 0.3:
            return number


def name_of(number: int) -> str:
    """A record's name, which sorts as its number."""
    return f"{number:08}"


def end_of(folder: Path) -> int:
    """The number of the stream's last record."""
    try:
        return int((folder / "last").read_text())
    except (FileNotFoundError, ValueError):
        return ENDLESS


class Sequence:
    """Numbered records from 1 on; can be read again from any position, exactly.

    Options: ``seed``, ``sizes`` (a key of SIZES), ``most`` records a read, ``fixed``: whether reads end in the same
    places in every life; else each life has its own; ``suffix``: what every record's name ends in.
    """

    identity, needs_ack = "sequence", False

    def __init__(self, options, warn=None):
        self._options = options
        self._folder = Path(options["folder"])
        self._chance = random.Random()

    def open(self, position):
        self._at = position or 0

    def read(self, limit, timeout):
        seed, most = self._options["seed"], self._options["most"]
        until = (
            boundary_after(seed, self._at, most) if self._options["fixed"] else self._at + self._chance.randint(1, most)
        )
        until = min(until, self._at + limit.records, end_of(self._folder))
        if limit.until is not None:
            until = min(limit.until, self._at + limit.records)
        records, size = [], 0
        while self._at < until and size < limit.bytes:
            self._at += 1
            data = record_bytes(seed, self._options["sizes"], self._at)
            records.append(Record(data, self._at, name_of(self._at) + self._options["suffix"]))
            size += len(data)
        if not records:
            time.sleep(timeout)
        return records

    def ack(self, position):
        assert position <= self._at

    def close(self):
        pass


class Queue:
    """A queue that gives what is not acknowledged again after each ``open``, in any order, under new numbers.

    So a range cannot be read again. The queue's own memory is the file ``acknowledged``: the numbers of the messages
    that it may forget. It is idle now and then.
    """

    identity, needs_ack = "queue", True

    def __init__(self, options, warn=None):
        self._folder = Path(options["folder"])
        self._most = options["most"]
        self._chance = random.Random()

    def open(self, position):
        self._at = position or 0
        self._given = {}  # position -> message
        self._gone = set(acknowledged(self._folder))
        first = next(number for number in range(1, 10**9) if number not in self._gone)
        self._again = [n for n in range(first, max(self._gone | {first}) + 200) if n not in self._gone]
        self._chance.shuffle(self._again)
        self._next = max([first, *self._again]) + 1

    def read(self, limit, timeout):
        if limit.until is not None:
            raise UnrepeatableError
        if self._chance.random() < 0.25:
            return []
        most = min(limit.records, self._chance.randint(1, self._most))
        records = []
        while len(records) < most and (message := self._take()) is not None:
            self._at += 1
            self._given[self._at] = message
            records.append(Record(message_bytes(message), self._at, name_of(self._at)))
        if not records:
            time.sleep(min(timeout, 0.05))
        return records

    def _take(self):
        end = end_of(self._folder)
        while self._again:
            message = self._again.pop()
            if message <= end:
                return message
        if self._next > end:
            return None
        self._next += 1
        return self._next - 1

    def ack(self, position):
        done = [at for at in self._given if at <= position]
        line = "".join(f"{self._given.pop(at)} " for at in done)
        with (self._folder / "acknowledged").open("a") as file:
            file.write(line)

    def close(self):
        pass


def message_bytes(number: int) -> bytes:
    """A message of the queue: a line that says its number, of a length of its own."""
    return b"%d %s" % (number, b"." * (number * 37 % 900))


def acknowledged(folder: Path) -> list[int]:
    """The messages that the queue has forgotten."""
    path = folder / "acknowledged"
    return [int(number) for number in path.read_text().split()] if path.exists() else []


class Bounded:
    """The symbol source, which never ends, up to a line."""

    identity, needs_ack = "symbol", False

    def __init__(self, options, warn=None):
        self._folder = Path(options["folder"])
        self._source = SymbolSource({"symbol": options["symbol"], "interval": 0})
        self._height = 0

    def open(self, position):
        self._height = pyramid.height(pyramid.from_position(position))
        self._source.open(position)

    def read(self, limit, timeout):
        if limit.until is None and self._height >= end_of(self._folder):
            time.sleep(timeout)
            return []
        records = self._source.read(limit, timeout)
        self._height += len(records)
        return records

    def ack(self, position):
        pass

    def close(self):
        pass


def _json(config, identity):
    return JsonShape(config.marker, config.name, identity)


KINDS = {"sequence": Kind(Sequence, _json), "queue": Kind(Queue, _json), "bounded": Kind(Bounded, pyramid.shape)}


def position_number(position: object) -> int:
    """How many records lie before a position of any of these sources."""
    if isinstance(position, dict):
        return pyramid.height(pyramid.from_position(position))
    assert position is None or isinstance(position, int), json.dumps(position)
    return position or 0
