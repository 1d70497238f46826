"""One life of the user code: the runtime with the test sources, a death of its own, and sometimes a step taken out."""

import os
import random
import sys
import threading
from contextlib import suppress
from pathlib import Path

import deaths
import mutations
import naive
import spout.__main__ as runtime
import spout.sources
import streams
from spout import fifo, journal, pipe, reconnect, tar
from spout.config import read_config
from spout.sources import pyramid

from spoutgen.local.generations import generation_of

spout.sources.KINDS.update(streams.KINDS)
STREAMS = {"sequence": streams.Sequence, "queue": streams.Queue, "bounded": streams.Bounded}


def live(folder: Path) -> int:
    """Be the user code of the story in ``folder`` (see `story.Story.facts`), with what the environment says."""
    facts = mutations.json_of(folder / "story")
    lives = len(deaths.noted(folder, "lives"))
    deaths.note(folder, "lives", "user code")
    chance = random.Random(f"{facts['seed']}/{lives}")
    mutations.MUTATIONS[facts["mutation"]]()
    pyramid.LINES_A_PART = facts["part"]
    armed = "user code" in facts["victims"] and len(deaths.noted(folder, "kills")) < facts["kills"]
    if armed and _points(facts):
        arm(_death(folder, facts, chance), chance, generation_of(facts["version"]).starts_commit == "after tar")
    if len(deaths.noted(folder, "kills")) >= facts["kills"]:
        _set_the_end(folder, facts)
    if facts["spout"] == "naive":
        return naive.main(read_config(os.environb), Path(os.environ["SPOUT_PFS_ROOT"]))
    return runtime.main()


def _death(folder, facts, chance):
    turn = deaths.noted(folder, "lives").count("user code")
    point = deaths.one_of(_points(facts), f"{facts['version']}/{facts['seed']}", turn)
    if facts["spout"] == "naive":
        point = "at any time"
    times = 1 if point.endswith("start") or facts["soonest"] else chance.randint(1, 4)
    death = deaths.Death(folder, "user code", point, times)
    death.in_time(chance.uniform(0.01, 0.3) if point == "at any time" else deaths.LONGEST_LIFE)
    return death


def _points(facts):
    return deaths.chosen(
        facts["points"], deaths.USER_POINTS + (deaths.QUEUE_POINTS if facts["kind"] == "queue" else ())
    )


def _set_the_end(folder, facts):
    """After the last kill the stream gets an end, some batches from where this life begins."""
    opened = STREAMS[facts["config"]["source"]["type"]]
    original = opened.open

    def open_and_end(source, position):
        original(source, position)
        at = streams.position_number(position)
        if facts["kind"] == "queue":
            at = max([source._next, *streams.acknowledged(folder)])
        new = folder / f"last.{os.getpid()}"
        new.write_text(str(at + 4 * facts["config"]["source"].get("most", 3) + 1))
        with suppress(FileExistsError):
            os.link(new, folder / "last")

    opened.open = open_and_end


def arm(death: deaths.Death, chance: random.Random, tears_markers: bool) -> None:
    """Make the runtime come by the points of ``death``; ``tears_markers``: also where no kill could (see `Torn`)."""
    _around(fifo, "throw_leftovers_away", "start", death, chance)
    for name in ("read", "ack"):
        _around(reconnect.Reconnecting, name, name, death, chance, after_first=name == "read")
    _around(pipe.PipeSink, "wait_until_taken", "wait", death, chance)
    _around(pipe.PipeSink, "flush", "barrier", death, chance)
    for name, method in (("announcing tar", "announce"), ("data tar", "write_data"), ("barrier", "write_barrier")):
        _tar(name, method, death, chance, tears_markers)
    _journal(death, chance)


def _around(owner, name, step, death, chance, after_first=False):
    original = getattr(owner, name)

    def wrapped(*arguments):
        death.at(f"before {step}")
        if death.point == f"inside {step}" and death.comes(death.point):
            if after_first:
                original(*arguments)
                death.die(death.point)
            death.in_time(chance.uniform(0, 0.003), death.point)
        result = original(*arguments)
        death.at(f"after {step}")
        return result

    setattr(owner, name, wrapped)


def _tar(name, method, death, chance, tears_markers):
    original = getattr(pipe.PipeSink, method)
    places = {f"{place} {name}": place for place in (*deaths.PLACES, "inside")}

    def wrapped(sink, *arguments):
        death.at(f"before {name}")
        if death.point in places and death.comes(death.point):
            sink._fifo = Torn(sink._fifo, places[death.point], death, chance, tears_markers)
        original(sink, *arguments)
        death.at(f"after {name}")

    setattr(pipe.PipeSink, method, wrapped)


class Torn:
    """A FIFO that takes a part of a tar, and then the writer is dead.

    A marker that is written at once is torn by no kill (tests/unit/runtime/test_fifo.py sees to that), so it is torn
    here only where a worker does not mind: from 1.11.3 on.
    """

    def __init__(self, inner, place, death, chance, tears_markers):
        self._inner, self._place, self._death, self._chance = inner, place, death, chance
        self._tears_markers = tears_markers
        self._before = b""

    def __getattr__(self, name):
        return getattr(self._inner, name)  # where a step was taken out, nothing is written here

    def write(self, pieces):
        """A data tar or a barrier, or what stands in an announcing tar before the marker."""
        self._before += b"".join(pieces)
        if self._before.endswith(tar.END):
            self._die(self._before, self._end(self._before))

    def write_at_once(self, pieces):
        """The end of an announcing tar."""
        marker = b"".join(pieces)
        whole = self._before + marker
        end = self._end(whole)
        if len(self._before) < end and len(marker) <= self._inner.capacity and not self._tears_markers:
            end = self._chance.choice([len(self._before), len(whole)])
        self._die(whole, end)

    def _end(self, whole):
        if self._place == "inside":
            return self._chance.randint(1, len(whole) - 1)
        return deaths.cut(whole, self._place, self._chance)

    def _die(self, whole, end):
        self._inner.write([whole[:end]])
        self._death.die(self._death.point)


def _journal(death, chance):
    original = journal.Journal.write

    def write(self, announcement):
        death.at("before journal")
        if death.point == "inside journal" and death.comes(death.point):
            journal.os = TornWrites(death, chance)
        original(self, announcement)
        death.at("after journal")

    journal.Journal.write = write


class TornWrites:
    """The module os, whose write does a part of it, and then the writer is dead."""

    def __init__(self, death, chance):
        self._death, self._chance = death, chance

    def __getattr__(self, name):
        return getattr(os, name)

    def write(self, fd, data):
        os.write(fd, data[: self._chance.randint(0, len(data) - 1)])
        self._death.die(self._death.point)


def run(folder: str, stdout: int) -> None:
    """Where a forked process begins; never returns."""
    os.dup2(stdout, 1)
    os.dup2(stdout, 2)
    sys.stdout = sys.stderr = os.fdopen(1, "w", buffering=1, encoding="utf-8")
    status = 70
    try:
        status = live(Path(folder))
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        for thread in threading.enumerate():  # a death that waits for its time must not come after the end
            if isinstance(thread, threading.Timer):
                thread.cancel()
        os._exit(status)
