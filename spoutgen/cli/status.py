"""How deployed spouts go: version, what differs from the project, state, last commits, marker and its age.

spoutgen status                  the project in this folder, at length
spoutgen status --all spouts     every project below a folder, one line each
spoutgen status --check          exit status 1 unless all is well
"""

from __future__ import annotations

import argparse
import json
import sys
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

if TYPE_CHECKING:
    from datetime import datetime

    from spoutgen.cluster.connect import Wish
    from spoutgen.deployment.status import Status

_HEADER = "PIPELINE\tVERSION\tSTATE\tDRIFT\tLAST COMMIT\tMARKER AGE\tLAG"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add_folders(parser)
    add_options(parser)
    parser.add_argument("--check", action="store_true", help="exit status 1 unless everything runs as its project says")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to report (default: text)")


def run(args: argparse.Namespace) -> int:
    """Look, and say it."""
    from spoutgen.cli.planned import take_any_text
    from spoutgen.deployment.status import now

    take_any_text()
    done = for_each(folders_of(args), partial(_status, wish_of(args)))
    found, moment = [each.result for each in done if each.result], now()
    if args.format == "json":
        print(json.dumps({"pipelines": [as_data(each, moment) for each in found]}, indent=2, ensure_ascii=False))
    elif len(done) == 1:
        sys.stdout.writelines(f"{line}\n" for each in found for line in lines(each, moment))
    else:
        _table(done, moment)
    sys.stdout.flush()
    return max(tell_failures(done), int(args.check and not all(each.is_well for each in found)))


def _status(wish: Wish, folder: Path) -> Status:
    from spoutgen.deployment.project import read_project
    from spoutgen.deployment.status import status

    project = read_project(folder)
    with cluster_of(project, wish) as cluster:
        return status(project, cluster)


def _table(done: list[Done[Status]], moment: datetime) -> None:
    from spoutgen.cli.columns import ago, table

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
                found.lag or "-",
            )
        )
    sys.stdout.write(table(_HEADER, rows))
    for each in done:
        for text in each.result.advice if each.result else ():
            print(f"{each.result.project.name}: {text}" if each.result else text)


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
            yield f"Lag: {found.lag}"
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
        "lag": found.lag,
        "advice": list(found.advice),
        "is_well": found.is_well,
    }
