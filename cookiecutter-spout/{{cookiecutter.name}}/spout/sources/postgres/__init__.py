"""The postgres source: rows of a table (mode ``cursor``) or changes from the log (mode ``log``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spout.config import Config
from spout.marker import JsonShape, Shape
from spout.records import Source
from spout.sources.postgres.cursor import CursorSource
from spout.sources.postgres.log import LogSource
from spout.sources.postgres.probe import probe

__all__ = ["make", "probe", "shape"]


def make(options: Mapping[str, Any], warn: Callable[..., None]) -> Source:
    """The source of the mode that the options name."""
    return LogSource(options, warn) if options["mode"] == "log" else CursorSource(options, warn)


def shape(config: Config, identity: str) -> Shape:
    """One JSON file: neither mode has partitions."""
    return JsonShape(config.marker, config.name, identity)
