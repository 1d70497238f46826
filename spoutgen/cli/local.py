"""Look into the local cluster, in pachctl's words.

spoutgen local list pipeline | repo | branch REPO | commit REPO[@BRANCH] | file REPO@BRANCH[:/PATH]
spoutgen local get file REPO@BRANCH:/PATH      raw bytes; a commit's id may stand in the place of BRANCH
spoutgen local inspect pipeline NAME | commit REPO@BRANCH
spoutgen local delete pipeline NAME            with its repo and all its data
spoutgen local delete commit REPO@COMMIT       an open one, such as a worker that was killed leaves behind
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from spoutgen.cli.columns import ago, size, table
from spoutgen.errors import Diagnostic, UsageError
from spoutgen.local import pipelines
from spoutgen.local.home import Home, find_home, has_store, is_running, running
from spoutgen.local.model import Commit, FileInfo, Repo
from spoutgen.local.pipelines import Pipeline
from spoutgen.local.refused import NotFoundError
from spoutgen.local.store import Store, utc_now

_PIPELINES = "NAME\tVERSION\tINPUT\tCREATED\tSTATE / LAST JOB\tDESCRIPTION"
_REPOS = "NAME\tCREATED\tSIZE (MASTER)\tDESCRIPTION"
_BRANCHES = "BRANCH\tHEAD"
_COMMITS = "REPO\tBRANCH\tCOMMIT\tFINISHED\tSIZE\tPROGRESS\tDESCRIPTION"
_FILES = "NAME\tTYPE\tSIZE"

_RAW = argparse.ArgumentParser(add_help=False)
_RAW.add_argument("--raw", action="store_true", help="JSON with pachctl's field names, one document an item")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own verbs, each with its nouns."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    lists = verbs.add_parser("list", help="list pipelines, repos, branches, commits or files")
    nouns = lists.add_subparsers(dest="noun", metavar="NOUN", required=True)
    _noun(nouns, "pipeline", list_pipelines)
    _noun(nouns, "repo", list_repos)
    _noun(nouns, "branch", list_branches, "REPO")
    _noun(nouns, "commit", list_commits, "REPO[@BRANCH]").add_argument(
        "-n", "--number", metavar="N", type=_number, default=0, help="only the newest N"
    )
    _noun(nouns, "file", list_files, "REPO@BRANCH[:/PATH]")
    inspects = verbs.add_parser("inspect", help="show one pipeline or commit")
    nouns = inspects.add_subparsers(dest="noun", metavar="NOUN", required=True)
    _noun(nouns, "pipeline", inspect_pipeline, "NAME")
    _noun(nouns, "commit", inspect_commit, "REPO@BRANCH")
    gets = verbs.add_parser("get", help="the bytes of a file")
    nouns = gets.add_subparsers(dest="noun", metavar="NOUN", required=True)
    _noun(nouns, "file", get_file, "REPO@BRANCH:/PATH", has_raw=False)
    deletes = verbs.add_parser("delete", help="delete a pipeline with all its data, or an open commit")
    nouns = deletes.add_subparsers(dest="noun", metavar="NOUN", required=True)
    _noun(nouns, "pipeline", delete_pipeline, "NAME", has_raw=False)
    _noun(nouns, "commit", delete_commit, "REPO@COMMIT", has_raw=False)


def _noun(
    nouns: Any, name: str, action: Callable[..., None], what: str | None = None, *, has_raw: bool = True
) -> argparse.ArgumentParser:
    """Add one noun; ``what`` is its argument."""
    parser: argparse.ArgumentParser = nouns.add_parser(name, parents=[_RAW] if has_raw else [])
    if what is not None:
        parser.add_argument("what", metavar=what)
    parser.set_defaults(action=action)
    return parser


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Do what was asked for. Looking never makes a store."""
    home = find_home()
    args.home = home
    if not has_store(home):
        if args.verb == "list" and args.noun in ("pipeline", "repo"):
            _print_table(_PIPELINES if args.noun == "pipeline" else _REPOS, [])
            return 0
        hint = f"nothing was run yet in {home.folder}: spoutgen run DIR"
        raise NotFoundError("pipeline" if args.noun == "pipeline" else "repo", _repo_of(args.what), hint=hint)
    with Store(home.store) as store:
        args.action(store, args)
    return 0


# What is named


def _repo_of(text: str) -> str:
    return text.partition("@")[0]


def _parse_commit(text: str) -> tuple[str, str]:
    """``REPO@BRANCH`` or ``REPO@COMMIT``. Raises UsageError SG901."""
    repo, at, ref = text.partition("@")
    if not repo or not at or not ref or ":" in ref:
        raise _malformed(text, "REPO@BRANCH or REPO@COMMIT")
    return repo, ref


def _parse_file(text: str, default: str | None = None) -> tuple[str, str, str]:
    """``REPO@BRANCH:/PATH``; the path may be left out where there is a default. Raises UsageError SG901."""
    commit, colon, path = text.partition(":")
    if not path and default is not None:
        path = default
    elif not colon or not path:
        raise _malformed(text, "REPO@BRANCH:/PATH")
    return *_parse_commit(commit), path


def _malformed(text: str, form: str) -> UsageError:
    return UsageError(
        Diagnostic("SG901", f"{text!r} is not of the form {form}", None, "e.g. spoutmarker@marker:/mymark")
    )


# List


def list_pipelines(store: Store, args: argparse.Namespace) -> None:
    """The pipelines, the newest first."""
    found = pipelines.pipelines(store)
    if args.raw:
        return _print_raw(_raw_pipeline(pipeline, _state(pipeline, args.home)) for pipeline in found)
    now = utc_now()
    # A spout has no input, and its "job" is for ever about to start.
    return _print_table(
        _PIPELINES,
        [
            (
                p.name,
                str(p.version),
                "none",
                ago(p.created, now),
                f"{_state(p, args.home)} / starting",
                p.spec.description,
            )
            for p in found
        ],
    )


def list_repos(store: Store, args: argparse.Namespace) -> None:
    """The repos, the newest first."""
    repos = store.repos()
    if args.raw:
        return _print_raw(map(_raw_repo, repos))
    now = utc_now()
    return _print_table(_REPOS, [(r.name, ago(r.created, now), size(r.size), r.description) for r in repos])


def list_branches(store: Store, args: argparse.Namespace) -> None:
    """The branches of a repo with their heads."""
    branches = store.branches(args.what)
    if args.raw:
        return _print_raw(
            {
                "branch": {"repo": {"name": b.repo}, "name": b.name},
                **({"head": {"repo": {"name": b.repo}, "id": b.head}} if b.head else {}),
                "name": b.name,
            }
            for b in branches
        )
    return _print_table(_BRANCHES, [(branch.name, branch.head or "-") for branch in branches])


def list_commits(store: Store, args: argparse.Namespace) -> None:
    """The commits of a repo or a branch, the newest first."""
    repo, branch = _parse_commit(args.what) if "@" in args.what else (args.what, None)
    commits = store.commits(repo, branch, args.number)
    if args.raw:
        return _print_raw(map(_raw_commit, commits))
    now = utc_now()
    return _print_table(
        _COMMITS,
        [
            (c.repo, c.branch, c.id, *((ago(c.finished, now), size(c.size)) if c.finished else ("-", "-")), "-", "")
            for c in commits
        ],
    )


def list_files(store: Store, args: argparse.Namespace) -> None:
    """The files in a folder."""
    repo, ref, path = _parse_file(args.what, default="/")
    found = store.list_files(repo, ref, path)
    if args.raw:
        id_ = store.commit(repo, ref).id
        return _print_raw(_raw_file(repo, id_, info) for info in found)
    return _print_table(_FILES, [(info.path, info.kind, size(info.size)) for info in found])


# Get, inspect, delete


def get_file(store: Store, args: argparse.Namespace) -> None:
    """A file's bytes, as they are."""
    for data in store.get_file(*_parse_file(args.what)):
        sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def inspect_pipeline(store: Store, args: argparse.Namespace) -> None:
    """All about one pipeline."""
    pipeline = pipelines.inspect(store, args.what)
    state = _state(pipeline, args.home)
    if args.raw:
        return _print_raw([_raw_pipeline(pipeline, state)])
    facts = {
        "Name": pipeline.name,
        **({"Description": pipeline.spec.description} if pipeline.spec.description else {}),
        "Created": ago(pipeline.created, utc_now()),
        "State": state,
        "Reason": pipeline.reason,
        "Version": str(pipeline.version),
        "Stopped": str(state == "paused").lower(),
        "Input": "none",
        "Output Branch": pipeline.spec.output_branch,
        "Project": pipeline.folder,
        "Log": str(args.home.log(pipeline.name)),
        "Transform": json.dumps(pipeline.spec.document["transform"], indent=2, ensure_ascii=False),
    }
    return _print_facts(facts)


def inspect_commit(store: Store, args: argparse.Namespace) -> None:
    """All about one commit."""
    commit = store.commit(*_parse_commit(args.what))
    if args.raw:
        return _print_raw([_raw_commit(commit)])
    now = utc_now()
    return _print_facts(
        {
            "Commit": f"{commit.repo}@{commit.id}",
            "Original Branch": commit.branch,
            **({"Parent": commit.parent} if commit.parent else {}),
            "Started": ago(commit.started, now),
            **({"Finished": ago(commit.finished, now)} if commit.finished else {}),
            "Size": size(commit.size),
        }
    )


def delete_pipeline(store: Store, args: argparse.Namespace) -> None:
    """Delete a pipeline, its repo and its log; pachctl says nothing when that went well."""
    name = pipelines.inspect(store, args.what).name
    home: Home = args.home
    with running(home, name):
        pipelines.delete(store, name)
        log = home.log(name)
        for file in (log, Path(f"{log}.1")):
            file.unlink(missing_ok=True)


def delete_commit(store: Store, args: argparse.Namespace) -> None:
    """Delete an open commit, so that its parent is the head again and the next one can be started."""
    repo, ref = _parse_commit(args.what)
    store.delete_commit(repo, store.commit(repo, ref).id)


def _state(pipeline: Pipeline, home: Home) -> str:
    """The state as it is now: a run that was killed could not write down that it ended."""
    return pipeline.state if is_running(home, pipeline.name) else "paused"


# Print


def _print_table(header: str, rows: list[tuple[str, ...]]) -> None:
    sys.stdout.write(table(header, rows))


def _print_facts(facts: dict[str, str]) -> None:
    for name, value in facts.items():
        sys.stdout.write(f"{name}:{chr(10) if value.startswith('{') else ' '}{value}".rstrip() + "\n")


def _print_raw(documents: Iterable[dict[str, Any]]) -> None:
    for document in documents:
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _raw_repo(repo: Repo) -> dict[str, Any]:
    # 64-bit numbers are strings in the JSON that protocol buffers make, and so in pachctl's.
    return {
        "repo": {"name": repo.name},
        "created": _time(repo.created),
        "sizeBytes": str(repo.size),
        "description": repo.description,
    }


def _raw_commit(commit: Commit) -> dict[str, Any]:
    repo = {"name": commit.repo}
    return {
        "commit": {"repo": repo, "id": commit.id},
        "branch": {"repo": repo, "name": commit.branch},
        **({"parentCommit": {"repo": repo, "id": commit.parent}} if commit.parent else {}),
        "started": _time(commit.started),
        **({"finished": _time(commit.finished)} if commit.finished else {}),
        "sizeBytes": str(commit.size),
    }


def _raw_file(repo: str, commit: str, info: FileInfo) -> dict[str, Any]:
    return {
        "file": {"commit": {"repo": {"name": repo}, "id": commit}, "path": info.path},
        "fileType": info.kind.upper(),
        "sizeBytes": str(info.size),
    }


def _raw_pipeline(pipeline: Pipeline, state: str) -> dict[str, Any]:
    return {
        **pipeline.spec.document,
        "version": str(pipeline.version),
        "outputBranch": pipeline.spec.output_branch,
        "createdAt": _time(pipeline.created),
        "state": f"PIPELINE_{state.upper()}",
        "reason": pipeline.reason,
        "specCommit": {"repo": {"name": "__spec__"}, "id": pipeline.spec_commit},
        "stopped": state == "paused",
    }
