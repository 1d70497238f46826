"""Spec -> pipeline JSON, one module a target; nothing here touches the disk."""

from __future__ import annotations

import json
from typing import Any

from spoutgen.pipeline import v1, v2
from spoutgen.spec.model import Spec


def as_json(document: dict[str, Any]) -> str:
    """A pipeline document as people and pachctl read it: two spaces, keys in order, non-ASCII as it is."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def pipeline_json(spec: Spec) -> str:
    """The text of ``pipeline.json`` for a checked spec."""
    return as_json(v2.pipeline(spec) if spec.pachyderm == 2 else v1.pipeline(spec))
