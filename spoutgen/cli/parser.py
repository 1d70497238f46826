"""argparse as every verb uses it: our exit status, a pointer to the help, options anywhere between the words."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

formatter = argparse.RawDescriptionHelpFormatter


class Parser(argparse.ArgumentParser):
    """The parser of one verb; options may stand anywhere between its words."""

    _is_intermixing = False

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line and end with status 2."""
        self.exit(2, f"{self.prog}: {message}\n  hint: see `{self.prog} --help`\n")

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Read the arguments."""
        return self.parse_args(arguments)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse, which calls this for a verb's own verbs too, but intermixed; that in turn comes back here."""
        if self._subparsers or self._is_intermixing:
            return super().parse_known_args(args, namespace)
        self._is_intermixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_intermixing = False


def setting(text: str) -> tuple[str, str]:
    """``key=value`` as a pair, for ``type=``; the value is everything after the first equals sign."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form key=value")
    return key, value


def seconds(text: str) -> float:
    """A time limit from above 0 to an hour, as the spec writes it, for ``type=``."""
    from spoutgen.spec.units import UnitError, parse_duration

    try:
        found = parse_duration(text)
    except UnitError as error:
        raise argparse.ArgumentTypeError(f"{error}" + (f": {error.hint}" if error.hint else "")) from error
    if not 0 < found <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time from above 0 to 1h")
    return found
