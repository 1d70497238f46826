"""A project beside the pipeline that is live: what a deployment would do, and what stands in its way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from spoutgen.cluster.client import Cluster, LivePipeline
from spoutgen.cluster.documents import specified
from spoutgen.cluster.failures import ClusterError, problem
from spoutgen.deployment.held import is_held
from spoutgen.deployment.places import ClusterPlace, marker_branch
from spoutgen.deployment.position import MarkerError, in_words, read
from spoutgen.deployment.project import Project
from spoutgen.errors import Diagnostic, ProjectError
from spoutgen.project.conflicts import located
from spoutgen.project.difference import Facts, Setting, differences, facts
from spoutgen.project.safety import Consequence, consequences

Action = Literal["create", "update", "nothing"]


@dataclass(frozen=True, slots=True)
class DeployPlan:
    """What a deployment does.

    ``version`` is that of the live pipeline (None: there is none), ``marker`` its position in words, ``moved`` the
    marker's bytes where they must be carried to another name first. ``data`` is the live marker, ``is_held`` says that
    the pipeline waits for one.
    """

    project: Project
    action: Action
    version: int | None
    settings: tuple[Setting, ...]
    marker: str
    consequences: tuple[Consequence, ...]
    is_stopped: bool
    moved: bytes | None = None
    data: bytes | None = None
    is_held: bool = False


def plan(project: Project, cluster: Cluster) -> DeployPlan:
    """Compare, and read the marker's position. Changes nothing.

    Raises ClusterError SG606 for a pipeline that is no spout, SG607 for an output repo without its pipeline.
    """
    live = cluster.pipeline(project.name)
    if live is None:
        if cluster.has_repo(project.name):
            raise ClusterError(_left_behind(project, cluster))
        return DeployPlan(project, "create", None, (), "none yet: it begins at the beginning", (), False)
    if not live.is_spout:
        hint = f"give the spec another name: spoutgen set name=...{located(project.folder)}; nothing was changed"
        raise ClusterError(problem("SG606", f"the pipeline {live.name!r} at {cluster.address} is not a spout", hint))
    changes = settings_between(live, project)
    old, new = facts(live.document, cluster.target), project.facts
    old = replace(old, project=new.project)  # that is where it was found
    found = tuple(consequences(old, new, located(project.folder)))
    words, data = marker_of(cluster, live, old)
    if data is None and old.marker:
        # Nothing was committed so far, so nothing can be lost.
        found = tuple(each for each in found if new.marker is None)
    moved = data if any(each.is_move for each in found) else None
    action: Action = "update" if changes else "nothing"
    return DeployPlan(project, action, live.version, changes, words, found, live.is_stopped, moved, data, is_held(live))


def settings_between(live: LivePipeline, project: Project) -> tuple[Setting, ...]:
    """In which settings the pipeline of a cluster differs from the project."""
    return differences(specified(live.document), specified(project.document))


def marker_of(cluster: Cluster, live: LivePipeline, old: Facts) -> tuple[str, bytes | None]:
    """The live marker in words, and its bytes."""
    if old.marker is None:
        return "none: the pipeline has no marker", None
    data = ClusterPlace(cluster, live).read()
    if data is None:
        return "none yet: nothing was committed", None
    try:
        return in_words(read(data)), data
    except MarkerError as error:
        return f"not to be understood: {error.diagnostics[0].message}", data


def check_is_safe(plan: DeployPlan, is_move_allowed: bool) -> None:
    """Raise ProjectError, with what would happen and the safe commands, for what would lose the marker."""
    for each in plan.consequences:
        if plan.moved is not None and is_move_allowed:
            continue
        hint = "; ".join(each.commands)
        if plan.moved is not None:
            hint = f"spoutgen deploy --move-marker{located(plan.project.folder)} does that"
        raise ProjectError(Diagnostic(each.code, f"{each.what}. {each.explanation}", None, hint))


def _left_behind(project: Project, cluster: Cluster) -> Diagnostic:
    name, facts_of_it, where = project.name, project.facts, located(project.folder)
    marker = f"{name}@{marker_branch(facts_of_it)}:/{facts_of_it.marker.name if facts_of_it.marker else 'MARKER'}"
    saved = f"pachctl get file {marker}{f' --project {project.namespace}' if project.namespace else ''} > FILE"
    go_on = (
        f"spoutgen deploy --keep-repo --marker FILE{where}"
        if cluster.target == 1
        # v2.7.4:src/server/pps/server/api_server.go:2375
        else f"delete the repo, for 2.x makes no pipeline over one, and spoutgen deploy --marker FILE{where}"
    )
    return problem(
        "SG607",
        f"there is a repo {name!r} at {cluster.address}, but no pipeline that writes it: a new one would take the repo,"
        " begin at the beginning, and write what is there already a second time",
        f"to begin anew: pachctl delete repo {name}; to go on: save the marker ({saved}), then {go_on}",
    )
