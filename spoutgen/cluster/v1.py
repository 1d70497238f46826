"""Pachyderm 1.x over gRPC, by the messages of python-pachyderm 6.2.0: the only module that imports them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from python_pachyderm.proto.pfs import pfs_pb2, pfs_pb2_grpc
from python_pachyderm.proto.pps import pps_pb2, pps_pb2_grpc
from python_pachyderm.proto.version.versionpb import version_pb2_grpc

from spoutgen.cluster.channel import Connection
from spoutgen.cluster.client import MARKER_BRANCH, CommitFact, LivePipeline
from spoutgen.cluster.context import Context
from spoutgen.cluster.failures import ClusterError, problem

_CHUNK = 2 << 20  # bytes of one PutFile request


class ClusterV1:
    """A 1.x cluster."""

    target = 1

    def __init__(self, context: Context) -> None:
        self._connection = connection = Connection(context)
        self.address = context.address
        self._pfs = pfs_pb2_grpc.APIStub(connection.calls)
        self._pps = pps_pb2_grpc.APIStub(connection.calls)
        self._version = version_pb2_grpc.APIStub(connection.calls)

    def version(self) -> str:
        """The version of pachd."""
        with self._connection.asking():
            found = self._version.GetVersion(Empty())
        return f"{found.major}.{found.minor}.{found.micro}{found.additional}"

    def pipelines(self) -> list[LivePipeline]:
        """Every pipeline, as the cluster orders them."""
        with self._connection.asking():
            found = self._pps.ListPipeline(pps_pb2.ListPipelineRequest())
        return [_pipeline(info) for info in found.pipeline_info]

    def pipeline(self, name: str) -> LivePipeline | None:
        """One pipeline, or None."""
        request = pps_pb2.InspectPipelineRequest(pipeline=pps_pb2.Pipeline(name=name))
        info = self._connection.found(lambda: self._pps.InspectPipeline(request))
        return None if info is None else _pipeline(info)

    def has_repo(self, name: str) -> bool:
        """Whether there is a repo of that name."""
        request = pfs_pb2.InspectRepoRequest(repo=pfs_pb2.Repo(name=name))
        return self._connection.found(lambda: self._pfs.InspectRepo(request)) is not None

    def submit(self, document: Mapping[str, Any], is_update: bool) -> None:
        """Create or update a pipeline; `reprocess` is never set."""
        try:
            request = ParseDict(dict(document), pps_pb2.CreatePipelineRequest())
        except ParseError as error:
            message = f"pipeline.json is not what a 1.x cluster takes: {error}"
            raise ClusterError(problem("SG609", message, "spoutgen update; or pachctl, for newer fields")) from error
        request.update = is_update
        request.reprocess = False
        with self._connection.asking():
            self._pps.CreatePipeline(request)

    def stop(self, name: str) -> None:
        """Stop a pipeline."""
        with self._connection.asking():
            self._pps.StopPipeline(pps_pb2.StopPipelineRequest(pipeline=pps_pb2.Pipeline(name=name)))

    def start(self, name: str) -> None:
        """Start a pipeline."""
        with self._connection.asking():
            self._pps.StartPipeline(pps_pb2.StartPipelineRequest(pipeline=pps_pb2.Pipeline(name=name)))

    def logs(self, name: str, is_followed: bool) -> Iterator[str]:
        """What the user code printed."""
        request = pps_pb2.GetLogsRequest(pipeline=pps_pb2.Pipeline(name=name), follow=is_followed)
        with self._connection.asking():
            for line in self._pps.GetLogs(request):
                if line.message:
                    yield line.message.rstrip("\n")

    def commits(self, repo: str, branch: str, number: int) -> list[CommitFact]:
        """The newest commits of a branch."""
        request = pfs_pb2.ListCommitRequest(repo=pfs_pb2.Repo(name=repo), to=_commit(repo, branch), number=number)
        found = self._connection.found(lambda: list(self._pfs.ListCommitStream(request)))
        return [_commit_fact(info, branch) for info in found or ()]

    def read_file(self, repo: str, ref: str, path: str) -> bytes | None:
        """A file's bytes, or None."""
        request = pfs_pb2.GetFileRequest(file=_file(repo, ref, path))
        return self._connection.found(lambda: b"".join(chunk.value for chunk in self._pfs.GetFile(request)))

    def write_file(self, repo: str, branch: str, path: str, data: bytes) -> None:
        """One PutFile stream onto the branch: a commit of its own, all or nothing."""
        file = _file(repo, branch, path)
        parts = [data[begin : begin + _CHUNK] for begin in range(0, len(data), _CHUNK)] or [b""]
        first, *rest = parts
        requests = [
            pfs_pb2.PutFileRequest(file=file, value=first, overwrite_index=pfs_pb2.OverwriteIndex(index=0)),
            *(pfs_pb2.PutFileRequest(file=file, value=part) for part in rest),
        ]
        with self._connection.asking():
            self._pfs.PutFile(iter(requests))

    def finish_open(self, repo: str, branch: str) -> None:
        """Each marker is a commit of its own, made and finished by one call: none is ever open."""

    def move_marker(self, repo: str, branch: str, old: str, is_prefix: bool, new: str, data: bytes) -> None:
        """A file more on the branch ``marker``."""
        self.write_file(repo, branch, f"/{new}", data)

    def drop_marker(self, repo: str, branch: str, name: str, is_prefix: bool) -> None:
        """The branch ``marker`` with no head (v1.13.4:src/server/pfs/server/driver.go:2495)."""
        named = pfs_pb2.Branch(repo=pfs_pb2.Repo(name=repo), name=branch or MARKER_BRANCH)
        with self._connection.asking():
            self._pfs.CreateBranch(pfs_pb2.CreateBranchRequest(branch=named))

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()


def _commit(repo: str, ref: str) -> Any:
    return pfs_pb2.Commit(repo=pfs_pb2.Repo(name=repo), id=ref)


def _file(repo: str, ref: str, path: str) -> Any:
    return pfs_pb2.File(commit=_commit(repo, ref), path=path)


def _pipeline(info: Any) -> LivePipeline:
    return LivePipeline(
        name=info.pipeline.name,
        version=info.version,
        state=pps_pb2.PipelineState.Name(info.state).removeprefix("PIPELINE_").lower(),
        reason=info.reason or info.recent_error,
        is_spout=info.HasField("spout"),
        is_stopped=info.stopped or info.state == pps_pb2.PIPELINE_PAUSED,
        created=_time(info, "created_at"),
        document=MessageToDict(info, preserving_proto_field_name=True),
    )


def _commit_fact(info: Any, branch: str) -> CommitFact:
    return CommitFact(
        info.commit.id, info.branch.name or branch, _time(info, "started"), _time(info, "finished"), info.size_bytes
    )


def _time(message: Any, field: str) -> datetime | None:
    if not message.HasField(field):
        return None
    moment: datetime = getattr(message, field).ToDatetime()
    return moment.replace(tzinfo=timezone.utc)
