"""The table of all checks, and the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spoutgen.conformance import kills, memory, progress, reading, records
from spoutgen.conformance.bench import Bench
from spoutgen.conformance.outcome import FailedError, Result, SkippedError
from spoutgen.conformance.subject import Subject


@dataclass(frozen=True, slots=True)
class Check:
    """One check: ``run`` returns what it looked at, or raises FailedError or SkippedError.

    It is skipped unless all that it ``needs`` are ok: what is wrong is told once, by the check that it is wrong for.
    """

    name: str
    title: str
    run: Callable[[Bench], str]
    needs: tuple[str, ...] = ()


_RECORDS = ("positions",)

CHECKS: tuple[Check, ...] = (
    Check("loads", "it can be made, with one identity", records.loads),
    Check("records", "it gives records: bytes, a name, a position", records.records, ("loads",)),
    Check("positions", "positions survive JSON and never go back", records.positions, ("records",)),
    Check("names", "names are their own and make legal paths", records.names, ("records",)),
    Check("marker", "the marker is read back as it was announced", records.marker, _RECORDS),
    Check("replay", "a range is read again to the same bytes", progress.replay, _RECORDS),
    Check("resume", "it resumes exactly after any record", progress.resume, _RECORDS),
    Check("goes-on", "after a replay it goes on with what is new", progress.goes_on, ("replay", "resume")),
    Check("reopens", "it is opened and closed over and over", progress.reopens, ("replay",)),
    Check("lets-go", "close gives back files and threads", progress.lets_go, _RECORDS),
    Check("limit-records", "no read returns more records than asked", reading.limits_records, _RECORDS),
    Check("limit-bytes", "no read goes on beyond the bytes asked", reading.limits_bytes, _RECORDS),
    Check("idle", "a read returns in time when nothing comes", reading.idle, _RECORDS),
    Check("acks", "acks change nothing of what is to come", progress.acks, ("replay", "reopens")),
    Check("memory", "memory does not grow with the records", memory.memory, ("replay", "idle")),
    Check(
        "kill-user-code",
        "the user code may be killed at every step",
        kills.kill_user_code,
        ("names", "marker", "replay", "resume", "idle"),
    ),
    Check(
        "kill-worker",
        "the worker may be killed at every step",
        kills.kill_worker,
        ("names", "marker", "replay", "resume", "idle"),
    ),
)


def run_checks(
    subject: Subject, only: Collection[str] = (), on_start: Callable[[Check], None] = lambda _: None
) -> Iterator[Result]:
    """Run the checks of these names (none: all), and what they need; yields each result as it comes.

    What is run only because others need it is not told unless it failed. ``on_start`` is called before each check.
    """
    bench = Bench(subject)
    wanted = _with_needs(only)
    outcomes: dict[str, Result] = {}
    for check in CHECKS:
        if check.name in wanted:
            on_start(check)
            result = _run(check, bench, outcomes)
            outcomes[check.name] = result
            if not only or check.name in only or result.outcome == "failed":
                yield result


def _with_needs(names: Collection[str]) -> set[str]:
    wanted = set(names) or {check.name for check in CHECKS}
    for check in reversed(CHECKS):
        if check.name in wanted:
            wanted.update(check.needs)
    return wanted


def _run(check: Check, bench: Bench, outcomes: Mapping[str, Result]) -> Result:
    began = time.monotonic()
    facts = _end(check, bench, outcomes)
    return Result(check.name, check.title, seconds=round(time.monotonic() - began, 3), **facts)


def _end(check: Check, bench: Bench, outcomes: Mapping[str, Result]) -> dict[str, Any]:
    """How the check ends, as the rest of its result."""
    for name in check.needs:
        if outcomes[name].outcome == "failed":
            return {"outcome": "skipped", "note": f"needs `{name}`, which failed"}
        if outcomes[name].outcome == "skipped":
            return {"outcome": "skipped", "note": outcomes[name].note}
    try:
        return {"outcome": "ok", "note": check.run(bench)}
    except SkippedError as error:
        return {"outcome": "skipped", "note": error.reason}
    except FailedError as error:
        told = {"expected": error.expected, "found": error.found, "remedy": error.remedy}
        return {"outcome": "failed", **told}
