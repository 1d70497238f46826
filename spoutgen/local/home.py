"""Where the local cluster lives on this machine, and who may run a pipeline in it.

::

    $SPOUTGEN_HOME, else $XDG_DATA_HOME/spoutgen, else ~/.local/share/spoutgen
      store.db                the store
      run/<pipeline>/lock     held while the pipeline runs
      run/<pipeline>/pfs/     what is /pfs on a cluster
      run/<pipeline>/tmp/     the worker's temporary files
      logs/<pipeline>.log     what the user code printed
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spoutgen.errors import Diagnostic, MachineError
from spoutgen.local.database import machine_errors


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of a local cluster."""

    folder: Path

    @property
    def store(self) -> Path:
        """The store's file."""
        return self.folder / "store.db"

    def run(self, pipeline: str) -> Path:
        """The folder that a running pipeline works in."""
        return self.folder / "run" / pipeline

    def log(self, pipeline: str) -> Path:
        """What the pipeline's user code printed."""
        return self.folder / "logs" / f"{pipeline}.log"


def find_home(environment: Mapping[str, str] = os.environ) -> Home:
    """The local cluster of this user. Nothing is made."""
    if environment.get("SPOUTGEN_HOME"):
        return Home(Path(environment["SPOUTGEN_HOME"]).absolute())
    data = environment.get("XDG_DATA_HOME")
    return Home((Path(data) if data else Path.home() / ".local" / "share") / "spoutgen")


def has_store(home: Home) -> bool:
    """Whether anything was ever run there. Raises MachineError SG503 if the folder may not be looked into."""
    with machine_errors(home.store):
        return home.store.exists()


@contextmanager
def running(home: Home, pipeline: str) -> Iterator[None]:
    """Hold the pipeline, so that no second run of it starts. The kernel lets go when the process dies, however it dies.

    Raises MachineError SG501 with the other process's id if it is held already.
    """
    folder = home.run(pipeline)
    with machine_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            _lock(descriptor)
        except BlockingIOError as error:
            pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise MachineError(
                Diagnostic(
                    "SG501",
                    f"pipeline {pipeline!r} is already running here, in process {pid}",
                    None,
                    f"end that run first (Ctrl-C in its terminal, or kill {pid}), or use another SPOUTGEN_HOME",
                )
            ) from error
        with machine_errors(folder):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Take the lock, or raise BlockingIOError if somebody keeps it.

    Somebody who only looks holds it for an instant, and so does a user process that a killed run left between its fork
    and its exec.
    """
    for _ in range(10):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.03)
        else:
            return
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_running(home: Home, pipeline: str) -> bool:
    """Whether some process runs the pipeline now. Nothing is made."""
    try:
        descriptor = os.open(home.run(pipeline) / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
