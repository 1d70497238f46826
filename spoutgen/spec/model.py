"""A checked spec: frozen data, every default filled in, every unit converted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Source:
    """Where records come from. ``options`` are the type's own settings: durations in seconds, sizes in bytes."""

    type: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Marker:
    """The marker file's name; with ``is_prefix`` it is the index and the parts are ``name01``, ``name02``, ..."""

    name: str
    is_prefix: bool


@dataclass(frozen=True, slots=True)
class Output:
    """Where and how records become files; ``path`` may hold fields such as ``{first}`` and ``{last}``."""

    path: str
    format: str
    overwrite: bool
    envelope: str
    on_error: str
    dead_letters: str


@dataclass(frozen=True, slots=True)
class Metrics:
    """The port of the numbers, and the seconds without progress after which the spout is not healthy."""

    port: int
    stalled_after: float


@dataclass(frozen=True, slots=True)
class Batch:
    """What closes a batch, whichever comes first: ``records``, ``bytes``, or ``wait`` seconds."""

    records: int
    bytes: int
    wait: float


@dataclass(frozen=True, slots=True)
class Secret:
    """A Kubernetes secret: one ``key`` as the variable ``env``, or the whole secret mounted at ``mount``."""

    name: str
    key: str | None
    env: str | None
    mount: str | None


@dataclass(frozen=True, slots=True)
class Spec:
    """One spout. ``filter``, ``resources`` and ``pipeline`` are the checked plain data of those keys."""

    name: str
    description: str | None
    pachyderm: int
    project: str | None
    image: str
    source: Source
    marker: Marker
    output: Output
    batch: Batch
    filter: Mapping[str, Any]
    transform: bool
    metrics: Metrics | None
    env: Mapping[str, str]
    secrets: tuple[Secret, ...]
    resources: Mapping[str, Any]
    pipeline: Mapping[str, Any]
