"""When a story is given up: by what its processes do, not by how long that takes on a machine that others use too.

Three ways of never coming to an end, each told by something that load cannot bring about:

* ``never commits``: the worker tried to commit one tar again and again, and was refused each time;
* ``gives up``: the user code was started again and again, and refused to go on each time;
* ``nothing moves``: no commit for some seconds in which no thread of the story either ran or waited for a core.
"""

import time
from pathlib import Path

import deaths

ENDS = ("never commits", "gives up", "nothing moves")
LOOKS = 0.05  # seconds between two looks at the processes


class Patience:
    """For the worker ``pid`` of the story in ``folder``: ``quiet`` seconds, or ``refusals``."""

    def __init__(self, folder: Path, pid: int, quiet: float, refusals: int) -> None:
        self._folder = folder
        self._pid = pid
        self._allowed = quiet
        self._refusals = refusals
        self._progress = -1
        self._begin_anew()

    def lost(self) -> str:
        """Why there is no hope any more; "" while there is."""
        progress = sum(_size(self._folder / name) for name in ("progress", "kills"))
        if progress != self._progress:
            self._progress = progress
            self._begin_anew()
        if time.monotonic() - self._looked < LOOKS:
            return ""
        self._look()
        for end, name in (("never commits", "wedged"), ("gives up", "refusals")):
            if len(noted := deaths.noted(self._folder, name)) - self._before[name] >= self._refusals:
                return f"{end}: {noted[-1]}"
        if self._quiet > self._allowed:
            exits = deaths.noted(self._folder, "exits")
            return f"nothing moves: the user code {f'ended with {exits[-1]}' if exits else 'waits'}"
        return ""

    def _begin_anew(self):
        self._quiet = 0.0
        self._looked, self._used = time.monotonic(), {}
        self._before = {name: len(deaths.noted(self._folder, name)) for name in ("wedged", "refusals")}

    def _look(self):
        """Add the time since the last look, less what was computed in it and what was waited for a core."""
        now, used = time.monotonic(), dict(_used_by(self._pid))
        if used.keys() == self._used.keys():
            busy = sum(used.values()) - sum(self._used.values())
            self._quiet += max(0.0, now - self._looked - busy)
        self._looked, self._used = now, used


def _used_by(pid):
    """Seconds that each thread of a process and of its descendants ran or waited for a core, ever (proc(5))."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        for thread in threads:
            ran, waited, _ = (thread / "schedstat").read_text().split()
            yield f"{pid}/{thread.name}", (int(ran) + int(waited)) / 1e9
        for thread in threads:
            for child in (thread / "children").read_text().split():
                yield from _used_by(int(child))
    except (FileNotFoundError, ProcessLookupError):
        return  # it ended meanwhile


def _size(path):
    return path.stat().st_size if path.exists() else 0
