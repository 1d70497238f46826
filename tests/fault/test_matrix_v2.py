"""2.x: SIGKILL of the runtime and of pachd at every step of the protocol, replies that get lost, heads that are left
open, commits that are refused after they were sent, zombies that write late. In the end every record stands in one
file and every position in one commit.

With SPOUTGEN_SOAK=1 thirty times as many stories. docs/explanation/protocol-2.md has what came of one run.
"""

import os
from collections import Counter

import pytest
from processes_v2 import Zygote
from story_v2 import Story, tell_all
from streams_v2 import PACHD_STEPS, SPOUT_STEPS

ROUNDS = 30 if os.environ.get("SPOUTGEN_SOAK") == "1" else 1
MODES = ("files", "fixed")


@pytest.fixture(scope="module")
def zygote():
    made = Zygote()
    yield made
    made.close()


def told(zygote, stories):
    """The verdicts, all of which are right, with all the kills that were planned."""
    verdicts = tell_all(zygote, stories)
    assert [(story, verdict) for story, verdict in zip(stories, verdicts, strict=True) if not verdict.is_right] == []
    for story, verdict in zip(stories, verdicts, strict=True):
        kills = Counter(kill.split()[0] for kill in verdict.kills)
        assert kills["spout"] >= story.spout_kills
        assert (kills["pachd"], verdict.zombies) == (story.pachd_kills, story.zombies)
    return verdicts


def seeds(number):
    return range(number * ROUNDS)


def test_a_spout_that_is_killed_at_every_step(zygote):
    stories = [
        Story(100 * seed + number, spout_kills=10, steps=(step,))
        for number, step in enumerate(SPOUT_STEPS)
        for seed in seeds(1)
    ]
    died_at = Counter(kill for verdict in told(zygote, stories) for kill in verdict.kills)
    assert all(died_at[f"spout {step}"] >= 9 * ROUNDS for step in SPOUT_STEPS), died_at


def test_a_pachd_that_is_killed_and_loses_replies(zygote):
    told(zygote, [Story(seed, pachd_kills=5, lost_replies=2) for seed in seeds(len(PACHD_STEPS))])


def test_commits_that_are_refused_after_they_were_sent(zygote):
    stories = [Story(seed, MODES[seed % 2], spout_kills=3, refusals=4) for seed in seeds(4)]
    assert sum(verdict.refused for verdict in told(zygote, stories)) >= 4 * ROUNDS


def test_zombies_that_write_late(zygote):
    stories = [Story(seed, MODES[seed % 2], zombies=3, spout_kills=2) for seed in seeds(4)]
    assert len(Counter(kill for verdict in told(zygote, stories) for kill in verdict.kills)) > 6


def test_all_at_once(zygote):
    told(zygote, [Story(seed, spout_kills=14, pachd_kills=2, lost_replies=1, restarts=2) for seed in seeds(4)])
    both = {"spout_kills": 10, "pachd_kills": 2, "lost_replies": 1, "restarts": 1, "zombies": 2, "refusals": 2}
    told(zygote, [Story(seed, MODES[seed % 2], **both) for seed in seeds(4)])
