"""Spec -> Tree, through the cookiecutter template. The only module that imports Jinja.

The template is a cookiecutter template, and ``cookiecutter`` makes the same files of it, which
tests/contract/test_scaffold.py holds it to. But spoutgen renders it by itself, in memory, for three reasons: cookiecutter's plain
Jinja environment lets a template reach everything in Python, while ours is a sandbox; it changes the working folder of
the process; and importing it takes as long as all the rest of an update.

Nothing of a spec is ever template text: the whole spec and the whole pipeline JSON are handed in as values, which
Jinja does not look into, and the Python files are copied byte for byte. And nothing of a template is ever executed
(:mod:`spoutgen.project.template`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from spoutgen import __version__
from spoutgen.errors import Diagnostic, Place, ProjectError
from spoutgen.pipeline import pipeline_json
from spoutgen.project.image import contents
from spoutgen.project.lock import FOLDER, PIPELINE, SPEC, Lock, Origin, spec_digest
from spoutgen.project.template import SETTINGS, Template, check_template, own_template, project_of, read_template
from spoutgen.project.textmerge import is_binary
from spoutgen.project.tree import Entry, Tree, tree_digest
from spoutgen.spec import LoadedSpec
from spoutgen.spec.schema import bundle, source_schema

if TYPE_CHECKING:
    from jinja2 import Environment

# Written once, then the user's.
SEEDS = frozenset({SPEC, "README.md", "source.py"})
# Files that only one source type has; cookiecutter cannot leave a file out without a hook.
ONLY_FOR = MappingProxyType({"source.py": "custom"})
SCHEMA = f"{FOLDER}/schema.json"
# What cookiecutter's own extensions bring; they are imported where a template uses one, for that takes 50 ms.
_EXTENSIONS = ("Jsonify", "RandomString", "Slugify", "Time", "UUID")
_WORDS_OF_EXTENSIONS = re.compile(rb"\b(jsonify|slugify|random_ascii_string|uuid4)\b|\{%-?\s*now\b")
_JINJA = re.compile(rb"\{[{%#]")


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
    files = read_template(template)
    check_template(template, files)
    spec, pipeline = loaded.text.encode(), pipeline_json(loaded.spec)
    values = {
        "name": loaded.spec.name,
        "image": loaded.spec.image,
        "marker": loaded.spec.marker.name,
        "_spout_yaml": loaded.text,
        "_pipeline_json": pipeline,
        "_requirements": source_schema(loaded.spec.source.type)["x-spoutgen"]["requirements"],
    }
    with _mistakes_of(template):
        made = _scaffold(files, values)
    tree = {path: entry for path, entry in made.items() if ONLY_FOR.get(path) in (None, loaded.spec.source.type)}
    for path, data in ((SPEC, spec), (PIPELINE, pipeline.encode())):
        if tree.get(path) != Entry(data):
            raise _unusable(template, f"the template does not copy {path} as it is")
    tree[SCHEMA] = Entry((json.dumps(bundle(), indent=2, ensure_ascii=False) + "\n").encode())
    lock = Lock(
        spoutgen=__version__,
        pachyderm=loaded.spec.pachyderm,
        spec=spec_digest(spec),
        template=Origin(template.path, tree_digest(files)),
        image=loaded.spec.image,
        images={loaded.spec.image: contents(tree)},
        files={path: "seed" if path in SEEDS else "managed" for path in tree},
    )
    return Rendered(tree, lock)


def _scaffold(files: Tree, values: Mapping[str, Any]) -> dict[str, Entry]:
    """The template's project folder with the values filled in, as cookiecutter does it."""
    top = project_of(files)
    project = {path.removeprefix(f"{top}/"): entry for path, entry in files.items() if path.startswith(f"{top}/")}
    shared = {path.removeprefix("templates/"): entry for path, entry in files.items() if path.startswith("templates/")}
    settings = json.loads(files[SETTINGS].data)
    environment = _sandbox({**shared, **project}, any(_WORDS_OF_EXTENSIONS.search(e.data) for e in files.values()))
    known = dict(values)
    for key, default in settings.items():
        if key not in known and key != "__prompts__":
            known[key] = _default(environment, key, default, known)
    unrendered = settings.get("_copy_without_render", ())
    tree = {}
    for path, entry in project.items():
        name = environment.from_string(path).render(cookiecutter=known)
        # A folder that is named there is copied with all that is in it.
        if any(fnmatch(str(part), pattern) for part in _upwards(path) for pattern in unrendered):
            tree[name] = entry
        else:
            tree[name] = Entry(_rendered(environment, path, entry.data, known), entry.is_executable)
    return tree


def _upwards(path: str) -> Iterator[PurePosixPath]:
    yield PurePosixPath(path)
    yield from PurePosixPath(path).parents


def _rendered(environment: Environment, path: str, data: bytes, known: Mapping[str, Any]) -> bytes:
    """One file; line ends as in the template, which Jinja would make LF."""
    if is_binary(data) or not _JINJA.search(data):
        return data
    text = environment.get_template(path).render(cookiecutter=known)
    is_crlf = data.partition(b"\n")[0].endswith(b"\r")
    return (text.replace("\n", "\r\n") if is_crlf else text).encode()


def _default(environment: Environment, key: str, default: Any, known: Mapping[str, Any]) -> Any:
    """What cookiecutter makes of a variable that nobody gives a value: the first choice, rendered; `_x` as it is."""
    if key.startswith("_") and not key.startswith("__"):
        return default
    raw = default[0] if isinstance(default, list) and default else default
    if isinstance(raw, dict):
        return {name: _default(environment, name, value, known) for name, value in raw.items()}
    if raw is None or isinstance(raw, bool):
        return raw
    return environment.from_string(str(raw)).render(cookiecutter=known)


def _sandbox(files: Tree, has_extensions: bool) -> Environment:
    """What a template is rendered with: strict, and in Jinja's sandbox; it can include its own files only."""
    from jinja2 import FunctionLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(
        loader=FunctionLoader(lambda path: files[path].data.decode() if path in files else None),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        extensions=[f"cookiecutter.extensions.{name}Extension" for name in _EXTENSIONS] if has_extensions else [],
    )


@contextmanager
def _mistakes_of(template: Template) -> Iterator[None]:
    """A mistake in a template can come as any exception at all."""
    try:
        yield
    except Exception as error:
        where = f" ({error.name}:{error.lineno})" if hasattr(error, "lineno") and hasattr(error, "name") else ""
        raise _unusable(template, f"the template cannot be rendered: {error}{where}") from error


def _unusable(template: Template, problem: str) -> ProjectError:
    return ProjectError(Diagnostic("SG406", problem, Place(str(template.folder))))
