"""One life of a worker process: a real worker on the story's store, its user code, and a death of its own."""

import errno
import json
import os
import random
import signal
import subprocess
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import deaths
from mutations import json_of
from zygote import Zygote

from spoutgen.local import pipelines, usercode
from spoutgen.local.backoff import Backoff, Backoffs
from spoutgen.local.environment import Secrets, user_environment
from spoutgen.local.events import CommitFinished, LogLine, Restarting, Started, UserCodeExited, UserCodeStarted, Wedged
from spoutgen.local.generations import generation_of
from spoutgen.local.store import Store, utc_now
from spoutgen.local.usercode import Command
from spoutgen.local.worker import STEPS, Job, Worker

QUICK = Backoffs(Backoff(0.002, 0.01), Backoff(0.01, 0.05), Backoff(0.01, 0.02), Backoff(0.01, 0.05))


TIMES = 4  # how often a disk is full before somebody makes room


def _temp_file_full(folder):
    def trouble(point):
        if point == "inside read" and len(deaths.noted(folder, "troubles")) < TIMES:
            deaths.note(folder, "troubles", point)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return trouble


# A trouble is called with every point that the worker comes by.
TROUBLES = {"": lambda folder: lambda point: None, "temporary file full": _temp_file_full}


def _open_store(folder, facts):
    """The story's store; "store full" makes SQLite refuse to let it grow, "clock back" a clock that goes backwards."""
    lives = len(deaths.noted(folder, "lives"))
    back = (lambda: utc_now() - timedelta(hours=lives)) if facts["trouble"] == "clock back" else utc_now
    store = Store(folder / "store.db", back)
    if facts["trouble"] == "store full" and len(deaths.noted(folder, "kills")) < facts["kills"]:
        with store.reading() as db:
            (pages,) = db.execute("PRAGMA page_count").fetchone()
            db.execute(f"PRAGMA max_page_count = {pages + 1}")
    return store


def points_of(version: str) -> list[str]:
    """Where a worker of this version can die."""
    has_file = generation_of(version).starts_commit == "after tar"
    return [f"{when} {step}" for step in STEPS if has_file or step != "temp file" for when in deaths.AROUND]


def run(folder: Path, pfs: str = "pfs") -> None:
    """Where a forked process begins; never returns."""
    facts = json_of(folder / "story")
    zygote = Zygote(str(folder))
    usercode.subprocess = SimpleNamespace(Popen=zygote.popen, **{n: getattr(subprocess, n) for n in _CONSTANTS})
    lives = len(deaths.noted(folder, "lives"))
    deaths.note(folder, "lives", "worker")
    chance = random.Random(f"{facts['seed']}/{lives}")
    armed = _armed(folder, facts, chance)
    trouble = TROUBLES.get(facts["trouble"], TROUBLES[""])(folder)

    def checkpoint(point):
        trouble(point)
        if point in ("before finish commit", "before open") and facts["pause"]:
            time.sleep(chance.uniform(0, facts["pause"]))
        if armed:
            armed(point)

    worker = _worker(folder, facts, pfs, checkpoint)
    try:
        worker.run()
    finally:
        os._exit(1)


_CONSTANTS = ("PIPE", "STDOUT", "DEVNULL")


def _armed(folder, facts, chance):
    """The checkpoint that kills this worker; None if it is to live."""
    is_ours = "worker" in facts["victims"] and len(deaths.noted(folder, "kills")) < facts["kills"]
    if not is_ours or ("user code" in facts["victims"] and chance.random() < 0.4):
        return None
    points = deaths.chosen(facts["points"], points_of(facts["version"]))
    if not points:
        return None
    turn = deaths.noted(folder, "lives").count("worker")
    point = deaths.one_of(points, f"{facts['version']}/{facts['seed']}", turn)
    most = 3 if facts["soonest"] else 10
    times = 1 if point.endswith(("open", "temp file")) else chance.randint(1, most)
    death = deaths.Death(folder, "worker", point, times)
    death.in_time(chance.uniform(0.5, 1) * deaths.LONGEST_LIFE)

    def checkpoint(now):
        death.at(now)
        if point == now.replace("before", "inside") and death.comes(point):
            death.in_time(chance.uniform(0, 0.004), point)

    return checkpoint


def _worker(folder, facts, pfs, checkpoint):
    flags = generation_of(facts["version"])
    with Store(folder / "store.db") as store:
        pipeline = pipelines.inspect(store, "dots")
    secrets = Secrets({})
    environment = user_environment(pipeline, flags, folder / pfs, secrets, {"PATH": "/usr/bin:/bin"})
    command = Command(pipeline.spec.cmd, (), folder, environment, secrets, frozenset())
    job = Job(pipeline, flags, command, folder / pfs, folder / f"{pfs}.tmp")
    return Worker(job, lambda: _open_store(folder, facts), _Watcher(folder).take, QUICK, checkpoint)


class _Watcher:
    """Writes down what happened, and how long the user code took from its start to its first new commit."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._starts = 0
        self._started = 0.0
        self._is_resumed = False

    def take(self, event: object) -> None:
        if isinstance(event, Started):
            self._starts = 0
        elif isinstance(event, UserCodeStarted):
            self._starts += 1
            self._started, self._is_resumed = time.monotonic(), False
        elif isinstance(event, LogLine):
            self._is_resumed |= '"resumed"' in event.text or '"started"' in event.text
            deaths.note(self._folder, "log", event.text)
        elif isinstance(event, CommitFinished):
            if event.commit.is_changed:
                deaths.note(self._folder, "progress", event.commit.id)
            if self._is_resumed and self._starts > 1:
                deaths.note(self._folder, "resumes", f"{time.monotonic() - self._started:.4f}")
                self._is_resumed = False
        if not isinstance(event, (LogLine, CommitFinished)):
            deaths.note(self._folder, "log", f"# {time.monotonic():.3f} {event}"[:400])
        if isinstance(event, Wedged):
            deaths.note(self._folder, "wedged", event.reason)
        if isinstance(event, Restarting):
            deaths.note(self._folder, "refusals", f"the spout starts again: {event.reason}"[:400])
        if isinstance(event, UserCodeExited):
            self._take_exit(event)

    def _take_exit(self, event: UserCodeExited) -> None:
        if event.delay is None:
            deaths.note(self._folder, "exits", str(event.status))
        elif event.status != -signal.SIGKILL:
            deaths.note(self._folder, "refusals", f"{event.status}: {event.message}"[:400])
        if event.status == 70:
            deaths.note(self._folder, "crashes", _crash(event.message))


def _crash(last_words):
    try:
        return f"the runtime crashed: {json.loads(last_words)['error']}"
    except (ValueError, KeyError):
        return f"the runtime crashed: {last_words}"
