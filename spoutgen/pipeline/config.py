"""Spec -> ``SPOUT_CONFIG``, the one environment variable that the runtime is configured by.

The runtime's side of this format is the template's ``spout/config.py``; docs/reference/runtime.md describes it.
Durations are in seconds, sizes in bytes. Everything that a user may vary goes through here and not through code or
the image, so a new symbol or interval is a new pipeline spec and not a new image.
"""

from __future__ import annotations

import json
from typing import Any

from spoutgen.spec.model import Output, Spec

VERSION = 1


def spout_config(spec: Spec) -> str:
    """The runtime's configuration as compact JSON, the same text for the same spec."""
    config: dict[str, Any] = {
        "version": VERSION,
        "name": spec.name,
        "source": {"type": spec.source.type, **spec.source.options},
        "marker": {"prefix" if spec.marker.is_prefix else "name": spec.marker.name},
        "output": _output(spec.output),
        "batch": {"records": spec.batch.records, "bytes": spec.batch.bytes, "wait": spec.batch.wait},
    }
    # What is off is left out, so that a plain spout has a short configuration.
    if spec.transform:
        config["transform"] = True
    if spec.filter:
        config["filter"] = dict(spec.filter)
    if spec.metrics:
        config["metrics"] = {"port": spec.metrics.port, "stalled_after": spec.metrics.stalled_after}
    if spec.pachyderm == 2:
        # Only there: what a 1.x spout was given stays the same text, byte for byte.
        config["target"] = {"pachyderm": 2, "branch": spec.pipeline.get("outputBranch") or "master"}
    text = json.dumps(_whole_numbers(config), ensure_ascii=False, separators=(",", ":"))
    # Kubernetes expands `$(NAME)` and `$$` in the values of a pod's variables, and this text becomes one
    # (v1.13.4:src/server/pps/server/worker_rc.go:521). As a JSON escape the dollar means nothing to Kubernetes.
    return text.replace("$", "\\u0024")


def _output(output: Output) -> dict[str, Any]:
    settings = {"path": output.path, "format": output.format}
    if output.envelope != "none":
        settings["envelope"] = output.envelope
    if output.on_error != "fail":
        settings["on_error"] = output.on_error
    if output.on_error == "dead_letter":
        settings["dead_letters"] = output.dead_letters
    return settings


def _whole_numbers(value: Any) -> Any:
    """The same data with 30 for 30.0, as a person would write it."""
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_whole_numbers(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
