"""Where a spout's marker is kept: on a cluster, or in the local store. Both answer the same questions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from spoutgen.cluster.client import MARKER_BRANCH, Cluster, CommitFact, LivePipeline
from spoutgen.cluster.failures import ClusterError, problem
from spoutgen.errors import Diagnostic, ProjectError
from spoutgen.local.home import Home, is_running, running
from spoutgen.local.model import Put
from spoutgen.local.pipelines import Pipeline
from spoutgen.local.store import Store
from spoutgen.project.difference import Facts, facts

_STOPPED_WITHIN = 120.0
_SETTLED_WITHIN = 60.0
_LOOK = 0.1


class Place(Protocol):
    """One spout's marker."""

    @property
    def title(self) -> str:
        """Where it is, for people."""

    @property
    def facts(self) -> Facts:
        """Which spout it is."""

    def commits(self, number: int) -> list[CommitFact]:
        """The newest commits of the marker's branch, newest first."""

    def read(self, commit: str | None = None) -> bytes | None:
        """The marker at a commit, or at the newest good one; None if there is none."""

    def changing(self, is_stop: bool) -> AbstractContextManager[None]:
        """Hold the spout still meanwhile. Raises SG611 (a cluster) or SG501 (here) while it runs.

        With ``is_stop`` a spout of a cluster is stopped first and started again afterwards, also after an error.
        """

    def write(self, data: bytes) -> None:
        """Put a marker in the place of what is there."""

    def drop(self) -> None:
        """Leave the spout without a marker."""


class ClusterPlace:
    """The marker of a pipeline of a cluster."""

    def __init__(
        self,
        cluster: Cluster,
        pipeline: LivePipeline,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.facts = facts(pipeline.document, cluster.target)
        self._name = marker_name(self.facts)
        self._cluster = cluster
        self._repo = pipeline.name
        output = str(pipeline.document.get("output_branch") or "master")
        self._branch = MARKER_BRANCH if cluster.target == 1 else output
        self._clock, self._sleep = clock, sleep
        self.title = f"{self._repo}@{self._branch}:/{self._name}"

    def commits(self, number: int) -> list[CommitFact]:
        """The newest commits of the marker's branch."""
        return self._cluster.commits(self._repo, self._branch, number)

    def settle(self) -> None:
        """Wait until the branch's head is finished, on 2.x with an eye on its validation. Raises ClusterError SG608."""
        until = self._clock() + _SETTLED_WITHIN
        while (head := next(iter(self.commits(1)), None)) is not None:
            if head.finished is not None and head.error:
                message = f"commit {head.id} of {self._repo} is not good: {head.error}"
                raise ClusterError(problem("SG609", message, "the marker is as it was before"))
            if head.finished is not None:
                return
            if self._clock() >= until:
                message = f"commit {head.id} of {self._repo} is not finished after {_SETTLED_WITHIN:g} seconds"
                raise ClusterError(problem("SG608", message, "run the command again"))
            self._sleep(_LOOK)

    def read(self, commit: str | None = None) -> bytes | None:
        """The marker's bytes. An open or errored commit is none to go on from."""
        ref = commit or next((each.id for each in self.commits(20) if each.finished and not each.error), None)
        return None if ref is None else self._cluster.read_file(self._repo, ref, f"/{self._name}")

    @contextmanager
    def changing(self, is_stop: bool) -> Iterator[None]:
        """Stop, let the change be made, start."""
        pipeline = self._pipeline()
        if pipeline.is_stopped:
            self._finish()
            yield
            return
        if not is_stop:
            hint = "--stop stops it, makes the change and starts it again"
            raise ClusterError(
                problem("SG611", f"{self._repo} is {pipeline.state}: it would write over a change", hint)
            )
        stop(self._cluster, self._repo, self._clock, self._sleep)
        try:
            self._finish()
            yield
        finally:
            self._cluster.start(self._repo)

    def write(self, data: bytes) -> None:
        """Put the marker."""
        self._cluster.write_file(self._repo, self._branch, f"/{self._name}", data)
        self.settle()

    def drop(self) -> None:
        """Leave the spout without a marker."""
        self._cluster.drop_marker(self._repo, self._branch, f"/{self._name}")
        self.settle()

    def _finish(self) -> None:
        self._cluster.finish_open(self._repo, self._branch)
        self.settle()

    def _pipeline(self) -> LivePipeline:
        return inspected(self._cluster, self._repo)


@dataclass(frozen=True, slots=True)
class LocalPlace:
    """The marker of a pipeline of the local cluster."""

    home: Home
    store: Store
    pipeline: Pipeline

    @property
    def facts(self) -> Facts:
        """Which spout it is."""
        return facts(self.pipeline.spec.document, self.target)

    @property
    def target(self) -> int:
        """1 or 2: a pipeline of 2.x has no `spout.marker`."""
        return 1 if self.pipeline.spec.marker else 2

    @property
    def branch(self) -> str:
        """Where the marker is."""
        return MARKER_BRANCH if self.target == 1 else self.pipeline.spec.output_branch

    @property
    def title(self) -> str:
        """Where it is, for people."""
        return f"{self.pipeline.name}@{self.branch}:/{marker_name(self.facts)} of the local cluster"

    def commits(self, number: int) -> list[CommitFact]:
        """The newest commits of the marker's branch."""
        if self.store.head(self.pipeline.name, self.branch) is None:
            return []
        found = self.store.commits(self.pipeline.name, self.branch, number)
        return [CommitFact(each.id, each.branch, each.started, each.finished, each.size) for each in found]

    def read(self, commit: str | None = None) -> bytes | None:
        """The marker's bytes."""
        from spoutgen.local.refused import NotFoundError

        ref = commit or next((each.id for each in self.commits(20) if each.finished), None)
        try:
            path = f"/{marker_name(self.facts)}"
            return b"".join(self.store.get_file(self.pipeline.name, ref, path)) if ref else None
        except NotFoundError:
            return None

    @contextmanager
    def changing(self, is_stop: bool) -> Iterator[None]:
        """Hold the pipeline, so that no run of it starts meanwhile; a run belongs to a terminal, so none is stopped."""
        with running(self.home, self.pipeline.name):
            yield

    def write(self, data: bytes) -> None:
        """Put the marker."""
        path = f"/{marker_name(self.facts)}"
        self.store.put_files(self.pipeline.name, [Put(self.branch, path, [data], True)])

    def drop(self) -> None:
        """Leave the spout without a marker."""
        if self.target != 1:
            message = "the marker of a 2.x pipeline cannot be dropped from the local cluster alone"
            hint = f"delete the pipeline with its data: spoutgen local delete pipeline {self.pipeline.name}"
            raise ProjectError(Diagnostic("SG612", message, None, hint))
        self.store.drop_head(self.pipeline.name, self.branch)

    @property
    def is_running(self) -> bool:
        """Whether some process runs it."""
        return is_running(self.home, self.pipeline.name)


def marker_name(of: Facts) -> str:
    """The marker's exact name. Raises ProjectError SG612 for a pipeline without one."""
    if of.marker is None:
        hint = "`spoutgen deploy` makes it a spout with a marker"
        raise ProjectError(Diagnostic("SG612", f"the pipeline {of.name} has no marker", None, hint))
    return of.marker.name


def inspected(cluster: Cluster, name: str) -> LivePipeline:
    """A spout of a cluster. Raises ClusterError SG610 if there is none of that name, SG606 if it is no spout."""
    found = cluster.pipeline(name)
    if found is None:
        hint = "`spoutgen deploy` makes it; or name another cluster: --context NAME"
        raise ClusterError(problem("SG610", f"there is no pipeline {name!r} at {cluster.address}", hint))
    if not found.is_spout:
        hint = "give the spec another `name:`; nothing was changed"
        raise ClusterError(problem("SG606", f"the pipeline {name!r} at {cluster.address} is not a spout", hint))
    return found


def stop(
    cluster: Cluster,
    name: str,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Stop a pipeline and wait until the cluster says that it is paused. Raises ClusterError SG608."""
    cluster.stop(name)
    until = clock() + _STOPPED_WITHIN
    while (found := inspected(cluster, name)).state != "paused":
        if clock() >= until:
            message = f"{name} was told to stop and is still {found.state} after {_STOPPED_WITHIN:g} seconds"
            raise ClusterError(problem("SG608", message, "nothing else was changed; run the command again"))
        sleep(_LOOK)


def age(moment: datetime | None, now: datetime) -> float | None:
    """How many seconds ago something was."""
    return None if moment is None else max(0.0, (now - moment).total_seconds())
