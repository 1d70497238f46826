"""ApiSink against the local pachd, step by step: what each step of the protocol on 2.x is for."""

from __future__ import annotations

import pytest
from api_stage import HEAD, Stage, lose_a_reply, refused, runtime, stage, uncertain
from pachyderm_sdk.api import pfs

from spoutgen.local.home import Home
from spoutgen.local.pachd import serve

__all__ = ["runtime", "stage"]


def test_a_first_start_and_a_batch_with_its_marker_in_one_commit(stage):
    sink = stage.sink()
    assert sink.resume() is None
    number = len(stage.commits())
    stage.write(sink, 0, 3)
    assert stage.acknowledged == [3]
    assert len(stage.commits()) == number + 1
    assert stage.files() == {
        "/data/001": b"1\n2\n3\n",
        "/mymark": b'{"spoutgen_marker":1,"spout":"dots","source":"numbers","committed":3,"writing":null}\n',
    }
    announcement = stage.sink().resume()
    assert (announcement.committed, announcement.writing) == (3, None)


def test_the_beginning_is_committed_before_anything_is_read(stage):
    sink = stage.sink()
    sink.resume()
    sink.begin(41)
    stage.write(sink, 41, 42)
    assert stage.sink().resume().committed == 42


def test_a_place_that_is_no_batch_is_acknowledged_once_it_is_committed(stage):
    sink, acked = stage.sink(), []
    sink.resume()
    stage.write(sink, 0, 3)
    sink.flush(acked.append)
    assert acked == []
    sink.begin(60)
    assert stage.sink().resume().committed == 60
    sink.flush(acked.append)
    sink.flush(acked.append)
    assert acked == [60]
    sink.begin(70)
    stage.write(sink, 70, 71)
    sink.flush(acked.append)
    assert acked == [60]
    assert stage.numbers() == [1, 2, 3, 71]


def test_a_batch_that_is_written_again_replaces_its_files(stage):
    sink = stage.sink()
    sink.resume()
    stage.write(sink, 0, 3)
    stage.write(sink, 0, 2)
    assert stage.files()["/data/001"] == b"1\n2\n"


def test_an_open_head_is_cleared_and_finished(stage):
    sink = stage.sink()
    sink.resume()
    stage.write(sink, 0, 3)
    stage.restart()
    stage.put(("/data/004", b"half of what a dead client wrote"))
    again = stage.sink()
    assert again.resume().committed == 3
    stage.write(again, 3, 5)
    assert stage.numbers() == [1, 2, 3, 4, 5]


def test_an_open_head_that_comes_while_the_spout_runs_is_not_written_into(stage):
    sink = stage.sink()
    sink.resume()
    stage.write(sink, 0, 3)
    stage.restart()
    with uncertain("somebody else's"):
        stage.write(sink, 3, 5)
    assert sink.resume().committed == 3
    stage.write(sink, 3, 5)
    assert stage.numbers() == [1, 2, 3, 4, 5]


def test_an_open_head_that_comes_between_look_and_write_is_waited_for_only_so_long(stage, monkeypatch):
    from spout import api

    monkeypatch.setattr(api, "PATIENCE", 0.3)
    sink = stage.sink()
    sink.resume()
    stage.write(sink, 0, 3)
    look = sink.check_head
    sink.check_head = lambda: (look(), stage.restart())
    with uncertain("DEADLINE_EXCEEDED"):
        stage.write(sink, 3, 5)
    sink.check_head = look
    assert sink.resume().committed == 3
    stage.write(sink, 3, 5)
    assert stage.numbers() == [1, 2, 3, 4, 5]


def test_a_lost_reply_is_never_answered_by_sending_again(stage):
    sink = stage.sink()
    sink.resume()
    lose_a_reply(stage)
    with uncertain("UNAVAILABLE"):
        stage.write(sink, 0, 3)
    assert stage.acknowledged == []
    number = len(stage.commits())
    with uncertain("somebody else's"):
        stage.write(sink, 0, 3)
    assert sink.resume().committed == 3
    assert len(stage.commits()) == number


def test_a_commit_that_is_refused_later_is_told_and_passed_over(stage):
    sink = stage.sink()
    sink.resume()
    stage.write(sink, 0, 3)
    stage.put(("/data/004/x", b"in the way"))
    assert sink.resume().committed == 3
    with refused("file / directory path collision"):
        stage.write(sink, 3, 5)
    assert stage.acknowledged == [3]
    # The next start walks back to the newest good commit, and again once the way is free.
    again = stage.sink()
    assert again.resume().committed == 3
    with refused("file / directory path collision"):
        stage.write(again, 3, 5)
    stage.sidecar.pfs.delete_file(commit=HEAD, path="/data/004/")
    assert again.resume().committed == 3
    stage.write(again, 3, 5)
    assert stage.numbers() == [1, 2, 3, 4, 5]


def test_a_zombie_that_comes_last_is_followed(stage):
    zombie, sink = stage.sink(), stage.sink()
    zombie.resume()
    sink.resume()
    stage.write(sink, 0, 5)
    zombie.check_head = lambda: None  # it looked long ago
    with uncertain("somebody else's"):
        stage.write(zombie, 0, 3)
    assert stage.numbers() == [1, 2, 3]
    with uncertain("somebody else's"):
        stage.write(sink, 5, 8)
    assert sink.resume().committed == 3
    stage.write(sink, 3, 8)
    assert stage.numbers() == list(range(1, 9))


def test_a_zombie_between_look_and_write_is_seen_afterwards(stage):
    zombie, sink = stage.sink(), stage.sink()
    zombie.resume()
    sink.resume()
    look = sink.check_head

    def look_then_be_overtaken():
        look()
        zombie.check_head = lambda: None
        stage.write(zombie, 0, 3)

    sink.check_head = look_then_be_overtaken
    with uncertain("somebody else's"):
        stage.write(sink, 0, 5)
    sink.check_head = look
    assert sink.resume().committed == 5
    stage.write(sink, 5, 8)
    assert stage.numbers() == list(range(1, 9))


def test_a_marker_of_1_x_says_what_is_to_be_read_again(stage):
    marker = b'{"spoutgen_marker":1,"spout":"dots","source":"numbers","committed":7,"writing":9}\n'
    stage.put(("/mymark", marker))
    announcement = stage.sink().resume()
    assert (announcement.committed, announcement.writing) == (7, 9)


def test_a_marker_under_another_name_is_not_taken_for_none(stage):
    sink = stage.sink()
    sink.resume()
    stage.write(sink, 0, 3)
    with refused("with mymark, and without /another"):
        stage.sink(marker="another").resume()
    stage.sidecar.pfs.delete_file(commit=HEAD, path="/mymark")  # `spoutgen marker reset`
    assert stage.sink().resume() is None


def test_a_reset_is_no_renamed_marker_whatever_folders_there_are(stage):
    """An older `output.path` has left a folder, and so have dead letters."""
    sink = stage.sink()
    sink.resume()
    stage.write(sink, 0, 3)
    stage.put(("/older/1", b"1"), ("/dead/1", b"1"))
    with refused("with mymark, and without /another"):
        stage.sink(path="{kind}/{first}", marker="another").resume()
    stage.sidecar.pfs.delete_file(commit=HEAD, path="/mymark")
    assert stage.sink().resume() is None
    assert stage.sink(path="now/{first}").resume() is None


@pytest.mark.parametrize("is_prefix", [False, True])
def test_the_pyramid(stage, is_prefix):
    import dataclasses

    from spout.records import Batch, Record
    from spout.sources import pyramid

    sink = stage.sink("symbol", "output")
    if is_prefix:
        config = dataclasses.replace(sink._config, marker_is_prefix=True)
        sink._config, sink._shape = config, pyramid.shape(config, "symbol")
    sink.resume()
    at = pyramid.EMPTY
    for _ in range(3):
        start = pyramid.to_position(at) if at.line else None
        at = pyramid.grown(at, ".")
        record = Record(at.line.encode(), pyramid.to_position(at), str(len(at.line)))
        sink.write(Batch(start, record.position, [record]), stage.acknowledged.append)
    files = stage.files()
    assert files["/output"] == b"...\n"
    assert files["/mymark01" if is_prefix else "/mymark"] == b".\n..\n...\n"
    announcement = sink.resume()
    assert announcement.writing == pyramid.to_position(at)


def test_a_file_above_the_message_limit_goes_in_chunks(stage):
    from spout.records import Batch, Record

    sink = stage.sink()
    sink.resume()
    big = bytes(45 << 20)
    sink.write(Batch(None, 1, [Record(big, 1, "001")]), stage.acknowledged.append)
    info = stage.main.pfs.inspect_file(file=pfs.File(commit=HEAD, path="/data/001"))
    assert info.size_bytes == len(big) + 1


def test_a_server_that_is_not_there_is_uncertain(tmp_path):
    with serve(Home(tmp_path)) as pachd:
        stage = Stage(pachd, [])
        sink = stage.sink()
    with uncertain():
        sink.resume()
