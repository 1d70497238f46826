"""What a tag was built from: the same for ever, or another tag.

The files are known by their digest (:mod:`spoutgen.project.image`). Build arguments and the platform make another image
of the same files, so they count too, once an image was built.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from spoutgen.errors import Diagnostic, MachineError, Place, ProjectError
from spoutgen.project import apply
from spoutgen.project.conflicts import located
from spoutgen.project.lock import LOCK, SPEC, Build, read_lock, write_lock
from spoutgen.project.step import image_of, reused_tag

# Builders know these without an ARG in the Dockerfile; they say how to reach the network, and may hold a password.
_PROXIES = frozenset({"http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"})


def image_to_build(folder: Path) -> str:
    """The image that the project's pipeline runs. Raises ProjectError SG301 for one that cannot be built."""
    image = image_of(folder)
    if "@" in image:
        problem = f"{image} is named by its digest, which an image has only once it is built"
        hint = (
            f"name it by a tag: spoutgen set image=REPOSITORY:v1{located(folder)} && spoutgen update{located(folder)}"
        )
        raise ProjectError(Diagnostic("SG301", problem, Place(str(folder / SPEC)), hint))
    return image


def wanted_build(contents: str, arguments: Mapping[str, str], platforms: Sequence[str]) -> Build:
    """What is to be built; it has no ``id`` yet."""
    digests = {
        name: hashlib.sha256(value.encode(errors="surrogateescape")).hexdigest()
        for name, value in sorted(arguments.items())
        if name.lower() not in _PROXIES
    }
    return Build(contents, digests, ",".join(platforms) or None, "")


def check_tag(folder: Path, image: str, wanted: Build) -> None:
    """Raise ProjectError SG410 if the tag was used, or built, with something else."""
    lock = read_lock(folder)
    if lock.images.get(image, wanted.contents) != wanted.contents:
        raise ProjectError(reused_tag(folder, image))
    differences = list(_differences(lock.builds[image], wanted)) if image in lock.builds else []
    if differences:
        problem = f"{image} was built otherwise before: {', '.join(differences)}; a tag stands for one image for ever"
        hint = f"build it as before, or give it a new tag: spoutgen update --bump{located(folder)}"
        raise ProjectError(Diagnostic("SG410", problem, Place(str(folder / SPEC)), hint))


def _differences(was: Build, wanted: Build) -> Iterator[str]:
    if was.contents != wanted.contents:
        yield "from other files"
    if was.platform != wanted.platform:
        yield f"for {was.platform or 'the platform of its builder'}"
    for name in sorted({*was.arguments, *wanted.arguments}):
        if was.arguments.get(name) != wanted.arguments.get(name):
            yield f"{'with another' if name in was.arguments else 'without a'} {name}"


def pushed_before(folder: Path, image: str, wanted: Build) -> str | None:
    """The digest that a registry has it under already, built from the same; None if it was not pushed."""
    known = read_lock(folder).builds.get(image)
    return known.pushed if known and not list(_differences(known, wanted)) else None


def record(folder: Path, image: str, build: Build) -> None:
    """Write down in the lock what a tag stands for from now on. Raises MachineError SG407 if that cannot be written."""
    with apply.alone(folder):
        lock = read_lock(folder)
        images = {**lock.images, image: lock.images.get(image, build.contents)}
        before = lock.builds.get(image)
        if build.pushed is None and before is not None and before.id == build.id:
            build = replace(build, pushed=before.pushed)  # the very image that the registry has
        try:
            write_lock(folder, replace(lock, images=images, builds={**lock.builds, image: build}))
        except OSError as error:
            problem = f"{image} is built, but that cannot be written down: {error.strerror or error}"
            hint = "put that right and build again; otherwise its tag could come to stand for something else"
            raise MachineError(Diagnostic("SG407", problem, Place(str(folder / LOCK)), hint)) from error
