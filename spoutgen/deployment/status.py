"""How a deployed spout goes: version, drift, state, last commits, marker, lag."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone

from spoutgen.cluster.client import Cluster, CommitFact, LivePipeline
from spoutgen.deployment.deploy import last_lines
from spoutgen.deployment.held import is_held
from spoutgen.deployment.lag import Lag
from spoutgen.deployment.places import ClusterPlace
from spoutgen.deployment.plan import marker_of, settings_between
from spoutgen.deployment.project import Project
from spoutgen.errors import SpoutgenError
from spoutgen.project.difference import Setting, facts
from spoutgen.project.step import check_image, check_in_step

_COMMITS = 5
_LOG_LINES = 200
# Up to here a commit that a dead pod left open is not cleaned up (pachyderm 1.9 and 1.10, src/server/worker/master.go).
_KEEPS_OPEN_COMMITS = re.compile(r"1\.(9|10)\.")
# 1.10.5 has the repo before it, 1.9.12 has not (v1.10.5:src/server/pfs/server/driver.go:1400, v1.9.12:1369).
_WAITS_FOR_COMMIT = r"parent commit (\S+@)?{}\b.* has not been finished"

# Asks the source of a live pipeline how far its marker (None: there is none) is behind.
Look = Callable[[Project, LivePipeline, "bytes | None"], Lag]


@dataclass(frozen=True, slots=True)
class Status:
    """One spout. ``drift`` is how the cluster differs from the project, ``local`` what keeps it from being deployed.

    ``live`` is None where there is no such pipeline; ``marker_time`` is when the marker was committed; ``lag`` is None
    where nobody looked.
    """

    project: Project
    cluster_version: str
    live: LivePipeline | None
    drift: tuple[Setting, ...]
    local: tuple[str, ...]
    commits: tuple[CommitFact, ...]
    marker: str
    marker_time: datetime | None
    lag: Lag | None
    advice: tuple[str, ...]

    @property
    def is_well(self) -> bool:
        """Whether it runs as the project says."""
        return self.live is not None and self.live.state == "running" and not (self.drift or self.local or self.advice)


def status(project: Project, cluster: Cluster, look: Look | None = None) -> Status:
    """Look at one spout. Raises ClusterError; changes nothing."""
    version, live, local = cluster.version(), cluster.pipeline(project.name), _out_of_step(project)
    if live is None:
        return Status(project, version, None, (), local, (), "none", None, None, ())
    if not live.is_spout:
        advice = (f"the pipeline {live.name!r} is not a spout; give the spec another name",)
        return Status(project, version, live, (), local, (), "none", None, None, advice)
    old = facts(live.document, cluster.target)
    words, data = marker_of(cluster, live, old)
    marked = ClusterPlace(cluster, live).commits(_COMMITS) if old.marker else []
    newest = next((each.finished for each in marked if each.finished and not each.error), None)
    lag = look(project, live, data) if look is not None and old.marker else None
    commits = cluster.commits(live.name, str(live.document.get("output_branch") or "master"), _COMMITS)
    return Status(
        project=project,
        cluster_version=version,
        live=live,
        drift=settings_between(live, project),
        local=local,
        commits=tuple(commits),
        marker=words,
        marker_time=newest,
        lag=lag,
        advice=(*_advice(live, version, commits, cluster), *(_refusal(lag) if lag else ())),
    )


def now() -> datetime:
    """The time that ages are counted from."""
    return datetime.now(timezone.utc)


def _out_of_step(project: Project) -> tuple[str, ...]:
    found = []
    for check in (check_in_step, check_image):
        try:
            check(project.folder)
        except SpoutgenError as error:
            found += [diagnostic.message for diagnostic in error.diagnostics]
    return tuple(found)


def _refusal(lag: Lag) -> tuple[str, ...]:
    hint = "`spoutgen marker import FILE --stop`, or `marker rewind`, puts another in its place"
    return (f"the spout does not go on from its marker: {lag.note}; {hint}",) if lag.is_refused else ()


def _advice(live: LivePipeline, version: str, commits: list[CommitFact], cluster: Cluster) -> list[str]:
    found = []
    if is_held(live):
        found.append("it waits for its marker, and reads nothing until it has one: spoutgen deploy --marker FILE")
    for commit in commits:
        if commit.error:
            found.append(f"commit {commit.id} is not good: {commit.error}")
    is_open = bool(commits) and commits[0].finished is None
    if is_open and _KEEPS_OPEN_COMMITS.match(version):
        # An idle worker of these versions has an open commit too; one that is refused its own says so in the log.
        lines = last_lines(cluster, live.name, _LOG_LINES)
        # The log may still speak of one that somebody has deleted since, so it must be this very commit.
        waits = re.compile(_WAITS_FOR_COMMIT.format(re.escape(commits[0].id)))
        if live.is_stopped or any(waits.search(line) for line in lines):
            found.append(
                f"a pod that died left commit {commits[0].id} open, and Pachyderm {version} starts no other one until"
                f" it is gone: pachctl delete commit {live.name}@{commits[0].id}"
            )
    return found
