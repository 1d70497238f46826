"""A real worker on a real store, with a small script in the place of the spout; the script writes tars to the FIFO."""

import fcntl
import os
import termios
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from spoutgen.local import pipelines
from spoutgen.local.backoff import Backoff, Backoffs
from spoutgen.local.environment import Secrets, user_command, user_environment
from spoutgen.local.events import Event, Stopped
from spoutgen.local.generations import generation_of
from spoutgen.local.spec import parse
from spoutgen.local.store import Store
from spoutgen.local.usercode import Command
from spoutgen.local.worker import Job, Worker

PATIENCE = 60.0
QUICK = Backoffs(*[Backoff(0.01, 0.05)] * 4)

# What the scripts may use. `tell` writes a line to the log, which the test sees as an event.
PRELUDE = """
import os, signal, sys, tarfile, time
from pathlib import Path

PFS = Path(os.environ["SPOUT_PFS_ROOT"])
OUT, MARKER = PFS / "out", PFS / "mymark"

def header(name, size, type=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, type
    return info.tobuf()

def entry(name, data=b"", type=tarfile.REGTYPE):
    return header(name, len(data), type) + data + bytes(-len(data) % 512)

def tar(*entries):
    return b"".join(entry(*each) for each in entries) + bytes(1024)

def open_out():
    # Waits for the worker: what a process writes and leaves before there is a reader is lost, here as upstream.
    return os.open(OUT, os.O_WRONLY)

def write(data, out=None):
    out = open_out() if out is None else out
    while data:
        data = data[os.write(out, data):]
    return out

def tell(*words):
    print(*words, flush=True)

def once():
    '''True at the first start only.'''
    try:
        (PFS.parent / "started").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True

def wait_for(name):
    while not (PFS.parent / name).exists():
        time.sleep(0.002)

def rest():
    while True:
        time.sleep(60)

"""


def until(condition: Callable[[], object]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def unread(fifo: Path) -> int:
    """How many bytes stand in a FIFO that somebody has open."""
    fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), "little")
    finally:
        os.close(fd)


class Rig:
    """A pipeline ``dots`` whose user code is ``script``."""

    def __init__(self, folder: Path, script: str, **spout: object) -> None:
        self.folder = folder
        self.pfs = folder / "pfs"
        folder.mkdir(exist_ok=True)
        transform = {"cmd": ["python3", "-I", "/app/main.py"], **dict(spout.pop("transform", {}))}
        self.document = {
            "pipeline": {"name": "dots"},
            "transform": transform,
            "spout": {"marker": "mymark", "overwrite": True, **spout},
        }
        self.set_script(script)
        self.store = Store.create(folder / "store.db")
        self.pipeline = pipelines.submit(self.store, parse(self.document), folder)
        self.checkpoint: Callable[[str], None] = lambda _: None
        self.on_event: Callable[[Event], None] = lambda _: None
        self.events: list[Event] = []
        self._news = threading.Condition()

    def set_script(self, script: str) -> None:
        (self.folder / "main.py").write_text(PRELUDE + script)

    def update(self) -> None:
        """Give the pipeline a newer version; the worker of the rig stays what it is."""
        newer = {**self.document, "description": "newer"}
        pipelines.submit(self.store, parse(newer), self.folder)

    def _take(self, event: Event) -> None:
        with self._news:
            self.events.append(event)
            self._news.notify_all()
        self.on_event(event)

    def _checkpoint(self, point: str) -> None:
        self.checkpoint(point)

    @contextmanager
    def running(self, generation: str = "1.13.4"):
        """Run the worker meanwhile."""
        spec, secrets = self.pipeline.spec, Secrets({})
        flags = generation_of(generation)
        environment = user_environment(self.pipeline, flags, self.pfs, secrets, {"PATH": "/usr/bin:/bin"})
        command = Command(
            user_command(spec, self.folder), spec.stdin, self.folder, environment, secrets, spec.accepted_statuses
        )
        job = Job(self.pipeline, flags, command, self.pfs, self.folder / "tmp")
        worker = Worker(job, lambda: Store(self.store.path), self._take, QUICK, self._checkpoint)
        crashes: list[BaseException] = []

        def run() -> None:
            try:
                worker.run()
            except BaseException as error:
                crashes.append(error)
                raise

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield worker
        finally:
            worker.stop()
            thread.join(PATIENCE)
            assert not thread.is_alive(), "the worker does not end"
            assert not crashes
            assert isinstance(self.events[-1], Stopped)

    def wait(self, kind: type | tuple[type, ...], count: int = 1, where: Callable[[Event], bool] = lambda _: True):
        """Wait for the ``count``-th such event and return it."""
        with self._news:
            found = self._news.wait_for(lambda: len(self.seen(kind, where)) >= count, PATIENCE)
            assert found, f"no {kind} ({count}) in {self.events}"
            return self.seen(kind, where)[count - 1]

    def seen(self, kind: type | tuple[type, ...], where: Callable[[Event], bool] = lambda _: True) -> list:
        return [event for event in self.events if isinstance(event, kind) and where(event)]

    def content(self, path: str, ref: str = "master") -> bytes:
        return b"".join(self.store.get_file("dots", ref, path))

    def files(self, ref: str = "master") -> dict[str, bytes]:
        """The files at the top of a branch or a commit."""
        if ref in ("master", "marker") and self.store.head("dots", ref) is None:
            return {}
        listed = self.store.list_files("dots", ref)
        return {info.path: self.content(info.path, ref) if info.kind == "file" else b"dir" for info in listed}

    def put_marker(self, *files: tuple[str, bytes]) -> None:
        """Commit marker files as an earlier run would have."""
        from spoutgen.local.model import Put

        self.store.put_files("dots", [Put("marker", name, [data], True) for name, data in files])
