"""What is tested: a project's source under the project's own runtime, as the local worker would start it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

from spoutgen.local.environment import Secrets, user_environment, working_folder
from spoutgen.local.generations import NEWEST, generation_of
from spoutgen.local.home import Home
from spoutgen.local.pipelines import Pipeline, submit
from spoutgen.local.spec import SpoutSpec
from spoutgen.local.store import Store

CONFIG = "SPOUT_CONFIG"

# Sources that set their own pace are tested at a quicker one: what they promise does not depend on it.
QUICKER: Mapping[str, Mapping[str, Any]] = MappingProxyType({"symbol": {"interval": 0.01}})

# Small batches, so that a few records already make many of them.
_BATCH_RECORDS = 3
_BATCH_WAIT = 0.05


@dataclass(frozen=True, slots=True)
class Subject:
    """One project under test. ``config`` is the runtime's, ``seconds`` how long a check waits for records."""

    folder: Path
    spec: SpoutSpec
    secrets: Secrets
    environment: Mapping[str, str]
    config: Mapping[str, Any]
    scratch: Path
    seconds: float

    @property
    def working_folder(self) -> Path:
        """Where the user code runs."""
        return working_folder(self.spec, self.folder)

    @property
    def records_a_batch(self) -> int:
        """How many records close a batch under test."""
        return int(self.config["batch"]["records"])


@contextmanager
def subject(
    folder: Path, spec: SpoutSpec, secrets: Secrets, environment: Mapping[str, str], seconds: float
) -> Iterator[Subject]:
    """The project in ``folder`` with the settings of ``spec``, until all is over; ``environment`` is spoutgen's own.

    Everything that is written meanwhile goes to a folder that is gone afterwards: neither the project nor the user's
    local cluster is touched.
    """
    with TemporaryDirectory(prefix="spoutgen-test-") as name:
        scratch = Path(name)
        with Store.create(scratch / "store.db") as store:
            pipeline = replace(submit(store, spec, folder), spec=spec)
        found = _environment(pipeline, scratch, secrets, environment)
        # Many short processes: the byte code is kept, but not in the project.
        del found["PYTHONDONTWRITEBYTECODE"]
        found["PYTHONPYCACHEPREFIX"] = str(scratch / "byte-code")
        config = quick_config(found.get(CONFIG))
        if config:
            found[CONFIG] = json.dumps(config)
        yield Subject(folder, spec, secrets, found, config, scratch, seconds)


def _environment(pipeline: Pipeline, scratch: Path, secrets: Secrets, environment: Mapping[str, str]) -> dict[str, str]:
    """What a worker of the project's Pachyderm gives; on 2.x without the port, which each worker has of its own."""
    if pipeline.spec.pachyderm == 1:
        return user_environment(pipeline, generation_of(NEWEST), scratch / "pfs", secrets, environment)
    from spoutgen.local.pachd import check_sdk

    check_sdk()
    from spoutgen.local.pachd import worker

    return worker.user_environment(pipeline, 0, secrets, environment)


def quick_config(text: str | None) -> dict[str, Any]:
    """The runtime's config for a test; {} for one that the runtime itself will refuse."""
    try:
        config = json.loads(text or "")
        source, batch = config["source"], config["batch"]
        source |= QUICKER.get(source["type"], {})
        batch |= {"records": min(batch["records"], _BATCH_RECORDS), "wait": min(batch["wait"], _BATCH_WAIT)}
    except (ValueError, TypeError, KeyError):
        return {}
    return dict(config)


def new_home(subject: Subject, name: str) -> tuple[Home, dict[str, str]]:
    """An empty local cluster, and the environment of a spout that runs in it."""
    home = Home(subject.scratch / name)
    return home, {**subject.environment, "SPOUT_PFS_ROOT": str(home.run(subject.spec.name) / "pfs")}
