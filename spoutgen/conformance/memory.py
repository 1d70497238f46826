"""The check of memory: a spout runs for years."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from spoutgen.conformance.bench import Bench
from spoutgen.conformance.outcome import FailedError, SkippedError

_SPANS_SECONDS = 1.0
_PATIENCE = 60.0  # seconds for a slow source, or a busy machine, to replay what can be judged
_FEW = 1000
_BYTES_A_RECORD = 16
_LEAST_LEAK = 64 << 10
_LEAST_RESIDENT_LEAK = 32 << 20


def memory(bench: Bench) -> str:
    """Memory does not grow with the records that were read, neither in replays nor in new reads."""
    found = bench.at_least(2)
    with bench.probe() as probe:
        replayed = probe.replays(None, found[-1].position, _SPANS_SECONDS, _FEW, _PATIENCE)
        _check(replayed, "replayed")
        probe.make()
        read = probe.reads_on(found[-1].position, _SPANS_SECONDS)
        _check(read, "read")
    counts = [int(each["samples"][-1][0]) for each in (replayed, read)]
    if max(counts) < _FEW:
        raise SkippedError(f"too few records to tell: {counts[0]} replayed and {counts[1]} read")
    return f"{counts[0]} records replayed, {counts[1]} new ones read"


def _check(told: dict[str, Any], how: str) -> None:
    samples: Sequence[Sequence[int]] = told["samples"]
    records = samples[-1][0] - samples[0][0]
    if not records:
        return
    traced, resident = (_growth(samples, column) for column in (1, 2))
    if traced > max(_LEAST_LEAK, _BYTES_A_RECORD * records):
        where = f", most of it allocated in {told['where']}" if told["where"] else ""
        raise _leak(f"{traced / records:.0f} bytes more for each of {records} records {how}{where}")
    if resident - traced > max(_LEAST_RESIDENT_LEAK, _BYTES_A_RECORD * records):
        raise _leak(f"{resident >> 20} MiB more after {records} records {how}, outside of Python's own objects")


def _leak(found: str) -> FailedError:
    remedy = "keep nothing of what was read: no list, no dict, no cache without a bound"
    return FailedError("memory that does not grow with the records", found, remedy)


def _growth(samples: Sequence[Sequence[int]], column: int) -> int:
    """What was added from the first sample to the last; 0 unless it grew all the time, as a buffer does not."""
    values = [sample[column] for sample in samples]
    is_steady = all(before < after for before, after in pairwise(values))
    return values[-1] - values[0] if is_steady else 0
