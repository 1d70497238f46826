"""An edit of the spec seldom reaches more than pipeline.json: then the base has the rest already.

Importing cookiecutter and running it takes longer than all the rest of an update. It is left out where that is certain
to make no difference: same spoutgen, same template, and no managed file of the template mentions a value that changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace

from spoutgen import __version__
from spoutgen.pipeline import pipeline_json
from spoutgen.project.lock import PIPELINE, SPEC, Lock, spec_digest
from spoutgen.project.render import SEEDS, Rendered
from spoutgen.project.template import Template, template_digest, template_tree
from spoutgen.project.tree import Entry, Tree
from spoutgen.spec import LoadedSpec

# What a template may do with all values at once, or with one whose name it computes.
_ALL_VALUES = re.compile(rb"\bcookiecutter\b(?!\.[A-Za-z_])")


def rendered_from_base(loaded: LoadedSpec, lock: Lock, base: Tree, template: Template) -> Rendered | None:
    """What ``render`` would return, but for the seeds; None where only rendering can tell."""
    if (lock.spoutgen, lock.template.path) != (__version__, template.path):
        return None
    if lock.template.digest != template_digest(template):
        return None
    if set(base) != {path for path, kind in lock.files.items() if kind == "managed"}:
        return None
    changed = _changed_values(loaded, lock, base)
    if changed is None or _mentions(template_tree(template), changed):
        return None
    files = {**base, PIPELINE: Entry(pipeline_json(loaded.spec).encode())}
    spec = loaded.spec
    digest = spec_digest(loaded.text.encode())
    return Rendered(files, replace(lock, spec=digest, image=spec.image, pachyderm=spec.pachyderm))


def _changed_values(loaded: LoadedSpec, lock: Lock, base: Tree) -> set[str] | None:
    """The template's variables that have another value than last time; None where that cannot be told."""
    spec = loaded.spec
    try:
        pipeline = json.loads(base[PIPELINE].data)
        config = json.loads(pipeline["transform"]["env"]["SPOUT_CONFIG"])
        was = {"name": pipeline["pipeline"]["name"], "image": lock.image, "marker": pipeline["spout"]["marker"]}
        kind = (config["source"]["type"], config.get("transform", False))
    except (ValueError, KeyError, TypeError):
        return None
    if (*kind, lock.pachyderm) != (spec.source.type, spec.transform, spec.pachyderm):
        return None  # other requirements, other files
    now = {"name": spec.name, "image": spec.image, "marker": spec.marker.name}
    return {"_spout_yaml", "_pipeline_json", *(name for name in now if now[name] != was[name])}


def _mentions(template: Tree, values: Iterable[str]) -> bool:
    """Whether a managed file of the template, or its name, may depend on one of the values."""
    words = re.compile(rb"\bcookiecutter\.(?:%s)\b" % b"|".join(value.encode() for value in sorted(values)))
    given = {SPEC, PIPELINE, *SEEDS}  # render checks that the first two are exactly the texts that it hands in
    for path, entry in template.items():
        inside = path.partition("/")[2]
        if inside in given or path.endswith(".py") or not inside:
            continue
        if any(words.search(text) or _ALL_VALUES.search(text) for text in (inside.encode(), entry.data)):
            return True
    return False
