"""Images, built and pushed by docker, podman or buildah: whichever is on this machine and works.

All three understand the same words, but for few. Nothing is asked of a terminal, so that a build in CI does not wait
for an answer; logging in to a registry is the builder's own affair (``docker login``).

An image for several platforms is a list of images, and there the three differ: podman and buildah keep it on this
machine; docker builds it with buildx, which mostly has no place for it but a registry.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from spoutgen.errors import Diagnostic, MachineError

# In the order in which they are looked for, each with the question that only a working one answers: a docker command is
# often there without a daemon, and a podman without its machine.
BUILDERS: Mapping[str, Sequence[str]] = {"docker": ("version",), "podman": ("info",), "buildah": ("version",)}
_BUILDX = ("buildx", "version")
_PATIENCE = 30.0  # seconds for that answer
_TAIL = 20
_ID = re.compile(r"sha256:[0-9a-f]{64}")

OnLine = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Builder:
    """One of the three: its ``name``, and the ``program`` to run. Only docker may have buildx."""

    name: str
    program: str
    has_buildx: bool = False


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to build: the ``image`` to name it, the ``dockerfile``, the folder ``context`` that it copies from.

    ``platforms`` are as builders write them (``linux/arm64``), none for their own; ``arguments`` are build arguments.
    ``is_pushed``: it will be pushed, so it need not stay on this machine.
    """

    image: str
    dockerfile: Path
    context: Path
    platforms: Sequence[str] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)
    is_pushed: bool = False

    @property
    def is_list(self) -> bool:
        """Whether it is a list of images, one a platform."""
        return len(self.platforms) > 1


class BuilderError(MachineError):
    """A builder has failed; ``tail`` is the last that it said, line by line."""

    def __init__(self, diagnostic: Diagnostic, tail: Sequence[str]) -> None:
        super().__init__(diagnostic)
        self.tail = tuple(tail)


def find_builder(wanted: str | None = None, platforms: Sequence[str] = ()) -> Builder:
    """The first builder that works and can build for the ``platforms``, or the ``wanted`` one.

    Raises MachineError SG701 with what is wrong with each.
    """
    reasons = []
    for name in [wanted] if wanted else BUILDERS:
        program = shutil.which(name)
        reason = _why_not(program, BUILDERS[name]) if program else "there is none on PATH"
        if program and reason is None:
            builder = Builder(name, program, name == "docker" and _why_not(program, _BUILDX) is None)
            if name != "docker" or builder.has_buildx or len(platforms) < 2:
                return builder
            reason = "it has no buildx, which an image for several platforms needs"
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


def build(builder: Builder, recipe: Recipe, on_line: OnLine) -> str | None:
    """Build an image and return its id, ``sha256:...``; ``on_line`` gets every line that the builder says.

    None for a list that docker is to push: until then it stands nowhere but in the cache of buildx. Raises BuilderError
    SG702 if it cannot be built.
    """
    if recipe.is_list and builder.name != "docker":
        return _build_list(builder, recipe, on_line)
    if recipe.is_list and recipe.is_pushed:
        _build(builder, recipe, [], [], on_line)
        return None
    with _result_file() as written:
        # A builder of buildx that is no part of the docker daemon leaves the image nowhere without --load.
        result = [*(["--load"] if builder.has_buildx else []), "--iidfile", str(written)]
        tail = _build(builder, recipe, ["--tag", recipe.image], result, on_line)
        named = _ID.search(written.read_text()) if written.is_file() else None
    if named is None:
        raise _not_built(builder, recipe, "it ended well, and names no image", tail)
    return named[0]


def _build_list(builder: Builder, recipe: Recipe, on_line: OnLine) -> str:
    """Build an image for several platforms with podman or buildah; returns an id that stands for all of its images.

    Under a name of its own at first: a build adds to the list that has the name, and would leave the old images in it.
    The builder's own id of a list is another one each time, even if all of it came out of the cache.
    """
    name = f"localhost/spoutgen-build:{uuid.uuid4().hex}"
    try:
        tail = _build(builder, recipe, ["--manifest", name], [], on_line)
        found = set(_ID.findall(_ask(builder, recipe, "manifest", "inspect", name)))
        if len(found) != len(recipe.platforms):
            # Seen of buildah 1.28: what does not differ by its base image is taken from the cache for both.
            why = f"of {', '.join(recipe.platforms)} it made {len(found)}"
            raise _not_built(builder, recipe, why, tail, "is its base image there for each of these platforms?")
        _ask(builder, recipe, "tag", name, recipe.image)
        return f"sha256:{hashlib.sha256(' '.join(sorted(found)).encode()).hexdigest()}"
    finally:
        with suppress(BuilderError):
            _ask(builder, recipe, "manifest", "rm", name)


def push(builder: Builder, recipe: Recipe, on_line: OnLine) -> str:
    """Push what was built to the registry that its name says; returns its digest there. Raises BuilderError SG703."""
    image = recipe.image
    with _result_file() as written:
        if builder.name != "docker":
            words = ["manifest", "push", "--all"] if recipe.is_list else ["push"]
            to = [image, f"docker://{image}"] if recipe.is_list else [image]
            command = [builder.program, *words, "--digestfile", str(written), *to]
        elif recipe.is_list:
            # It is all in the cache by now, so what fails is the push.
            command = _command(builder, recipe, ["--tag", image], ["--push", "--iidfile", str(written)])
        else:
            command = [builder.program, "push", image]
        status, tail = _run(command, on_line)
        found = _ID.search(written.read_text() if written.is_file() else "\n".join(reversed(tail)))
    if status != 0 or found is None:
        why = _ending(status) if status != 0 else "it ended well, and names no digest"
        hint = _hint(_PUSH_HINTS, tail)
        if status == 0 and recipe.is_list:
            hint = "does {registry} speak TLS? Older builders push several platforms to no other, and do not say so"
        hint = hint.format(name=builder.name, registry=registry_of(image), image=image)
        problem = f"{builder.name} could not push {image}: {why}"
        raise BuilderError(Diagnostic("SG703", problem, None, hint), tail)
    return found[0]


def _build(builder: Builder, recipe: Recipe, name: Sequence[str], result: Sequence[str], on_line: OnLine) -> list[str]:
    """Build, with the options for its ``name`` and for what becomes of the ``result``; returns the last words."""
    status, tail = _run(_command(builder, recipe, name, result), on_line)
    if status != 0:
        raise _not_built(builder, recipe, _ending(status), tail)
    return tail


def _command(builder: Builder, recipe: Recipe, name: Sequence[str], result: Sequence[str]) -> list[str]:
    """How to build. With buildx by its own name: `docker build` passes over the builder that the user has chosen."""
    command = [builder.program, *(["buildx"] if builder.has_buildx else []), "build", *name]
    command += ["--file", str(recipe.dockerfile), *result]
    if recipe.platforms:
        command += ["--platform", ",".join(recipe.platforms)]
    for argument, value in recipe.arguments.items():
        command += ["--build-arg", f"{argument}={value}"]
    if builder.name != "docker":
        # The context is already without what is ignored; a .containerignore in it would be obeyed otherwise. And
        # buildah alone keeps no layers unless it is told to.
        command += ["--layers", "--ignorefile", os.devnull]
    return [*command, str(recipe.context)]


def _ending(status: int) -> str:
    return f"it ended with status {status}" if status >= 0 else f"it was ended by {signal.Signals(-status).name}"


def _ask(builder: Builder, recipe: Recipe, *words: str) -> str:
    """What a builder answers to a small question about what it has built."""
    said: list[str] = []
    status, tail = _run([builder.program, *words], said.append)
    if status != 0:
        raise _not_built(builder, recipe, f"`{builder.name} {' '.join(words[:2])}` ended with status {status}", tail)
    return "\n".join(said)


def _not_built(
    builder: Builder, recipe: Recipe, why: str, tail: Sequence[str], hint: str | None = None
) -> BuilderError:
    problem = f"{builder.name} could not build {recipe.image}: {why}"
    return BuilderError(Diagnostic("SG702", problem, None, hint or _hint(_BUILD_HINTS, tail)), tail)


@contextmanager
def _result_file() -> Iterator[Path]:
    """Where a builder can write the id or the digest of what it made."""
    with tempfile.TemporaryDirectory(prefix="spoutgen-") as folder:
        yield Path(folder, "result")


def registry_of(image: str) -> str:
    """The registry that an image's name means; a name without one means Docker Hub."""
    first, slash, _ = image.partition("/")
    return first if slash and (first == "localhost" or "." in first or ":" in first) else "docker.io"


def _run(command: Sequence[str], on_line: OnLine) -> tuple[int, list[str]]:
    """Run a builder; returns its status and the last lines of what it said."""
    tail: deque[str] = deque(maxlen=_TAIL)
    environment = {**os.environ, "BUILDKIT_PROGRESS": "plain"}
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            for line in _lines(process):
                tail.append(line)
                on_line(line)
        except BaseException:
            # With all that it has started: what a RUN of a Dockerfile does would go on without it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
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
    (
        r"not supported for the docker driver|platforms? feature is currently not supported|exporting manifest lists",
        "docker keeps an image for several platforms in a registry only: `docker buildx create --use`, then --push;"
        " or build it --with podman or buildah",
    ),
    (r"exec format error", "it cannot run programs of that platform: install qemu-user-static, or build it there"),
    (
        r"externally-managed-environment",
        "its base image guards its own Python against pip: `ENV PIP_BREAK_SYSTEM_PACKAGES=1` in that image allows it",
    ),
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
