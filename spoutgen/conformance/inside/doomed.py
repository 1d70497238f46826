"""Starts a project's spout as main.py does, and kills it (SIGKILL) at one step of its protocol.

Runs inside the project's own process, like probe.py: ``python doomed.py PROJECT_FOLDER PLAN_FOLDER``. The plan is a
folder of empty files, ``NUMBER STEP COUNT`` (``003 inside write_data 2``): the first one is due, at the COUNT-th time
that this process is at STEP. It is taken away before the kill, so the next process meets the next one; with none left
the spout just runs. The exit status 78 says that this runtime has no such step.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# As main.py does with its own folder.
sys.path.insert(0, sys.argv[1])

from spout import fifo, pipe, reconnect
from spout.__main__ import main

UNKNOWN_STEP = 78


def arm(plan: Path) -> None:
    """Make the step that is due a deadly one; AttributeError if there is no such step."""
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
            _after(reconnect.Reconnecting, "read", lambda records: bool(records) and reached(), die)
        case ["before", name]:
            _before(_sink(), name, reached, die)
        case ["inside", name]:
            inside = _inside if _sink() is pipe.PipeSink else _inside_stream
            inside(_sink(), name, reached, die)
        case ["after", name]:
            _after(_sink(), name, lambda _: reached(), die)
        case _:
            raise AttributeError(due.name)


def _sink() -> Any:
    """What writes: on 1.x through the pipe, on 2.x (its config has a target) through the API."""
    if json.loads(os.environ["SPOUT_CONFIG"]).get("target") is None:
        return pipe.PipeSink
    from spout.api import ApiSink  # only such a project has the SDK

    return ApiSink


def _before(owner: Any, name: str, reached: Callable[[], bool], die: Callable[[], None]) -> None:
    original = getattr(owner, name)

    def step(*arguments: Any) -> Any:
        if reached():
            die()
        return original(*arguments)

    setattr(owner, name, step)


def _after(owner: Any, name: str, reached: Callable[[Any], bool], die: Callable[[], None]) -> None:
    original = getattr(owner, name)

    def step(*arguments: Any) -> Any:
        result = original(*arguments)
        if reached(result):
            die()
        return result

    setattr(owner, name, step)


def _inside(owner: Any, name: str, reached: Callable[[], bool], die: Callable[[], None]) -> None:
    """Write a quarter of the tar (so that it is cut inside its first file) and die."""
    original, write = getattr(owner, name), fifo.Fifo.write
    is_inside = False

    def step(*arguments: Any) -> Any:
        nonlocal is_inside
        is_inside = reached()
        return original(*arguments)

    def quarter(out: Any, pieces: Any) -> None:
        whole = b"".join(pieces)
        if is_inside and whole:
            write(out, [whole[: max(513, len(whole) // 4)]])
            die()
        write(out, [whole])

    setattr(owner, name, step)
    fifo.Fifo.write = quarter


def _inside_stream(owner: Any, name: str, reached: Callable[[], bool], die: Callable[[], None]) -> None:
    """Die when the first messages of the stream are on their way, and the next one is asked for."""
    from spout import api

    original, requests = getattr(owner, name), api._requests
    is_inside = False

    def step(*arguments: Any) -> Any:
        nonlocal is_inside
        is_inside = reached()
        return original(*arguments)

    def cut(*arguments: Any) -> Any:
        for number, request in enumerate(requests(*arguments)):
            if is_inside and number == 2:
                die()
            yield request

    setattr(owner, name, step)
    api._requests = cut


if __name__ == "__main__":
    try:
        arm(Path(sys.argv[2]))
    except AttributeError as error:
        print(f"this runtime has no step {error.name or error}")
        sys.exit(UNKNOWN_STEP)
    sys.exit(main())
