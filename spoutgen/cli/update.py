"""Carry edits of spout.yaml, or a newer spoutgen, into the project's managed files.

Files of yours (spout.yaml, README.md) are never touched. Your edits in managed files are merged with what is new; where
that cannot be done, the file gets conflict marks and the exit status is 1. All of it is written, or nothing.

spoutgen update                  the project in this folder; `spoutgen plan` shows what that would do
spoutgen update --abort          undo an update that was interrupted or left conflicts
spoutgen update --all spouts     every project below a folder
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spoutgen.project.many import Outcome
    from spoutgen.project.plan import Bump, Plan


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=Path(), help="the project (default: .)")
    parser.add_argument("--abort", action="store_true", help="undo an update that was interrupted or left conflicts")
    parser.add_argument("--all", dest="is_all", action="store_true", help="every project in DIR and below it")
    parser.add_argument(
        "--bump", action="store_true",
        help="give the image the next tag: v1 -> v2 (with --all: only where its contents have changed)",
    )  # fmt: skip
    parser.add_argument("--template", metavar="PATH", help="from now on use this template (`default`: spoutgen's own)")


def run(args: argparse.Namespace) -> int:
    """Update what is asked for, and say what was done."""
    from spoutgen.errors import Diagnostic, UsageError

    if args.abort and (args.is_all or args.bump or args.template):
        raise UsageError(Diagnostic("SG901", "--abort goes with nothing but a project's folder"))
    if args.abort:
        return _abort(args.folder)
    return _all(args) if args.is_all else _one(args)


def _abort(folder: Path) -> int:
    from spoutgen.project.update import abort

    for path in abort(folder):
        print(f"your later edit of {path} is kept: {folder / '.spoutgen/aborted' / path}")
    print("undone")
    return 0


def _one(args: argparse.Namespace) -> int:
    from spoutgen.cli.planned import file_line, warn
    from spoutgen.project.conflicts import conflict_error
    from spoutgen.report import as_text

    done = _update(args.template, "always" if args.bump else "no", args.folder)
    sys.stderr.write(as_text(done.warnings))
    for decision in done.news:
        print(file_line(decision))
    if done.image.was != done.image.is_:
        print(f"image {done.image.was} -> {done.image.is_}: build and push it before you deploy")
    if args.template:
        print(f"template {args.template}: later updates use it too")
    print("nothing to do" if not done.news else "updated, with conflicts" if done.conflicts else "updated", flush=True)
    warn(done)
    if done.conflicts:
        raise conflict_error(args.folder, done.conflicts, "your edit and the new text met in one place")
    return 0


def _all(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from spoutgen.cli.planned import each, name_failures, warn_of_all
    from spoutgen.project.conflicts import conflict_error
    from spoutgen.project.many import find_projects, for_all

    bump: Bump = "needed" if args.bump else "no"
    folders = find_projects(args.folder)
    outcomes = for_all(folders, partial(_quick, args.template, bump), partial(_update, args.template, bump))
    results = each(folders, outcomes, _show)
    plans = [outcome.plan for outcome in results if outcome.plan]
    with_conflicts = sum(bool(plan.conflicts) for plan in plans)
    updated = sum(bool(plan.news and not plan.conflicts) for plan in plans)
    print(
        f"{len(results)} projects: {updated} updated, {sum(not plan.news for plan in plans)} with nothing to do,"
        f" {with_conflicts} with conflicts, {len(results) - len(plans)} failed",
        flush=True,
    )
    warn_of_all(plans, args.folder)
    failures = []
    for outcome in results:
        if outcome.plan and outcome.plan.conflicts:
            error = conflict_error(
                outcome.folder, outcome.plan.conflicts, "your edit and the new text met in one place"
            )
            failures.append(replace(outcome, problems=error.diagnostics, status=error.exit_status))
        else:
            failures.append(outcome)
    return name_failures(failures)


def _show(outcome: Outcome) -> None:
    """One line a project in which something was done."""
    if outcome.plan and outcome.plan.news:
        from spoutgen.cli.planned import MARKS

        files = ", ".join(f"{MARKS[decision.action]} {decision.path}" for decision in outcome.plan.news)
        print(f"{outcome.folder}: {files}")


def _update(template: str | None, bump: Bump, folder: Path) -> Plan:
    from spoutgen.project.template import given_template
    from spoutgen.project.update import update

    return update(folder, given_template(template, folder), bump)


def _quick(template: str | None, bump: Bump, folder: Path) -> Plan | None:
    from spoutgen.project.template import given_template
    from spoutgen.project.update import quick_update

    return quick_update(folder, given_template(template, folder), bump)
