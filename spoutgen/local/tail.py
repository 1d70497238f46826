"""The last lines of a pipeline's marker: how far its spout has come, for people to look at."""

from __future__ import annotations

import re

from spoutgen.local.refused import NotFoundError
from spoutgen.local.spec import MARKER_BRANCH
from spoutgen.local.store import Store

_MOST_BYTES = 64 << 10


def marker_tail(store: Store, repo: str, marker: str, lines: int, branch: str = MARKER_BRANCH) -> list[str]:
    """At most ``lines`` lines from the end of the marker, or of its last part (``mymark07``) if it has parts."""
    try:
        names = [info.path for info in store.list_files(repo, branch) if info.kind == "file"]
    except NotFoundError:
        return []
    part = re.compile(rf"/{re.escape(marker)}\d+\Z")
    parts = sorted((name for name in names if part.match(name)), key=lambda name: (len(name), name))
    path = parts[-1] if parts else f"/{marker}"
    if path not in names:
        return []
    end = store.get_end_of_file(repo, branch, path, _MOST_BYTES)
    return end.decode("utf-8", "replace").splitlines()[-lines:]
