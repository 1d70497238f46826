"""The environment and the command line that the user code is started with, here instead of in a container."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spoutgen.errors import Diagnostic, MachineError
from spoutgen.local.generations import Generation
from spoutgen.local.pipelines import Pipeline
from spoutgen.local.spec import SecretRef, SpoutSpec

# The folder of the image that holds the project (its Dockerfile says so).
APP = "/app"
# All that the user code gets of the environment of spoutgen itself.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
_MASK = "***"


@dataclass(frozen=True, slots=True)
class Secrets:
    """The values of a pipeline's secrets, by the variable that the user code gets them in."""

    values: Mapping[str, str]

    def masked(self, text: str) -> str:
        """``text`` without any of the values, also where they stand inside JSON or broken into lines."""
        for shape in self._shapes():
            text = text.replace(shape, _MASK)
        return text

    @property
    def longest(self) -> int:
        """The length of the longest text that is masked."""
        return max(map(len, self._shapes()), default=0)

    def _shapes(self) -> list[str]:
        shapes: set[str] = set()
        for value in self.values.values():
            for part in (value, *value.splitlines()):
                shapes.update(
                    (part, json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1], repr(part)[1:-1])
                )
        # The longest first, so that no piece of one is left over; a blank line of a key file is no secret.
        return sorted((shape for shape in shapes if shape.strip()), key=len, reverse=True)


def find_secrets(refs: Iterable[SecretRef], environment: Mapping[str, str]) -> Secrets:
    """The secrets' values, from the variables of those names. Raises MachineError SG505 with all that are missing."""
    missing: list[Diagnostic] = []
    values: dict[str, str] = {}
    for ref in refs:
        if ref.env_var and ref.env_var in environment:
            values[ref.env_var] = environment[ref.env_var]
        elif ref.env_var:
            message = f"secret {ref.name!r} is to be the variable {ref.env_var}, which is not set here"
            hint = f"set it for this run: {ref.env_var}=... spoutgen run"
            missing.append(Diagnostic("SG505", message, None, hint))
        if ref.mount_path and not Path(ref.mount_path).exists():
            message = f"secret {ref.name!r} is to be mounted at {ref.mount_path}, which does not exist here"
            hint = f"make {ref.mount_path} with the secret's keys as files"
            missing.append(Diagnostic("SG505", message, None, hint))
    if missing:
        raise MachineError(*missing)
    return Secrets(values)


def user_environment(
    pipeline: Pipeline, generation: Generation, pfs: Path, secrets: Secrets, environment: Mapping[str, str]
) -> dict[str, str]:
    """What the user code finds in its environment; ``environment`` is that of spoutgen itself."""
    # v1.13.4:src/server/pps/server/worker_rc.go:144-197, the part that a spout may look at.
    own = {
        generation.namespace_variable: "default",
        **({"PACH_IN_WORKER": "true"} if generation.sets_pach_in_worker else {}),
        "PPS_PIPELINE_NAME": pipeline.name,
        "PPS_SPEC_COMMIT": pipeline.spec_commit,
        "SPOUT_PFS_ROOT": str(pfs),
    }
    return common_environment(pipeline.spec, own, secrets, environment)


def common_environment(
    spec: SpoutSpec, own: Mapping[str, str], secrets: Secrets, environment: Mapping[str, str]
) -> dict[str, str]:
    """What every worker gives: something of spoutgen's own, its ``own`` variables, the spec's, the secrets."""
    found = {name: environment[name] for name in _INHERITED if name in environment}
    found.update(own)
    # The project is the user's: running it leaves no byte code in there.
    found["PYTHONDONTWRITEBYTECODE"] = "1"
    for name, value in spec.env.items():
        found[name] = _expanded(value, found)
    return {**found, **secrets.values}


def _expanded(value: str, known: Mapping[str, str]) -> str:
    """A value as Kubernetes hands it over: ``$(NAME)`` stands for a variable, ``$$`` for a dollar.

    A name that is not known stays as it is written
    (https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#environment-variables).
    """

    def replace(match: re.Match[str]) -> str:
        return "$" if match[1] is None else known.get(match[1], match[0])

    return re.sub(r"\$(?:\$|\(([^)]*)\))", replace, value)


def user_command(spec: SpoutSpec, folder: Path) -> list[str]:
    """The command to run: the project's folder in the place of /app, this Python in the place of the image's."""
    local = _in_folder(folder)
    program, *arguments = (local(argument) for argument in spec.cmd)
    return [sys.executable if program in ("python", "python3") else program, *arguments]


def working_folder(spec: SpoutSpec, folder: Path) -> Path:
    """The folder to run it in."""
    return Path(_in_folder(folder)(spec.working_dir or APP))


def _in_folder(folder: Path) -> Callable[[str], str]:
    return lambda text: str(folder) + text[len(APP) :] if text == APP or text.startswith(f"{APP}/") else text
