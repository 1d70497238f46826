"""A story: a spout on a worker, killed again and again, then run on to the end; its outcome as data.

`tell` tells one in this process's children; `tell_all` tells many, two side by side.
"""

import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import deaths
import streams
import verdict
import worker_life
from patience import Patience
from zygote import die_with

from spoutgen.local import pipelines
from spoutgen.local.generations import generation_of
from spoutgen.local.spec import parse
from spoutgen.local.store import Store

BOTH = ("user code", "worker")
STALLED = 4.0  # seconds without a commit in which nobody of the story computed or waited for a core: see patience.py
REFUSALS = 40  # starts of the user code, or attempts to commit, that were refused since the last commit
LONGEST = 400.0  # seconds; a story that takes longer says nothing about the promise
MEMORY = 4 << 30  # bytes of address space for each process of a story
SIDE_BY_SIDE = 2

# kind -> (source.type, batch.records, output)
KINDS = {
    "lines": ("sequence", 1000, {"path": "data/{first}-{last}", "format": "lines"}),
    "odd names": ("sequence", 1000, {"path": "data/{first}-{last}", "format": "lines"}),
    "files": ("sequence", 1000, {"path": "data/{first}", "format": "files"}),
    "queue": ("queue", 1000, {"path": "data/{first}-{last}", "format": "lines"}),
    "pyramid": ("bounded", 1, {"path": "output", "format": "lines"}),
    "parts": ("bounded", 1, {"path": "output", "format": "lines"}),
}


@dataclass(frozen=True, slots=True)
class Story:
    """What is told. ``points`` (None: all) are where the ``victims`` die, ``kills`` how often in all.

    ``pause``: a slow worker stands still for up to so many seconds before it finishes a commit or opens the FIFO.
    """

    seed: int
    version: str
    kind: str = "lines"
    sizes: str = "small"
    fixed: bool = False
    kills: int = 20
    victims: tuple[str, ...] = BOTH
    points: tuple[str, ...] | None = None
    mutation: str | None = None
    spout: str = "ours"
    pause: float = 0.0
    trouble: str = ""  # a key of worker_life.TROUBLES
    stalled: float = STALLED
    part: int = 1000  # lines of a pyramid in one part
    soonest: bool = False  # a death comes when its point is first met (by a worker: in its first three times)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended. ``lost``, ``repeated`` and ``wrong`` count records (files, for ``wrong``) in the end state."""

    story: Story
    kills: list[str]
    last: int
    lost: int
    repeated: int
    wrong: list[str]
    crashes: list[str]  # of the runtime, by the error's name
    stuck: str  # why it never came to its end; "" if it did; begins with one of patience.ENDS
    resumes: list[float]
    operator: int  # open commits that had to be deleted by hand
    seconds: float
    broken: str = ""  # why the outcome says nothing: the harness failed, or took too long

    @property
    def broke(self) -> frozenset[str]:
        """What of the promise was broken, in words: lost, repeated, how it got stuck, which errors, what is wrong."""
        words = [word for word, count in (("lost", self.lost), ("repeated", self.repeated)) if count]
        return frozenset((*words, *self.crashes, *self.wrong, *([self.stuck] if self.stuck else [])))

    def is_broken_by(self, what: str) -> bool:
        """Whether one of `broke` says ``what``."""
        return any(what in word for word in self.broke)

    @property
    def is_kept(self) -> bool:
        """Whether the promise was kept: nothing lost, nothing twice (a queue may repeat), the end reached."""
        twice = self.repeated if self.story.kind != "queue" else 0
        return not (self.lost or twice or self.wrong or self.crashes or self.stuck or self.broken)


def config_of(story: Story, folder: Path) -> dict:
    """SPOUT_CONFIG of a story."""
    kind, records, output = KINDS[story.kind]
    source = {"type": kind, "folder": str(folder), "seed": story.seed}
    if kind == "bounded":
        source["symbol"] = "*+"[: 1 + story.seed % 2]
    else:
        most = 3 if story.sizes == "large" else 12
        source |= {
            "most": most,
            "sizes": story.sizes,
            "fixed": story.fixed,
            "suffix": verdict.ODD * (story.kind == "odd names"),
        }
    return {
        "version": 1,
        "name": "dots",
        "source": source,
        "marker": {"prefix" if story.kind == "parts" else "name": "mymark"},
        "output": output,
        "batch": {"records": records, "bytes": 24 << 20, "wait": 0},
    }


def document_of(config: dict, description: str = "") -> dict:
    """The pipeline spec that gives the user code this config."""
    transform = {"cmd": ["python3", "/app/main.py"], "env": {"SPOUT_CONFIG": json.dumps(config)}}
    spout = {"marker": "mymark", "overwrite": True}
    return {"pipeline": {"name": "dots"}, "description": description, "transform": transform, "spout": spout}


def begin(story: Story, folder: Path) -> None:
    """Make the story's folder: its facts, an empty store, the pipeline."""
    Store.create(folder / "store.db").close()
    go_on_as(story, folder)


def go_on_as(story: Story, folder: Path) -> None:
    """From now on the story in ``folder`` is this one: its facts, and the pipeline made or updated."""
    config = config_of(story, folder)
    (folder / "story").write_text(json.dumps({**asdict(story), "config": config}))
    with Store(folder / "store.db") as store:
        pipelines.submit(store, parse(document_of(config)), folder)


def tell(story: Story, meanwhile: Callable[[Path], None] = lambda folder: None) -> Outcome:
    """Tell one story; ``meanwhile`` is called again and again while a worker runs."""
    with story_folder(story) as folder:
        return tell_the_rest(story, folder, meanwhile)


@contextmanager
def story_folder(story: Story) -> Iterator[Path]:
    """The folder of a story that begins; with SPOUTGEN_KEEP_STORIES=1 it stays, with its place said, after an error."""
    folder = Path(tempfile.mkdtemp(prefix="story-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    try:
        begin(story, folder)
        yield folder
    finally:
        if os.environ.get("SPOUTGEN_KEEP_STORIES") != "1":
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"{folder}: {story}", file=sys.stderr, flush=True)


def tell_the_rest(story: Story, folder: Path, meanwhile: Callable[[Path], None] = lambda folder: None) -> Outcome:
    """Run on to the end from what is in ``folder``, with the kills that are still to come."""
    began = time.monotonic()
    operator, ended = 0, None
    while ended is None:
        operator += delete_open_commits(story, folder)
        kills = _kills_of_workers(folder)
        ended = _watch(story, folder, fork(lambda: worker_life.run(folder)), meanwhile, began)
        if ended is None and kills == _kills_of_workers(folder):
            raise HarnessError("a worker ended that nobody killed")
    return _outcome(story, folder, operator, ended, time.monotonic() - began)


def _kills_of_workers(folder):
    return sum(kill.startswith("worker") for kill in deaths.noted(folder, "kills"))


class HarnessError(Exception):
    """What happened says nothing about the promise."""


def fork(live: Callable[[], None]) -> int:
    """A process that does nothing but ``live``, and is killed when we are."""
    sys.stdout.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            die_with(parent)
            live()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    return pid


def delete_open_commits(story: Story, folder: Path) -> int:
    """What an operator does before a worker of 1.9.12 to 1.10.5 can start again; how many commits that were.

    Its successors do so by themselves.
    """
    if generation_of(story.version).deletes_open_commits:
        return 0
    with Store(folder / "store.db") as store:
        open_ones = [commit for commit in store.commits("dots") if commit.finished is None]
        for commit in open_ones:
            store.delete_commit("dots", commit.id)
    return len(open_ones)


def _watch(story, folder, pid, meanwhile, began):
    """Wait for the end of a worker (None), or of the story: "" for a good one, else why it is stuck."""
    patience = Patience(folder, pid, story.stalled, REFUSALS)
    try:
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            meanwhile(folder)
            time.sleep(0.01)
            if (folder / "last").exists() and verdict.is_complete(story.kind, folder):
                return ""
            if stuck := patience.lost():
                return stuck
            if time.monotonic() - began > LONGEST:
                raise HarnessError(f"no end after {LONGEST:g} s")
        pid = 0
        return None
    finally:
        if pid:
            end(pid)


def end(pid: int) -> None:
    """SIGKILL a child, and see it gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _outcome(story, folder, operator, stuck, seconds):
    # While the stream has no end, what counts is what the marker claims.
    found = verdict.compare(story.kind, folder)
    return Outcome(
        story,
        kills=deaths.noted(folder, "kills"),
        last=found.last,
        lost=found.lost,
        repeated=found.repeated,
        wrong=[*found.wrong],
        crashes=deaths.noted(folder, "crashes"),
        stuck=stuck,
        resumes=[float(line) for line in deaths.noted(folder, "resumes")],
        operator=operator,
        seconds=round(seconds, 1),
    )


def tell_all(stories: Iterable[Story], side_by_side: int = SIDE_BY_SIDE) -> list[Outcome]:
    """The outcomes of stories, in their order, each told in a process of its own."""
    stories = list(stories)
    waiting = list(enumerate(stories))
    outcomes: dict[int, Outcome] = {}
    running: dict[int, tuple[int, Path]] = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            while waiting or running:
                if waiting and len(running) < side_by_side:
                    number, story = waiting.pop(0)
                    path = Path(folder) / str(number)
                    running[fork(lambda story=story, path=path: _tell_into(story, path))] = number, path
                    continue
                pid = next((pid for pid in running if os.waitpid(pid, os.WNOHANG) != (0, 0)), None)
                if pid is None:
                    time.sleep(0.01)
                    continue
                number, path = running.pop(pid)
                outcomes[number] = _told(path, stories[number])
        finally:
            for pid in running:
                end(pid)
    return [outcomes[number] for number in sorted(outcomes)]


def _tell_into(story, path):
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))  # a mistake of ours must not take the machine with it
    try:
        text = json.dumps(asdict(tell(story)))
    except BaseException as error:
        traceback.print_exc()
        text = json.dumps(asdict(nothing_told(story, f"{type(error).__name__}: {error}")))
    path.write_text(text)
    os._exit(0)


def _told(path, story):
    """What a process left; one that left nothing was killed from outside, which is no verdict either."""
    if not path.exists():
        return nothing_told(story, "the process that told it left no result")
    facts = json.loads(path.read_text())
    return Outcome(**{**facts, "story": Story(**_as_tuples(facts["story"]))})


def nothing_told(story: Story, why: str) -> Outcome:
    """The outcome of a story of which nothing is known."""
    return Outcome(story, [], 0, 0, 0, [], [], "", [], 0, 0.0, why)


def _as_tuples(facts):
    return {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}


def without_faults(story: Story) -> Story:
    """The same story without a single kill."""
    return replace(story, kills=0)


__all__ = ["BOTH", "Outcome", "Story", "streams", "tell", "tell_all", "without_faults"]
