"""Where a process of a story dies: points by name, each with its n-th time, chosen by chance and written down.

A kill is SIGKILL of oneself at exactly that point: nothing of Python's or the runtime's runs after it.
"""

import os
import random
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

TARS = ("announcing tar", "data tar")
PLACES = ("header", "inside entry", "between entries", "trailer")
AROUND = ("before", "inside", "after")

USER_POINTS = (
    *(f"{when} {step}" for step in ("start", "read", "journal") for when in AROUND),
    *(f"{when} {tar}" for tar in TARS for when in ("before", *PLACES, "after")),
    "inside wait",
    "after wait",
)
QUEUE_POINTS = tuple(f"{when} {step}" for step in ("barrier", "ack") for when in AROUND)
LONGEST_LIFE = 1.5  # seconds; whoever does not come by its point in that time dies wherever it is


class Death:
    """The death of one process. ``at`` is called at every point that it comes by."""

    def __init__(self, folder: Path, who: str, point: str, time: int) -> None:
        self._folder = folder
        self._who = who
        self.point = point
        self._left = time

    def at(self, point: str) -> None:
        """Die here, if it is the place and the time."""
        if self.comes(point):
            self.die(point)

    def comes(self, point: str) -> bool:
        """Whether this is the place and the time; counts the times."""
        if point == self.point:
            self._left -= 1
        return point == self.point and self._left == 0

    def die(self, point: str) -> None:
        """Now."""
        note(self._folder, "kills", f"{self._who}: {point}")
        os.kill(os.getpid(), signal.SIGKILL)

    def in_time(self, seconds: float, point: str = "at any time") -> None:
        """Die after so long wherever this process is."""
        timer = threading.Timer(seconds, self.die, [point])
        timer.daemon = True
        timer.start()


def one_of(points: Sequence[str], order: str, life: int) -> str:
    """The point of a life: they take turns, in an order of the story's own."""
    turns = list(points)
    random.Random(order).shuffle(turns)
    return turns[life % len(turns)]


def chosen(wanted: Sequence[str] | None, possible: Sequence[str]) -> list[str]:
    """Those of the points ``possible`` for somebody that a story is about; None: all."""
    return [point for point in possible if wanted is None or point in wanted]


def note(folder: Path, name: str, line: str) -> None:
    """Add a line to one of the story's files, whole even if this is the last thing that the process does."""
    fd = os.open(folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{line}\n".encode())
    os.close(fd)


def noted(folder: Path, name: str) -> list[str]:
    """The lines of such a file."""
    path = folder / name
    return path.read_text().splitlines() if path.exists() else []


def cut(archive: bytes, place: str, chance: random.Random) -> int:
    """After how many bytes of a tar a death at ``place`` comes: headers, bodies and trailer as they really lie."""
    entries, at = [], 0  # (begin of the header, begin of the body, its end, end of the padding)
    while at < len(archive) - 1024:
        size = int(archive[at + 124 : at + 135], 8)
        entries.append((at, at + 512, at + 512 + size, at + 512 + -(-size // 512) * 512))
        at = entries[-1][-1]
    header, body, end, padded = chance.choice(entries)
    if place == "header":
        return header + chance.randint(1, 511)
    if place == "inside entry":
        return body + chance.randint(0, max(0, end - body - 1))
    if place == "between entries":
        return padded
    return len(archive) - 1024 + chance.randint(1, 1023)
