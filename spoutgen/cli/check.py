"""Reach the source from here with the spec's settings, and say what it has: partitions, newest position, lag.

It reads no record and changes nothing, there or here. The project's own runtime does it, in a process of its own, with
the secrets' variables of this shell, as `spoutgen run` has them. The lag is counted from the marker that the local
cluster has, if the spout ran here. Exit status: 0 fine; 1 the settings are wrong; 3 the source cannot be reached.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from spoutgen.cli.parser import seconds, setting

if TYPE_CHECKING:
    from spoutgen.local.check import Finding

_CODES = {"refused": "SG801", "away": "SG802", "no_driver": "SG803", "broken": "SG803"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=Path(), help="the project (default: .)")
    parser.add_argument(
        "--timeout", metavar="TIME", type=seconds, default=10.0, help="how long to try, e.g. 30s (default: 10s)"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to report (default: text)")
    parser.add_argument(
        "--set", dest="settings", metavar="key=value", action="append", default=[], type=setting,
        help="another value of source.* for this check only; may be repeated",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Look, and report."""
    from spoutgen.cli.run import with_settings
    from spoutgen.local.check import check
    from spoutgen.local.environment import find_secrets
    from spoutgen.local.spec import read_spec
    from spoutgen.project.step import PIPELINE, check_in_step

    check_in_step(args.folder)
    folder = args.folder.resolve()
    spec = with_settings(read_spec(folder / PIPELINE), args.folder, args.settings)
    secrets = find_secrets(spec.secrets, os.environ)
    source = str(json.loads(spec.env["SPOUT_CONFIG"])["source"]["type"])
    found = check(folder, spec, secrets, os.environ, _marker(folder, spec.name), args.timeout)
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    if args.format == "json":
        print(json.dumps(_facts(spec.name, source, found), indent=2, ensure_ascii=False))
        return _status(found)
    sys.stdout.write(_text(spec.name, source, found))
    sys.stdout.flush()
    if found.outcome not in ("found", "blind"):
        _complain(source, found)
    return 0


def _marker(folder: Path, name: str) -> bytes | None:
    """The marker that the local cluster has of this very project."""
    from spoutgen.deployment.places import LocalPlace
    from spoutgen.local import pipelines
    from spoutgen.local.home import find_home, has_store
    from spoutgen.local.store import Store

    home = find_home()
    if not has_store(home):
        return None
    with Store(home.store) as store:
        pipeline = pipelines.find(store, name)
        if pipeline is None or pipeline.folder != str(folder):
            return None
        return LocalPlace(home, store, pipeline).read()


def _status(found: Finding) -> int:
    if found.outcome in ("found", "blind"):
        return 0
    return 1 if found.outcome == "refused" else 3


def _complain(source: str, found: Finding) -> None:
    """Raise what is wrong as any verb would: SpecError (status 1) for the settings, else MachineError (3)."""
    from spoutgen.errors import Diagnostic, MachineError, SpecError

    problem = Diagnostic(_CODES[found.outcome], f"{source}: {found.problem}", None, found.fix)
    raise SpecError(problem) if found.outcome == "refused" else MachineError(problem)


def _facts(name: str, source: str, found: Finding) -> dict[str, object]:
    facts: dict[str, object] = {"spout": name, "source": source, "outcome": found.outcome}
    facts["rows"] = [{"what": what, "found": how} for what, how in found.rows]
    if found.problem:
        facts |= {"code": _CODES[found.outcome], "problem": found.problem, "fix": found.fix}
    return facts


def _text(name: str, source: str, found: Finding) -> str:
    from spoutgen.report import printable

    said = {"found": "reached", "blind": "has nothing outside to look at (no probe); `spoutgen test` tries it"}
    heads = [f"{name}: {source} {said[found.outcome]}\n"] if found.outcome in said else []
    width = max((len(what) for what, _ in found.rows), default=0)
    return "".join([*heads, *(f"  {printable(what):<{width}}  {printable(how)}\n" for what, how in found.rows)])
