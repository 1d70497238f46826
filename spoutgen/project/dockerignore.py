"""``.dockerignore``: which files of a project a builder does not take into the image.

The rules are those of docker build, podman and buildah, which share one matcher (github.com/moby/patternmatcher,
and containers/storage:pkg/fileutils/fileutils.go): one pattern a line, rooted at the project; ``*`` and ``?`` stop at a
slash, ``**`` stands for any number of folders; a dot is a character like any other; a pattern that fits a folder fits
all below it; ``!`` takes back; the last pattern that fits decides. tests/contract/test_build_context.py holds them
beside buildah.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from functools import lru_cache


@lru_cache(maxsize=64)
def ignores(text: str) -> Callable[[str], bool]:
    """Whether a path (relative, a file or a folder) is left out by a ``.dockerignore`` with this text.

    For a folder the answer holds for all below it only where the text has no ``!``.
    """
    rules = [(is_exception, re.compile(_regex(pattern))) for is_exception, pattern in _patterns(text)]
    if not any(is_exception for is_exception, _ in rules):
        together = re.compile("|".join(f"(?:{regex.pattern})" for _, regex in rules) or r"(?!)")
        return lambda path: together.match(path) is not None

    def last_match(path: str) -> bool:
        is_ignored = False
        for is_exception, pattern in rules:
            if pattern.match(path):
                is_ignored = not is_exception
        return is_ignored

    return last_match


def has_exceptions(text: str) -> bool:
    """Whether something below an ignored folder may be taken all the same."""
    return any(is_exception for is_exception, _ in _patterns(text))


def _patterns(text: str) -> Iterator[tuple[bool, str]]:
    """The patterns in order, each with whether it takes back.

    A comment has its ``#`` in the first column; behind a space it is a pattern. Only line feeds end lines.
    """
    for line in text.removeprefix("\ufeff").split("\n"):
        pattern = line.strip()
        is_exception = pattern.startswith("!")
        pattern = pattern.removeprefix("!").strip()
        if pattern and not line.startswith("#"):
            yield is_exception, posixpath.normpath(pattern).lstrip("/")


def _regex(pattern: str) -> str:
    """One pattern as a regular expression that fits the path and everything below it."""
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if pattern.startswith("**", at):
            at += 3 if pattern.startswith("/", at + 2) else 2
            parts.append("(?:.*/)?" if at < len(pattern) else ".*")  # any number of folders, none included
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
