"""pfs_v2.API: the calls about projects, repos, branches, commits and files."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import betterproto
from betterproto.lib.google.protobuf import BytesValue, Empty
from pachyderm_sdk.api import pfs

from spoutgen.local import pipelines
from spoutgen.local.model import Commit, FileInfo
from spoutgen.local.pachd.commits import Commits
from spoutgen.local.pachd.names import DEFAULT, as_branch, as_commit, as_repo, of_repo, target
from spoutgen.local.pachd.paths import Change
from spoutgen.local.pachd.wire import AlreadyExistsError, Call, Method, UnimplementedError, is_whole
from spoutgen.local.refused import NotFoundError, RefusedError

_PIECE = 1 << 20
_NAME = re.compile(r"[a-zA-Z0-9_-]+\Z")


def methods(commits: Commits) -> dict[str, Method]:
    """The calls, by name."""
    service = Pfs(commits)
    table = {
        "CreateProject": Method(pfs.CreateProjectRequest, service.create_project),
        "InspectProject": Method(pfs.InspectProjectRequest, service.inspect_project),
        "ListProject": Method(pfs.ListProjectRequest, service.list_project, "stream out"),
        "CreateRepo": Method(pfs.CreateRepoRequest, service.create_repo, in_transaction=True),
        "InspectRepo": Method(pfs.InspectRepoRequest, service.inspect_repo),
        "ListRepo": Method(pfs.ListRepoRequest, service.list_repo, "stream out"),
        "DeleteRepo": Method(pfs.DeleteRepoRequest, service.delete_repo, in_transaction=True),
        "InspectBranch": Method(pfs.InspectBranchRequest, service.inspect_branch),
        "ListBranch": Method(pfs.ListBranchRequest, service.list_branch, "stream out"),
        "StartCommit": Method(pfs.StartCommitRequest, service.start_commit, in_transaction=True),
        "FinishCommit": Method(pfs.FinishCommitRequest, service.finish_commit, in_transaction=True),
        "InspectCommit": Method(pfs.InspectCommitRequest, service.inspect_commit),
        "ListCommit": Method(pfs.ListCommitRequest, service.list_commit, "stream out"),
        "InspectCommitSet": Method(pfs.InspectCommitSetRequest, service.inspect_commit_set, "stream out"),
        "ClearCommit": Method(pfs.ClearCommitRequest, service.clear_commit),
        "DropCommit": Method(pfs.DropCommitRequest, service.drop_commit),
        "ModifyFile": Method(pfs.ModifyFileRequest, service.modify_file, "stream in"),
        "GetFile": Method(pfs.GetFileRequest, service.get_file, "stream out"),
        "GetFileTAR": Method(pfs.GetFileRequest, service.get_file_tar, "stream out"),
        "InspectFile": Method(pfs.InspectFileRequest, service.inspect_file),
        "ListFile": Method(pfs.ListFileRequest, service.list_file, "stream out"),
        "WalkFile": Method(pfs.WalkFileRequest, service.walk_file, "stream out"),
    }
    return {f"pfs_v2.API/{name}": method for name, method in table.items()}


class Pfs:
    """Answers the calls from the store of ``commits``."""

    def __init__(self, commits: Commits) -> None:
        self._commits = commits

    # Projects and repos

    def create_project(self, request: Any, call: Call) -> Any:
        name = request.project.name
        _check_name(name)
        with self._commits.locked() as store, store.writing() as db:
            if name in _projects(store) and not request.update:
                raise AlreadyExistsError(f"project {name} already exists")
            db.execute("REPLACE INTO projects VALUES (?, ?, ?)", (name, request.description, store.now()))
        return Empty()

    def inspect_project(self, request: Any, call: Call) -> Any:
        with self._commits.locked() as store:
            check_project(store, request.project.name)
            return _projects(store)[request.project.name or DEFAULT]

    def list_project(self, request: Any, call: Call) -> Iterator[Any]:
        with self._commits.locked() as store:
            found = list(_projects(store).values())
        yield from found

    def create_repo(self, request: Any, call: Call) -> Any:
        name = of_repo(request.repo)
        _check_name(request.repo.name)
        with self._commits.locked() as store:
            check_project(store, request.repo.project.name)
            if name in {repo.name for repo in store.repos()} and not request.update:
                raise AlreadyExistsError(f"repo {as_repo(name).as_uri()} already exists")
            store.create_repo(name, request.description)
        return Empty()

    def inspect_repo(self, request: Any, call: Call) -> Any:
        name = of_repo(request.repo)
        with self._commits.locked() as store:
            repo = next((repo for repo in store.repos() if repo.name == name), None)
            if repo is None:
                raise NotFoundError("repo", as_repo(name).as_uri())
            return _repo_info(repo, store.branches(name))

    def list_repo(self, request: Any, call: Call) -> Iterator[Any]:
        projects = {project.name for project in request.projects}
        with self._commits.locked() as store:
            found = [_repo_info(r, store.branches(r.name)) for r in store.repos()]
        yield from (info for info in found if not projects or info.repo.project.name in projects)

    def delete_repo(self, request: Any, call: Call) -> Any:
        name = of_repo(request.repo)
        with self._commits.locked() as store:
            if pipelines.find(store, name) is not None and not request.force:
                raise RefusedError(f"cannot delete repo {name}: it is the output of a pipeline")
            known = name in {repo.name for repo in store.repos()}
            if known:
                store.delete_repo(name)
        return pfs.DeleteRepoResponse(deleted=known)

    # Branches

    def inspect_branch(self, request: Any, call: Call) -> Any:
        repo = of_repo(request.branch.repo)
        found = next(self._branches(repo, request.branch.name), None)
        if found is None:
            raise NotFoundError(f"branch in repo {repo!r}:", request.branch.name)
        return found

    def list_branch(self, request: Any, call: Call) -> Iterator[Any]:
        found = list(self._branches(of_repo(request.repo)))
        yield from reversed(found) if request.reverse else found

    def _branches(self, repo: str, name: str | None = None) -> Iterator[Any]:
        with self._commits.locked() as store:
            known = [b for b in store.branches(repo) if name in (None, b.name)]
        for branch in known:
            info = pfs.BranchInfo(branch=as_branch(repo, branch.name))
            if branch.head is not None:
                info.head = as_commit(repo, branch.name, branch.head)
            yield info

    # Commits

    def start_commit(self, request: Any, call: Call) -> Any:
        repo, branch = of_repo(request.branch.repo), request.branch.name
        if not branch:
            raise RefusedError("branch must be specified")
        if request.parent.id and request.parent.id != self._head(repo, branch):
            raise UnimplementedError("the local cluster starts commits on a branch's head only")
        self.may_start(call, repo, branch)
        commit = self._commits.start_commit(repo, branch, call.transaction or None, request.description)
        return as_commit(repo, branch, commit.id)

    def _head(self, repo: str, branch: str) -> str | None:
        with self._commits.locked() as store:
            return store.head(repo, branch)

    def may_start(self, call: Call, repo: str, branch: str) -> None:
        """Raise where a commit may not be started: on the output branch of a running pipeline, but by its worker.

        v2.11.6:src/server/pfs/server/server_commit.go:158; a stopped pipeline's branch has no provenance.
        """
        _check_name(branch)
        with self._commits.locked() as store:
            pipeline = pipelines.find(store, repo)
        is_output = pipeline is not None and pipeline.spec.output_branch == branch and not pipeline.is_stopped
        if is_output and not call.is_sidecar:
            raise RefusedError(f"cannot start a commit on an output branch: {as_branch(repo, branch).as_uri()}")

    def finish_commit(self, request: Any, call: Call) -> Any:
        self._commits.finish_commit(target(request.commit), request.error, request.description)
        return Empty()

    def clear_commit(self, request: Any, call: Call) -> Any:
        self._commits.clear_commit(target(request.commit))
        return Empty()

    def drop_commit(self, request: Any, call: Call) -> Any:
        self._commits.drop_commit(target(request.commit))
        return pfs.DropCommitResponse()

    def inspect_commit(self, request: Any, call: Call) -> Any:
        wanted = target(request.commit)
        return commit_info(self._commits.wait(wanted, _reached(request.wait), lambda: call.is_gone))

    def inspect_commit_set(self, request: Any, call: Call) -> Iterator[Any]:
        id_ = request.commit_set.id
        with self._commits.locked() as store:
            found = [c for repo in store.repos() for c in store.commits(repo.name) if c.id == id_]
        if not found:
            raise NotFoundError("commits found for commitset", id_)
        for commit in found:
            wanted = target(as_commit(commit.repo, commit.branch, id_))
            wait = pfs.CommitState.FINISHED if request.wait else pfs.CommitState.STARTED
            yield commit_info(self._commits.wait(wanted, _reached(wait), lambda: call.is_gone))

    def list_commit(self, request: Any, call: Call) -> Iterator[Any]:
        repo = of_repo(request.repo)
        with self._commits.locked() as store:
            to = target(request.to) if request.to.repo.name or request.to.branch.repo.name else None
            found = store.commits(repo, (to.id or to.branch) if to else None)
            if request.from_.id:
                ids = [commit.id for commit in found]
                found = found[: ids.index(request.from_.id)] if request.from_.id in ids else found
        if request.reverse:
            found.reverse()
        yield from map(commit_info, found[: request.number or None])

    # Files

    def modify_file(self, requests: Iterator[Any], call: Call) -> Any:
        first = next(requests, None)
        if first is None or betterproto.which_one_of(first, "body")[0] != "set_commit":
            raise RefusedError("first message must be a set commit message")
        where = target(first.set_commit)
        changes = [_change(request) for request in requests]
        if not is_whole(call.context):
            # A stream that breaks leaves nothing.
            raise RefusedError("context canceled")
        self._commits.modify(where, changes, lambda repo, branch: self.may_start(call, repo, branch))
        return Empty()

    def get_file(self, request: Any, call: Call) -> Iterator[Any]:
        commit = self._readable(request.file, call)
        with self._commits.locked() as store:
            data = b"".join(store.get_file(commit.repo, commit.id, request.file.path))[request.offset :]
        for at in range(0, len(data), _PIECE):
            yield BytesValue(value=data[at : at + _PIECE])

    def get_file_tar(self, request: Any, call: Call) -> Iterator[Any]:
        commit = self._readable(request.file, call)
        made = io.BytesIO()
        with self._commits.locked() as store, tarfile.open(fileobj=made, mode="w") as tar:
            for info in walk(store, commit, request.file.path):
                entry = tarfile.TarInfo(info.path if info.kind == "file" else f"{info.path}/")
                entry.size = info.size if info.kind == "file" else 0
                entry.type = tarfile.REGTYPE if info.kind == "file" else tarfile.DIRTYPE
                data = b"".join(store.get_file(commit.repo, commit.id, info.path)) if info.kind == "file" else b""
                tar.addfile(entry, io.BytesIO(data))
        for at in range(0, made.tell(), _PIECE):
            yield BytesValue(value=made.getvalue()[at : at + _PIECE])

    def inspect_file(self, request: Any, call: Call) -> Any:
        commit = self._readable(request.file, call)
        with self._commits.locked() as store:
            return _file_info(commit, next(walk(store, commit, request.file.path)))

    def list_file(self, request: Any, call: Call) -> Iterator[Any]:
        commit = self._readable(request.file, call)
        with self._commits.locked() as store:
            found = store.list_files(commit.repo, commit.id, request.file.path)
        found = found[::-1] if request.reverse else found
        after = request.pagination_marker.path
        found = [i for i in found if not after or (i.path < after if request.reverse else i.path > after)]
        yield from (_file_info(commit, info) for info in found[: request.number or None])

    def walk_file(self, request: Any, call: Call) -> Iterator[Any]:
        commit = self._readable(request.file, call)
        with self._commits.locked() as store:
            found = list(walk(store, commit, request.file.path))
        yield from (_file_info(commit, info) for info in found[: request.number or None])

    def _readable(self, file: Any, call: Call) -> Commit:
        """The commit that a file is read from; one that is being finished is waited for (server_commit.go:923)."""
        is_there: Callable[[Commit], bool] = lambda c: c.finishing is None or c.finished is not None  # noqa: E731
        return self._commits.wait(target(file.commit), is_there, lambda: call.is_gone)


def walk(store: Any, commit: Commit, path: str) -> Iterator[FileInfo]:
    """A file, or a folder and all that is in it, folders first. NotFoundError if there is nothing."""
    listed = store.list_files(commit.repo, commit.id, path)
    clean = path.rstrip("/")
    if [info.path for info in listed] == [clean] and listed[0].kind == "file":
        yield listed[0]
        return
    yield FileInfo(clean or "/", "dir", sum(info.size for info in listed))
    for info in listed:
        if info.kind == "file":
            yield info
        else:
            yield from walk(store, commit, info.path)


def _change(request: Any) -> Change:
    kind, found = betterproto.which_one_of(request, "body")
    body: Any = found
    if kind == "delete_file":
        return Change(body.path, None)
    if kind != "add_file":
        raise UnimplementedError(f"the local cluster takes no {kind or 'empty message'} in ModifyFile")
    source, data = betterproto.which_one_of(body, "source")
    if source == "url":
        raise UnimplementedError("the local cluster fetches no URLs")
    return Change(body.path, [data] if data else [])


def _reached(state: Any) -> Callable[[Commit], bool]:
    if state == pfs.CommitState.FINISHED:
        return lambda commit: commit.finished is not None
    if state == pfs.CommitState.FINISHING:
        return lambda commit: commit.finishing is not None or commit.finished is not None
    return lambda commit: True


def commit_info(commit: Commit) -> Any:
    """A commit as CommitInfo."""
    info = pfs.CommitInfo(
        commit=as_commit(commit.repo, commit.branch, commit.id),
        origin=pfs.CommitOrigin(kind=pfs.OriginKind.USER),
        started=commit.started,
        error=commit.error,
        description=commit.description,
        size_bytes_upper_bound=commit.size,
    )
    if commit.parent is not None:
        info.parent_commit = as_commit(commit.repo, commit.branch, commit.parent)
    if commit.finishing is not None or commit.finished is not None:
        info.finishing = commit.finishing or commit.finished
    if commit.finished is not None:
        info.finished = commit.finished
        info.details = pfs.CommitInfoDetails(size_bytes=commit.size)
    return info


def _file_info(commit: Commit, info: FileInfo) -> Any:
    is_file = info.kind == "file"
    path = info.path if is_file else f"{info.path.rstrip('/')}/"
    return pfs.FileInfo(
        file=pfs.File(commit=as_commit(commit.repo, commit.branch, commit.id), path=path),
        file_type=pfs.FileType.FILE if is_file else pfs.FileType.DIR,
        committed=commit.finished or commit.started,
        size_bytes=info.size,
    )


def _repo_info(repo: Any, branches: Any) -> Any:
    return pfs.RepoInfo(
        repo=as_repo(repo.name),
        created=repo.created,
        size_bytes_upper_bound=repo.size,
        description=repo.description,
        branches=[as_branch(repo.name, branch.name) for branch in branches],
        details=pfs.RepoInfoDetails(size_bytes=repo.size),
    )


def _check_name(name: str) -> None:
    # v2.11.6:src/internal/ancestry/ancestry.go:84
    if not _NAME.match(name):
        raise RefusedError(f"name ({name}) invalid: only alphanumeric characters, underscores, and dashes are allowed")


def _projects(store: Any) -> dict[str, Any]:
    with store.reading() as db:
        rows = db.execute("SELECT name, description, created FROM projects ORDER BY name").fetchall()
    epoch = datetime.fromtimestamp(0, timezone.utc).isoformat()
    known = {name: (about, made) for name, about, made in [(DEFAULT, "", epoch), *rows]}
    return {
        name: pfs.ProjectInfo(
            project=pfs.Project(name=name), description=about, created_at=datetime.fromisoformat(made)
        )
        for name, (about, made) in known.items()
    }


def check_project(store: Any, name: str) -> None:
    """Raise NotFoundError unless there is such a project."""
    if (name or DEFAULT) not in _projects(store):
        raise NotFoundError("project", name, _projects(store))
