"""The generations of 1.x workers, as data: where they differ, one row each.

In the citations ``W9`` is src/server/worker/master.go, ``C`` src/server/worker/pipeline/common.go and ``RC``
src/server/pps/server/worker_rc.go, each of the tag before it. What follows from a flag is no flag of its own;
docs/reference/generations.md has all that can be seen from outside.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from spoutgen.errors import Diagnostic, UsageError


@dataclass(frozen=True, slots=True)
class Generation:
    """How the workers of the versions ``first``..``last`` treat a spout."""

    name: str
    first: str
    last: str
    # The FIFO is opened: for each tar; once and again after an error; once in a run of the whole spout.
    opens: Literal["per tar", "after errors", "once"]
    # A commit is started: when the FIFO is opened; at a tar's first header; when the whole tar is in a temporary file.
    # In the first two an error ends the tar and what came of it is committed, and two zero blocks are a tar without
    # entries; in the third nothing of a torn tar is committed, and zero blocks before one are skipped.
    starts_commit: Literal["at open", "at header", "after tar"]
    # After a tar's end the worker waits until the FIFO has a writer before it finishes the commit.
    waits_for_writer: bool
    # PutFile is called for each file: a marker entry is a commit of its own at once, and of a whole tar the one file
    # that pachd refuses is tried again for ever. Or for a tar: marker and data in one call are refused, and whatever
    # is refused is tried again with the whole tar.
    calls_put_file: Literal["for each file", "for a tar"]
    # A marker entry is also written, empty, to the output branch.
    copies_marker: bool
    # Open commits among the repo's ten newest are deleted when the spout starts.
    deletes_open_commits: bool
    # Each start of the user code adds one more reader of the FIFO.
    adds_readers: bool
    # The environment by which user code can tell the versions apart.
    namespace_variable: str
    sets_pach_in_worker: bool


GENERATIONS: tuple[Generation, ...] = (
    Generation(
        name="G2",
        first="1.9.12",
        last="1.10.5",
        opens="per tar",  # v1.9.12:W9:880, :886
        starts_commit="at open",  # v1.9.12:W9:894; :905 finishes it whatever happened, :891 is Go's plain tar reader
        waits_for_writer=False,  # v1.9.12:W9:913-914
        calls_put_file="for each file",  # v1.9.12:W9:932, :933
        copies_marker=False,  # v1.9.12:W9:937: "else if"
        deletes_open_commits=False,  # v1.9.12:W9:241: nothing of the kind
        adds_readers=True,  # v1.9.12:W9:966-969: the reader is started inside the user code's loop
        namespace_variable="PPS_NAMESPACE",  # v1.9.12:RC:361, v1.10.5:RC:440
        sets_pach_in_worker=False,
    ),
    Generation(
        name="G3",
        first="1.11.0",
        last="1.11.2",
        opens="after errors",  # v1.11.0:C:67-70
        starts_commit="at header",  # v1.11.0:C:104-106; :117 finishes it whatever happened, :87 is Go's plain reader
        waits_for_writer=True,  # v1.11.0:C:95
        calls_put_file="for each file",  # v1.11.0:C:136, :143
        copies_marker=False,  # v1.11.0:C:141
        deletes_open_commits=True,  # v1.11.0:src/server/worker/pipeline/spout/spout.go:24
        adds_readers=False,  # v1.11.0:spout.go:40-41: the reader stands beside the user code
        namespace_variable="PACH_NAMESPACE",  # v1.11.0:RC:121
        sets_pach_in_worker=False,
    ),
    Generation(
        name="G4a",
        first="1.11.3",
        last="1.11.7",
        opens="once",  # v1.11.3:C:70
        starts_commit="after tar",  # v1.11.3:C:82-86; :205 skips zero blocks
        waits_for_writer=False,  # v1.11.3:C:158 waits only after an end of file
        calls_put_file="for each file",  # v1.11.3:C:107, :277
        copies_marker=True,  # v1.11.3:C:117, reached by marker entries too; what they held was read by then
        deletes_open_commits=True,  # v1.11.3:spout.go:24
        adds_readers=False,
        namespace_variable="PACH_NAMESPACE",  # v1.11.7:RC:126
        sets_pach_in_worker=False,
    ),
    Generation(
        name="G4b",
        first="1.11.8",
        last="1.12.0",
        opens="once",  # v1.11.8:C:70
        starts_commit="after tar",  # v1.11.8:C:82-86; :203 skips zero blocks
        waits_for_writer=False,
        calls_put_file="for each file",  # v1.11.8:C:107, :274
        copies_marker=False,  # v1.11.8:C:108
        deletes_open_commits=True,  # v1.11.8:spout.go:24
        adds_readers=False,
        namespace_variable="PACH_NAMESPACE",  # v1.11.8:RC:126
        sets_pach_in_worker=True,  # v1.11.8:RC:130
    ),
    Generation(
        name="G5",
        first="1.12.1",
        last="1.13.4",
        opens="once",  # v1.13.4:C:70
        starts_commit="after tar",  # v1.13.4:C:82-86; :215 skips zero blocks
        waits_for_writer=False,  # v1.13.4:C:168 waits only after an end of file
        calls_put_file="for a tar",  # v1.13.4:C:87, :117; :252, :262 try the tar again
        copies_marker=False,  # v1.13.4:C:121
        deletes_open_commits=True,  # v1.13.4:spout.go:24
        adds_readers=False,  # v1.13.4:spout.go:40-41
        namespace_variable="PACH_NAMESPACE",  # v1.13.4:RC:155
        sets_pach_in_worker=True,  # v1.13.4:RC:159
    ),
)

NEWEST = GENERATIONS[-1].last


def generation_of(version: str) -> Generation:
    """The generation of a Pachyderm version such as ``1.13.2``; UsageError SG901 for one that no row covers."""
    number = _number(version)
    for generation in GENERATIONS:
        if number and _number(generation.first) <= number <= _number(generation.last):
            return generation
    known = ", ".join(f"{g.first} to {g.last} ({g.name})" for g in GENERATIONS)
    raise UsageError(
        Diagnostic(
            "SG901",
            f"the local worker cannot be Pachyderm {version!r}",
            None,
            f"it can be: {known}; e.g. --pachyderm {NEWEST}",
        )
    )


def _number(version: str) -> tuple[int, ...]:
    """``1.13.2`` as numbers; nothing for anything else."""
    match = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", version, re.ASCII)
    return tuple(map(int, match.groups())) if match else ()
