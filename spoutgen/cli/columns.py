"""pachctl's words: columns, ages and sizes (v1.13.4:src/server/pfs/pretty/pretty.go, .../pps/pretty/pretty.go)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from spoutgen.report import printable


def table(header: str, rows: Iterable[Sequence[str]]) -> str:
    """Lines with each column as wide as its longest cell and one space between, as pachctl's tab writer sets them.

    ``header`` holds the columns' names with tabs between them.
    """
    lines = [header.split("\t"), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(
        " ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n" for line in lines
    )


def ago(moment: datetime, now: datetime) -> str:
    """How long ago something was: ``2 minutes ago``."""
    return f"{human_duration(now - moment)} ago"


def human_duration(duration: timedelta) -> str:
    """A duration as docker and pachctl say it (github.com/docker/go-units, duration.go)."""
    seconds = int(duration.total_seconds())
    minutes, hours = seconds // 60, int(seconds / 3600 + 0.5)
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < 60:
        return f"{seconds} seconds"
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    if hours == 1:
        return "About an hour"
    return f"{hours} hours" if hours < 48 else _long_duration(hours)


def _long_duration(hours: int) -> str:
    days = hours // 24
    if days < 14:
        return f"{days} days"
    if days < 60:
        return f"{days // 7} weeks"
    if days < 730:
        return f"{days // 30} months"
    return f"{days // 365} years"


def size(count: int) -> str:
    """A number of bytes as pachctl says it: ``11B``, ``1.5KiB`` (github.com/docker/go-units, size.go)."""
    amount, units = float(count), iter(("B", "KiB", "MiB", "GiB", "TiB", "PiB"))
    unit = next(units)
    while amount >= 1024 and unit != "PiB":
        amount, unit = amount / 1024, next(units)
    return f"{amount:.4g}{unit}"
