"""SIGKILL of ``spoutgen run``, fifty times at random moments: the pyramid has no break, and nobody is left behind."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import spouts_of

from spoutgen.local.store import Store
from spoutgen.project.create import create
from spoutgen.project.render import render
from spoutgen.spec import load_text

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
SPEC = """\
version: 1
name: dots
image: dots:v1
source: {type: symbol, symbol: ".", interval: 1ms}
marker: mymark
"""


@pytest.fixture
def env(tmp_path):
    create(render(load_text(SPEC, "spout.yaml")), tmp_path / "dots")
    return {**os.environ, "PYTHONPATH": str(ROOT), "SPOUTGEN_HOME": str(tmp_path / "cluster")}


def start(tmp_path, env, *more):
    command = [sys.executable, "-m", "spoutgen", "run", "dots", *more]
    return subprocess.Popen(
        command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    )


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def read(store, ref, path):
    return b"".join(store.get_file("dots", ref, path)).decode()


def check_pyramid(home, least):
    """Every line is one dot longer than the one before, in the marker and through all commits of the output."""
    with Store(home / "store.db") as store:
        lines = read(store, "marker", "mymark").splitlines()
        assert lines == ["." * n for n in range(1, len(lines) + 1)]
        assert len(lines) >= least
        widths = []
        for commit in reversed(store.commits("dots", "master")):
            assert commit.finished is not None
            if commit.is_changed:
                widths.append(len(read(store, commit.id, "output").rstrip("\n")))
        # Nothing lost, nothing twice: each line changed the output exactly once.
        assert widths == list(range(1, len(widths) + 1))
        assert len(widths) in (len(lines), len(lines) - 1)


def test_fifty_kills(tmp_path, env):
    home = tmp_path / "cluster"
    chance = random.Random(50)
    starts = resumed = 0
    for _ in range(50):
        with start(tmp_path, env) as run:
            # A tenth of the kills falls into the start, the others into the work: up to some hundred lines.
            if chance.random() < 0.9:
                for line in run.stdout:
                    resumed += "resumes" in line
                    if "master" in line:
                        break
                else:
                    pytest.fail(f"ended by itself with status {run.wait()}")
            with pytest.raises(subprocess.TimeoutExpired):
                run.wait(chance.uniform(0, 0.1))
            run.send_signal(signal.SIGKILL)
            starts += 1
        wait_until(lambda: not spouts_of(home))
    with start(tmp_path, env, "--commits", "3") as run:
        assert run.stdout.read()
        assert run.wait(PATIENCE) == 0
    assert (starts, resumed > 35) == (50, True)
    check_pyramid(home, least=50)
    assert spouts_of(home) == []


def test_a_user_code_killed_by_somebody_goes_on(tmp_path, env):
    home = tmp_path / "cluster"
    with start(tmp_path, env) as run:
        for _ in range(2):
            while "master" not in run.stdout.readline():
                pass
            # What is read here may be of before the kill.
            wait_until(lambda: len(spouts_of(home)) == 1)
            (pid,) = spouts_of(home)
            os.kill(pid, signal.SIGKILL)
            while "was killed by signal 9" not in run.stdout.readline():
                pass
        while "master" not in run.stdout.readline():
            pass
        run.send_signal(signal.SIGINT)
        run.stdout.read()
        assert run.wait(PATIENCE) == 0
    check_pyramid(home, least=2)


def test_runs_at_once(tmp_path, env):
    runs = [start(tmp_path, env) for _ in range(4)]
    wait_until(lambda: sum(run.poll() is None for run in runs) == 1)
    (winner,) = (run for run in runs if run.poll() is None)
    for run in runs:
        if run is not winner:
            assert "SG501" in run.communicate()[0]
            assert run.returncode == 3
    while "master" not in winner.stdout.readline():
        pass
    winner.send_signal(signal.SIGINT)
    winner.communicate(timeout=PATIENCE)
    assert winner.returncode == 0
    check_pyramid(tmp_path / "cluster", least=1)
