"""Projects, repos and refs: how the messages name things, and how the store does.

The store has one level of names: a repo of the project ``default`` goes by its own name, as on 1.x, any other by
``project/repo``.
"""

from __future__ import annotations

from typing import Any

from pachyderm_sdk.api import pfs

from spoutgen.local.pachd.commits import Target
from spoutgen.local.refused import RefusedError

DEFAULT = "default"


def store_name(project: str, name: str) -> str:
    """The name of a repo or pipeline in the store."""
    return name if project in ("", DEFAULT) else f"{project}/{name}"


def split(name: str) -> tuple[str, str]:
    """Project and name of what the store calls ``name``."""
    project, slash, rest = name.partition("/")
    return (project, rest) if slash else (DEFAULT, name)


def of_repo(repo: Any) -> str:
    """What the store calls a repo of the messages."""
    if not repo.name:
        raise RefusedError("repo must be specified")
    if repo.type not in ("", "user"):
        raise RefusedError(f"repo {repo.name}.{repo.type} is none of the local cluster's", "it has user repos only")
    return store_name(repo.project.name, repo.name)


def as_repo(name: str) -> Any:
    """A repo of the store as a message."""
    project, repo = split(name)
    return pfs.Repo(name=repo, type="user", project=pfs.Project(name=project))


def as_branch(repo: str, branch: str) -> Any:
    """A branch of the store as a message."""
    return pfs.Branch(repo=as_repo(repo), name=branch)


def as_commit(repo: str, branch: str, id_: str) -> Any:
    """A commit of the store as a message."""
    return pfs.Commit(repo=as_repo(repo), id=id_, branch=as_branch(repo, branch))


def target(commit: Any) -> Target:
    """The commit that a message means: by its id, or as the head of its branch."""
    repo = commit.repo if commit.repo.name else commit.branch.repo
    id_, branch = commit.id, commit.branch.name
    if id_ and not branch and not _is_id(id_):
        id_, branch = "", id_  # v2.11.6:src/server/pfs/server/server_file.go:60
    if not id_ and not branch:
        raise RefusedError("pick commit tx: cannot pick commit with no ID or branch")
    return Target(of_repo(repo), branch, id_)


def _is_id(text: str) -> bool:
    return len(text) == 32 and all(char in "0123456789abcdef" for char in text)
