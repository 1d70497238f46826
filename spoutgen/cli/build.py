"""Build the project's image, by docker, podman or buildah, and push it.

A tag stands for one image for ever, since nodes keep the image that they have under a tag: what it was built from is
written into .spoutgen/lock.json, and other files, build arguments or another platform need another tag.

spoutgen build                                       under the name that the spec gives
spoutgen build --push                                and to its registry
spoutgen build --build-arg PYTHON_IMAGE=python:3.12-slim
spoutgen build --platform linux/amd64,linux/arm64 --push
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from spoutgen.cli.parser import setting
from spoutgen.cluster.images import BUILDERS, BuilderError, OnLine, Recipe, build, find_builder, push

_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?")


@dataclass(frozen=True, slots=True)
class Options:
    """How to build: by which builder (None: the first that works), for which platforms, with which build arguments.

    ``is_pushed_once``: leave alone what was pushed before, built from the same.
    """

    builder: str | None = None
    platforms: Sequence[str] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)
    is_pushed: bool = False
    is_pushed_once: bool = False


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=Path(), help="the project (default: .)")
    add_options(parser)
    parser.add_argument("--push", action="store_true", help="push the image to its registry")


def add_options(parser: argparse.ArgumentParser) -> None:
    """How to build."""
    parser.add_argument(
        "--with", dest="builder", choices=list(BUILDERS), help="build with this one (default: the first that works)"
    )
    parser.add_argument(
        "--platform", dest="platforms", metavar="OS/ARCH[,...]", type=_platforms, default=(),
        help="build for this platform, e.g. linux/arm64, or for several: linux/amd64,linux/arm64",
    )  # fmt: skip
    parser.add_argument(
        "--build-arg", dest="arguments", metavar="NAME=VALUE", action="append", default=[], type=setting,
        help="a build argument, e.g. PYTHON_IMAGE=...; may be repeated",
    )  # fmt: skip


def _platforms(text: str) -> tuple[str, ...]:
    """The same platforms in the same order, however they were written: they belong to what a tag stands for."""
    found = [part.strip() for part in text.split(",")]
    wrong = [part for part in found if not _PLATFORM.fullmatch(part)]
    if wrong:
        raise argparse.ArgumentTypeError(f"{wrong[0]!r} is no platform such as linux/arm64")
    return tuple(sorted(set(found)))


def run(args: argparse.Namespace) -> int:
    """Build, and say what was built."""
    build_project(args.folder, Options(args.builder, args.platforms, dict(args.arguments), args.push), tell)
    return 0


def tell(line: str) -> None:
    """On standard output, at once: the push after the build may take long."""
    print(line, flush=True)


def build_project(folder: Path, options: Options, say: Callable[[str], None]) -> None:
    """Build a project's image, push it if asked, write both down, and ``say`` each.

    The progress is shown on standard error where that is a terminal. Raises ProjectError for a project that is out of
    step (SG403) or whose tag is taken by another image (SG410), and MachineError (SG701 to SG703) where a builder is
    missing or fails, after what it said last.
    """
    from spoutgen.project.builds import check_tag, image_to_build, pushed_before, record, wanted_build
    from spoutgen.project.context import stage
    from spoutgen.project.step import check_in_step

    check_in_step(folder)
    image = image_to_build(folder)
    with tempfile.TemporaryDirectory(prefix="spoutgen-") as scratch:
        context = stage(folder, Path(scratch))
        made = wanted_build(context.digest, options.arguments, options.platforms)
        check_tag(folder, image, made)
        before = pushed_before(folder, image, made) if options.is_pushed_once else None
        if before is not None:
            say(f"{image}: was pushed before, {before}")
            return
        builder = find_builder(options.builder, options.platforms)
        recipe = Recipe(
            image, context.dockerfile, context.folder, options.platforms, options.arguments, options.is_pushed
        )
        with _ended_by_signals(), _last_words(), _progress(f"{image} by {builder.name}") as on_line:
            identity = build(builder, recipe, on_line)
        if identity is not None:
            made = replace(made, id=identity)
            record(folder, image, made)
            say(f"{image}: built, {identity}")
        if options.is_pushed:
            with _ended_by_signals(), _last_words(), _progress(f"pushing {image}") as on_line:
                pushed = push(builder, recipe, on_line)
            record(folder, image, replace(made, id=identity or pushed, pushed=pushed))
            say(f"{image}: pushed, {pushed}")


def tell_plan(folder: Path, options: Options, say: Callable[[str], None]) -> None:
    """What `build_project` would do. Raises ProjectError SG410 for a tag that is taken by another image."""
    from spoutgen.project.builds import check_tag, image_to_build, pushed_before, wanted_build
    from spoutgen.project.image import contents_of

    image = image_to_build(folder)
    wanted = wanted_build(contents_of(folder), options.arguments, options.platforms)
    check_tag(folder, image, wanted)
    before = pushed_before(folder, image, wanted) if options.is_pushed_once else None
    todo = "to be built and pushed" if options.is_pushed else "to be built"
    say(f"{image}: {todo}" if before is None else f"{image}: was pushed before, {before}")


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """What ends us ends the builder too, as Ctrl-C does: it would build on, and nobody would write down what."""

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    signals = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is not signal.SIG_IGN]
    before = {each: signal.signal(each, end) for each in signals}
    try:
        yield
    finally:
        for each, was in before.items():
            signal.signal(each, was)


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
