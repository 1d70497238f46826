"""The local worker in a process of its own, so that it can be killed like a pod: ``python -m ...worker_process``.

The first line on standard input is the order, one JSON object::

    {"document": pipeline.json, "is_overwrite": of this test, "folder": the project, "home": the local cluster,
     "arguments": the command, "environment": its variables, "secrets": those that are secret,
     "deaths": a folder of files "NUMBER STEP TAR", as of inside/doomed.py, but of the worker's own steps}

Its events go to standard output, one JSON object a line. It ends when standard input does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from spoutgen.local import pipelines
from spoutgen.local.backoff import Backoff, Backoffs
from spoutgen.local.environment import Secrets, working_folder
from spoutgen.local.events import CommitFinished, Event, LogLine, MarkerCommitted, Restarting, UserCodeExited, Wedged
from spoutgen.local.generations import NEWEST, generation_of
from spoutgen.local.home import Home
from spoutgen.local.pipelines import Pipeline
from spoutgen.local.session import Runner
from spoutgen.local.spec import parse
from spoutgen.local.store import Store
from spoutgen.local.usercode import Command
from spoutgen.local.worker import Job, Worker

_WRITING = threading.Lock()

# Upstream's worker waits longer, but not in another way.
_QUICK = Backoffs(Backoff(0.01, 0.1), Backoff(0.05, 0.2), Backoff(0.01, 0.1))


def main() -> int:
    """Run the worker until standard input ends, or until a step that is due kills it."""
    order = json.loads(sys.stdin.readline())
    home, spec = Home(Path(order["home"])), parse(order["document"])
    with Store.create(home.store) as store:
        pipeline = pipelines.submit(store, spec, Path(order["folder"]))
    pipeline = replace(pipeline, spec=replace(spec, is_overwrite=order["is_overwrite"]))
    command = Command(
        arguments=order["arguments"],
        stdin=spec.stdin,
        folder=working_folder(spec, Path(order["folder"])),
        environment=order["environment"],
        secrets=Secrets(order["secrets"]),
        accepted_statuses=spec.accepted_statuses,
    )
    make = _worker_of_1 if spec.pachyderm == 1 else _worker_of_2
    worker = make(home, pipeline, command, _doom(Path(order["deaths"])))
    threading.Thread(target=_stop_with_input, args=(worker,), daemon=True).start()
    worker.run()
    return 0


def _worker_of_1(home: Home, pipeline: Pipeline, command: Command, checkpoint: Callable[[str], None]) -> Runner:
    pfs = home.run(pipeline.name)
    job = Job(pipeline, generation_of(NEWEST), command, pfs / "pfs", pfs / "tmp")
    return Worker(job, lambda: Store(home.store), _tell, _QUICK, checkpoint)


def _worker_of_2(home: Home, pipeline: Pipeline, command: Command, checkpoint: Callable[[str], None]) -> Runner:
    from spoutgen.local.pachd import worker

    def run_with(sidecar_port: int) -> Command:
        ports = {name: str(sidecar_port) for name in ("PEER_PORT", "PACHD_PEER_SERVICE_PORT")}
        return replace(command, environment={**command.environment, **ports})

    return worker.Worker(home, pipeline, run_with, _tell_of_2, _QUICK.user_code, checkpoint)


def _stop_with_input(worker: Runner) -> None:
    sys.stdin.read()
    worker.stop()


def _doom(deaths: Path) -> Callable[[str], None]:
    """What the worker calls at each of its steps: at the one that is due it dies."""
    due = min(deaths.iterdir(), default=None)
    if due is None:
        return lambda _: None
    _, *words, tar = due.name.split(" ")
    step, left = " ".join(words), int(tar)

    def checkpoint(reached: str) -> None:
        nonlocal left
        left -= reached == step
        if not left:
            due.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    return checkpoint


def _tell_of_2(event: Event) -> None:
    """The same on 2.x, where a commit that changes something has the marker in it."""
    if isinstance(event, CommitFinished) and event.commit.error:
        event = Restarting(f"a commit was refused: {event.commit.error}", None, 0)
    elif isinstance(event, CommitFinished) and event.commit.is_changed:
        event = MarkerCommitted(event.commit)
    _tell(event)


def _tell(event: Event) -> None:
    """What the kit wants to know, one line each."""
    told: dict[str, Any]
    match event:
        case CommitFinished():
            told = {"event": "commit"}
        case MarkerCommitted():
            told = {"event": "announced"}
        case UserCodeExited(status=status, message=message):
            told = {"event": "exited", "status": status, "message": message}
        case Restarting(reason=reason) | Wedged(reason=reason):
            told = {"event": "trouble", "message": reason}
        case LogLine(text=text):
            told = {"event": "log", "message": text}
        case _:
            return
    with _WRITING:  # events come from several threads
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    sys.exit(main())
