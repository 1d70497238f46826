"""What goes into a project's image, and which tag it has.

Nodes keep an image that they have under a tag (the pull policy is IfNotPresent), so a tag must mean the same contents
for ever. The contents are known by a digest of what the image is built from: the Dockerfile, and the files that its
``COPY . ./`` takes, which are all but those that ``.dockerignore`` names.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from spoutgen.errors import Diagnostic, SpecError
from spoutgen.project.dockerignore import has_exceptions, ignores
from spoutgen.project.lock import FOLDER
from spoutgen.project.tree import Entry, Tree, digest, file_digest, joint_digest, read_entry, walk

DOCKERFILE = "Dockerfile"
IGNORE = ".dockerignore"
LONGEST_TAG = 128  # of the reference grammar of container registries


def contents(tree: Tree) -> str:
    """The digest of the contents of the image that is built from a project's tree."""
    is_ignored = ignores(_ignore_text(tree.get(IGNORE)))
    return joint_digest({path: digest(entry) for path, entry in tree.items() if _is_input(path, is_ignored(path))})


def contents_of(folder: Path, after: Mapping[str, Entry | None] | None = None) -> str:
    """The same of the project in ``folder``, with the files of ``after`` in place of its own (None: deleted)."""
    after = after or {}
    text = _ignore_text(after[IGNORE] if IGNORE in after else read_entry(folder, IGNORE))
    is_ignored = ignores(text)
    digests = {path: file_digest(folder, path) for path in _copied(folder, text) if path not in after}
    if DOCKERFILE not in after and (dockerfile := read_entry(folder, DOCKERFILE)):
        digests[DOCKERFILE] = digest(dockerfile)
    for path, entry in after.items():
        if entry is not None and _is_input(path, is_ignored(path)):
            digests[path] = digest(entry)
    return joint_digest(digests)


def copied(folder: Path) -> list[str]:
    """The files and links of the project that its image gets by ``COPY . ./``, in order."""
    return list(_copied(folder, _ignore_text(read_entry(folder, IGNORE))))


def _copied(folder: Path, text: str) -> Iterator[str]:
    """The same with a ``.dockerignore`` of that ``text``."""
    is_ignored = ignores(text)
    prune = (lambda path: path == FOLDER) if has_exceptions(text) else (lambda path: path == FOLDER or is_ignored(path))
    return (path for path in walk(folder, prune) if not is_ignored(path) and not path.startswith(f"{FOLDER}/"))


def _is_input(path: str, is_ignored: bool) -> bool:
    return path == DOCKERFILE or not (is_ignored or path.startswith(f"{FOLDER}/"))


def _ignore_text(entry: Entry | None) -> str:
    return entry.data.decode(errors="surrogateescape") if entry and entry.kind == "file" else ""


def bumped(image: str, used: Collection[str]) -> str:
    """The same image under the next tag that is not ``used``: v1 -> v2, 1.4.9 -> 1.4.10, stable -> stable-2.

    Raises SpecError SG301 for an image that is named by its digest, or whose tag cannot grow.
    """
    repository, colon, tag = image.rpartition(":")
    if "@" in image or not colon or "/" in tag:
        hint = "build and push it, then write its new digest into spout.yaml"
        raise SpecError(Diagnostic("SG301", f"{image} has no tag to bump; it is named by its digest", None, hint))
    while True:
        tag = _next_tag(tag)
        if len(tag) > LONGEST_TAG:
            raise SpecError(Diagnostic("SG301", f"the tag of {image} cannot grow any more", None, "give it a new one"))
        if f"{repository}:{tag}" not in used:
            return f"{repository}:{tag}"


def _next_tag(tag: str) -> str:
    found = re.search(r"[0-9]+$", tag)
    if not found:
        return f"{tag}-2"
    number = found[0]
    return tag[: found.start()] + str(int(number) + 1).zfill(len(number))
