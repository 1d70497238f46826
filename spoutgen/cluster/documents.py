"""Pipeline documents as clusters and pachctl give them, made alike. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Below these the keys are the user's own.
_OTHERS_KEYS = frozenset({"env", "annotations", "labels", "node_selector", "nodeSelector"})


def snake_case(document: Any) -> Any:
    """The same document with Pachyderm's field names in snake_case."""
    if isinstance(document, list):
        return [snake_case(item) for item in document]
    if not isinstance(document, Mapping):
        return document
    return {
        _snake(key): value if key in _OTHERS_KEYS else snake_case(value) for key, value in document.items()
    }  # fmt: skip


def _snake(key: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", key).lower()


def in_project(document: Mapping[str, Any], project: str) -> dict[str, Any]:
    """A 2.x pipeline document that says which project it is for; one that stands there already stays."""
    return {**document, "pipeline": {"project": {"name": project}, **document["pipeline"]}}


# What a cluster fills in by itself (setPipelineDefaults in src/server/pps/server/api_server.go of 1.13 and 2.x), and
# what only tells how the pipeline is.
_FILLED_IN: Mapping[str, Any] = {
    "output_branch": "master",
    "cache_size": "64M",
    "max_queue_size": 1,
    "datum_tries": 3,
    "reprocess_spec": "until_success",
    "parallelism_spec": {"constant": 1},
}
_NOT_SPECIFIED = frozenset(
    {
        "id", "version", "created_at", "updated_at", "created_by", "state", "stopped", "recent_error", "reason", "salt",
        "workers_requested", "workers_available", "workers_started_at", "job_counts", "last_job_state", "githook_url",
        "spec_commit", "unclaimed_tasks", "worker_rc", "type", "auth_token", "tf_job", "hashtree_spec",
    }
)  # fmt: skip


def specified(document: Mapping[str, Any]) -> dict[str, Any]:
    """A pipeline's specification alone, so that it can be compared with another: snake_case, no defaults, no state.

    64-bit numbers are strings in the JSON of protocol buffers, and 32-bit fractions come back with digits too many.
    """
    plain = {key: _plain(value) for key, value in snake_case(document).items() if key not in _NOT_SPECIFIED}
    kept = {key: value for key, value in plain.items() if _FILLED_IN.get(key) != value}
    kept["pipeline"] = {"name": document["pipeline"]["name"]}
    transform = dict(kept.get("transform") or {})
    return {
        key: value
        for key, value in {**kept, "transform": {key: value for key, value in transform.items() if value}}.items()
        if value not in (None, "", [], {}, False, 0) or key == "spout"
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: dict(inner) if key in _OTHERS_KEYS else _plain(inner)
            for key, inner in value.items()
            if inner not in (None, "", False) or key == "spout"
        }
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str) and value.lstrip("-").isascii() and value.lstrip("-").isdigit():
        return int(value)
    return float(f"{value:.6g}") if isinstance(value, float) else value
