"""The template that projects are made from: spoutgen's own, or a team's fork of it. A template is data.

Nothing of a template is ever executed: hooks and extensions are refused here, its Jinja runs in a sandbox
(:mod:`spoutgen.project.render`), and its file names may hold no Jinja but the project's name, so that it cannot write
anywhere else.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spoutgen.errors import Diagnostic, Place, ProjectError
from spoutgen.project.lock import Lock
from spoutgen.project.tree import Tree, read_tree, tree_digest
from spoutgen.resources import template_dir

# What the option --template says to go back to spoutgen's own template.
OWN = "default"
_NAME = re.compile(r"\{\{\s*cookiecutter\.name\s*\}\}")
# Settings of cookiecutter.json that make cookiecutter import code, or change what a template's text means.
_EXECUTING = ("_extensions", "_jinja2_env_vars")


@dataclass(frozen=True, slots=True)
class Template:
    """A template: its ``folder``, and its ``path`` as the lock says it (None: spoutgen's own)."""

    folder: Path
    path: str | None


def own_template() -> Template:
    """The template that comes with spoutgen."""
    return Template(template_dir(), None)


def given_template(option: str | None, project: Path) -> Template | None:
    """What ``--template`` means for a project; None if it was not given.

    A relative path is meant from here, and recorded as seen from the project: both can then be moved together.
    """
    if option is None:
        return None
    if option == OWN:
        return own_template()
    folder = Path(option).absolute()
    recorded = option if Path(option).is_absolute() else os.path.relpath(folder, project.absolute())
    return Template(folder, recorded)


def locked_template(lock: Lock, project: Path) -> Template:
    """The template that a project was made from."""
    path = lock.template.path
    return own_template() if path is None else Template(project.absolute() / path, path)


def template_digest(template: Template) -> str:
    """What the template is: equal digests generate equal files."""
    return _read(template.folder)[1]


def template_tree(template: Template) -> Tree:
    """The template's files; read once a run."""
    return _read(template.folder)[0]


@cache
def _read(folder: Path) -> tuple[Tree, str]:
    """A template's files and their digest."""
    tree = read_tree(folder)
    return tree, tree_digest(tree)


def check_template(template: Template, tree: Tree) -> None:
    """Raise ProjectError SG406, with all that is wrong, unless the template, whose ``tree`` this is, is only data."""
    problems = list(_problems(tree))
    if problems:
        place = Place(str(template.folder))
        hint = "a template is data: take that out, or make projects of it with cookiecutter alone"
        raise ProjectError(*(Diagnostic("SG406", problem, place, hint) for problem in problems))


def _problems(tree: Tree) -> Iterator[str]:
    if "cookiecutter.json" not in tree:
        yield "the template has no cookiecutter.json"
        return
    try:
        settings = json.loads(tree["cookiecutter.json"].data)
    except ValueError as error:
        yield f"the template's cookiecutter.json cannot be read: {error}"
        return
    if not isinstance(settings, dict):
        yield "the template's cookiecutter.json is no object"
        return
    if any(path.startswith("hooks/") for path in tree):
        yield "the template has hooks, which are programs; spoutgen executes nothing of a template"
    for key in _EXECUTING:
        if settings.get(key):
            yield f"the template's cookiecutter.json has {key}; spoutgen executes nothing of a template"
    projects = {path.partition("/")[0] for path in tree if "{{" in path.partition("/")[0]}
    if len(projects) != 1 or not _NAME.fullmatch(project := projects.pop()):
        yield "the template has not exactly one folder {{cookiecutter.name}}, which is the project"
        return
    for path in (path.removeprefix(f"{project}/") for path in tree if path.startswith(f"{project}/")):
        if any(mark in _NAME.sub("", path) for mark in ("{{", "{%", "{#")):
            yield f"the name of {path} is computed; only {{{{cookiecutter.name}}}} may stand in a name"
        if path.startswith(".spoutgen/"):
            yield f"the template has {path}; .spoutgen is spoutgen's own folder"
