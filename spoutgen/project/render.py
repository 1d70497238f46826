"""Spec -> Tree, through the cookiecutter template. The only module that imports cookiecutter and Jinja.

Nothing of a spec is ever template text: the whole spec and the whole pipeline JSON are handed in as values, which
Jinja does not look into, and the Python files are copied byte for byte. And nothing of a template is ever executed
(:mod:`spoutgen.project.template`).
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spoutgen import __version__
from spoutgen.errors import Diagnostic, Place, ProjectError, full_disk
from spoutgen.pipeline import pipeline_json
from spoutgen.pipeline.v2 import data_glob
from spoutgen.project.image import contents
from spoutgen.project.lock import FOLDER, PIPELINE, SPEC, Lock, Origin, spec_digest
from spoutgen.project.template import Template, check_template, own_template
from spoutgen.project.tree import SKIPPED_FOLDERS, Entry, read_tree, tree_digest
from spoutgen.spec import LoadedSpec
from spoutgen.spec.model import Spec
from spoutgen.spec.schema import bundle, source_schema, source_types

if TYPE_CHECKING:
    from jinja2 import Environment

# Written once, then the user's.
SEEDS = frozenset({SPEC, "README.md", "source.py", "transform.py"})
_KIND = re.compile(r"spout/sources/([a-z0-9_]+)(?:\.py|/.+)")
SCHEMA = f"{FOLDER}/schema.json"
# The same as the extra `pachyderm2` of pyproject.toml, which `spoutgen run` uses.
PACHYDERM_SDK = "pachyderm-sdk==2.12.2"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A whole project as it would be generated now: ``tree`` without lock and base, and the ``lock`` that fits it."""

    tree: dict[str, Entry]
    lock: Lock

    def managed(self) -> dict[str, Entry]:
        """The part of the tree that updates write again."""
        return {path: entry for path, entry in self.tree.items() if path not in SEEDS}

    def seeds(self) -> dict[str, Entry]:
        """The part that is written once."""
        return {path: entry for path, entry in self.tree.items() if path in SEEDS}


def render(loaded: LoadedSpec, template: Template | None = None) -> Rendered:
    """Generate the project of a checked spec. The same spec gives the same bytes, wherever it runs.

    Raises ProjectError SG406 for a template (default: spoutgen's own) that is not usable.
    """
    template = template or own_template()
    spec, pipeline = loaded.text.encode(), pipeline_json(loaded.spec)
    values = {
        "name": loaded.spec.name,
        "image": loaded.spec.image,
        "marker": loaded.spec.marker.name,
        "_spout_yaml": loaded.text,
        "_pipeline_json": pipeline,
        "_requirements": _requirements(loaded.spec),
        "_pachyderm": loaded.spec.pachyderm,
        "_data_glob": data_glob(loaded.spec.output.path),
    }
    with tempfile.TemporaryDirectory(prefix="spoutgen-") as scratch:
        copy = Path(scratch, "template")
        _copy(template, copy)
        template_tree = read_tree(copy)
        check_template(template, template_tree)
        with _mistakes_of(template):
            tree = read_tree(_scaffold(copy, values, Path(scratch, "out")))
    tree = {path: entry for path, entry in tree.items() if _belongs(path, loaded.spec)}
    for path, data in ((SPEC, spec), (PIPELINE, pipeline.encode())):
        if tree.get(path) != Entry(data):
            raise _unusable(template, f"the template does not copy {path} as it is")
    tree[SCHEMA] = Entry((json.dumps(bundle(), indent=2, ensure_ascii=False) + "\n").encode())
    lock = Lock(
        spoutgen=__version__,
        pachyderm=loaded.spec.pachyderm,
        spec=spec_digest(spec),
        template=Origin(template.path, tree_digest(template_tree)),
        image=loaded.spec.image,
        images={loaded.spec.image: contents(tree)},
        files={path: "seed" if path in SEEDS else "managed" for path in tree},
    )
    return Rendered(tree, lock)


def _requirements(spec: Spec) -> list[str]:
    """What the project installs: the source's drivers, and on 2.x Pachyderm's client, which commits the batches."""
    drivers: list[str] = source_schema(spec.source.type)["x-spoutgen"]["requirements"]
    return [PACHYDERM_SDK, *drivers] if spec.pachyderm == 2 else drivers


def _belongs(path: str, spec: Spec) -> bool:
    """Whether the project has this file of the template; cookiecutter cannot leave one out without a hook."""
    if path == "transform.py":
        return spec.transform
    if path == "source.py":
        return spec.source.type == "custom"
    kind = _KIND.fullmatch(path)
    return kind is None or kind[1] not in source_types() or kind[1] == spec.source.type


def _copy(template: Template, copy: Path) -> None:
    """Copy the template without what tools keep there, which cookiecutter would copy into the project.

    pip byte-compiles the template of an installed wheel; mypy and ruff leave caches in one that is worked on.
    """
    if not template.folder.is_dir():
        raise _unusable(template, "there is no such template", "give it: --template PATH; spoutgen's own is `default`")
    try:
        skipped = shutil.ignore_patterns(*SKIPPED_FOLDERS)
        shutil.copytree(template.folder, copy, ignore=skipped, copy_function=_copy_file)
    except OSError as error:  # shutil.Error is one too
        raise full_disk(error) or _unusable(template, f"the template cannot be read: {error}") from error


def _copy_file(file: str, copy: str) -> None:
    """Copy one file. A full disk is no mistake of the template's; copytree would go on and say so for every file."""
    try:
        shutil.copy2(file, copy)
    except OSError as error:
        if full := full_disk(error):
            raise full from error
        raise


def _scaffold(template: Path, values: Mapping[str, object], out: Path) -> Path:
    """Run cookiecutter on ``template`` and return the folder that it made below ``out``."""
    from cookiecutter import generate
    from cookiecutter.prompt import render_variable

    settings = json.loads((template / "cookiecutter.json").read_bytes())
    known: dict[str, Any] = dict(values)
    environment = _sandbox(has_extensions=_uses_extensions(template))
    for key, default in settings.items():
        if key not in known and key != "__prompts__":
            # What cookiecutter itself does with a default; ours are values already, and never looked into.
            raw = default[0] if isinstance(default, list) and default and not key.startswith("_") else default
            is_raw = key.startswith("_") and not key.startswith("__")
            known[key] = raw if is_raw else render_variable(environment, raw, known)
    with _in_sandbox(generate, environment):
        made: str = generate.generate_files(str(template), {"cookiecutter": known}, str(out), accept_hooks=False)
    return Path(made)


@contextmanager
def _in_sandbox(generate: Any, environment: Environment) -> Iterator[None]:
    """Let cookiecutter render in a sandbox: a plain Jinja environment lets a template reach everything in Python."""
    plain = generate.create_env_with_context
    generate.create_env_with_context = lambda context: environment
    try:
        yield
    finally:
        generate.create_env_with_context = plain


def _sandbox(has_extensions: bool) -> Environment:
    """What cookiecutter renders with, but in Jinja's sandbox; extensions of the template's own are refused before."""
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    names = ("Jsonify", "RandomString", "Slugify", "Time", "UUID") if has_extensions else ()
    return ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        extensions=[f"cookiecutter.extensions.{name}Extension" for name in names],
    )


def _uses_extensions(template: Path) -> bool:
    """Whether a file has a word of the extensions that cookiecutter always loads; they cost 50 ms to import."""
    words = re.compile(rb"\b(jsonify|slugify|random_ascii_string|uuid4)\b|\{%-?\s*now\b")
    return any(words.search(file.read_bytes()) for file in template.rglob("*") if file.is_file())


@contextmanager
def _mistakes_of(template: Template) -> Iterator[None]:
    """A mistake in a template can come as any exception at all."""
    try:
        yield
    except ProjectError:
        raise
    except Exception as error:
        if full := full_disk(error):
            raise full from error
        where = f" ({error.name}:{error.lineno})" if hasattr(error, "lineno") and hasattr(error, "name") else ""
        raise _unusable(template, f"the template cannot be rendered: {error}{where}") from error


def _unusable(template: Template, problem: str, hint: str | None = None) -> ProjectError:
    return ProjectError(Diagnostic("SG406", problem, Place(str(template.folder)), hint))
