"""Each step of the pipe protocol has a reason: without it the same kills lose, repeat, or hang. So the check can fail.

Where each shows is the table in docs/explanation/delivery.md.
"""

import pytest
from report import naive, row
from story import Story, tell_all

PAUSE = {"victims": ("user code",), "pause": 0.1}
# mutation, version, what brings it to light
CASES = [
    ("no announcement", "1.9.12", {}),
    ("no announcement", "1.12.1", {}),
    ("no replay", "1.11.0", {}),
    ("no replay", "1.12.1", {}),
    ("no wait", "1.9.12", {**PAUSE, "points": ("after data tar", "before read", "after journal")}),
    ("no wait", "1.11.0", {**PAUSE, "points": ("after data tar", "before read", "after journal")}),
    ("no wait", "1.12.1", {**PAUSE, "points": ("after data tar", "after journal"), "pause": 1.5, "kills": 4}),
    ("no journal", "1.12.1", {"kills": 8}),
    ("journal before the wait", "1.9.12", {**PAUSE, "points": ("before announcing tar", "header announcing tar")}),
    ("no discard at start", "1.9.12", {"points": ("header data tar", "inside entry data tar"), **PAUSE}),
    ("write-only handle", "1.9.12", {"pause": 0.05}),
    ("padding to 10,240", "1.9.12", {"kills": 0}),
    (
        "ack before the wait",
        "1.11.3",
        {"kind": "queue", "points": ("before put", "inside put", "before finish commit"), "victims": ("worker",)},
    ),
    ("exit 0", "1.9.12", {"victims": ("user code",), "kills": 2}),
    ("exit 0", "1.12.1", {"victims": ("user code",), "kills": 2}),
]


@pytest.mark.parametrize(("mutation", "version", "more"), CASES, ids=[f"{case[0]} {case[1]}" for case in CASES])
def test_without_the_step_the_promise_is_broken(mutation, version, more):
    settings = {"kills": 16, "stalled": 3.0, **more}
    for seed in range(1, 11, 2):
        stories = [Story(seed=seed + n, version=version, mutation=mutation, **settings) for n in (0, 1)]
        if not all(outcome.is_kept for outcome in tell_all(stories)):
            return
    pytest.fail("nothing was lost, nothing came twice, nothing hung")


def test_a_spout_as_the_example_is_loses_and_repeats():
    outcomes = tell_all(story for version in ("1.9.12", "1.11.0", "1.11.8") for story in naive(version, [1], kills=8))
    assert all(outcome.lost or outcome.repeated for outcome in outcomes), [row([outcome]) for outcome in outcomes]


def test_a_spout_as_the_example_is_never_commits_from_1_12_1_on():
    (outcome,) = tell_all(naive("1.12.1", [1], kills=8))
    assert "all requests in a put files call must have the same commit ID" in outcome.stuck
