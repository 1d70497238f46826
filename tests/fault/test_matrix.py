"""The fault matrix: every generation of workers, every kind of source, killed at every step, compared in the end.

More than 1,000 kills here, 20,000 with SPOUTGEN_SOAK=1. `report.py` prints the table.
"""

import pytest
from deaths import QUEUE_POINTS, USER_POINTS
from report import IS_SOAK, VERSIONS, matrix, points
from story import Story, tell_all

LEAST = 1000 if not IS_SOAK else 20_000
TOLD = []


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
def test_nothing_is_lost_and_nothing_comes_twice(version):
    outcomes = tell_all(matrix(version, rounds=20 if IS_SOAK else 1))
    TOLD.extend(outcomes)
    assert [outcome for outcome in outcomes if not outcome.is_kept] == []
    assert sum(len(outcome.kills) for outcome in outcomes) >= LEAST / len(VERSIONS)


def test_every_step_of_the_user_code_was_died_at():
    missing = {f"user code: {point}" for point in (*USER_POINTS, *QUEUE_POINTS)} - set(points(TOLD))
    assert missing == set() or not TOLD


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
def test_a_run_without_faults_leaves_what_it_is_compared_with(version):
    stories = [
        Story(seed=7, version=version, kind="lines", fixed=True, kills=0),
        Story(seed=7, version=version, kind="files", kills=0),
    ]
    for outcome in tell_all(stories):
        assert outcome.is_kept
        assert (outcome.kills, outcome.last > 0) == ([], True)
