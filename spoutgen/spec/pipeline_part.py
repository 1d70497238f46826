"""The spec's ``pipeline:`` part: fields that are spoutgen's, that the server refuses, or that stop a spout for good.

That a field exists at all, and its type, is the schema's business (schemas/pipeline-1.json, pipeline-2.json). What
stands here was found in the servers' source: v1.13.4:src/server/pps/server/api_server.go, the same file at v1.9.12, and
at v2.11.6 (:1851 and :1932).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from spoutgen.errors import Diagnostic
from spoutgen.spec.document import Document, Path


def _is_set(value: Any) -> bool:
    return value not in (None, False, 0, "", [], {})


def _is_other_user(value: Any) -> bool:
    return value not in ("", "root", "0")


@dataclass(frozen=True, slots=True)
class _Refusal:
    """``path`` below ``pipeline:`` is wrong where ``applies`` to its value; ``says`` why, ``hint`` what to do."""

    path: Path
    says: str
    hint: str
    applies: Callable[[Any], bool] = _is_set


_OURS = "spoutgen writes this field itself"
_LEAVE_OUT = "leave it out"

_REFUSED_BY_ALL: tuple[_Refusal, ...] = (
    _Refusal(("description",), _OURS, "set `description` at the top of the spec"),
    _Refusal(("transform", "image"), _OURS, "set `image` at the top of the spec"),
    _Refusal(("transform", "cmd"), f"{_OURS}: the image's runtime is started by it", _LEAVE_OUT),
    _Refusal(("transform", "env"), _OURS, "set `env` at the top of the spec"),
    _Refusal(("transform", "secrets"), _OURS, "set `secrets` at the top of the spec"),
    _Refusal(("input",), "a spout has no input; the server refuses it", _LEAVE_OUT),
    _Refusal(("service",), "`service` beside `spout` puts the pipeline into failure", "set `spout.service` instead"),
)

_REFUSED_BY_1: tuple[_Refusal, ...] = (
    *_REFUSED_BY_ALL,
    _Refusal(("pipeline",), _OURS, "set `name` at the top of the spec"),
    _Refusal(("spout", "marker"), _OURS, "set `marker` at the top of the spec"),
    _Refusal(("spout", "overwrite"), _OURS, "set `output.overwrite`"),
    _Refusal(("resource_requests",), _OURS, "set `resources.requests`"),
    _Refusal(("resource_limits",), _OURS, "set `resources.limits`"),
    _Refusal(("s3_out",), "a spout cannot write through the S3 gateway; the server refuses it", _LEAVE_OUT),
    _Refusal(("enable_stats",), "spouts are not allowed to have a stats branch; the server refuses it", _LEAVE_OUT),
    _Refusal(("standby",), "a spout in standby is scaled to zero and never runs again", _LEAVE_OUT),
    _Refusal(("autoscaling",), "a spout that autoscales is scaled to zero and never runs again", _LEAVE_OUT),
    _Refusal(("transform", "accept_return_code"), "a spout that ends with such a code is never run again", _LEAVE_OUT),
    _Refusal(
        ("transform", "user"),
        "a 1.x worker keeps the pipe in a folder that only root may enter",
        "leave it out, so that the spout runs as root",
        _is_other_user,
    ),
    _Refusal(
        ("output_branch",),
        "data on the branch `marker` would be taken for the marker",
        "take another branch",
        lambda value: value == "marker",
    ),
)

_REFUSED_BY_2: tuple[_Refusal, ...] = (
    *_REFUSED_BY_ALL,
    _Refusal(("pipeline",), _OURS, "set `name` and `project` at the top of the spec"),
    _Refusal(("resourceRequests",), _OURS, "set `resources.requests`"),
    _Refusal(("resourceLimits",), _OURS, "set `resources.limits`"),
    _Refusal(("s3Out",), "a spout cannot write through the S3 gateway; the server refuses it", _LEAVE_OUT),
    _Refusal(("tfJob",), "the server refuses it", _LEAVE_OUT),
    _Refusal(("autoscaling",), "nothing triggers a spout; the server refuses it", _LEAVE_OUT),
    _Refusal(("transform", "acceptReturnCode"), "a spout that ends with such a code is never run again", _LEAVE_OUT),
)
_REFUSED = {1: _REFUSED_BY_1, 2: _REFUSED_BY_2}

# Accepted by the server and without any effect on a spout: worth a warning, not a refusal.
_WITHOUT_EFFECT_ON_1: tuple[Path, ...] = (
    ("datum_timeout",),
    ("job_timeout",),
    ("datum_tries",),
    ("chunk_spec",),
    ("reprocess_spec",),
    ("max_queue_size",),
    ("transform", "err_cmd"),
    ("transform", "err_stdin"),
)
_WITHOUT_EFFECT_ON_2: tuple[Path, ...] = (
    ("datumTimeout",),
    ("jobTimeout",),
    ("datumTries",),
    ("datumSetSpec",),
    ("reprocessSpec",),
    ("salt",),
    ("egress",),
    ("transform", "errCmd"),
    ("transform", "errStdin"),
    ("transform", "datumBatching"),
)
_WITHOUT_EFFECT = {1: _WITHOUT_EFFECT_ON_1, 2: _WITHOUT_EFFECT_ON_2}

_JSON_TEXTS: Mapping[int, tuple[Path, ...]] = {1: (("pod_spec",), ("pod_patch",)), 2: (("podSpec",), ("podPatch",))}


def refused_fields(document: Document, filled: Mapping[str, Any], spoilt: Collection[Path]) -> Iterator[Diagnostic]:
    """The findings about ``pipeline:``, as rules yield them."""
    part, target = filled.get("pipeline"), filled.get("pachyderm")
    if not isinstance(part, dict) or target not in _REFUSED:
        return
    for refusal in _REFUSED[target]:
        path = ("pipeline", *refusal.path)
        found, value = _at(part, refusal.path)
        if found and refusal.applies(value) and path not in spoilt:
            name = ".".join(map(str, path))
            yield document.at_key(path, "SG308", f"`{name}`: {refusal.says}", refusal.hint)
    for field in _WITHOUT_EFFECT[target]:
        path = ("pipeline", *field)
        if _at(part, field)[0] and path not in spoilt:
            message = f"`{'.'.join(map(str, path))}` has no effect on a spout"
            yield replace(document.at_key(path, "SG308", message, _LEAVE_OUT), severity="warning")
    for field in _JSON_TEXTS[target]:
        path = ("pipeline", *field)
        found, value = _at(part, field)
        if found and isinstance(value, str) and path not in spoilt and not is_json(value):
            message = f"`{'.'.join(map(str, path))}` must be JSON in a text"
            yield document.at_value(path, "SG308", message, "quote it: '{...}' or a block after |")


def _at(part: Mapping[str, Any], path: Path) -> tuple[bool, Any]:
    value: Any = part
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return False, None
        value = value[key]
    return True, value


def is_json(text: str) -> bool:
    """Whether the text is JSON."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
