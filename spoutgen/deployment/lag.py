"""How far a deployed spout is behind its source: the look of `spoutgen check`, from here, with the marker's position.

The project's runtime looks, in a process of its own, with the settings of the pipeline that is live: they are what its
marker is a position in. Where the source cannot be looked at from here, that is no error; the note says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spoutgen.cluster.client import LivePipeline
from spoutgen.deployment.project import Project
from spoutgen.errors import SpoutgenError
from spoutgen.local.check import check
from spoutgen.local.environment import find_secrets
from spoutgen.local.spec import parse

_LONGEST = 300
ROW = "lag"  # the name that a probe gives the row with it


@dataclass(frozen=True, slots=True)
class Lag:
    """``amount`` in the source's own words ("12 records"); where it is None, ``note`` says why.

    ``is_blind`` says that the source has nothing outside that could be looked at, from anywhere; ``is_refused`` that
    the runtime does not take the marker.
    """

    amount: str | None
    note: str | None = None
    is_blind: bool = False
    is_refused: bool = False


def look(
    project: Project, live: LivePipeline, marker: bytes | None, seconds: float, environment: Mapping[str, str]
) -> Lag:
    """Ask the source, for ``seconds`` at most. Raises nothing that a source or a project may be to blame for."""
    if marker is None:
        return Lag(None, "there is no marker yet to count from")
    try:
        spec = parse(live.document)
        secrets = find_secrets(spec.secrets, environment)
        found = check(project.folder.resolve(), spec, secrets, environment, marker, seconds)
    except SpoutgenError as error:
        return Lag(None, _brief("; ".join(diagnostic.message for diagnostic in error.diagnostics)))
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        return Lag(None, _brief(f"the source cannot be looked at: {error}"))
    if found.outcome == "blind":
        return Lag(None, "the source has nothing outside to look at", is_blind=True)
    if found.problem:
        is_refused = found.outcome == "refused" and found.problem.startswith("marker:")
        return Lag(None, _brief(found.problem), is_refused=is_refused)
    amount = next((how for what, how in found.rows if what == ROW), None)
    if amount is not None:
        return Lag(amount)
    return Lag(None, _brief("the source tells none: " + "; ".join(f"{what} {how}" for what, how in found.rows)))


def _brief(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
