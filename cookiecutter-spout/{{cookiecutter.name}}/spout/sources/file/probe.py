"""What `spoutgen check` sees of the files: it reads a few bytes of them and changes nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spout.fatal import FatalError
from spout.records import Position
from spout.sources.file import folder
from spout.sources.file.logs import Logs

_PATIENCE = 20  # looks at a folder in which somebody renames files


def probe(options: Mapping[str, Any], position: Position | None) -> list[tuple[str, str]]:
    """A row for each log: how many files and bytes, and where the marker stands; then the lag, unless some is lost."""
    pattern = str(options["files"])
    root = folder.root(pattern)
    if not os.access(root, os.R_OK | os.X_OK):
        raise FatalError(
            "source",
            found=f"no folder {root} that can be read" if not Path(root).exists() else f"{root}, which is not readable",
            expected=f"a folder with the files {pattern}",
            remedy="mount the folder into the pod (`pipeline.pod_patch` or a sidecar's volume), or mend `source.files`",
        )
    logs = Logs(pattern, time.monotonic)
    try:
        logs.set(position)
        for _ in range(_PATIENCE):
            if logs.look():
                break
            time.sleep(0.05)
        rows = [("files", f"no file matches {pattern} yet; it is waited for")] if not logs.by_name else []
        lost, behind = [], 0
        for log in logs.by_name.values():
            known = [each for each in log.generations.values() if each.found]
            unread = sum(file.size for file in log.waiting)
            unread += sum(max(0, each.found.size - each.place.offset) for each in known if each.found)
            files = len(known) + len(log.waiting)
            _readable(log.waiting)
            rows.append((log.name, f"{files} file{'s' if files != 1 else ''}, {unread} bytes to be read"))
            behind += unread
            if log.last is not None and log.last.found is None:
                lost.append((log.name, f"what was read up to byte {log.last.place.offset} is gone (`on_lost`)"))
        return [*rows, *lost] if lost else [*rows, ("lag", f"{behind} bytes")]
    finally:
        logs.close()


def _readable(files: list[folder.Found]) -> None:
    for file in files:
        if not os.access(file.path, os.R_OK):
            raise FatalError(
                "source",
                found=f"{file.path}, which may not be read",
                expected="a file that the spout's user can read",
                remedy="give it the right: a group that may read, or logrotate's `create 0644`",
            )
