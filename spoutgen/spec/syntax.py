"""A YAML parser's complaint in plain words, with a hint for the classics."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mistake:
    """What the parser said: its ``problem`` at offset ``index``, and what it was reading (``context``) since when."""

    problem: str
    context: str
    index: int
    context_index: int


def explain(text: str, mistake: Mistake) -> tuple[int, int, str, str | None]:
    """The span to show, what is wrong there, and a hint."""
    index = min(mistake.index, len(text))
    return index, index + 1, f"this is not valid YAML: {mistake.problem}", None
