"""The marker: how far the spout has come, kept by Pachyderm on the branch `marker`.

It is always an *announcement*: what is committed for good, and what is being written now. After a death in between,
exactly that range is written again, to the same files.

Which bytes say so is its shape. A source may have a shape of its own (the symbol's is the pyramid itself:
``sources/pyramid.py``); :class:`JsonShape` is everybody else's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from spout.fatal import FatalError, brief
from spout.log import Log
from spout.metrics import Meter
from spout.paths import legal
from spout.records import File, Position

VERSION = 1
JSON_OPENING = b'{"spoutgen_marker":'

START_OVER = "to give up the position and start over: `spoutgen marker reset`, with --local for a local one"


@dataclass(frozen=True, slots=True)
class Announcement:
    """All up to ``committed`` (None: nothing yet) is committed; ``committed`` to ``writing`` is being written.

    ``writing`` is None when nothing is: after a barrier (only the journal ever says so), and in the marker that says
    where a spout began, or has come to where there was nothing to read.
    """

    committed: Position | None
    writing: Position | None


class Shape(Protocol):
    """How announcements become marker files, and back."""

    def files(self, announcement: Announcement) -> list[File]:
        """The files to write: the one with the marker's exact name last, for only that one is ever given back."""

    def read(self, path: Path) -> Announcement:
        """What the pulled marker file says; FatalError when that cannot be told for certain."""


def pulled(path: Path, shape: Shape) -> Announcement | None:
    """What the marker that the worker pulled to ``path`` says; None for a spout that starts for the first time.

    The worker always puts a link there, which leads nowhere while the branch has no commit
    (v1.13.4:src/server/worker/driver/driver_unix.go:129). So no link at all means that the pipeline has another marker
    than the config says, and starting from the beginning would be a guess.
    """
    if path.is_file():
        return shape.read(path)
    if path.is_symlink() and not path.exists():
        return None
    raise FatalError(
        "marker",
        found=f"a folder at {path}" if path.exists() else f"no link at {path}",
        expected="the marker that the worker pulled, or a link that leads nowhere at the very first start",
        remedy="spout.marker in pipeline.json and SPOUT_CONFIG must name one marker: `spoutgen update`, then deploy",
    )


class Budget:
    """How large a marker may be: it is written with every batch and read whole at every start.

    Its parts are only written, so they are told of and never refused.
    """

    LARGE, TOO_LARGE = 64 << 10, 1 << 20  # bytes

    def __init__(self, log: Log, meter: Meter) -> None:
        self._log = log
        self._meter = meter
        self._told: set[str] = set()

    def checked(self, files: list[File]) -> list[File]:
        """``files``, the marker after its parts, each large one told once; FatalError if the marker is too large."""
        *_, marker = files
        if marker.size > self.TOO_LARGE:
            raise FatalError(
                "marker",
                found=f"a marker file {marker.path} of {marker.size} bytes",
                expected=f"{self.TOO_LARGE} bytes at most",
                remedy="write `marker: {prefix: NAME}`, which keeps it in parts, or share the work among spouts",
            )
        for file in files:
            if file.size > self.LARGE and file.path not in self._told:
                self._told.add(file.path)
                limit = self.TOO_LARGE if file is marker else None
                self._log.warning("marker_is_large", file=file.path, bytes=file.size, limit=limit)
        self._meter.marked()
        return files


class JsonShape:
    """One JSON object in the file ``marker``:

    ``{"spoutgen_marker":1,"spout":NAME,"source":IDENTITY,"committed":POSITION,"writing":POSITION}``
    """

    def __init__(self, marker: str, spout: str, source: str) -> None:
        self._marker = marker
        self._spout = spout
        self._source = source

    def files(self, announcement: Announcement) -> list[File]:
        """The one file."""
        facts = {"committed": announcement.committed, "writing": announcement.writing}
        return [write_json(self._marker, self._spout, self._source, facts)]

    def read(self, path: Path) -> Announcement:
        """What the file says."""
        facts = read_json(path, self._spout, self._source, ("committed", "writing"))
        return Announcement(facts["committed"], facts["writing"])


class PartitionShape:
    """The marker of a source whose position is an object of objects, ``{topic: {partition: place}}``.

    By name it is that of :class:`JsonShape`. By prefix each partition that a batch writes has a file of its own beside
    it, ``mymark.topic.partition``, for whoever watches one; the file ``mymark`` has them all, and is what a restart
    reads.
    """

    def __init__(self, marker: str, is_prefix: bool, spout: str, source: str) -> None:
        self._whole = JsonShape(marker, spout, source)
        self._marker = marker
        self._is_prefix = is_prefix
        self._spout = spout
        self._source = source

    def files(self, announcement: Announcement) -> list[File]:
        """The parts that ``announcement`` moves on, then the whole."""
        parts = []
        if self._is_prefix:
            committed, writing = announcement.committed or {}, announcement.writing or {}
            for topic, places in sorted(writing.items()):
                for partition, place in sorted(places.items()):
                    before = committed.get(topic, {}).get(partition)
                    if place != before:
                        facts = {"topic": topic, "partition": partition, "committed": before, "writing": place}
                        name = f"{self._marker}.{legal(topic)}.{legal(partition)}"
                        parts.append(write_json(name, self._spout, self._source, facts))
        return [*parts, *self._whole.files(announcement)]

    def read(self, path: Path) -> Announcement:
        """What the whole says."""
        return self._whole.read(path)


def write_json(path: str, spout: str, source: str, facts: Mapping[str, Any]) -> File:
    """The marker file that says ``facts``, signed with the spout's name and its source's identity."""
    marker = {"spoutgen_marker": VERSION, "spout": spout, "source": source, **facts}
    data = json.dumps(marker, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    return File(path, len(data), [data])


def read_json(path: Path, spout: str, source: str, keys: tuple[str, ...]) -> dict[str, Any]:
    """The facts of such a file; FatalError if it is not one of this spout and source with exactly these ``keys``."""
    data = path.read_bytes()
    if not data.startswith(JSON_OPENING):
        found = f"plain text, {brief(data[:80].decode(errors='replace'))!r}" if data else "nothing"
        expected = "JSON that spoutgen wrote; if the marker was plain text, put `marker:` in spout.yaml back"
        raise unreadable(path, found, expected)
    try:
        marker = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise unreadable(path, f"JSON that is cut or broken ({error})", "a whole JSON object") from error
    if marker["spoutgen_marker"] != VERSION:
        raise FatalError(
            "marker",
            found=f"{path} in format {brief(marker['spoutgen_marker'])}",
            expected=f"format {VERSION}",
            remedy="another version of spoutgen wrote it: run the image that was made with that one",
        )
    for key, expected in (("spout", spout), ("source", source)):
        if marker.get(key) != expected:
            raise FatalError(
                "marker",
                found=f"{path} of {key} {brief(repr(marker.get(key)))}",
                expected=f"one of {key} {expected!r}",
                remedy=f"put the spec back to that {key}; {START_OVER}",
            )
    if set(marker) != {"spoutgen_marker", "spout", "source", *keys}:
        raise unreadable(path, f"the keys {brief(', '.join(marker))}", f"spoutgen_marker, spout, source, {keys}")
    return dict(marker)


def unreadable(path: Path, found: str, expected: str) -> FatalError:
    """The refusal of a marker file that nobody can resume from."""
    remedy = f"put an older marker back (it is in an older commit): `spoutgen marker rewind`; {START_OVER}"
    return FatalError("marker", found=f"{path} that holds {found}", expected=expected, remedy=remedy)
