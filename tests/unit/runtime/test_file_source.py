"""The file source on real files, rotated in every way, at every moment."""

import gzip
import os
import shutil

import pytest
from spout.fatal import FatalError
from spout.records import Limit, UnrepeatableError
from spout.sources.file import source as file_source
from spout.sources.file.body import Body
from spout.sources.file.probe import probe
from spout.sources.file.source import FileSource

ALL = Limit(1000, 1 << 23)


class Clock:
    """Time that passes by sleeping only, so that nothing here waits."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += max(seconds, 0.001)


class Rig:
    """A log in a folder of its own, and the source that reads it."""

    def __init__(self, folder, pattern="app.log", **options):
        self.folder = folder
        self.path = folder / "app.log"
        self.options = {"files": f"{folder}/{pattern}", "start": "beginning", "on_lost": "fail", "max_line": 1 << 20}
        self.options |= options
        self.warnings = []
        self.position = None
        self.start()

    def start(self, position=None):
        self.clock = Clock()
        self.source = FileSource(self.options, self.warn, self.clock, self.clock.sleep)
        began = self.source.open(position)
        self.position = position if began is None else began

    def warn(self, event, **facts):
        self.warnings.append((event, facts))

    def restart(self):
        self.source.close()
        self.start(self.position)

    def write(self, *lines, path=None, end="\n"):
        with (path or self.path).open("a") as file:
            file.write("".join(f"{line}\n" for line in lines[:-1]) + f"{lines[-1]}{end}")

    def read(self, limit=ALL, timeout=5.0):
        """All lines that come until nothing does."""
        found = []
        while records := self.source.read(limit, timeout):
            self.position = records[-1].position
            found += records
        return [record.data.decode() for record in found]

    def rotate(self, *, compress=False):
        """As logrotate does: app.log.1 to app.log.2, app.log to app.log.1, maybe compressed."""
        for number in range(5, 0, -1):
            for end in ("", ".gz"):
                old = self.folder / f"app.log.{number}{end}"
                if old.exists():
                    old.rename(self.folder / f"app.log.{number + 1}{end}")
        self.path.rename(self.folder / "app.log.1")
        if compress:
            self.compress("app.log.1")

    def compress(self, name):
        data = (self.folder / name).read_bytes()
        (self.folder / f"{name}.gz").write_bytes(gzip.compress(data))
        (self.folder / name).unlink()

    def copytruncate(self):
        shutil.copy(self.path, self.folder / "app.log.1")
        os.truncate(self.path, 0)


@pytest.fixture
def rig(tmp_path):
    made = Rig(tmp_path)
    yield made
    made.source.close()


def numbers(first, end):
    return [f"line {number}" for number in range(first, end)]


def test_lines_and_what_is_said_of_them(rig):
    rig.write("a", "", "ü\r")
    records = rig.source.read(ALL, 1)
    assert [record.data for record in records] == [b"a", b"", "ü\r".encode()]
    assert [record.name for record in records] == [f"000001-{at:015}" for at in (0, 2, 3)]
    assert {record.group["file"] for record in records} == {"app.log"}
    assert len({id(record.group) for record in records}) == 1
    (place,) = records[-1].position["app.log"].values()
    assert (place["offset"], place["inode"]) == (7, rig.path.stat().st_ino)


def test_no_file_yet_is_waited_for(rig):
    assert rig.read() == []
    rig.write("a")
    assert rig.read() == ["a"]


def test_a_line_comes_when_its_end_does(rig):
    rig.write("whole", "par", end="")
    assert rig.read() == ["whole"]
    rig.write("ti", end="")
    assert rig.read() == []
    rig.restart()
    rig.write("al")
    assert rig.read() == ["partial"]


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("compress", [False, True])
def test_renamed_and_created(rig, restarts, compress):
    rig.write(*numbers(0, 5))
    assert rig.read(Limit(5, 1 << 20)) == numbers(0, 5)
    rig.write(*numbers(5, 8))
    rig.rotate(compress=compress)
    if restarts:
        rig.restart()
    rig.write(*numbers(8, 10))
    assert rig.read() == numbers(5, 10)
    rig.restart()
    rig.write("more")
    assert rig.read() == ["more"]


@pytest.mark.parametrize("compress", [False, True])
def test_rotated_many_times_while_the_spout_stood(rig, compress):
    rig.write(*numbers(0, 300))
    assert rig.source.read(Limit(100, 1 << 20), 1)
    rig.position = rig.source.read(Limit(20, 1 << 20), 1)[-1].position
    rig.source.close()
    for first in (300, 600, 900):
        rig.rotate(compress=compress)
        rig.write(*numbers(first, first + 300))
    rig.start(rig.position)
    assert rig.read() == numbers(120, 1200)
    assert rig.warnings == []


@pytest.mark.parametrize("lines", [3, 400])
@pytest.mark.parametrize("restarts", [False, True])
def test_copytruncate(rig, lines, restarts):
    rig.write(*numbers(0, lines))
    assert rig.read() == numbers(0, lines)
    rig.write(*numbers(lines, lines + 5))
    rig.copytruncate()
    if restarts:
        rig.restart()
    rig.write(*numbers(1000, 1000 + 2 * lines))  # more than there was before
    assert rig.read() == [*numbers(lines, lines + 5), *numbers(1000, 1000 + 2 * lines)]
    rig.restart()
    assert rig.read() == []


def test_a_copy_that_is_being_made_is_no_new_file(rig):
    rig.write(*numbers(0, 400))
    assert rig.read() == numbers(0, 400)
    data = rig.path.read_bytes()
    for part in (10, 1500, len(data)):
        (rig.folder / "app.log.1").write_bytes(data[:part])
        assert rig.read() == []
    rig.write("one that the copy does not have")
    assert rig.read() == ["one that the copy does not have"]
    os.truncate(rig.path, 0)
    rig.write("new")
    assert rig.read() == ["new"]


@pytest.mark.parametrize("start", ["fail", "earliest", "latest"])
def test_truncated_without_a_copy(tmp_path, start):
    rig = Rig(tmp_path, on_lost=start)
    rig.write(*numbers(0, 5))
    assert rig.read() == numbers(0, 5)
    os.truncate(rig.path, 0)
    rig.write("new")
    if start == "fail":
        with pytest.raises(FatalError, match=r"no file of app\.log .* up to byte 35"):
            rig.read()
        return
    assert rig.read() == (["new"] if start == "earliest" else [])
    assert [event for event, _ in rig.warnings] == ["position_lost"]
    rig.write("newer")
    assert rig.read() == ["newer"]
    rig.restart()
    rig.write("newest")
    assert rig.read() == ["newest"]


def test_deleted_and_created_while_it_is_read(rig):
    rig.write("a")
    assert rig.read() == ["a"]
    with rig.path.open("a") as still_open:
        rig.path.unlink()
        still_open.write("b\n")
        still_open.flush()
        assert rig.read() == ["b"]
    rig.write("c")
    assert rig.read() == ["c"]


def test_late_lines_of_a_rotated_file(rig):
    rig.write("a")
    writer = rig.path.open("a")
    assert rig.read() == ["a"]
    rig.rotate()
    rig.write("c")
    assert rig.read() == ["c"]
    before = rig.position
    writer.write("b\n")
    writer.close()
    rig.write("d")
    rig.clock.now += 2
    # In the middle of a batch it does not come; at the beginning of the next it does, and so does it again.
    assert [record.data for record in rig.source.read(Limit(999, 1 << 20), 1)] == [b"d"]
    rig.start(before)
    assert [rig.source.read(limit, 1)[0].data for limit in (ALL, Limit(999, 1 << 20))] == [b"b", b"d"]
    assert rig.read() == []


def test_a_replay_over_many_files_gives_the_same(rig):
    rig.write(*numbers(0, 200))
    before = rig.source.read(Limit(50, 1 << 20), 1)[-1].position
    rig.rotate()
    rig.write(*numbers(200, 400))
    rig.clock.now += 2
    first = [rig.source.read(Limit(1000 - 100 * at, 1 << 20), 1) for at in range(2)]
    first = [(record.data, record.name) for records in first for record in records]
    until = rig.source._logs.position()
    rig.rotate(compress=True)
    rig.compress("app.log.2")
    rig.write(*numbers(400, 402))
    rig.start(before)
    again = []
    while not again or again[-1].position != until:
        again += rig.source.read(Limit(7, 100, until), 1)
    assert [(record.data, record.name) for record in again] == first
    assert rig.read() == numbers(400, 402)


@pytest.mark.parametrize("on_lost", ["fail", "latest"])
def test_a_replay_of_what_is_gone(tmp_path, on_lost):
    rig = Rig(tmp_path, on_lost=on_lost)
    rig.write(*numbers(0, 20))
    until = rig.source.read(ALL, 1)[-1].position
    rig.path.unlink()
    rig.write("other")
    rig.start(None)
    with pytest.raises(FatalError if on_lost == "fail" else UnrepeatableError):
        rig.source.read(Limit(10, 100, until), 5)


def test_many_logs_and_rotated_ones_that_the_pattern_matches_too(tmp_path):
    rig = Rig(tmp_path, pattern="*")
    rig.write("a1")
    rig.write("b1", path=tmp_path / "b.log")
    assert sorted(rig.read()) == ["a1", "b1"]
    rig.rotate()
    assert rig.read() == []
    rig.write("a2")
    rig.write("b2", path=tmp_path / "b.log")
    assert sorted(rig.read()) == ["a2", "b2"]
    assert {name: len(files) for name, files in rig.position.items()} == {"app.log": 2, "b.log": 1}


def test_many_logs_that_are_still_are_left_alone(tmp_path, monkeypatch):
    opened = []

    def init(body, found):
        opened.append(found.path)
        made(body, found)

    made = Body.__init__
    monkeypatch.setattr(Body, "__init__", init)
    monkeypatch.setattr(file_source, "_OPEN_FILES", 2)
    rig = Rig(tmp_path, pattern="*.log")
    paths = [tmp_path / f"{name}.log" for name in "abcd"]
    for path in paths:
        rig.write("a line", path=path)
    assert len(rig.read()) == 4
    rig.read()
    opened.clear()
    assert rig.read() == []
    assert opened == []
    for path in paths:
        rig.write(path.name, path=path)
    assert sorted(rig.read()) == ["a.log", "b.log", "c.log", "d.log"]
    rig.source.close()


def test_what_is_gone_is_looked_for_again_however_long_a_look_takes(rig, monkeypatch):
    monkeypatch.setattr(file_source, "_rest", lambda least, began: 60.0 if least == file_source._LOOK else least)
    rig.write("a")
    assert rig.read() == ["a"]
    rig.write("b")
    hidden = rig.path.rename(rig.folder / "elsewhere")
    rig.restart()
    assert rig.source.read(ALL, 1.5) == []
    hidden.rename(rig.path)
    assert rig.read() == ["b"]


def test_start_at_the_end(tmp_path):
    rig = Rig(tmp_path)
    rig.write("old")
    rig.rotate(compress=True)
    rig.write("read", "half", end="")
    rig.options["start"] = "end"
    rig.start()
    assert rig.read() == []
    rig.write(" and half")
    assert rig.read() == ["half and half"]
    rig.rotate()
    rig.write("new")
    rig.restart()
    assert rig.read() == ["new"]


def test_limits(rig):
    rig.write(*["x" * 100] * 50)
    assert len(rig.source.read(Limit(7, 1 << 20), 1)) == 7
    assert len(rig.source.read(Limit(1000, 1), 1)) == 1
    assert len(rig.source.read(Limit(1000, 1000), 1)) <= 10
    assert rig.source.lag().records == pytest.approx(33, abs=1)
    assert len(rig.read()) in range(32, 35)
    assert rig.source.lag().records == 0


def test_a_line_that_is_too_long(tmp_path):
    rig = Rig(tmp_path, max_line=1000)
    rig.write("x" * 1000)
    assert rig.read() == ["x" * 1000]
    rig.write("x" * 1001)
    with pytest.raises(FatalError, match=r"raise `source\.max_line`"):
        rig.read()


def test_a_position_that_is_none(rig):
    for wrong in ([], {"app.log": {"one": {}}}, {"app.log": {"1": {"offset": 3}}}):
        with pytest.raises(FatalError, match="a position of a file source"):
            rig.start(wrong)
        rig.start()


def test_probe_says_what_there_is(tmp_path):
    rig = Rig(tmp_path, pattern="*.log")
    assert probe(rig.options, None)[0][1].startswith("no file matches")
    rig.write("a")
    rig.read()
    rig.write("bc")
    assert probe(rig.options, rig.position) == [("app.log", "1 file, 3 bytes to be read"), ("lag", "3 bytes")]
    rig.path.unlink()
    assert "is gone" in probe(rig.options, rig.position)[-1][1]
    with pytest.raises(FatalError, match="no folder"):
        probe({**rig.options, "files": f"{tmp_path}/none/*.log"}, None)
