"""What came of a story on 2.x: each record once and in one file, each position of the marker in one commit."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import groupby, pairwise

from streams_v2 import line

from spoutgen.errors import SpoutgenError
from spoutgen.local.store import Store


@dataclass
class Verdict:
    """``kills`` by step and what else happened; and what is wrong in the end.

    ``lost`` and ``repeated`` count records, ``backwards`` commits whose marker is not further than that of the one
    before, ``again`` commits that changed nothing.
    """

    kills: list[str] = field(default_factory=list)
    restarts: int = 0
    strangers: int = 0
    zombies: int = 0
    refused: int = 0
    commits: int = 0
    stuck: str = ""
    lost: int = 0
    repeated: int = 0
    backwards: int = 0
    again: int = 0

    @property
    def broke(self) -> frozenset[str]:
        """What of the promise was broken, in words."""
        words = [word for word in ("lost", "repeated", "backwards", "again") if getattr(self, word)]
        return frozenset((*words, *([self.stuck] if self.stuck else [])))

    @property
    def is_right(self) -> bool:
        return not self.broke


def committed(store: Store, ref: str = "master") -> int | None:
    """The position in a commit's marker; None if there is none, or while the commit is not finished."""
    try:
        if store.commit("dots", ref).finished is None:
            return None
        marker = json.loads(b"".join(store.get_file("dots", ref, "/mymark")))
    except (SpoutgenError, ValueError):
        return None
    position: int | None = marker["committed"]
    return position


def judge(verdict: Verdict, store: Store, last: int) -> None:
    """Look at the end state of a stream of ``last`` records."""
    found: list[bytes] = []
    try:
        infos = store.list_files("dots", "master", "/data")
    except SpoutgenError:
        infos = []
    for info in infos:
        found += b"".join(store.get_file("dots", "master", info.path)).splitlines() if info.kind == "file" else []
    commits = list(reversed(store.commits("dots", "master")))
    positions = [committed(store, commit.id) or 0 for commit in commits if commit.is_changed]
    if not last:  # it never came so far: what counts is what the marker claims
        last = max(positions, default=0)
    wanted = [line(n) for n in range(1, last + 1)]
    verdict.commits = len(commits)
    verdict.lost = len(set(wanted) - set(found))
    verdict.repeated = len(found) - len(set(found)) + len(set(found) - set(wanted))
    if verdict.strangers or verdict.zombies:
        # Others have committed, too, who leave the marker as it is or write the same batch.
        positions = [position for position, _ in groupby(positions)]
    elif not verdict.restarts:
        # What is sent a second time changes nothing.
        verdict.again = sum(not commit.is_changed for commit in commits)
    verdict.backwards = sum(a >= b for a, b in pairwise(positions))
