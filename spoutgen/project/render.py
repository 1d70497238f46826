"""Spec -> Tree, through the cookiecutter template. The only module that imports cookiecutter.

Nothing of a spec is ever template text: the whole spec and the whole pipeline JSON are handed in as values, which
Jinja does not look into, and the Python files are copied byte for byte.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from spoutgen import __version__
from spoutgen.errors import Diagnostic, Place, ProjectError
from spoutgen.pipeline import pipeline_json
from spoutgen.project.lock import FOLDER, SPEC, Lock, spec_digest
from spoutgen.project.tree import SKIPPED_FOLDERS, Entry, read_tree, tree_digest
from spoutgen.resources import template_dir
from spoutgen.spec import LoadedSpec
from spoutgen.spec.schema import bundle, source_schema

# Written once, then the user's.
SEEDS = frozenset({SPEC, "README.md", "source.py"})
SCHEMA = f"{FOLDER}/schema.json"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A whole project as it would be generated now: ``tree`` without lock and base, and the ``lock`` that fits it."""

    tree: dict[str, Entry]
    lock: Lock

    def managed(self) -> dict[str, Entry]:
        """The part of the tree that updates write again."""
        return {path: entry for path, entry in self.tree.items() if path not in SEEDS}


def template_digest() -> str:
    """What the template is, for the lock: equal digests generate equal files."""
    return tree_digest(read_tree(template_dir()))


def render(loaded: LoadedSpec) -> Rendered:
    """Generate the project of a checked spec. The same spec gives the same bytes, wherever it runs."""
    values = {
        "name": loaded.spec.name,
        "image": loaded.spec.image,
        "marker": loaded.spec.marker.name,
        "_spout_yaml": loaded.text,
        "_pipeline_json": pipeline_json(loaded.spec),
        "_requirements": source_schema(loaded.spec.source.type)["x-spoutgen"]["requirements"],
    }
    with tempfile.TemporaryDirectory(prefix="spoutgen-") as scratch:
        # pip byte-compiles the template of an installed wheel, and cookiecutter would copy the __pycache__ folders
        # that this leaves; so it works on a copy without them.
        template = Path(scratch, "template")
        shutil.copytree(template_dir(), template, ignore=shutil.ignore_patterns(*SKIPPED_FOLDERS))
        digest = tree_digest(read_tree(template))
        tree = read_tree(_scaffold(template, values, Path(scratch, "out")))
    tree[SCHEMA] = Entry((json.dumps(bundle(), indent=2, ensure_ascii=False) + "\n").encode())
    spec = loaded.text.encode()
    if tree.get(SPEC) != Entry(spec):
        raise ProjectError(
            Diagnostic("SG406", f"the template does not copy {SPEC} as it is", Place(str(template_dir())))
        )
    kinds = {path: "seed" if path in SEEDS else "managed" for path in tree}
    return Rendered(tree, Lock(__version__, spec_digest(spec), digest, kinds))


def _scaffold(template: Path, values: dict[str, object], out: Path) -> Path:
    """Run cookiecutter on ``template`` and return the folder that it made below ``out``."""
    from cookiecutter.exceptions import CookiecutterException
    from cookiecutter.generate import generate_files

    try:
        defaults = json.loads((template / "cookiecutter.json").read_bytes())
        context = {"cookiecutter": {**defaults, **values}}
        made: str = generate_files(str(template), context, str(out), accept_hooks=False)
    except (CookiecutterException, OSError, ValueError) as error:
        raise ProjectError(
            Diagnostic("SG406", f"the template cannot be rendered: {error}", Place(str(template_dir())))
        ) from error
    return Path(made)
