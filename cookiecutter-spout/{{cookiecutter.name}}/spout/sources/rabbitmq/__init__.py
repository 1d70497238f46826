"""The rabbitmq source: a queue (``mode: queue``, at least once) or a stream (``mode: stream``, exactly once)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spout.config import Config
from spout.fatal import FatalError
from spout.marker import JsonShape, Shape
from spout.records import Position, Source
from spout.sources.rabbitmq.look import is_stream, look, ready
from spout.sources.rabbitmq.queue import QueueSource
from spout.sources.rabbitmq.stream import StreamSource, newest


def make(options: Mapping[str, Any], warn: Callable[..., None]) -> Source:
    """The source that ``mode`` asks for. Options: see schemas/sources/rabbitmq.json; durations in seconds."""
    return StreamSource(options, warn) if options["mode"] == "stream" else QueueSource(options, warn)


def shape(config: Config, identity: str) -> Shape:
    """The marker: one JSON file, also where the spec asks for a prefix."""
    if config.options.get("names") == "message" and config.output.format != "files":
        raise FatalError(
            "config",
            found="source.names message with output.format lines",
            expected="output.format files: a batch named for a message that comes again would overwrite another batch",
            remedy="set `output.format: files`, or leave `source.names` out",
        )
    return JsonShape(config.marker, config.name, identity)


def probe(options: Mapping[str, Any], position: Position | None) -> list[tuple[str, str]]:
    """What is there, and how far the marker is behind it. Takes nothing from a queue."""
    name = options["queue"]
    if is_stream(options) != (options["mode"] == "stream"):
        other = "queue" if options["mode"] == "stream" else "stream"
        raise FatalError(
            "source", found=f"{name}, a {other}", expected=f"a {options['mode']}", remedy=f"set `source.mode: {other}`"
        )
    if options["mode"] == "queue":
        messages, consumers = ready(options)
        there = (f"queue {name}", f"{_counted(messages, 'message')} ready, {_counted(consumers, 'consumer')}")
        return [there, ("lag", _counted(messages, "message"))]
    found = look(options, "first")
    if found is None:
        return [(f"stream {name}", "empty")]
    last = newest(options)
    rows = [(f"stream {name}", f"offsets {found.oldest} to {last}")]
    if position is not None:
        rows.append(("lag", _counted(max(0, last + 1 - position), "record")))
    return rows


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
