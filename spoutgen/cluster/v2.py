"""Pachyderm 2.x over gRPC, by the messages of pachyderm-sdk 2.12.2: the only module that imports them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

import betterproto
from betterproto.lib.google.protobuf import Empty
from pachyderm_sdk.api import pfs, pps, version

from spoutgen.cluster.channel import Connection
from spoutgen.cluster.client import CommitFact, LivePipeline
from spoutgen.cluster.context import Context
from spoutgen.cluster.documents import in_project, snake_case
from spoutgen.cluster.failures import ClusterError

_CHUNK = 2 << 20  # bytes of one ModifyFile request
_COMMIT_ID = re.compile(r"[0-9a-f]{32}\Z")
_NEVER = datetime(1970, 1, 1, tzinfo=timezone.utc)  # how the SDK reads a time that is not set


class ClusterV2:
    """A project of a 2.x cluster."""

    target = 2

    def __init__(self, context: Context, project: str) -> None:
        self._connection = connection = Connection(context)
        self.address = context.address
        self._project = project
        self._pfs = pfs.ApiStub(connection.calls)
        self._pps = pps.ApiStub(connection.calls)
        self._version = version.ApiStub(connection.calls)
        # The SDK's own create_pipeline drops an empty spout from the request, so that a plain pipeline is made.
        self._create = connection.calls.unary_unary(
            "/pps_v2.API/CreatePipeline",
            request_serializer=pps.CreatePipelineRequest.SerializeToString,
            response_deserializer=Empty.FromString,
        )

    def version(self) -> str:
        """The version of pachd."""
        with self._connection.asking():
            found = self._version.get_version()
        return f"{found.major}.{found.minor}.{found.micro}{found.additional}"

    def pipelines(self) -> list[LivePipeline]:
        """Every pipeline of the project."""
        with self._connection.asking():
            found = list(self._pps.list_pipeline(details=True, projects=[pfs.Project(name=self._project)]))
        return [_pipeline(info) for info in found]

    def pipeline(self, name: str) -> LivePipeline | None:
        """One pipeline, or None."""
        named = self._named(name)
        info = self._connection.found(lambda: self._pps.inspect_pipeline(pipeline=named, details=True))
        return None if info is None else _pipeline(info)

    def has_repo(self, name: str) -> bool:
        """Whether there is a repo of that name."""
        return self._connection.found(lambda: self._pfs.inspect_repo(repo=self._repo(name))) is not None

    def submit(self, document: Mapping[str, Any], is_update: bool) -> None:
        """Create or update a pipeline; `reprocess` is never set."""
        whole = in_project(document, self._project)
        try:
            with self._connection.asking():
                self._pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(whole), update=is_update)
        except ClusterError as error:
            if error.code != "SG602":
                raise
            # CreatePipelineV2 is there from 2.8 on.
            request = pps.CreatePipelineRequest().from_dict({**whole, "update": is_update})
            with self._connection.asking():
                self._create(request)

    def stop(self, name: str) -> None:
        """Stop a pipeline."""
        with self._connection.asking():
            self._pps.stop_pipeline(pipeline=self._named(name))

    def start(self, name: str) -> None:
        """Start a pipeline."""
        with self._connection.asking():
            self._pps.start_pipeline(pipeline=self._named(name))

    def logs(self, name: str, is_followed: bool) -> Iterator[str]:
        """What the user code printed."""
        with self._connection.asking():
            for line in self._pps.get_logs(pipeline=self._named(name), follow=is_followed):
                if line.message:
                    yield line.message.rstrip("\n")

    def commits(self, repo: str, branch: str, number: int) -> list[CommitFact]:
        """The newest commits of a branch."""
        named, to = self._repo(repo), self._commit(repo, branch)
        found = self._connection.found(lambda: list(self._pfs.list_commit(repo=named, to=to, number=number, all=True)))
        return [_commit_fact(info) for info in found or ()]

    def read_file(self, repo: str, ref: str, path: str) -> bytes | None:
        """A file's bytes, or None."""
        file = pfs.File(commit=self._commit(repo, ref), path=path)
        return self._connection.found(lambda: b"".join(chunk.value for chunk in self._pfs.get_file(file=file)))

    def write_file(self, repo: str, branch: str, path: str, data: bytes) -> None:
        """One ModifyFile stream onto the branch: a commit of its own, all or nothing."""
        self._modify(repo, branch, *_overwrite(path, data))

    def finish_open(self, repo: str, branch: str) -> None:
        """Clear the head and finish it, as the runtime does at its start."""
        head = next(iter(self.commits(repo, branch, 1)), None)
        if head is None or head.finished is not None:
            return
        commit = self._commit(repo, head.id)
        with self._connection.asking():
            if self._pfs.inspect_commit(commit=commit).finishing == _NEVER:
                self._pfs.clear_commit(commit=commit)
                self._pfs.finish_commit(commit=commit)

    def move_marker(self, repo: str, branch: str, old: str, is_prefix: bool, new: str, data: bytes) -> None:
        """One ModifyFile stream: deletes and the new file together."""
        self._modify(repo, branch, *self._deletes(repo, branch, old, is_prefix=is_prefix), *_overwrite(f"/{new}", data))

    def drop_marker(self, repo: str, branch: str, name: str, is_prefix: bool) -> None:
        """Delete the files; that is a commit as well."""
        self._modify(repo, branch, *self._deletes(repo, branch, name, is_prefix=is_prefix))

    def _deletes(self, repo: str, branch: str, name: str, *, is_prefix: bool) -> list[pfs.ModifyFileRequest]:
        paths = [f"/{name}"]
        if is_prefix:
            root = pfs.File(commit=self._commit(repo, branch), path="/")
            found = self._connection.found(lambda: list(self._pfs.list_file(file=root)))
            files = [info.file.path for info in found or () if info.file_type == pfs.FileType.FILE]
            paths = [path for path in files if path.startswith(f"/{name}")]
        return [pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path)) for path in paths]

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _modify(self, repo: str, branch: str, *changes: pfs.ModifyFileRequest) -> None:
        target = pfs.ModifyFileRequest(set_commit=self._commit(repo, branch))
        with self._connection.asking():
            self._pfs.modify_file(iter([target, *changes]))

    def _named(self, name: str) -> pps.Pipeline:
        return pps.Pipeline(project=pfs.Project(name=self._project), name=name)

    def _repo(self, name: str) -> pfs.Repo:
        return pfs.Repo(name=name, type="user", project=pfs.Project(name=self._project))

    def _commit(self, repo: str, ref: str) -> pfs.Commit:
        named = self._repo(repo)
        if _COMMIT_ID.match(ref):
            return pfs.Commit(repo=named, id=ref, branch=pfs.Branch(repo=named, name="master"))
        return pfs.Commit(repo=named, branch=pfs.Branch(repo=named, name=ref))


def _overwrite(path: str, data: bytes) -> list[pfs.ModifyFileRequest]:
    """Delete and add: an add alone appends."""
    return [
        pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path)),
        *(
            pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=data[begin : begin + _CHUNK]))
            for begin in range(0, max(len(data), 1), _CHUNK)
        ),
    ]


def _pipeline(info: pps.PipelineInfo) -> LivePipeline:
    # What was submitted (2.8 on); the details have the cluster's defaults merged in.
    submitted = json.loads(info.user_spec_json) if info.user_spec_json else None
    document = submitted or info.details.to_dict(casing=betterproto.Casing.SNAKE)
    document["pipeline"] = {"name": info.pipeline.name, "project": {"name": info.pipeline.project.name}}
    state = pps.PipelineState(info.state)
    return LivePipeline(
        name=info.pipeline.name,
        version=info.version,
        state=str(state.name).removeprefix("PIPELINE_").removeprefix("STATE_").lower(),
        reason=info.reason or info.details.recent_error,
        is_spout=info.type == pps.PipelineInfoPipelineType.PIPELINE_TYPE_SPOUT,
        is_stopped=info.stopped or state == pps.PipelineState.PIPELINE_PAUSED,
        created=_time(info.details.created_at),
        document=snake_case(document),
    )


def _commit_fact(info: pfs.CommitInfo) -> CommitFact:
    size = info.details.size_bytes or info.size_bytes_upper_bound
    branch = info.commit.branch.name
    return CommitFact(info.commit.id, branch, _time(info.started), _time(info.finished), size, info.error)


def _time(moment: datetime) -> datetime | None:
    return None if moment == _NEVER else moment
