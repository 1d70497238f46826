"""The journal: worth something under its own FIFO only."""

import pytest
from spout.fatal import FatalError
from spout.journal import NAME, Journal
from spout.marker import Announcement


@pytest.mark.parametrize(
    "announcement",
    [
        Announcement(None, {"steps": [[1, 1]], "line": "é😀"}),
        Announcement(17, 20),
        Announcement([1, "a", None], None),
    ],
)
def test_what_was_written_is_read(tmp_path, announcement):
    Journal(tmp_path, [1, 2]).write(Announcement(0, 1))
    Journal(tmp_path, [1, 2]).write(announcement)
    assert Journal(tmp_path, [1, 2]).read() == announcement


def test_none_yet(tmp_path):
    assert Journal(tmp_path, [1, 2]).read() is None


@pytest.mark.parametrize("identity", [[1, 3], [2, 2]])
def test_of_another_fifo_it_is_worth_nothing(tmp_path, identity):
    Journal(tmp_path, [1, 2]).write(Announcement(1, 2))
    assert Journal(tmp_path, identity).read() is None


def test_a_write_that_was_killed_leaves_the_old_one(tmp_path):
    journal = Journal(tmp_path, [1, 2])
    journal.write(Announcement(1, 2))
    (tmp_path / f"{NAME}.new").write_text('{"fifo": [1, ')
    assert journal.read() == Announcement(1, 2)
    journal.write(Announcement(2, 3))
    assert journal.read() == Announcement(2, 3)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"fifo": [1, 2]}', "null"])
def test_one_that_somebody_damaged_is_refused(tmp_path, text):
    (tmp_path / NAME).write_text(text)
    with pytest.raises(FatalError) as caught:
        Journal(tmp_path, [1, 2]).read()
    assert NAME in caught.value.found
    assert "pod" in caught.value.remedy
