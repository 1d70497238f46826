"""Backoffs and generations: the numbers of upstream."""

from itertools import islice

import pytest

from spoutgen.errors import UsageError
from spoutgen.local.backoff import Backoff
from spoutgen.local.generations import GENERATIONS, generation_of
from spoutgen.local.worker import UPSTREAM


@pytest.mark.parametrize(
    ("backoff", "first", "cap"),
    [
        (UPSTREAM.user_code, 0.5, 15),
        (UPSTREAM.commit, 0.5, 15),
        (UPSTREAM.reader, 0.5, 15),
        (UPSTREAM.spout, 10, 15),
    ],
)
def test_waits_grow_by_half_up_to_the_cap(backoff, first, cap):
    middle = first
    for wait in islice(backoff.waits(), 30):
        assert middle * 0.5 <= wait <= middle * 1.5
        middle = min(middle * 1.5, cap)
    assert middle == cap


def test_without_jitter_they_are_exact():
    assert list(islice(Backoff(2, 5, jitter=0).waits(), 4)) == [2, 3, 4.5, 5]


# Every release of 1.x with a marker branch, as tagged upstream.
RELEASES = {
    "G2": "1.9.12 1.10.0 1.10.1 1.10.2 1.10.3 1.10.4 1.10.5",
    "G3": "1.11.0 1.11.1 1.11.2",
    "G4a": "1.11.3 1.11.4 1.11.5 1.11.6 1.11.7",
    "G4b": "1.11.8 1.11.9 1.12.0",
    "G5": "1.12.1 1.12.2 1.12.3 1.12.4 1.12.5 1.13.0 1.13.1 1.13.2 1.13.3 1.13.4 v1.13.2",
}


@pytest.mark.parametrize(("name", "version"), [(n, v) for n, versions in RELEASES.items() for v in versions.split()])
def test_every_release_has_its_generation(name, version):
    assert generation_of(version).name == name


@pytest.mark.parametrize("version", ["1.9.11", "1.8.5", "1.14.0", "2.0.0", "1.13", "1.13.4.1", "", "x", "1.13.\u0664"])
def test_a_version_that_is_not_here_names_those_that_are(version):
    with pytest.raises(UsageError) as error:
        generation_of(version)
    hint = error.value.diagnostics[0].hint
    assert "1.9.12 to 1.10.5 (G2)" in hint
    assert "1.12.1 to 1.13.4 (G5)" in hint


def test_the_rows_are_in_order_and_do_not_meet():
    bounds = [tuple(map(int, v.split("."))) for g in GENERATIONS for v in (g.first, g.last)]
    assert bounds == sorted(set(bounds))
