"""Checks of going on: to read a range again, to resume after any record, to be opened and closed and acknowledged."""

from __future__ import annotations

from collections.abc import Sequence

from spoutgen.conformance.bench import Bench
from spoutgen.conformance.outcome import FailedError, SkippedError
from spoutgen.conformance.probe import Probe, Seen, brief

_OPENINGS = 12
_LEAK = 4


def replay(bench: Bench) -> str:
    """A range is read again to the same records, byte for byte, and not one further, in bites of any size."""
    found = bench.at_least(2)
    ends = bench.places(4)
    ranges = [(start, end + 1) for start in (0, *bench.places(3)) for end in ends if end >= start]
    with bench.probe() as probe:
        for start, end in dict.fromkeys(ranges):
            for at_once in (1000, 2):
                probe.make()
                probe.open(bench.position_before(start))
                until = found[end].position
                _compare(bench, start, end, probe.replay(until, at_once))
                beyond = probe.read(at_once, until=until)
                if beyond:
                    raise FailedError(
                        f"a replay that stops at its end, position {brief(until)}",
                        f"after it a further read gave {_place(bench, beyond[0])}",
                        "return [] once `limit.until` is reached, however often the replay is read on",
                    )
                probe.close()
    return f"{len(dict.fromkeys(ranges))} ranges, each twice"


def resume(bench: Bench) -> str:
    """Opened after any record, it goes on with exactly the next one."""
    bench.at_least(2)
    with bench.probe() as probe:
        for index in bench.places():
            if not _resumes(bench, probe, index):
                bench.is_settled = False
                return "new records differ each time that they are read, so only replays can be compared"
    return f"after {len(bench.places())} of the records"


def _resumes(bench: Bench, probe: Probe, index: int) -> bool:
    """Whether what comes after the record of that index is settled, and so was compared."""
    first = _next_after(bench, probe, index)
    if _is_like(first, bench.records[index + 1]):
        return True
    if not _is_like(_next_after(bench, probe, index), first):
        return False  # nobody has seen these records but us: each reading may make others
    raise FailedError(
        f"after record {index + 1}, position {brief(bench.records[index].position)}, record {index + 2}",
        f"{_place(bench, first)}",
        "`open(position)` must make the next read start right after that position, whatever was read before",
    )


def _next_after(bench: Bench, probe: Probe, index: int) -> Seen:
    probe.make()
    probe.open(bench.records[index].position)
    found = probe.take(1, bench.seconds)
    probe.close()
    if not found:
        raise FailedError(
            f"record {index + 2} after record {index + 1}, as before",
            f"nothing for {bench.seconds:g} s",
            "`open(position)` must make the next read start right after it; or wait longer: --seconds N",
        )
    return found[0]


def goes_on(bench: Bench) -> str:
    """After a replay it goes on with what is new."""
    found = bench.at_least(2)
    if not bench.is_settled:
        raise SkippedError("new records differ each time that they are read, so nobody can say which one is right")
    places = bench.places(3)
    with bench.probe() as probe:
        for index in places:
            probe.make()
            probe.open(bench.position_before(index))
            probe.replay(found[index].position)
            more = probe.take(1, bench.seconds)
            probe.close()
            if not more or not _is_like(more[0], found[index + 1]):
                raise FailedError(
                    f"record {index + 2} after a replay up to record {index + 1}",
                    _place(bench, more[0]) if more else f"nothing for {bench.seconds:g} s",
                    "after a replay the next read without `limit.until` goes on right behind it",
                )
    return f"after {len(places)} replays"


def reopens(bench: Bench) -> str:
    """One source is opened and closed again and again, closed before it is open and twice, and forgets what it read."""
    found = bench.at_least(2)
    last = len(found) - 1
    with bench.probe() as probe:
        probe.close()
        for start in (0, *bench.places(3)):
            probe.open(bench.position_before(start))
            probe.read(2, until=found[last].position)
            probe.close()
            probe.open(bench.position_before(start))
            _compare(bench, start, last, probe.replay(found[last].position), " after it was closed and opened again")
            probe.close()
            probe.close()
    return f"{2 * (1 + len(bench.places(3)))} times"


def lets_go(bench: Bench) -> str:
    """close() gives back files, sockets and threads: a spout that reconnects for years does so thousands of times."""
    found = bench.at_least(1)
    until = found[min(1, len(found) - 1)].position
    with bench.probe() as probe:
        held = []
        for _ in range(_OPENINGS):
            probe.open(None)
            probe.read(2, until=until)
            probe.close()
            held.append(probe.held())
    # The first rounds may import modules and fill caches.
    for what, names in (("fd", "files and sockets"), ("task", "threads")):
        more = held[-1][what] - held[_OPENINGS // 3][what]
        if more >= _LEAK:
            raise FailedError(
                f"as many open {names} after {_OPENINGS} rounds of open, read and close as before",
                f"{more} more in the last {_OPENINGS - _OPENINGS // 3 - 1} rounds",
                "close everything in `close`, also after an `open` that failed half-way",
            )
    return f"{_OPENINGS} rounds"


def acks(bench: Bench) -> str:
    """Acks change nothing of what is still to come, and let go of nothing that they do not cover."""
    found = bench.at_least(3)
    if bench.needs_ack:
        raise SkippedError("it needs acks, so what is acknowledged may be gone; the kills below try it")
    again: list[Seen] = []
    with bench.probe() as probe:
        probe.open(None)
        for index, record in enumerate(found):
            again += probe.replay(record.position)
            # As the spout does it: a batch is acknowledged when the next one has been read.
            if index:
                probe.ack(found[index - 1].position)
        _compare(bench, 0, len(found) - 1, again, " with acks in between")
        probe.close()
        probe.open(found[-2].position)
        probe.ack(found[-2].position)
        _compare(
            bench, len(found) - 1, len(found) - 1, probe.replay(found[-1].position), " after what was acknowledged"
        )
        probe.close()
    return f"{len(found)} acks"


def _compare(bench: Bench, start: int, end: int, again: Sequence[Seen], when: str = "") -> None:
    """Raise unless ``again`` are the records from index ``start`` to ``end``; ``when`` says after what."""
    for index, record in enumerate(again, start=start):
        known = bench.records[index] if index <= end else None
        is_elsewhere = known is not None and record.position not in (known.position, None)
        if known is None or (is_elsewhere and not _is_like(record, known)):
            beyond = f"a replay{when} to end with record {end + 1}, position {brief(bench.records[end].position)}"
            raise FailedError(
                f"record {index + 1} in a replay{when} from record {start + 1} to {end + 1}" if known else beyond,
                _place(bench, record),
                "a replay (`limit.until`) gives the very records of before, in order, and stops at that position",
            )
        if not _is_like(record, known):
            raise FailedError(
                f"record {index + 1} in a replay{when} as it was: {known}",
                str(record),
                "bytes, name and position follow from the place in the stream alone: not from clock, chance or counts",
            )
    if len(again) <= end - start:
        raise FailedError(
            f"records {start + 1} to {end + 1} in a replay{when}",
            f"only {len(again)} of {end - start + 1}, then nothing",
            "a replay must find what was read before; FatalError if the outside does not have it any more",
        )


def _is_like(record: Seen, other: Seen) -> bool:
    """Whether they are one record: the same name and bytes, and the same position where both have one."""
    is_there = record.position is None or other.position is None or record.position == other.position
    return is_there and (record.name, record.size, record.digest) == (other.name, other.size, other.digest)


def _place(bench: Bench, record: Seen) -> str:
    """Which record that is, in words."""
    index = next((i for i, known in enumerate(bench.records) if known.position == record.position), None)
    return f"record {index + 1}" if index is not None else f"a record that was not there before ({record})"
