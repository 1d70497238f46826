"""``.spoutgen/``: what was generated last. ``lock.json`` says from what; ``base/`` holds the managed files themselves.

lock.json, version 1 (schemas/lock-1.json)::

    {"version": 1, "spoutgen": "0.1.0",
     "spec": sha256 of spout.yaml, "template": sha256 of the template's tree,
     "files": {"pipeline.json": "managed", "README.md": "seed", ...}}

An update compares three trees: base (what we generated), yours (what is there), new (what we would generate now).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from spoutgen import __version__
from spoutgen.errors import Diagnostic, Place, ProjectError
from spoutgen.project.tree import Entry, read_tree

FOLDER = ".spoutgen"
LOCK = f"{FOLDER}/lock.json"
BASE = f"{FOLDER}/base"
SPEC = "spout.yaml"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Lock:
    """What a project was generated from: digests are SHA-256 in hex; ``files`` maps a path to managed or seed."""

    spoutgen: str
    spec: str
    template: str
    files: dict[str, str]


def spec_digest(data: bytes) -> str:
    """The digest of a spec's text, as it stands in the lock."""
    return hashlib.sha256(data).hexdigest()


def as_entry(lock: Lock) -> Entry:
    """The lock as the file that is written; the same lock gives the same bytes."""
    document = {
        "version": VERSION,
        "spoutgen": lock.spoutgen,
        "spec": lock.spec,
        "template": lock.template,
        "files": dict(sorted(lock.files.items())),
    }
    return Entry((json.dumps(document, indent=2) + "\n").encode())


def read_lock(folder: Path) -> Lock:
    """The lock of a project folder. Raises ProjectError SG401 (no project), SG405 (damaged), SG404 (newer)."""
    file = folder / LOCK
    try:
        document = json.loads(file.read_bytes())
        version = document["version"]
        if version == VERSION:
            lock = Lock(document["spoutgen"], document["spec"], document["template"], dict(document["files"]))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ProjectError(no_project(folder)) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProjectError(
            Diagnostic(
                "SG405",
                f"the lock file cannot be read: {error}",
                Place(str(file)),
                "take it from version control; it says what spoutgen generated last",
            )
        ) from error
    if version != VERSION or _is_newer(lock.spoutgen):
        made_by = document.get("spoutgen", "a newer version")
        raise ProjectError(
            Diagnostic(
                "SG404",
                f"the project was made by spoutgen {made_by}, this is {__version__}",
                Place(str(file)),
                f"install spoutgen {made_by} or newer: an older one would take its work back",
            )
        )
    return lock


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
    """The managed files as they were last generated."""
    return read_tree(folder / BASE)


def _is_newer(version: str) -> bool:
    """Whether ``version`` (digits and dots) is above our own; a malformed one counts as newer."""
    try:
        theirs, ours = ([int(part) for part in text.split(".")] for text in (version, __version__))
    except ValueError:
        return version != __version__
    return theirs > ours
