"""Sources that break one promise each: the kit says which one, what it found, and what to do."""

import pytest

from spoutgen.conformance import kills, memory, probe
from spoutgen.conformance.suite import CHECKS

from .projects import FILE_QUEUE, changed, outcomes, project

QUICK = [check.name for check in CHECKS if check.name not in ("memory", "kill-user-code", "kill-worker")]

READ = "        while not (records := self._lines(limit))"
SEEK = "        self._file.seek(offset)\n"
LOOP = "while len(records) < limit.records and size < limit.bytes and begin != limit.until:"
POSITION = "position=end, "
NAME = 'f"{begin:015}"'
SKIP = "        if self._skips and limit.until is None:\n            self._skips, _ = False, self._file.readline()\n"
ACK = '"""Nobody waits for it: the file keeps everything."""'
SIZE = "        if os.fstat"
GONE = "        if (position or 0) < getattr(self, '_forgot', 0):\n            raise OSError('gone')\n"

# The check, what is changed in the file queue, and a word of what was found.
BROKEN = {
    "goes back": ("positions", {POSITION: "position=end % 50, "}, "again after"),
    "skips on resume": (
        "resume",
        {SEEK: f"{SEEK}        self._skips = position is not None\n", READ: SKIP + READ},
        "record 3",
    ),
    "ignores limits": ("limit-records limit-bytes", {LOOP: "while begin != limit.until:"}, "500 records"),
    "hangs when idle": ("idle", {" and time.monotonic() < gives_up_at": ""}, "had not returned after"),
    "other bytes in a replay": ("replay", {"line[:-1],": "line[:-1].upper() if limit.until else line[:-1],"}, "ORDER"),
    "no JSON": ("positions", {POSITION: "position={end}, "}, "set {"),
}
MORE = {
    "a tuple as position": (
        "positions",
        {POSITION: "position=(end, 0), ", "position or 0": "(position or [0])[0]"},
        "tuple (13, 0), which comes back from JSON as list [13, 0]",
    ),
    "not a number": ("positions", {POSITION: "position=float('nan'), "}, "nan"),
    "None as position": ("records", {POSITION: "position=None, "}, "None"),
    "text as data": ("records", {"line[:-1],": "line[:-1].decode(),"}, "str 'order 1 of 1'"),
    "no record": ("records", {f"Record(line[:-1], position=end, name={NAME})": "(line, end)"}, "tuple"),
    "no name": ("records", {NAME: '""'}, "whose name is"),
    "one name for all": ("names", {NAME: '"order"'}, "the name 'order' for record 1 and for record 2"),
    "half a character as name": ("names", {NAME: r'f"\ud800{begin}"'}, "surrogates not allowed"),
    "raises": (
        "records",
        {READ: f"        1 / 0\n{READ}"},
        "ZeroDivisionError: division by zero (source.py:",
    ),
    "ends the process": ("records", {READ: f"        os._exit(0)\n{READ}"}, "status 0"),
    "crashes": ("records", {READ: f"        os.kill(os.getpid(), 11)\n{READ}"}, "signal 11"),
    "repeats on resume": ("resume", {"offset = position or 0": "offset = (position or 0) - 14 * bool(position)"}, ""),
    "ignores the limit of bytes": ("limit-bytes", {" and size < limit.bytes": ""}, "without the last one"),
    "ignores limits in a replay": (
        "limit-records",
        {LOOP: f"while (limit.until or {LOOP[6:-1]}) and begin != limit.until:"},
        "24 records",
    ),
    "spins when idle": ("idle", {"        gives_up_at = time.monotonic() + timeout": "        gives_up_at = 0"}, "0.0"),
    "another name at each reading": ("replay", {NAME: "str(time.monotonic_ns() + begin)"}, "at position"),
    "goes past the end of a replay": (
        "replay",
        {" and begin != limit.until": "", "            raise self._gone(limit.until)": "            pass"},
        "record",
    ),
    "closes nothing": (
        "lets-go",
        {"            self._file.close()": "            _KEPT.append(self._file)", "_PAUSE =": "_KEPT = []\n_PAUSE ="},
        "more in the last",
    ),
    "forgets more than was acknowledged": (
        "acks",
        {ACK: "self._forgot = self._file.tell()", SIZE: GONE + SIZE},
        "OSError: gone",
    ),
    "another identity each time": ("loads", {'f"file:{self._path}"': "str(time.monotonic_ns())"}, "custom:"),
    "no class": ("loads", {"class Source:": "class Fountain:"}, "no class Source"),
    "no Python": ("loads", {"class Source:": "class Source"}, "SyntaxError"),
    "another signature": (
        "loads",
        {"limit: Limit, timeout: float)": "limit: Limit)"},
        "read() does not take limit, timeout",
    ),
}

# Reads ahead, and does not forget that when it is closed.
FORGETS_NOTHING = """
from spout.records import Record

class Source:
    identity, needs_ack = "numbers", False
    def __init__(self, options): self._ahead = []
    def open(self, position): self._next = (position or 0) + 1
    def ack(self, position): pass
    def close(self): pass
    def read(self, limit, timeout):
        if not self._ahead:
            self._ahead = [Record(b"%d" % n, n, str(n)) for n in range(self._next, self._next + 5)]
            self._next += 5
        if limit.until is not None and self._ahead[0].position > limit.until: return []
        return [self._ahead.pop(0)]
"""


@pytest.fixture
def _less_patience(monkeypatch):
    """For what is going to hang; a busy machine must still be able to answer in time."""
    monkeypatch.setattr(probe, "GRACE", 2.5)
    monkeypatch.setattr(kills, "_PATIENCE", 4.0)


def failed(results):
    return {result.name for result in results.values() if result.outcome == "failed"}


@pytest.mark.usefixtures("_less_patience")
@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_caught_by_the_right_check_and_no_other(name, tmp_path):
    checks, changes, found = BROKEN[name]
    with project(tmp_path, changed(FILE_QUEUE, changes)) as made:
        results = outcomes(made, *QUICK)
    assert failed(results) == set(checks.split()), results
    assert found in results[checks.split()[0]].found


@pytest.mark.parametrize("name", MORE)
def test_more_that_is_broken(name, tmp_path):
    check, changes, found = MORE[name]
    with project(tmp_path, changed(FILE_QUEUE, changes)) as made:
        results = outcomes(made, check)
    assert failed(results) == {check}, results
    assert found in results[check].found
    assert results[check].expected
    assert results[check].remedy


@pytest.mark.usefixtures("_less_patience")
def test_what_was_read_ahead_must_be_forgotten(tmp_path):
    with project(tmp_path, FORGETS_NOTHING) as made:
        assert failed(outcomes(made, "reopens", "acks")) == {"reopens"}


@pytest.mark.parametrize(
    "leak",
    [
        "        self.__dict__.setdefault('_seen', []).extend(records)\n",
        "        if limit.until is None: self.__dict__.setdefault('_seen', []).extend(records)\n",
    ],
    ids=["always", "in new reads"],
)
def test_a_leak_is_caught_and_its_line_named(leak, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_SPANS_SECONDS", 0.4)
    end = "        return records\n\n    def ack"
    with project(tmp_path, changed(FILE_QUEUE, {end: leak + end}), lines=50_000) as made:
        results = outcomes(made, "memory")
    assert failed(results) == {"memory"}
    assert "bytes more for each of" in results["memory"].found
    assert "source.py:" in results["memory"].found


@pytest.mark.usefixtures("_less_patience")
def test_a_lock_that_outlives_a_kill_is_caught(tmp_path):
    lock = "        os.close(os.open(self._path + '.lock', os.O_CREAT | os.O_EXCL))\n"
    unlock = "            os.unlink(self._path + '.lock')\n"
    opened = "        self._file = open("
    changes = {opened: lock + opened}
    changes["            self._file.close()\n"] = f"            self._file.close()\n{unlock}"
    with project(tmp_path, changed(FILE_QUEUE, changes)) as made:
        results = outcomes(made, "kill-user-code")
    assert failed(results) == {"kill-user-code"}
    assert "after kill 1 (user code, reading)" in results["kill-user-code"].expected
    assert "FileExistsError" in results["kill-user-code"].found


# Code at the end of a module of the project's runtime; a step of the user code to kill it at; a word of what was found.
BROKEN_RUNTIMES = {
    "what was announced is taken for committed": (
        "loop.py",
        """
_run = run
def run(source, sink, announcement, *more):
    return _run(source, sink, announcement and Announcement(announcement.writing, None), *more)
""",
        "inside write_data",
        "missing, the first is /orders/",
    ),
    "the journal is never read": (
        "journal.py",
        "Journal.read = lambda self: None",
        "after write_journal",
        "from None to",
    ),
    "the first data of a process is never written": (
        "pipe.py",
        """
_write_data = PipeSink.write_data
def _only_the_first(self, what):
    PipeSink.write_data = _write_data
PipeSink.write_data = _only_the_first
""",
        "after announce",
        "missing, the first is /orders/",
    ),
}


@pytest.mark.parametrize("name", BROKEN_RUNTIMES)
def test_the_check_of_kills_can_fail(name, tmp_path, monkeypatch):
    file, change, step, found = BROKEN_RUNTIMES[name]
    monkeypatch.setattr(kills, "USER_STEPS", (step,))
    with project(tmp_path) as made:
        with (tmp_path / "spout" / file).open("a") as module:
            module.write(change)
        results = outcomes(made, "kill-user-code")
    assert failed(results) == {"kill-user-code"}
    assert found in results["kill-user-code"].found
