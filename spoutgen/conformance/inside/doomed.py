"""Starts a project's spout as main.py does, and kills it (SIGKILL) at one step of the pipe protocol.

Runs inside the project's own process, like probe.py: ``python -B doomed.py PROJECT_FOLDER PLAN_FOLDER``. The plan is a
folder of empty files, ``NUMBER STEP COUNT`` (``03 inside write_data 2``): the first one is due, at the COUNT-th time
that this process is at STEP. It is taken away before the kill, so the next process meets the next one; with none left
the spout just runs.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, sys.argv[1])

from spout.__main__ import main
from spout.fifo import Fifo
from spout.pipe import PipeSink
from spout.reconnect import Reconnecting


def arm(plan: Path) -> None:
    """Make the step that is due a deadly one."""
    due = min(plan.iterdir(), default=None)
    if due is None:
        return
    _, *step, count = due.name.split(" ")
    left = int(count)

    def reached() -> bool:
        nonlocal left
        left -= 1
        return left == 0

    def die() -> None:
        due.unlink()
        os.kill(os.getpid(), signal.SIGKILL)

    match step:
        case ["reading"]:
            _after(Reconnecting, "read", lambda records: bool(records) and reached(), die)
        case ["inside", name]:
            _inside(name, reached, die)
        case ["before", name]:
            _before(name, reached, die)
        case ["after", name]:
            _after(PipeSink, name, lambda _: reached(), die)
        case _:
            raise ValueError(f"no such step: {due.name}")


def _before(name: str, reached: Callable[[], bool], die: Callable[[], None]) -> None:
    original = getattr(PipeSink, name)

    def step(*arguments: Any) -> Any:
        if reached():
            die()
        return original(*arguments)

    setattr(PipeSink, name, step)


def _after(owner: type, name: str, reached: Callable[[Any], bool], die: Callable[[], None]) -> None:
    original = getattr(owner, name)

    def step(*arguments: Any) -> Any:
        result = original(*arguments)
        if reached(result):
            die()
        return result

    setattr(owner, name, step)


def _inside(name: str, reached: Callable[[], bool], die: Callable[[], None]) -> None:
    """Write a quarter of the tar (so the cut is inside its first file) and die."""
    original, write = getattr(PipeSink, name), Fifo.write
    is_inside = False

    def step(*arguments: Any) -> Any:
        nonlocal is_inside
        is_inside = reached()
        return original(*arguments)

    def half(fifo: Fifo, pieces: Any) -> None:
        if is_inside:
            whole = b"".join(pieces)
            write(fifo, [whole[: max(513, len(whole) // 4)]])
            die()
        write(fifo, pieces)

    setattr(PipeSink, name, step)
    Fifo.write = half


if __name__ == "__main__":
    arm(Path(sys.argv[2]))
    sys.exit(main())
