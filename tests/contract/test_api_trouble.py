"""ApiSink when something odd befalls its server: in the end every record stands there once."""

from __future__ import annotations

import itertools
import os
import threading
from contextlib import contextmanager

import pytest
from api_stage import BRANCH, HEAD, lose_a_reply, refused, runtime, stage, uncertain
from pachyderm_sdk.api import pfs

__all__ = ["runtime", "stage"]
PATIENCE = 120.0
RECORDS = 3000 if os.environ.get("SPOUTGEN_SOAK") == "1" else 80


@contextmanager
def full_disk(stage):
    """The store of pachd cannot grow by one page."""
    commits = stage.pachd.commits
    with commits.locked() as store, store.reading() as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        (before,) = db.execute("PRAGMA max_page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages}")
    yield
    with commits.locked() as store, store.reading() as db:
        db.execute(f"PRAGMA max_page_count = {before}")


def test_a_full_disk_refuses_the_batch_until_there_is_room(stage):
    sink = stage.sink()
    sink.resume()
    stage.write(sink, 0, 3)
    with full_disk(stage):
        for _ in range(2):
            with uncertain("full"):
                stage.write(sink, 3, 9_000)
            assert sink.resume().committed == 3
    stage.write(sink, 3, 9_000)
    assert stage.acknowledged == [3, 9_000]
    assert stage.numbers() == list(range(1, 9_001))


def test_a_disk_that_is_full_when_a_commit_is_to_be_finished_delays_it(stage):
    sink = stage.sink()
    sink.resume()
    stage.write(sink, 0, 3)
    is_full, tries = threading.Event(), itertools.count()
    real = stage.pachd.commits._finish

    def finish(*row):
        if next(tries) < 3:
            from spoutgen.local.database import unusable

            is_full.set()
            raise unusable(stage.pachd.home.store, "database or disk is full")
        return real(*row)

    stage.pachd.commits._finish = finish
    stage.write(sink, 3, 5)
    assert is_full.is_set()
    assert stage.numbers() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("call", ["clear_commit", "finish_commit"])
def test_a_reply_that_is_lost_while_an_open_head_is_repaired(stage, call):
    sink = stage.sink()
    sink.resume()
    stage.write(sink, 0, 3)
    stage.restart()
    stage.put(("/data/004", b"half of what a dead client wrote"))
    plain, left = getattr(sink._client.pfs, call), [1]

    def lost(**keys):
        plain(**keys)
        if left.pop():
            raise ConnectionError("the reply is lost")

    setattr(sink._client.pfs, call, lost)
    with uncertain("the reply is lost"):
        sink.resume()
    setattr(sink._client.pfs, call, plain)
    assert sink.resume().committed == 3
    stage.write(sink, 3, 5)
    assert stage.numbers() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("dropped", [1, 2, 3])
def test_heads_that_an_operator_drops_are_written_again(stage, dropped):
    """So a branch is moved back: the commits that it loses are gone, with their markers."""
    sink = stage.sink()
    sink.resume()
    for end in (2, 4, 6):
        stage.write(sink, end - 2, end)
    for _ in range(dropped):
        stage.main.pfs.drop_commit(commit=pfs.Commit(branch=BRANCH, repo=BRANCH.repo, id=stage.commits()[0].commit.id))
    with uncertain("somebody else's"):
        stage.write(sink, 6, 8)
    announcement = sink.resume()
    at = announcement.committed if announcement else 0
    assert at == 6 - 2 * dropped
    stage.write(sink, at, 8)
    assert stage.numbers() == list(range(1, 9))


def test_a_head_that_is_dropped_right_after_it_was_sent(stage):
    sink = stage.sink()
    sink.resume()
    stage.write(sink, 0, 3)
    send = sink.send

    def send_in_vain(files):
        send(files)
        stage.main.pfs.drop_commit(commit=HEAD)

    sink.send = send_in_vain
    with uncertain():
        stage.write(sink, 3, 5)
    sink.send = send
    assert stage.acknowledged == [3]
    assert sink.resume().committed == 3
    stage.write(sink, 3, 5)
    assert stage.numbers() == [1, 2, 3, 4, 5]


def test_a_marker_that_an_operator_has_ruined_is_refused_for_good(stage):
    sink = stage.sink()
    sink.resume()
    stage.write(sink, 0, 3)
    stage.put(("/mymark", b"by hand"))
    for _ in range(2):
        with refused("marker"):
            stage.sink().resume()
    assert stage.numbers() == [1, 2, 3]


def test_two_spouts_at_once_write_each_record_once(stage):
    """Both resume from what the other one has committed, again and again, and replies are lost on top."""
    from spout.records import UncertainError

    failed, overtaken = [], itertools.count()
    lose_a_reply(stage, number=RECORDS // 8)

    def live(step):
        sink, at = stage.sink(), None
        try:
            while at != RECORDS:
                try:
                    if at is None:
                        announcement = sink.resume()
                        at = announcement.committed if announcement else 0
                    else:
                        # A file a record, as with `format: files`.
                        stage.write_files(sink, at, min(at + step, RECORDS))
                        at = min(at + step, RECORDS)
                except UncertainError:
                    at = None
                    next(overtaken)
        except BaseException as error:  # it would be lost in the thread
            failed.append(error)

    threads = [threading.Thread(target=live, args=(step,)) for step in (1, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE if RECORDS < 100 else None)
        assert not thread.is_alive()
    assert failed == []
    assert stage.numbers() == list(range(1, RECORDS + 1))
    assert stage.sink().resume().committed == RECORDS
