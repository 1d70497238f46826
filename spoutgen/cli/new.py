"""Make a project: from a name (writes the spec too) or from a spec.

spoutgen new spoutmarker --set source.symbol='*'
spoutgen new spout.yaml -o /srv/spouts/dots
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from spoutgen.cli.parser import setting


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
    from spoutgen.spec import load_text
    from spoutgen.spec.edit import set_values

    text, label = _spec_text(args.what, args.settings)
    if is_spec(args.what) and args.settings:
        load_text(text, label)  # an edit of a wrong spec would only hide what is wrong with it
        text = set_values(text, args.settings)
    loaded = load_text(text, label)
    folder = args.output or Path(loaded.spec.name)
    check_is_free(folder)
    create(render(loaded, given_template(args.template, folder)), folder)
    sys.stderr.write(as_text(loaded.warnings))
    print(f"{folder}: spout {loaded.spec.name}, source {loaded.spec.source.type}, marker {loaded.spec.marker.name}")
    print(f"next: spoutgen run {folder}")
    return 0


def is_spec(what: str) -> bool:
    """Whether the word names a spec (a file, or something that looks like one) and not a pipeline."""
    return what.endswith((".yaml", ".yml")) or "/" in what or Path(what).is_file()


def _spec_text(what: str, settings: list[tuple[str, str]]) -> tuple[str, str]:
    """The spec's text before ``--set`` (read from its file) or with it (written for a name), and its label."""
    from spoutgen.spec import read_text
    from spoutgen.spec.starter import starter

    if is_spec(what):
        return read_text(Path(what)), what
    return starter(what, [*settings, *_answers(settings)]), "spout.yaml"


def _answers(settings: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """On a terminal, ask for what the source type requires; elsewhere nothing is asked.

    Return takes the value in brackets. What is left out (Ctrl-D) is missing in the spec, and the check says so.
    """
    from spoutgen.spec.starter import questions

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return []
    answers: list[tuple[str, str]] = []
    for option, description, first in questions(settings):
        answer = ""
        while not answer:
            sys.stderr.write(f"{option} ({description})" + (f" [{first}]: " if first else ": "))
            sys.stderr.flush()
            line = sys.stdin.readline()
            if not line:
                sys.stderr.write("\n")
                return answers
            answer = line.strip() or first
        answers.append((option, answer))
    return answers
