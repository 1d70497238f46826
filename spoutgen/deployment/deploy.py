"""Carry a plan out, and see that the spout runs. All of it can be run again after any interruption."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from spoutgen.cluster.client import Cluster, LivePipeline
from spoutgen.cluster.failures import ClusterError, is_there_already, problem
from spoutgen.deployment.held import begin, check_can_begin, is_to_begin, waiting
from spoutgen.deployment.places import ClusterPlace, inspected, marker_branch, marker_name, stop
from spoutgen.deployment.plan import DeployPlan, check_is_safe, plan
from spoutgen.deployment.project import Project
from spoutgen.errors import Diagnostic
from spoutgen.project.conflicts import located

Say = Callable[[str], None]

_LOOK = 0.25  # seconds between two looks, growing to
_LONGEST_LOOK = 2.0
_CRASHES = 3  # looks in a row: a pod that is being replaced may look as if it crashed, for a moment
_LOG_LINES = 20
_NO_IMAGE = re.compile(r"ErrImage|ImagePull|InvalidImageName|pull(?:ing)? image|manifest unknown", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Options:
    """``wait`` is how many seconds the spout has to begin to run; 0: do not look.

    ``marker`` is what a new pipeline is to go on from, ``marker_file`` where that came from, for people.
    """

    is_dry: bool = False
    is_move_allowed: bool = False
    is_repo_kept: bool = False
    wait: float = 300.0
    marker: bytes | None = None
    marker_file: str = ""


@dataclass(frozen=True, slots=True)
class Timing:
    """The clock, and how to wait."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def make_plan(project: Project, cluster: Cluster, options: Options) -> DeployPlan:
    """The plan, checked: whatever would lose the marker is an error."""
    try:
        made = plan(project, cluster)
    except ClusterError as error:
        if error.code != "SG607" or not options.is_repo_kept or cluster.target != 1:
            raise
        made = DeployPlan(project, "create", None, (), "none: it begins at the beginning", (), False)
    if options.marker is not None:
        words = check_can_begin(made, options.marker, options.marker_file)
        made = replace(made, marker=f"{words}, from {options.marker_file}" if is_to_begin(made) else made.marker)
    elif made.is_held:
        raise ClusterError(waiting(made))
    check_is_safe(made, options.is_move_allowed)
    return made


def deploy(made: DeployPlan, cluster: Cluster, options: Options, say: Say, timing: Timing = Timing()) -> None:
    """Do what the plan says. Raises ClusterError; the same command again goes on where it was cut off."""
    name, is_restarted = made.project.name, False
    version = 1 if made.version is None else made.version + (made.action == "update")
    if options.marker is not None and is_to_begin(made):
        version = begin(made, options.marker, cluster, say, timing.clock, timing.sleep)
        is_restarted = True
    elif made.action == "create":
        _create(made, cluster)
        say("created")
    elif made.action == "update":
        if made.moved is not None:
            _move(made, made.moved, cluster, say, timing)
        cluster.submit(made.project.document, is_update=True)
        say(f"updated: version {version}")
    else:
        say(f"up to date: version {made.version}")
    # After an interruption too: whoever asks for a move was the one who stopped it.
    if made.moved is not None or (options.is_move_allowed and made.is_stopped):
        cluster.start(name)
        say("started")
    elif made.is_stopped and not is_restarted:
        say(f"it is stopped and stays so; pachctl start pipeline {name}")
        return
    if options.wait:
        wait_until_it_runs(made, version, cluster, options.wait, timing)
        say("running")


def _create(made: DeployPlan, cluster: Cluster) -> None:
    try:
        cluster.submit(made.project.document, is_update=False)
    except ClusterError as error:
        # Somebody else was quicker, or the answer to our own first try was lost: the next plan tells which.
        if not is_there_already(error.diagnostics[0].message) or plan(made.project, cluster).action != "nothing":
            raise


def _move(made: DeployPlan, data: bytes, cluster: Cluster, say: Say, timing: Timing) -> None:
    """Lay the marker under its new name while nothing writes; on 2.x the old one goes in the same commit."""
    name = made.project.name
    if not made.is_stopped:
        stop(cluster, name, timing.clock, timing.sleep)
        say("stopped")
        # What it committed until it stopped counts.
        again = plan(made.project, cluster)
        data = again.moved if again.moved is not None else data
    place = ClusterPlace(cluster, inspected(cluster, name), timing.clock, timing.sleep)
    place.finish_open()
    moved = place.move(marker_name(made.project.facts), marker_branch(made.project.facts), data)
    say(f"the marker is now {moved}")


def wait_until_it_runs(made: DeployPlan, version: int, cluster: Cluster, wait: float, timing: Timing) -> None:
    """Wait until the deployed ``version`` runs. Raises ClusterError SG608 with the reason and the last of its log."""
    until, look, crashes = timing.clock() + wait, _LOOK, 0
    while True:
        live = inspected(cluster, made.project.name)
        if live.version >= version and live.state == "running":
            _check_its_log(made, cluster)
            return
        crashes = crashes + 1 if live.state == "crashing" else 0
        if live.state == "failure" or crashes >= _CRASHES:
            raise ClusterError(_why(made, live, cluster, f"is {live.state}"))
        if timing.clock() >= until:
            raise ClusterError(_why(made, live, cluster, f"is still {live.state} after {wait:g} seconds"))
        timing.sleep(look)
        look = min(look * 1.5, _LONGEST_LOOK)


def _why(made: DeployPlan, live: LivePipeline, cluster: Cluster, what: str) -> Diagnostic:
    reason = f": {live.reason}" if live.reason else ""
    if _NO_IMAGE.search(live.reason):
        image, where = made.project.image, located(made.project.folder)
        hint = f"has {image} been pushed, and may the cluster pull it? spoutgen build --push{where}, then deploy again"
        return problem("SG608", f"{live.name} {what}{reason}", hint)
    lines = last_lines(cluster, live.name, _LOG_LINES)
    said = f"; the last in its log: {lines[-1]}" if lines else ""
    return problem("SG608", f"{live.name} {what}{reason}{said}", f"spoutgen logs{located(made.project.folder)}")


def _check_its_log(made: DeployPlan, cluster: Cluster) -> None:
    """A runtime that refuses its marker or config is started again and again, and the cluster calls that running."""
    for line in reversed(last_lines(cluster, made.project.name, _LOG_LINES)):
        fact = _as_fact(line)
        if fact is None:
            continue
        if fact.get("level") == "fatal":
            parts = [f"{key} {fact[key]}" for key in ("found", "expected") if fact.get(key)]
            message = f"{made.project.name} starts and ends at once: {'; '.join(map(str, parts)) or line}"
            raise ClusterError(problem("SG608", message, str(fact.get("remedy") or "") or None))
        return


def last_lines(cluster: Cluster, name: str, number: int) -> list[str]:
    """The newest lines of a log; none where the cluster has none to give yet."""
    try:
        return list(deque(cluster.logs(name, False), maxlen=number))
    except ClusterError as error:
        if error.code in ("SG601", "SG603"):
            raise
        return []


def _as_fact(line: str) -> dict[str, object] | None:
    try:
        fact = json.loads(line)
    except ValueError:
        return None
    return fact if isinstance(fact, dict) and "level" in fact else None
