"""What the verbs of real clusters share: their options, several projects at once, and what became of each."""

from __future__ import annotations

import argparse
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from spoutgen.errors import Diagnostic, SpoutgenError

if TYPE_CHECKING:
    from spoutgen.cluster.client import Cluster
    from spoutgen.cluster.connect import Wish
    from spoutgen.deployment.project import Project

T = TypeVar("T")

# Clusters are waited for, not computed with: threads do, and more of them than cores.
_MOST_AT_ONCE = 64
_OUR_FAULT = 70


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """What became of one project: a ``result``, or ``problems`` and the exit ``status`` that they mean."""

    folder: Path
    result: T | None
    problems: tuple[Diagnostic, ...] = ()
    status: int = 0
    crash: str = ""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which cluster, and by which client."""
    parser.add_argument("--context", metavar="NAME", help="a context of pachctl's config (default: the active one)")
    parser.add_argument(
        "--via", choices=("api", "pachctl"), help="by the library or by pachctl (default: the library if it is there)"
    )


def add_folders(parser: argparse.ArgumentParser) -> None:
    """One project, several, or all below a folder."""
    parser.add_argument("folders", metavar="DIR", nargs="*", type=Path, help="the projects (default: .)")
    parser.add_argument("--all", dest="is_all", action="store_true", help="every project in DIR and below it")


def folders_of(args: argparse.Namespace) -> list[Path]:
    """The projects that are asked for."""
    given: list[Path] = args.folders or [Path()]
    if not args.is_all:
        return given
    from spoutgen.project.many import find_projects

    return [folder for root in given for folder in find_projects(root)]


def wish_of(args: argparse.Namespace) -> Wish:
    """Which cluster, by which client."""
    from spoutgen.cluster.connect import Wish

    return Wish(args.context, args.via)


@contextmanager
def cluster_of(project: Project, wish: Wish) -> Iterator[Cluster]:
    """The cluster that a project goes to."""
    from spoutgen.cluster.connect import connected

    with connected(project.target, project.namespace, wish) as cluster:
        yield cluster


def for_each(folders: Sequence[Path], task: Callable[[Path], T], at_once: int = _MOST_AT_ONCE) -> list[Done[T]]:
    """Do the task for every folder, many at once; none of them stops the others. In the order of the folders."""

    def one(folder: Path) -> Done[T]:
        try:
            return Done(folder, task(folder))
        except SpoutgenError as error:
            return Done(folder, None, error.diagnostics, error.exit_status)
        except Exception:  # noqa: BLE001 - the other projects go on; this one is named at the end
            return Done(folder, None, status=_OUR_FAULT, crash=traceback.format_exc())

    if len(folders) == 1 or at_once == 1:
        return [one(folder) for folder in folders]
    with ThreadPoolExecutor(min(at_once, max(len(folders), 1))) as pool:
        return list(pool.map(one, folders))


def then(done: Sequence[Done[T]], task: Callable[[Path], T], at_once: int = _MOST_AT_ONCE) -> list[Done[T]]:
    """Do the next task for the folders where all went well so far; what went wrong stays as it is."""
    after = iter(for_each([each.folder for each in done if not each.status], task, at_once))
    return [each if each.status else next(after) for each in done]


def tell_failures(outcomes: Sequence[Done[T]]) -> int:
    """Say at the end what went wrong where; returns the worst exit status."""
    from spoutgen.report import as_text

    worst = 0
    for outcome in outcomes:
        worst = max(worst, outcome.status)
        if outcome.status:
            head = f"failed: {outcome.folder}\n" if len(outcomes) > 1 else ""
            sys.stderr.write(f"{head}{as_text(outcome.problems)}{outcome.crash}")
    if worst == _OUR_FAULT:
        sys.stderr.write("spoutgen: this is a bug in spoutgen; please report it with the lines above\n")
    return worst


class Teller:
    """Prints whole lines from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def say(self, name: str, text: str) -> None:
        """``name: text`` on standard output."""
        from spoutgen.report import printable

        with self._lock:
            print(f"{name}: {printable(text)}", flush=True)
