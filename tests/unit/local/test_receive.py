"""Tars through a real FIFO: read exactly, taken whole or not at all."""

import io
import os
import tarfile
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spoutgen.local.fifo import Fifo, StoppedError
from spoutgen.local.tar import TarError
from spoutgen.local.whole import receive_tar

NAMES = st.text(st.sampled_from("ab/é x."), min_size=1, max_size=12) | st.just("long/" * 60 + "name")
ENTRIES = st.lists(st.tuples(NAMES, st.binary(max_size=1500)), min_size=1, max_size=4)
FORMATS = st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
END = bytes(1024)


def tar(entries, format_=tarfile.PAX_FORMAT, **fields) -> bytes:
    """A tar that ends in exactly two zero blocks."""
    data = b""
    for name, body in entries:
        info = tarfile.TarInfo(name)
        info.size = len(body)
        for field, value in fields.items():
            setattr(info, field, value)
        data += info.tobuf(format_) + body + bytes(-len(body) % 512)
    return data + END


def size_without_end(data: bytes) -> int:
    return len(data) - len(END)


class WatchedFifo(Fifo):
    """Lets the writer know when everything it wrote was read to the end, and when its next open was noticed.

    Without that a writer that is too quick is not noticed, here as upstream: what it wrote waits for the next one.
    """

    def __init__(self, path: Path) -> None:
        self.stopped = threading.Event()
        super().__init__(path, self.stopped)
        self.at_end = threading.Semaphore(0)
        self.resumed = threading.Semaphore(0)

    def wait_for_writer(self) -> None:
        self.at_end.release()
        super().wait_for_writer()
        self.resumed.release()


@contextmanager
def fifo():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "out")
        os.mkfifo(path)
        reader = WatchedFifo(path)
        try:
            yield path, reader
        finally:
            reader.close()


def feed(path: Path, reader: WatchedFifo, *turns: bytes) -> threading.Thread:
    """Write each of the turns in an open of its own, the next one when the reader has come to the end."""

    def write() -> None:
        for number, turn in enumerate(turns):
            if number:
                reader.at_end.acquire()
            with path.open("wb", buffering=0) as out:
                if number:
                    reader.resumed.acquire()
                view = memoryview(turn)
                while view:
                    view = view[out.write(view) :]

    thread = threading.Thread(target=write)
    thread.start()
    return thread


def received(reader: Fifo) -> list[tuple[str, bytes]]:
    with tempfile.TemporaryFile() as file:
        entries = receive_tar(reader, file)
        bodies = []
        for entry in entries:
            file.seek(entry.offset)
            bodies.append((entry.name, file.read(entry.size)))
        return bodies


def taken(*turns: bytes) -> list[tuple[str, bytes]]:
    """What a fresh reader makes of the turns, first tar only; the writer ends in any case."""
    with fifo() as (path, reader):
        thread = feed(path, reader, *turns)
        try:
            with reader.opened():
                return received(reader)
        finally:
            # Whatever was not read goes away with the reader.
            rest = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            while thread.is_alive():
                reader.at_end.release()
                reader.resumed.release()
                with suppress(BlockingIOError):
                    os.read(rest, 1 << 16)
                thread.join(0.001)
            os.close(rest)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ENTRIES, FORMATS)
def test_any_tar_comes_through(entries, format_):
    try:
        data = tar(entries, format_)
    except ValueError:
        return  # a name too long for ustar
    plain = [(name.rstrip("/") if name.endswith("/") else name, body) for name, body in entries]
    assert [(name.rstrip("/"), body) for name, body in taken(data)] == [(n.rstrip("/"), b) for n, b in plain]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from("ab"), st.binary(max_size=700)), min_size=1, max_size=3), st.data())
def test_a_cut_tar_is_whole_entries_or_nothing(entries, draw):
    data = tar(entries)
    cut = draw.draw(st.integers(0, len(data)))
    ends = []  # where an entry is complete; padding may be missing
    position = 0
    for _, body in entries:
        ends.append((position + 512 + len(body), position + 512 + len(body) + -len(body) % 512))
        position = ends[-1][1]
    complete = [entry for entry, (end, _) in zip(entries, ends, strict=True) if end <= cut]
    at_boundary = any(end <= cut <= padded for end, padded in ends) or cut in (len(data), len(data) - 512)
    marker = tar([("next", b"")])
    if cut < 512:
        # Less than a block is nothing at all; the next open begins anew.
        assert taken(data[:cut], marker) == [("next", b"")]
    elif at_boundary:
        assert taken(data[:cut], marker) == complete
    else:
        with pytest.raises(TarError):
            taken(data[:cut], marker)


def test_zero_blocks_before_a_tar_are_skipped():
    assert taken(bytes(512 * 5) + tar([("a", b"1")])) == [("a", b"1")]


def test_nothing_of_the_next_tar_is_read():
    with fifo() as (path, reader):
        out = os.open(path, os.O_RDWR)
        first, second = tar([("a", b"1" * 100)]), tar([("b", b"2")])
        os.write(out, first + second)
        with reader.opened():
            assert received(reader) == [("a", b"1" * 100)]
        assert os.read(out, 1 << 16) == second
        os.close(out)


def test_padding_and_opens_without_bytes_between_tars():
    with fifo() as (path, reader):
        thread = feed(path, reader, tar([("a", b"1")]) + bytes(9216), b"", b"", bytes(512), tar([("b", b"2")]))
        with reader.opened():
            assert [received(reader), received(reader)] == [[("a", b"1")], [("b", b"2")]]
        thread.join()


@pytest.mark.parametrize("type_", [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_what_is_no_file_has_no_bytes(type_):
    assert taken(tar([("a", b"")], type=type_, linkname="x")) == [("a", b"")]


def test_sizes_beyond_octal_are_read():
    info = tarfile.TarInfo("a")
    info.size = 1 << 33
    header = info.tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(TarError, match=f"inside 'a', {(1 << 33) - 3} of {1 << 33} bytes missing"):
        taken(header + b"abc")


def test_a_pax_header_gives_the_size():
    info = tarfile.TarInfo("a")
    info.pax_headers = {"size": "3"}
    data = info.tobuf(tarfile.PAX_FORMAT) + b"abc" + bytes(509) + END
    assert taken(data) == [("a", b"abc")]


def test_a_global_header_is_an_empty_file():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "x"}) as archive:
        archive.addfile(tarfile.TarInfo("a"))
    names = [name for name, _ in taken(buffer.getvalue())]
    assert names[-1] == "a"
    assert len(names) == 2


@pytest.mark.parametrize(
    "data",
    [
        b"x" * 512,
        b"a" + bytes(511),
        tar([("a", b"")])[:512] + bytes(512) + tar([("b", b"")]),
        tarfile.TarInfo("a").tobuf()[:150] + b"\xff" * 362,
    ],
)
def test_what_is_no_tar_is_refused(data):
    with pytest.raises(TarError):
        taken(data)


@pytest.mark.parametrize("record", [b"5 a=b\n", b"x a=b\n", b"6 ab\n\n", b"99 a=b\n", b"6 a=bc", b"\n"])
def test_a_damaged_pax_header_is_refused(record):
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, len(record)
    data = info.tobuf(tarfile.USTAR_FORMAT) + record + bytes(-len(record) % 512) + tar([("a", b"")])
    with pytest.raises(TarError):
        taken(data)


def in_thread(action) -> tuple[threading.Thread, list[BaseException]]:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except StoppedError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, errors


def stop(reader: WatchedFifo) -> None:
    reader.stopped.set()
    reader.wake()


def test_a_reader_that_waits_for_a_writer_can_be_stopped():
    for _ in range(20):
        with fifo() as (_, reader):
            thread, errors = in_thread(lambda reader=reader: reader.opened().__enter__())
            stop(reader)
            thread.join(10)
            assert not thread.is_alive()
            assert len(errors) == 1


def test_a_reader_that_waits_for_bytes_can_be_stopped():
    with fifo() as (path, reader):
        out = os.open(path, os.O_RDWR)
        with reader.opened():
            thread, errors = in_thread(lambda: received(reader))
            stop(reader)
            thread.join(10)
        os.close(out)
        assert len(errors) == 1
        stop(reader)


def test_waking_a_closed_reader_does_nothing():
    with fifo() as (_, reader):
        pass
    stop(reader)


def test_one_reader_is_stopped_and_another_goes_on():
    with fifo() as (path, first):
        second = WatchedFifo(path)
        thread, errors = in_thread(lambda: first.opened().__enter__())
        stop(first)
        thread.join(10)
        assert len(errors) == 1
        out = os.open(path, os.O_RDWR)
        os.write(out, tar([("a", b"1")]))
        with second.opened():
            assert received(second) == [("a", b"1")]
        os.close(out)
        second.close()
