"""What the spouts of the 2.x matrix read, and the steps at which they and their pachd can be struck."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

from spout.records import Limit, Record

MOST = 4  # records of one batch
# The steps of the protocol (spout/api.py), each before and after.
SPOUT_STEPS = tuple(
    f"{when} {step}"
    for step in ("resume", "clear", "finish", "read marker", "check head", "send", "message", "check commit", "wait")
    for when in ("before", "after")
)
PACHD_STEPS = ("modify: received", "modify: staged", "modify: committed", "finish: before", "finish: after")


def line(n: int) -> bytes:
    """The line of a number."""
    return b"%d %s" % (n, b"0123456789"[n % 10 : n % 10 + 1] * (n * 37 % 3000))


def name_of(n: int) -> str:
    """Its name, which sorts as it does."""
    return f"{n:06}"


def boundary_after(n: int) -> int:
    """Where the batch ends that begins after ``n``, where batches end in the same places in every life."""
    return n + 1 + (n * 7919 + 13) % MOST


class Numbers:
    """1, 2, 3 and so on, each a line of a length of its own.

    Options: ``folder`` is the story's: the file ``end`` in it says what the last number is, without it there is none.
    ``fixed``: whether batches end in the same places in every life; else each life has its own. ``forgets``: what is
    acknowledged (the file ``acknowledged``) is never given again, as by a queue.
    """

    identity, needs_ack = "numbers", False

    def __init__(self, options: Any) -> None:
        self._folder = Path(options["folder"])
        self._fixed, self._forgets = options["fixed"], options["forgets"]
        self._random = random.Random(os.getpid())
        self._at = 0

    def open(self, position: Any) -> None:
        """Go on after ``position``."""
        self._at = max(position or 0, number_in(self._folder / "acknowledged") or 0)

    def read(self, limit: Limit, timeout: float) -> list[Record]:
        """The next batch."""
        first, end = self._at + 1, number_in(self._folder / "end")
        if end is not None and first > end:
            time.sleep(timeout)
            return []
        until = boundary_after(self._at) if self._fixed else self._at + self._random.randint(1, MOST)
        self._at = limit.until or min(until, end or until)
        return [Record(line(n), n, name_of(n)) for n in range(first, self._at + 1)]

    def ack(self, position: Any) -> None:
        """Forget it, if this is a queue."""
        if self._forgets:
            new = self._folder / f"acknowledged.{os.getpid()}"
            new.write_text(str(position))
            new.rename(self._folder / "acknowledged")

    def close(self) -> None:
        """There is nothing to close."""


def number_in(file: Path) -> int | None:
    """The number that a file holds; None if there is no such file."""
    try:
        return int(file.read_text())
    except FileNotFoundError:
        return None
