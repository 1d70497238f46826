"""What the checks share: new processes with the source, and the records that it gave first."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

from spoutgen.conformance.outcome import SkippedError
from spoutgen.conformance.probe import HungError, Probe, Seen, bare_probe, probe_of
from spoutgen.conformance.subject import Subject

MANY = 24


class Bench:
    """The subject, and what is known of its source so far."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        # Whether new records are the same ones however often they are read first; `resume` finds out.
        self.is_settled = True

    def bare_probe(self) -> AbstractContextManager[Probe]:
        """A new process without a source yet."""
        return bare_probe(self.subject)

    def probe(self) -> AbstractContextManager[Probe]:
        """A new process with a new source."""
        return probe_of(self.subject)

    @cached_property
    def needs_ack(self) -> bool:
        """Whether the source wants acks while idle: then what is acknowledged is gone."""
        with self.bare_probe() as probe:
            return probe.make()[1]

    @cached_property
    def records(self) -> Sequence[Seen]:
        """What the source gives from the beginning: ``MANY`` records, or as many as come in time."""
        found: list[Seen] = []
        with self.probe() as probe:
            probe.open(None)
            ends_at = time.monotonic() + self.seconds
            while len(found) < MANY and time.monotonic() < ends_at:
                try:
                    found += probe.read(1)  # one by one: only the last record of a read must have a position
                except HungError:
                    if not found:
                        raise
                    break  # to hang when nothing comes has a check of its own; here its records are wanted
        return found[:MANY]

    def at_least(self, count: int) -> Sequence[Seen]:
        """The first records; SkippedError if there are fewer than ``count``."""
        if len(self.records) < count:
            raise self.too_few(count, len(self.records))
        return self.records

    def too_few(self, wanted: int, found: int) -> SkippedError:
        """Why a check cannot tell."""
        plural = "record" if found == 1 else "records"
        how = "let there be more, or wait longer: --seconds N"
        return SkippedError(
            f"needs {wanted} records; there were {found or 'no'} {plural} in {self.seconds:g} s ({how})"
        )

    @property
    def seconds(self) -> float:
        """How long a check waits for records."""
        return self.subject.seconds

    def position_before(self, index: int) -> Any:
        """The position before the record of that index: None before the first."""
        return self.records[index - 1].position if index else None

    def places(self, count: int = 4) -> list[int]:
        """Some indexes of records that have another one after them, spread over all."""
        last = len(self.records) - 2
        return sorted({round(number * last / max(1, count - 1)) for number in range(count)}) if last >= 0 else []
