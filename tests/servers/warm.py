"""`spoutgen run` and its user code as forks of a process that has imported everything.

    python warm.py SOCKET BYTECODE DRIVER...

SOCKET is an inherited file descriptor (`forks.Nursery` is at its other end), BYTECODE a folder for the byte code of
what is not imported beforehand: the user code's own modules come from the project, each time. The DRIVERs are what
those import.

What is not as in a process of its own: the worker waits a fiftieth of Pachyderm's time before it starts user code
again.
"""

from __future__ import annotations

import importlib
import os
import runpy
import socket
import subprocess
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
sys.path.insert(0, str(Path(__file__).parents[1]))

from forks import Forked, Nursery, nursery_of, serve

from spoutgen.cli import main as spoutgen
from spoutgen.cli import run  # noqa: F401
from spoutgen.local import backoff, usercode
from spoutgen.project import step  # noqa: F401

QUICKER = 50


def run_life(order: Any) -> int:
    """`spoutgen run`, whose user code is a fork, too."""
    plain = backoff.Backoff.waits
    backoff.Backoff.waits = lambda self: (seconds / QUICKER for seconds in plain(self))  # type: ignore[method-assign]
    with nursery_of(user_life) as nursery:
        usercode.subprocess = SimpleNamespace(  # type: ignore[assignment]
            Popen=_popen(nursery), PIPE=subprocess.PIPE, DEVNULL=subprocess.DEVNULL, STDOUT=subprocess.STDOUT
        )
        return _ended(lambda: spoutgen.dispatch(order["arguments"]))


def user_life(order: Any) -> int:
    """The program of the user code, from its file."""
    os.setsid()
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    program, *arguments = order["arguments"]
    assert program == sys.executable
    sys.argv = arguments
    tests = str(Path(__file__).parents[1])
    sys.path[:] = [str(Path(arguments[0]).parent), *(path for path in sys.path if not path.startswith(tests))]
    return _ended(lambda: runpy.run_path(arguments[0], run_name="__main__"))


def _popen(nursery: Nursery) -> Any:
    def popen(arguments: Any, *, env: Any, cwd: Any, **_: Any) -> Forked:
        reader, writer = os.pipe()
        order = {"arguments": list(arguments), "env": dict(env), "cwd": str(cwd)}
        forked = nursery.start(order, writer)
        os.close(writer)
        forked.stdout = os.fdopen(reader, "rb")
        return forked

    return popen


def _ended(work: Any) -> int:
    """The status that the interpreter would end with."""
    try:
        status = work()
    except SystemExit as ended:
        status = ended.code
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    return status if isinstance(status, int) else 0


def main() -> None:
    """Import, then fork on demand."""
    number, bytecode, *drivers = sys.argv[1:]
    sys.pycache_prefix = bytecode
    for name in drivers:
        importlib.import_module(name)
    serve(socket.socket(fileno=int(number)), run_life)


if __name__ == "__main__":
    main()
