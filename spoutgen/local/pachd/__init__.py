"""A small pachd of 2.x: the part of its API that spouts and `deploy` use, over real gRPC, on the local store.

::

    with serve(home) as pachd:
        client = pachyderm_sdk.Client(port=pachd.port)              # the main pachd
        client = pachyderm_sdk.Client(port=pachd.sidecar_port)      # what the worker of a spout talks to

Only the sidecar may start a commit on the output branch of a pipeline that runs. docs/reference/pachd.md has what else
is as on a cluster, and what is not there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spoutgen.errors import Diagnostic, MachineError
from spoutgen.local.home import Home
from spoutgen.local.model import Commit
from spoutgen.local.store import Store

if TYPE_CHECKING:
    from spoutgen.local.pachd.commits import Commits
    from spoutgen.local.pachd.pps import Pods

# The version that the local pachd says it has.
VERSION = (2, 12, 2)


@dataclass(frozen=True, slots=True)
class Pachd:
    """A running server: its two ports, and its commits for those who look at the store beside it."""

    port: int
    sidecar_port: int
    home: Home
    commits: Commits


@contextmanager
def serve(
    home: Home,
    *,
    port: int = 0,
    sidecar_port: int = 0,
    tokens: Iterable[str] = (),
    pods: Pods | None = None,
    checkpoint: Callable[[str], None] = lambda _: None,
    on_commit: Callable[[Commit], None] = lambda _: None,
    version: tuple[int, int, int] = VERSION,
) -> Iterator[Pachd]:
    """Serve the store of ``home`` on this machine until the block ends. Raises MachineError SG508 without the SDK.

    With ``tokens`` only callers with one of these are answered. ``pods`` is told when a pipeline's pod is to be
    replaced or removed. ``checkpoint`` is called with each step ("modify: received", "modify: staged", "modify:
    committed", "finish: before", "finish: after"), ``on_commit`` with each commit once it is finished. A server of a
    ``version`` before 2.8 has no CreatePipelineV2, and does not give back the spec as it was submitted.
    """
    check_sdk()
    from spoutgen.local.pachd import pfs, pps, system
    from spoutgen.local.pachd.commits import Commits
    from spoutgen.local.pachd.transactions import Transactions
    from spoutgen.local.pachd.wire import Door

    commits = Commits(Store.create(home.store, is_shared=True), checkpoint, on_commit)
    pods = pods or pps.Pods(lambda _: None, lambda _: None)
    methods = {**pfs.methods(commits), **pps.methods(commits, home, pods, version), **system.methods(version)}
    transactions = Transactions(commits, dict(methods), commits.wake)
    methods |= transactions.methods()
    keys: dict[str, Any] = {"tokens": frozenset(tokens), "transact": transactions.add}
    with ExitStack() as stack:
        stack.callback(commits.close)
        main, sidecar = (Door(methods, is_sidecar=is_sidecar, **keys) for is_sidecar in (False, True))
        for door in (main, sidecar):
            stack.callback(door.close)
        ports = main.open(port), sidecar.open(sidecar_port)
        commits.start()
        yield Pachd(*ports, home, commits)


def check_sdk() -> None:
    """Raise MachineError SG508, with the command that installs it, if the SDK is not there."""
    # The server's process starts user code, and needs nothing of gRPC's in it; and gRPC's own log says what is no news.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    try:
        import grpc  # noqa: F401
        import pachyderm_sdk  # noqa: F401
    except ImportError as error:
        raise MachineError(
            Diagnostic(
                "SG508",
                f"the local Pachyderm 2 needs the SDK, which is not installed ({error})",
                None,
                "python3 -m pip install 'spoutgen[pachyderm2]'",
            )
        ) from error
