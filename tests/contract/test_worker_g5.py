"""The local worker as generation G5: one test and more for every row of the contract in docs/reference/local.md."""

import fcntl
import os
import stat
import termios
import threading
import time

import pytest
from worker_rig import PATIENCE, Rig

from spoutgen.local.events import (
    CommitFinished,
    LogLine,
    MarkerCommitted,
    Restarting,
    Started,
    Stopped,
    UserCodeExited,
    UserCodeStarted,
    Wedged,
)


@pytest.fixture
def rig(tmp_path):
    """Makes rigs and closes their stores."""
    made: list[Rig] = []

    def make(script: str, **spout) -> Rig:
        made.append(Rig(tmp_path / "project", script, **spout))
        return made[-1]

    yield make
    for each in made:
        each.store.close()


def line(text):
    return lambda event: event.text.startswith(text)


# FIFO


def test_fifo_is_in_a_scratch_folder_of_roots_with_links_to_it(rig):
    dots = rig("rest()")
    with dots.running():
        dots.wait(UserCodeStarted)
        (scratch,) = (dots.pfs / ".scratch").iterdir()
        assert stat.S_IMODE(scratch.stat().st_mode) == 0o700
        assert stat.S_ISFIFO((scratch / "out").stat().st_mode)
        assert (dots.pfs / "out").readlink() == scratch / "out"
    assert list(dots.pfs.iterdir()) == []


def test_leftovers_of_a_killed_worker_are_cleared(rig):
    dots = rig("rest()")
    old = dots.pfs / ".scratch" / "old"
    old.mkdir(parents=True)
    (dots.pfs / "out").symlink_to(old)
    with dots.running():
        dots.wait(UserCodeStarted)
        assert not old.exists()


# Reader opens


def test_reader_opens_once_a_run(rig):
    # A reader that closed the FIFO after each commit, as before 1.11, would lose what stands in it without a writer.
    dots = rig(
        """
for number in range(4):
    out = os.open(OUT, os.O_WRONLY)
    write(tar((f"f{number}", b"x")), out)
    os.close(out)
    tell("closed")
rest()
"""
    )
    told = threading.Event()
    dots.on_event = lambda event: told.set() if isinstance(event, LogLine) and len(dots.seen(LogLine)) == 4 else None
    dots.checkpoint = lambda point: told.wait(PATIENCE) if point == "after finish commit" else None
    with dots.running():
        dots.wait(CommitFinished, 4)
    assert set(dots.files()) == {"/f0", "/f1", "/f2", "/f3"}


# Commit starts


def test_commit_starts_when_the_whole_tar_is_in_the_temporary_file(rig):
    dots = rig(
        """
data = tar(("a", b"1" * 5000), ("b", b"2" * 5000))
out = write(data[:8000])
tell("half")
wait_for("go")
write(data[8000:], out)
rest()
"""
    )
    points = []
    dots.checkpoint = lambda point: None if point.startswith("inside") else points.append(point)
    with dots.running():
        dots.wait(LogLine, where=line("half"))
        fifo = os.open(dots.pfs / "out", os.O_RDWR)
        _until(lambda: _unread(fifo) == 0)
        os.close(fifo)
        assert dots.store.commits("dots") == []
        assert points == ["before open", "after open", "before temp file", "after temp file", "before read"]
        (dots.folder / "go").touch()
        dots.wait(CommitFinished)
        steps = ("read", "start commit", "put", "finish commit")
        between = [f"{when} {step}" for step in steps for when in ("before", "after")]
        assert points[4:12] == between
    assert dots.files() == {"/a": b"1" * 5000, "/b": b"2" * 5000}


def _unread(fd):
    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), "little")


def _until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_the_next_tar_stays_in_the_fifo_until_the_commit_is_finished(rig):
    dots = rig("write(tar(('a', b'1')) + tar(('b', b'2' * 3000)))\nrest()")
    reached, go_on = threading.Event(), threading.Event()

    def hold(point):
        if point == "before finish commit" and not reached.is_set():
            reached.set()
            assert go_on.wait(PATIENCE)

    dots.checkpoint = hold
    with dots.running():
        assert reached.wait(PATIENCE)
        fifo = os.open(dots.pfs / "out", os.O_RDWR)
        assert _unread(fifo) == 512 + 3072 + 1024
        os.close(fifo)
        go_on.set()
        dots.wait(CommitFinished, 2)


# A tar ends


def test_tar_ends_at_two_zero_blocks(rig):
    dots = rig("out = write(tar(('a', b'1')))\nrest()")
    with dots.running():
        dots.wait(CommitFinished)
    assert dots.files() == {"/a": b"1"}


def test_tar_ends_at_an_end_of_file_at_a_block_boundary(rig):
    dots = rig("os.close(write(entry('a', b'1')))\nrest()")
    with dots.running():
        dots.wait(CommitFinished)
    assert dots.files() == {"/a": b"1"}


# Open and close without bytes


def test_open_and_close_without_bytes_is_nothing(rig):
    dots = rig(
        """
for _ in range(20):
    os.close(os.open(OUT, os.O_WRONLY))
write(tar(("a", b"1")))
rest()
"""
    )
    with dots.running():
        dots.wait(CommitFinished)
    assert len(dots.store.commits("dots")) == 1


# Marker-only tar


def test_marker_only_tar_is_an_empty_output_commit_and_one_marker_commit(rig):
    dots = rig(
        "write(tar(('mymark01', b'1'), ('mymark', b'2'), ('mymarker.txt', b'3'), ('mymark/../mymark02', b'4')))\nrest()"
    )
    with dots.running():
        marker, output = dots.wait(MarkerCommitted).commit, dots.wait(CommitFinished).commit
    assert (output.branch, output.size, output.is_changed) == ("master", 0, False)
    assert (marker.branch, marker.size, marker.is_changed) == ("marker", 4, True)
    assert len(dots.store.commits("dots")) == 2
    assert set(dots.files("marker")) == {"/mymark", "/mymark01", "/mymark02", "/mymarker.txt"}


def test_marker_entries_always_replace(rig):
    dots = rig("write(tar(('mymark', b'long')) + tar(('mymark', b'new')))\nrest()", overwrite=False)
    with dots.running():
        dots.wait(MarkerCommitted, 2)
    assert dots.files("marker") == {"/mymark": b"new"}


def test_absolute_name_of_the_marker_is_data(rig):
    dots = rig("write(tar(('/mymark', b'1'), ('x/mymark', b'2')))\nrest()")
    with dots.running():
        dots.wait(CommitFinished)
    assert dots.files() == {"/mymark": b"1", "/x": b"dir"}
    assert dots.files("marker") == {}


# Zero padding after the end


def test_zero_blocks_before_a_tar_are_skipped(rig):
    dots = rig("write(bytes(512) + tar(('a', b'1')) + bytes(9 * 512) + tar(('b', b'2')) + bytes(512))\nrest()")
    with dots.running():
        dots.wait(CommitFinished, 2)
    assert dots.files() == {"/a": b"1", "/b": b"2"}
    assert len(dots.store.commits("dots")) == 2


def test_zero_blocks_alone_are_taken_and_nothing_else(rig):
    dots = rig("out = write(bytes(1024))\ntell('written')\nrest()")
    with dots.running():
        dots.wait(LogLine)
        fifo = os.open(dots.pfs / "out", os.O_RDWR)
        _until(lambda: _unread(fifo) == 0)
        os.close(fifo)
    assert dots.store.commits("dots") == []


# Cut inside an entry


def test_cut_inside_an_entry_commits_nothing_and_restarts_the_spout(rig):
    dots = rig(
        """
tell("marker", MARKER.exists(), os.getpid(), OUT.resolve())
if once():
    out = write(tar(("mymark", b"1")))
    write(entry("a", b"1") + header("b", 1000) + b"torn", out)
    os.close(out)
    signal.signal(signal.SIGTERM, lambda *_: (PFS.parent / "terminated").touch())
    rest()
write(tar(("c", b"3")))
rest()
"""
    )
    with dots.running():
        restart = dots.wait(Restarting)
        assert "inside 'b'" in restart.reason
        dots.wait(CommitFinished, 2)
    assert dots.files() == {"/c": b"3"}
    assert not (dots.folder / "terminated").exists()
    first, second = (event.text.split() for event in dots.seen(LogLine))
    # The marker is pulled again, the FIFO is another one, the process is another one.
    assert (first[1], second[1]) == ("False", "True")
    assert first[2:] != second[2:]
    assert [event.has_marker for event in dots.seen(Started)] == [False, True]


# Cut between entries or without trailer


@pytest.mark.parametrize("end", ["b''", "bytes(512)", "bytes(1024)"])
def test_cut_between_entries_is_taken_as_complete(rig, end):
    dots = rig(f"os.close(write(entry('a', b'1') + entry('b', b'2') + {end}))\nrest()")
    with dots.running():
        dots.wait(CommitFinished)
    assert dots.files() == {"/a": b"1", "/b": b"2"}


# Two tars in one open


def test_two_tars_in_one_open_are_two_commits(rig):
    dots = rig("write(tar(('a', b'1')) + tar(('a', b'2')))\nrest()")
    with dots.running():
        first, second = (dots.wait(CommitFinished, number).commit for number in (1, 2))
    assert second.parent == first.id
    assert (dots.content("a", first.id), dots.content("a", second.id)) == (b"1", b"2")


# Marker entry


@pytest.mark.parametrize("entries", ["('mymark', b'1'), ('a', b'1')", "('a', b'1'), ('mymark', b'1')"])
def test_marker_and_data_in_one_tar_never_commit(rig, entries):
    dots = rig(f"write(tar({entries}) + tar(('b', b'2')))\nrest()")
    with dots.running():
        wedged = dots.wait(Wedged, 4)
        assert "all requests in a put files call must have the same commit ID" in wedged.reason
        assert wedged.attempt == 4
    assert dots.seen((CommitFinished, MarkerCommitted)) == []
    assert dots.store.commits("dots") == []


# Bad entry


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("b@d", "globbing character (@)"),
        ("2026-03-01T12:00:00+00:00", "globbing character (+)"),
        ("é", "only printable ASCII"),
        ("../up", "traverses above root"),
        (".", "only printable ASCII"),
    ],
)
def test_bad_entry_is_retried_for_ever_and_its_commit_deleted(rig, name, reason):
    dots = rig(f"write(tar(('good', b'1'), ({name!r}, b'2')) + tar(('b', b'2')))\nrest()")
    with dots.running():
        assert reason in dots.wait(Wedged, 3).reason
    assert dots.store.commits("dots") == []


def test_bad_entry_of_a_marker_is_retried_too(rig):
    dots = rig("write(tar(('mymark@1', b'1')))\nrest()")
    with dots.running():
        dots.wait(Wedged, 3)
    assert dots.store.commits("dots") == []


# Open commit left by a dead worker


def test_open_commits_of_a_dead_worker_are_deleted_at_start(rig):
    dots = rig("write(tar(('a', b'1')))\nrest()")
    left_open = dots.store.start_commit("dots", "master")
    with dots.running():
        assert dots.wait(CommitFinished).commit.parent is None
    assert left_open.id not in {commit.id for commit in dots.store.commits("dots")}


def test_open_commits_beyond_the_ten_newest_stay(rig):
    dots = rig("write(tar(('a', b'1')))\nrest()")
    dots.store.start_commit("dots", "master")
    for number in range(10):
        dots.put_marker(("mymark", b"%d" % number))
    with dots.running():
        assert "has not been finished" in dots.wait(Wedged).reason


# FinishCommit fails


def test_a_path_conflict_wedges_until_the_worker_restarts(rig):
    dots = rig("if once():\n    write(tar(('d', b''), ('d/x', b'1')) + tar(('b', b'2')))\nrest()")
    with dots.running():
        first, second = (dots.wait(Wedged, number) for number in (1, 2))
        assert "not a directory" in first.reason
        # The commit stays open, so no other can be started.
        head = dots.store.commit("dots", "master")
        assert head.finished is None
        assert second.reason == f"parent commit dots@{head.id} has not been finished"
    assert dots.store.commit("dots", "master").id == head.id
    with dots.running():
        dots.wait(UserCodeStarted, 2)
    assert dots.store.commits("dots") == []


# User code ends non-zero


@pytest.mark.parametrize(("end", "status"), [("sys.exit(3)", 3), ("os.kill(os.getpid(), signal.SIGKILL)", -9)])
def test_failing_user_code_is_run_again_with_the_same_fifo_and_a_stale_marker(rig, end, status):
    dots = rig(
        f"""
tell(MARKER.read_text(), OUT.resolve())
write(tar(("mymark", b"new")))
wait_for("committed")
{end}
"""
    )
    dots.put_marker(("mymark", b"old"))
    with dots.running():
        dots.wait(MarkerCommitted)
        (dots.folder / "committed").touch()
        exits = [dots.wait(UserCodeExited, number) for number in (1, 2)]
    assert [(event.status, event.starts) for event in exits] == [(status, 1), (status, 2)]
    told = [event.text for event in dots.seen(LogLine)]
    assert told[0].startswith("old ")
    assert set(told) == {told[0]}
    assert len(dots.seen(Started)) == 1


def test_the_last_words_of_failing_user_code_are_told(rig):
    dots = rig("raise ValueError('no broker')")
    with dots.running():
        assert dots.wait(UserCodeExited).message == "ValueError: no broker"


def test_user_code_that_cannot_be_started_is_tried_again(rig):
    dots = rig("", transform={"cmd": ["/no/such/program"]})
    with dots.running():
        event = dots.wait(UserCodeExited, 3)
    assert event.status is None
    assert event.message == "/no/such/program: No such file or directory"


@pytest.mark.parametrize("transform", [{}, {"accept_return_code": [0, 7]}])
def test_user_code_that_ends_well_is_never_run_again(rig, transform):
    status = 7 if transform else 0
    dots = rig(f"write(tar(('a', b'1')))\nwait_for('end')\nsys.exit({status})", transform=transform)
    with dots.running():
        dots.wait(CommitFinished)
        (dots.folder / "end").touch()
        event = dots.wait(UserCodeExited)
        assert (event.status, event.delay) == (status, None)
        # The worker goes on receiving, from whoever writes.
        out = os.open(dots.pfs / "out", os.O_RDWR)
        os.write(out, b"x" * 512)
        dots.wait(Restarting)
        os.close(out)
    assert len([e for e in dots.events if isinstance(e, UserCodeStarted)]) == len(dots.seen(Started))


def test_user_code_never_sees_sigterm(rig):
    dots = rig(
        """
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, lambda number, _: (PFS.parent / "signal").write_text(str(number)))
tell("ready")
rest()
"""
    )
    with dots.running():
        pid = dots.wait(UserCodeStarted).pid
        dots.wait(LogLine)
    assert not (dots.folder / "signal").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_child_of_the_user_code_is_not_killed_with_it(rig):
    dots = rig(
        """
if os.fork() == 0:
    os.setsid()
    for stream in (0, 1, 2):
        os.close(stream)
    (PFS.parent / "child").write_text(str(os.getpid()))
    wait_for("end")
    (PFS.parent / "ended").touch()
    os._exit(0)
rest()
"""
    )
    with dots.running():
        _until(lambda: (dots.folder / "child").exists() and (dots.folder / "child").read_text())
    (dots.folder / "end").touch()
    _until((dots.folder / "ended").exists)


def test_a_torn_tar_and_the_next_one_join_while_the_worker_is_busy(rig):
    # What every spout has to reckon with: started again, it writes behind what it left in the FIFO.
    dots = rig(
        """
if once():
    out = write(tar(("a", b"1")))
    write(header("b", 512), out)
    sys.exit(1)
write(tar(("c", b"")))
tell("written")
rest()
"""
    )
    told = threading.Event()
    dots.on_event = lambda event: told.set() if isinstance(event, LogLine) else None
    dots.checkpoint = lambda point: told.wait(PATIENCE) if point == "before finish commit" else None
    with dots.running():
        dots.wait(CommitFinished, 2)
    files = dots.files()
    assert set(files) == {"/a", "/b"}
    assert files["/b"].startswith(b"c\0")


# Outdated spec


def test_marker_of_an_outdated_worker_restarts_the_spout_again_and_again(rig):
    dots = rig("write(tar(('mymark', b'1')))\nrest()")
    dots.update()
    with dots.running():
        assert dots.wait(Restarting, 3).reason == "outdated spout, now shutting down"
    assert dots.store.commits("dots") == []


def test_data_of_an_outdated_worker_is_accepted(rig):
    dots = rig("write(tar(('a', b'1')))\nrest()")
    dots.update()
    with dots.running():
        dots.wait(CommitFinished)
    assert dots.files() == {"/a": b"1"}


# Files


def test_output_appends_without_overwrite_across_commits(rig):
    dots = rig("write(tar(('a', b'1'), ('a', b'2')) + tar(('a', b'3')))\nrest()", overwrite=False)
    with dots.running():
        dots.wait(CommitFinished, 2)
    assert dots.files() == {"/a": b"123"}


def test_folders_and_links_become_empty_files(rig):
    dots = rig("write(tar(('d/', b'', tarfile.DIRTYPE), ('l', b'', tarfile.SYMTYPE)))\nrest()")
    with dots.running():
        dots.wait(CommitFinished)
    assert dots.files() == {"/d": b"", "/l": b""}


def test_a_folder_entry_and_a_file_in_it_wedge(rig):
    dots = rig("write(tar(('d/', b'', tarfile.DIRTYPE), ('d/x', b'1')))\nrest()")
    with dots.running():
        assert "not a directory" in dots.wait(Wedged).reason


def test_overwriting_a_folder_removes_it_silently(rig):
    dots = rig("write(tar(('a/x', b'1')) + tar(('a', b'2')))\nrest()")
    with dots.running():
        dots.wait(CommitFinished, 2)
    assert dots.files() == {"/a": b"2"}


def test_a_file_larger_than_pipe_and_chunk(rig):
    dots = rig("write(tar(('big', bytes(range(256)) * 20000)))\nrest()")
    with dots.running():
        assert dots.wait(CommitFinished).commit.size == 5_120_000
    assert dots.content("big") == bytes(range(256)) * 20000


# The marker


def test_the_marker_is_a_dangling_link_at_the_first_start(rig):
    dots = rig("tell(MARKER.is_symlink(), MARKER.exists())\nrest()")
    with dots.running():
        assert dots.wait(LogLine).text == "True False"


def test_what_is_written_through_the_dangling_link_is_never_seen(rig):
    dots = rig("MARKER.write_text('mine')\nwrite(tar(('a', b'1')))\nrest()")
    with dots.running():
        dots.wait(CommitFinished)
    assert dots.files("marker") == {}


def test_the_exact_marker_is_restored_and_nothing_beside_it(rig):
    dots = rig("tell(MARKER.read_text(), sorted(p.name for p in PFS.iterdir()), (PFS / 'mymark01').exists())\nrest()")
    dots.put_marker(("mymark", b"index"), ("mymark01", b"part"))
    with dots.running():
        assert dots.wait(LogLine).text == "index ['.scratch', 'mymark', 'out'] False"
        assert dots.wait(Started).has_marker


def test_a_folder_is_restored_too(rig):
    dots = rig("tell(*((MARKER / p).read_text() for p in ('a', 'b/c')))\nrest()")
    dots.put_marker(("mymark/a", b"1"), ("mymark/b/c", b"2"))
    with dots.running():
        assert dots.wait(LogLine).text == "1 2"


def test_a_missing_marker_keeps_the_spout_from_starting(rig):
    dots = rig("rest()")
    dots.put_marker(("mymark01", b"part"), ("oldmark", b"1"))
    with dots.running():
        event = dots.wait(Restarting, 3)
        assert "has commits but no file 'mymark' (it holds: mymark01, oldmark)" in event.reason
        assert "give the marker its old name again" in event.hint
        assert dots.seen(UserCodeStarted) == []
        dots.put_marker(("mymark", b"now"))
        dots.wait(UserCodeStarted)


def test_a_spout_without_marker(rig):
    dots = rig("tell(MARKER.is_symlink())\nwrite(tar(('mymark', b'1')))\nrest()", marker="")
    with dots.running():
        assert dots.wait(LogLine).text == "False"
        dots.wait(CommitFinished)
    assert dots.files() == {"/mymark": b"1"}


# The rest of what the user code can see


def test_standard_input_is_what_the_spec_says(rig):
    dots = rig("for line in sys.stdin:\n    tell('got', line.strip())\nrest()", transform={"stdin": ["one", "two"]})
    with dots.running():
        dots.wait(LogLine, 2)
    assert [event.text for event in dots.seen(LogLine)] == ["got one", "got two"]


def test_a_line_without_end_is_cut_and_costs_no_memory(rig):
    dots = rig("sys.stdout.write('x' * 10_000_000 + '\\nshort\\n')\nsys.stdout.flush()\nrest()")
    with dots.running():
        dots.wait(LogLine, 2)
    long, short = (event.text for event in dots.seen(LogLine))
    assert len(long) < 70_000
    assert long.endswith(" ... (cut)")
    assert short == "short"


# Being stopped


@pytest.mark.parametrize("point", ["before read", "after read", "before put", "after finish commit"])
def test_a_worker_can_be_stopped_at_any_step(rig, point):
    dots = rig("out = open_out()\nwhile True:\n    write(tar(('a', b'1')), out)")
    reached = threading.Event()
    with dots.running() as worker:

        def stop(at):
            if at == point:
                worker.stop()
                reached.set()

        dots.checkpoint = stop
        assert reached.wait(PATIENCE)
    assert all(commit.finished for commit in dots.store.commits("dots"))


def test_a_worker_stopped_from_an_event_reads_nothing_more(rig):
    dots = rig("out = open_out()\nwait_for('go')\nfor n in range(100):\n    write(tar(('a', b'%d' % n)), out)\nrest()")
    with dots.running() as worker:
        dots.on_event = lambda _: worker.stop() if len(dots.seen(CommitFinished)) == 3 else None
        (dots.folder / "go").touch()
        dots.wait(Stopped)
    assert dots.content("a") == b"2"
    assert len(dots.store.commits("dots")) == 3
