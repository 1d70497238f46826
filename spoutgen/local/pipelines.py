"""The pipelines of the local cluster: created, updated to a new version, inspected and deleted as with pachctl."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from spoutgen.errors import Diagnostic, MachineError, ProjectError
from spoutgen.local.refused import NotFoundError, RefusedError
from spoutgen.local.spec import MARKER_BRANCH, SpoutSpec, parse
from spoutgen.local.store import Store

_FIELDS = "name, version, spec, spec_commit, folder, created, updated, state, reason"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline as it was last created or updated; ``state`` is one of pachctl's words."""

    name: str
    version: int
    spec: SpoutSpec
    spec_commit: str
    folder: str
    created: datetime
    updated: datetime
    state: str
    reason: str

    @property
    def is_stopped(self) -> bool:
        """Whether it does not run, so that on 2.x others may write to its output."""
        return self.state == "paused"


def pipelines(store: Store) -> list[Pipeline]:
    """Every pipeline, the newest first."""
    with store.reading() as db:
        rows = db.execute(f"SELECT {_FIELDS} FROM pipelines ORDER BY created DESC, name").fetchall()
    return [_as_pipeline(row) for row in rows]


def find(store: Store, name: str) -> Pipeline | None:
    """The pipeline of that name, if there is one."""
    with store.reading() as db:
        row = db.execute(f"SELECT {_FIELDS} FROM pipelines WHERE name = ?", (name,)).fetchone()
    return None if row is None else _as_pipeline(row)


def inspect(store: Store, name: str) -> Pipeline:
    """The pipeline of that name. Raises NotFoundError."""
    found = find(store, name)
    if found is None:
        raise NotFoundError("pipeline", name, [pipeline.name for pipeline in pipelines(store)])
    return found


def submit(store: Store, spec: SpoutSpec, folder: Path) -> Pipeline:
    """Create the pipeline, or update it if its spec changed; the same spec again changes nothing.

    An update gives it the next version, keeps the branches' heads, and finishes open output commits empty
    (v1.13.4:src/server/pps/server/api_server.go:1051). Raises MachineError SG504 if the pipeline belongs to another
    project folder that is still there, ProjectError SG506 if the folder's name cannot be kept.
    """
    if not _is_text(str(folder)):
        problem = f"the local cluster cannot keep a folder's name that is not UTF-8: {folder}"
        raise ProjectError(Diagnostic("SG506", problem, None, "rename the folder, or run the project from a copy"))
    before = find(store, spec.name)
    if before is not None and before.folder != str(folder):
        _check_is_gone(before, folder)
        with store.writing() as db:
            db.execute("UPDATE pipelines SET folder = ? WHERE name = ?", (str(folder), spec.name))
    # The branches in the order in which pachctl then lists them: marker, master.
    has_marker_branch = spec.marker and spec.pachyderm == 1
    branches = (spec.output_branch, MARKER_BRANCH) if has_marker_branch else (spec.output_branch,)
    if before is None:
        store.create_repo(spec.name, f"Output repo for pipeline {spec.name}.", branches)
        insert(store, spec, str(folder))
    elif before.spec.document != spec.document:
        if spec.pachyderm == 1:
            _finish_open_commits(store, spec.name)
        store.create_repo(spec.name, f"Output repo for pipeline {spec.name}.", branches)
        add_version(store, spec)
    return inspect(store, spec.name)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def insert(store: Store, spec: SpoutSpec, folder: str) -> None:
    """Note a pipeline that there was not; its repo is the caller's business."""
    with store.writing() as db:
        text, now = _as_text(spec), store.now()
        values = (spec.name, 1, text, uuid4().hex, folder, now, now, "starting", "")
        db.execute(f"INSERT INTO pipelines ({_FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def add_version(store: Store, spec: SpoutSpec) -> None:
    """Give a pipeline its next version."""
    with store.writing() as db:
        db.execute(
            "UPDATE pipelines SET version = version + 1, spec = ?, spec_commit = ?, updated = ? WHERE name = ?",
            (_as_text(spec), uuid4().hex, store.now(), spec.name),
        )


def _check_is_gone(before: Pipeline, folder: Path) -> None:
    if (Path(before.folder) / "pipeline.json").is_file():
        raise MachineError(
            Diagnostic(
                "SG504",
                f"pipeline {before.name!r} was made from another project folder, {before.folder}",
                None,
                f"run it there; or give the spec in {folder} another name; or forget the old one with its data:"
                f" spoutgen local delete pipeline {before.name}; or use a second cluster: SPOUTGEN_HOME=DIR",
            )
        )


def _finish_open_commits(store: Store, repo: str) -> None:
    """Finish them empty. A worker that runs meanwhile may have finished or deleted one since it was seen open."""
    for branch in store.branches(repo):
        if branch.head is not None:
            with suppress(NotFoundError, RefusedError):
                if store.commit(repo, branch.head).finished is None:
                    store.finish_commit(repo, branch.head, is_empty=True)


def set_state(store: Store, name: str, state: str, reason: str = "") -> None:
    """Write down how the pipeline is, in pachctl's words: starting, running, failure, paused, ..."""
    with store.writing() as db:
        db.execute("UPDATE pipelines SET state = ?, reason = ? WHERE name = ?", (state, reason, name))


def delete(store: Store, name: str) -> None:
    """Delete a pipeline and its repo with all its data. Raises NotFoundError."""
    inspect(store, name)
    if any(repo.name == name for repo in store.repos()):
        store.delete_repo(name)
    with store.writing() as db:
        db.execute("DELETE FROM pipelines WHERE name = ?", (name,))


def _as_text(spec: SpoutSpec) -> str:
    return json.dumps(spec.document, ensure_ascii=False)


def _as_pipeline(row: Any) -> Pipeline:
    name, version, text, spec_commit, folder, created, updated, state, reason = row
    times = datetime.fromisoformat(created), datetime.fromisoformat(updated)
    return Pipeline(name, version, parse(json.loads(text)), spec_commit, folder, *times, state, reason)
