"""A file or a text -> LoadedSpec: the one way from YAML to a checked Spec."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spoutgen.errors import Diagnostic, Place, ProjectError, SpecError
from spoutgen.spec import credentials, rules, schema, violations
from spoutgen.spec.document import HAS_LIBYAML, Node, parse
from spoutgen.spec.model import Batch, Marker, Metrics, Output, Secret, Source, Spec
from spoutgen.spec.pipeline_part import refused_fields
from spoutgen.spec.settings import FILE_PREFIX, overridden
from spoutgen.spec.text import BYTE_ORDER_MARK, MOST_BYTES, Text, decode, too_large
from spoutgen.spec.units import UNITS, kubernetes_quantity, parse_duration, parse_size

FILE_NAME = "spout.yaml"
_PROJECT = ".spoutgen"
_LIKE_A_SPEC = re.compile(r"spout\.(.*\.)?ya?ml", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LoadedSpec:
    """A checked spec, the text that it was read from, and what is allowed but doubtful."""

    spec: Spec
    text: str
    path: Path
    warnings: tuple[Diagnostic, ...]


def find(path: Path) -> Path:
    """The spec that a path stands for: itself, or the ``spout.yaml`` of a folder."""
    # Of os and not of Path, which raises for a name that is too long for a file: whoever reads it says so.
    if not os.path.isdir(path):  # noqa: PTH112
        return path
    try:
        names = sorted(os.listdir(path))  # noqa: PTH208
    except OSError:
        return path / FILE_NAME  # a folder that is closed: whoever reads the file says so
    if FILE_NAME in names:
        return path / FILE_NAME
    like = next((name for name in names if _LIKE_A_SPEC.fullmatch(name)), None)
    if like:
        hint = f"did you mean {path / like}? a project's spec is {FILE_NAME}"
    elif _PROJECT in names:
        hint = "the project has lost its spec: take it from version control"
    else:
        hint = "`spoutgen new NAME` makes a project"
    raise ProjectError(Diagnostic("SG401", f"the folder {path} has no {FILE_NAME}", None, hint))


def load(path: Path, overrides: Sequence[tuple[str, str]] = (), *, known_digest: str = "") -> LoadedSpec:
    """Read and check the spec at ``path`` (a folder stands for its spec); raises SpecError with every finding.

    ``known_digest`` is the SHA-256, in hex, of a text that this very version has checked before: the schema is not
    asked about it again, which takes longer than all the rest together.
    """
    file = find(path)
    text = read_text(file)
    is_known = bool(known_digest) and hashlib.sha256(text.encode()).hexdigest() == known_digest
    return _load(text, file, str(file), overrides, HAS_LIBYAML, is_known=is_known)


def load_text(text: str | bytes, file: str, overrides: Sequence[tuple[str, str]] = ()) -> LoadedSpec:
    """Check a text that was read from ``file``; raises SpecError with every finding."""
    whole = decode(text, file) if isinstance(text, bytes) else text
    return _load(whole, Path(file), file, overrides, HAS_LIBYAML)


def read_text(file: Path) -> str:
    """The text of a spec, byte order mark included; raises SpecError where it cannot be read."""
    try:
        with file.open("rb") as stream:
            status = os.fstat(stream.fileno())
            # A huge file costs nothing but its size; a pipe has none, and is read up to the limit.
            if stat.S_ISREG(status.st_mode) and status.st_size > MOST_BYTES:
                raise SpecError(too_large(str(file), status.st_size))
            raw = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise SpecError(_unreadable(file, error)) from error
    return decode(raw, str(file))


def _unreadable(file: Path, error: OSError) -> Diagnostic:
    hint = None
    if error.errno == errno.ENOENT:
        hint = "`spoutgen new NAME` makes a project with a spec"
        if file.parent.is_dir():
            near = violations.near(file.name, (other.name for other in file.parent.glob("*.y*ml")))
            hint = f"did you mean {file.with_name(near)}?" if near else hint
    return Diagnostic("SG101", f"{error.strerror or error}", Place(str(file)), hint)


def _load(
    content: str, path: Path, file: str, overrides: Sequence[tuple[str, str]], libyaml: bool, *, is_known: bool = False
) -> LoadedSpec:
    text = Text(file, content.removeprefix(BYTE_ORDER_MARK))
    secrets: list[Node] = []
    findings: list[Diagnostic]
    try:
        document = overridden(parse(text, libyaml=libyaml), overrides, libyaml)
        findings = list(document.findings)
        spoilt = set(document.spoilt)
        for place, finding in credentials.check(document):
            secrets.append(document.nearest(place))
            if place not in spoilt:
                spoilt.add(place)
                findings.append(finding)
        wrong = [] if is_known else violations.check(document, spoilt)
        findings += (finding for _, finding in wrong)
        spoilt.update(place for place, _ in wrong)
        filled = schema.with_defaults(document.data)
        findings += rules.check(document, filled, spoilt)
        findings += refused_fields(document, filled, spoilt)
    except SpecError as error:
        shown = credentials.masked(error.diagnostics, text, secrets)
        raise SpecError(*_in_order(shown, overrides)) from error.__cause__
    findings = _in_order(credentials.masked(findings, text, secrets), overrides)
    if any(finding.severity == "error" for finding in findings):
        raise SpecError(*findings)
    return LoadedSpec(_spec(filled), content, path, tuple(findings))


def _in_order(findings: Iterable[Diagnostic], overrides: Sequence[tuple[str, str]]) -> list[Diagnostic]:
    """Findings as the file has them, line by line, and after it those of the settings."""
    files = {FILE_PREFIX + key: number for number, (key, _) in enumerate(overrides, start=1)}

    def position(finding: Diagnostic) -> tuple[int, int, int]:
        place = finding.place
        return (files.get(place.file, 0), place.line, place.column) if place else (0, 0, 0)

    return sorted(findings, key=position)


def _spec(filled: dict[str, Any]) -> Spec:
    """The Spec of data that has passed every check."""
    marker, output, batch = filled["marker"], filled["output"], filled["batch"]
    return Spec(
        name=filled["name"],
        description=filled.get("description"),
        pachyderm=int(filled["pachyderm"]),
        project=filled.get("project"),
        image=filled["image"],
        source=_source(filled["source"]),
        marker=_marker(marker),
        output=Output(**output),
        batch=Batch(int(batch["records"]), parse_size(batch["bytes"]), parse_duration(batch["wait"])),
        filter=filled.get("filter", {}),
        transform=filled["transform"],
        metrics=_metrics(filled["metrics"]) if "metrics" in filled else None,
        env=filled.get("env", {}),
        secrets=tuple(
            Secret(secret["name"], secret.get("key"), secret.get("env"), secret.get("mount"))
            for secret in filled.get("secrets", ())
        ),
        resources={kind: _resources(values) for kind, values in filled.get("resources", {}).items()},
        pipeline=filled.get("pipeline", {}),
    )


def _source(filled: dict[str, Any]) -> Source:
    named = schema.source_schema(filled["type"])["properties"]
    options = {
        key: UNITS[named[key]["x-unit"]](value) if "x-unit" in named[key] else value
        for key, value in filled.items()
        if key != "type"
    }
    return Source(filled["type"], options)


def _marker(value: str | dict[str, str]) -> Marker:
    if isinstance(value, str):
        return Marker(value, False)
    return Marker(value["prefix"], True) if "prefix" in value else Marker(value["name"], False)


def _metrics(filled: dict[str, Any]) -> Metrics:
    return Metrics(int(filled["port"]), parse_duration(filled["stalled_after"]))


def _resources(values: dict[str, Any]) -> dict[str, Any]:
    return {key: kubernetes_quantity(value) if isinstance(value, str) else value for key, value in values.items()}
