"""ApiSink: on Pachyderm 2.x each batch is one commit, data and marker together.

One ModifyFile stream that names a branch and no commit starts, fills and finishes a commit in one transaction; a stream
that breaks leaves nothing (v2.11.6:src/server/pfs/server/server_file.go:94). So no announcement is needed: the marker
says what its own commit holds. What is left to do:

1. `resume`: a head that is open would swallow what is written and never finish, so it is cleared and finished; then the
   newest commit without an error says how far the spout has come;
2. `write`: look whether the head is still the commit that this spout knows, so that nothing is written on top of a
   marker that it has not read; write all in one stream; wait until the commit is finished, and look at its error and
   at its parent.

Whatever is not as it should be (a call that fails, so that nobody knows whether it was carried out; a commit of
somebody else, such as the last one of a pod that is gone) raises :class:`UncertainError`: the spout goes back to 1 and
reads the marker again. Nothing is ever sent a second time without that.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import grpc
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from spout import output
from spout.config import Config
from spout.fatal import FatalError, brief
from spout.marker import Announcement, Budget, Shape
from spout.records import Batch, File, Position, UncertainError

CHUNK = 4 << 20  # bytes of one message; the server takes 20 MiB
PATIENCE = 60.0  # seconds that Pachyderm may take to finish a commit
# What a timestamp that is not set reads as.
_NEVER = datetime.fromtimestamp(0, timezone.utc)
# The SDK turns an RpcError of a server that cannot be reached into a ConnectionError.
_FAILURES = (grpc.RpcError, ConnectionError)


class ApiSink:
    """Writes batches as commits of the pipeline's output branch, through the sidecar of its pod."""

    def __init__(self, config: Config, shape: Shape, budget: Budget, client: Client | None = None) -> None:
        """``budget`` bounds the marker's size; ``client`` is for tests.

        The SDK finds the sidecar, the only one that may write there (/pachctl/config.json). Only from 2.5 on is there
        a project in the environment, and before there were none.
        """
        if config.target is None:
            raise RuntimeError("the config is one for 1.x")
        self._config = config
        self._shape = shape
        self._budget = budget
        self._client = client or Client.new_in_cluster()
        # The SDK's own function takes no timeout.
        self._inspect = self._client._channel.unary_unary(
            "/pfs_v2.API/InspectCommit",
            request_serializer=pfs.InspectCommitRequest.SerializeToString,
            response_deserializer=pfs.CommitInfo.FromString,
        )
        project = os.environ.get("PPS_PROJECT_NAME") or "default"
        self._repo = pfs.Repo(name=config.name, type="user", project=pfs.Project(name=project))
        self._branch = pfs.Branch(repo=self._repo, name=config.target.branch)
        self.has_committed = False  # since the marker was read
        self._head: str | None = None  # the id of the newest commit that this spout knows
        self._begun: Position | None = None  # committed, and not acknowledged yet

    def resume(self) -> Announcement | None:
        """What the marker says; None for a spout that starts for the first time."""
        self._head, self._begun, self.has_committed = None, None, False
        try:
            head = self._repaired_head()
            if head is None:
                return None
            good = self._newest_good(head)
            announcement = None if good is None else self._marker_at(good)
        except _FAILURES as error:
            raise UncertainError(_words(error)) from error
        self._head = head.commit.id
        return announcement

    def begin(self, position: Position) -> None:
        """Commit that the spout goes on at ``position``: a beginning, or further on where there was nothing to read."""
        self._commit(self._budget.checked(self._shape.files(Announcement(position, None))))
        self._begun = position

    def write(self, batch: Batch, committed: Callable[[Position], None]) -> None:
        """Commit ``batch`` with the marker that says so."""
        data = output.files(batch, self._config.output, self._config.marker, is_beside=True)
        # A shape may have a part for each thing that a batch moves on; the marker itself comes last.
        *parts, _ = self._shape.files(Announcement(batch.start, batch.end))
        *_, marker = self._shape.files(Announcement(batch.end, None))
        self._commit([*data, *self._budget.checked([*parts, marker])])
        self._begun = None
        committed(batch.end)

    def flush(self, committed: Callable[[Position], None]) -> None:
        """Acknowledge a beginning; all that was written is committed and acknowledged."""
        if self._begun is not None:
            begun, self._begun = self._begun, None
            committed(begun)

    def close(self) -> None:
        """The SDK has nothing to close."""

    def _commit(self, files: list[File]) -> None:
        try:
            self.check_head()
            self.send(files)
            self.check_commit()
            self.has_committed = True
        except _FAILURES as error:
            raise UncertainError(_words(error)) from error

    def check_head(self) -> None:
        """Raise unless the head is the commit that this spout knows, and no other."""
        head = self._inspect_head()
        found = head.commit.id if head else None
        if found != self._head:
            raise UncertainError(f"commit {found} is somebody else's")

    def send(self, files: list[File]) -> None:
        """Write all files in one stream, which becomes one commit."""
        self._client.pfs.modify_file(_requests(pfs.Commit(repo=self._repo, branch=self._branch), files))

    def check_commit(self) -> None:
        """Wait until what was sent is finished; FatalError if it is finished with an error."""
        before, info = self._head, self._finished(pfs.Commit(repo=self._repo, branch=self._branch))
        if info.commit.id == before:
            raise UncertainError("the commit is not there")
        if info.error:
            raise FatalError(
                "output",
                found=f"commit {info.commit.id}, which Pachyderm refused: {brief(info.error, 400)}",
                expected="files that can stand beside those which are there",
                remedy="give `output.path` in spout.yaml another folder; what is committed is as it was",
            )
        if info.parent_commit.id != (before or ""):
            raise UncertainError(f"commit {info.parent_commit.id} is somebody else's")
        self._head = info.commit.id

    def _repaired_head(self) -> Any:
        """The newest commit, finished; None if there is none yet."""
        info = self._inspect_head()
        if info is not None and info.finishing == _NEVER:
            # Left by a client that is gone, or by a start of the pipeline (pachyderm 2.8 on).
            self._client.pfs.clear_commit(commit=info.commit)
            self._client.pfs.finish_commit(commit=info.commit)
        return None if info is None else self._finished(info.commit)

    def _inspect_head(self) -> Any:
        try:
            return self._client.pfs.inspect_commit(commit=pfs.Commit(repo=self._repo, branch=self._branch))
        except grpc.RpcError as error:
            if _is_missing(error):
                return None
            raise

    def _finished(self, commit: Any) -> Any:
        """A commit once it is finished. One that nobody finishes is given up after a while, and looked at anew."""
        request = pfs.InspectCommitRequest(commit=commit, wait=pfs.CommitState.FINISHED)
        info = self._inspect(request, timeout=PATIENCE)
        if info.finished == _NEVER:
            raise UncertainError(f"commit {info.commit.id} is not finished")
        return info

    def _newest_good(self, info: Any) -> Any:
        """The newest commit without an error; Pachyderm passes over the others too. None if there is none."""
        while info.error:
            if not info.parent_commit.id:
                return None
            info = self._finished(info.parent_commit)
        return info.commit

    def _marker_at(self, commit: Any) -> Announcement | None:
        """What the marker of a commit says; None if there is none, and nothing that may be one under an older name."""
        try:
            chunks = self._client.pfs.get_file(file=pfs.File(commit=commit, path=f"/{self._config.marker}"))
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, self._config.marker)
                with path.open("wb") as file:
                    file.writelines(chunk.value for chunk in chunks)
                return self._shape.read(path)
        except grpc.RpcError as error:
            if not _is_missing(error):
                raise
        # A marker is a file at the root. A folder there is data: this `output.path`, an older one, or dead letters.
        data = [path for path in (self._config.output.path, self._config.output.dead_letters) if "/" not in path]
        listed = self._client.pfs.list_file(file=pfs.File(commit=commit, path="/"))
        there = [info.file.path.strip("/") for info in listed if info.file_type == pfs.FileType.FILE]
        strange = [name for name in there if name not in data and not name.startswith(self._config.marker)]
        if not strange or any("{" in name for name in data):
            return None
        raise FatalError(
            "marker",
            found=f"commit {commit.id} with {brief(', '.join(strange))}, and without /{self._config.marker}",
            expected="the marker, or at the very first start nothing but data",
            remedy="give the marker its old name again in spout.yaml; or move it: `spoutgen deploy --move-marker`",
        )


def _requests(commit: Any, files: list[File]) -> Iterator[Any]:
    """The messages of one stream. A file is deleted before it is written, for a write alone adds to its end."""
    yield pfs.ModifyFileRequest(set_commit=commit)
    for file in files:
        path = f"/{file.path}"
        yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path))
        is_empty = True
        for data in _joined(file):
            is_empty = False
            yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=data))
        if is_empty:
            yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=b""))


def _joined(file: File) -> Iterator[bytes]:
    """The bytes of a file in messages of about the size of a chunk: a message costs much more than a byte."""
    waiting: list[bytes] = []
    size = 0
    for piece in file.chunks:
        for at in range(0, len(piece), CHUNK):
            part = piece[at : at + CHUNK]
            if size + len(part) > CHUNK:
                yield b"".join(waiting)
                waiting, size = [], 0
            waiting.append(part)
            size += len(part)
    if waiting:
        yield b"".join(waiting)


def _is_missing(error: grpc.RpcError) -> bool:
    return bool(error.code() == grpc.StatusCode.NOT_FOUND)


def _words(error: Exception) -> str:
    if isinstance(error, grpc.RpcError):
        return brief(f"{error.code().name}: {error.details()}", 400)
    return brief(error, 400)
