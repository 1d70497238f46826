"""The whole spout on the local worker, where both are killed; and what is there when it is over."""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import spoutgen
from spoutgen.conformance.probe import INSIDE
from spoutgen.conformance.subject import Subject, new_home
from spoutgen.local.environment import user_command
from spoutgen.local.refused import NotFoundError
from spoutgen.local.store import Store

_END = 20.0


class Stage:
    """One spout in a local cluster of its own. ``deaths`` are steps, as inside/doomed.py and worker_process name them.

    A worker that was killed is started again with the next event that is asked for; user code is, by the worker.
    """

    def __init__(self, subject: Subject, name: str, user_deaths: Sequence[str], worker_deaths: Sequence[str]) -> None:
        self._subject = subject
        self.home, self._environment = new_home(subject, name)
        folder = subject.scratch / f"{name}-deaths"
        self._user_deaths = _planned(folder / "user", user_deaths)
        self._worker_deaths = _planned(folder / "worker", worker_deaths)
        self._errors = TemporaryFile()  # noqa: SIM115 (closed with the stage)
        self._worker: subprocess.Popen[bytes] | None = None
        self._unread = b""
        self.last_words = ""
        """What the spout logged last."""

    def deaths_to_come(self) -> int:
        """How many deaths of the plan are still due."""
        return sum(1 for folder in (self._user_deaths, self._worker_deaths) for _ in folder.iterdir())

    def next_event(self, seconds: float) -> dict[str, Any] | None:
        """What happens next: a commit, an ``exited`` of the user code, ``worker killed``, trouble; None if nothing."""
        if self._worker is None:
            self._start()
        ends_at = time.monotonic() + seconds
        while True:
            line = self._line(ends_at)
            if line is None:
                return None
            if not line:
                return self._worker_ended()
            event: dict[str, Any] = json.loads(line)
            if event["event"] == "log":
                self.last_words = event["message"]
            else:
                return event

    def close(self) -> None:
        """End the worker in order."""
        if self._worker is not None:
            try:
                self._worker.communicate(timeout=_END)
            except subprocess.TimeoutExpired:
                self._worker.kill()
                self._worker.wait()
            self._worker = None
        self._errors.close()

    def _start(self) -> None:
        subject = self._subject
        command = user_command(subject.spec, subject.folder)
        if any(self._user_deaths.iterdir()):
            doomed = str(INSIDE / "doomed.py")
            command = [sys.executable, doomed, str(subject.folder), str(self._user_deaths)]
        order = {
            "document": subject.spec.document,
            "is_overwrite": subject.spec.is_overwrite,
            "folder": str(subject.folder),
            "home": str(self.home.folder),
            "arguments": command,
            "environment": self._environment,
            "secrets": dict(subject.secrets.values),
            "deaths": str(self._worker_deaths),
        }
        # The same spoutgen as this one, also where it was not installed but found on the path.
        path = os.pathsep.join([str(Path(spoutgen.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._worker = subprocess.Popen(
            [sys.executable, "-m", "spoutgen.conformance.worker_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        assert self._worker.stdin
        self._worker.stdin.write(json.dumps(order).encode() + b"\n")
        self._worker.stdin.flush()

    def _line(self, ends_at: float) -> bytes | None:
        """The worker's next line; b"" at its end, None if none came in time."""
        assert self._worker
        assert self._worker.stdout
        while b"\n" not in self._unread:
            if not select.select([self._worker.stdout], [], [], max(0.0, ends_at - time.monotonic()))[0]:
                return None
            piece = os.read(self._worker.stdout.fileno(), 1 << 16)
            if not piece:
                self._unread = b""
                return b""
            self._unread += piece
        line, self._unread = self._unread.split(b"\n", 1)
        return line

    def _worker_ended(self) -> dict[str, Any]:
        assert self._worker
        status = self._worker.wait()
        self._worker.communicate()
        self._worker = None
        if status == -signal.SIGKILL:
            return {"event": "worker killed"}
        self._errors.seek(0)
        words = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        raise RuntimeError(f"the local worker ended with status {status}: {words[-1] if words else ''}")


def _planned(folder: Path, deaths: Sequence[str]) -> Path:
    folder.mkdir(parents=True)
    for number, death in enumerate(deaths):
        (folder / f"{number:03} {death}").touch()
    return folder


@contextmanager
def stage(subject: Subject, name: str, user_deaths: Sequence[str], worker_deaths: Sequence[str]) -> Iterator[Stage]:
    """A stage, whose worker is ended afterwards."""
    made = Stage(subject, name, user_deaths, worker_deaths)
    try:
        yield made
    finally:
        made.close()


def committed_files(store: Store, repo: str, ref: str) -> dict[str, tuple[int, str]]:
    """Path to size and SHA-256 of every file at a commit or a branch's head."""
    found: dict[str, tuple[int, str]] = {}
    folders = ["/"]
    while folders:
        try:
            listed = store.list_files(repo, ref, folders.pop())
        except NotFoundError:
            continue
        for info in listed:
            if info.kind == "dir":
                folders.append(info.path)
                continue
            digest = hashlib.sha256()
            for data in store.get_file(repo, ref, info.path):
                digest.update(data)
            found[info.path] = (info.size, digest.hexdigest())
    return found


def marker_history(store: Store, repo: str, branch: str, marker: str, folder: Path) -> list[Path]:
    """The marker file of each commit of a branch that has one, the oldest first, copied into ``folder``."""
    folder.mkdir()
    files = []
    for number, commit in enumerate(reversed(store.commits(repo, branch))):
        if all(info.path != f"/{marker}" for info in store.list_files(repo, commit.id)):
            continue
        file = folder / str(number)
        with file.open("wb") as copy:
            for data in store.get_file(repo, commit.id, f"/{marker}"):
                copy.write(data)
        files.append(file)
    return files
