"""The runtime as the process that a worker starts: how it starts, resumes, refuses and ends. Never with 0."""

import json
import signal
import subprocess
import sys
import time

import pytest

from .spouts import NUMBERS, RUNTIME, SYMBOL, Spout, end
from .worker_double import Worker


@pytest.fixture
def worker(tmp_path):
    made = Worker(tmp_path)
    made.start()
    return made


def lines(worker):
    return worker.marks.get("mymark", b"").decode().splitlines()


def run_until(worker, config, condition, **more):
    spout = Spout(worker.root, config, **more)
    try:
        worker.wait_for(condition)
        return spout.peak_memory()
    finally:
        end(spout)


def ends_with(worker, config, status, **more):
    """The last log line of a spout that ends by itself."""
    spout = Spout(worker.root, config, **more)
    try:
        assert spout.wait() == status
        return spout.events[-1]
    finally:
        end(spout)


def test_the_story_of_the_tutorial(worker):
    run_until(worker, SYMBOL, lambda: worker.master.get("output", b"").startswith(b"..."))
    worker.start()  # a new pod after an update: another symbol
    star = {**SYMBOL, "source": {"type": "symbol", "symbol": "*", "interval": 0.001}}
    run_until(worker, star, lambda: lines(worker)[-1].endswith("***"))
    made = lines(worker)
    dots = made[-1].count(".")
    stars = len(made) - dots
    assert dots >= 3
    assert made == ["." * n for n in range(1, dots + 1)] + ["." * dots + "*" * n for n in range(1, stars + 1)]


def test_by_prefix_the_parts_and_the_index(worker):
    config = {**SYMBOL, "marker": {"prefix": "mymark"}}
    run_until(worker, config, lambda: len(worker.commits) > 5)
    worker.start()
    run_until(worker, config, lambda: len(worker.commits) > 15)
    index = json.loads(worker.marks["mymark"])
    count = index["steps"][0][1]
    assert index["line"] == "." * count
    assert worker.marks["mymark01"].decode() == "".join("." * n + "\n" for n in range(1, count + 1))


@pytest.mark.parametrize("symbol", ["é😀", "{{ 7*7 }}", "'''\"; import os", "$(id)`id`", "\\n", " ", "👩‍👩‍👧"])
@pytest.mark.parametrize("locale", [{}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}])
def test_a_symbol_arrives_as_it_was_written_whatever_the_locale(worker, symbol, locale):
    config = {**SYMBOL, "source": {"type": "symbol", "symbol": symbol, "interval": 60}}
    run_until(worker, config, lambda: "output" in worker.master, environ=locale)
    assert worker.master["output"].decode() == symbol + "\n"
    assert worker.marks["mymark"].decode() == symbol + "\n"


def test_memory_stays_under_40_mib(worker):
    assert run_until(worker, SYMBOL, lambda: len(lines(worker)) >= 100) < 40 * 1024


def test_the_log_lines_of_a_life_and_of_the_next(worker):
    spout = Spout(worker.root, SYMBOL)
    worker.wait_for(lambda: len(lines(worker)) >= 3)  # so the journal has the second one at least
    end(spout)
    run_until(worker, SYMBOL, lambda: len(lines(worker)) >= 8)
    events = spout.events
    assert {**events[0], "time": ""} == {
        **{"time": "", "level": "info", "event": "started"},
        **{"spout": "spoutmarker", "source": "symbol", "thrown_away": 0},
    }
    assert {**events[1], "time": "", "seconds": 0} == {
        **{"time": "", "level": "info", "event": "batch", "seconds": 0},
        **{"records": 1, "bytes": 1, "first": "1", "last": "1"},
    }
    [resumed] = [event for event in events if event["event"] == "resumed"]
    assert resumed["origin"] == "journal"
    assert json.loads(resumed["writing"])["line"].startswith("..")


def test_the_environment_never_shows(worker):
    spout = Spout(worker.root, SYMBOL, environ={"AMAZON_SECRET": "hunter2hunter2", "OTHER": "a-value-of-the-env"})
    worker.wait_for(lambda: len(worker.commits) > 3)
    end(spout)
    assert "hunter2" not in spout.log.read_text()
    assert "a-value-of-the-env" not in spout.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("busy", ["reading", "writing"])
def test_a_signal_ends_it_with_128_and_its_number(worker, number, busy):
    config = {**SYMBOL, "source": {"type": "symbol", "symbol": ".", "interval": 60}}
    if busy == "writing":
        worker.on_block = never_again
    spout = Spout(worker.root, config)
    if busy == "writing":
        wait_for(lambda: spout.events)
    else:
        worker.wait_for(lambda: "output" in worker.master)
    spout.kill(number)
    assert spout.wait() == 128 + number
    assert (spout.events[-1]["event"], spout.events[-1]["signal"]) == ("stopped", number.name)


def never_again():
    """Holds the reading thread for ever; it is a daemon's."""
    signal.sigwait([signal.SIGUSR2])


def wait_for(condition, deadline=20.0):
    until = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ("", "not JSON"),
        ("{}", "version None"),
        (json.dumps({**SYMBOL, "source": {"type": "nats"}}), "source.type 'nats'"),
        (json.dumps({**SYMBOL, "source": {"type": "symbol"}}), "source with the keys none"),
        (json.dumps({**SYMBOL, "batch": {**SYMBOL["batch"], "records": 5}}), "batch.records 5"),
        (json.dumps({**SYMBOL, "marker": {"name": "other"}}), "no link at"),
        (json.dumps({**SYMBOL, "output": {"path": "mymark01", "format": "lines"}}), "'mymark01'"),
    ],
)
def test_a_config_that_cannot_be_run_ends_it_with_1_and_one_clear_line(worker, config, found):
    line = ends_with(worker, config, 1)
    assert (line["level"], line["event"]) == ("fatal", "refused")
    assert found in line["found"]
    assert line["expected"]
    assert line["remedy"]


@pytest.mark.parametrize("data", [b"", b"garbage", b".\n..\n..", b'{"spoutgen_marker":1,"spout":"other"}\n'])
@pytest.mark.parametrize("kind", ["name", "prefix"])
def test_a_marker_that_cannot_be_read_ends_it_with_1_and_nothing_is_written(worker, data, kind):
    worker.marks["mymark"] = data
    worker.start()
    line = ends_with(worker, {**SYMBOL, "marker": {kind: "mymark"}}, 1)
    assert (line["event"], line["subject"]) == ("refused", "marker")
    assert worker.commits == []


def test_without_a_worker_it_ends_with_1(tmp_path):
    line = ends_with(Worker(tmp_path), SYMBOL, 1)
    assert (line["event"], line["subject"]) == ("refused", "pipe")


@pytest.mark.parametrize(
    "change",
    [
        "Numbers.read = lambda *_: sys.exit(0)",
        "Numbers.__init__ = lambda *_: sys.exit()",
        "sys.modules['spout.__main__'].run = lambda *_: None",
        "sys.modules['spout.pipe'].PipeSink.write_journal = lambda *_: 1 / 0",
    ],
)
def test_a_bug_ends_it_with_70_and_never_with_0(worker, change):
    line = ends_with(worker, NUMBERS, 70, change=change)
    assert (line["level"], line["event"]) == ("fatal", "crashed")
    assert line["where"]


def test_main_py_finds_the_runtime_from_anywhere(tmp_path):
    command = [sys.executable, "-P" if sys.version_info >= (3, 11) else "-B", str(RUNTIME / "main.py")]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["found"] == "no such variable"
    assert done.stderr == b""


# A source that starts at its newest record: a number that is another one each time it is asked.
_LATEST = """
def _open(self, position):
    self.at = {newest} if position is None else position
    return self.at if position is None else None
Numbers.open = _open
Numbers.read = {read}
"""
_NOTHING_YET = "lambda self, limit, timeout: time.sleep(timeout) or []"


def test_a_start_is_chosen_once_though_the_spout_is_killed_before_its_first_batch(worker):
    def begun():
        return json.loads(worker.marks.get("mymark", b"{}"))

    run_until(worker, NUMBERS, begun, change=_LATEST.format(newest=100, read=_NOTHING_YET))
    assert (begun()["committed"], begun()["writing"], worker.master) == (100, None, {})
    change = _LATEST.format(newest=200, read="Numbers.read")
    run_until(worker, NUMBERS, lambda: worker.master, change=change)  # from the journal: the same FIFO
    assert min(worker.master).startswith("data/000101-")
    worker.master.clear()
    worker.marks["mymark"] = worker.commits[0]["mymark"]
    worker.start()  # from the marker: a new pod
    run_until(worker, NUMBERS, lambda: worker.master, change=change)
    assert min(worker.master).startswith("data/000101-")


def test_what_the_options_name_as_a_credential_never_shows(worker):
    config = {**NUMBERS, "source": {**NUMBERS["source"], "login_env": "A_LOGIN", "options": {"other_env": "B_LOGIN"}}}
    change = """
import os
def _open(self, position): raise ConnectionError(f"no login as {os.environ['A_LOGIN']} or {os.environ['B_LOGIN']}")
Numbers.open = _open
"""
    spout = Spout(worker.root, config, change, {"A_LOGIN": "canary-one", "B_LOGIN": "canary-two"})
    try:
        wait_for(lambda: any(event["event"] == "source_lost" for event in spout.events))
        assert "canary" not in spout.log.read_text()
        assert "no login as *** or ***" in spout.log.read_text()
    finally:
        end(spout)
