"""Which kinds of source there are: one module each, and this table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from spout.config import Config
from spout.fatal import FatalError
from spout.marker import Shape
from spout.records import Source
from spout.sources import custom, pyramid
from spout.sources.custom import CustomSource
from spout.sources.symbol import SymbolSource


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of source: ``make`` takes its options, ``shape`` the config and the source's identity."""

    make: Callable[[Mapping[str, Any]], Source]
    shape: Callable[[Config, str], Shape]


KINDS: dict[str, Kind] = {
    "symbol": Kind(SymbolSource, pyramid.shape),
    "custom": Kind(CustomSource, custom.shape),
}


def kind_of(config: Config) -> Kind:
    """The kind that the config names; FatalError if this image does not have it."""
    if config.source not in KINDS:
        raise FatalError(
            "config",
            found=f"source.type {config.source!r}",
            expected=f"one of {', '.join(KINDS)}: this image has no other",
            remedy="build the image anew from the project that pipeline.json belongs to",
        )
    return KINDS[config.source]
