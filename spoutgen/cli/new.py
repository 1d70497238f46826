"""Make a project: from a name (writes the spec too) or from a spec.

spoutgen new spoutmarker --set source.symbol='*'
spoutgen new spout.yaml -o /srv/spouts/dots
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spoutgen.cli.parser import setting

if TYPE_CHECKING:
    from spoutgen.errors import Diagnostic
    from spoutgen.spec import LoadedSpec


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("what", metavar="NAME|SPEC.yaml", help="a pipeline name, or the spec to make a project of")
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, help="the project folder (default: ./NAME)")
    parser.add_argument(
        "--set", dest="settings", metavar="key=value", action="append", default=[], type=setting,
        help="set a value of the spec, e.g. source.interval=1s; may be repeated",
    )  # fmt: skip
    parser.add_argument("--template", metavar="PATH", help="a fork of spoutgen's template, used by later updates too")


def run(args: argparse.Namespace) -> int:
    """Make the project and say what to do next."""
    from spoutgen.project.create import check_is_free, create
    from spoutgen.project.render import render
    from spoutgen.project.template import given_template
    from spoutgen.report import as_text

    loaded = _edited(args.what, args.settings) if is_spec(args.what) else _written(args)
    folder = args.output or Path(loaded.spec.name)
    check_is_free(folder)
    create(render(loaded, given_template(args.template, folder)), folder)
    sys.stderr.write(as_text(loaded.warnings))
    print(f"{folder}: spout {loaded.spec.name}, source {loaded.spec.source.type}, marker {loaded.spec.marker.name}")
    print(f"next: spoutgen run {shlex.quote(str(folder))}")
    return 0


def is_spec(what: str) -> bool:
    """Whether the word names a spec (a file, or something that looks like one) and not a pipeline."""
    # Of os and not of Path, which raises for a name that is too long for a file.
    return what.endswith((".yaml", ".yml")) or "/" in what or os.path.isfile(what)  # noqa: PTH113


def _edited(file: str, settings: list[tuple[str, str]]) -> LoadedSpec:
    """The spec in ``file``, with the settings."""
    from spoutgen.spec import load_text, read_text
    from spoutgen.spec.edit import set_values

    loaded = load_text(read_text(Path(file)), file)  # an edit of a wrong spec would only hide what is wrong with it
    return load_text(set_values(loaded.text, settings), file) if settings else loaded


def _written(args: argparse.Namespace) -> LoadedSpec:
    """A new spec of the settings, and on a terminal of what is answered there."""
    from spoutgen.errors import SpecError
    from spoutgen.spec import load_text
    from spoutgen.spec.starter import missing, starter

    settings = [*args.settings, *_answers(args.what, args.settings)]
    text = starter(args.what, settings)
    try:
        return load_text(text, "spout.yaml")
    except SpecError as error:
        lacking = missing(args.what, settings)
        known = {f"`{key}` is missing" for key in lacking}
        others = [finding for finding in error.diagnostics if finding.message not in known]
        raise SpecError(*others, *_named(args, settings, lacking)) from error.__cause__


def _named(args: argparse.Namespace, settings: list[tuple[str, str]], lacking: list[str]) -> Iterator[Diagnostic]:
    """What is missing: what each of it is, and the command line that gives it all."""
    from spoutgen.errors import Diagnostic
    from spoutgen.spec.starter import completed, expected

    for key in lacking:
        command = ["spoutgen", "new", args.what]
        command += ["--output", str(args.output)] if args.output else []
        command += ["--template", args.template] if args.template else []
        hint = None
        if key == lacking[-1]:
            for pair in completed(args.what, settings):
                command += ["--set", "=".join(pair)]
            hint = f"with values of your own: {shlex.join(command)}"
        yield Diagnostic("SG202", f"`{key}` is missing: {expected(key, settings)}", None, hint)


def _answers(name: str, settings: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """On a terminal, ask for what the source type requires; elsewhere nothing is asked.

    Return takes the value in brackets, and what is wrong is asked for again. What is left out (Ctrl-D) is missing in
    the spec, and the check says so.
    """
    from spoutgen.report import as_text
    from spoutgen.spec.starter import fault, next_question

    answers: list[tuple[str, str]] = []
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return answers
    while question := next_question(name, [*settings, *answers]):
        sys.stderr.write(
            f"{question.key} ({question.description})" + (f" [{question.first}]: " if question.first else ": ")
        )
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            sys.stderr.write("\n")
            return answers
        answer = (question.key, line.strip() or question.first)
        wrong = fault(name, [*settings, *answers, answer], question.key) if answer[1] else None
        if wrong:
            sys.stderr.write(as_text([replace(wrong, place=None)]))
        elif answer[1]:
            answers.append(answer)
    return answers
