"""Spec -> pipeline JSON for Pachyderm 1.x (v1.13.4:src/client/pps/pps.proto:681, CreatePipelineRequest)."""

from __future__ import annotations

import re
from typing import Any

from spoutgen.pipeline.config import spout_config
from spoutgen.pipeline.patch import merge_patch
from spoutgen.spec.model import Secret, Spec

# Exec form: the worker runs it without a shell and without the image's ENTRYPOINT (pachyderm-1: transform.cmd).
COMMAND = ("python3", "/app/main.py")


def pipeline(spec: Spec) -> dict[str, Any]:
    """The pipeline specification, keys in the order of Pachyderm's own examples, ``pipeline:`` merged in last."""
    transform: dict[str, Any] = {
        "image": spec.image,
        "cmd": list(COMMAND),
        "env": {**{name: literal(value) for name, value in spec.env.items()}, "SPOUT_CONFIG": spout_config(spec)},
    }
    if spec.secrets:
        transform["secrets"] = [_secret(secret) for secret in spec.secrets]
    document: dict[str, Any] = {"pipeline": {"name": spec.name}}
    if spec.description is not None:
        document["description"] = spec.description
    document["transform"] = transform
    document["spout"] = {"marker": spec.marker.name}
    if spec.output.overwrite:
        document["spout"]["overwrite"] = True
    for ours, theirs in (("requests", "resource_requests"), ("limits", "resource_limits")):
        if spec.resources.get(ours):
            document[theirs] = dict(spec.resources[ours])
    merged: dict[str, Any] = merge_patch(document, spec.pipeline)
    return merged


def literal(value: str) -> str:
    """The value as Kubernetes must be given it so that the container sees it as it was written.

    Pachyderm hands the values to the pod (v1.13.4:src/server/pps/server/worker_rc.go:521), where Kubernetes expands
    ``$(NAME)`` and turns ``$$`` into ``$``.
    """
    return re.sub(r"\$(?=[$(])", "$$", value)


def _secret(secret: Secret) -> dict[str, str]:
    if secret.mount is not None:
        return {"name": secret.name, "mount_path": secret.mount}
    return {"name": secret.name, "key": secret.key or "", "env_var": secret.env or ""}
