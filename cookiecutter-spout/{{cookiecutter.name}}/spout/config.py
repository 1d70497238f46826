"""SPOUT_CONFIG, the only thing the runtime is configured by: JSON, made by spoutgen from spout.yaml.

The image and pipeline.json can be of different ages, so nothing is assumed: an unknown key is refused like a
missing one, because ignoring it would run the spout in another way than its spec says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from spout.fatal import FatalError, brief

VARIABLE = "SPOUT_CONFIG"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Output:
    """``path`` may hold ``{first}`` and ``{last}``; ``format`` is "lines" (a file a batch) or "files" (a record)."""

    path: str
    format: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What closes a batch, whichever comes first: ``records``, ``bytes``, or ``wait`` seconds."""

    records: int
    bytes: int
    wait: float


@dataclass(frozen=True, slots=True)
class Config:
    """One spout, as its spec says. ``options`` are the source's own settings: durations in seconds, sizes in bytes."""

    name: str
    source: str
    options: Mapping[str, Any]
    marker: str
    marker_is_prefix: bool
    output: Output
    batch: Limits


def read_config(environ: Mapping[bytes, bytes]) -> Config:
    """The config in ``environ`` (bytes, as ``os.environb``: the locale has no say); FatalError if it is wrong."""
    raw = environ.get(VARIABLE.encode())
    if raw is None:
        _refuse("no such variable", "a JSON object")
    try:
        value = json.loads(raw.decode())
    except ValueError as error:
        raise FatalError(
            "config", found=f"{VARIABLE} that is not JSON ({error})", expected="a JSON object", remedy=_REMEDY
        ) from error
    return _config(value)


def _config(value: object) -> Config:
    fields = _object(value, VARIABLE)
    if fields.get("version") != VERSION:  # before its keys: another version may have others
        _refuse(f"version {brief(fields.get('version'))}", f"version {VERSION}")
    check_keys(fields, VARIABLE, "version", "name", "source", "marker", "output", "batch")
    source = _object(fields["source"], "source")
    output = _object(fields["output"], "output", "path", "format")
    batch = _object(fields["batch"], "batch", "records", "bytes", "wait")
    name, is_prefix = _marker(fields["marker"])
    return Config(
        name=_text(fields["name"], "name"),
        source=_text(source.get("type"), "source.type"),
        options={key: option for key, option in source.items() if key != "type"},
        marker=name,
        marker_is_prefix=is_prefix,
        output=_output(_text(output["path"], "output.path"), _text(output["format"], "output.format")),
        batch=Limits(
            records=_count(batch["records"], "batch.records"),
            bytes=_count(batch["bytes"], "batch.bytes"),
            wait=seconds(batch["wait"], "batch.wait"),
        ),
    )


def _marker(value: object) -> tuple[str, bool]:
    fields = _object(value, "marker")
    if list(fields) not in (["name"], ["prefix"]):
        _refuse(f"marker {brief(json.dumps(value))}", '{"name": ...} or {"prefix": ...}')
    name = _text(next(iter(fields.values())), "marker")
    if "/" in name or name in ("out", ".", ".."):
        _refuse(f"marker {name!r}", "the name of a file beside /pfs/out")
    return name, "prefix" in fields


def _output(path: str, form: str) -> Output:
    if form not in ("lines", "files"):
        _refuse(f"output.format {brief(form)!r}", '"lines" or "files"')
    if form == "files" and "{first}" not in path and "{last}" not in path:
        _refuse(f"output.path {brief(path)!r}", "{first} or {last} in it, since every record gets a file of its own")
    return Output(path, form)


def seconds(value: object, where: str) -> float:
    """A duration in seconds, finite and not negative."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        _refuse(f"{where} {brief(repr(value))}", "a number of seconds, 0 or more")
    return float(value)


def check_keys(value: Mapping[str, Any], where: str, *keys: str) -> None:
    """Refuse an object that has not exactly these keys."""
    if set(value) != set(keys):
        _refuse(f"{where} with the keys {brief(', '.join(value)) or 'none'}", ", ".join(keys))


def _object(value: object, where: str, *keys: str) -> dict[str, Any]:
    """``value`` as an object; with ``keys`` it must have exactly these."""
    if not isinstance(value, dict):
        _refuse(f"{where} that is {type(value).__name__}", "a JSON object")
    if keys:
        check_keys(value, where, *keys)
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        _refuse(f"{where} {brief(repr(value))}", "text that is not empty")
    return value


def _count(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        _refuse(f"{where} {brief(repr(value))}", "a whole number, 1 or more")
    return value


_REMEDY = "make pipeline.json and the image from the same spoutgen: `spoutgen update`, build, deploy"


def _refuse(found: str, expected: str) -> NoReturn:
    raise FatalError("config", found=found, expected=f"{expected} in {VARIABLE}", remedy=_REMEDY)
