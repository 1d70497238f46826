"""Spec -> pipeline JSON for Pachyderm 2.x, camelCase as upstream's published schema has it.

v2.11.6:src/internal/jsonschema/pps_v2/CreatePipelineRequest.schema.json. ``spout`` is empty there: markers are gone, so
the runtime commits its marker together with the data (spout/api.py in the template).
"""

from __future__ import annotations

import re
from typing import Any

from spoutgen.pipeline.config import spout_config
from spoutgen.pipeline.patch import merge_patch
from spoutgen.pipeline.v1 import COMMAND, literal
from spoutgen.spec.model import Secret, Spec


def pipeline(spec: Spec) -> dict[str, Any]:
    """The pipeline specification, ``pipeline:`` merged in last. Without a project pachctl's context says which."""
    name: dict[str, Any] = {"name": spec.name}
    if spec.project is not None:
        name = {"project": {"name": spec.project}, **name}
    document: dict[str, Any] = {"pipeline": name}
    if spec.description is not None:
        document["description"] = spec.description
    document["transform"] = {
        "image": spec.image,
        "cmd": list(COMMAND),
        "env": {**{name: literal(value) for name, value in spec.env.items()}, "SPOUT_CONFIG": spout_config(spec)},
        **({"secrets": [_secret(secret) for secret in spec.secrets]} if spec.secrets else {}),
    }
    document["spout"] = {}
    for ours, theirs in (("requests", "resourceRequests"), ("limits", "resourceLimits")):
        if spec.resources.get(ours):
            document[theirs] = dict(spec.resources[ours])
    merged: dict[str, Any] = merge_patch(document, spec.pipeline)
    return merged


def _secret(secret: Secret) -> dict[str, str]:
    if secret.mount is not None:
        return {"name": secret.name, "mountPath": secret.mount}
    return {"name": secret.name, "key": secret.key or "", "envVar": secret.env or ""}


def data_glob(output_path: str) -> str:
    """The glob by which a pipeline downstream takes the data and not the marker, which stands beside it in the repo.

    A field of ``output.path`` never spans folders, since a slash in a record's name is escaped.
    """
    return "/" + re.sub(r"\{[^{}]*\}", "*", output_path)
