"""Each step of the pipe protocol has a reason: without it the same kills lose, repeat, or hang. So the check can fail.

Where each shows is the table in docs/explanation/delivery.md.
"""

import os
import signal

import pytest
import story as story_module
from mutations import MUTATIONS
from report import naive, row
from story import Story, tell_all

PAUSE = {"victims": ("user code",), "pause": 0.1}
WORKER = {"victims": ("worker",), "points": ("after marker put", "inside marker put")}
QUEUE = {"kind": "queue", "victims": ("worker",), "points": ("before put", "inside put", "before finish commit")}
SLOW = {**PAUSE, "points": ("after data tar", "before read", "after journal")}
# step taken out, version, how its want shows, what brings it to light
CASES = [
    ("no announcement", "1.9.12", "repeated", {}),
    ("no announcement", "1.12.1", "repeated", {}),
    ("no replay", "1.11.0", "lost", {}),
    ("no replay", "1.12.1", "lost", {}),
    ("no wait", "1.9.12", "lost", {**SLOW, "kills": 6}),
    ("no wait", "1.11.0", "lost", {**SLOW, "kills": 6}),
    ("no wait", "1.12.1", "lost", {**SLOW, "points": ("after data tar", "after journal"), "pause": 1.5, "kills": 4}),
    ("no journal", "1.12.1", "repeated", {"kills": 8}),
    ("journal before the wait", "1.9.12", "lost", {**PAUSE, "points": ("header announcing tar", "inside wait")}),
    ("no discard at start", "1.9.12", "lost", {**PAUSE, "points": ("header data tar", "inside entry data tar")}),
    ("write-only handle", "1.9.12", "the runtime crashed: BrokenPipeError", {"pause": 0.05}),
    ("padding to 10,240", "1.9.12", "the marker says", {"kills": 0}),
    (
        "ack before the wait",
        "1.11.3",
        "lost",
        {**QUEUE, "points": ("before put", "inside put", "before finish commit")},
    ),
    ("ack without the barrier", "1.11.3", "lost", QUEUE),
    ("marker in pieces", "1.11.0", "gives up: 1:", {"points": ("inside entry announcing tar", "before read")}),
    ("parts before any marker", "1.11.3", "never starts the spout", {**WORKER, "kind": "parts", "kills": 2}),
    ("exit 0", "1.9.12", "nothing moves: the user code ended with 0", {"victims": ("user code",), "kills": 2}),
    ("exit 0", "1.12.1", "nothing moves: the user code ended with 0", {"victims": ("user code",), "kills": 2}),
]


@pytest.mark.parametrize(
    ("mutation", "version", "shows", "more"), CASES, ids=[f"{case[0]} {case[1]}" for case in CASES]
)
def test_without_the_step_the_promise_is_broken(mutation, version, shows, more):
    for seed in range(1, 41, 2):
        stories = [Story(seed=seed + n, version=version, mutation=mutation, **{"kills": 16, **more}) for n in (0, 1)]
        outcomes = tell_all(stories)
        assert [outcome.broken for outcome in outcomes if outcome.broken] == []
        if any(outcome.is_broken_by(shows) for outcome in outcomes):
            return
    pytest.fail(f"never {shows!r}; at last {[sorted(outcome.broke) for outcome in outcomes]}")


def test_every_mutation_is_tried():
    assert {case[0] for case in CASES} == set(MUTATIONS) - {None}


def test_a_spout_as_the_example_is_loses_and_repeats():
    outcomes = tell_all(story for version in ("1.9.12", "1.11.0", "1.11.8") for story in naive(version, [1], kills=8))
    assert [outcome.broken for outcome in outcomes if outcome.broken] == []
    assert all(outcome.lost or outcome.repeated for outcome in outcomes), [row([outcome]) for outcome in outcomes]


def test_a_spout_as_the_example_is_never_commits_from_1_12_1_on():
    (outcome,) = tell_all(naive("1.12.1", [1], kills=8))
    assert outcome.stuck.startswith("never commits: all requests in a put files call must have the same commit ID")


def test_a_story_that_tells_nothing_is_no_verdict(monkeypatch):
    def die(story):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(story_module, "tell", die)
    (outcome,) = tell_all([Story(seed=1, version="1.12.1")])
    assert (outcome.broken, outcome.is_kept) == ("the process that told it left no result", False)


def test_a_worker_that_breaks_is_no_verdict(monkeypatch):
    monkeypatch.setattr(story_module.worker_life, "run", lambda folder: None)
    (outcome,) = tell_all([Story(seed=1, version="1.12.1")])
    assert (outcome.broken, outcome.is_kept) == ("HarnessError: a worker ended that nobody killed", False)
