"""What a cluster can be asked, whichever way: one Protocol, and the data that it gives.

Three clients satisfy it: :mod:`spoutgen.cluster.v1`, :mod:`spoutgen.cluster.v2` and :mod:`spoutgen.cluster.pachctl`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

# The branch of a spout's output repo that 1.x keeps markers on (v1.13.4:src/server/pps/server/api_server.go:2833).
MARKER_BRANCH = "marker"


@dataclass(frozen=True, slots=True)
class LivePipeline:
    """A pipeline of a cluster.

    ``state`` is one of pachctl's words (starting, running, restarting, failure, paused, standby, crashing), ``reason``
    what the cluster says about it. ``document`` is its specification as far as the cluster gives it, with
    the field names of pipeline.json for 1.x (snake_case), whatever the target.
    """

    name: str
    version: int
    state: str
    reason: str
    is_spout: bool
    is_stopped: bool
    created: datetime | None
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CommitFact:
    """A commit; ``finished`` is None while it is open, ``error`` is what its validation found (2.x)."""

    id: str
    branch: str
    started: datetime | None
    finished: datetime | None
    size: int
    error: str = ""


class Cluster(Protocol):
    """One cluster, and on 2.x one project of it.

    Every method raises ClusterError (SG601 to SG609) where the cluster cannot be reached or refuses. ``target`` is 1 or
    2; ``address`` is for people and holds nothing secret.
    """

    target: int
    address: str

    def version(self) -> str:
        """The version of pachd, ``1.13.4``."""

    def pipelines(self) -> list[LivePipeline]:
        """Every pipeline, the newest first."""

    def pipeline(self, name: str) -> LivePipeline | None:
        """One pipeline; None if there is none of that name."""

    def has_repo(self, name: str) -> bool:
        """Whether there is a repo of that name."""

    def submit(self, document: Mapping[str, Any], is_update: bool) -> None:
        """Create a pipeline, or update it, from what stands in pipeline.json. Never reprocesses."""

    def stop(self, name: str) -> None:
        """Stop a pipeline; its pods go within seconds."""

    def start(self, name: str) -> None:
        """Start a stopped pipeline."""

    def logs(self, name: str, is_followed: bool) -> Iterator[str]:
        """What the pipeline's pods printed, as far back as the cluster has it; followed, new lines as they come.

        There is no tail here: 1.13 refuses it ("tail has been deprecated", v1.13.4:src/server/pps/cmds/cmds.go:551).
        """

    def commits(self, repo: str, branch: str, number: int) -> list[CommitFact]:
        """The newest commits of a branch, newest first; none for a branch that is not there."""

    def read_file(self, repo: str, ref: str, path: str) -> bytes | None:
        """A file at a branch's head or at a commit; None if there is no such file, branch or commit."""

    def write_file(self, repo: str, branch: str, path: str, data: bytes) -> None:
        """Put a file in the place of what is there, in a commit of its own."""

    def finish_open(self, repo: str, branch: str) -> None:
        """Finish the head of a stopped pipeline's branch, empty, if it is open: the next write gets its own commit.

        On 2.x a stop and start, or a client that died, leaves one, and what is written into it is never finished. On
        1.x nobody leaves one on the branch of markers, so nothing is done.
        """

    def move_marker(self, repo: str, branch: str, old: str, is_prefix: bool, new: str, data: bytes) -> None:
        """Put a marker under the name ``new``; on 2.x the old one goes in the same commit, by prefix its parts, too.

        On 1.x the old files are in nobody's way on the branch of markers, and stay.
        """

    def drop_marker(self, repo: str, branch: str, name: str, is_prefix: bool) -> None:
        """Leave the spout without a marker, as before its first commit.

        On 1.x the branch loses its head (a branch with commits but without the file would never let the spout start);
        on 2.x the file is deleted, and by prefix its parts, which a marker of another name would take for an old one.
        """

    def close(self) -> None:
        """Let go of the connection."""
