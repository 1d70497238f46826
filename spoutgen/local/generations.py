"""The generations of 1.x workers, as data: where they differ, one row each.

``C`` in the citations is src/server/worker/pipeline/common.go of the named tag.
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
    # The FIFO is opened: for each tar; once and again after an error; once.
    opens: Literal["per tar", "after errors", "once"]
    # A commit is started: when the FIFO is opened; at a tar's first header; when the whole tar has been read.
    starts_commit: Literal["at open", "at header", "after tar"]
    # After a tar's end the worker waits until the FIFO has a writer before it finishes the commit.
    waits_for_writer: bool
    # Zero blocks before a tar: thrown away with the tar before; read in pairs; all of them skipped.
    zero_blocks: Literal["discarded", "in pairs", "skipped"]
    # A tar cut inside an entry: what came is committed; or nothing is, and the whole spout starts again.
    cut_tar: Literal["committed", "restarts"]
    # Marker entries: each a commit of its own at once; or all of them in the tar's one PutFile stream.
    marker_puts: Literal["at once", "one stream"]
    # A marker entry is also written, empty, to the output branch.
    copies_marker: bool
    # An entry that pachd refuses: the rest of the tar is lost; or the tar is tried again for ever.
    bad_entry: Literal["rest is lost", "retried"]
    # FinishCommit fails: an error as any other; or the commit stays open, and no other can be started.
    failed_finish: Literal["error", "wedged"]
    # Open commits among the repo's ten newest are deleted when the spout starts.
    deletes_open_commits: bool
    # Each end of the user code adds one more reader of the FIFO.
    adds_readers: bool
    # A worker whose pipeline was updated: marker entries are refused; or the whole spout starts again and again.
    outdated: Literal["refuses marker", "restarts"]
    # The environment by which user code can tell the versions apart.
    namespace_variable: str
    sets_pach_in_worker: bool


GENERATIONS: tuple[Generation, ...] = (
    Generation(
        name="G5",
        first="1.12.1",
        last="1.13.4",
        opens="once",  # v1.13.4:C:67
        starts_commit="after tar",  # v1.13.4:C:79-83
        waits_for_writer=False,  # v1.13.4:C:159 waits only after an end of file
        zero_blocks="skipped",  # v1.13.4:C:214
        cut_tar="restarts",  # v1.13.4:C:79, :132
        marker_puts="one stream",  # v1.13.4:C:84, :110
        copies_marker=False,  # v1.13.4:C:114
        bad_entry="retried",  # v1.13.4:C:248
        failed_finish="wedged",  # v1.13.4:C:261
        deletes_open_commits=True,  # v1.13.4:src/server/worker/pipeline/spout/spout.go:23
        adds_readers=False,  # v1.13.4:spout.go:37: the reader stands beside the user code, not in its loop
        outdated="restarts",  # v1.13.4:C:106
        namespace_variable="PACH_NAMESPACE",
        sets_pach_in_worker=True,
    ),
)

NEWEST = GENERATIONS[-1].last


def generation_of(version: str) -> Generation:
    """The generation of a Pachyderm version such as ``1.13.2``. Raises UsageError SG901 for one that is not here."""
    number = _number(version)
    for generation in GENERATIONS:
        if number and _number(generation.first) <= number <= _number(generation.last):
            return generation
    known = ", ".join(f"{g.first} to {g.last}" for g in GENERATIONS)
    raise UsageError(
        Diagnostic(
            "SG901",
            f"the local worker cannot be Pachyderm {version!r}",
            None,
            f"it can be: {known} (--pachyderm {NEWEST})",
        )
    )


def _number(version: str) -> tuple[int, ...]:
    """``1.13.2`` as numbers; nothing for anything else."""
    match = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", version)
    return tuple(map(int, match.groups())) if match else ()
