"""``.spoutgen/``: what was generated last. ``lock.json`` says from what; ``base/`` holds the managed files themselves.

lock.json, version 1 (schemas/lock-1.json)::

    {"version": 1, "spoutgen": "0.1.0", "pachyderm": 1,
     "spec": sha256 of spout.yaml,
     "template": {"path": null, "digest": sha256 of the template's tree},
     "image": "spout-marker:v2", "images": {"spout-marker:v1": sha256 of its inputs, "spout-marker:v2": ...},
     "files": {"pipeline.json": "managed", "README.md": "seed", ...},
     "builds": {"spout-marker:v1": {"contents": sha256 of its inputs, "arguments": {"PYTHON_IMAGE": sha256 of value},
                                    "platform": null, "id": "sha256:...", "pushed": null or "sha256:..."}, ...}}

An update compares three trees: base (what we generated), yours (what is there), new (what we would generate now).
``images`` remembers what each tag was first used with, since nodes keep an image that they have under a tag; ``builds``
what ``spoutgen build`` made of it. A lock of before there were builds has no ``builds``, which means none.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from spoutgen import __version__
from spoutgen.errors import Diagnostic, Place, ProjectError
from spoutgen.project.tree import Entry, read_tree, sync_folder, write_entry

FOLDER = ".spoutgen"
LOCK = f"{FOLDER}/lock.json"
BASE = f"{FOLDER}/base"
SPEC = "spout.yaml"
PIPELINE = "pipeline.json"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Origin:
    """The template: its ``path`` (None: spoutgen's own; relative to the project), and the digest of its tree."""

    path: str | None
    digest: str


@dataclass(frozen=True, slots=True)
class Build:
    """What an image was built from, and what came of it.

    ``contents`` is the digest of its files; ``arguments`` maps each build argument to the SHA-256 of its value, which
    may be a secret; ``id`` is the image's own digest; ``pushed`` is the digest that a registry has it under.
    """

    contents: str
    arguments: dict[str, str]
    platform: str | None
    id: str
    pushed: str | None = None


@dataclass(frozen=True, slots=True)
class Lock:
    """What a project was generated from: digests are SHA-256 in hex; ``files`` maps a path to managed or seed.

    ``pachyderm`` is the target, ``image`` the spec's; ``images`` maps each image there was to the digest of its inputs,
    ``builds`` each one that was built to what is known of that.
    """

    spoutgen: str
    pachyderm: int
    spec: str
    template: Origin
    image: str
    images: dict[str, str]
    files: dict[str, str]
    builds: dict[str, Build] = field(default_factory=dict)


def spec_digest(data: bytes) -> str:
    """The digest of a spec's text, as it stands in the lock."""
    return hashlib.sha256(data).hexdigest()


def spec_digest_of(folder: Path) -> str:
    """The digest of the spec in a folder; "" where none can be read, which is not what any lock has."""
    try:
        return spec_digest((folder / SPEC).read_bytes())
    except OSError:
        return ""


def as_entry(lock: Lock) -> Entry:
    """The lock as the file that is written; the same lock gives the same bytes."""
    document = {"version": VERSION, **asdict(lock), "files": dict(sorted(lock.files.items()))}
    return Entry((json.dumps(document, indent=2) + "\n").encode())


def read_lock(folder: Path) -> Lock:
    """The lock of a project folder. Raises ProjectError SG401 (no project), SG405 (damaged), SG404 (newer)."""
    file = folder / LOCK
    try:
        document = json.loads(file.read_bytes())
        version = document.pop("version")
        if version != VERSION or _is_newer(document["spoutgen"]):
            raise ProjectError(_too_new(file, document.get("spoutgen", "a newer version")))
        builds = {image: Build(**build) for image, build in document.pop("builds", {}).items()}
        lock = Lock(**{**document, "template": Origin(**document["template"])}, builds=builds)
        _check_types(lock)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ProjectError(no_project(folder)) from error
    except OSError as error:
        problem = f"the lock file cannot be read: {error.strerror or error}"
        raise ProjectError(Diagnostic("SG405", problem, Place(str(file)))) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"the lock file cannot be read: {error}"
        hint = "take it from version control; it says what spoutgen generated last"
        raise ProjectError(Diagnostic("SG405", problem, Place(str(file)), hint)) from error
    return lock


def write_lock(folder: Path, lock: Lock) -> None:
    """Write the lock in one step; for whoever holds the project alone."""
    new = folder / f"{LOCK}.new"
    new.unlink(missing_ok=True)
    write_entry(as_entry(lock), new)
    new.replace(folder / LOCK)
    sync_folder(folder / FOLDER)


def _too_new(file: Path, made_by: str) -> Diagnostic:
    problem = f"the project was made by spoutgen {made_by}, this is {__version__}"
    return Diagnostic(
        "SG404",
        problem,
        Place(str(file)),
        f"install spoutgen {made_by} or newer: an older one would take its work back",
    )


def _check_types(lock: Lock) -> None:
    """Raise TypeError for a lock that somebody wrote into; what is read later relies on this."""
    texts = [lock.spoutgen, lock.spec, lock.image, lock.template.digest, lock.template.path or ""]
    for build in lock.builds.values():
        texts += [build.contents, build.id, build.platform or "", build.pushed or "", *build.arguments.values()]
    tables = (lock.images, lock.files)
    are_texts = all(isinstance(text, str) for text in texts)
    if not (are_texts and all(isinstance(table, dict) for table in tables) and isinstance(lock.pachyderm, int)):
        raise TypeError("a value is of the wrong type")


def no_project(folder: Path) -> Diagnostic:
    """What to say of a folder that is no project, by what is in it."""
    if (folder / SPEC).is_file():
        message = f"{folder} has a {SPEC} but was not made by spoutgen"
        hint = f"make a project from it elsewhere: spoutgen new {folder / SPEC} -o NEW_FOLDER"
    elif not folder.is_dir():
        message, hint = f"{folder} is not a folder", "give the folder that `spoutgen new` made"
    else:
        message = f"{folder} is not a project: it has no {LOCK}"
        hint = "go into the project's folder, or make one: spoutgen new NAME"
    return Diagnostic("SG401", message, None, hint)


def read_base(folder: Path) -> dict[str, Entry]:
    """The managed files as they were last generated. Raises ProjectError SG405 where that cannot be told."""
    base = read_tree(folder / BASE)
    wrong = [path for path, entry in base.items() if entry.kind == "other"]
    if wrong:
        hint = "put its permissions right, or take the folder from version control"
        reason = base[wrong[0]].data.decode(errors="replace")
        raise ProjectError(Diagnostic("SG405", reason, Place(str(folder / BASE / wrong[0])), hint))
    return base


def _is_newer(version: str) -> bool:
    """Whether ``version`` (digits and dots) is above our own; a malformed one counts as newer."""
    try:
        theirs, ours = ([int(part) for part in text.split(".")] for text in (version, __version__))
    except ValueError:
        return version != __version__
    return theirs > ours
