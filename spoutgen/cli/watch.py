"""What ``spoutgen run`` shows: plain lines in a pipe, a live view on a terminal."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, ClassVar, Protocol

from spoutgen.cli.columns import ago, size
from spoutgen.local.events import (
    CommitFinished,
    Event,
    LogLine,
    MarkerCommitted,
    ReadingFailed,
    Restarting,
    Started,
    UserCodeExited,
    UserCodeStarted,
    Wedged,
)
from spoutgen.local.model import Commit
from spoutgen.report import printable

if TYPE_CHECKING:
    from rich.console import RenderableType


class View(Protocol):
    """Shows the events of a run."""

    shows_marker: ClassVar[bool]

    def show(self, event: Event, marker: list[str]) -> None:
        """Show one event; ``marker`` has the marker's last lines."""

    def close(self) -> None:
        """Leave the screen in order."""


def in_words(event: Event) -> str | None:
    """An event as one line, with what to do where something is wrong; None for what is not worth a line.

    Commits that change nothing are left out: every announcing tar makes one on the output branch.
    """
    words: str | None = None
    match event:
        case Started(has_marker):
            words = "resumes from its marker" if has_marker else "starts for the first time: there is no marker yet"
        case MarkerCommitted(commit) | CommitFinished(commit):
            words = f"{commit.branch} {commit.id} {size(commit.size)}" if commit.is_changed else None
        case UserCodeExited():
            words = _exit_in_words(event)
        case Wedged(reason, hint, attempt, delay):
            words = (
                f"WEDGED: the last tar cannot be committed (attempt {attempt}): {_with_hint(reason, hint)};"
                f" nothing else is read until it can be, as on a cluster; next attempt in {delay:.1f}s"
            )
        case ReadingFailed(reason, hint, delay):
            words = f"the worker could not take a tar: {_with_hint(reason, hint)}; it tries again in {delay:.1f}s"
        case Restarting(reason, hint, delay):
            words = f"the spout failed: {_with_hint(reason, hint)}; its next run starts in {delay:.1f}s"
        case LogLine(text):
            words = _log_in_words(text)
    return words


def _with_hint(reason: str, hint: str | None) -> str:
    return f"{reason}; {hint}" if hint else reason


def _exit_in_words(event: UserCodeExited) -> str:
    last = f'; its last line: "{last_words(event.message)}"' if event.message else ""
    if event.status is None:
        ended = f"cannot be started: {event.message}"
        last = ""
    elif event.status < 0:
        ended = f"was killed by signal {-event.status}"
    else:
        ended = f"ended with status {event.status}"
    if event.delay is None:
        return (
            f"the user code {ended} and is never run again, as on a cluster: nothing more will come."
            f" A spout must not end{last}"
        )
    often = f" for the {event.starts}. time" if event.starts > 1 else ""
    return f"the user code {ended}{often}{last}; it starts again in {event.delay:.1f}s"


def _log_in_words(line: str) -> str | None:
    """A log line that says that something is wrong; the others are in the log file."""
    try:
        level = json.loads(line).get("level")
    except (ValueError, AttributeError):
        return printable(line) if line.strip() else None
    return None if level in ("info", "debug") else last_words(line)


def last_words(line: str) -> str:
    """A line of the user code's output for people: a JSON log line's facts, without braces and time."""
    try:
        facts = json.loads(line)
        words = ", ".join(f"{key}: {value}" for key, value in facts.items() if key != "time")
    except (ValueError, AttributeError):
        words = line
    return printable(words)


class PlainView:
    """One line an event on standard output, each written out at once."""

    shows_marker = False

    def __init__(self, name: str) -> None:
        self._name = name

    def show(self, event: Event, marker: list[str]) -> None:
        """Print the event's line."""
        words = in_words(event)
        if words is not None:
            print(f"{self._name}: {words}", flush=True)

    def close(self) -> None:
        """There is nothing to put in order."""


@dataclass(slots=True)
class _Screen:
    state: str = "starting"
    trouble: str = ""
    commits: deque[Commit] = field(default_factory=lambda: deque(maxlen=8))
    changes: int = 0
    marker: list[str] = field(default_factory=list)


class LiveView:
    """Pipeline, newest commits and the end of the marker, kept up to date on the terminal."""

    shows_marker = True

    def __init__(self, name: str, version: int, marker: str, now: datetime | None = None) -> None:
        from rich.console import Console
        from rich.live import Live

        self._title = f"{name} version {version}"
        self._marker = marker
        self._now = now
        self._screen = _Screen()
        # The renderer is called four times a second, so that the ages go on.
        self._live = Live(get_renderable=self._render, console=Console(highlight=False), refresh_per_second=4)
        self._live.start()

    def show(self, event: Event, marker: list[str]) -> None:
        """Take the event into the picture; what is wrong stays above it as a line."""
        screen = self._screen
        screen.marker = marker
        match event:
            case UserCodeStarted():
                screen.state = "running"
            case CommitFinished(commit) | MarkerCommitted(commit):
                screen.state, screen.trouble = "running", ""
                if commit.is_changed:
                    screen.commits.appendleft(commit)
                    screen.changes += isinstance(event, CommitFinished)
            case Wedged() | ReadingFailed() | Restarting() | UserCodeExited():
                screen.state, screen.trouble = "in trouble", in_words(event) or ""
            case LogLine():
                words = in_words(event)
                if words is not None:
                    self._live.console.print(words, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the last picture on the screen."""
        self._live.stop()

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        screen, now = self._screen, self._now or datetime.now(timezone.utc)
        head = f"{self._title}  {screen.state}  {screen.changes} commits in this run   (Ctrl-C ends it)"
        commits = Table.grid(padding=(0, 2))
        for commit in list(screen.commits):
            finished = commit.finished or commit.started
            commits.add_row(commit.branch, commit.id, size(commit.size), ago(finished, now))
        tail = [Text(line, no_wrap=True, overflow="crop") for line in map(self._end_of, screen.marker)]
        trouble = [Text(screen.trouble, style="yellow")] if screen.trouble else []
        return Group(Text(head, style="bold"), *trouble, commits, Text(f"{self._marker}:", style="dim"), *tail)

    def _end_of(self, line: str) -> str:
        """The end of a line that is too wide: a pyramid grows there."""
        from rich.cells import cell_len

        room = self._live.console.width
        is_cut, shown = len(line) > room, printable(line[-room:])
        while cell_len(shown) > room - is_cut:
            is_cut, shown = True, shown[1:]
        return f"…{shown}" if is_cut else shown
