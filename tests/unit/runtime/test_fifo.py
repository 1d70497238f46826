"""The FIFO: opened for life, emptied at the start, written to the last byte, waited for."""

import contextlib
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from spout.fatal import FatalError
from spout.fifo import Fifo


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "scratch" / "out"
    made.parent.mkdir()
    os.mkfifo(made)
    (tmp_path / "out").symlink_to(made)
    return tmp_path / "out"


@pytest.fixture
def fifo(path):
    opened = Fifo(path, print)
    yield opened
    opened.close()


def test_it_is_known_by_device_and_inode_and_lies_where_the_link_leads(path, fifo):
    status = path.stat()
    assert fifo.identity == [status.st_dev, status.st_ino]
    assert fifo.path == path.parent / "scratch" / "out"


@pytest.mark.parametrize("length", [0, 1, 4097, 65536])
def test_leftovers_of_every_length_are_thrown_away(path, length):
    with held_open(path):
        leave(path, b"x" * length)
        fifo = Fifo(path, print)
        assert fifo.thrown_away == length
        assert fifo.unread() == 0
        fifo.close()


def test_a_worker_inside_a_torn_tar_sees_the_end_of_it_however_slowly_it_reads(path):
    def read_slowly(fd):
        blocks = []
        while block := os.read(fd, 512):
            blocks.append(block)
            threading.Event().wait(0.002)
        return b"".join(blocks)

    with held_open(path) as fd, ThreadPoolExecutor(1) as thread:
        leave(path, b"torn" * 10_000)
        os.set_blocking(fd, True)
        reading = thread.submit(read_slowly, fd)
        fifo = Fifo(path, print)
        fifo.write([b"whole"])
        left = fifo.unread()
        fifo.close()
        assert reading.result(20) == b"torn" * 10_000
    assert fifo.thrown_away == 0
    assert left == len(b"whole")


def test_a_worker_that_is_busy_elsewhere_never_sees_what_a_dead_process_left(path):
    with held_open(path) as worker:
        leave(path, b"torn")
        fifo = Fifo(path, print)
        fifo.write([b"whole"])
        assert os.read(worker, 100) == b"whole"
        fifo.close()


@contextmanager
def held_open(path):
    """The worker's end, which keeps the buffer alive."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield fd
    os.close(fd)


def leave(path, data):
    """What a process leaves behind that writes ``data`` and dies."""
    fd = os.open(path, os.O_RDWR)
    assert os.write(fd, data) == len(data)
    os.close(fd)


@pytest.mark.parametrize("sizes", [[1], [3 << 20], [1, 2, 3], [512, 200, 312] * 1000, [512, 1 << 16, 5, (1 << 16) - 1]])
def test_every_byte_arrives_in_order(path, sizes):
    pieces = [bytes([at % 256]) * size for at, size in enumerate(sizes)]
    fifo = Fifo(path, print)
    with ThreadPoolExecutor(1) as thread:
        got = thread.submit(read_all, path)
        fifo.write(iter(pieces))
        fifo.wait_until_taken()
        left = fifo.unread()
        fifo.close()
        assert left == 0
        assert got.result(20) == b"".join(pieces)


@pytest.mark.parametrize("size", [4097, 60_000, 250_000])
def test_a_kill_leaves_all_of_what_is_written_at_once_or_nothing(path, size):
    fifo = Fifo(path, print)
    if size > fifo.capacity:
        pytest.skip(f"the system gives a FIFO {fifo.capacity} bytes")
    chance = random.Random(size)
    taken = [0, 0]  # by whole writes, by the leftovers of a kill
    with held_open(path) as worker:
        for _ in range(100):
            pid = os.fork()
            if pid == 0:
                while True:
                    fifo.write_at_once([bytes(size // 2), bytes(size - size // 2)])
            end = time.monotonic() + chance.uniform(0, 0.004)
            while time.monotonic() < end:
                with contextlib.suppress(BlockingIOError):
                    taken[0] += len(os.read(worker, 5000))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            while fifo.unread():
                taken[1] += len(os.read(worker, 1 << 20))
            assert sum(taken) % size == 0
    fifo.close()
    assert min(taken) > 0


def read_all(path):
    with path.open("rb", buffering=0) as file:
        return b"".join(iter(lambda: file.read(777), b""))


def test_a_reader_that_comes_back_finds_what_was_written_meanwhile(path, fifo):
    first = os.open(path, os.O_RDONLY)
    fifo.write([b"one"])
    assert os.read(first, 3) == b"one"
    os.close(first)
    fifo.write([b"two"])
    second = os.open(path, os.O_RDONLY)
    assert os.read(second, 3) == b"two"
    os.close(second)


@pytest.mark.parametrize("size", [10, 4 << 20])
def test_a_worker_that_does_not_read_is_reported_and_again_at_twice_the_time(path, size):
    reported = []
    twice = threading.Event()

    def stalled(waited):
        reported.append(waited)
        if len(reported) == 2:
            twice.set()

    def read_in_the_end(file):
        assert twice.wait(20)
        left = size
        while left:
            left -= len(file.read(1 << 16))

    fifo = Fifo(path, stalled, patience=0.01)
    with path.open("rb", buffering=0) as file, ThreadPoolExecutor(1) as thread:
        reading = thread.submit(read_in_the_end, file)
        fifo.write([bytes(size)])
        fifo.wait_until_taken()
        reading.result(20)
    fifo.close()
    assert reported[0] >= 0.01
    assert reported[1] >= 0.02


def test_what_is_no_fifo_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(FatalError, match="which is no FIFO"):
        Fifo(tmp_path / "out", print)


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_what_cannot_be_opened_is_refused(tmp_path, kind):
    if kind == "folder":
        (tmp_path / "out").mkdir()
    with pytest.raises(FatalError, match="pipe"):
        Fifo(tmp_path / "out", print)
