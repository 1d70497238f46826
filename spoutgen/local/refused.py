"""The answers of the local cluster to requests that cannot be met."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from spoutgen.errors import Diagnostic, SpoutgenError


class RefusedError(SpoutgenError):
    """pachd would have answered with this error; a worker that gets it tries again."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(Diagnostic("SG507", message, None, hint))


class CollisionError(RefusedError):
    """A file and a folder at one place; ``path`` is what stands below the file. 1.x and 2.x have other words for it."""

    def __init__(self, path: str, message: str, hint: str | None = None) -> None:
        self.path = path
        super().__init__(message, hint)


class UnfinishedParentError(RefusedError):
    """A commit cannot be started on top of ``commit``, which is still open."""

    def __init__(self, repo: str, commit: str, hint: str | None = None) -> None:
        self.commit = commit
        super().__init__(f"parent commit {repo}@{commit} has not been finished", hint)


class NotFoundError(SpoutgenError):
    """There is nothing of that name."""

    def __init__(self, kind: str, name: str, known: Iterable[str] = (), hint: str | None = None) -> None:
        names = sorted(known)
        close = difflib.get_close_matches(name, names, n=1)
        if close:
            hint = f"did you mean {close[0]!r}?"
        elif hint is None and names:
            some = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
            hint = f"there is: {some}"
        super().__init__(Diagnostic("SG502", f"no {kind} {name!r}", None, hint))


def reason(error: SpoutgenError) -> str:
    """An error's messages in one line."""
    return "; ".join(diagnostic.message for diagnostic in error.diagnostics)


def advice(error: SpoutgenError) -> str | None:
    """The first hint that an error carries."""
    return next((d.hint for d in error.diagnostics if d.hint), None)
