"""Images, built and pushed by docker, podman or buildah: whichever is on this machine and works.

All three understand the same words, but for few. Nothing is asked of a terminal, so that a build in CI does not wait
for an answer; logging in to a registry is the builder's own affair (``docker login``).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spoutgen.errors import Diagnostic, MachineError

# In the order in which they are looked for, each with the question that only a working one answers: a docker command is
# often there without a daemon, and a podman without its machine.
BUILDERS: Mapping[str, Sequence[str]] = {"docker": ("version",), "podman": ("info",), "buildah": ("version",)}
_PATIENCE = 30.0  # seconds for that answer
_TAIL = 20
_ID = re.compile(r"sha256:[0-9a-f]{64}")

OnLine = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Builder:
    """One of the three: its ``name``, and the ``program`` to run."""

    name: str
    program: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to build: the ``image`` to name it, the ``dockerfile``, the folder ``context`` that it copies from.

    ``platform`` is as builders write it (``linux/arm64``), None for their own; ``arguments`` are build arguments.
    """

    image: str
    dockerfile: Path
    context: Path
    platform: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)


class BuilderError(MachineError):
    """A builder has failed; ``tail`` is the last that it said, line by line."""

    def __init__(self, diagnostic: Diagnostic, tail: Sequence[str]) -> None:
        super().__init__(diagnostic)
        self.tail = tuple(tail)


def find_builder(wanted: str | None = None) -> Builder:
    """The first builder that works, or the ``wanted`` one. Raises MachineError SG701 with what is wrong with each."""
    reasons = []
    for name in [wanted] if wanted else BUILDERS:
        program = shutil.which(name)
        reason = _why_not(program, BUILDERS[name]) if program else "there is none on PATH"
        if program and reason is None:
            return Builder(name, program)
        reasons.append(f"{name}: {reason}")
    hint = "install one of docker, podman and buildah, or start its service"
    if wanted:
        hint = f"start it or install it, or leave out --with {wanted} to take another one"
    raise MachineError(Diagnostic("SG701", f"no image can be built here: {'; '.join(reasons)}", None, hint))


def _why_not(program: str, question: Sequence[str]) -> str | None:
    """Why a builder does not work; None for one that does."""
    try:
        asked = subprocess.run(
            [program, *question], stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it gave no answer in {_PATIENCE:g} seconds"
    except OSError as error:
        return f"it cannot be started: {error.strerror or error}"
    if asked.returncode == 0:
        return None
    said = asked.stderr.decode(errors="replace").strip().splitlines()
    return said[-1] if said else f"it ended with status {asked.returncode}"


def build(builder: Builder, recipe: Recipe, on_line: OnLine) -> str:
    """Build an image and return its id, ``sha256:...``; ``on_line`` gets every line that the builder says.

    Raises BuilderError SG702 if it cannot be built.
    """
    with tempfile.TemporaryDirectory(prefix="spoutgen-") as folder:
        written = Path(folder, "id")
        command = [builder.program, "build", "--tag", recipe.image, "--file", str(recipe.dockerfile)]
        command += ["--iidfile", str(written)]
        if recipe.platform:
            command += ["--platform", recipe.platform]
        for name, value in recipe.arguments.items():
            command += ["--build-arg", f"{name}={value}"]
        if builder.name != "docker":
            # The context is already without what is ignored; a .containerignore in it would be obeyed otherwise. And
            # buildah alone keeps no layers unless it is told to.
            command += ["--layers", "--ignorefile", os.devnull]
        status, tail = _run([*command, str(recipe.context)], on_line)
        found = _ID.search(written.read_text()) if status == 0 and written.is_file() else None
    if found is None:
        problem = f"{builder.name} could not build {recipe.image}: it ended with status {status}"
        raise BuilderError(Diagnostic("SG702", problem, None, _hint(_BUILD_HINTS, tail)), tail)
    return found[0]


def push(builder: Builder, image: str, on_line: OnLine) -> str:
    """Push an image to the registry that its name says; returns its digest there. Raises BuilderError SG703."""
    with tempfile.TemporaryDirectory(prefix="spoutgen-") as folder:
        written = Path(folder, "digest")
        options = [] if builder.name == "docker" else ["--digestfile", str(written)]
        status, tail = _run([builder.program, "push", *options, image], on_line)
        said = written.read_text() if written.is_file() else "\n".join(reversed(tail))
    found = _ID.search(said)
    if status != 0 or found is None:
        problem = f"{builder.name} could not push {image}: it ended with status {status}"
        hint = _hint(_PUSH_HINTS, tail).format(name=builder.name, registry=registry_of(image), image=image)
        raise BuilderError(Diagnostic("SG703", problem, None, hint), tail)
    return found[0]


def registry_of(image: str) -> str:
    """The registry that an image's name means; a name without one means Docker Hub."""
    first, slash, _ = image.partition("/")
    return first if slash and (first == "localhost" or "." in first or ":" in first) else "docker.io"


def _run(command: Sequence[str], on_line: OnLine) -> tuple[int, list[str]]:
    """Run a builder; returns its status and the last lines of what it said."""
    tail: deque[str] = deque(maxlen=_TAIL)
    environment = {**os.environ, "BUILDKIT_PROGRESS": "plain"}
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    ) as process:
        try:
            for line in _lines(process):
                tail.append(line)
                on_line(line)
        except BaseException:
            process.terminate()
            raise
    return process.returncode, list(tail)


def _lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """What it says as it says it, without blank lines; a progress bar writes over its line with carriage returns."""
    assert process.stdout is not None
    for raw in process.stdout:
        line = raw.decode(errors="replace").rstrip().rpartition("\r")[2]
        if line.strip():
            yield line


_BUILD_HINTS = (
    (r"no space left", "make room: builders keep old images until they are told to remove them (`system prune`)"),
    (
        r"pull access denied|manifest unknown|no such image|initializing source|failed to resolve source|no such host"
        r"|connection refused|i/o timeout|short-name",
        "its base image cannot be had; another one that has python3: --build-arg PYTHON_IMAGE=...",
    ),
    (r"requirements\.txt|No matching distribution", "a requirement cannot be installed; see the lines above"),
)
_PUSH_HINTS = (
    (
        r"unauthorized|authentication required|denied|no basic auth|forbidden|insufficient_scope",
        "log in, as somebody who may push there: `{name} login {registry}`; is {image} where your images belong?",
    ),
    (
        r"no such host|connection refused|i/o timeout|deadline exceeded|TLS|x509|HTTP response to HTTPS",
        "{registry} cannot be reached from here; is that the registry of your cluster?",
    ),
)
_SEE_ABOVE = "see what it said above"


def _hint(hints: Sequence[tuple[str, str]], tail: Sequence[str]) -> str:
    """What to do, by what the builder said last."""
    said = "\n".join(tail)
    return next((hint for pattern, hint in hints if re.search(pattern, said, re.IGNORECASE)), _SEE_ABOVE)
