"""argparse as every verb uses it: our exit status, a pointer to the help, options anywhere between the words."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

formatter = argparse.RawDescriptionHelpFormatter


class Parser(argparse.ArgumentParser):
    """The parser of one verb."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line and end with status 2."""
        self.exit(2, f"{self.prog}: {message}\n  hint: see `{self.prog} --help`\n")

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Read the arguments; options may stand between the words, unless the verb has verbs of its own."""
        return self.parse_args(arguments) if self._subparsers else self.parse_intermixed_args(arguments)


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
