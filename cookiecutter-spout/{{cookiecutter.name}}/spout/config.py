"""SPOUT_CONFIG, the only thing the runtime is configured by: JSON, made by spoutgen from spout.yaml.

The image and pipeline.json can be of different ages, so nothing is assumed: an unknown key is refused like a
missing one, because ignoring it would run the spout in another way than its spec says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from spout.fatal import FatalError, brief

VARIABLE = "SPOUT_CONFIG"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Output:
    """``path`` may hold ``{first}`` and ``{last}``; ``format`` is "lines" (a file a batch) or "files" (a record).

    ``envelope`` is none, text or json; ``on_error`` is fail, skip or dead_letter, the last to ``dead_letters``.
    """

    path: str
    format: str
    envelope: str = "none"
    on_error: str = "fail"
    dead_letters: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """``test`` is equals, in, matches (``operand`` is then a compiled pattern) or exists; of what is at ``pointer``."""

    pointer: str
    test: str
    operand: Any


@dataclass(frozen=True, slots=True)
class Filter:
    """A record passes that meets every condition of ``include`` and none of ``exclude``."""

    include: Sequence[Condition]
    exclude: Sequence[Condition]


@dataclass(frozen=True, slots=True)
class Metrics:
    """The port of /metrics and /healthz, and the seconds without progress after which the latter says no."""

    port: int
    stalled_after: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What closes a batch, whichever comes first: ``records``, ``bytes``, or ``wait`` seconds."""

    records: int
    bytes: int
    wait: float


@dataclass(frozen=True, slots=True)
class Target:
    """Where a spout on 2.x commits: the output ``branch`` of its pipeline."""

    branch: str


@dataclass(frozen=True, slots=True)
class Config:
    """One spout, as its spec says. ``options`` are the source's own settings: durations in seconds, sizes in bytes.

    ``target`` is None on 1.x.
    """

    name: str
    source: str
    options: Mapping[str, Any]
    marker: str
    marker_is_prefix: bool
    output: Output
    batch: Limits
    transform: bool = False
    filter: Filter | None = None
    metrics: Metrics | None = None
    target: Target | None = None

    @property
    def credentials(self) -> tuple[str, ...]:
        """The environment variables that the source takes its credentials from: options that end in ``_env``.

        Also those inside of another option, as a custom source may have them.
        """
        return tuple(_named_variables(self.options))


def _named_variables(options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _named_variables(value)
        elif name.endswith("_env"):
            yield str(value)


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
    optional = (
        "transform",
        "filter",
        "metrics",
        "target",
    )  # absent is off, so that a plain spout has a short configuration
    check_keys(fields, VARIABLE, "version", "name", "source", "marker", "output", "batch", optional=optional)
    source = _object(fields["source"], "source")
    output = _object(fields["output"], "output")
    check_keys(output, "output", "path", "format", optional=("envelope", "on_error", "dead_letters"))
    batch = _object(fields["batch"], "batch", "records", "bytes", "wait")
    name, is_prefix = _marker(fields["marker"])
    return Config(
        name=_text(fields["name"], "name"),
        source=_text(source.get("type"), "source.type"),
        options={key: option for key, option in source.items() if key != "type"},
        marker=name,
        marker_is_prefix=is_prefix,
        output=_output(output),
        batch=Limits(
            records=_count(batch["records"], "batch.records"),
            bytes=_count(batch["bytes"], "batch.bytes"),
            wait=seconds(batch["wait"], "batch.wait"),
        ),
        transform=_flag(fields.get("transform", False), "transform"),
        filter=_filter(fields["filter"]) if "filter" in fields else None,
        metrics=_metrics(fields["metrics"]) if "metrics" in fields else None,
        target=_target(fields["target"]) if "target" in fields else None,
    )


def _target(value: object) -> Target:
    fields = _object(value, "target", "pachyderm", "branch")
    if fields["pachyderm"] != 2:
        _refuse(f"target.pachyderm {brief(repr(fields['pachyderm']))}", "2; without a target it is 1.x")
    return Target(_text(fields["branch"], "target.branch"))


def _marker(value: object) -> tuple[str, bool]:
    fields = _object(value, "marker")
    if list(fields) not in (["name"], ["prefix"]):
        _refuse(f"marker {brief(json.dumps(value))}", '{"name": ...} or {"prefix": ...}')
    name = _text(next(iter(fields.values())), "marker")
    if "/" in name or name in ("out", ".", ".."):
        _refuse(f"marker {name!r}", "the name of a file beside /pfs/out")
    return name, "prefix" in fields


def _output(value: Mapping[str, Any]) -> Output:
    path, form = _text(value["path"], "output.path"), _one_of(value["format"], "output.format", "lines", "files")
    if form == "files" and "{first}" not in path and "{last}" not in path:
        _refuse(f"output.path {brief(path)!r}", "{first} or {last} in it, since every record gets a file of its own")
    on_error = _one_of(value.get("on_error", "fail"), "output.on_error", "fail", "skip", "dead_letter")
    dead_letters = value.get("dead_letters", "")
    if on_error == "dead_letter":
        _text(dead_letters, "output.dead_letters")
    envelope = _one_of(value.get("envelope", "none"), "output.envelope", "none", "text", "json")
    return Output(path, form, envelope, on_error, dead_letters)


def _filter(value: object) -> Filter:
    fields = _object(value, "filter")
    check_keys(fields, "filter", optional=("include", "exclude"))
    return Filter(*([_condition(each) for each in fields.get(key, [])] for key in ("include", "exclude")))


def _condition(value: object) -> Condition:
    fields = _object(value, "filter")
    test = next((key for key in fields if key != "pointer"), "")
    check_keys(fields, "filter", "pointer", _one_of(test, "filter", "equals", "in", "matches", "exists"))
    operand = fields[test]
    if test == "matches":
        try:
            operand = re.compile(_text(operand, "filter.matches"))
        except re.error as error:
            _refuse(f"filter.matches {brief(operand)!r} ({error})", "a regular expression of Python")
    pointer = _text(fields["pointer"], "filter.pointer")
    if not pointer.startswith("/"):
        _refuse(f"filter.pointer {brief(pointer)!r}", "a JSON pointer, which begins with /,")
    return Condition(pointer, test, operand)


def _metrics(value: object) -> Metrics:
    fields = _object(value, "metrics", "port", "stalled_after")
    return Metrics(_count(fields["port"], "metrics.port"), seconds(fields["stalled_after"], "metrics.stalled_after"))


def seconds(value: object, where: str) -> float:
    """A duration in seconds, finite and not negative."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        _refuse(f"{where} {brief(repr(value))}", "a number of seconds, 0 or more")
    return float(value)


def check_keys(value: Mapping[str, Any], where: str, *keys: str, optional: Collection[str] = ()) -> None:
    """Refuse an object that has not exactly these keys, and maybe the ``optional`` ones."""
    if set(value) - set(optional) != set(keys):
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


def _one_of(value: object, where: str, *words: str) -> str:
    if value not in words:
        _refuse(f"{where} {brief(repr(value))}", f"one of {', '.join(words)}")
    return str(value)


def _flag(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        _refuse(f"{where} {brief(repr(value))}", "true or false")
    return value


def _count(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        _refuse(f"{where} {brief(repr(value))}", "a whole number, 1 or more")
    return value


_REMEDY = "make pipeline.json and the image from the same spoutgen: `spoutgen update`, build, deploy"


def _refuse(found: str, expected: str) -> NoReturn:
    raise FatalError("config", found=found, expected=f"{expected} in {VARIABLE}", remedy=_REMEDY)
