"""A Pachyderm 1.x server in memory, on the servicers that python-pachyderm ships: real gRPC, every request kept.

It knows what `deploy`, `status`, `logs` and `marker` ask, and answers as 1.13.4 does, errors included: nearly all of
them are of code UNKNOWN, and the text tells.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import BytesValue
from python_pachyderm.proto.pfs import pfs_pb2, pfs_pb2_grpc
from python_pachyderm.proto.pps import pps_pb2, pps_pb2_grpc
from python_pachyderm.proto.version.versionpb import version_pb2, version_pb2_grpc

TOKEN = "t0ken-that-nobody-may-see"
_FIELDS = (
    "pipeline", "transform", "parallelism_spec", "output_branch", "resource_requests", "resource_limits", "description",
    "cache_size", "spout", "datum_tries", "scheduling_spec", "pod_patch", "metadata", "input",
)  # fmt: skip


@dataclass
class Cluster:
    """All that is there. ``requests`` are (method, request); ``answers`` replace a method's answer by an error."""

    version: str = "1.13.4"
    token: str = ""
    delay: float = 0.0
    pipelines: dict[str, Any] = field(default_factory=dict)
    repos: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)
    requests: list[tuple[str, Any]] = field(default_factory=list)
    answers: dict[str, list[tuple[grpc.StatusCode, str]]] = field(default_factory=dict)
    done_before_the_error: set[str] = field(default_factory=set)
    next_state: int = pps_pb2.PIPELINE_RUNNING
    next_reason: str = ""
    lock: Any = field(default_factory=threading.RLock)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def asked(self, method: str) -> list[Any]:
        """The requests of one method, in order."""
        return [request for name, request in self.requests if name == method]

    def commit(self, repo: str, branch: str, files: dict[str, bytes], *, is_open: bool = False) -> str:
        """A commit, as a spout's worker makes it."""
        with self.lock:
            commits = self.repos.setdefault(repo, {}).setdefault(branch, [])
            before = commits[-1][1] if commits else {}
            info = pfs_pb2.CommitInfo(
                commit=pfs_pb2.Commit(repo=pfs_pb2.Repo(name=repo), id=f"{next(self.numbers):032x}"),
                branch=pfs_pb2.Branch(repo=pfs_pb2.Repo(name=repo), name=branch),
            )
            info.started.GetCurrentTime()
            if not is_open:
                info.finished.GetCurrentTime()
            commits.append((info, {**before, **files}))
            return str(info.commit.id)

    def head(self, repo: str, ref: str) -> dict[str, bytes] | None:
        """The files at a branch's head or at a commit."""
        branches = self.repos.get(repo, {})
        if branches.get(ref):
            return dict(branches[ref][-1][1])
        return next((dict(f) for commits in branches.values() for info, f in commits if info.commit.id == ref), None)


class _Servicer:
    """What all of them do first: keep the request, check the token, wait, and fail if they were told to."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def _ask(self, method: str, request: Any, context: Any) -> None:
        cluster = self.cluster
        time.sleep(cluster.delay)
        with cluster.lock:
            cluster.requests.append((method, request))
            given = dict(context.invocation_metadata()).get("authn-token", "")
            if cluster.token and given != cluster.token:
                context.abort(
                    grpc.StatusCode.UNKNOWN, f"token {given!r} is invalid or no authentication token (try logging in)"
                )
            if cluster.answers.get(method) and method not in cluster.done_before_the_error:
                context.abort(*cluster.answers[method].pop(0))

    def _answer(self, method: str, context: Any) -> None:
        """The reply is lost after the work was done."""
        if method in self.cluster.done_before_the_error and self.cluster.answers.get(method):
            context.abort(*self.cluster.answers[method].pop(0))


class _Version(_Servicer, version_pb2_grpc.APIServicer):
    def GetVersion(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask("GetVersion", request, context)
        major, minor, micro = map(int, self.cluster.version.split("."))
        return version_pb2.Version(major=major, minor=minor, micro=micro)


class _Pps(_Servicer, pps_pb2_grpc.APIServicer):
    def CreatePipeline(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask("CreatePipeline", request, context)
        cluster, name = self.cluster, request.pipeline.name
        with cluster.lock:
            old = cluster.pipelines.get(name)
            if old is not None and not request.update:
                context.abort(grpc.StatusCode.UNKNOWN, f"pipeline {name} already exists")
            info = pps_pb2.PipelineInfo(version=(old.version if old else 0) + 1, state=cluster.next_state)
            for each in _FIELDS:
                if request.DESCRIPTOR.fields_by_name[each].message_type is None:
                    setattr(info, each, getattr(request, each))
                elif request.HasField(each):
                    getattr(info, each).CopyFrom(getattr(request, each))
            info.reason = cluster.next_reason
            # What setPipelineDefaults fills in.
            info.output_branch = info.output_branch or "master"
            info.cache_size = info.cache_size or "64M"
            info.max_queue_size, info.datum_tries, info.salt = 1, info.datum_tries or 3, "salt"
            info.reprocess_spec = "until_success"
            info.created_at.GetCurrentTime()
            if old is not None and old.stopped:
                info.stopped, info.state = True, pps_pb2.PIPELINE_PAUSED
            cluster.pipelines[name] = info
            branches = cluster.repos.setdefault(name, {})
            branches.setdefault("master", [])
            if request.spout.marker:
                branches["marker"] = branches.get("marker", []) if old is not None else []
        self._answer("CreatePipeline", context)
        return Empty()

    def InspectPipeline(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask("InspectPipeline", request, context)
        return self._pipeline(request.pipeline.name, context)

    def ListPipeline(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask("ListPipeline", request, context)
        return pps_pb2.PipelineInfos(pipeline_info=list(self.cluster.pipelines.values()))

    def StopPipeline(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask("StopPipeline", request, context)
        info = self._pipeline(request.pipeline.name, context)
        info.stopped, info.state = True, pps_pb2.PIPELINE_PAUSED
        self._answer("StopPipeline", context)
        return Empty()

    def StartPipeline(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask("StartPipeline", request, context)
        info = self._pipeline(request.pipeline.name, context)
        info.stopped, info.state = False, self.cluster.next_state
        return Empty()

    def GetLogs(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask("GetLogs", request, context)
        lines = self.cluster.logs.get(request.pipeline.name, [])
        for line in lines[-request.tail :] if request.tail else lines:
            yield pps_pb2.LogMessage(pipeline_name=request.pipeline.name, user=True, message=f"{line}\n")

    def _pipeline(self, name: str, context: Any) -> Any:
        info = self.cluster.pipelines.get(name)
        if info is None:
            context.abort(grpc.StatusCode.UNKNOWN, f'pipeline "{name}" not found')
        return info


class _Pfs(_Servicer, pfs_pb2_grpc.APIServicer):
    def InspectRepo(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask("InspectRepo", request, context)
        if request.repo.name not in self.cluster.repos:
            context.abort(grpc.StatusCode.UNKNOWN, f"repos {request.repo.name} not found")
        return pfs_pb2.RepoInfo(repo=request.repo)

    def ListCommitStream(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask("ListCommitStream", request, context)
        found = self.cluster.repos.get(request.repo.name, {}).get(request.to.id)
        if not found:
            context.abort(grpc.StatusCode.UNKNOWN, f"branch {request.to.id} in repo {request.repo.name} has no head")
        for info, _ in list(reversed(found))[: request.number or None]:
            yield info

    def GetFile(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask("GetFile", request, context)
        commit, path = request.file.commit, request.file.path
        files = self.cluster.head(commit.repo.name, commit.id)
        if files is None or path not in files:
            context.abort(
                grpc.StatusCode.UNKNOWN, f"file {path} not found in repo {commit.repo.name} at commit {commit.id}"
            )
        data = files[path]
        for begin in range(0, len(data), 1 << 20):
            yield BytesValue(value=data[begin : begin + (1 << 20)])

    def PutFile(self, requests: Iterator[Any], context: Any) -> Any:  # noqa: N802
        whole = list(requests)
        for request in whole:
            self._ask("PutFile", request, context)
        file = whole[0].file
        self.cluster.commit(file.commit.repo.name, file.commit.id, {file.path: b"".join(each.value for each in whole)})
        self._answer("PutFile", context)
        return Empty()

    def CreateBranch(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask("CreateBranch", request, context)
        self.cluster.repos[request.branch.repo.name][request.branch.name] = []
        return Empty()


@contextmanager
def serving(cluster: Cluster, credentials: Any = None) -> Iterator[int]:
    """The cluster on a port of its own."""
    server = grpc.server(ThreadPoolExecutor(64))
    version_pb2_grpc.add_APIServicer_to_server(_Version(cluster), server)
    pps_pb2_grpc.add_APIServicer_to_server(_Pps(cluster), server)
    pfs_pb2_grpc.add_APIServicer_to_server(_Pfs(cluster), server)
    port = (
        server.add_secure_port("127.0.0.1:0", credentials) if credentials else server.add_insecure_port("127.0.0.1:0")
    )
    server.start()
    try:
        yield int(port)
    finally:
        server.stop(None).wait()
