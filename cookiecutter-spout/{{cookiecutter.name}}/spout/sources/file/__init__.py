"""The file source: logs that others write, rotate, truncate and compress.

Its position is ``{log: {generation: {device, inode, offset, head, tail}}}``: how far each file was read that is still
there, and which file that is (``body.py``). ``folder.py`` lists what is there, ``logs.py`` tells which file is which
generation, ``generation.py`` reads one, ``source.py`` is the source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spout.config import Config
from spout.marker import PartitionShape, Shape
from spout.records import Source
from spout.sources.file.probe import probe
from spout.sources.file.source import FileSource

__all__ = ["make", "probe", "shape"]


def make(options: Mapping[str, Any], warn: Callable[..., None]) -> Source:
    """The source that the options describe."""
    return FileSource(options, warn)


def shape(config: Config, identity: str) -> Shape:
    """The marker: by prefix, a part for each file."""
    return PartitionShape(config.marker, config.marker_is_prefix, config.name, identity)
