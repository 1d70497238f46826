"""What an image is built from: the very files that its digest counts, copied out of the project.

A builder that looked into the project itself could see other files than the digest does (a ``.containerignore``, a
``Dockerfile.dockerignore``, an edit in between), and would take over modes and times that the digest leaves out: with a
umask of 077 a spout that is not root could not read itself. So it is given a copy, in which all of that is settled.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spoutgen.errors import Diagnostic, Place, ProjectError
from spoutgen.project.image import DOCKERFILE, copied
from spoutgen.project.tree import file_digest, joint_digest

# The same files make the same layer, whenever they were written.
_NO_TIME = (0, 0)


@dataclass(frozen=True, slots=True)
class Context:
    """The copy: the ``dockerfile`` beside the ``folder`` that it copies from, and the digest of both together."""

    dockerfile: Path
    folder: Path
    digest: str


def stage(project: Path, to: Path) -> Context:
    """Copy what the project's image is built from below ``to``, an empty folder.

    The digest is taken of the copy, so it is that of what is built, whoever edits the project meanwhile. Raises
    ProjectError SG417 with everything that cannot go into an image.
    """
    paths = copied(project)
    problems = list(_problems(project, paths))
    if problems:
        raise ProjectError(*problems)
    context = Context(to / DOCKERFILE, to / "context", "")
    context.folder.mkdir(0o755)
    _copy(project / DOCKERFILE, context.dockerfile)
    digests = {DOCKERFILE: file_digest(to, DOCKERFILE)}
    for path in paths:
        _copy(project / path, context.folder / path)
        if path != DOCKERFILE:
            digests[path] = file_digest(context.folder, path)
    for folder, _, _ in os.walk(context.folder, topdown=False):
        Path(folder).chmod(0o755)
        os.utime(folder, _NO_TIME)
    return Context(context.dockerfile, context.folder, joint_digest(digests))


def _problems(project: Path, paths: list[str]) -> Iterator[Diagnostic]:
    dockerfile = project / DOCKERFILE
    if dockerfile.is_symlink() or not dockerfile.is_file():
        hint = f"take it from version control, or from {project / '.spoutgen/base' / DOCKERFILE}"
        yield Diagnostic("SG417", f"the project has no {DOCKERFILE} of its own", Place(str(dockerfile)), hint)
    for path in paths:
        file = project / path
        mode = file.lstat().st_mode
        if stat.S_ISLNK(mode):
            continue
        if not stat.S_ISREG(mode):
            problem, hint = "this is no regular file and cannot go into an image", "name it in .dockerignore"
            yield Diagnostic("SG417", problem, Place(str(file)), hint)
        elif not os.access(file, os.R_OK, effective_ids=True):
            hint = "put its permissions right, or name it in .dockerignore"
            yield Diagnostic("SG417", "this file cannot be read", Place(str(file)), hint)


def _copy(source: Path, target: Path) -> None:
    """One file or link; of its mode, only whether it may be executed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target, follow_symlinks=False)
    if not target.is_symlink():
        target.chmod(0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644)
    os.utime(target, _NO_TIME, follow_symlinks=False)
