"""What a deployed spout printed: the runtime's log, one JSON object a line.

spoutgen logs            all that the cluster still has of the project in this folder
spoutgen logs -f         and what comes, until Ctrl-C
spoutgen logs --tail 20  the last lines
"""

from __future__ import annotations

import argparse
import sys
from collections import deque
from pathlib import Path

from spoutgen.cli.clusters import add_options, cluster_of, wish_of
from spoutgen.errors import Diagnostic, UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=Path(), help="the project (default: .)")
    add_options(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    parser.add_argument("--tail", metavar="N", type=_number, help="only the last N lines, without -f")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Print the log."""
    from spoutgen.deployment.places import inspected
    from spoutgen.deployment.project import read_project
    from spoutgen.report import printable

    if args.follow and args.tail is not None:
        raise UsageError(Diagnostic("SG901", "--tail and --follow do not go together"))
    project = read_project(args.folder)
    with cluster_of(project, wish_of(args)) as cluster:
        inspected(cluster, project.name)
        lines = cluster.logs(project.name, args.follow)
        for line in deque(lines, maxlen=args.tail) if args.tail is not None else lines:
            sys.stdout.write(printable(line) + "\n")
            sys.stdout.flush()
    return 0
