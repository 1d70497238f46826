"""Log lines: one JSON object a line on standard output, for `pachctl logs` and for machines.

    {"time": "2026-03-01T12:00:00.250Z", "level": "info", "event": "batch", "records": 1000, ...}

The environment of a worker holds the object store's credentials, so values of variables that are named like
credentials are blotted out wherever they turn up, say in the message of a driver that failed to log in.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import TextIO
from urllib.parse import quote

_CREDENTIAL = re.compile(
    r"SECRET|TOKEN|PASS|_PWD?$|KEY|CRED|AUTH|SIGNATURE|AMAZON|GOOGLE|MICROSOFT|MINIO", re.IGNORECASE
)

_SHORTEST = 4  # characters of a credential that is hidden
_BLOT = "***"
_CUT = "..."  # how fatal.brief ends a text that it cuts


def credentials(environ: Mapping[str, str], named: Iterable[str] = ()) -> list[str]:
    """The values of the variables that are named like credentials, and of those ``named``.

    Longest first, so that none hides a part of another; also as they stand in a URL or in Python's own notation, and
    the lines of a key file.

    Values of under four characters are left out: they would blot out half of every line.
    """
    known = set(named)
    values = [environ[name] for name in environ if name in known or _CREDENTIAL.search(name)]
    parts = {part for value in values for part in (value, *value.splitlines())}
    shapes = {shape for part in parts for shape in (part, repr(part)[1:-1], quote(part, safe=""))}
    return sorted((shape for shape in shapes if len(shape.strip()) >= _SHORTEST), key=len, reverse=True)


class Log:
    """Writes log lines to ``stream``; a stream that is gone is no reason to stop the spout."""

    def __init__(
        self, stream: TextIO | None, hidden: Iterable[str] = (), clock: Callable[[], float] = time.time
    ) -> None:
        self._stream = stream
        self._hidden = tuple(hidden)
        self._clock = clock

    def info(self, event: str, **facts: object) -> None:
        """Something happened as it should."""
        self._line("info", event, facts)

    def warning(self, event: str, **facts: object) -> None:
        """Something is not as it should be, and the spout goes on by itself."""
        self._line("warning", event, facts)

    def fatal(self, event: str, **facts: object) -> None:
        """The spout ends."""
        self._line("fatal", event, facts)

    def _line(self, level: str, event: str, facts: Mapping[str, object]) -> None:
        now = datetime.fromtimestamp(self._clock(), timezone.utc)
        stamp = f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}Z"
        shown = {name: self._blotted(fact) for name, fact in facts.items()}
        line = json.dumps({"time": stamp, "level": level, "event": event, **shown})
        if self._stream is not None:
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except OSError:
                self._stream = None

    def _blotted(self, fact: object) -> object:
        if isinstance(fact, (list, tuple)):
            return [self._blotted(item) for item in fact]
        if isinstance(fact, dict):
            return {self._hide(str(name)): self._blotted(item) for name, item in fact.items()}
        return self._hide(fact) if isinstance(fact, str) else fact

    def _hide(self, text: str) -> str:
        for value in self._hidden:
            text = text.replace(value, _BLOT)
        if _CUT not in text:
            return text
        *cut, end = text.split(_CUT)
        return _CUT.join([*(self._without_beginning(part) for part in cut), end])

    def _without_beginning(self, text: str) -> str:
        """``text``, which was cut at its end, without what it may have kept there of a credential."""
        for value in self._hidden:
            for length in range(min(len(value), len(text)), _SHORTEST - 1, -1):
                if text.endswith(value[:length]):
                    return text[:-length] + _BLOT
        return text
