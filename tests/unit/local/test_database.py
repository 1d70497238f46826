"""The store's file: made once, safe for several processes, and a clear error for whatever cannot be used."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from spoutgen.errors import MachineError
from spoutgen.local import database
from spoutgen.local.model import Put
from spoutgen.local.store import Store

ROOT = Path(__file__).parents[3]


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def refusal(path: Path) -> tuple[str, str | None]:
    with pytest.raises(MachineError) as error:
        Store.create(path)
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "SG503"
    assert diagnostic.place.file == str(path)
    return diagnostic.message, diagnostic.hint


def test_looking_makes_nothing(tmp_path):
    with pytest.raises(MachineError, match="SG503"):
        Store(tmp_path / "store.db")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database(tmp_path):
    file = tmp_path / "store.db"
    file.write_text("a diary, not a database; long enough to be looked at, for a header has a hundred bytes. " * 3)
    message, hint = refusal(file)
    assert "not a database" in message
    assert "move the file away" in hint
    assert file.read_text().startswith("a diary")


def test_somebody_elses_database(tmp_path):
    file = tmp_path / "store.db"
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE diary (day)")
    db.close()
    assert "not a database of spoutgen" in refusal(file)[0]


def test_an_empty_file(tmp_path):
    file = tmp_path / "store.db"
    file.touch()
    assert "not a database of spoutgen" in refusal(file)[0]
    assert file.stat().st_size == 0


def test_a_newer_store(tmp_path):
    file = tmp_path / "store.db"
    Store.create(file).close()
    db = sqlite3.connect(file)
    db.execute(f"PRAGMA user_version = {database.VERSION + 1}")
    db.close()
    message, hint = refusal(file)
    assert "a newer spoutgen made it" in message
    assert "install the newer spoutgen" in hint


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    assert "Not a directory" in refusal(tmp_path / "file" / "home" / "store.db")[0]


def test_a_folder_where_nothing_can_be_made():
    # Not even root makes folders there.
    message, hint = refusal(Path("/proc/spoutgen/store.db"))
    assert "No such file" in message
    assert "SPOUTGEN_HOME" in hint


def test_a_full_disk_changes_nothing(tmp_path):
    with Store.create(tmp_path / "store.db") as store:
        store.create_repo("r", branches=("master",))
        commit = store.start_commit("r", "master")
        with store.reading() as db:
            (pages,) = db.execute("PRAGMA page_count").fetchone()
            db.execute(f"PRAGMA max_page_count = {pages + 10}")
        big = Put(commit.id, "big", [bytes(1 << 20)], True)
        with pytest.raises(MachineError) as error:
            store.put_files("r", [big])
        assert "full" in error.value.diagnostics[0].message
        assert "free some space" in error.value.diagnostics[0].hint
        assert store.list_files("r", commit.id) == []
        with store.reading() as db:
            db.execute("PRAGMA max_page_count = 1000000")
        store.put_files("r", [big])
        assert store.finish_commit("r", commit.id).size == 1 << 20


def test_a_store_that_is_kept_busy(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    with Store.create(tmp_path / "store.db") as store, Store(store.path) as other:
        with store.writing(), pytest.raises(MachineError) as error:
            other.create_repo("r")
        assert "locked" in error.value.diagnostics[0].message
        other.create_repo("r")


def test_many_processes_make_one_store(tmp_path):
    code = """
import sys
from pathlib import Path
from spoutgen.local.store import Store
with Store.create(Path(sys.argv[1])) as store:
    store.create_repo(sys.argv[2])
"""
    file = tmp_path / "home" / "store.db"
    processes = [python(code, str(file), f"r{number}") for number in range(6)]
    assert [process.wait() for process in processes] == [0] * 6
    for process in processes:
        process.stdout.close()
    with Store(file) as store:
        assert sorted(repo.name for repo in store.repos()) == [f"r{number}" for number in range(6)]
    assert {path.name for path in file.parent.iterdir()} <= {"store.db", "store.db-wal", "store.db-shm"}


# Each commit n holds the file `n`, the file `head` with n in it, and 300 KB, so that a kill often falls inside a put.
WRITER = """
import sys
from pathlib import Path
from spoutgen.local.model import Put
from spoutgen.local.store import Store

with Store(Path(sys.argv[1])) as store:
    for commit in store.commits("r", number=10):
        if commit.finished is None:
            store.delete_commit("r", commit.id)
    head = store.head("r", "master")
    n = int(b"".join(store.get_file("r", head, "head"))) + 1 if head else 0
    print("ready", flush=True)
    while True:
        commit = store.start_commit("r", "master")
        files = {str(n): b"", "head": b"%d" % n, "log": b"%d," % n, "big": bytes([n % 256]) * 300_000}
        store.put_files("r", [Put(commit.id, path, [data], path != "log") for path, data in files.items()])
        store.finish_commit("r", commit.id)
        n += 1
"""


def test_a_killed_writer_leaves_whole_commits(tmp_path):
    file = tmp_path / "store.db"
    Store.create(file).close()
    with Store(file) as store:
        store.create_repo("r", branches=("master",))
    chance = random.Random(4)
    for _ in range(8):
        process = python(WRITER, str(file))
        assert process.stdout.readline() == "ready\n"
        process.stdout.close()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0, 0.12))
        process.send_signal(signal.SIGKILL)
        process.wait()
        with Store(file) as store:
            with store.reading() as db:
                assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                assert db.execute("PRAGMA foreign_key_check").fetchone() is None
            commits = store.commits("r", "master")
            finished = [commit for commit in commits if commit.finished is not None]
            assert finished == commits or finished == commits[1:]
            for n, commit in enumerate(reversed(finished)):
                names = {info.path for info in store.list_files("r", commit.id)}
                assert names == {"/big", "/head", "/log", *(f"/{m}" for m in range(n + 1))}
                assert b"".join(store.get_file("r", commit.id, "head")) == b"%d" % n
                assert b"".join(store.get_file("r", commit.id, "log")) == b"".join(b"%d," % m for m in range(n + 1))
                assert b"".join(store.get_file("r", commit.id, "big")) == bytes([n % 256]) * 300_000
