"""The ``spoutgen`` command: finds the verb, runs it, and turns errors into messages and an exit status.

Exit status: 0 fine; 1 the input is wrong; 2 usage; 3 the environment; 70 a bug of ours, the only one with a traceback.
Everything is imported when it is needed, so ``spoutgen --help`` costs hardly more than Python itself
(docs/explanation/decisions/0001-argparse.md has the numbers).
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

VERBS: dict[str, str] = {
    "new": "make a project from a name or a spec",
    "validate": "check specs and report every mistake at once",
    "set": "edit values of a spec in place, nothing else",
    "render": "print the pipeline JSON, or write a whole project",
    "plan": "show what an update would change",
    "update": "carry edits of the spec into the project",
    "check": "reach the source with the spec's settings, and say what it has",
    "run": "run the spout on this machine, without a cluster",
    "test": "check that the source keeps its promises, kills included",
    "build": "build the project's image, and push it",
    "local": "look into the local cluster: list, get, inspect, delete",
    "deploy": "create or update the pipeline on a cluster, and see that it runs",
    "status": "how deployed spouts go: version, drift, commits, marker",
    "logs": "what a deployed spout printed",
    "marker": "show, export, import, set, rewind or reset a marker",
    "sources": "list the types of source, or one type's options",
    "schema": "print the JSON Schema of the spec",
}


def help_text() -> str:
    """What ``spoutgen --help`` prints."""
    width = max(map(len, VERBS))
    verbs = "".join(f"  {verb:<{width}}  {line}\n" for verb, line in VERBS.items())
    return (
        "usage: spoutgen COMMAND [...]\n\n"
        "Describe a Pachyderm spout in one YAML file; get a project that resumes from its marker.\n\n"
        f"commands:\n{verbs}\n"
        "`spoutgen COMMAND --help` tells more; `spoutgen --version` prints the version.\n"
        "First steps: spoutgen new spoutmarker && spoutgen run spoutmarker --set source.interval=1s\n"
    )


def wrong_usage(message: str) -> int:
    """Say what is wrong with the command line."""
    sys.stderr.write(f"spoutgen: {message}\n  hint: see `spoutgen --help`\n")
    return 2


def dispatch(arguments: Sequence[str]) -> int:
    """Run the verb that the arguments name."""
    if not arguments:
        sys.stderr.write(help_text())
        return 2
    word, *rest = arguments
    if word in ("-h", "--help", "help"):
        if word == "help" and rest:
            return dispatch([rest[0], "--help"])
        sys.stdout.write(help_text())
        return 0
    if word == "--version":
        from spoutgen import __version__

        sys.stdout.write(f"spoutgen {__version__}\n")
        return 0
    if word not in VERBS:
        import difflib

        close = difflib.get_close_matches(word, [*VERBS, "--help", "--version"], n=1)
        kind = "option" if word.startswith("-") else "command"
        return wrong_usage(f"no {kind} {word!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
    return run_verb(word, rest)


def run_verb(word: str, rest: Sequence[str]) -> int:
    """Import one verb, let it read its arguments, run it."""
    import gc
    from importlib import import_module

    # Imports make many objects and hardly any garbage: looking for it every 700 objects is a twentieth of `new`.
    gc.set_threshold(50_000)
    from spoutgen.cli.parser import Parser, formatter

    verb = import_module(f"spoutgen.cli.{'set_' if word == 'set' else word}")
    parser = Parser(prog=f"spoutgen {word}", description=verb.__doc__, formatter_class=formatter)
    verb.configure(parser)
    status: int = verb.run(parser.parse(rest))
    return status


def failure(error: Exception) -> int:
    """Report an error that ended a verb; a traceback only for what is our own fault."""
    from spoutgen.errors import SpoutgenError, full_disk

    known = error if isinstance(error, SpoutgenError) else full_disk(error)
    if known is not None:
        from spoutgen.report import as_text

        sys.stderr.write(as_text(known.diagnostics))
        return known.exit_status
    import traceback

    traceback.print_exception(type(error), error, error.__traceback__)
    sys.stderr.write("spoutgen: this is a bug in spoutgen; please report it with the lines above\n")
    return 70


def command() -> int:
    """The ``spoutgen`` command as a process: runs `main`, then ends without a last look for garbage.

    That look, at all that jsonschema and cookiecutter brought along, takes an eighth of `new`.
    """
    import gc

    open_closed_streams()
    status = main()
    gc.freeze()
    return status


def open_closed_streams() -> None:
    """Open /dev/null in the place of a standard stream that is closed (``>&-``), for which Python has None.

    Otherwise the next file that is opened would take its number, and the processes that we start would write into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # What files hold and are named may be anything; a terminal that cannot show it is no reason to end.
            stream.reconfigure(errors="backslashreplace")
    try:
        status = dispatch(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output went away (`| head`): nothing is left to say
        give_up_output()
        return 141
    except Exception as error:  # noqa: BLE001
        try:
            sys.stdout.flush()
        except OSError:
            give_up_output()
        return failure(error)
    return status


def give_up_output() -> None:
    """Let what cannot be written go nowhere, so that Python does not complain of it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
