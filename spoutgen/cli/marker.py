"""Look at a spout's marker, and move it: on a cluster, or with --local in the local cluster.

Every change is made once, while the spout is stopped: one that runs is refused, or with --stop stopped, changed and
started again. What is on the output branch stays as it is; a spout that goes back writes the same files again.

spoutgen marker show                      how far it has come
spoutgen marker export > kept             the marker's own bytes, as import takes them
spoutgen marker import kept --stop        put them back, here or on another cluster
spoutgen marker rewind --commits 3        as it was three commits ago (or --to COMMIT)
spoutgen marker set '{"offset": 17}'      go on right after that position
spoutgen marker reset                     begin at the beginning
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from spoutgen.cli.clusters import add_options, cluster_of, wish_of
from spoutgen.errors import Diagnostic, MachineError, UsageError

if TYPE_CHECKING:
    from spoutgen.deployment.places import Place

_MOST_BYTES = 64 << 20
_FARTHEST = 1000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own verbs."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    show = verbs.add_parser("show", help="how far the spout has come")
    show.add_argument("--format", choices=("text", "json"), default="text", help="how to report (default: text)")
    verbs.add_parser("export", help="the marker's bytes on standard output")
    imports = verbs.add_parser("import", help="put exported bytes in the place of the marker")
    imports.add_argument("file", metavar="FILE", help="what export printed; - for standard input")
    sets = verbs.add_parser("set", help="go on right after a position")
    sets.add_argument("position", metavar="POSITION", help="JSON, as `marker show --format json` gives it")
    rewind = verbs.add_parser("rewind", help="the marker as it was at an older commit")
    way = rewind.add_mutually_exclusive_group(required=True)
    way.add_argument("--commits", metavar="N", type=int, help="so many commits of the marker ago")
    way.add_argument("--to", metavar="COMMIT", help="as it was at this commit")
    verbs.add_parser("reset", help="no marker: begin at the beginning")
    for verb in verbs.choices.values():
        verb.add_argument(
            "folder", metavar="DIR", nargs="?", type=Path, default=Path(), help="the project (default: .)"
        )
        add_options(verb)
        verb.add_argument("--local", action="store_true", help="the local cluster, that `spoutgen run` uses")
    for name in ("import", "set", "rewind", "reset"):
        verbs.choices[name].add_argument("--stop", action="store_true", help="stop the spout meanwhile, then start it")


def run(args: argparse.Namespace) -> int:
    """Do what was asked for."""
    with _place(args) as place:
        {"show": _show, "export": _export, "import": _import, "set": _set, "rewind": _rewind, "reset": _reset}[
            args.verb
        ](place, args)
    return 0


@contextmanager
def _place(args: argparse.Namespace) -> Iterator[Place]:
    from spoutgen.deployment.places import ClusterPlace, LocalPlace, inspected
    from spoutgen.deployment.project import read_project

    project = read_project(args.folder)
    if not args.local:
        with cluster_of(project, wish_of(args)) as cluster:
            yield ClusterPlace(cluster, inspected(cluster, project.name))
        return
    from spoutgen.cluster.connect import DEFAULT_PROJECT
    from spoutgen.local import pipelines
    from spoutgen.local.home import find_home, has_store
    from spoutgen.local.refused import NotFoundError
    from spoutgen.local.store import Store

    home = find_home()
    if not has_store(home):
        raise NotFoundError("pipeline", project.name, hint=f"nothing was run yet in {home.folder}: spoutgen run DIR")
    with Store(home.store) as store:
        # The store knows pipelines of other projects of 2.x by both names.
        is_default = project.namespace in (None, "", DEFAULT_PROJECT)
        name = project.name if is_default else f"{project.namespace}/{project.name}"
        yield LocalPlace(home, store, pipelines.inspect(store, name))


def _show(place: Place, args: argparse.Namespace) -> None:
    from spoutgen.cli.columns import ago
    from spoutgen.deployment.places import age
    from spoutgen.deployment.position import in_words, read
    from spoutgen.deployment.status import now
    from spoutgen.report import printable

    data = place.read()
    newest = next((commit.finished for commit in place.commits(20) if commit.finished and not commit.error), None)
    marker = read(data) if data is not None else None
    if args.format == "json":
        facts = {
            "place": place.title,
            "bytes": None if data is None else len(data),
            "committed": marker.committed if marker else None,
            "writing": marker.writing if marker else None,
            "age": age(newest, now()),
        }
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    elif marker is None:
        print(f"{place.title}: none yet; the spout begins at the beginning")
    else:
        print(f"{place.title}: {printable(in_words(marker))}" + (f"; {ago(newest, now())}" if newest else ""))


def _export(place: Place, args: argparse.Namespace) -> None:
    data = _current(place)
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _current(place: Place) -> bytes:
    from spoutgen.deployment.position import MarkerError

    data = place.read()
    if data is None:
        raise MarkerError(f"{place.title}: there is no marker yet")
    return data


def _import(place: Place, args: argparse.Namespace) -> None:
    data = bytes_of(args.file)
    _put(place, args, data)


def _set(place: Place, args: argparse.Namespace) -> None:
    from spoutgen.deployment.position import made

    try:
        position = json.loads(args.position, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        hint = "e.g. '{\"offset\": 17}'; `spoutgen marker show --format json` shows one"
        raise UsageError(Diagnostic("SG901", f"the position is not JSON: {error}", None, hint)) from error
    _put(place, args, made(position, place.facts, place.read()))


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def _rewind(place: Place, args: argparse.Namespace) -> None:
    from spoutgen.deployment.position import MarkerError

    commit: str | None = args.to
    if commit is None:
        if not 1 <= args.commits <= _FARTHEST:
            raise UsageError(Diagnostic("SG901", f"--commits is 1 to {_FARTHEST}; farther back: --to COMMIT"))
        good = [each.id for each in place.commits(args.commits + 20) if each.finished and not each.error]
        if len(good) <= args.commits:
            raise MarkerError(
                f"{place.title} has no marker {args.commits} commits ago", "reset begins at the beginning"
            )
        commit = good[args.commits]
    data = place.read(commit)
    if data is None:
        raise MarkerError(f"there is no marker at commit {commit} of {place.title}")
    _put(place, args, data)


def _reset(place: Place, args: argparse.Namespace) -> None:
    with place.changing(args.stop):
        if place.read() is not None:
            place.drop()
    print(f"{place.title}: none; the spout begins at the beginning")


def _put(place: Place, args: argparse.Namespace, data: bytes) -> None:
    from spoutgen.deployment.position import check_fits, in_words
    from spoutgen.deployment.taking import is_taken
    from spoutgen.report import printable

    # Where the runtime cannot be asked, the marker that is there says how the source is named.
    is_known = place.facts.source != "symbol" and is_taken(args.folder, place.document, data, os.environ)
    marker = check_fits(data, place.facts, None if is_known else place.read())
    with place.changing(args.stop):
        if place.read() != data:
            place.write(data)
    print(f"{place.title}: {printable(in_words(marker))}")


def bytes_of(file: str) -> bytes:
    """What a file holds, or standard input for ``-``. Raises MachineError SG101, SG102."""
    try:
        if file == "-":
            data = sys.stdin.buffer.read(_MOST_BYTES + 1)
        else:
            with Path(file).open("rb") as stream:
                data = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise MachineError(Diagnostic("SG101", f"{file} cannot be read: {error.strerror or error}")) from error
    if len(data) > _MOST_BYTES:
        raise MachineError(Diagnostic("SG102", f"{file} is larger than any marker"))
    return data
