"""Where the local cluster lives, who may run a pipeline, and what its log keeps."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spoutgen.errors import MachineError
from spoutgen.local.home import Home, find_home, has_store, is_running, running
from spoutgen.local.logfile import LogFile

ROOT = Path(__file__).parents[3]
HOLDER = """
import sys
from pathlib import Path
from spoutgen.local.home import Home, running
with running(Home(Path(sys.argv[1])), "dots"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_home_is_one_per_user():
    assert find_home({"SPOUTGEN_HOME": "/x", "XDG_DATA_HOME": "/y"}).store == Path("/x/store.db")
    assert find_home({"XDG_DATA_HOME": "/y"}).folder == Path("/y/spoutgen")
    assert find_home({"SPOUTGEN_HOME": ""}).folder == Path.home() / ".local/share/spoutgen"


def test_a_disk_without_room_for_the_process_id(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(MachineError, match=r"SG503 .*No space left on device"), running(Home(tmp_path), "dots"):
        pass


def test_a_home_that_may_not_be_looked_into(tmp_path):
    assert not has_store(Home(tmp_path / "none"))
    with pytest.raises(MachineError, match="SG503"):
        has_store(Home(tmp_path / ("x" * 300)))


def test_a_second_run_is_told_of_the_first(tmp_path):
    home = Home(tmp_path)
    assert not is_running(home, "dots")
    first = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with first:
        assert first.stdout.readline() == "held\n"
        assert is_running(home, "dots")
        assert not is_running(home, "other")
        with pytest.raises(MachineError) as error, running(home, "dots"):
            pass
        (diagnostic,) = error.value.diagnostics
        assert diagnostic.code == "SG501"
        assert f"in process {first.pid}" in diagnostic.message
        with running(home, "other"):
            pass
        first.send_signal(signal.SIGKILL)
    # A killed process holds nothing.
    with running(home, "dots"):
        assert is_running(home, "dots")
    assert not is_running(home, "dots")


def test_the_log_keeps_one_old_file(tmp_path):
    log = LogFile(tmp_path / "logs" / "dots.log", most=100)
    for number in range(100):
        log.write(f"line {number} é")
    log.close()
    new, old = tmp_path / "logs" / "dots.log", tmp_path / "logs" / "dots.log.1"
    assert old.stat().st_size < 120
    assert new.read_text().splitlines()[-1] == "line 99 é"
    lines = [*old.read_text().splitlines(), *new.read_text().splitlines()]
    assert lines == [f"line {number} é" for number in range(100 - len(lines), 100)]


def test_the_log_goes_on_where_it_was(tmp_path):
    for word in ("one", "two"):
        log = LogFile(tmp_path / "dots.log")
        log.write(word)
        log.close()
    assert (tmp_path / "dots.log").read_text() == "one\ntwo\n"


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path):
    log = LogFile(tmp_path / "logs" / "dots.log", most=1)
    log.write("one")
    (tmp_path / "logs" / "dots.log").unlink()
    (tmp_path / "logs").rmdir()
    log.write("two")
    log.write("three")
