"""Looks at the source and ends: what `spoutgen check` starts, as ``python -m spout.check SECONDS [MARKER [only]]``.

It takes the same configuration and variables as the spout, reads nothing and changes nothing there, and prints log
lines. The last one says what came of it: ``found`` (rows of what and how much), ``blind`` (a source that there is
nothing to look at), ``refused`` (the settings are wrong, with the remedy), ``no_driver``, or ``away`` (whatever else a
driver raised). ``MARKER`` is a copy of the marker, and with ``only`` nothing but that is looked at; after ``SECONDS``
the process kills itself, whatever a driver does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from spout.config import Config, read_config
from spout.fatal import FatalError, brief
from spout.log import Log, credentials
from spout.marker import Announcement
from spout.records import Position
from spout.sources import kind_of


def main(seconds: float, marker: Path | None, *, is_marker_only: bool = False) -> int:
    """Look, say what was found, and return the exit status: always 0, since the last line says it all."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    stream = _own_output()
    log = Log(stream, credentials(os.environ))
    try:
        config = read_config(os.environb)
        log = Log(stream, credentials(os.environ, config.credentials))
        look(config, marker, log, is_marker_only=is_marker_only)
    except FatalError as error:
        facts = {"found": error.found, "expected": error.expected, "remedy": error.remedy}
        event = "no_driver" if isinstance(error.__cause__, ImportError) else "refused"
        log.warning(event, subject=error.subject, **facts)
    except Exception as error:  # noqa: BLE001 (a driver may raise anything)
        log.warning("away", error=type(error).__name__, detail=brief(error, 1000))
    return 0


def look(config: Config, marker: Path | None, log: Log, *, is_marker_only: bool = False) -> None:
    """Say what the source has, and how far the marker is behind it."""
    kind = kind_of(config)
    rows: list[tuple[str, str]] = []
    position = None
    if marker is not None:
        announcement = kind.shape(config, kind.make(config.options, log.warning).identity).read(marker)
        position = announcement.committed
        told = [f"{word} up to {brief(json.dumps(at, ensure_ascii=False), 200)}" for word, at in _places(announcement)]
        rows.append(("marker", "; ".join(told)))
    if is_marker_only:
        log.info("found", rows=rows)
        return
    found = None if kind.probe is None else kind.probe(config.options, position)
    if found is None:
        log.info("blind")
    else:
        log.info("found", rows=[[str(what), str(how)] for what, how in (*found, *rows)])


def _places(announcement: Announcement) -> Iterator[tuple[str, Position]]:
    if announcement.committed is not None:
        yield "committed", announcement.committed
    if announcement.writing is not None:
        yield "writing", announcement.writing


def _own_output() -> TextIO:
    """Standard output for our lines alone: what a driver or source.py prints goes to standard error."""
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return own


if __name__ == "__main__":
    given = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    sys.exit(main(float(sys.argv[1]), given, is_marker_only=sys.argv[3:] == ["only"]))
