"""A small strict worker of the generation 1.12.1 to 1.13.4, for tests: reads as upstream's does, forgives nothing.

It reads the FIFO in exact 512-byte blocks, a whole tar before it commits anything, skips zero blocks before a tar, and
routes by the marker's name as a plain prefix (v1.13.4:src/server/worker/pipeline/common.go:62-233).
"""

import io
import os
import tarfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

BLOCK = 512
ZEROS = bytes(BLOCK)


class TornTarError(Exception):
    """The writer went away inside a tar: nothing of it is committed, the whole spout starts anew."""


class Worker:
    """The branches as dicts (and their histories as lists), and one scratch folder at a time under ``root``."""

    def __init__(self, root: Path, marker: str = "mymark") -> None:
        self.root = root
        self.marker = marker
        self.master: dict[str, bytes] = {}
        self.marks: dict[str, bytes] = {}
        self.commits: list[dict[str, bytes]] = []  # what each tar held, in order
        self.on_block: Callable[[], None] = lambda: None  # called after each block that was read
        self.on_tar: Callable[[], None] = lambda: None  # called between reading a tar and committing it
        self.changed = threading.Condition()
        self.is_wedged = False  # a tar with marker and data is tried again for ever, and nothing else is read
        self._run = ""
        self._torn = False

    @property
    def fifo(self) -> Path:
        """The FIFO of this run."""
        return self.root / ".scratch" / self._run / "out"

    def start(self) -> None:
        """A new run of the whole spout: new scratch folder and FIFO, the marker pulled, the links made."""
        with self.changed:
            self._run, self._torn, self.is_wedged = uuid.uuid4().hex, False, False
            scratch = self.fifo.parent
            scratch.mkdir(parents=True, mode=0o700)
            os.mkfifo(self.fifo)
            if self.marker in self.marks:
                (scratch / self.marker).write_bytes(self.marks[self.marker])
            for name in ("out", self.marker):
                (self.root / name).unlink(missing_ok=True)
                (self.root / name).symlink_to(scratch / name)
        threading.Thread(target=self._receive, args=(self._run, self.fifo), daemon=True).start()

    @property
    def must_start_anew(self) -> bool:
        """Whether a torn tar has ended this run."""
        return self._torn

    def wait_for(self, condition: Callable[[], bool], deadline: float = 20.0) -> None:
        """Wait until ``condition`` holds, looked at after each commit."""
        with self.changed:
            assert self.changed.wait_for(condition, deadline), f"{len(self.commits)} commits, wedged: {self.is_wedged}"

    def _receive(self, run: str, fifo: Path) -> None:
        fd = os.open(fifo, os.O_RDONLY)
        try:
            while True:
                tar = read_tar(fd, self._block_read)
                if tar is None:
                    try:
                        os.close(os.open(fifo, os.O_RDONLY))  # the end of file: wait for the next writer
                    except FileNotFoundError:
                        return  # the test is over
                    continue
                self.on_tar()
                with self.changed:
                    if run != self._run:
                        return  # this worker is dead
                    self._commit(tar)
                    self.changed.notify_all()
                    if self.is_wedged:
                        return
        except TornTarError:
            with self.changed:
                if run == self._run:
                    self._torn = True
                    self.changed.notify_all()
        finally:
            os.close(fd)

    def _block_read(self) -> None:
        self.on_block()  # looked up anew each time: tests change it

    def _commit(self, tar: bytes) -> None:
        entries = dict(entries_of(tar))
        marks = {name: data for name, data in entries.items() if os.path.normpath(name).startswith(self.marker)}
        if marks not in ({}, entries):
            self.is_wedged = True
            return
        self.commits.append(entries)
        (self.marks if marks else self.master).update(entries)


def read_tar(fd: int, on_block: Callable[[], None] = lambda: None) -> bytes | None:
    """One tar, up to its two zero blocks; None at an end of file before it."""
    blocks: list[bytes] = []
    while True:
        header = _block(fd)
        on_block()
        if header is None:
            if blocks:
                raise TornTarError
            return None
        if header == ZEROS:
            if not blocks:
                continue
            second = _block(fd)
            if second != ZEROS:
                raise TornTarError
            return b"".join([*blocks, ZEROS, ZEROS])
        blocks.append(header)
        try:
            size = tarfile.TarInfo.frombuf(header, "ascii", "strict").size
        except tarfile.TarError as error:
            raise TornTarError from error
        for _ in range(-(-size // BLOCK)):
            block = _block(fd)
            on_block()
            if block is None:
                raise TornTarError
            blocks.append(block)


def _block(fd: int) -> bytes | None:
    block = b""
    while len(block) < BLOCK:
        more = os.read(fd, BLOCK - len(block))
        if not more:
            if block:
                raise TornTarError
            return None
        block += more
    return block


def entries_of(tar: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and content of each entry; only plain files are allowed."""
    with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
        for member in archive:
            assert member.isreg()
            file = archive.extractfile(member)
            assert file
            yield member.name, file.read()


@contextmanager
def recorded(path: Path) -> Iterator[list[dict[str, bytes]]]:
    """Reads the FIFO ``path`` in a thread until its writer closes it; what each tar held, in order."""
    tars: list[dict[str, bytes]] = []
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # open before anybody can close the other end
    os.set_blocking(fd, True)

    def read() -> None:
        while (tar := read_tar(fd)) is not None:
            tars.append(dict(entries_of(tar)))
        os.close(fd)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    yield tars
    thread.join(20)
    assert not thread.is_alive()
