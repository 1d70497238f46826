"""pipeline.json as the worker reads it: what runs, with which marker, where its output goes."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spoutgen.errors import Diagnostic, Place, ProjectError

# v1.13.4:src/server/pps/server/api_server.go:1950 checks the same; here it also keeps the name inside its folder.
MARKER_BRANCH = "marker"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]*\Z")


@dataclass(frozen=True, slots=True)
class SecretRef:
    """A secret that the user code is given: as the variable ``env_var``, or as files at ``mount_path``."""

    name: str
    env_var: str | None
    mount_path: str | None


@dataclass(frozen=True, slots=True)
class SpoutSpec:
    """The part of a pipeline spec that the worker acts on; ``document`` is the whole of it.

    ``name`` is the store's name of pipeline and repo: with the project before a slash, unless that is ``default``.
    """

    name: str
    pachyderm: int
    is_spout: bool
    description: str
    cmd: tuple[str, ...]
    stdin: tuple[str, ...]
    env: Mapping[str, str]
    secrets: tuple[SecretRef, ...]
    accepted_statuses: frozenset[int]
    working_dir: str
    marker: str
    is_overwrite: bool
    output_branch: str
    document: Mapping[str, Any]

    @property
    def marker_branch(self) -> str:
        """The branch that has the marker: on 2.x the one with the data."""
        return MARKER_BRANCH if self.pachyderm == 1 else self.output_branch


def read_spec(file: Path) -> SpoutSpec:
    """Read a project's pipeline.json. Raises ProjectError SG506 if it is not a spout's."""
    try:
        document = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise _wrong(file, f"it cannot be read: {why}") from error
    try:
        spec = parse(document)
        if not spec.is_spout:
            raise ValueError("it has no `spout`")
        if not spec.cmd:
            # v1.13.4:src/server/worker/driver/driver.go:731
            raise ValueError("no command specified (transform.cmd)")
        return spec
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _wrong(file, f"it is not the pipeline spec of a spout: {error}") from error


def parse(document: Mapping[str, Any]) -> SpoutSpec:
    """A pipeline spec's plain data as the worker sees it. Raises ValueError, KeyError or TypeError where it is none."""
    fields = _snake_case(document)
    transform, spout = _snake_case(fields["transform"]), _snake_case(fields.get("spout") or {})
    name, project = fields["pipeline"]["name"], (fields["pipeline"].get("project") or {}).get("name") or "default"
    for part in (name, project):
        if not isinstance(part, str) or not _NAME.match(part):
            raise ValueError(f"{part!r} is no name for a pipeline")
    marker = _marker_of_2(transform.get("env") or {})
    secrets = (_snake_case(secret) for secret in transform.get("secrets", ()))
    return SpoutSpec(
        name=name if project == "default" else f"{project}/{name}",
        pachyderm=1 if marker is None else 2,
        is_spout=fields.get("spout") is not None,
        description=fields.get("description", ""),
        cmd=tuple(transform.get("cmd", ())),
        stdin=tuple(transform.get("stdin", ())),
        env=dict(transform.get("env", {})),
        secrets=tuple(SecretRef(s["name"], s.get("env_var"), s.get("mount_path")) for s in secrets),
        accepted_statuses=frozenset(int(status) for status in transform.get("accept_return_code", ())),
        working_dir=transform.get("working_dir", ""),
        marker=spout.get("marker", "") if marker is None else marker,
        is_overwrite=bool(spout.get("overwrite", False)),
        output_branch=fields.get("output_branch") or "master",
        document=document,
    )


def _marker_of_2(env: Mapping[str, str]) -> str | None:
    """The marker of a spout that commits it itself, as on 2.x; None for any other pipeline.

    Only the runtime's own configuration says so: to Pachyderm 2 a marker is a file like any other.
    """
    try:
        config = json.loads(env["SPOUT_CONFIG"])
        return str(next(iter(config["marker"].values()))) if "target" in config else None
    except (KeyError, ValueError, TypeError, AttributeError, StopIteration):
        return None


def _snake_case(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same fields under their snake_case names; pachd reads camelCase as well."""
    return {re.sub(r"(?<=[a-z0-9])[A-Z]", lambda m: f"_{m[0].lower()}", key): value for key, value in fields.items()}


def _wrong(file: Path, message: str) -> ProjectError:
    # An update would not: a file that was deleted or edited stays so.
    anew = f"spoutgen render pipeline {shlex.quote(str(file.parent))} > {shlex.quote(str(file))}"
    hint = f"write it anew: {anew}; or take it from version control"
    return ProjectError(Diagnostic("SG506", f"the spout cannot be started: {message}", Place(str(file)), hint))
