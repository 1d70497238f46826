"""Deploy projects to a cluster of Pachyderm 1.x or 2.x: create or update, then wait until the spout runs.

What would lose the marker is refused, with the way round it. Running the command again is always safe: what is deployed
already is left alone. `--reprocess` is never used: it would drop the marker.

spoutgen deploy --dry-run            what it would do, and how far the spout has come
spoutgen deploy --build --push       the image first
spoutgen deploy spouts/a spouts/b    several at once; `--all spouts` for every project below a folder
spoutgen deploy --move-marker        after `marker:` was renamed: the position goes with it
spoutgen deploy --marker FILE        a new pipeline that goes on from what `marker export` printed elsewhere
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spoutgen.cli import build
from spoutgen.cli.clusters import (
    Teller,
    add_folders,
    add_options,
    cluster_of,
    folders_of,
    for_each,
    tell_failures,
    then,
    wish_of,
)
from spoutgen.errors import Diagnostic, UsageError

if TYPE_CHECKING:
    from spoutgen.cluster.connect import Wish
    from spoutgen.deployment.deploy import Options
    from spoutgen.deployment.plan import DeployPlan


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add_folders(parser)
    add_options(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--build", action="store_true", help="build the image first")
    parser.add_argument("--push", action="store_true", help="push the image first; it is built for that, once")
    build.add_options(parser)
    parser.add_argument("--move-marker", action="store_true", help="carry the position to the marker's new name")
    parser.add_argument(
        "--marker", metavar="FILE", help="make the pipeline with this marker, so that it goes on from there"
    )
    parser.add_argument("--keep-repo", action="store_true", help="take over an output repo that has no pipeline")
    parser.add_argument(
        "--wait", metavar="TIME", type=duration, default=300.0,
        help="how long the spout has to begin to run (default: 5m; 0s: do not wait)",
    )  # fmt: skip


def duration(text: str) -> float:
    """A time as the spec writes it, for ``type=``."""
    from spoutgen.spec.units import UnitError, parse_duration

    try:
        return 0.0 if text in ("0", "0s") else parse_duration(text)
    except UnitError as error:
        raise argparse.ArgumentTypeError(f"{error}" + (f": {error.hint}" if error.hint else "")) from error


def run(args: argparse.Namespace) -> int:
    """Deploy what is asked for, and say what was done."""
    from spoutgen.deployment.deploy import Options

    recipe = _recipe(args)
    folders, wish, say = folders_of(args), wish_of(args), Teller().say
    marker = _marker(args.marker, folders) if args.marker else None
    options = Options(args.dry_run, args.move_marker, args.keep_repo, args.wait, marker, args.marker or "")
    if recipe is None:
        return tell_failures(for_each(folders, partial(_deploy, wish, options, say, True)))
    # Nothing is built, and above all nothing pushed, that could not be deployed then.
    done = for_each(folders, partial(_deploy, wish, replace(options, is_dry=True), say, True))
    if options.is_dry:
        return tell_failures(then(done, lambda folder: build.tell_plan(folder, recipe, build.tell), at_once=1))
    # One image after the other: a builder uses all cores by itself.
    done = then(done, lambda folder: build.build_project(folder, recipe, build.tell), at_once=1)
    return tell_failures(then(done, partial(_deploy, wish, options, say, False)))


def _recipe(args: argparse.Namespace) -> build.Options | None:
    """How to build the images; None: not at all. Raises UsageError SG901 for the how without the what."""
    if args.build or args.push:
        return build.Options(args.builder, args.platforms, dict(args.arguments), args.push, is_pushed_once=args.push)
    if args.builder or args.platforms or args.arguments:
        message = "--with, --platform and --build-arg say how to build, and nothing is to be built"
        raise UsageError(Diagnostic("SG901", message, None, "add --build, or --push"))
    return None


def _marker(file: str, folders: list[Path]) -> bytes:
    from spoutgen.cli.marker import bytes_of

    if len(folders) != 1:
        raise UsageError(Diagnostic("SG901", f"--marker is for one project, not {len(folders)}"))
    return bytes_of(file)


def _deploy(wish: Wish, options: Options, say: Callable[[str, str], None], is_plan_told: bool, folder: Path) -> None:
    from spoutgen.deployment.deploy import deploy, make_plan
    from spoutgen.deployment.project import read_project
    from spoutgen.deployment.taking import is_taken
    from spoutgen.project.step import check_image, check_in_step

    check_in_step(folder)
    check_image(folder)
    project = read_project(folder)
    if options.marker is not None and project.facts.source != "symbol":
        is_taken(folder, project.document, options.marker, os.environ)
    with cluster_of(project, wish) as cluster:
        made = make_plan(project, cluster, options)
        for line in plan_lines(made, cluster.address) if is_plan_told else ():
            say(project.name, line)
        if not options.is_dry:
            deploy(made, cluster, options, partial(say, project.name))


def plan_lines(plan: DeployPlan, address: str) -> list[str]:
    """The plan in words."""
    live = "there is none yet" if plan.version is None else f"version {plan.version}"
    state = ", waiting for its marker" if plan.is_held else ", stopped" if plan.is_stopped else ""
    lines = [f"{plan.action} at {address}; {live}{state}; marker {plan.marker}"]
    lines += [f"  {each.key}: {each.old or '(none)'} -> {each.new or '(none)'}" for each in plan.settings]
    if plan.moved is not None:
        lines.append("  the marker is renamed: stop, copy it, update, start")
    return lines
