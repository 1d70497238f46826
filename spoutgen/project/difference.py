"""What two pipeline documents say differently, in the words of the spec. Pure.

A pipeline document is flattened to the spec's dotted keys: ``SPOUT_CONFIG`` is decoded, durations read ``30s`` and
sizes ``8MiB`` again. What has no key in the spec stands below ``pipeline.``, as it would in the spec.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spoutgen.spec.credentials import MASK, is_credential_name
from spoutgen.spec.credentials import shape as credential_in
from spoutgen.spec.schema import source_schema, source_types
from spoutgen.spec.units import format_duration, format_size

_FORMATS = {"duration": format_duration, "size": format_size}
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the spec whose value changes; both as a person writes them, None where there is no value."""

    key: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class MarkerFact:
    """The marker's name; with ``is_prefix`` it is the index of several files."""

    name: str
    is_prefix: bool

    def __str__(self) -> str:
        return f"{{prefix: {self.name}}}" if self.is_prefix else self.name


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides whether a marker still has its meaning: ``identity`` are the options that say which source it is.

    ``branch`` is the output branch; ``project`` the one of 2.x that the document names, None if pachctl's context says.
    """

    pachyderm: int
    name: str
    marker: MarkerFact | None
    source: str
    identity: Mapping[str, str | None]
    branch: str = "master"
    project: str | None = None


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Setting, ...]:
    """The keys in which two pipeline documents differ, in the order of the new one."""
    before, after = settings(old), settings(new)
    keys = [*after, *(key for key in before if key not in after)]
    return tuple(
        Setting(key, *(_shown(key, side[key]) if key in side else None for side in (before, after)))
        for key in keys
        if (key in before) != (key in after) or before[key] != after[key]
    )


def facts(pipeline: Mapping[str, Any], pachyderm: int) -> Facts:
    """The facts of a pipeline document for a target."""
    config = _config(pipeline)
    source = config.get("source", {})
    kind = str(source.get("type", ""))
    names = source_schema(kind)["x-spoutgen"].get("identity", ()) if kind in source_types() else ()
    # 2.x knows no markers: there only the runtime's configuration names it.
    named = (
        _path(pipeline, "spout", "marker") if pachyderm == 1 else next(iter(config.get("marker", {}).values()), None)
    )
    is_prefix = "prefix" in config.get("marker", {})
    return Facts(
        pachyderm=pachyderm,
        name=str(_path(pipeline, "pipeline", "name")),
        marker=MarkerFact(str(named), is_prefix) if named else None,
        source=kind,
        identity={name: None if source.get(name) is None else str(source[name]) for name in names},
        branch=str(pipeline.get("outputBranch") or pipeline.get("output_branch") or "master"),
        project=_path(pipeline, "pipeline", "project", "name") if pachyderm == 2 else None,
    )


def settings(pipeline: Mapping[str, Any]) -> dict[str, Any]:
    """A pipeline document as dotted keys of the spec and their values."""
    rest = copy.deepcopy(dict(pipeline))
    config = _config(rest)
    transform, spout = _taken(rest, "transform", {}), _taken(rest, "spout", {})
    env = _taken(transform, "env", {})
    if config:
        _taken(env, "SPOUT_CONFIG", None)
    found: dict[str, Any] = {}
    name = _taken(_taken(rest, "pipeline", {}), "name", None)
    found |= {"name": name, "description": _taken(rest, "description", None), "image": _taken(transform, "image", None)}
    if config.pop("name", name) != name:
        found["pipeline.pipeline.name"] = name
    found |= _source(config.pop("source", {}))
    found |= _marker(config.pop("marker", {}), _taken(spout, "marker", None))
    found |= dict(_flat("output", config.pop("output", {}))) | {"output.overwrite": _taken(spout, "overwrite", False)}
    found |= {f"batch.{key}": _batch(key, value) for key, value in config.pop("batch", {}).items()}
    # Kubernetes makes one dollar of two (spoutgen/pipeline/v1.py).
    found |= {f"env.{key}": str(value).replace("$$", "$") for key, value in env.items()}
    found |= dict(_secrets(_taken(transform, "secrets", [])))
    for theirs, ours in (("resource_requests", "requests"), ("resource_limits", "limits")):
        found |= dict(_flat(f"resources.{ours}", _taken(rest, theirs, {})))
    found |= dict(_flat("pipeline", {"transform": transform, "spout": spout, **rest}))
    return {key: value for key, value in found.items() if value is not None}


def _taken(mapping: dict[str, Any], key: str, default: Any) -> Any:
    """Take a key out of a mapping; a value of another kind than its default stays, for nobody knows what it is."""
    value = mapping.get(key, default)
    if default is not None and not isinstance(value, type(default)):
        return default
    mapping.pop(key, None)
    return value


def _config(pipeline: Mapping[str, Any]) -> dict[str, Any]:
    """The runtime's configuration in a pipeline document; nothing if there is none to be read."""
    try:
        config = json.loads(_path(pipeline, "transform", "env", "SPOUT_CONFIG") or "{}")
    except (ValueError, TypeError):
        return {}
    parts = ("source", "marker", "output", "batch")
    is_ours = isinstance(config, dict) and all(isinstance(config.get(part, {}), dict) for part in parts)
    return config if is_ours else {}


def _path(document: Any, *keys: str) -> Any:
    for key in keys:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


def _source(source: Mapping[str, Any]) -> dict[str, Any]:
    kind = source.get("type")
    named = source_schema(kind)["properties"] if kind in source_types() else {}
    return {f"source.{key}": _with_unit(named.get(key, {}).get("x-unit"), value) for key, value in source.items()}


def _batch(key: str, value: Any) -> Any:
    return _with_unit({"bytes": "size", "wait": "duration"}.get(key), value)


def _with_unit(unit: str | None, value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return _FORMATS[unit](value) if unit in _FORMATS and is_number else value


def _marker(marker: Mapping[str, Any], named: Any) -> dict[str, Any]:
    """The marker as the runtime knows it, and as the worker knows it where that is something else."""
    if "prefix" in marker:
        ours: Any = f"{{prefix: {marker['prefix']}}}"
    else:
        ours = marker.get("name", named)
    is_same = named in (None, *marker.values()) and (named is not None or not marker)
    return {"marker": ours} if is_same or not marker else {"marker": ours, "pipeline.spout.marker": named or "(none)"}


def _secrets(secrets: list[Any]) -> Iterator[tuple[str, Any]]:
    for secret in secrets:
        if isinstance(secret, dict):
            key = f", key: {secret['key']}" if secret.get("key") else ""
            where = secret.get("env_var") or secret.get("mount_path")
            yield f"secrets.{where}", f"{{name: {secret.get('name')}{key}}}"


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}", inner)
    else:
        yield prefix, value


def _shown(key: str, value: Any) -> str:
    """A value as it would stand in the spec: quoted where it is not a plain word, cut where it is long."""
    if key.startswith("env.") and (is_credential_name(key.removeprefix("env.")) or credential_in(str(value))):
        return MASK
    is_word = isinstance(value, str) and re.fullmatch(r"[\w{][\w./:@%+{}, -]*", value) and not value.isspace()
    text = value if is_word else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
