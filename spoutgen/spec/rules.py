"""What a schema cannot say: one small function a rule, all of them in one table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from spoutgen.errors import Diagnostic
from spoutgen.spec.document import Document, Path


def check(document: Document, filled: Mapping[str, Any], spoilt: Collection[Path]) -> Iterator[Diagnostic]:
    """The findings of every rule."""
    yield from ()
