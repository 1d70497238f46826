"""Where a spout's marker is kept: on a cluster, or in the local store. Both answer the same questions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from spoutgen.cluster.client import MARKER_BRANCH, Cluster, CommitFact, LivePipeline
from spoutgen.cluster.failures import ClusterError, problem
from spoutgen.errors import Diagnostic, ProjectError
from spoutgen.local.home import Home, running
from spoutgen.local.model import Commit, Put
from spoutgen.local.pachd.commits import Commits, Target
from spoutgen.local.pachd.paths import Change
from spoutgen.local.pipelines import Pipeline
from spoutgen.local.refused import NotFoundError, RefusedError
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

    @property
    def document(self) -> Mapping[str, Any]:
        """The pipeline, as it is live."""

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
        self.document = pipeline.document
        self.facts = facts(pipeline.document, cluster.target)
        self._name = marker_name(self.facts)
        self._has_parts = self.facts.marker is not None and self.facts.marker.is_prefix
        self._cluster = cluster
        self._repo = pipeline.name
        self._branch = marker_branch(self.facts)
        self._clock, self._sleep = clock, sleep
        self.title = f"{self._repo}@{self._branch}:/{self._name}"

    def commits(self, number: int) -> list[CommitFact]:
        """The newest commits of the marker's branch."""
        return self._cluster.commits(self._repo, self._branch, number)

    def settle(self, branch: str | None = None) -> None:
        """Wait until a branch's head is finished, on 2.x with an eye on its validation. Raises ClusterError SG608."""
        until = self._clock() + _SETTLED_WITHIN
        where = branch or self._branch
        while (head := next(iter(self._cluster.commits(self._repo, where, 1)), None)) is not None:
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
            self.finish_open()
            yield
            return
        if not is_stop:
            hint = "--stop stops it, makes the change and starts it again"
            raise ClusterError(
                problem("SG611", f"{self._repo} is {pipeline.state}: it would write over a change", hint)
            )
        stop(self._cluster, self._repo, self._clock, self._sleep)
        try:
            self.finish_open()
            yield
        finally:
            self._cluster.start(self._repo)

    def write(self, data: bytes) -> None:
        """Put the marker."""
        self._cluster.write_file(self._repo, self._branch, f"/{self._name}", data)
        self.settle()

    def move(self, name: str, branch: str, data: bytes) -> str:
        """Put ``data`` where the marker is to be from now on; gives the new place's title."""
        if branch == self._branch:
            self._cluster.move_marker(self._repo, branch, self._name, self._has_parts, name, data)
            self.settle()
        else:
            self._cluster.finish_open(self._repo, branch)
            self._cluster.write_file(self._repo, branch, f"/{name}", data)
            self.settle(branch)
        return f"{self._repo}@{branch}:/{name}"

    def drop(self) -> None:
        """Leave the spout without a marker."""
        self._cluster.drop_marker(self._repo, self._branch, self._name, self._has_parts)
        self.settle()

    def finish_open(self) -> None:
        """Finish what nobody else finishes while the spout is stopped, so that a change gets its own commit."""
        self._cluster.finish_open(self._repo, self._branch)
        self.settle()

    def _pipeline(self) -> LivePipeline:
        return inspected(self._cluster, self._repo)


@dataclass(frozen=True, slots=True)
class LocalPlace:
    """The marker of a pipeline of the local cluster, 1.x or 2.x."""

    home: Home
    store: Store
    pipeline: Pipeline

    @property
    def facts(self) -> Facts:
        """Which spout it is."""
        return facts(self.pipeline.spec.document, self.target)

    @property
    def document(self) -> Mapping[str, Any]:
        """The pipeline."""
        return self.pipeline.spec.document

    @property
    def target(self) -> int:
        """1 or 2."""
        return self.pipeline.spec.pachyderm

    @property
    def branch(self) -> str:
        """Where the marker is."""
        return self.pipeline.spec.marker_branch

    @property
    def title(self) -> str:
        """Where it is, for people."""
        return f"{self.pipeline.name}@{self.branch}:{self._path} of the local cluster"

    def commits(self, number: int) -> list[CommitFact]:
        """The newest commits of the marker's branch."""
        if self.store.head(self.pipeline.name, self.branch) is None:
            return []
        found = self.store.commits(self.pipeline.name, self.branch, number)
        return [CommitFact(each.id, each.branch, each.started, each.finished, each.size, each.error) for each in found]

    def read(self, commit: str | None = None) -> bytes | None:
        """The marker's bytes. An open or errored commit is none to go on from."""
        ref = commit or next((each.id for each in self.commits(20) if each.finished and not each.error), None)
        try:
            return b"".join(self.store.get_file(self.pipeline.name, ref, self._path)) if ref else None
        except NotFoundError:
            return None

    @contextmanager
    def changing(self, is_stop: bool) -> Iterator[None]:
        """Hold the pipeline, so that no run of it starts meanwhile; a run belongs to a terminal, so none is stopped."""
        with running(self.home, self.pipeline.name):
            if self.target == 2:
                self._repair()
            yield

    def write(self, data: bytes) -> None:
        """Put the marker."""
        if self.target == 2:
            self._modify(Change(self._path, None), Change(self._path, [data]))
        else:
            self.store.put_files(self.pipeline.name, [Put(self.branch, self._path, [data], True)])

    def drop(self) -> None:
        """Leave the spout without a marker."""
        if self.target == 2:
            self._modify(*(Change(path, None) for path in self._files()))
        else:
            self.store.drop_head(self.pipeline.name, self.branch)

    @property
    def _path(self) -> str:
        return f"/{marker_name(self.facts)}"

    def _files(self) -> list[str]:
        """The marker's files: by prefix the parts, too."""
        marker = self.facts.marker
        if marker is None or not marker.is_prefix:
            return [self._path]
        listed = self.store.list_files(self.pipeline.name, self.branch)
        return [each.path for each in listed if each.kind == "file" and each.path.startswith(self._path)]

    @contextmanager
    def _committing(self) -> Iterator[Commits]:
        """The commits of 2.x, where each is validated and finished after it was made."""
        commits = Commits(Store(self.home.store, is_shared=True), lambda _: None)
        commits.start()
        try:
            yield commits
        finally:
            commits.close()

    def _repair(self) -> None:
        """Clear and finish an open head, as the runtime does at its start: a change must not be written into it."""
        head = next(iter(self.commits(1)), None)
        if head is None or head.finished is not None:
            return
        target = Target(self.pipeline.name, self.branch, head.id)
        with self._committing() as commits:
            if commits.find(target).finishing is None:
                commits.clear_commit(target)
                commits.finish_commit(target)
            self._wait(commits, target)

    def _modify(self, *changes: Change) -> None:
        target = Target(self.pipeline.name, self.branch, "")
        with self._committing() as commits:
            commits.modify(target, changes, lambda repo, branch: None)
            commit = self._wait(commits, target)
        if commit.error:
            message = f"commit {commit.id} of {self.pipeline.name} is not good: {commit.error}"
            raise RefusedError(message, "the marker is as it was before")

    def _wait(self, commits: Commits, target: Target) -> Commit:
        return commits.wait(target, lambda commit: commit.finished is not None, lambda: False)


def marker_name(of: Facts) -> str:
    """The marker's exact name. Raises ProjectError SG612 for a pipeline without one."""
    if of.marker is None:
        hint = "`spoutgen deploy` makes it a spout with a marker"
        raise ProjectError(Diagnostic("SG612", f"the pipeline {of.name} has no marker", None, hint))
    return of.marker.name


def marker_branch(of: Facts) -> str:
    """The branch that has the marker: on 2.x the one with the data."""
    return MARKER_BRANCH if of.pachyderm == 1 else of.branch


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
