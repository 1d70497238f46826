"""Build the project's image, by docker, podman or buildah, and push it.

A tag stands for one image for ever, since nodes keep the image that they have under a tag: what it was built from is
written into .spoutgen/lock.json, and other files, build arguments or another platform need another tag.

spoutgen build                                       under the name that the spec gives
spoutgen build --push                                and to its registry
spoutgen build --build-arg PYTHON_IMAGE=python:3.12-slim
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from spoutgen.cli.parser import setting
from spoutgen.cluster.images import BUILDERS, BuilderError, OnLine, Recipe, build, find_builder, push

if TYPE_CHECKING:
    from spoutgen.project.lock import Build


@dataclass(frozen=True, slots=True)
class Options:
    """How to build: by which builder (None: the first that works), for which platform, with which build arguments."""

    builder: str | None = None
    platform: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    is_pushed: bool = False


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=Path(), help="the project (default: .)")
    parser.add_argument(
        "--with", dest="builder", choices=list(BUILDERS), help="build with this one (default: the first that works)"
    )
    parser.add_argument("--platform", metavar="OS/ARCH", type=_platform, help="build for this one, e.g. linux/arm64")
    parser.add_argument(
        "--build-arg", dest="arguments", metavar="NAME=VALUE", action="append", default=[], type=setting,
        help="a build argument, e.g. PYTHON_IMAGE=...; may be repeated",
    )  # fmt: skip
    parser.add_argument("--push", action="store_true", help="push the image to its registry")


def _platform(text: str) -> str:
    if "," in text:
        raise argparse.ArgumentTypeError("one platform at a time; give each a tag of its own")
    return text


def run(args: argparse.Namespace) -> int:
    """Build, and say what was built."""
    options = Options(args.builder, args.platform, dict(args.arguments), args.push)
    image, made = build_project(args.folder, options)
    print(f"{image}: built, {made.id}")
    if args.push:
        print(f"{image}: pushed, {made.pushed}")
    return 0


def build_project(folder: Path, options: Options) -> tuple[str, Build]:
    """Build a project's image, push it if asked, and write both down; returns the image and what it was built from.

    The progress is shown on standard error where that is a terminal. Raises ProjectError for a project that is out of
    step (SG403) or whose tag is taken by another image (SG410), and MachineError (SG701 to SG703) where a builder is
    missing or fails, after what it said last.
    """
    from spoutgen.project.builds import check_tag, image_to_build, record, wanted_build
    from spoutgen.project.context import stage
    from spoutgen.project.step import check_in_step

    check_in_step(folder)
    image = image_to_build(folder)
    with tempfile.TemporaryDirectory(prefix="spoutgen-") as scratch:
        context = stage(folder, Path(scratch))
        made = wanted_build(context.digest, options.arguments, options.platform)
        check_tag(folder, image, made)
        builder = find_builder(options.builder)
        recipe = Recipe(image, context.dockerfile, context.folder, options.platform, options.arguments)
        with _last_words(), _progress(f"{image} by {builder.name}") as on_line:
            made = replace(made, id=build(builder, recipe, on_line))
        record(folder, image, made)
    if options.is_pushed:
        with _last_words(), _progress(f"pushing {image}") as on_line:
            made = replace(made, pushed=push(builder, image, on_line))
        record(folder, image, made)
    return image, made


@contextmanager
def _last_words() -> Iterator[None]:
    """Tell what a builder said before it failed."""
    from spoutgen.report import printable

    try:
        yield
    except BuilderError as error:
        sys.stderr.writelines(f"| {printable(line)}\n" for line in error.tail)
        raise


@contextmanager
def _progress(what: str) -> Iterator[OnLine]:
    """On a terminal, one line with how long it takes and what the builder says last; elsewhere nothing."""
    from spoutgen.report import printable

    if not sys.stderr.isatty():
        yield lambda line: None
        return
    begin = time.monotonic()
    width = shutil.get_terminal_size().columns - 1

    def show(line: str) -> None:
        text = f"{what} {time.monotonic() - begin:.0f} s: {printable(line.strip())}"
        sys.stderr.write(f"\r\x1b[K{text[:width]}")
        sys.stderr.flush()

    show("begins")
    try:
        yield show
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
