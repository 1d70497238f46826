"""The checks of the whole spout: killed at every step of its protocol, does it leave what it would have left?"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spoutgen.conformance.bench import Bench
from spoutgen.conformance.delivery import Announcement, BrokenChainError, chain, commits, difference, end_states
from spoutgen.conformance.outcome import FailedError, SkippedError
from spoutgen.conformance.probe import Probe, brief
from spoutgen.conformance.stage import Stage, committed_files, marker_history, stage
from spoutgen.local.paths import canonical
from spoutgen.local.store import Store

# The moments that differ, in the order of a batch (spout/pipe.py): reading it, the announcing tar, the wait for the
# worker, the journal, the ack, the data tar.
USER_STEPS = (
    "reading",
    "before announce",
    "inside announce",
    "after announce",
    "after wait_until_taken",
    "after write_journal",
    "after acknowledge",
    "inside write_data",
    "after write_data",
)
# The worker's own (spoutgen/local/worker.py), for an announcing tar and for a data tar.
WORKER_STEPS = (
    ("after temp file", "after temp file"),
    ("after read", "after read"),
    ("after start commit", "after start commit"),
    ("after marker put", "after put"),
    ("after finish commit", "after finish commit"),
)
# On 2.x (spout/api.py): the start, reading, the look at the head, the stream, the wait for the commit and the ack.
USER_STEPS_OF_2 = (
    "reading",
    "before check_head",
    "before send",
    "inside send",
    "after send",
    "after check_commit",
    "after write",
)
STARTS_OF_2 = ("before resume", "after resume")
# The server's own (spoutgen/local/pachd/commits.py), which runs in the worker's process.
WORKER_STEPS_OF_2 = ("modify: received", "modify: staged", "modify: committed", "finish: before", "finish: after")
_COMMITS_AT_THE_END = 4
_PATIENCE = 5.0
# Python takes a second to import the SDK for 2.x, and much longer where others compute as well.
_PATIENCE_OF_2 = 30.0
_UNKNOWN_STEP = 78  # what inside/doomed.py ends with
_REMEDY = "look at what the source keeps outside of its position: locks, files, memory; nothing of it outlives a kill"


@dataclass(slots=True)
class Story:
    """What happened: the kills, each as the number of announcements before it, and how long going on took at most."""

    kills: list[int] = field(default_factory=list)
    announced: int = 0
    slowest: float = 0.0
    ran_dry: bool = False


def kill_user_code(bench: Bench) -> str:
    """SIGKILL of the user code at every step, in a new batch and again in that one when it is written again."""
    steps = USER_STEPS if bench.subject.spec.pachyderm == 1 else USER_STEPS_OF_2
    deaths = [f"{step} {count}" for step in steps for count in (3, 1)]
    if bench.subject.spec.pachyderm == 2:
        deaths += [f"{step} 1" for step in STARTS_OF_2]
    return _killed(bench, "user code", deaths, ())


def kill_worker(bench: Bench) -> str:
    """SIGKILL of the worker, as when its pod is lost, at every step of both kinds of tar; on 2.x with its pachd."""
    if bench.subject.spec.pachyderm == 2:
        return _killed(bench, "worker", (), [f"{step} {count}" for step in WORKER_STEPS_OF_2 for count in (3, 1)])
    # In each life the first tar announces, the second one has the data, and so on.
    deaths = [f"{step} {count}" for steps in WORKER_STEPS for step, count in zip(steps, (3, 2), strict=True)]
    return _killed(bench, "worker", (), deaths)


def _killed(bench: Bench, name: str, user_deaths: Sequence[str], worker_deaths: Sequence[str]) -> str:
    bench.at_least(1)
    deaths = [f"{name}, {death.rpartition(' ')[0]}" for death in (*user_deaths, *worker_deaths)]
    with stage(bench.subject, name.replace(" ", "-"), user_deaths, worker_deaths) as spout:
        story = _live(bench, spout, deaths)
    batches = _check_end(bench, spout, story, deaths)
    if story.ran_dry:
        raise SkippedError(
            f"the records ended after {len(story.kills)} of {len(deaths)} kills, of which none did harm:"
            " let there be more, or wait longer: --seconds N"
        )
    return f"{len(deaths)} kills, {batches} batches; to go on took {story.slowest:.2f} s at most"


def _live(bench: Bench, spout: Stage, deaths: Sequence[str]) -> Story:
    """Let the spout live through all its deaths, and then a little longer."""
    story, at_the_end = Story(), 0
    patience = bench.seconds + (_PATIENCE if bench.subject.spec.pachyderm == 1 else _PATIENCE_OF_2)
    progressed_at = killed_at = time.monotonic()
    while at_the_end < _COMMITS_AT_THE_END:
        event = spout.next_event(max(0.0, progressed_at + patience - time.monotonic()))
        kind = event["event"] if event else "nothing"
        is_kill = kind == "worker killed" or (event or {}).get("status") == -signal.SIGKILL
        if is_kill:
            story.kills.append(story.announced)
            killed_at = progressed_at = time.monotonic()
        elif kind in ("announced", "commit"):
            story.announced += kind == "announced"
            progressed_at = time.monotonic()
            if len(story.kills) and killed_at:
                story.slowest = max(story.slowest, progressed_at - killed_at)
            killed_at = 0.0
            at_the_end += not spout.deaths_to_come()
        elif (event or {}).get("status") == _UNKNOWN_STEP:
            raise SkippedError("the project's runtime is another one than this kit knows: `spoutgen update`")
        elif event is None:
            _check_dry(bench, spout, story, deaths, patience)
            story.ran_dry = True
            break
    return story


def _check_dry(bench: Bench, spout: Stage, story: Story, deaths: Sequence[str], patience: float) -> None:
    """Nothing has been committed for long. Raise if that is not because there are no more records."""
    with Store(spout.home.store) as store, bench.probe() as probe:
        announced = _announcements(bench, probe, store, "stuck")
        try:
            probe.open(_end_of(announced[-1]) if announced else None)
            more = probe.take(1, bench.seconds)
        except FailedError as error:
            raise FailedError(
                f"a spout that goes on{_after(story, deaths)}", f"{error.expected}, {error.found}", _REMEDY
            ) from error
    if more:
        said = f'; it last said "{brief(spout.last_words, 300)}"' if spout.last_words else ""
        raise FailedError(
            f"a spout that goes on{_after(story, deaths)}",
            f"no commit for {patience:g} s, though there are records{said}",
            _REMEDY,
        )


def _check_end(bench: Bench, spout: Stage, story: Story, deaths: Sequence[str]) -> int:
    """Raise unless what is committed is what a run without kills leaves; returns how many batches it is."""
    spec = bench.subject.spec
    is_of_2 = spec.pachyderm == 2
    with Store(spout.home.store) as store, bench.probe() as probe:
        announced = _announcements(bench, probe, store, "end")
        batches = _chain(announced, story, deaths, _has_begun(bench, store) if is_of_2 else None)
        if not (spec.is_overwrite or is_of_2):
            raise SkippedError("with `output.overwrite: false` a batch that is written again stands in its file twice")
        made = _files_of(bench, probe, batches)
        found = _data(bench, store, spec.output_branch)
    differences = [difference(found, state) for state in end_states(made, is_atomic=is_of_2)]
    if all(differences):
        raise FailedError(
            f"after {len(story.kills)} kills the very files that a run without them leaves",
            str(differences[0]),
            _REMEDY,
        )
    return len(batches)


def _announcements(bench: Bench, probe: Probe, store: Store, name: str) -> list[Announcement]:
    """What each commit of the marker says, the oldest first."""
    spec = bench.subject.spec
    with TemporaryDirectory(dir=bench.subject.scratch) as folder:
        history = marker_history(store, spec.name, spec.marker_branch, spec.marker, Path(folder, name))
        return [Announcement(*probe.read_marker(file)) for file in history]


def _data(bench: Bench, store: Store, ref: str) -> dict[str, tuple[int, str]]:
    """The files of a commit on the output branch, without the marker's, which stand there on 2.x."""
    spec = bench.subject.spec
    found = committed_files(store, spec.name, ref)
    return {path: facts for path, facts in found.items() if not path.startswith(f"/{spec.marker}")}


def _has_begun(bench: Bench, store: Store) -> bool:
    """Whether the first commit says where the spout began, and no more (2.x)."""
    spec = bench.subject.spec
    first = store.commits(spec.name, spec.output_branch)[-1]
    return not _data(bench, store, first.id)


def _end_of(announced: Announcement) -> Any:
    """Where its batch ends: on 2.x a marker says no more than that."""
    return announced.committed if announced.writing is None else announced.writing


def _chain(
    announced: Sequence[Announcement], story: Story, deaths: Sequence[str], has_begun: bool | None
) -> list[Announcement]:
    """The batches; ``has_begun`` is of 2.x (see `commits`), None on 1.x."""
    try:
        return chain(announced) if has_begun is None else commits(announced, has_begun=has_begun)
    except BrokenChainError as error:
        last, found = error.last, error.found
        raise FailedError(
            f"a marker that goes on where it was{_after(story, deaths, error.index)}: "
            f"from {brief(last.writing if last else None)}",
            f"from {brief(found.committed)} to {brief(found.writing)}",
            "after a restart `open(position)` must go on at that position, and nowhere else",
        ) from error


def _files_of(bench: Bench, probe: Probe, batches: Sequence[Announcement]) -> list[list[tuple[str, int, str]]]:
    """The files of each batch, read again from the beginning."""
    probe.open(batches[0].committed if batches else None)
    try:
        made = [probe.files(batch.writing) for batch in batches]
    except FailedError as error:
        if bench.needs_ack:
            raise SkippedError(
                "it went on after every kill, its marker in one chain; but what is acknowledged cannot be read again,"
                " so its files cannot be compared"
            ) from error
        raise
    return [[(canonical(path), size, digest) for path, size, digest in files] for files in made]


def _after(story: Story, deaths: Sequence[str], announced: int | None = None) -> str:
    """The last kill before the announcement of that index (or of all), in words."""
    before = [number for number, count in enumerate(story.kills) if announced is None or count <= announced]
    return f" after kill {before[-1] + 1} ({deaths[before[-1]]})" if before else ""
