"""What an update would do: file by file, in the words of the spec, and what it means for image, marker and cluster.

Three trees meet: base (what we generated last), yours (what is there), new (what we would generate now). Planning only
reads; :mod:`spoutgen.project.update` carries a plan out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from spoutgen import __version__
from spoutgen.errors import Diagnostic
from spoutgen.project.apply import read_orders
from spoutgen.project.conflicts import check_is_settled, located
from spoutgen.project.difference import Setting, differences, facts
from spoutgen.project.image import bumped, contents_of
from spoutgen.project.lock import BASE, LOCK, PIPELINE, SPEC, Lock, as_entry, read_base, read_lock, spec_digest_of
from spoutgen.project.merge import Decision, merge
from spoutgen.project.render import render
from spoutgen.project.reuse import rendered_from_base
from spoutgen.project.safety import Consequence, Fate, consequences, fate
from spoutgen.project.template import Template, locked_template, template_digest
from spoutgen.project.textmerge import merge_text
from spoutgen.project.tree import Entry, Tree, read_entry, read_paths
from spoutgen.spec import LoadedSpec, load, load_text
from spoutgen.spec.edit import set_values

# Whether the image gets a new tag: "needed" is where its contents have changed under the old one.
Bump = Literal["no", "needed", "always"]


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """The image as it ``was`` and ``is``; whether it must be built, and whether its tag was used for other contents."""

    was: str
    is_: str
    must_build: bool
    is_reused: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What an update does: one decision a managed file, and what becomes of every path (None: deleted), lock last."""

    folder: Path
    decisions: tuple[Decision, ...]
    after: tuple[tuple[str, Entry | None], ...]
    settings: tuple[Setting, ...]
    image: ImagePlan
    marker: Fate
    consequences: tuple[Consequence, ...]
    warnings: tuple[Diagnostic, ...] = ()

    @property
    def news(self) -> tuple[Decision, ...]:
        """The decisions worth telling: what changes a file, and what its owner should know."""
        return tuple(decision for decision in self.decisions if decision.action != "keep" or decision.note)

    @property
    def conflicts(self) -> tuple[str, ...]:
        """The files that will hold conflict marks."""
        return tuple(decision.path for decision in self.decisions if decision.action == "conflict")

    @property
    def blocked(self) -> tuple[Decision, ...]:
        """What stands in the way of the whole update."""
        return tuple(decision for decision in self.decisions if decision.action == "blocked")

    @property
    def is_something_to_do(self) -> bool:
        """Whether a file would change, or the image needs another tag."""
        return self.image.is_reused or any(decision.action != "keep" for decision in self.decisions)


def plan(folder: Path, template: Template | None = None, bump: Bump = "no") -> Plan:
    """What an update would do; what stands in the way is among the decisions, as blocked. Reads only.

    Raises ProjectError for a folder that is no project or has an update that did not come to its end, SpecError for a
    spec with mistakes.
    """
    lock = read_lock(folder)
    check_is_settled(folder)
    template = template or locked_template(lock, folder)
    if bump != "always":
        planned = _quick(folder, lock, template) or _plan(folder, lock, _loaded(folder, lock), template, {})
        if bump == "no" or not planned.image.is_reused:
            return planned
    loaded = _with_bumped_image(folder, lock, load(folder))
    return _plan(folder, lock, loaded, template, {SPEC: Entry(loaded.text.encode())})


def _loaded(folder: Path, lock: Lock) -> LoadedSpec:
    """The project's spec, whose text need not be checked twice by one version of spoutgen."""
    return load(folder, known_digest=lock.spec if lock.spoutgen == __version__ else "")


def quick_plan(folder: Path, template: Template | None = None) -> Plan | None:
    """The plan of a project that has nothing to do, told by digests alone; None for any other."""
    lock = read_lock(folder)
    if read_orders(folder) is not None:
        return None
    return _quick(folder, lock, template or locked_template(lock, folder))


def _is_current(folder: Path, lock: Lock, template: Template) -> bool:
    """Whether nothing has changed that files are made of: digests say so without making them."""
    return (
        (lock.spoutgen, lock.spec, lock.template.path) == (__version__, spec_digest_of(folder), template.path)
        and lock.image in lock.images
        and lock.template.digest == template_digest(template)
    )


def _quick(folder: Path, lock: Lock, template: Template) -> Plan | None:
    if not _is_current(folder, lock, template):
        return None
    is_reused = lock.images[lock.image] != contents_of(folder)
    image = ImagePlan(lock.image, lock.image, must_build=is_reused, is_reused=is_reused)
    return Plan(folder, (), (), (), image, _fate_of_nothing(folder), ())


def _fate_of_nothing(folder: Path) -> Fate:
    try:
        marker = json.loads((folder / PIPELINE).read_bytes())["spout"]["marker"]
    except (OSError, ValueError, KeyError, TypeError):
        marker = None  # somebody has written into the file; what it says is theirs to know
    return Fate(marker, marker, is_kept=True)


def _plan(folder: Path, lock: Lock, loaded: LoadedSpec, template: Template, edits: Mapping[str, Entry]) -> Plan:
    base = read_base(folder)
    rendered = rendered_from_base(loaded, lock, base, template) or render(loaded, template)
    new = rendered.managed()
    yours = read_paths(folder, {*base, *new})
    decisions = [_checked(folder, decision) for decision in merge(base, yours, new, merge_text)]
    decisions += _first_seeds(folder, lock, rendered.seeds())
    if edits and (folder / SPEC).is_symlink():
        decisions.append(Decision(SPEC, "blocked", note="it is a link; give the image its new tag in the file itself"))
    files = {**edits, **_written(decisions)}
    has_conflict = any(decision.action == "conflict" for decision in decisions)
    contents = contents_of(folder, files)
    images = dict(lock.images)
    if not has_conflict:
        images.setdefault(rendered.lock.image, contents)
    after: dict[str, Entry | None] = {**files, **_own(folder, base, new)}
    lock_entry = as_entry(replace(rendered.lock, images=images, builds=lock.builds))
    if after or lock_entry != as_entry(lock):
        after[LOCK] = lock_entry
    old, current = _documents(base, yours, new, decisions)
    before, now = facts(old, lock.pachyderm), facts(current, rendered.lock.pachyderm)
    is_reused = images.get(rendered.lock.image, contents) != contents
    is_new_tag = rendered.lock.image not in lock.images
    return Plan(
        folder=folder,
        decisions=tuple(decisions),
        after=tuple(after.items()),
        settings=differences(old, current),
        image=ImagePlan(lock.image, rendered.lock.image, must_build=is_reused or is_new_tag, is_reused=is_reused),
        marker=fate(before, now),
        consequences=tuple(consequences(before, now, located(folder))),
        warnings=loaded.warnings,
    )


def _with_bumped_image(folder: Path, lock: Lock, loaded: LoadedSpec) -> LoadedSpec:
    """The spec with the next tag that this project has not used."""
    image = bumped(loaded.spec.image, lock.images)
    return load_text(set_values(loaded.text, [("image", image)]), str(folder / SPEC))


def _checked(folder: Path, decision: Decision) -> Decision:
    """The decision, blocked if what it needs cannot be: a folder to write in, a name for the file beside yours."""
    if decision.action in ("keep", "blocked"):
        return decision
    path = decision.path
    if decision.action == "beside" and read_entry(folder, f"{path}.new") not in (None, decision.entry):
        return Decision(path, "blocked", note=f"{path}.new is there already")
    parent = next(parent for parent in (folder / path).parents if parent.is_dir())
    if not os.access(parent, os.W_OK | os.X_OK, effective_ids=True):
        return Decision(path, "blocked", note=f"the folder {parent} cannot be written in")
    return decision


def _first_seeds(folder: Path, lock: Lock, seeds: Tree) -> list[Decision]:
    """A seed that the project never had, of another source type or a newer template, unless you have such a file."""
    fresh = {path: entry for path, entry in seeds.items() if path not in lock.files and not read_entry(folder, path)}
    return [_checked(folder, Decision(path, "add", entry, "yours from now on")) for path, entry in fresh.items()]


def _written(decisions: Iterable[Decision]) -> dict[str, Entry | None]:
    """What becomes of the project's own files."""
    files: dict[str, Entry | None] = {}
    for decision in decisions:
        if decision.action == "delete":
            files[decision.path] = None
        elif decision.entry is not None:
            files[f"{decision.path}.new" if decision.action == "beside" else decision.path] = decision.entry
    return files


def _own(folder: Path, base: Tree, new: Tree) -> dict[str, Entry | None]:
    """What becomes of the base: it is what was generated, whatever was done with it."""
    paths: dict[str, Entry | None] = {f"{BASE}/{path}": entry for path, entry in new.items() if base.get(path) != entry}
    return paths | {f"{BASE}/{path}": None for path in base if path not in new}


def _documents(
    base: Tree, yours: Tree, new: Tree, decisions: Iterable[Decision]
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The pipeline document before and after: the file's own, or the generated one where the file cannot be read."""
    decision = next(decision for decision in decisions if decision.path == PIPELINE)
    after = decision.entry or yours.get(PIPELINE)
    pairs: Iterator[tuple[Any, Any]] = (
        (_document(one), _document(other))
        for one, other in ((yours.get(PIPELINE), after), (base.get(PIPELINE), new.get(PIPELINE)))
    )
    fallback = _document(new.get(PIPELINE)) or {}
    return next((pair for pair in pairs if None not in pair), (fallback, fallback))


def _document(entry: Entry | None) -> Mapping[str, Any] | None:
    try:
        document = json.loads(entry.data) if entry and entry.kind == "file" else None
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
