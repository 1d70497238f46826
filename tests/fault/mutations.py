"""The runtime with one step of the pipe protocol taken out or done wrongly; each must fail somewhere."""

import json
import os
from pathlib import Path

import deaths
from spout import fifo, pipe, tar
from spout.marker import Announcement


def json_of(path: Path) -> dict:
    """The JSON object in a file."""
    return json.loads(path.read_text())


def _nothing() -> None:
    """The runtime as it is."""


def _no_announcement() -> None:
    pipe.PipeSink.announce = lambda sink, announcement: None


def _no_wait() -> None:
    pipe.PipeSink.wait_until_taken = lambda sink: None


def _no_journal() -> None:
    pipe.PipeSink.write_journal = lambda sink, announcement: None


def _journal_before_the_wait() -> None:
    write_journal, announce = pipe.PipeSink.write_journal, pipe.PipeSink.announce

    def journal_then_announce(sink, announcement):
        write_journal(sink, announcement)
        announce(sink, announcement)

    pipe.PipeSink.announce = journal_then_announce
    pipe.PipeSink.write_journal = lambda sink, announcement: None


def _ack_before_the_wait() -> None:
    write = pipe.PipeSink.write

    def ack_then_write(sink, batch, committed):
        sink.acknowledge(committed)
        write(sink, batch, committed)

    pipe.PipeSink.write = ack_then_write


def _no_discard() -> None:
    fifo.throw_leftovers_away = lambda path: 0


def _write_only() -> None:
    original = fifo._open

    def open_for_writing(path, access):
        if access != os.O_RDWR:
            return original(path, access)
        fd = os.open(path, os.O_WRONLY)
        os.set_blocking(fd, False)
        return fd

    fifo._open = open_for_writing


def _padding() -> None:
    archive = tar.archive

    def padded(files):
        size = 0
        for piece in archive(files):
            size += len(piece)
            yield piece
        yield bytes(-size % 10_240)

    tar.archive = padded


def _marker_in_pieces() -> None:
    pipe.PipeSink.announce = lambda sink, announcement: sink._fifo.write(tar.archive(sink._shape.files(announcement)))


def _parts_before_any_marker() -> None:
    def announce(sink, announcement):
        *parts, marker = sink._shape.files(announcement)
        sink._fifo.write(tar.entries(parts))
        sink._fifo.write_at_once(tar.archive([marker]))

    pipe.PipeSink.announce = announce


def _ack_without_the_barrier() -> None:
    pipe.PipeSink.flush = lambda sink, committed: sink.acknowledge(committed)


def _exit_0() -> None:
    def die(death, point):
        deaths.note(death._folder, "kills", f"user code: {point}")
        os._exit(0)

    deaths.Death.die = die


def _no_replay() -> None:
    import spout.__main__ as runtime

    run = runtime.run

    def run_after_what_was_announced(source, sink, announcement, *more):
        run(source, sink, announcement and Announcement(announcement.writing, None), *more)

    runtime.run = run_after_what_was_announced


MUTATIONS = {
    None: _nothing,
    "no announcement": _no_announcement,
    "no wait": _no_wait,
    "no journal": _no_journal,
    "journal before the wait": _journal_before_the_wait,
    "no discard at start": _no_discard,
    "write-only handle": _write_only,
    "padding to 10,240": _padding,
    "ack before the wait": _ack_before_the_wait,
    "ack without the barrier": _ack_without_the_barrier,
    "marker in pieces": _marker_in_pieces,
    "parts before any marker": _parts_before_any_marker,
    "exit 0": _exit_0,
    "no replay": _no_replay,
}
