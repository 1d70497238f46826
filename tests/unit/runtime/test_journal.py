"""The journal: worth something under its own FIFO only, and whole after a kill at any byte."""

import pytest
from spout.fatal import FatalError
from spout.journal import NAMES, Journal
from spout.marker import Announcement


def reopened(folder, identity=(1, 2)):
    return Journal(folder, list(identity)).read()


@pytest.mark.parametrize(
    "announcement",
    [
        Announcement(None, {"steps": [[1, 1]], "line": "é😀\n"}),
        Announcement(17, 20),
        Announcement([1, "a", None], None),
    ],
)
def test_what_was_written_last_is_read(tmp_path, announcement):
    journal = Journal(tmp_path, [1, 2])
    for at in range(3):
        journal.write(Announcement("x" * 1000, at))
    journal.write(announcement)
    assert reopened(tmp_path) == announcement


def test_a_process_that_is_started_again_goes_on_with_the_numbers(tmp_path):
    for at in range(7):
        journal = Journal(tmp_path, [1, 2])
        assert journal.read() == (Announcement(at - 1, at) if at else None)
        journal.write(Announcement(at, at + 1))


def test_none_yet(tmp_path):
    assert reopened(tmp_path) is None


@pytest.mark.parametrize("identity", [(1, 3), (2, 2)])
def test_of_another_fifo_it_is_worth_nothing(tmp_path, identity):
    Journal(tmp_path, [1, 2]).write(Announcement(1, 2))
    assert reopened(tmp_path, identity) is None


@pytest.mark.parametrize("before", [0, 1, 2, 3])
def test_a_write_that_is_killed_at_any_byte_leaves_the_entry_before_it(tmp_path, before):
    journal = Journal(tmp_path, [1, 2])
    for at in range(before):
        journal.write(Announcement(at, "a longer entry" if at % 2 else at + 1))
    expected = reopened(tmp_path)
    overwritten = tmp_path / NAMES[(before + 1) % 2]
    old = overwritten.read_bytes() if before > 1 else b""
    journal.write(Announcement("new", "newer"))
    new = overwritten.read_bytes().splitlines(keepends=True)[0]
    for cut in range(len(new)):
        torn = new[:cut] + old[cut:]
        if torn.splitlines() and torn.splitlines()[0] != new.rstrip():  # the rest may happen to be the same
            overwritten.write_bytes(torn)
            assert reopened(tmp_path) == expected
    overwritten.write_bytes(new + old[len(new) :])
    assert reopened(tmp_path) == Announcement("new", "newer")


def test_two_files_that_somebody_damaged_are_refused(tmp_path):
    for name in NAMES:
        (tmp_path / name).write_text("garbage")
    with pytest.raises(FatalError) as caught:
        reopened(tmp_path)
    assert NAMES[0] in caught.value.found
    assert "pod" in caught.value.remedy


def test_a_disk_that_is_full_is_an_error(tmp_path):
    for name in NAMES:
        (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        Journal(tmp_path, [1, 2]).write(Announcement(1, 2))
