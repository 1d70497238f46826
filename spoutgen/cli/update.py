"""Carry edits of spout.yaml, or a newer spoutgen, into the project's managed files.

Files of yours (spout.yaml, README.md) are never touched. Your edits in managed files are merged with what is new; where
that cannot be done, the file gets conflict marks and the exit status is 1. All of it is written, or nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

MARKS = {"add": "+", "change": "~", "merge": "~", "delete": "-", "conflict": "!", "beside": "+", "keep": " "}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("--abort", action="store_true", help="undo an update that was interrupted or left conflicts")
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=Path(), help="the project (default: .)")


def run(args: argparse.Namespace) -> int:
    """Update the project and list the files that changed."""
    from spoutgen.project.update import abort, conflict_error, update

    if args.abort:
        for path in abort(args.folder):
            print(f"your later edit of {path} is kept: {args.folder / '.spoutgen/aborted' / path}")
        print("undone")
        return 0
    done = update(args.folder)
    for decision in done.news:
        print(f"{MARKS[decision.action]} {decision.path}" + (f"  ({decision.note})" if decision.note else ""))
    if done.conflicts:
        raise conflict_error(args.folder, done.conflicts, "your edit and the new text met in one place")
    print("updated" if done.news else "nothing to do")
    return 0
