"""How deployed spouts go: version, what differs from the project, state, last commits, marker and its age.

spoutgen status                  the project in this folder, at length
spoutgen status --all spouts     every project below a folder, one line each
spoutgen status --check          exit status 1 unless all is well

How far a spout is behind its source is asked of the source itself, from this machine, as `spoutgen check` does: of one
project unless --no-lag is given, of several only with --lag. A source that cannot be reached from here is no error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spoutgen.cli.clusters import (
    Done,
    add_folders,
    add_options,
    cluster_of,
    folders_of,
    for_each,
    tell_failures,
    wish_of,
)
from spoutgen.cli.parser import seconds

if TYPE_CHECKING:
    from datetime import datetime

    from spoutgen.cluster.client import LivePipeline
    from spoutgen.cluster.connect import Wish
    from spoutgen.deployment.lag import Lag
    from spoutgen.deployment.project import Project
    from spoutgen.deployment.status import Status

# Each look is a process that imports a driver: more of them at once would be too slow for their own time limit.
_LOOKS = threading.BoundedSemaphore(8)
_NAMED = 3  # names in a line

_HEADER = "PIPELINE\tVERSION\tSTATE\tDRIFT\tLAST COMMIT\tMARKER AGE\tLAG"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add_folders(parser)
    add_options(parser)
    parser.add_argument("--check", action="store_true", help="exit status 1 unless everything runs as its project says")
    parser.add_argument(
        "--lag",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="ask the source how far the spout is behind (default: of one project, not of several)",
    )
    parser.add_argument(
        "--timeout", metavar="TIME", type=seconds, default=5.0, help="how long a source may take to tell (default: 5s)"
    )  # fmt: skip
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to report (default: text)")


def run(args: argparse.Namespace) -> int:
    """Look, and say it."""
    from spoutgen.deployment.status import now

    folders = folders_of(args)
    is_asked = args.lag if args.lag is not None else len(folders) == 1 and not args.is_all
    done = for_each(folders, partial(_status, wish_of(args), args.timeout if is_asked else None))
    found, moment = [each.result for each in done if each.result], now()
    if args.format == "json":
        print(json.dumps({"pipelines": [as_data(each, moment) for each in found]}, indent=2, ensure_ascii=False))
    elif len(done) == 1:
        sys.stdout.writelines(f"{line}\n" for each in found for line in lines(each, moment))
    else:
        _table(done, moment)
    sys.stdout.flush()
    return max(tell_failures(done), int(args.check and not all(each.is_well for each in found)))


def _status(wish: Wish, seconds: float | None, folder: Path) -> Status:
    from spoutgen.deployment.project import read_project
    from spoutgen.deployment.status import status

    project = read_project(folder)
    with cluster_of(project, wish) as cluster:
        return status(project, cluster, None if seconds is None else partial(_look, seconds))


def _look(seconds: float, project: Project, live: LivePipeline, marker: bytes | None) -> Lag:
    from spoutgen.deployment.lag import look

    with _LOOKS:
        return look(project, live, marker, seconds, os.environ)


def _table(done: list[Done[Status]], moment: datetime) -> None:
    from spoutgen.cli.columns import ago, table
    from spoutgen.report import printable

    rows = []
    for each in done:
        found = each.result
        if found is None:
            rows.append((each.folder.name, "-", "failed", "-", "-", "-", "-"))
            continue
        live = found.live
        last = next((commit.finished for commit in found.commits if commit.finished), None)
        rows.append(
            (
                found.project.name,
                str(live.version) if live else "-",
                live.state if live else "not deployed",
                drift_in_words(found),
                ago(last, moment) if last else "-",
                ago(found.marker_time, moment) if found.marker_time else "-",
                (found.lag and found.lag.amount) or "-",
            )
        )
    sys.stdout.write(table(_HEADER, rows))
    for each in done:
        for text in each.result.advice if each.result else ():
            print(f"{each.result.project.name}: {text}" if each.result else text)
    for note, names in _notes([each.result for each in done if each.result]).items():
        named = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
        print(f"the lag of {named} is not known: {printable(note)}")


def _notes(found: list[Status]) -> dict[str, list[str]]:
    """Why the lag is not known, each reason once: fifty spouts may read one broker that is out of reach."""
    notes: dict[str, list[str]] = {}
    for each in found:
        if each.lag and each.lag.note and not each.lag.is_blind:
            notes.setdefault(each.lag.note, []).append(each.project.name)
    return notes


def drift_in_words(found: Status) -> str:
    """``no``, or how much differs."""
    if found.live is None:
        return "-"
    parts = [f"{len(found.drift)} settings"] if found.drift else []
    return ", ".join([*parts, *(["project not updated"] if found.local else [])]) or "no"


def lines(found: Status, moment: datetime) -> Iterator[str]:
    """One spout at length."""
    from spoutgen.cli.columns import ago, size
    from spoutgen.report import printable

    live = found.live
    yield f"Pipeline: {found.project.name}"
    yield f"Cluster: Pachyderm {found.cluster_version}"
    if live is None:
        yield "State: not deployed; spoutgen deploy"
    else:
        yield f"Version: {live.version}"
        yield f"State: {live.state}" + (f" ({printable(live.reason)})" if live.reason else "")
        yield f"Drift: {drift_in_words(found)}"
        for each in found.drift:
            yield f"  {each.key}: {each.old or '(none)'} on the cluster, {each.new or '(none)'} in the project"
    yield from (f"  the project: {printable(text)}" for text in found.local)
    if live is not None:
        yield "Commits:" if found.commits else "Commits: none yet"
        for commit in found.commits:
            when = ago(commit.finished, moment) if commit.finished else "open"
            yield f"  {commit.id} {when}, {size(commit.size)}" + (
                f", {printable(commit.error)}" if commit.error else ""
            )
        when = f", {ago(found.marker_time, moment)}" if found.marker_time else ""
        yield f"Marker: {printable(found.marker)}{when}"
        if found.lag:
            yield f"Lag: {printable(found.lag.amount or f'not known; {found.lag.note}')}"
    yield from (f"To do: {printable(text)}" for text in found.advice)


def as_data(found: Status, moment: datetime) -> dict[str, Any]:
    """One spout's facts for programs; times are ISO 8601, ages seconds."""
    from spoutgen.deployment.places import age

    live = found.live
    return {
        "project": str(found.project.folder),
        "pipeline": found.project.name,
        "cluster_version": found.cluster_version,
        "version": live.version if live else None,
        "state": live.state if live else None,
        "reason": (live.reason or None) if live else None,
        "drift": [{"key": each.key, "cluster": each.old, "project": each.new} for each in found.drift],
        "project_problems": list(found.local),
        "commits": [
            {
                "id": commit.id,
                "finished": commit.finished.isoformat() if commit.finished else None,
                "size": commit.size,
                "error": commit.error or None,
            }
            for commit in found.commits
        ],
        "marker": found.marker,
        "marker_age": age(found.marker_time, moment),
        "lag": found.lag.amount if found.lag else None,
        "lag_note": found.lag.note if found.lag else "not asked for; --lag asks",
        "advice": list(found.advice),
        "is_well": found.is_well,
    }
