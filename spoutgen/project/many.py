"""One command over a tree of projects: found, worked on in parallel, and none of them stops the others.

What has nothing to do is told here, by digests; the rest goes to processes of their own. Threads are out: cookiecutter
changes the working folder of the whole process while it renders.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from spoutgen.errors import Diagnostic, MachineError, Place, ProjectError, SpoutgenError
from spoutgen.project.lock import LOCK
from spoutgen.project.plan import Plan

_NEVER_OURS = frozenset({"__pycache__", "node_modules"})
_OUR_FAULT = 70

Task = Callable[[Path], Plan]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one project: its plan, or its ``problems`` and the exit ``status`` that they mean.

    ``crash`` is the traceback of a bug of ours.
    """

    folder: Path
    plan: Plan | None
    problems: tuple[Diagnostic, ...] = ()
    status: int = 0
    crash: str = ""


def find_projects(root: Path) -> list[Path]:
    """The project folders at and below ``root``, in order; hidden folders and links are not entered.

    Raises ProjectError SG401 if there is none, and MachineError SG101 for a folder that cannot be looked into: a
    project that is silently left out would be taken for one that is up to date.
    """
    if not root.is_dir():
        raise ProjectError(Diagnostic("SG401", f"{root} is not a folder"))
    found = []
    for folder, below, _ in os.walk(root, onerror=_cannot_look):
        if (Path(folder) / LOCK).is_file():
            found.append(Path(folder))
            below.clear()
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in _NEVER_OURS)
    if not found:
        problem = f"there is no project in {root} or below it"
        raise ProjectError(Diagnostic("SG401", problem, None, "a project is a folder that `spoutgen new` made"))
    return found


def for_all(folders: Sequence[Path], quick: Callable[[Path], Plan | None], task: Task) -> Iterator[Outcome]:
    """Each project's outcome, in the order in which they are known. ``task`` must be picklable.

    ``quick`` is asked first, and answers None for a project that the task has to look at.
    """
    slow = []
    for folder in folders:
        outcome = _outcome(quick, folder)
        if outcome is None:
            slow.append(folder)
        else:
            yield outcome
    if len(slow) == 1:
        yield _outcome(task, slow[0]) or Outcome(slow[0], None)
    elif slow:
        yield from _in_parallel(slow, task)


def _in_parallel(folders: Sequence[Path], task: Task) -> Iterator[Outcome]:
    workers = min(len(os.sched_getaffinity(0)), len(folders))
    # A forked process has all our modules already. There are no threads here that a fork could cut in two.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), _leave_signals_to_us)
    try:
        futures = {pool.submit(_outcome, task, folder): folder for folder in folders}
        for future in as_completed(futures):
            try:
                outcome = future.result()
            except BrokenProcessPool:
                problem = "a process was killed before it was done with this project"
                hint = "an update that was cut short is finished by the next one; is there enough memory?"
                place = Place(str(futures[future]))
                outcome = _failed(futures[future], MachineError(Diagnostic("SG416", problem, place, hint)))
            yield outcome or Outcome(futures[future], None)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _leave_signals_to_us() -> None:
    """Ctrl-C reaches every process of the terminal; whoever is writing finishes its project first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _outcome(task: Callable[[Path], Plan | None], folder: Path) -> Outcome | None:
    try:
        plan = task(folder)
    except SpoutgenError as error:
        return _failed(folder, error)
    except Exception:  # noqa: BLE001 - the other projects go on; this one is named at the end
        return Outcome(folder, None, status=_OUR_FAULT, crash=traceback.format_exc())
    return Outcome(folder, plan) if plan else None


def _failed(folder: Path, error: SpoutgenError) -> Outcome:
    return Outcome(folder, None, error.diagnostics, error.exit_status)


def _cannot_look(error: OSError) -> None:
    problem = f"the folder cannot be looked into: {error.strerror or error}"
    raise MachineError(Diagnostic("SG101", problem, Place(str(error.filename)))) from error
