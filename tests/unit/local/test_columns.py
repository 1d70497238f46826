"""pachctl's words."""

from datetime import datetime, timedelta, timezone

import pytest

from spoutgen.cli.columns import ago, human_duration, size, table


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "About an hour"),
        (5400, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (13 * 86400, "13 days"),
        (14 * 86400, "2 weeks"),
        (60 * 86400, "2 months"),
        (730 * 86400, "2 years"),
    ],
)
def test_durations(seconds, words):
    assert human_duration(timedelta(seconds=seconds)) == words


def test_ages():
    now = datetime(2026, 3, 1, tzinfo=timezone.utc)
    assert ago(now - timedelta(minutes=2, seconds=10), now) == "2 minutes ago"


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0B"), (11, "11B"), (1023, "1023B"), (1024, "1KiB"), (1536, "1.5KiB"), (8 << 20, "8MiB"), (10**9, "953.7MiB")],
)
def test_sizes(count, words):
    assert size(count) == words


def test_a_table():
    expected = "BRANCH HEAD\nmarker fb7df1\nm      -\n"
    assert table("BRANCH\tHEAD", [("marker", "fb7df1"), ("m", "-")]) == expected


def test_nothing_in_a_table_moves_the_cursor():
    assert table("A\tB", [("x\ny", "\x1b[31m")]).count("\n") == 2
