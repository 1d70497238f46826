"""Which client for which target: one table. A library may be missing while pachctl is there."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

from spoutgen.cluster.client import Cluster
from spoutgen.cluster.context import Context, find_context
from spoutgen.cluster.failures import ClusterError, problem

DEFAULT_PROJECT = "default"
WAYS = ("api", "pachctl")
_OLDEST = (1, 9, 12)


@dataclass(frozen=True, slots=True)
class Library:
    """A client of one target: its ``package``, the ``extra`` of spoutgen that installs it, how to ``connect``."""

    package: str
    extra: str
    connect: Callable[[Context, str | None], Cluster]


def _v1(context: Context, project: str | None) -> Cluster:
    from spoutgen.cluster.v1 import ClusterV1

    return ClusterV1(context)


def _v2(context: Context, project: str | None) -> Cluster:
    from spoutgen.cluster.v2 import ClusterV2

    return ClusterV2(context, project or DEFAULT_PROJECT)


LIBRARIES: Mapping[int, Library] = {
    1: Library("python_pachyderm", "pachyderm1", _v1),
    2: Library("pachyderm_sdk", "pachyderm2", _v2),
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line says: the name of a ``context``, and ``via`` api or pachctl; None: whatever is there."""

    context: str | None = None
    via: str | None = None


@contextmanager
def connected(target: int, project: str | None, wish: Wish) -> Iterator[Cluster]:
    """The cluster of pachctl's context, checked to be of that target.

    Raises ClusterError SG601 where there is none, SG602 if it is another version, and SG605 without any client.
    """
    context = find_context(wish.context)
    cluster = _client(target, context, project or context.project, wish.via)
    try:
        _check_version(cluster, target)
        yield cluster
    finally:
        cluster.close()


def _client(target: int, context: Context, project: str | None, via: str | None) -> Cluster:
    library, program = LIBRARIES[target], shutil.which("pachctl")
    if via != "pachctl" and find_spec(library.package):
        try:
            return library.connect(context, project)
        except ImportError as error:
            if program is None or via == "api":
                hint = f"pip install 'spoutgen[{library.extra}]'; it needs protobuf below 4"
                message = f"{library.package} is installed but cannot be imported: {error}"
                raise ClusterError(problem("SG605", message, hint)) from error
    if via != "api" and program:
        from spoutgen.cluster.pachctl import Pachctl

        return Pachctl(program, context, target, project)
    wanted = {"api": library.package, "pachctl": "pachctl"}.get(via or "", f"neither {library.package} nor pachctl")
    hint = f"pip install 'spoutgen[{library.extra}]', or put pachctl on PATH"
    verb = "is installed" if via is None else "is not installed"
    raise ClusterError(problem("SG605", f"no way to talk to Pachyderm {target}.x: {wanted} {verb}", hint))


def _check_version(cluster: Cluster, target: int) -> None:
    text = cluster.version()
    found = tuple(int(number) for number in re.findall(r"\d+", text)[:3])
    if found[:1] != (target,):
        theirs = found[0] if found else "..."
        hint = f"write `pachyderm: {theirs}` into spout.yaml, or name another context: --context NAME"
        message = f"the cluster at {cluster.address} is Pachyderm {text}, the spec is for {target}.x"
        raise ClusterError(problem("SG602", message, hint))
    if target == 1 and found < _OLDEST:
        message = f"the cluster at {cluster.address} is Pachyderm {text}, which has no marker as spoutgen needs it"
        raise ClusterError(problem("SG602", message, "1.9.12 is the oldest that will do"))
