"""The one error that running again cannot mend."""

from __future__ import annotations


class FatalError(Exception):
    """The spout must not go on: going on would be a guess.

    ``subject`` is what is wrong (config, marker, source, output or pipe), ``found`` and ``expected`` are the two
    sides of the disagreement, ``remedy`` is what a person can do. A source raises it for what no retry can mend,
    such as a position that its topic no longer holds; any other error of a source is met by reconnecting.
    """

    def __init__(self, subject: str, *, found: str, expected: str, remedy: str) -> None:
        super().__init__(f"{subject}: found {found}; expected {expected}; {remedy}")
        self.subject = subject
        self.found = found
        self.expected = expected
        self.remedy = remedy


def brief(text: object, width: int = 80) -> str:
    """``text`` cut to ``width`` characters: log lines never hold a whole pyramid."""
    whole = str(text)
    return whole if len(whole) <= width else f"{whole[: width - 3]}..."
