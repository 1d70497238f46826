"""Carry edits of spout.yaml, or a newer spoutgen, into the project's managed files.

Files of yours (spout.yaml, README.md) are never touched. If a managed file that would have to change was edited by
hand, nothing is changed at all.
"""

from __future__ import annotations

import argparse
from pathlib import Path

MARKS = {"add": "+", "change": "~", "delete": "-"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=Path(), help="the project (default: .)")


def run(args: argparse.Namespace) -> int:
    """Update the project and list the files that changed."""
    from spoutgen.project.update import update

    changes = update(args.folder).changes
    for decision in changes:
        print(f"{MARKS[decision.action]} {decision.path}")
    print("updated" if changes else "nothing to do")
    return 0
