"""Pipeline specs as 2.x's server reads them: unknown fields are errors, and so is what a spout must not have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from spoutgen.local.refused import RefusedError
from spoutgen.spec import schema
from spoutgen.spec.pipeline_part import is_json

# v2.11.6:src/server/pps/server/api_server.go:88 and :92
_LONGEST_NAME = 51
_LONGEST_OBJECT = 63
_NAME = re.compile(r"[a-zA-Z0-9_-]+\Z")
# v2.11.6:src/server/pps/server/api_server.go, DefaultUserImage
_DEFAULT_IMAGE = "ubuntu:20.04"


def parsed(text: str) -> dict[str, Any]:
    """The spec in a request, an empty image filled in. Raises RefusedError in the server's words."""
    problem = "could not parse {} as Create Pipeline Request message: {}"
    try:
        document = json.loads(text)
    except ValueError as error:
        raise RefusedError(problem.format(text, f"proto: syntax error: {error}")) from error
    if not isinstance(document, dict):
        raise RefusedError(problem.format(text, "proto: unexpected token"))
    unknown = next(_unknown(document, schema.bundle()["$defs"]["pipeline-2"]), None)
    if unknown is not None:
        raise RefusedError(problem.format(text, f'proto: unknown field "{unknown}"'))
    transform = document.get("transform")
    if isinstance(transform, dict) and not transform.get("image"):
        document["transform"] = {**transform, "image": _DEFAULT_IMAGE}
    return document


def _unknown(data: Mapping[str, Any], description: Mapping[str, Any]) -> Iterator[str]:
    """The fields that the schema does not know, in camelCase or, as the server takes it too, in snake_case."""
    description = schema.resolved(description)
    known = description.get("properties")
    for key, value in data.items():
        name = re.sub("_([a-z0-9])", lambda match: match[1].upper(), key)
        if known is None or (not known and description.get("additionalProperties") is not False):
            return
        if name not in known:
            yield key
            continue
        child = schema.resolved(known[name])
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                yield from _unknown(item, child.get("items", child))


def check(document: Mapping[str, Any]) -> None:
    """Raise RefusedError for what the server refuses (v2.11.6:api_server.go:1851, :1932)."""
    fields = {re.sub("([A-Z])", r"_\1", key).lower(): value for key, value in document.items()}
    pipeline = fields.get("pipeline") or {}
    name, project = pipeline.get("name") or "", (pipeline.get("project") or {}).get("name") or "default"
    for problem in _problems(fields, name, project):
        raise RefusedError(problem)


def _problems(fields: Mapping[str, Any], name: str, project: str) -> Iterator[str]:
    if not name:
        yield "invalid pipeline spec: request.Pipeline.Name cannot be empty"
    if not _NAME.match(name):
        words = "only alphanumeric characters, underscores, and dashes are allowed"
        yield f"invalid pipeline name: name ({name}) invalid: {words}"
    if len(name) > _LONGEST_NAME:
        over = len(name) - _LONGEST_NAME
        yield f'pipeline name "{name}" is {over} characters longer than the {_LONGEST_NAME} max'
    kubernetes = f"{project}-{name}-v99".replace("_", "-").lower()
    if len(kubernetes) > _LONGEST_OBJECT:
        over = len(kubernetes) - _LONGEST_OBJECT
        yield f'Kubernetes name "{kubernetes}" is {over} characters longer than the {_LONGEST_OBJECT} max'
    if not name[0].isalnum():
        yield "pipeline names must start with an alphanumeric character"
    is_spout = fields.get("spout") is not None
    if fields.get("tf_job") is not None:
        yield "embedding TFJobs in pipelines is not supported yet"
    if fields.get("s3_out") and (is_spout or fields.get("service")):
        yield "s3 output is not supported in spouts or services"
    if not isinstance(fields.get("transform"), dict):
        yield "pipeline must specify a transform"
    if is_spout and fields.get("autoscaling"):
        yield "autoscaling can't be used with spouts (spouts aren't triggered externally)"
    for field, go in (("pod_spec", "PodSpec"), ("pod_patch", "PodPatch")):
        if fields.get(field) and not is_json(fields[field]):
            yield f"malformed {go}"
    if is_spout and not (fields["spout"] or {}).get("service") and fields.get("input") is not None:
        yield "spout pipelines (without a service) must not have an input"
