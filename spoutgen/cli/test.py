"""Check that the project's source keeps its promises: the conformance kit.

It runs the source under the project's own runtime, in processes of its own, reads and replays and resumes, and kills
the whole spout at every step on the local worker. Neither the project nor your local cluster is touched; but the source
reads where it always reads, and acknowledges what it read there. Exit status 1 if a check failed.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from spoutgen.cli.parser import setting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spoutgen.conformance.suite import Check

_CLEARED = "\r\x1b[K"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from spoutgen.conformance.suite import CHECKS

    width = max(len(check.name) for check in CHECKS)
    listed = "\n".join(f"  {check.name:<{width}}  {check.title}" for check in CHECKS)
    parser.epilog = f"checks:\n{listed}"
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=Path(), help="the project (default: .)")
    parser.add_argument("--format", choices=("text", "json", "junit"), default="text", help="how to report")
    parser.add_argument(
        "--only", metavar="NAME", action="append", default=[], choices=[check.name for check in CHECKS],
        help="only this check (and, if need be, what it stands on); may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--seconds", metavar="N", type=_seconds, default=5.0, help="how long a check waits for records (default: 5)"
    )
    parser.add_argument(
        "--set", dest="settings", metavar="key=value", action="append", default=[], type=setting,
        help="another value of source.*, batch.* or output.* for this test only; may be repeated",
    )  # fmt: skip


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from above 0 to 3600")
    return seconds


def _announce(check: Check) -> None:
    """On a terminal, say what is going on; the result takes its place."""
    if sys.stderr.isatty():
        print(f"{_CLEARED}...     {check.name}", end="", file=sys.stderr, flush=True)


def run(args: argparse.Namespace) -> int:
    """Run the checks; 1 when one of them failed."""
    from spoutgen.cli.run import with_settings
    from spoutgen.conformance import report
    from spoutgen.conformance.outcome import Result
    from spoutgen.conformance.subject import subject
    from spoutgen.conformance.suite import CHECKS, run_checks
    from spoutgen.local.environment import find_secrets
    from spoutgen.local.spec import read_spec
    from spoutgen.project.step import PIPELINE, check_in_step

    check_in_step(args.folder)
    folder = args.folder.resolve()
    spec = with_settings(read_spec(folder / PIPELINE), args.folder, args.settings)
    secrets = find_secrets(spec.secrets, os.environ)
    width = max(len(check.name) for check in CHECKS)
    results: list[Result] = []
    with subject(folder, spec, secrets, os.environ, args.seconds) as tested:
        for result in run_checks(tested, args.only, _announce):
            results.append(result)
            if args.format == "text":
                print(_CLEARED * sys.stderr.isatty(), end="", file=sys.stderr, flush=True)
                print(secrets.masked(report.as_line(result, width)), end="", flush=True)
    if args.format == "text":
        print(f"{spec.name}: {report.summary(results)}")
    else:
        told = report.as_json if args.format == "json" else report.as_junit
        sys.stdout.write(secrets.masked(told(results, spec.name)))
    return 1 if report.any_failed(results) else 0
