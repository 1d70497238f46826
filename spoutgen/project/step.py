"""Whether a project is in step with its spec: what is run and deployed is what the YAML file says."""

from __future__ import annotations

from pathlib import Path

from spoutgen.errors import Diagnostic, Place, ProjectError
from spoutgen.pipeline import pipeline_json
from spoutgen.project.apply import read_orders
from spoutgen.project.lock import BASE, SPEC, read_lock, spec_digest
from spoutgen.spec import load

PIPELINE = "pipeline.json"


def check_in_step(folder: Path) -> None:
    """Raise ProjectError SG403 if the spec was edited and the edit is not in the project's files yet.

    A changed comment is no edit: every setting reaches the project through pipeline.json, so that file is compared.
    """
    lock = read_lock(folder)
    orders = read_orders(folder)
    if orders is not None and orders.conflicts and orders.state == "conflicts":
        raise ProjectError(_out_of_step(folder, "the last update left conflicts", "resolve them, then end it"))
    if orders is not None:
        raise ProjectError(_out_of_step(folder, "an update was interrupted", "finish it"))
    spec = folder / SPEC
    if spec.is_file() and spec_digest(spec.read_bytes()) == lock.spec:
        return
    expected = pipeline_json(load(folder).spec).encode()
    base = folder / BASE / PIPELINE
    if not base.is_file() or base.read_bytes() != expected:
        raise ProjectError(_out_of_step(folder, f"{SPEC} was edited and the project not updated yet", "carry it in"))


def _out_of_step(folder: Path, what: str, how: str) -> Diagnostic:
    where = "" if folder == Path() else f" {folder}"
    return Diagnostic("SG403", what, Place(str(folder / SPEC)), f"{how}: spoutgen update{where}")
