"""Checks of single reads: how much they return, and how long they take."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from spoutgen.conformance.bench import Bench
from spoutgen.conformance.outcome import FailedError
from spoutgen.conformance.probe import Seen

_READS = 6
_IDLE_AFTER = 20_000
_BUSY = 5.0
_WAITS = (0.0, 0.05, 0.2, 0.2)


def limits_records(bench: Bench) -> str:
    """A read never returns more records than asked, new or replayed."""
    for most, _, kind, found in _reads(bench, [(most, 1 << 30) for most in (1, 2, 3)]):
        if len(found) > most:
            raise FailedError(
                f"at most {most} records from a {kind} with limit.records {most}",
                f"{len(found)} records",
                "look at `limit.records` before each record that is added; keep the rest for the next read",
            )
    return f"1, 2 and 3 records, {_READS} reads each, new and replayed"


def limits_bytes(bench: Bench) -> str:
    """A read returns no further record once the bytes are reached, new or replayed."""
    sizes = [record.size for record in bench.at_least(3)]
    asked = sorted({1, sizes[0] + 1, max(1, sizes[0] + sizes[1])})
    for _, most, kind, found in _reads(bench, [(1000, most) for most in asked]):
        before_last = sum(record.size for record in found[:-1])
        if before_last >= most:
            raise FailedError(
                f"no further record from a {kind} once limit.bytes {most} are reached",
                f"{len(found)} records, of {before_last} bytes without the last one",
                "add up the sizes of the records, and stop when `limit.bytes` is reached; one record always passes",
            )
    return f"{_READS} reads each, new and replayed"


def _reads(bench: Bench, limits: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, str, list[Seen]]]:
    """A few reads from the beginning with each of these limits, of new records and of a replay."""
    found = bench.at_least(3)
    goals: tuple[tuple[str, Any], ...] = (("read", None), ("replay", found[-1].position))
    with bench.probe() as probe:
        for (records, size), (kind, until) in product(limits, goals):
            probe.make()
            probe.open(None)
            read = 0
            for _ in range(_READS):
                more = probe.read(records, size, until)
                yield records, size, kind, more
                read += len(more)
                if read >= len(found):  # to read on where there may be nothing is the business of `idle`
                    break
            probe.close()


def idle(bench: Bench) -> str:
    """When nothing comes, a read returns [] after about its timeout: not never, and not at once, over and over."""
    found = bench.at_least(1)
    with bench.probe() as probe:
        probe.open(found[-1].position)
        count, ends_at = 0, time.monotonic() + min(bench.seconds, _BUSY)
        while more := probe.timed_read(1000, timeout=0.05)[0]:
            count += len(more)
            if time.monotonic() > ends_at or count > _IDLE_AFTER:
                probe.close()
                return f"{count} records without a pause, so it was never idle; every read returned in time"
        waited = 0.0
        for timeout in _WAITS:
            more, seconds = probe.timed_read(1000, timeout=timeout)
            waited += seconds if not more else timeout
        if waited < sum(_WAITS) / 4:
            raise FailedError(
                f"reads that wait for records: timeouts of {sum(_WAITS):g} s in all",
                f"{len(_WAITS)} reads returned nothing after {waited:.3f} s in all",
                "wait for up to `timeout` seconds before [] is returned, or the spout spins",
            )
        probe.close()
    return f"after {count + len(found)} records"
