"""2.x: each step of the protocol has a reason: without it the same troubles lose, repeat, go back or hang."""

import pytest
from mutations_v2 import MUTATIONS
from processes_v2 import Zygote
from story_v2 import Story, tell_all

TRIES = 8


@pytest.fixture(scope="module")
def zygote():
    made = Zygote()
    yield made
    made.close()


@pytest.mark.parametrize("name", [name for name in MUTATIONS if name])
def test_without_the_step_the_promise_is_broken(zygote, name):
    mutation = MUTATIONS[name]
    for seed in range(0, TRIES, 2):
        stories = [Story(seed + n, mutation=name, **mutation.story) for n in (0, 1)]
        verdicts = tell_all(zygote, stories)
        if any(shown in word for verdict in verdicts for word in verdict.broke for shown in mutation.shows):
            return
    pytest.fail(f"never {mutation.shows}; at last {verdicts}")


@pytest.mark.parametrize("name", ["no look at the head", "no look at the parent"])
def test_with_the_step_it_is_kept(zygote, name):
    """The mutations whose stories are of a kind that the matrix has not."""
    for verdict in tell_all(zygote, [Story(seed, **MUTATIONS[name].story) for seed in (0, 1)]):
        assert verdict.is_right, verdict
