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

_CREDENTIAL = re.compile(
    r"SECRET|TOKEN|PASS|_PWD?$|KEY|CRED|AUTH|SIGNATURE|AMAZON|GOOGLE|MICROSOFT|MINIO", re.IGNORECASE
)


def credentials(environ: Mapping[str, str], named: Iterable[str] = ()) -> list[str]:
    """The values of the variables that are named like credentials, and of those ``named``.

    Longest first, so that none hides a part of another.

    Values of under four characters are left out: they would blot out half of every line.
    """
    secret = {name for name in environ if name in named or _CREDENTIAL.search(name)}
    values = {environ[name] for name in secret if len(environ[name]) >= 4}
    return sorted(values, key=len, reverse=True)


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
        if isinstance(fact, list):
            return [self._blotted(item) for item in fact]
        if isinstance(fact, str):
            for value in self._hidden:
                fact = fact.replace(value, "***")
        return fact
