"""Run the project's spout on this machine, as a worker of Pachyderm would, without a cluster.

It goes on until Ctrl-C, --commits or --for, and resumes from its marker the next time. `spoutgen local` shows what it
has committed.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from spoutgen.cli.parser import setting
from spoutgen.cli.watch import LiveView, PlainView
from spoutgen.errors import Diagnostic, MachineError, UsageError
from spoutgen.local.environment import Secrets, find_secrets, user_command, user_environment, working_folder
from spoutgen.local.events import (
    CommitFinished,
    Event,
    MarkerCommitted,
    ReadingFailed,
    Restarting,
    Started,
    UserCodeExited,
    Wedged,
)
from spoutgen.local.generations import NEWEST, generation_of
from spoutgen.local.home import Home, find_home, running
from spoutgen.local.pipelines import Pipeline, set_state, submit
from spoutgen.local.session import Runner, Session
from spoutgen.local.spec import SpoutSpec, read_spec
from spoutgen.local.store import Store
from spoutgen.local.tail import marker_tail
from spoutgen.local.usercode import Command
from spoutgen.local.worker import Job
from spoutgen.report import printable

NEWEST_OF_2 = "2.12.2"
# What may differ for one run; anything else would be another pipeline.
_SETTABLE = ("source.", "batch.", "output.")
_MARKER_LINES = 10
_LAST_LINE = 60


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=Path(), help="the project (default: .)")
    parser.add_argument(
        "--commits", metavar="N", type=_count, help="end after N commits on the output branch that change a file"
    )
    parser.add_argument("--for", dest="seconds", metavar="TIME", type=_duration, help="end after a while, e.g. 30s")
    parser.add_argument(
        "--set", dest="settings", metavar="key=value", action="append", default=[], type=setting,
        help="another value of source.*, batch.* or output.* for this run only; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--pachyderm", metavar="VERSION",
        help=f"the version to behave like (default: {NEWEST}; of a project for 2.x: {NEWEST_OF_2})",
    )  # fmt: skip


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


def _duration(text: str) -> float:
    from spoutgen.spec.units import UnitError, parse_duration

    try:
        return parse_duration(text)
    except UnitError as error:
        raise argparse.ArgumentTypeError(f"{error}" + (f": {error.hint}" if error.hint else "")) from error


def run(args: argparse.Namespace) -> int:
    """Run the spout until it is time to end."""
    from spoutgen.project.step import PIPELINE, check_in_step

    if args.pachyderm is not None and not _is_of_2(args.pachyderm):
        generation_of(args.pachyderm)  # a version that there is not is said before anything else
    check_in_step(args.folder)
    folder = args.folder.resolve()
    spec = read_spec(folder / PIPELINE)
    version = _version(args.pachyderm, spec)
    spec_of_run = with_settings(spec, args.folder, args.settings)
    # Looked for first, so that what is missing leaves no trace.
    if spec.pachyderm == 2:
        from spoutgen.local.pachd import check_sdk

        check_sdk()
    secrets = find_secrets(spec.secrets, os.environ)
    home = find_home()
    with running(home, spec.name), Store.create(home.store) as store:
        pipeline = submit(store, spec, folder)
        pipeline_of_run = replace(pipeline, spec=spec_of_run)

        def command(environment: dict[str, str]) -> Command:
            return Command(
                arguments=user_command(spec, folder),
                stdin=spec.stdin,
                folder=working_folder(spec, folder),
                environment=environment,
                secrets=secrets,
                accepted_statuses=spec.accepted_statuses,
            )

        make = _session_on_1 if spec.pachyderm == 1 else _session_on_2
        session = make(home, pipeline_of_run, version, command, secrets, args)
        commits = watch(session, store, pipeline, _opening_lines(pipeline, version, home))
        print(_closing_line(store, pipeline, commits), flush=True)
    return 0


def _is_of_2(version: str) -> bool:
    return version == "2" or version.startswith(("2.", "v2."))


def _version(asked: str | None, spec: SpoutSpec) -> str:
    """The version to behave like. Raises UsageError SG901 for one that the project is not made for."""
    if asked is None:
        return NEWEST if spec.pachyderm == 1 else NEWEST_OF_2
    if _is_of_2(asked) != (spec.pachyderm == 2):
        hint = f"spoutgen set pachyderm={2 if _is_of_2(asked) else 1}, then spoutgen update, makes it the other one"
        raise UsageError(Diagnostic("SG901", f"the project is made for Pachyderm {spec.pachyderm}.x", None, hint))
    return asked


def _session_on_1(
    home: Home,
    pipeline: Pipeline,
    version: str,
    command: Callable[[dict[str, str]], Command],
    secrets: Secrets,
    args: argparse.Namespace,
) -> Session:
    generation, pfs = generation_of(version), home.run(pipeline.name) / "pfs"
    environment = user_environment(pipeline, generation, pfs, secrets, os.environ)
    job = Job(pipeline, generation, command(environment), pfs, home.run(pipeline.name) / "tmp")
    return Session(home, job, args.commits, args.seconds)


def _session_on_2(
    home: Home,
    pipeline: Pipeline,
    version: str,
    command: Callable[[dict[str, str]], Command],
    secrets: Secrets,
    args: argparse.Namespace,
) -> Session:
    from spoutgen.local.pachd import worker

    def run_with(sidecar_port: int) -> Command:
        return command(worker.user_environment(pipeline, sidecar_port, secrets, os.environ))

    def make(on_event: Callable[[Event], None]) -> Runner:
        return worker.Worker(home, pipeline, run_with, on_event)

    return Session(home, pipeline, args.commits, args.seconds, make=make)


def with_settings(spec: SpoutSpec, folder: Path, settings: list[tuple[str, str]]) -> SpoutSpec:
    """The spec with other settings for one run. Raises UsageError SG901 for what is more than a setting of a run."""
    from spoutgen.pipeline.config import spout_config
    from spoutgen.spec import load

    for key, _ in settings:
        if not key.startswith(_SETTABLE) or key == "source.type":
            hint = f"to change it for good: spoutgen set {key}=... {folder} && spoutgen update {folder}"
            raise UsageError(Diagnostic("SG901", f"{key} cannot be set for one run", None, hint))
    if not settings:
        return spec
    wanted = load(folder, settings).spec
    env = {**spec.env, "SPOUT_CONFIG": spout_config(wanted)}
    return replace(spec, env=env, is_overwrite=wanted.output.overwrite)


def watch(session: Session, store: Store, pipeline: Pipeline, opening: list[str]) -> int:
    """Show the run until it ends; returns how many commits changed the output."""
    print("\n".join(opening), flush=True)
    marker = pipeline.spec.marker
    view = LiveView(pipeline.name, pipeline.version, marker) if sys.stdout.isatty() else PlainView(pipeline.name)
    commits, trouble = 0, ""
    # What may bring a new marker; on 2.x it comes with the data.
    news = (Started, MarkerCommitted) if pipeline.spec.pachyderm == 1 else (Started, CommitFinished)
    tail: list[str] = []
    try:
        with _ended_by_signals(session.request_stop), closing(session.run()) as events:
            for event in events:
                if isinstance(event, news) and view.shows_marker:
                    tail = marker_tail(store, pipeline.name, marker, _MARKER_LINES, pipeline.spec.marker_branch)
                if isinstance(event, CommitFinished):
                    commits += event.commit.is_changed
                now = _trouble(event, trouble)
                if now != trouble or isinstance(event, Started):
                    trouble = now
                    # Only for `spoutgen local`; while the worker writes a huge commit the store is busy for long.
                    with suppress(MachineError):
                        set_state(store, pipeline.name, "running", trouble)
                view.show(event, tail)
    finally:
        view.close()
        with suppress(MachineError):
            set_state(store, pipeline.name, "paused", trouble)
    return commits


def _trouble(event: Event, before: str) -> str:
    """What is wrong after an event, as `spoutgen local inspect pipeline` gives it; a commit says that all is well."""
    match event:
        case Wedged(reason) | ReadingFailed(reason) | Restarting(reason):
            return reason
        case UserCodeExited(_, message):
            return f"the user code ended: {message}"
        case CommitFinished():
            return ""
    return before


@contextmanager
def _ended_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the run in order; the second one ends it at once."""
    signals = (signal.SIGINT, signal.SIGTERM)

    def ask(number: int, _: object) -> None:
        for each in signals:
            # The user code goes with us: it asked the kernel for that.
            signal.signal(each, lambda number, _: os._exit(128 + number))
        stop()

    before = {number: signal.signal(number, ask) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _opening_lines(pipeline: Pipeline, version: str, home: Home) -> list[str]:
    name = pipeline.name
    shown = f"{version} ({generation_of(version).name})" if pipeline.spec.pachyderm == 1 else version
    return [
        f"{name}: version {pipeline.version}, as on Pachyderm {shown}; Ctrl-C ends it",
        f"{name}: log {home.log(name)}",
    ]


def _closing_line(store: Store, pipeline: Pipeline, commits: int) -> str:
    tail = marker_tail(store, pipeline.name, pipeline.spec.marker, 1, pipeline.spec.marker_branch)
    last = tail[0] if tail else ""
    shown = printable(f"...{last[-_LAST_LINE:]}" if len(last) > _LAST_LINE else last)
    ends = f'; marker {pipeline.spec.marker} ends with "{shown}"' if tail else ""
    plural = "commit" if commits == 1 else "commits"
    return f"{pipeline.name}: ended; version {pipeline.version}, {commits} {plural} in this run{ends}"
