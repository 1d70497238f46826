"""``.dockerignore``: which files of a project a builder does not take into the image.

The rules are those of docker build (docs.docker.com, "Build context": .dockerignore files): one pattern a line, rooted
at the project; ``*`` and ``?`` stop at a slash, ``**`` does not; a pattern that fits a folder fits all below it; ``!``
takes back; the last pattern that fits decides.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from functools import lru_cache


@lru_cache(maxsize=64)
def ignores(text: str) -> Callable[[str], bool]:
    """Whether a path (relative, a file or a folder) is left out by a ``.dockerignore`` with this text.

    For a folder the answer holds for all below it only where the text has no ``!``.
    """
    patterns = [
        (line.startswith("!"), _regex(line.removeprefix("!").strip()))
        for line in (line.strip() for line in text.removeprefix("\ufeff").splitlines())
        if line and not line.startswith("#") and line.removeprefix("!").strip()
    ]
    if not any(is_exception for is_exception, _ in patterns):
        together = re.compile("|".join(f"(?:{pattern})" for _, pattern in patterns) or r"(?!)")
        return lambda path: together.match(path) is not None
    rules = [(is_exception, re.compile(pattern)) for is_exception, pattern in patterns]

    def last_match(path: str) -> bool:
        is_ignored = False
        for is_exception, pattern in rules:
            if pattern.match(path):
                is_ignored = not is_exception
        return is_ignored

    return last_match


def has_exceptions(text: str) -> bool:
    """Whether something below an ignored folder may be taken all the same."""
    return any(line.strip().startswith("!") for line in text.splitlines())


def _regex(pattern: str) -> str:
    """One pattern as a regular expression that fits the path and everything below it."""
    pattern = posixpath.normpath(pattern).lstrip("/")
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if pattern.startswith("**", at):
            at += 2
            if pattern.startswith("/", at):
                at += 1
                parts.append("(?:.*/)?")  # any number of folders, none included
            else:
                parts.append(".*")
            continue
        if char == "[" and (found := re.compile(r"\[(\^?)([^\]]+)\]").match(pattern, at)):
            inside = found[2].replace("[", r"\[")
            parts.append(f"[{found[1]}{inside}]")
            at = found.end()
            continue
        if char == "\\" and at + 1 < len(pattern):
            at += 1
            parts.append(re.escape(pattern[at]))
        else:
            parts.append({"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char)))
        at += 1
    return "".join(parts) + r"(?:/|\Z)"
