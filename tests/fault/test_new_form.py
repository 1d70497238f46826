"""A marker by name that becomes one by prefix, while user code and worker are killed at every step of it."""

from dataclasses import replace

import pytest
from deaths import TARS
from report import IS_SOAK, VERSIONS
from story import BOTH, Story, go_on_as, story_folder, tell_the_rest

from spoutgen.local.store import Store

LINES = 4  # in a part
# Where the first announcement by prefix is cut, each time before it is whole.
CUTS = tuple(f"{place} {TARS[0]}" for place in ("before", "header", "inside entry", "between entries"))


def marker_files(folder):
    with Store(folder / "store.db") as store:
        head = next(commit.id for commit in store.commits("dots", "marker") if commit.finished is not None)
        return sorted(info.path for info in store.list_files("dots", head))


def switched(version, seed, **keys):
    """Told by name to its end, then on by prefix: the outcome of the second half."""
    by_name = Story(seed=seed, version=version, kind="pyramid", kills=2, part=LINES)
    with story_folder(by_name) as folder:
        before = tell_the_rest(by_name, folder)
        assert before.is_kept, before
        assert before.last > 2 * LINES
        assert marker_files(folder) == ["/mymark"]
        for name in ("last", "kills", "lives"):
            (folder / name).unlink()
        by_prefix = replace(by_name, kind="parts", **keys)
        go_on_as(by_prefix, folder)
        after = tell_the_rest(by_prefix, folder)
        assert after.last > before.last
        return after


@pytest.mark.parametrize("version", [*VERSIONS.values()] if IS_SOAK else ["1.9.12", "1.13.4"])
def test_all_parts_are_there_whatever_dies(version):
    for seed in range(20 if IS_SOAK else 1):
        outcome = switched(version, seed, kills=8, victims=BOTH)
        assert outcome.is_kept, outcome
        assert len(outcome.kills) >= 8


@pytest.mark.parametrize("version", ["1.9.12", "1.13.4"])
def test_the_first_announcement_by_prefix_is_cut_everywhere(version):
    outcome = switched(version, 3, kills=2 * len(CUTS), victims=("user code",), points=CUTS, soonest=True)
    assert outcome.is_kept, outcome
    assert {kill.removeprefix("user code: ") for kill in outcome.kills} == set(CUTS)


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
def test_a_worker_dies_between_the_files_of_the_first_announcement(version):
    """Up to 1.12.0 it commits them one by one: the plain text stays the marker until all parts are there."""
    points = ("before marker put", "after marker put")
    outcome = switched(version, 5, kills=6, victims=("worker",), points=points, soonest=True)
    assert outcome.is_kept, outcome
    assert {kill.removeprefix("worker: ") for kill in outcome.kills} >= set(points)
