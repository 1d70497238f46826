"""Backoffs and generations: the numbers of upstream."""

from itertools import islice

import pytest

from spoutgen.errors import UsageError
from spoutgen.local.backoff import Backoff
from spoutgen.local.generations import GENERATIONS, generation_of
from spoutgen.local.worker import UPSTREAM


@pytest.mark.parametrize(
    ("backoff", "first", "cap"), [(UPSTREAM.user_code, 0.5, 15), (UPSTREAM.commit, 0.5, 15), (UPSTREAM.spout, 10, 15)]
)
def test_waits_grow_by_half_up_to_the_cap(backoff, first, cap):
    middle = first
    for wait in islice(backoff.waits(), 30):
        assert middle * 0.5 <= wait <= middle * 1.5
        middle = min(middle * 1.5, cap)
    assert middle == cap


def test_without_jitter_they_are_exact():
    assert list(islice(Backoff(2, 5, jitter=0).waits(), 4)) == [2, 3, 4.5, 5]


@pytest.mark.parametrize("version", ["1.12.1", "1.12.5", "1.13.0", "1.13.4", "v1.13.2"])
def test_the_newest_generation(version):
    assert generation_of(version).name == "G5"


@pytest.mark.parametrize("version", ["1.12.0", "1.9.12", "1.14.0", "2.0.0", "1.13", "", "x"])
def test_a_version_that_is_not_here_names_those_that_are(version):
    with pytest.raises(UsageError) as error:
        generation_of(version)
    assert "1.12.1 to 1.13.4" in error.value.diagnostics[0].hint


def test_the_rows_are_in_order_and_do_not_meet():
    bounds = [tuple(map(int, v.split("."))) for g in GENERATIONS for v in (g.first, g.last)]
    assert bounds == sorted(set(bounds))
