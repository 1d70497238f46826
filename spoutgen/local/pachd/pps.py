"""pps_v2.API: pipelines are created, updated, started, stopped, inspected and deleted, and their logs read."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from betterproto.lib.google.protobuf import Empty
from pachyderm_sdk.api import pfs, pps

from spoutgen.local import pipelines
from spoutgen.local.home import Home
from spoutgen.local.pachd.commits import Commits, Target
from spoutgen.local.pachd.names import split, store_name
from spoutgen.local.pachd.pfs import check_project
from spoutgen.local.pachd.specs import check, parsed
from spoutgen.local.pachd.wire import AlreadyExistsError, Call, Method
from spoutgen.local.pipelines import Pipeline
from spoutgen.local.refused import NotFoundError, RefusedError
from spoutgen.local.spec import SpoutSpec, parse

_STATES = {
    "starting": pps.PipelineState.PIPELINE_STARTING,
    "running": pps.PipelineState.PIPELINE_RUNNING,
    "restarting": pps.PipelineState.PIPELINE_RESTARTING,
    "failure": pps.PipelineState.PIPELINE_FAILURE,
    "paused": pps.PipelineState.PIPELINE_PAUSED,
    "standby": pps.PipelineState.PIPELINE_STANDBY,
    "crashing": pps.PipelineState.PIPELINE_CRASHING,
}
_FOLLOW_SECONDS = 0.1
# v2.8.0:src/pps/pps.proto has CreatePipelineV2 and user_spec_json, v2.7.4 has neither.
_FIRST_WITH_V2 = (2, 8, 0)


@dataclass(frozen=True, slots=True)
class Pods:
    """What becomes of a pipeline's pod: ``replace`` after create, start, and the update of one that is not stopped;
    ``remove`` after stop and delete.

    Called when the change is committed, with the store's name of the pipeline.
    """

    replace: Callable[[str], None]
    remove: Callable[[str], None]


def methods(commits: Commits, home: Home, pods: Pods, version: tuple[int, int, int]) -> dict[str, Method]:
    """The calls, by name, of a server of that version."""
    service = Pps(commits, home, pods, has_v2=version >= _FIRST_WITH_V2)
    table = {
        "CreatePipeline": Method(pps.CreatePipelineRequest, service.create_pipeline, in_transaction=True),
        "CreatePipelineV2": Method(pps.CreatePipelineV2Request, service.create_pipeline_v2, in_transaction=True),
        "InspectPipeline": Method(pps.InspectPipelineRequest, service.inspect_pipeline),
        "ListPipeline": Method(pps.ListPipelineRequest, service.list_pipeline, "stream out"),
        "StartPipeline": Method(pps.StartPipelineRequest, service.start_pipeline),
        "StopPipeline": Method(pps.StopPipelineRequest, service.stop_pipeline),
        "DeletePipeline": Method(pps.DeletePipelineRequest, service.delete_pipeline),
        "GetLogs": Method(pps.GetLogsRequest, service.get_logs, "stream out"),
    }
    if version < _FIRST_WITH_V2:
        del table["CreatePipelineV2"]
    return {f"pps_v2.API/{name}": method for name, method in table.items()}


class Pps:
    """Answers the calls from the store of ``commits``; logs are in ``home``."""

    def __init__(self, commits: Commits, home: Home, pods: Pods, *, has_v2: bool) -> None:
        self._commits = commits
        self._has_v2 = has_v2
        self._home = home
        self._pods = pods

    # Create and update

    def create_pipeline(self, request: Any, call: Call) -> Any:
        """What the client could not say is lost on the way, an empty ``spout`` for one: then it is no spout."""
        document = request.to_dict()
        for name in ("update", "reprocess", "dryRun", "specCommit"):
            document.pop(name, None)
        self._create(json.dumps(document), request.update, request.dry_run, call)
        return Empty()

    def create_pipeline_v2(self, request: Any, call: Call) -> Any:
        effective = self._create(request.create_pipeline_request_json, request.update, request.dry_run, call)
        return pps.CreatePipelineV2Response(effective_create_pipeline_request_json=json.dumps(effective))

    def _create(self, text: str, is_update: bool, is_dry_run: bool, call: Call) -> dict[str, Any]:
        document = parsed(text)
        check(document)
        spec = parse(document)
        with self._commits.locked() as store:
            check_project(store, split(spec.name)[0])
            before = pipelines.find(store, spec.name)
            if before is not None and not is_update:
                raise AlreadyExistsError(f'pipeline "{_full(spec.name)}" already exists')
            if before is None and spec.name in {repo.name for repo in store.repos()}:
                problem = "cannot be created because a repo with the same name already exists"
                raise RefusedError(f'pipeline "{split(spec.name)[1]}" {problem}')
            if is_dry_run:
                return document
            with store.writing():
                self._submit(before, spec, call)
        self._commits.wake()
        if not call.transaction and not (before is not None and before.is_stopped):
            self._pods.replace(spec.name)
        return document

    def _submit(self, before: Pipeline | None, spec: SpoutSpec, call: Call) -> None:
        store = self._commits.store
        if before is None:
            store.create_repo(spec.name, f"Output repo for pipeline {_full(spec.name)}.")
            pipelines.insert(store, spec, "")
            pipelines.set_state(store, spec.name, "running")
        else:
            pipelines.add_version(store, spec)
        if not self._has_open_head(spec):
            # The branch gets an empty commit, and a spout's is closed at once (api_server.go:2665).
            commit = store.started(spec.name, spec.output_branch, call.transaction or None)
            if spec.is_spout:
                self._commits.finish_commit(Target(spec.name, "", commit.id), description="close spout commit")

    def _has_open_head(self, spec: SpoutSpec) -> bool:
        store = self._commits.store
        head = store.head(spec.name, spec.output_branch)
        commit = None if head is None else store.commit(spec.name, head)
        return commit is not None and commit.finishing is None and commit.finished is None

    # Start, stop, delete

    def start_pipeline(self, request: Any, call: Call) -> Any:
        name = self._name(request.pipeline)
        with self._commits.locked() as store, store.writing():
            pipeline = self._find(name)
            pipelines.set_state(store, name, "running")
            if pipeline.is_stopped and not self._has_open_head(pipeline.spec):
                # The branch gets its provenance back and with it an empty commit, which nobody closes
                # (api_server.go:3290, server_branch.go:288).
                store.started(name, pipeline.spec.output_branch)
        self._pods.replace(name)
        return Empty()

    def stop_pipeline(self, request: Any, call: Call) -> Any:
        name = self._name(request.pipeline)
        with self._commits.locked() as store:
            if pipelines.find(store, name) is None and not request.must_exist:
                return Empty()
            self._find(name)
            pipelines.set_state(store, name, "paused")
        self._pods.remove(name)
        return Empty()

    def delete_pipeline(self, request: Any, call: Call) -> Any:
        name = self._name(request.pipeline)
        with self._commits.locked() as store, store.writing() as db:
            if pipelines.find(store, name) is None:
                if request.must_exist:
                    self._find(name)
                return Empty()
            if request.keep_repo:
                db.execute("DELETE FROM pipelines WHERE name = ?", (name,))
            else:
                pipelines.delete(store, name)
        self._pods.remove(name)
        return Empty()

    # Inspect

    def inspect_pipeline(self, request: Any, call: Call) -> Any:
        with self._commits.locked():
            return _info(self._find(self._name(request.pipeline)), request.details, has_spec=self._has_v2)

    def list_pipeline(self, request: Any, call: Call) -> Iterator[Any]:
        projects = {project.name for project in request.projects}
        wanted = self._name(request.pipeline) if request.pipeline.name else None
        with self._commits.locked() as store:
            found = [p for p in pipelines.pipelines(store) if wanted in (None, p.name)]
        found = [p for p in found if not projects or split(p.name)[0] in projects]
        yield from (_info(p, request.details, has_spec=self._has_v2) for p in found)

    def get_logs(self, request: Any, call: Call) -> Iterator[Any]:
        name = self._name(request.pipeline)
        with self._commits.locked():
            self._find(name)
        project, pipeline = split(name)
        log = self._home.log(name)
        kept = _lines(Path(f"{log}.1"), 0)[0] if not request.follow else []
        lines, offset = _lines(log, 0)
        lines = kept + lines
        pause = threading.Event()
        lines = lines[-request.tail :] if request.tail > 0 else lines
        while True:
            for line in lines:
                yield pps.LogMessage(project_name=project, pipeline_name=pipeline, user=True, message=line)
            if not request.follow or call.is_gone:
                return
            pause.wait(_FOLLOW_SECONDS)
            lines, offset = _lines(log, offset)

    def _name(self, pipeline: Any) -> str:
        if not pipeline.name:
            raise RefusedError("request.Pipeline cannot be nil")
        return store_name(pipeline.project.name, pipeline.name)

    def _find(self, name: str) -> Pipeline:
        found = pipelines.find(self._commits.store, name)
        if found is None:
            raise NotFoundError("pipeline", _full(name), map(_full, _names(self._commits.store)))
        return found


def _names(store: Any) -> list[str]:
    return [pipeline.name for pipeline in pipelines.pipelines(store)]


def _full(name: str) -> str:
    return "/".join(split(name))


def _lines(file: Path, offset: int) -> tuple[list[str], int]:
    """The whole lines of a log from ``offset`` on, and where the next one begins. A log that was turned over begins
    anew."""
    try:
        with file.open("rb") as opened:
            if opened.seek(0, 2) < offset:
                offset = 0
            opened.seek(offset)
            data = opened.read()
    except OSError:
        return [], 0
    whole = data[: data.rfind(b"\n") + 1]
    return whole.decode("utf-8", "replace").splitlines(), offset + len(whole)


def _info(pipeline: Pipeline, has_details: bool, *, has_spec: bool) -> Any:
    project, name = split(pipeline.name)
    kinds = pps.PipelineInfoPipelineType
    info = pps.PipelineInfo(
        pipeline=pps.Pipeline(name=name, project=pfs.Project(name=project)),
        version=pipeline.version,
        spec_commit=pfs.Commit(
            repo=pfs.Repo(name=name, type="spec", project=pfs.Project(name=project)),
            id=pipeline.spec_commit,
            branch=pfs.Branch(name="master", repo=pfs.Repo(name=name, type="spec", project=pfs.Project(name=project))),
        ),
        stopped=pipeline.is_stopped,
        state=_STATES[pipeline.state],
        reason=pipeline.reason,
        parallelism=1,
        type=kinds.PIPELINE_TYPE_SPOUT if pipeline.spec.is_spout else kinds.PIPELINE_TYPE_TRANSFORM,
    )
    if has_spec:
        info.user_spec_json = info.effective_spec_json = json.dumps(pipeline.spec.document, ensure_ascii=False)
    if has_details:
        info.details = _details(pipeline)
    return info


def _details(pipeline: Pipeline) -> Any:
    """The spec as upstream gives it back: field by field, those that both messages have."""
    request = pps.CreatePipelineRequest().from_dict(dict(pipeline.spec.document))
    details = pps.PipelineInfoDetails(
        created_at=pipeline.created,
        updated_at=pipeline.updated,
        workers_requested=0 if pipeline.is_stopped else 1,
        workers_available=1 if pipeline.state == "running" else 0,
    )
    for key in pipeline.spec.document:
        field = re.sub("([A-Z]+)", r"_\1", key).lower().lstrip("_")
        if hasattr(details, field):
            setattr(details, field, getattr(request, field))
    details.output_branch = pipeline.spec.output_branch
    if pipeline.spec.is_spout:
        # An empty message that is there: the class has no word for that.
        details.spout._serialized_on_wire = True
    return details
