"""The protocol of the pipe, as the other end of a real FIFO sees it, and the order of its steps."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from spout.config import Config, Limits, Output
from spout.fatal import FatalError
from spout.fifo import Fifo
from spout.journal import Journal
from spout.log import Log
from spout.marker import Announcement, Budget, JsonShape
from spout.metrics import Meter
from spout.pipe import PipeSink
from spout.records import Batch, File, Record

from .worker_double import entries_of, read_tar, recorded

CONFIG = Config(
    "numbers", "numbers", {}, "mymark", False, Output("data/{first}-{last}", "lines"), Limits(10, 1000, 5.0)
)

SHAPE = JsonShape("mymark", "numbers", "numbers")


def marker(committed, writing):
    text = '{"spoutgen_marker":1,"spout":"numbers","source":"numbers","committed":%s,"writing":%s}\n'
    return {"mymark": (text % (committed, writing)).encode()}


def batch(first, last):
    return Batch(first - 1 or None, last, [Record(b"%d" % n, n, str(n)) for n in range(first, last + 1)])


@pytest.fixture
def sink(tmp_path):
    os.mkfifo(tmp_path / "out")
    fifo = Fifo(tmp_path / "out", print)
    return PipeSink(
        CONFIG,
        fifo,
        Journal(tmp_path, fifo.identity),
        JsonShape("mymark", "numbers", "numbers"),
        Budget(Log(None), Meter()),
    )


def test_every_batch_is_an_announcing_tar_and_then_a_data_tar(tmp_path, sink):
    acked = []
    with recorded(tmp_path / "out") as tars:
        sink.write(batch(1, 3), acked.append)
        assert acked == []
        sink.write(batch(4, 4), acked.append)
        assert acked == [3]
        sink.flush(acked.append)
        assert acked == [3, 4]
        sink.flush(acked.append)
        assert acked == [3, 4]
        sink.close()
    assert tars == [
        marker("null", 3),
        {"data/1-3": b"1\n2\n3\n"},
        marker(3, 4),
        {"data/4-4": b"4\n"},
    ]


class Parts:
    """A marker by prefix in two files."""

    def files(self, announcement):
        return [File(name, 1, [b"%d" % announcement.writing]) for name in ("mymark01", "mymark")]


def test_a_branch_never_holds_parts_without_the_marker_that_a_restart_is_given(tmp_path):
    os.mkfifo(tmp_path / "out")
    fifo = Fifo(tmp_path / "out", print)
    sink = PipeSink(CONFIG, fifo, Journal(tmp_path, fifo.identity), Parts(), Budget(Log(None), Meter()))
    with recorded(tmp_path / "out") as tars:
        sink.announce(Announcement(None, 3))
        sink.announce(Announcement(3, 4))
        sink.wait_until_taken()
        sink.close()
    first, *both = tars
    assert first == {"mymark": b"3"}
    assert both == [{"mymark01": b"3", "mymark": b"3"}, {"mymark01": b"4", "mymark": b"4"}]


def test_no_ack_no_journal_and_no_data_before_the_worker_has_taken_the_announcing_tar(tmp_path):
    os.mkfifo(tmp_path / "out")
    waits = threading.Event()
    fifo = Fifo(tmp_path / "out", lambda waited: waits.set(), patience=0.001)
    journal = Journal(tmp_path, fifo.identity)
    sink = PipeSink(CONFIG, fifo, journal, SHAPE, Budget(Log(None), Meter()))
    acked = []
    with ThreadPoolExecutor(1) as thread, (tmp_path / "out").open("rb", buffering=0) as reader:
        writing = thread.submit(sink.write, batch(1, 3), acked.append)
        read_tar(reader.fileno())
        read_tar(reader.fileno())
        writing.result(20)
        writing = thread.submit(sink.write, batch(4, 5), acked.append)
        tar = b""
        while len(tar) < 512 + 512 + 1024 - 1:  # header, marker, end: all but the last byte
            tar += reader.read(512 + 512 + 1024 - 1 - len(tar))
        waits.clear()
        assert waits.wait(20)
        assert (acked, journal.read()) == ([], Announcement(None, 3))
        tar += reader.read(1)
        assert dict(entries_of(tar)) == marker(3, 5)
        assert dict(entries_of(read_tar(reader.fileno()))) == {"data/4-5": b"4\n5\n"}
        writing.result(20)
    assert (acked, journal.read()) == ([3], Announcement(3, 5))
    sink.close()


def test_after_a_barrier_nothing_is_being_written(tmp_path, sink):
    with recorded(tmp_path / "out"):
        sink.write(batch(1, 3), lambda position: None)
        assert Journal(tmp_path, sink._fifo.identity).read() == Announcement(None, 3)
        sink.flush(lambda position: None)
        assert Journal(tmp_path, sink._fifo.identity).read() == Announcement(3, None)
        sink.close()


def test_the_barrier_is_two_zero_blocks(tmp_path, sink):
    fd = os.open(tmp_path / "out", os.O_RDONLY | os.O_NONBLOCK)
    sink.write_barrier()
    assert os.read(fd, 10_000) == bytes(1024)
    os.close(fd)
    sink.close()


def test_a_batch_that_must_not_be_written_is_not_announced_either(tmp_path, sink):
    sink._config = Config("numbers", "numbers", {}, "data", False, CONFIG.output, CONFIG.batch)
    with recorded(tmp_path / "out") as tars:
        with pytest.raises(FatalError):
            sink.write(batch(1, 1), print)
        sink.close()
    assert tars == []


def test_each_step_is_a_method_that_a_fault_can_be_put_into(tmp_path, sink):
    steps = []
    for name in ("announce", "wait_until_taken", "write_journal", "acknowledge", "write_data", "write_barrier"):
        step = getattr(sink, name)
        setattr(sink, name, lambda *args, name=name, step=step: (steps.append(name), step(*args))[1])
    with recorded(tmp_path / "out"):
        sink.write(batch(1, 1), print)
        sink.flush(lambda position: None)
        sink.close()
    assert steps == [
        *("announce", "wait_until_taken", "write_journal", "acknowledge", "write_data"),
        *("write_barrier", "wait_until_taken", "write_journal", "acknowledge"),
    ]


def test_a_place_that_is_no_batch_is_acknowledged_once_its_marker_is_committed(tmp_path, sink):
    acked = []
    with recorded(tmp_path / "out") as tars:
        sink.write(batch(1, 3), acked.append)
        sink.flush(acked.append)
        sink.begin(60)
        assert acked == [3]
        assert Journal(tmp_path, sink._fifo.identity).read() == Announcement(60, None)
        sink.flush(acked.append)
        assert acked == [3, 60]
        sink.begin(70)
        sink.write(batch(71, 71), acked.append)
        assert acked == [3, 60, 70]
        sink.close()
    assert tars[2:] == [marker(60, "null"), marker(70, "null"), marker(70, 71), {"data/71-71": b"71\n"}]
