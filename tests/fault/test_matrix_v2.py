"""2.x: SIGKILL of the runtime and of pachd at every step of the protocol, replies that get lost, heads that are left
open, commits that are refused after they were sent, zombies that write late. In the end every record stands in one
file and every position in one commit.

More than 300 kills here, thirty times as many with SPOUTGEN_SOAK=1. `report_v2.py` prints the table.
"""

from collections import Counter

import pytest
from processes_v2 import Zygote
from report_v2 import MATRIX, ROUNDS
from story_v2 import tell_all
from streams_v2 import SPOUT_STEPS


@pytest.fixture(scope="module")
def zygote():
    made = Zygote()
    yield made
    made.close()


@pytest.mark.parametrize("name", MATRIX)
def test_nothing_is_lost_and_nothing_comes_twice(zygote, name):
    stories = MATRIX[name](range(ROUNDS))
    verdicts = tell_all(zygote, stories)
    told = list(zip(stories, verdicts, strict=True))
    assert [verdict for _, verdict in told if not verdict.is_right] == []
    # All that was to happen has happened.
    for story, verdict in told:
        kills = Counter(kill.split()[0] for kill in verdict.kills)
        assert kills["spout"] >= story.spout_kills, verdict
        assert (kills["pachd"], verdict.zombies) == (story.pachd_kills, story.zombies), verdict
        assert verdict.restarts >= story.restarts, verdict
    refused = sum(verdict.refused for verdict in verdicts)
    assert refused >= sum(story.refusals for story in stories) / 4
    if name == "the spout dies at each step":
        died_at = Counter(kill for verdict in verdicts for kill in verdict.kills)
        assert all(died_at[f"spout {step}"] >= 9 * ROUNDS for step in SPOUT_STEPS), died_at
