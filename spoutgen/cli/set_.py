"""Edit values of a spec in place: not one other byte changes.

spoutgen set source.symbol='*' image=spout-marker:v2
spoutgen set resources.limits='{cpu: 1, memory: 64MiB}' env.LOG_LEVEL=debug ../dots
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "words",
        metavar="key=value|DIR",
        nargs="+",
        help="dotted keys and their values; the project or spec (default: .)",
    )


def run(args: argparse.Namespace) -> int:
    """Edit, check the result, and only then write it."""
    from spoutgen.report import as_text
    from spoutgen.spec import find, load_text, read_text
    from spoutgen.spec.edit import changes, save, set_values

    settings, folder = _sorted_out(args.words)
    file = find(folder)
    text = read_text(file)
    edited = set_values(text, settings, str(file))
    loaded = load_text(edited, str(file))
    sys.stderr.write(as_text(loaded.warnings, colour=sys.stderr.isatty()))
    if edited != text:
        save(file, edited)
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    for key, before, after in changes(text, edited, [key for key, _ in settings]):
        print(f"{key}: {before} -> {after}" if before != after else f"{key}: {after} (as before)")
    return 0


def _sorted_out(words: Sequence[str]) -> tuple[list[tuple[str, str]], Path]:
    """The settings among the words, and the one word that is a folder or a spec."""
    from spoutgen.errors import Diagnostic, UsageError

    settings = [(key, value) for key, equals, value in (word.partition("=") for word in words) if equals]
    others = [word for word in words if "=" not in word]
    if len(others) > 1:
        raise UsageError(Diagnostic("SG901", f"`{others[1]}` is no key=value, and `{others[0]}` is the folder already"))
    if not settings:
        hint = "write key=value, such as source.interval=5s"
        raise UsageError(
            Diagnostic("SG901", f"`{others[0]}` is no key=value, and nothing else is to be set", None, hint)
        )
    return settings, Path(*others)
