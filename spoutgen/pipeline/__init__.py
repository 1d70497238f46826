"""Spec -> pipeline JSON, one module a target; nothing here touches the disk."""

from __future__ import annotations

import json
from typing import Any

from spoutgen.errors import Diagnostic, SpecError
from spoutgen.pipeline import v1
from spoutgen.spec.model import Spec


def as_json(document: dict[str, Any]) -> str:
    """A pipeline document as people and pachctl read it: two spaces, keys in order, non-ASCII as it is."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def pipeline_json(spec: Spec) -> str:
    """The text of ``pipeline.json`` for a checked spec."""
    if spec.pachyderm != 1:
        message = f"`pachyderm: {spec.pachyderm}` can be checked, but not generated yet"
        raise SpecError(Diagnostic("SG309", message, None, "write `pachyderm: 1` for any 1.x from 1.9.12 on"))
    return as_json(v1.pipeline(spec))
