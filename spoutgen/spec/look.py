"""The one way in which a rule sees a spec."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from spoutgen.spec.document import Document, Path

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Look:
    """A view of the data with its defaults. ``spoilt`` are the paths of which something has been said already."""

    document: Document
    filled: Mapping[str, Any]
    spoilt: Collection[Path]

    def value(self, kind: type[T], *path: str | int) -> T | None:
        """The value at ``path`` if it is of that kind and nothing is wrong with it or around it."""
        value: Any = self.filled
        for length, key in enumerate(path, start=1):
            known = isinstance(value, dict) and key in value
            if not known and not (isinstance(value, list) and isinstance(key, int) and key < len(value)):
                return None
            value = value[key]
            if path[:length] in self.spoilt:
                return None
        return value if isinstance(value, kind) else None

    def is_written(self, *path: str | int) -> bool:
        """Whether the value stands in the file, and is no default."""
        return path in self.document.nodes
