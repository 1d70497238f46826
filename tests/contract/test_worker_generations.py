"""The local worker as each generation of 1.x: every row of docs/reference/generations.md, in every column.

`write` opens the FIFO read-write, as the runtime does, so the FIFO has a writer as long as the script lives, except
where a script closes it or opens it for writing only.
"""

import os
import stat
import threading

import pytest
from worker_rig import PATIENCE, Rig, unread, until

from spoutgen.local.events import (
    CommitFinished,
    LogLine,
    MarkerCommitted,
    ReadingFailed,
    Restarting,
    Started,
    TurnedAway,
    UserCodeExited,
    UserCodeStarted,
    Wedged,
)

VERSIONS = {"G2": "1.9.12", "G3": "1.11.0", "G4a": "1.11.3", "G4b": "1.11.8", "G5": "1.12.1"}
STREAMED = ("G2", "G3")
every = pytest.mark.parametrize("g", VERSIONS)


AS_THE_RUNTIME = """
def open_out():
    return os.open(OUT, os.O_RDWR)
"""


def only(*names):
    return pytest.mark.parametrize("g", names)


@pytest.fixture
def rig(tmp_path):
    """Makes rigs and closes their stores."""
    made: list[Rig] = []

    def make(script: str, **spout) -> Rig:
        made.append(Rig(tmp_path / "project", AS_THE_RUNTIME + script, **spout))
        return made[-1]

    yield make
    for each in made:
        each.store.close()


class Gate:
    """Holds the worker at the ``count``-th time that it comes to a point."""

    def __init__(self, rig: Rig, point: str, count: int = 1) -> None:
        self.points: list[str] = []
        self._point, self._count = point, count
        self._reached, self._opened = threading.Event(), threading.Event()
        rig.checkpoint = self._come

    def _come(self, point: str) -> None:
        self.points.append(point)
        if point == self._point and self.points.count(point) == self._count:
            self._reached.set()
            assert self._opened.wait(PATIENCE)

    def __enter__(self):
        assert self._reached.wait(PATIENCE), self.points
        return self

    def __exit__(self, *_):
        self._opened.set()


def heads(dots):
    """The commits of the output branch, oldest first, as whether each is finished and its files."""
    commits = reversed(dots.store.commits("dots", "master"))
    return [(c.finished is not None, dots.files(c.id)) for c in commits]


def contents(dots):
    """What each commit of the output branch holds, oldest first."""
    return [files for _, files in heads(dots)]


def is_committed(dots, path):
    """Whether a file stands in a finished commit; one that is open is taken back when the worker is stopped."""
    finished = dots.seen(CommitFinished)
    return finished and path in dots.files(finished[-1].commit.id)


def said(dots, text):
    return dots.wait(LogLine, where=lambda event: event.text.startswith(text))


def go(dots, name="go"):
    (dots.folder / name).touch()


def waits_in_open(worker):
    """Whether a reader waits for a writer; nothing that can be seen from outside tells."""
    return any(fifo._is_opening for fifo in list(worker._fifos))


# FIFO


@every
def test_fifo_is_in_a_scratch_folder_of_roots_with_links_to_it(rig, g):
    dots = rig("rest()")
    with dots.running(VERSIONS[g]):
        dots.wait(UserCodeStarted)
        (scratch,) = (dots.pfs / ".scratch").iterdir()
        assert stat.S_IMODE(scratch.stat().st_mode) == 0o700
        assert stat.S_ISFIFO((scratch / "out").stat().st_mode)
        assert (dots.pfs / "out").readlink() == scratch / "out"


# Reader opens


@every
def test_reader_opens_for_each_tar_or_once(rig, g):
    dots = rig(
        """
out = write(tar(("a", b"1")), os.open(OUT, os.O_WRONLY))
wait_for("go")
try:
    write(tar(("b", b"2")), out)
    tell("written")
except BrokenPipeError:
    tell("broken pipe")
rest()
"""
    )
    # Between the reader's close and its next open nobody reads.
    gate = Gate(dots, "before open", 2 if g == "G2" else 1)
    with dots.running(VERSIONS[g]):
        if g == "G2":
            with gate:
                go(dots)
                said(dots, "broken pipe")
        else:
            with gate:
                pass
            dots.wait(CommitFinished)
            go(dots)
            said(dots, "written")
            dots.wait(CommitFinished, 2)
            assert gate.points.count("before open") == 1


@every
def test_reader_opens_again_after_an_error_or_never(rig, g):
    dots = rig("if once():\n    write(b'x' * 512)\n    rest()\nwrite(tar(('a', b'1')))\nrest()")
    gate = Gate(dots, "never")
    with dots.running(VERSIONS[g]):
        if g in STREAMED:
            dots.wait(ReadingFailed)
            until(lambda: gate.points.count("after open") == 2)
            assert len(dots.seen(Started)) == 1
        else:
            dots.wait(Restarting)
            dots.wait(CommitFinished)
            assert gate.points.count("after open") == len(dots.seen(Started)) == 2


# Commit starts


@every
def test_commit_starts_at_the_open_at_the_first_header_or_after_the_tar(rig, g):
    dots = rig(
        """
data = tar(("a", b"1" * 5000))
out = open_out()
tell("open")
wait_for("header")
write(data[:512], out)
wait_for("rest")
write(data[512:], out)
rest()
"""
    )
    gate = Gate(dots, "never")
    with dots.running(VERSIONS[g]):
        said(dots, "open")
        until(lambda: "before read" in gate.points)
        assert heads(dots) == ([(False, {})] if g == "G2" else [])
        go(dots, "header")
        until(lambda: "inside read" in gate.points)
        if g == "G3":
            until(lambda: "after start commit" in gate.points)
        assert heads(dots) == ([(False, {})] if g in STREAMED else [])
        go(dots, "rest")
        dots.wait(CommitFinished)
        if g not in STREAMED:
            assert gate.points.index("after read") < gate.points.index("before start commit")
    assert contents(dots)[0] == {"/a": b"1" * 5000}


@every
def test_the_next_tar_stays_in_the_fifo_until_the_commit_is_finished(rig, g):
    # The acknowledgement that the runtime is built on, in every generation.
    dots = rig("write(tar(('a', b'1')) + tar(('b', b'2' * 3000)))\nrest()")
    gate = Gate(dots, "before finish commit")
    with dots.running(VERSIONS[g]):
        with gate:
            assert unread(dots.pfs / "out") == 512 + 3072 + 1024
        dots.wait(CommitFinished, 2)


# A tar ends


@every
def test_tar_ends_at_two_zero_blocks(rig, g):
    dots = rig("write(tar(('a', b'1')))\nrest()")
    with dots.running(VERSIONS[g]):
        dots.wait(CommitFinished)
    assert contents(dots)[0] == {"/a": b"1"}


@every
def test_tar_ends_at_the_end_of_file_at_a_block_boundary(rig, g):
    dots = rig("write_only = os.open(OUT, os.O_WRONLY)\nos.close(write(entry('a', b'1'), write_only))\nrest()")
    with dots.running(VERSIONS[g]) as worker:
        if g == "G3":
            # It is finished only when the FIFO has a writer again.
            until(lambda: dots.store.commits("dots") and waits_in_open(worker))
            assert heads(dots) == [(False, {"/a": b"1"})]
            os.close(os.open(dots.pfs / "out", os.O_WRONLY))
        dots.wait(CommitFinished)
    assert contents(dots) == [{"/a": b"1"}]


@every
def test_tar_that_ended_is_finished_at_once_or_when_the_fifo_has_a_writer_again(rig, g):
    dots = rig("os.close(write(tar(('a', b'1')), os.open(OUT, os.O_WRONLY)))\ntell('closed')\nrest()")
    gate = Gate(dots, "after put")
    with dots.running(VERSIONS[g]) as worker:
        if g == "G3":
            with gate:
                said(dots, "closed")
            until(lambda: waits_in_open(worker))
            assert "before finish commit" not in gate.points
            assert heads(dots) == [(False, {"/a": b"1"})]
            os.close(os.open(dots.pfs / "out", os.O_WRONLY))
        with gate:
            said(dots, "closed")
        dots.wait(CommitFinished)


# Open and close without bytes


@every
def test_open_and_close_without_bytes_is_an_empty_commit_or_nothing(rig, g):
    dots = rig(
        f"""
for number in range(3):
    os.close(os.open(OUT, os.O_WRONLY))
    {g == "G2"} and wait_for(f"taken{{number}}")
write(tar(("a", b"1")))
rest()
"""
    )
    with dots.running(VERSIONS[g]) as worker:
        for number in range(3 if g == "G2" else 0):
            dots.wait(CommitFinished, number + 1)
            until(lambda: waits_in_open(worker))
            go(dots, f"taken{number}")
        dots.wait(CommitFinished, 4 if g == "G2" else 1)
    assert contents(dots)[:4] == ([{}, {}, {}] if g == "G2" else []) + [{"/a": b"1"}]


# Marker-only tar


@every
def test_marker_only_tar_is_an_empty_output_commit_and_marker_commits(rig, g):
    dots = rig("write(tar(('mymark01', b'1'), ('mymark', b'2')))\nrest()")
    with dots.running(VERSIONS[g]):
        output = dots.wait(CommitFinished).commit
        marks = dots.seen(MarkerCommitted)
    assert len(marks) == (1 if g == "G5" else 2)
    assert dots.files("marker") == {"/mymark01": b"1", "/mymark": b"2"}
    # 1.11.3 to 1.11.7 write each marker entry to the output branch too, empty.
    copies = {"/mymark01": b"", "/mymark": b""}
    assert dots.files(output.id) == (copies if g == "G4a" else {})
    assert output.is_changed == (g == "G4a")


@only("G4a")
def test_marker_copies_on_the_output_branch_stay_empty(rig, g):
    dots = rig("write(tar(('mymark', b'1')) + tar(('mymark', b'22')))\nrest()", overwrite=False)
    with dots.running(VERSIONS[g]):
        dots.wait(CommitFinished, 2)
    assert contents(dots) == [{"/mymark": b""}, {"/mymark": b""}]
    assert dots.files("marker") == {"/mymark": b"22"}


# Zero padding after the end


@every
def test_zero_padding_while_the_writer_stays_is_spurious_commits_or_nothing(rig, g):
    dots = rig("write(tar(('a', b'1')) + bytes(4 * 512) + tar(('b', b'2')))\nrest()")
    with dots.running(VERSIONS[g]):
        dots.wait(CommitFinished, 4 if g == "G2" else 2)
    a, both = {"/a": b"1"}, {"/a": b"1", "/b": b"2"}
    assert contents(dots) == ([a, a, a, both] if g == "G2" else [a, both])


@only("G2")
def test_zero_padding_of_a_writer_that_went_away_is_discarded(rig, g):
    dots = rig(
        """
os.close(write(tar(("a", b"1")) + bytes(16 * 512), os.open(OUT, os.O_WRONLY)))
tell("closed")
wait_for("go")
write(tar(("b", b"2")))
rest()
"""
    )
    with dots.running(VERSIONS[g]) as worker:
        with Gate(dots, "before finish commit"):
            said(dots, "closed")
        until(lambda: waits_in_open(worker))
        go(dots)
        dots.wait(CommitFinished, 2)
    assert contents(dots) == [{"/a": b"1"}, {"/a": b"1", "/b": b"2"}]


@every
def test_an_odd_zero_block_breaks_the_next_tar_or_nothing(rig, g):
    dots = rig("write(tar(('a', b'1')) + bytes(512) + tar(('b', b'2')) + tar(('c', b'3')))\nrest()")
    with dots.running(VERSIONS[g]):
        until(lambda: is_committed(dots, "/c"))
    failed = [event.reason for event in dots.seen(ReadingFailed)]
    if g in STREAMED:
        # The header of b is taken with the zero block, its bytes are taken for a header.
        assert "single zero block" in failed[0]
        assert failed[1].startswith("not a tar header")
        assert dots.files() == {"/a": b"1", "/c": b"3"}
    else:
        assert failed == []
        assert dots.files() == {"/a": b"1", "/b": b"2", "/c": b"3"}


# Cut inside an entry

_CUT = """
tell(MARKER.exists())
if once():
    out = os.open(OUT, os.O_WRONLY)
    write({whole} + header({name!r}, 1000) + b"torn", out)
    os.close(out)
    wait_for("go")
write(tar(("c", b"3")))
rest()
"""


@every
def test_cut_inside_an_entry_is_committed_in_part_or_not_at_all(rig, g):
    dots = rig(_CUT.format(whole="entry('a', b'1')", name="b"))
    with dots.running(VERSIONS[g]):
        event = dots.wait(ReadingFailed if g in STREAMED else Restarting)
        assert "inside 'b', 996 of 1000 bytes missing" in event.reason
        go(dots)
        until(lambda: is_committed(dots, "/c"))
    if g in STREAMED:
        # What came is there, and the same process goes on with the same FIFO.
        assert contents(dots)[0] == {"/a": b"1", "/b": b"torn"}
        assert len(dots.seen(Started)) == len(dots.seen(UserCodeStarted)) == 1
    else:
        # Nothing of it is there; the user code was killed, and all began anew.
        assert contents(dots) == [{"/c": b"3"}]
        assert len(dots.seen(Started)) == len(dots.seen(UserCodeStarted)) == 2


@every
def test_cut_inside_a_marker_entry_leaves_half_a_marker_or_the_old_one(rig, g):
    dots = rig(_CUT.format(whole="b''", name="mymark"))
    dots.put_marker(("mymark", b"before"))
    with dots.running(VERSIONS[g]):
        dots.wait(ReadingFailed if g in STREAMED else Restarting)
    assert dots.files("marker") == {"/mymark": b"torn" if g in STREAMED else b"before"}


@only("G4a", "G4b", "G5")
def test_after_a_cut_the_marker_is_pulled_again(rig, g):
    dots = rig(_CUT.format(whole="tar(('mymark', b'1'))", name="b"))
    with dots.running(VERSIONS[g]):
        dots.wait(LogLine, 2)
    assert [event.text for event in dots.seen(LogLine)] == ["False", "True"]


# Cut between entries or without trailer


@every
@pytest.mark.parametrize("end", ["b''", "bytes(512)", "bytes(1024)"])
def test_cut_between_entries_is_taken_as_complete(rig, g, end):
    dots = rig(
        f"os.close(write(entry('a', b'1') + entry('b', b'2') + {end}, os.open(OUT, os.O_WRONLY)))\n"
        "wait_for('go')\nopen_out()\nrest()"
    )
    with dots.running(VERSIONS[g]) as worker:
        if g == "G3":
            until(lambda: dots.store.commits("dots") and waits_in_open(worker))
            go(dots)
        dots.wait(CommitFinished)
    assert contents(dots)[0] == {"/a": b"1", "/b": b"2"}


# Two tars in one open


@every
def test_two_tars_in_one_open_lose_the_second_or_none(rig, g):
    dots = rig(
        """
out = os.open(OUT, os.O_WRONLY)
write(tar(("a", b"1")) + tar(("b", b"2")), out)
wait_for("close")
os.close(out)
tell("closed")
wait_for("go")
write(tar(("c", b"3")))
rest()
"""
    )
    go(dots, "close")
    with dots.running(VERSIONS[g]) as worker:
        if g == "G2":
            with Gate(dots, "before finish commit"):
                said(dots, "closed")
            # Reader and writer were both gone: what stood in the FIFO is no more.
            until(lambda: waits_in_open(worker))
        else:
            said(dots, "closed")
            go(dots)
        go(dots)
        until(lambda: is_committed(dots, "/c"))
    assert dots.files() == ({"/a": b"1", "/c": b"3"} if g == "G2" else {"/a": b"1", "/b": b"2", "/c": b"3"})


# Marker entry


@only("G2", "G3", "G4a", "G4b")
@pytest.mark.parametrize("entries", ["('mymark', b'1'), ('a', b'1')", "('a', b'1'), ('mymark', b'1')"])
def test_marker_entry_is_committed_before_the_data_commit_is_finished(rig, g, entries):
    dots = rig(f"write(tar({entries}))\nrest()")
    with dots.running(VERSIONS[g]):
        with Gate(dots, "before finish commit"):
            assert dots.files("marker") == {"/mymark": b"1"}
            assert [finished for finished, _ in heads(dots)] == [False]
        dots.wait(CommitFinished)
    assert contents(dots)[0] == {"/a": b"1", **({"/mymark": b""} if g == "G4a" else {})}


@only("G5")
@pytest.mark.parametrize("entries", ["('mymark', b'1'), ('a', b'1')", "('a', b'1'), ('mymark', b'1')"])
def test_marker_entry_and_data_in_one_tar_never_commit(rig, g, entries):
    dots = rig(f"write(tar({entries}))\nrest()")
    with dots.running(VERSIONS[g]):
        assert "all requests in a put files call must have the same commit ID" in dots.wait(Wedged, 3).reason
    assert dots.seen((CommitFinished, MarkerCommitted)) == []


# Bad entry


@only(*STREAMED)
def test_bad_entry_loses_the_rest_of_the_tar_with_its_writer(rig, g):
    dots = rig(
        """
out = os.open(OUT, os.O_WRONLY)
write(tar(("good", b"1"), ("b@d", b"2"), ("after", b"3")), out)
os.close(out)
tell("closed")
wait_for("go")
write(tar(("next", b"4")))
rest()
"""
    )
    with dots.running(VERSIONS[g]) as worker:
        with Gate(dots, "before finish commit"):
            said(dots, "closed")
        assert "globbing character (@)" in dots.wait(ReadingFailed).reason
        until(lambda: waits_in_open(worker))
        go(dots)
        until(lambda: is_committed(dots, "/next"))
    assert contents(dots)[:2] == [{"/good": b"1"}, {"/good": b"1", "/next": b"4"}]


@only(*STREAMED)
def test_bad_entry_of_a_writer_that_stays_makes_the_rest_a_tar_of_its_own(rig, g):
    # With bytes that end at a block's end; else all that follows is misread.
    dots = rig("write(tar(('good', b'1'), ('b@d', b'2' * 512), ('after', b'3')))\nrest()")
    with dots.running(VERSIONS[g]):
        dots.wait(CommitFinished, 2)
        assert len(dots.seen(ReadingFailed)) == 1
    assert contents(dots)[:2] == [{"/good": b"1"}, {"/good": b"1", "/after": b"3"}]


@only("G4a", "G4b", "G5")
@pytest.mark.parametrize("name", ["b@d", "mymark@1"])
def test_bad_entry_is_retried_for_ever(rig, g, name):
    dots = rig(f"write(tar(({name!r}, b'2')) + tar(('next', b'4')))\nrest()")
    with dots.running(VERSIONS[g]):
        commits = []
        for attempt in (1, 2, 3):
            assert dots.wait(Wedged, attempt).attempt == attempt
            commits.append([commit.id for commit in dots.store.commits("dots")])
        # The one file, with the commit open all the while; or the whole tar, each time in a new commit.
        if g == "G5":
            assert commits[0] == []
        else:
            assert [len(ids) for ids in commits] == [1, 1, 1]
            assert commits[0] == commits[2]
            assert dots.store.commit("dots", "master").finished is None
    assert dots.seen(CommitFinished) == []


# Open commit left by a dead worker


@only("G2")
def test_open_commit_of_a_dead_worker_fails_every_start_until_it_is_deleted_by_hand(rig, g):
    dots = rig("write(tar(('a', b'1')))\nrest()")
    left = dots.store.start_commit("dots", "master")
    with dots.running(VERSIONS[g]):
        for attempt in (1, 2, 3):
            event = dots.wait(ReadingFailed, attempt)
            assert event.reason == f"parent commit dots@{left.id} has not been finished"
            assert f"spoutgen local delete commit dots@{left.id}" in event.hint
        dots.store.delete_commit("dots", left.id)
        # Nothing was read of the tar meanwhile.
        assert dots.wait(CommitFinished).commit.parent is None
    assert dots.files() == {"/a": b"1"}


@only("G3", "G4a", "G4b", "G5")
def test_open_commit_of_a_dead_worker_is_deleted_at_start(rig, g):
    dots = rig("write(tar(('a', b'1')))\nrest()")
    left = dots.store.start_commit("dots", "master")
    with dots.running(VERSIONS[g]):
        assert dots.wait(CommitFinished).commit.parent is None
    assert left.id not in {commit.id for commit in dots.store.commits("dots")}


@only("G3", "G4a", "G4b", "G5")
def test_open_commit_beyond_the_ten_newest_stays(rig, g):
    dots = rig("write(tar(('a', b'1')))\nrest()")
    dots.store.start_commit("dots", "master")
    for number in range(10):
        dots.put_marker(("mymark", b"%d" % number))
    with dots.running(VERSIONS[g]):
        event = dots.wait(ReadingFailed if g == "G3" else Wedged)
        assert "has not been finished" in event.reason
        assert "start the next" in event.hint


# FinishCommit fails


@every
def test_a_finish_that_fails_leaves_the_commit_open(rig, g):
    dots = rig("if once():\n    write(tar(('d', b''), ('d/x', b'1')) + tar(('b', b'2')))\nrest()")
    trouble = ReadingFailed if g in STREAMED else Wedged
    with dots.running(VERSIONS[g]):
        assert "not a directory" in dots.wait(trouble).reason
        second = dots.wait(trouble, 2)
        head = dots.store.commit("dots", "master")
        assert head.finished is None
        assert second.reason == f"parent commit dots@{head.id} has not been finished"
    assert dots.store.commit("dots", "master").id == head.id
    assert dots.seen(CommitFinished) == []
    with dots.running(VERSIONS[g]):
        dots.wait(UserCodeStarted, 2)
    assert (dots.store.commits("dots") != []) == (g == "G2")


# User code ends non-zero


@every
@pytest.mark.parametrize("end", ["sys.exit(3)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_user_code_that_fails_is_run_again_with_the_same_fifo_and_a_stale_marker(rig, g, end):
    dots = rig(f"tell(MARKER.read_text(), OUT.resolve())\nwrite(tar(('mymark', b'new')))\nwait_for('go')\n{end}")
    dots.put_marker(("mymark", b"old"))
    with dots.running(VERSIONS[g]):
        dots.wait(MarkerCommitted)
        go(dots)
        dots.wait(UserCodeExited, 2)
    told = [event.text for event in dots.seen(LogLine)]
    assert told[0].startswith("old ")
    assert set(told) == {told[0]}
    assert len(dots.seen(Started)) == 1


@every
def test_user_code_that_fails_gets_an_additional_reader_or_none(rig, g):
    dots = rig("tell('up')\nwait_for('go')\nopen_out()\nsys.exit(1)")
    with dots.running(VERSIONS[g]):
        said(dots, "up")
        assert _readers() == (1 if g == "G2" else 0)
        go(dots)
        if g == "G2":
            # All of them wait for the same FIFO, and one commit may be open at a time.
            assert dots.wait(TurnedAway).number >= 1
            until(lambda: _readers() >= 3)
        else:
            dots.wait(UserCodeExited, 3)
            assert _readers() == 0
            assert dots.seen(TurnedAway) == []
    assert _readers() == 0


def _readers():
    return sum(thread.name.startswith("reader ") for thread in threading.enumerate())


@only("G2")
def test_additional_readers_do_not_mix_bytes(rig, g):
    # While one has a commit open no other reads: StartCommit fails for all but one.
    dots = rig(
        """
(PFS.parent / f"start{os.getpid()}").touch()
if len(list(PFS.parent.glob("start*"))) < 5:
    out = write(entry("a", b"1" * 1000))
    sys.exit(1)
out = open_out()
for number in range(12):
    write(tar((f"f{number}", b"%d" % number * 700), (f"g{number}", b"x" * 70_000)), out)
rest()
"""
    )
    with dots.running(VERSIONS[g]):
        until(lambda: is_committed(dots, "/g11"))
    files = dots.files()
    assert all(files[f"/f{n}"] == b"%d" % n * 700 and files[f"/g{n}"] == b"x" * 70_000 for n in range(1, 12))


@every
def test_user_code_that_ends_well_is_never_run_again(rig, g):
    dots = rig("write(tar(('a', b'1')))\nwait_for('go')\nsys.exit(0)")
    with dots.running(VERSIONS[g]) as worker:
        dots.wait(CommitFinished)
        go(dots)
        assert dots.wait(UserCodeExited).delay is None
        out = os.open(dots.pfs / "out", os.O_RDWR)
        os.write(out, b"x" * 512)
        if g == "G2":
            # The readers end with it: nothing is taken any more, though pod and pipeline stay "running".
            until(lambda: _readers() == 0)
            assert worker is not None
        else:
            dots.wait(ReadingFailed if g == "G3" else Restarting)
        os.close(out)
    if g == "G2":
        assert all(finished for finished, _ in heads(dots))


# Outdated spec


@only(*STREAMED)
def test_outdated_spec_refuses_marker_entries_and_takes_data(rig, g):
    dots = rig("write(tar(('mymark', b'1' * 512), ('a', b'1')) + tar(('b', b'2')))\nrest()")
    dots.update()
    with dots.running(VERSIONS[g]):
        assert dots.wait(ReadingFailed).reason == "outdated spout, now shutting down"
        until(lambda: is_committed(dots, "/b"))
        assert len(dots.seen(Started)) == 1
    assert dots.seen(MarkerCommitted) == []


@only("G4a", "G4b", "G5")
def test_outdated_spec_restarts_the_spout_again_and_again_and_deletes_its_commit(rig, g):
    dots = rig("write(tar(('mymark', b'1')))\nrest()")
    dots.update()
    with dots.running(VERSIONS[g]):
        assert dots.wait(Restarting, 3).reason == "outdated spout, now shutting down"
    assert dots.store.commits("dots") == []


@every
def test_outdated_spec_takes_data(rig, g):
    dots = rig("write(tar(('a', b'1')))\nrest()")
    dots.update()
    with dots.running(VERSIONS[g]):
        dots.wait(CommitFinished)
    assert dots.files() == {"/a": b"1"}


# How user code can tell


@every
def test_the_environment_tells_the_versions_apart(rig, g):
    dots = rig("tell(*(name for name in ('PPS_NAMESPACE', 'PACH_NAMESPACE', 'PACH_IN_WORKER') if name in os.environ))")
    told = {
        "G2": "PPS_NAMESPACE",
        "G3": "PACH_NAMESPACE",
        "G4a": "PACH_NAMESPACE",
        "G4b": "PACH_NAMESPACE PACH_IN_WORKER",
        "G5": "PACH_NAMESPACE PACH_IN_WORKER",
    }
    with dots.running(VERSIONS[g]):
        assert dots.wait(LogLine).text == told[g]


# Being stopped


@every
@pytest.mark.parametrize("point", ["before read", "before put", "after put", "before finish commit"])
def test_a_worker_that_is_stopped_in_order_leaves_no_open_commit(rig, g, point):
    dots = rig("out = open_out()\nwhile True:\n    write(tar(('a', b'1' * 600)), out)")
    gate = Gate(dots, point, 2)
    with dots.running(VERSIONS[g]) as worker, gate:
        stopping = threading.Thread(target=worker.stop)
        stopping.start()
        stopping.join(PATIENCE)
    assert all(finished for finished, _ in heads(dots))
