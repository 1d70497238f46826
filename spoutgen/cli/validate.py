"""Check specs and report every mistake at once, each with its place and a hint.

spoutgen validate                       the spec of the project in this folder
spoutgen validate a.yaml b.yaml         many specs: all of them are reported
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from spoutgen.errors import Diagnostic, SpoutgenError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("specs", metavar="SPEC", nargs="*", type=Path, help="specs or project folders (default: .)")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to report (default: text)")


def run(args: argparse.Namespace) -> int:
    """Check every spec; 1 when one of them is wrong."""
    from spoutgen.report import as_json, as_text

    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    findings: list[Diagnostic] = []
    for spec in args.specs or [Path()]:
        found, name = _check(spec)
        findings += found
        if args.format == "text":
            sys.stderr.write(as_text(found, colour=sys.stderr.isatty()))
            if not _is_wrong(found):
                print(f"{name}: ok")
    if args.format == "json":
        sys.stdout.write(as_json(findings))
    return 1 if _is_wrong(findings) else 0


def _check(spec: Path) -> tuple[list[Diagnostic], Path]:
    """The findings about one spec, and its file."""
    from spoutgen.spec import load

    try:
        loaded = load(spec)
    except SpoutgenError as error:
        return list(error.diagnostics), spec
    return list(loaded.warnings), loaded.path


def _is_wrong(findings: list[Diagnostic]) -> bool:
    return any(finding.severity == "error" for finding in findings)
