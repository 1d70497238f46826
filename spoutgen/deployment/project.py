"""A project that is to be deployed: its folder, and the pipeline that it describes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spoutgen.errors import Diagnostic, Place, ProjectError
from spoutgen.project.difference import Facts, facts
from spoutgen.project.lock import PIPELINE, read_lock


@dataclass(frozen=True, slots=True)
class Project:
    """``document`` is pipeline.json as it stands; ``target`` is 1 or 2, ``namespace`` the Pachyderm project of 2.x."""

    folder: Path
    target: int
    namespace: str | None
    document: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return str(self.document["pipeline"]["name"])

    @property
    def image(self) -> str:
        """The image that its pods run."""
        return str((self.document.get("transform") or {}).get("image") or "")

    @property
    def facts(self) -> Facts:
        """What decides whether a marker still has its meaning."""
        return facts(self.document, self.target)


def read_project(folder: Path) -> Project:
    """The project in a folder. Raises ProjectError SG401 (no project) or SG403 (pipeline.json is broken)."""
    lock = read_lock(folder)
    file = folder / PIPELINE
    try:
        document = json.loads(file.read_bytes())
        pipeline = document["pipeline"]
        if not isinstance(pipeline["name"], str):
            raise TypeError("the name is no text")
        project = pipeline.get("project") or {}
        return Project(folder, lock.pachyderm, project.get("name"), document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        hint = "put the file right, or take it from version control"
        raise ProjectError(
            Diagnostic("SG403", f"{PIPELINE} cannot be read: {error}", Place(str(file)), hint)
        ) from error
