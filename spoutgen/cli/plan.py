"""Show what an update would change: files, settings, image, marker. Nothing is written.

spoutgen plan                    the project in this folder
spoutgen plan --diff             with the lines of every file
spoutgen plan --check            exit status 1 when there is something to do, for CI
spoutgen plan --all spouts       every project below a folder
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spoutgen.project.many import Outcome
    from spoutgen.project.plan import Plan


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=Path(), help="the project (default: .)")
    parser.add_argument("--all", dest="is_all", action="store_true", help="every project in DIR and below it")
    parser.add_argument("--check", action="store_true", help="exit status 1 when there is something to do")
    parser.add_argument("--diff", action="store_true", help="show the lines that change, as git does")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to report (default: text)")
    parser.add_argument("--template", metavar="PATH", help="plan with this template (`default`: spoutgen's own)")


def run(args: argparse.Namespace) -> int:
    """Plan, and say it."""
    return _all(args) if args.is_all else _one(args)


def _one(args: argparse.Namespace) -> int:
    from spoutgen.cli.planned import as_data, diff_lines, plan_lines
    from spoutgen.report import as_text

    planned = _plan(args.template, args.folder)
    if args.format == "json":
        print(json.dumps(as_data(planned, args.diff), indent=2, ensure_ascii=False))
    else:
        sys.stderr.write(as_text(planned.warnings))
        print("\n".join(plan_lines(planned)))
        if args.diff and planned.news:
            print("\n".join(["", *diff_lines(planned)]))
    return 1 if args.check and planned.is_something_to_do else 0


def _all(args: argparse.Namespace) -> int:
    from spoutgen.cli.planned import as_data, each, name_failures, problem_data
    from spoutgen.project.many import find_projects, for_all

    folders = find_projects(args.folder)
    outcomes = for_all(folders, partial(_quick, args.template), partial(_plan, args.template))
    if args.format == "json":
        results = each(folders, outcomes, lambda outcome: None)
        projects = [
            as_data(outcome.plan, args.diff)
            if outcome.plan
            else {"project": str(outcome.folder), "problems": problem_data(outcome.problems)}
            for outcome in results
        ]
        print(json.dumps({"projects": projects}, indent=2, ensure_ascii=False))
    else:
        results = each(folders, outcomes, partial(_show, args.diff))
    to_do = sum(bool(outcome.plan and outcome.plan.is_something_to_do) for outcome in results)
    failed = sum(outcome.status > 0 for outcome in results)
    if args.format == "text":
        print(f"{len(results)} projects: {to_do} with something to do, {failed} failed", flush=True)
    return max(name_failures(results), int(bool(args.check and to_do)))


def _show(with_diff: bool, outcome: Outcome) -> None:
    """One project with something to do, as its own plan would say it."""
    from spoutgen.cli.planned import diff_lines, plan_lines

    if outcome.plan and (outcome.plan.is_something_to_do or outcome.plan.news):
        print(f"{outcome.folder}:")
        for line in [*plan_lines(outcome.plan), *(diff_lines(outcome.plan) if with_diff else ())]:
            print(f"  {line}".rstrip())


def _plan(template: str | None, folder: Path) -> Plan:
    from spoutgen.project.plan import plan
    from spoutgen.project.template import given_template

    return plan(folder, given_template(template, folder))


def _quick(template: str | None, folder: Path) -> Plan | None:
    from spoutgen.project.plan import quick_plan
    from spoutgen.project.template import given_template

    return quick_plan(folder, given_template(template, folder))
