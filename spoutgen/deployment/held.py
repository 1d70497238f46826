"""A pipeline that is made with its marker, so that it never begins at the beginning.

No cluster lets a marker be laid ready before its pipeline (1.x sets the branch ``marker`` to no head when the pipeline
is made, v1.13.4:src/server/pps/server/api_server.go:2833; 2.x refuses an output repo that is there,
v2.7.4:src/server/pps/server/api_server.go:2375), and none makes a pipeline stopped: stopping is no part of a
transaction (v2.11.6:src/transaction/transaction.proto). So the pipeline is made *held*: with a command that only waits.
Then it is stopped, given its marker, updated to the project's own spec, which leaves it stopped, and started. After an
interruption the same command goes on; what does not know the marker refuses to touch a held pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from spoutgen.cluster.client import Cluster, LivePipeline
from spoutgen.cluster.documents import specified
from spoutgen.cluster.failures import ClusterError, is_there_already, problem
from spoutgen.deployment.places import ClusterPlace, inspected, stop
from spoutgen.deployment.position import check_fits, in_words
from spoutgen.errors import Diagnostic
from spoutgen.project.conflicts import located

if TYPE_CHECKING:
    from spoutgen.deployment.plan import DeployPlan

# It ends by SIGKILL alone. Every image of ours has python3, and one that cannot be pulled holds as well.
_WAIT = ("python3", "-c", "import signal\nwhile True:\n    signal.pause()")


def is_held(live: LivePipeline) -> bool:
    """Whether a pipeline only waits for its marker."""
    return tuple((live.document.get("transform") or {}).get("cmd") or ()) == _WAIT


def held(document: Mapping[str, Any]) -> dict[str, Any]:
    """The pipeline with a command that waits."""
    return {**document, "transform": {**document["transform"], "cmd": list(_WAIT)}}


def waiting(made: DeployPlan) -> Diagnostic:
    """What to say of a held pipeline to whoever has no marker for it."""
    name, where = made.project.name, located(made.project.folder)
    return problem(
        "SG613",
        f"{name} waits for its marker: a `deploy --marker` was cut off, and until it has one nothing is read",
        f"run that again: spoutgen deploy --marker FILE{where}; or to begin at the beginning: pachctl delete pipeline"
        f" {name}, then spoutgen deploy{where}",
    )


def is_to_begin(made: DeployPlan) -> bool:
    """Whether ``deploy --marker`` has something to do: there is no pipeline yet, or one that is not started."""
    return made.version is None or made.is_held or made.is_stopped


def check_can_begin(made: DeployPlan, data: bytes, file: str) -> str:
    """The position in words, if the pipeline is not there yet, waits for it, is stopped without one, or has it already.

    Raises MarkerError SG612 for bytes that the spout cannot go on from, ClusterError SG614 if it has another marker.
    """
    words = in_words(check_fits(data, made.project.facts, None))
    is_open = made.version is None or made.is_held or (made.is_stopped and made.data is None)
    if is_open or made.data == data:
        return words
    name, where = made.project.name, located(made.project.folder)
    has = f"a marker: {made.marker}" if made.data is not None else "begun without one"
    raise ClusterError(
        problem(
            "SG614",
            f"{name} is there already and has {has}",
            f"spoutgen deploy{where} goes on from there; spoutgen marker import {file}{where} --stop puts the file in"
            " its place",
        )
    )


def begin(
    made: DeployPlan,
    data: bytes,
    cluster: Cluster,
    say: Callable[[str], None],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> int:
    """Make the pipeline, or go on making it, with ``data`` as its marker, and start it. Returns its version."""
    name, document = made.project.name, made.project.document
    if made.version is None:
        try:
            cluster.submit(held(document), is_update=False)
        except ClusterError as error:
            # The answer to our own first try was lost, or somebody else was quicker.
            if not is_there_already(error.diagnostics[0].message) or not is_held(inspected(cluster, name)):
                raise
        say("created; it waits for its marker")
    live = inspected(cluster, name)
    if not live.is_stopped:
        stop(cluster, name, clock, sleep)
        say("stopped")
    first = held(document) if is_held(live) else document
    if specified(live.document) != specified(first):
        cluster.submit(first, is_update=True)
    live = inspected(cluster, name)
    place = ClusterPlace(cluster, live, clock, sleep)
    place.finish_open()
    if place.read() != data:
        place.write(data)
        say(f"the marker is {place.title}")
    if is_held(live):
        # Not sooner: were it cut off here, a start by hand must not begin at the beginning.
        cluster.submit(document, is_update=True)
        live = inspected(cluster, name)
    say(f"updated: version {live.version}")
    cluster.start(name)
    say("started")
    return live.version
