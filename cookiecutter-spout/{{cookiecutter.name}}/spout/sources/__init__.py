"""Which kinds of source there are: one module each, and this table."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from spout.config import Config
from spout.fatal import FatalError
from spout.marker import Shape
from spout.records import Position, Source

# Says something that is not as it should be while the source goes on: an event's name, and its facts.
Warn = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a module of a source has to offer.

    ``make`` takes the options and how to warn; ``shape`` the config and the source's identity. ``probe`` takes the
    options and the position of the marker, looks at the source without changing anything there, and returns rows of
    what and how much; there is none, or it returns None, where there is nothing outside to be looked at.
    """

    make: Callable[[Mapping[str, Any], Warn], Source]
    shape: Callable[[Config, str], Shape]
    probe: Callable[[Mapping[str, Any], Position | None], list[tuple[str, str]] | None] | None = None


# source.type -> the module in this folder (or the kind itself). A project has only the module of its own type, and only
# that is imported, for with it comes its driver.
KINDS: dict[str, str | Kind] = {
    "custom": "custom",
    "file": "file",
    "kafka": "kafka",
    "postgres": "postgres",
    "rabbitmq": "rabbitmq",
    "symbol": "symbol",
}


def kind_of(config: Config) -> Kind:
    """The kind that the config names; FatalError if this image does not have it, or not its driver."""
    kind = KINDS.get(config.source)
    if isinstance(kind, Kind):
        return kind
    name = f"{__name__}.{kind}"
    try:
        if kind is None:
            raise ModuleNotFoundError(name=name)
        module = importlib.import_module(name)
    except ImportError as error:
        if error.name == name:
            raise FatalError(
                "config",
                found=f"source.type {config.source!r}",
                expected="the type that this image was built for: it has no other",
                remedy="build the image anew from the project that pipeline.json belongs to",
            ) from error
        raise FatalError(
            "source",
            found=f"no driver for source.type {config.source!r} ({error})",
            expected="what requirements.txt asks for",
            remedy="build the image anew; to run here: pip install -r requirements.txt",
        ) from error
    return Kind(module.make, module.shape, getattr(module, "probe", None))
