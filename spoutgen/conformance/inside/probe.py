"""Does to a project's source what it is told to: one JSON line asks, one answers.

This file runs inside the project's own process, with the project's own runtime; spoutgen never imports it, it starts
it (spoutgen/conformance/probe.py): ``python probe.py PROJECT_FOLDER``, with the environment that a spout has.

An answer is ``{"answer": ...}`` or ``{"error": {"type", "detail", "where", "refusal"}}``. A record is told as
``{"name", "size", "digest", "head", "position", "path"}``; ``fault``, ``position_fault`` and ``path_fault`` say what
keeps one of these from being told.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

# As main.py does with its own folder.
sys.path.insert(0, sys.argv[1])

from spout import output
from spout.config import read_config
from spout.fatal import FatalError
from spout.loop import read_again
from spout.marker import Announcement
from spout.records import Batch, Limit, Record
from spout.sources import kind_of

SAMPLES = 5
_MANY = 1000
_LARGE = 8 << 20


class Probe:
    """One source, and each thing that can be asked of it as a method of that name."""

    def __init__(self) -> None:
        self._config: Any = None
        self._source: Any = None
        self._at: Any = None

    def make(self) -> dict[str, Any]:
        """A new source, as the spout makes it."""
        self._config = read_config(os.environb)
        self._source = kind_of(self._config).make(self._config.options, lambda event, **facts: None)
        return {"identity": self._source.identity, "needs_ack": self._source.needs_ack}

    def identity(self) -> str:
        """What the source calls itself now."""
        return str(self._source.identity)

    def open(self, position: Any) -> None:
        """Open it after ``position``."""
        self._source.open(position)
        self._at = position

    def read(self, records: int, size: int, until: Any, timeout: float) -> dict[str, Any]:
        """One read: its records, and the seconds that it took."""
        began = time.monotonic()
        found = self._source.read(Limit(records, size, until), timeout)
        seconds = time.monotonic() - began
        last = len(found) - 1
        return {"records": [self._told(each, at == last) for at, each in enumerate(found)], "seconds": seconds}

    def ack(self, position: Any) -> None:
        """Acknowledge all up to ``position``."""
        self._source.ack(position)

    def close(self) -> None:
        """Close it."""
        if self._source is not None:
            self._source.close()

    def files(self, until: Any) -> list[list[Any]]:
        """Path, size and digest of each file of the batch from the last ``open`` or ``files`` up to ``until``."""
        batch = read_again(self._source, self._at, until, self._config.batch)
        self._at = until
        made = []
        for file in self._files_of(batch):
            digest = hashlib.sha256()
            for chunk in file.chunks:
                digest.update(chunk)
            made.append([file.path, file.size, digest.hexdigest()])
        return made

    def _files_of(self, batch: Batch) -> list[Any]:
        is_beside = self._config.target is not None
        made: list[Any] = output.files(batch, self._config.output, self._config.marker, is_beside=is_beside)
        return made

    def marker(self, committed: Any, writing: Any) -> dict[str, Any]:
        """An announcement written as marker files (their paths and sizes), and what is read from them again."""
        shape = kind_of(self._config).shape(self._config, self._source.identity)
        files = [
            (file.path, file.size, b"".join(file.chunks)) for file in shape.files(Announcement(committed, writing))
        ]
        back = self._read_marker(files[-1][2])
        return {"files": [[path, size, len(data)] for path, size, data in files], "back": back}

    def read_marker(self, path: str) -> list[Any]:
        """What the marker file at ``path`` says: committed, writing."""
        return self._read_marker(Path(path).read_bytes())

    def held(self) -> dict[str, int]:
        """How many files and threads the process has."""
        return {what: sum(1 for _ in Path("/proc/self", what).iterdir()) for what in ("fd", "task")}

    def replays(self, start: Any, until: Any, seconds: float, records: int, most: float) -> dict[str, Any]:
        """The same range again and again: samples of [records so far, Python's bytes, resident].

        For ``seconds`` at least, and on until there were ``records``, in at most ``most`` seconds.
        """

        def again() -> int:
            self._source.open(start)
            batch = read_again(self._source, start, until, self._config.batch)
            self._source.close()
            return len(batch.records)

        return _measured(again, seconds, records, most)

    def reads_on(self, start: Any, seconds: float) -> dict[str, Any]:
        """What comes after ``start``, for ``seconds``: samples as of ``replays``."""
        self._source.open(start)
        answer = _measured(lambda: len(self._source.read(Limit(_MANY, _LARGE), 0.05)), seconds)
        self._source.close()
        return answer

    def _read_marker(self, data: bytes) -> list[Any]:
        import tempfile

        shape = kind_of(self._config).shape(self._config, self._source.identity)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, self._config.marker)
            file.write_bytes(data)
            announcement = shape.read(file)
        return [announcement.committed, announcement.writing]

    def _told(self, record: Any, is_last: bool) -> dict[str, Any]:
        if not isinstance(record, Record):
            return {"fault": f"{_described(record)} where a Record should be"}
        if not isinstance(record.data, bytes):
            return {"fault": f"a Record whose data is {_described(record.data)}, not bytes"}
        if not isinstance(record.name, str) or not record.name:
            return {"fault": f"a Record whose name is {_described(record.name)}, not text"}
        told = {"name": record.name.encode("utf-8", "backslashreplace").decode(), "size": len(record.data)}
        told |= {"digest": hashlib.sha256(record.data).hexdigest(), "head": repr(record.data[:30])[2:-1]}
        fault = _position_fault(record.position) if is_last or record.position is not None else None
        told |= {"position_fault": fault} if fault else {"position": record.position}
        try:
            batch = Batch(None, record.position, [record])
            made = self._files_of(batch)
            told["path"] = made[0].path
        except FatalError as error:
            told["path_fault"] = f"found {error.found}; expected {error.expected}"
        except ValueError as error:  # half of a surrogate pair cannot be a part of any path
            told["path_fault"] = str(error)
        return told


def _position_fault(position: Any) -> str | None:
    """Why a position would not survive the marker, which keeps it as JSON."""
    if position is None:
        return "None, which is the beginning"
    try:
        back = json.loads(json.dumps(position, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        return f"{_described(position)}: {error}"
    return None if back == position else f"{_described(position)}, which comes back from JSON as {_described(back)}"


def _described(value: Any) -> str:
    text = repr(value)
    return "None" if value is None else f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def _measured(work: Any, seconds: float, least: int = 0, most: float = 0.0) -> dict[str, Any]:
    """``work``, which returns how many records it was, over and over; memory at ``SAMPLES`` moments, the first early.

    Between two of them there is an equal share of ``seconds``, and of the ``least`` records if ``most`` seconds allow.
    ``where`` is the line that allocated most of what was added between the first sample and the last.
    """
    import tracemalloc

    tracemalloc.start()
    samples, records, began = [], 0, time.monotonic()
    first = None
    for number in range(1, SAMPLES + 1):
        share = number / SAMPLES
        while (spent := time.monotonic() - began) < seconds * share or (
            records < least * share and spent < most * share
        ):
            records += work()
        gc.collect()
        samples.append([records, tracemalloc.get_traced_memory()[0], _resident()])
        first = first or tracemalloc.take_snapshot()
    last = tracemalloc.take_snapshot()
    tracemalloc.stop()
    ours = tuple(tracemalloc.Filter(False, name) for name in (__file__, tracemalloc.__file__))
    grown = last.filter_traces(ours).compare_to(first.filter_traces(ours), "lineno") if first else []
    top = next((each.traceback[0] for each in grown if each.size_diff > 0), None)
    return {"samples": samples, "where": f"{_short(top.filename)}:{top.lineno}" if top else None}


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def _short(file: str) -> str:
    """A file's name as the user knows it: below the project, or alone."""
    folder = sys.argv[1] + os.sep
    return file.removeprefix(folder) if file.startswith(folder) else Path(file).name


def _error(error: BaseException) -> dict[str, Any]:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    own = [frame for frame in frames if _short(frame.filename) == "source.py"] or frames
    where = f"{_short(own[-1].filename)}:{own[-1].lineno} in {own[-1].name}" if own else None
    told: dict[str, Any] = {"type": type(error).__name__, "detail": str(error)[:400], "where": where, "refusal": None}
    if isinstance(error, FatalError):
        told["refusal"] = [error.expected, error.found, error.remedy]
    return told


def main() -> None:
    """Answer until nothing more is asked."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii", buffering=1)
    os.dup2(2, 1)  # what the source prints must not stand among the answers
    probe = Probe()
    for line in sys.stdin:
        request = json.loads(line)
        # Whoever asks may be killed while the source hangs: nobody else would ever end it.
        signal.alarm(int(request.pop("patience")) + 30)
        try:
            answer = {"answer": getattr(probe, request.pop("do"))(**request)}
        except Exception as error:  # noqa: BLE001 (a source may raise anything)
            answer = {"error": _error(error)}
        answers.write(json.dumps(answer) + "\n")
        signal.alarm(0)
    probe.close()


if __name__ == "__main__":
    main()
