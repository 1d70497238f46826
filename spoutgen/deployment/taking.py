"""Whether a spout would go on from a marker: its own runtime is asked, for only that knows how its source is named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spoutgen.deployment.position import MarkerError
from spoutgen.errors import SpoutgenError
from spoutgen.local.check import check
from spoutgen.local.environment import Secrets
from spoutgen.local.spec import parse

_SECONDS = 10.0


def is_taken(folder: Path, document: Mapping[str, Any], marker: bytes, environment: Mapping[str, str]) -> bool:
    """Whether the runtime of the project in ``folder`` was asked and takes the marker for the pipeline ``document``.

    False where it cannot be asked here: its driver is missing, say. Raises MarkerError SG612 where it refuses.
    """
    try:
        spec = parse(document)
        names = [each.env_var for each in spec.secrets if each.env_var and each.env_var in environment]
        secrets = Secrets({name: environment[name] for name in names})
        found = check(folder.resolve(), spec, secrets, environment, marker, _SECONDS, is_marker_only=True)
    except (SpoutgenError, OSError, KeyError, TypeError, ValueError, AttributeError):
        return False
    if found.outcome == "refused" and found.problem.startswith("marker:"):
        raise MarkerError(found.problem, found.fix)
    return found.outcome == "found"
