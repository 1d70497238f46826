"""The judgement alone: what history of announcements is one chain, and what files it must leave."""

import random

import pytest

from spoutgen.conformance.delivery import Announcement, BrokenChainError, chain, commits, difference, end_states


def announced(*pairs):
    return [Announcement(committed, writing) for committed, writing in pairs]


@pytest.mark.parametrize(
    ("history", "batches"),
    [
        ([], []),
        ([(None, 3), (3, 5)], [(None, 3), (3, 5)]),
        ([(None, 3), (None, 3), (3, 5), (3, 5)], [(None, 3), (3, 5)]),  # said again after a death
        ([(None, 3), (3, 5), (None, 3), (3, 4)], [(None, 3), (3, 4)]),  # died before the journal knew of 3..5
        ([(None, 3), (None, 4), (4, 5)], [(None, 4), (4, 5)]),  # the same, in the first batch of all
        ([(None, [1]), ([1], {"a": 2})], [(None, [1]), ([1], {"a": 2})]),
    ],
)
def test_one_chain(history, batches):
    assert chain(announced(*history)) == announced(*batches)


@pytest.mark.parametrize(
    ("history", "index"),
    [
        ([(3, 5)], 0),
        ([(None, 3), (4, 5)], 1),  # something is skipped
        ([(None, 3), (2, 5)], 1),  # something is repeated
        ([(None, 3), (3, 5), (3, 6)], 2),  # the same beginning, another end, and nothing was taken back
        ([(None, 3), (3, 5), (5, 7), (None, 3)], 3),  # back by two
        ([(None, 3), (3, 5), (None, 5)], 2),
    ],
)
def test_a_broken_chain(history, index):
    with pytest.raises(BrokenChainError) as caught:
        chain(announced(*history))
    assert caught.value.index == index
    assert caught.value.found == announced(history[index])[0]


@pytest.mark.parametrize("seed", range(50))
def test_whatever_the_protocol_can_leave_behind_is_one_chain(seed):
    """A model of it: kills before and after the journal is written, of the user code and of the worker."""
    rng = random.Random(seed)
    history, journal, written = [], None, []
    while len(history) < 60:
        new = (journal[1] if journal else None, len(history) + 1 + (journal[1] if journal else 0))
        history.append(new)
        if rng.random() < 0.3:  # killed after the marker's commit
            if rng.random() < 0.5 or journal is None:
                if journal:
                    history.append(journal)  # by itself: its journal speaks of the batch before
                continue
            history.append(new)  # with its worker: the marker is pulled
        journal = new
        written.append(new)
        while rng.random() < 0.3:  # killed in the data: said again
            history.append(new)
    assert chain(announced(*history))[: len(written)] == announced(*written)


def test_the_end_with_the_last_batch_and_without_it():
    batches = [[("/a", 1, "x"), ("/b", 2, "y")], [("/a", 3, "z")]]
    assert end_states(batches) == [{"/a": (3, "z"), "/b": (2, "y")}, {"/a": (1, "x"), "/b": (2, "y")}]
    assert end_states([]) == [{}]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"/a": (1, "x"), "/b": (2, "y")}, None),
        ({"/b": (2, "y")}, "1 file is missing, the first is /a"),
        ({}, "2 files are missing, the first is /a"),
        ({"/a": (1, "x"), "/b": (2, "y"), "/c": (0, "")}, "1 file is too many, the first is /c"),
        ({"/a": (1, "x"), "/b": (4, "yy")}, "1 file is wrong, the first is /b: 4 bytes instead of 2"),
        ({"/a": (1, "x"), "/b": (2, "z")}, "1 file is wrong, the first is /b: as long (2 bytes), but other bytes"),
    ],
)
def test_the_difference_in_words(found, words):
    assert difference(found, {"/a": (1, "x"), "/b": (2, "y")}) == words


def test_with_marker_and_data_in_one_commit_the_end_is_whole():
    batches = [[("/a", 1, "x"), ("/b", 2, "y")], [("/a", 3, "z")]]
    assert end_states(batches, is_atomic=True) == [{"/a": (3, "z"), "/b": (2, "y")}]
    assert end_states([], is_atomic=True) == [{}]


@pytest.mark.parametrize(
    ("markers", "has_begun", "batches"),
    [
        ([], False, []),
        ([(3, None), (5, None)], False, [(None, 3), (3, 5)]),
        ([(3, None), (3, None), (5, None)], False, [(None, 3), (3, 5)]),
        ([(3, None), (5, None)], True, [(3, 5)]),
        ([(None, "."), (".", ".."), (".", "..")], False, [(None, "."), (".", "..")]),
    ],
)
def test_the_markers_of_2_make_batches(markers, has_begun, batches):
    found = commits([Announcement(*marker) for marker in markers], has_begun=has_begun)
    assert [(batch.committed, batch.writing) for batch in found] == batches


@pytest.mark.parametrize(
    ("markers", "index"),
    [([(3, None), (5, None), (3, None)], 2), ([(3, None), (None, None)], 1), ([(None, "."), ("..", "...")], 1)],
)
def test_a_marker_of_2_that_goes_back_or_jumps_is_told(markers, index):
    with pytest.raises(BrokenChainError) as broken:
        commits([Announcement(*marker) for marker in markers], has_begun=False)
    assert broken.value.index == index
