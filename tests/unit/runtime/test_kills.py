"""SIGKILL at random moments, of the user code and of the whole pod: in the end nothing is missing, nothing is twice.

The end state is what a run without a kill would have left: the files on master depend on positions alone. Each seed is
one story; a failing one is told again by its number.
"""

import json
import random
import threading
import time
from contextlib import contextmanager

import pytest

from .spouts import NUMBERS, SYMBOL, Spout, end
from .worker_double import Worker

KILLS = 12
DEATHS = (
    "tar",  # while the worker reads one
    "slow tar",  # and it reads on slowly, so that the next spout finds leftovers
    "commit",  # while the worker commits one
    "slow commit",  # where it stands still, so that the spout gets as far ahead as it dares, until the next one starts
    "any time",
)
ENDLESS = {**NUMBERS, "source": {"type": "numbers", "last": 10**9}}
PREFIX = {**SYMBOL, "marker": {"prefix": "mymark"}}


def live(root, config, seed, check, change="", deaths=DEATHS):
    """One story: ``KILLS`` lives that end by SIGKILL, then one that must get further than all before."""
    rng = random.Random(seed)
    worker = Worker(root)
    worker.start()
    held = threading.Event()
    for _ in range(KILLS):
        with running(worker, config, change, held) as spout:
            held = threading.Event()
            choose_a_death(worker, spout, rng, held, deaths)
        promise(not worker.is_wedged)
        check(worker)
        if rng.random() < 0.3:
            worker.start()
    further = len(worker.commits) + 10
    while len(worker.commits) < further:
        with running(worker, config, change, held):
            worker.wait_for(lambda: len(worker.commits) >= further or worker.must_start_anew or worker.is_wedged)
            promise(not worker.is_wedged)
    return worker


@contextmanager
def running(worker, config, change, held):
    """A spout that has thrown away what its predecessor left; the worker, if held, goes on only now."""
    if worker.must_start_anew:
        worker.start()
    spout = Spout(worker.root, config, change)
    lives_before = sum(event["event"] in ("started", "resumed") for event in spout.events)
    try:
        wait_until(lambda: sum(event["event"] in ("started", "resumed") for event in spout.events) > lives_before)
        held.set()
        worker.on_block = worker.on_tar = lambda: None
        yield spout
    finally:
        end(spout)


def choose_a_death(worker, spout, rng, held, deaths):
    """Kill ``spout`` at one of the places of ``DEATHS``, where ``held`` is set once the next spout has started."""
    killed = threading.Event()
    death = rng.choice(deaths)
    left = [rng.randint(1, 400 if death.endswith("tar") else 8)]
    pause = rng.uniform(0, 0.01)

    def inside_a_tar():
        left[0] -= 1
        if left[0] == 0:
            spout.kill()
            killed.set()
        elif left[0] < 0 and death == "slow tar":
            held.wait(0.002)

    def at_a_commit():
        left[0] -= 1
        if left[0] == 0:
            killed.wait(pause if death == "slow commit" else 0)
            spout.kill()
            killed.set()
            held.wait(20 if death == "slow commit" else 0)

    if death == "any time":
        killed.wait(rng.uniform(0, 0.03))
        return
    if death.endswith("tar"):
        worker.on_block = inside_a_tar
    else:
        worker.on_tar = at_a_commit
    wait_until(lambda: killed.is_set() or worker.must_start_anew or worker.is_wedged)


def wait_until(condition, deadline=20.0):
    until = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)


def numbers_on(worker):
    """All numbers on master, file by file in the order of their names."""
    lines = b"".join(data for _, data in sorted(worker.master.items())).splitlines()
    return [int(line.split()[0]) for line in lines]


class BrokenPromiseError(AssertionError):
    """Something is missing, or twice."""


def promise(kept):
    if not kept:
        raise BrokenPromiseError


def check_numbers(worker):
    numbers = numbers_on(worker)
    promise(numbers == list(range(1, len(numbers) + 1)))
    if worker.marks:
        marker = json.loads(worker.marks["mymark"])
        promise((marker["committed"] or 0) <= len(numbers) <= marker["writing"])


def check_pyramid(worker):
    """Every line that was ever written is there, in order, none skipped, and the marker is an unbroken pyramid."""
    written = [len(commit["output"]) - 1 for commit in worker.commits if "output" in commit]
    steps = [after - before for before, after in zip([0, *written], written, strict=False)]
    promise(set(steps) <= {0, 1})
    for name in worker.marks:
        if name != "mymark" or not worker.marks[name].startswith(b"{"):
            lines = worker.marks[name].decode().splitlines()
            promise(lines == ["." * n for n in range(1, len(lines) + 1)])
            promise(written[-1:] in ([], [len(lines)], [len(lines) - 1]))


@pytest.mark.parametrize("seed", range(3))
def test_batches_of_a_source_that_can_be_read_again(tmp_path, seed):
    worker = live(tmp_path, ENDLESS, seed, check_numbers)
    check_numbers(worker)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("config", [SYMBOL, PREFIX], ids=["name", "prefix"])
def test_the_pyramid(tmp_path, config, seed):
    worker = live(tmp_path, config, seed, check_pyramid)
    check_pyramid(worker)


MAIN, SINK = "sys.modules['spout.__main__']", "sys.modules['spout.pipe'].PipeSink"
BROKEN = {
    "without the announcement": f"{SINK}.announce = lambda *_: None",
    "without the wait": f"{SINK}.wait_until_taken = lambda *_: None",
    "without the journal": f"{SINK}.write_journal = lambda *_: None",
    "without the replay": f"""
run, Announcement = {MAIN}.run, sys.modules['spout.marker'].Announcement
{MAIN}.run = lambda source, sink, a, *more: run(source, sink, a and Announcement(a.writing, None), *more)
""",
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_check_can_fail(tmp_path, name):
    deaths = ["slow commit"] if name == "without the wait" else DEATHS

    def lives():
        for seed in range(20):
            live(tmp_path / str(seed), ENDLESS, seed, check_numbers, BROKEN[name], deaths)

    with pytest.raises(BrokenPromiseError):
        lives()
