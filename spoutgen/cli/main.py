"""The ``spoutgen`` command: finds the verb, runs it, and turns errors into messages and an exit status.

Exit status: 0 fine; 1 the input is wrong; 2 usage; 3 the environment; 70 a bug of ours, the only one with a traceback.
Verbs are imported when they are called, so ``spoutgen --help`` costs little more than Python itself; for the same
reason this module builds on argparse (see docs/explanation/decisions/0001-argparse.md).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

VERBS: dict[str, str] = {
    "new": "make a project from a name or a spec",
    "validate": "check specs and report every mistake at once",
    "set": "edit values of a spec in place, nothing else",
    "render": "print the pipeline JSON, or write a whole project",
    "update": "carry edits of the spec into the project",
    "run": "run the spout on this machine, without a cluster",
    "local": "look into the local cluster: list, get, inspect, delete",
    "schema": "print the JSON Schema of the spec",
}

DESCRIPTION = "Describe a Pachyderm spout in one YAML file; get a project that resumes from its marker."


class Parser(argparse.ArgumentParser):
    """argparse with our exit status and a pointer to the help."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line and end with status 2."""
        self.exit(2, f"{self.prog}: {message}\n  hint: see `{self.prog} --help`\n")


def top_level() -> Parser:
    """The parser that knows the verbs by name only."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {help_line}" for verb, help_line in VERBS.items())
    parser = Parser(
        prog="spoutgen",
        description=DESCRIPTION,
        epilog=f"commands:\n{verbs}\n\n`spoutgen COMMAND --help` tells more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="spoutgen COMMAND [...]",
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    return parser


def unknown_verb(parser: Parser, word: str) -> NoReturn:
    """End with status 2 and the verb that was probably meant."""
    import difflib  # noqa: PLC0415

    close = difflib.get_close_matches(word, VERBS, n=1)
    parser.error(f"no command {word!r}" + (f"; did you mean {close[0]!r}?" if close else ""))


def dispatch(arguments: Sequence[str]) -> int:
    """Run the verb that the arguments name."""
    parser = top_level()
    if not arguments or arguments[0].startswith("-"):
        options = parser.parse_args(arguments)
        if options.version:
            from spoutgen import __version__  # noqa: PLC0415

            print(f"spoutgen {__version__}")
            return 0
        parser.print_help(sys.stderr)
        return 2
    word, *rest = arguments
    if word == "help":
        return dispatch([*rest[:1], "--help"])
    if word not in VERBS:
        unknown_verb(parser, word)

    from importlib import import_module  # noqa: PLC0415

    verb = import_module(f"spoutgen.cli.{'set_' if word == 'set' else word}")
    verb_parser = Parser(
        prog=f"spoutgen {word}", description=verb.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verb.configure(verb_parser)
    status: int = verb.run(verb_parser.parse_intermixed_args(rest) if verb_takes_mixed(verb) else verb_parser.parse_args(rest))
    return status


def verb_takes_mixed(verb: object) -> bool:
    """Whether options may stand between the verb's words (not possible with sub-verbs)."""
    return not getattr(verb, "HAS_SUBVERBS", False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    from spoutgen.errors import SpoutgenError  # noqa: PLC0415

    try:
        status = dispatch(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except SpoutgenError as error:
        from spoutgen.report import as_text  # noqa: PLC0415

        sys.stdout.flush()
        sys.stderr.write(as_text(error.diagnostics))
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing is left to say, and Python must not say it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception:  # noqa: BLE001
        import traceback  # noqa: PLC0415

        traceback.print_exc()
        sys.stderr.write("spoutgen: this is a bug in spoutgen; please report it with the lines above\n")
        return 70
    return status
