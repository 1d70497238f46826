"""Print pipeline JSON, or write whole projects.

spoutgen render pipeline [SPEC...]         one document a spec, as `pachctl create pipeline -f -` takes them
spoutgen render all [SPEC] -o DIR          the project that `spoutgen new` would make
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spoutgen.errors import Diagnostic, SpecError

if TYPE_CHECKING:
    from spoutgen.spec.model import Spec


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    subverbs = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    pipeline = subverbs.add_parser("pipeline", help="pipeline JSON on standard output")
    pipeline.add_argument("specs", metavar="SPEC", nargs="*", type=Path, help="specs or project folders (default: .)")
    everything = subverbs.add_parser("all", help="a whole project into an empty folder")
    everything.add_argument("spec", metavar="SPEC", nargs="?", type=Path, default=Path(), help="default: .")
    everything.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help="an empty or new folder")


def run(args: argparse.Namespace) -> int:
    """Render what was asked for."""
    if args.what == "all":
        return _render_all(args.spec, args.output)
    from spoutgen.report import as_text

    warnings: list[Diagnostic] = []
    # All or nothing: half an answer in a pipe would be applied by pachctl before the error is seen.
    documents = list(_documents(args.specs or [Path()], warnings))
    sys.stderr.write(as_text(warnings))
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.stdout.writelines(documents)
    return 0


def _documents(specs: Sequence[Path], warnings: list[Diagnostic]) -> Iterator[str]:
    """The pipeline JSON of each spec; the mistakes of all of them are reported together."""
    from spoutgen.pipeline import pipeline_json
    from spoutgen.spec import load

    problems: list[Diagnostic] = []
    for spec in specs:
        try:
            loaded = load(spec)
        except SpecError as error:
            problems += error.diagnostics
            continue
        warnings += loaded.warnings
        if not problems:
            if loaded.spec.pachyderm == 2:
                sys.stderr.write(_which_glob(loaded.spec))
            yield pipeline_json(loaded.spec)
    if problems:
        raise SpecError(*problems)


def _which_glob(spec: Spec) -> str:
    """What to write into a pipeline downstream, which must not take the marker for data."""
    from spoutgen.pipeline.v2 import data_glob

    glob, marker = data_glob(spec.output.path), spec.marker.name
    return f'{spec.name}: pipelines that read it take the data with "glob": "{glob}"; the marker is /{marker}\n'


def _render_all(spec: Path, folder: Path) -> int:
    from spoutgen.project.create import check_is_free, create
    from spoutgen.project.render import render
    from spoutgen.spec import load

    loaded = load(spec)
    check_is_free(folder)
    create(render(loaded), folder)
    return 0
