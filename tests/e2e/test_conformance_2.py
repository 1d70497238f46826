"""`spoutgen test` of projects with `pachyderm: 2`: the whole kit, with the kills of the spout and of its pachd."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spoutgen.project.tree import read_tree

EXAMPLE = Path(__file__).parents[2] / "examples/file-queue"
KILLS = ["--only", "kill-user-code", "--only", "kill-worker"]


@pytest.fixture
def spoutgen(tmp_path):
    (tmp_path / "tmp").mkdir()
    env = {**os.environ, "SPOUTGEN_HOME": str(tmp_path / "cluster"), "TMPDIR": str(tmp_path / "tmp")}

    def run(*arguments, status=0):
        command = [sys.executable, "-m", "spoutgen", *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    return run


def test_symbol_survives_every_kill(spoutgen, tmp_path):
    spoutgen("new", "dots", "--set", "pachyderm=2")
    before = read_tree(tmp_path / "dots")
    *checks, total = spoutgen("test", "dots", *KILLS).splitlines()
    assert [line.split()[:2] for line in checks] == [["ok", "kill-user-code"], ["ok", "kill-worker"]]
    assert ["16 kills" in checks[0], "10 kills" in checks[1]] == [True, True]
    assert total.startswith("dots: 2 ok, in ")
    assert read_tree(tmp_path / "dots") == before
    assert not list((tmp_path / "tmp").iterdir())


def queue_project(spoutgen, tmp_path, lines):
    """The project of the custom example on 2.x, and the setting that lets it read a queue of its own."""
    spec = (EXAMPLE / "file-queue.yaml").read_text()
    (tmp_path / "spout.yaml").write_text(spec.replace("pachyderm: 1", "pachyderm: 2"))
    spoutgen("new", "spout.yaml", "-o", "project")
    (tmp_path / "project/source.py").write_text((EXAMPLE / "source.py").read_text())
    (tmp_path / "orders.log").write_text("".join(f"order {number}\n" for number in range(1, lines + 1)))
    return ["--set", f"source.options.path={tmp_path / 'orders.log'}"]


def test_a_custom_sequence_survives_every_kill(spoutgen, tmp_path):
    queue = queue_project(spoutgen, tmp_path, lines=3000)
    checks = spoutgen("test", "project", *queue, *KILLS).splitlines()[:-1]
    assert [line.split()[:2] for line in checks] == [["ok", "kill-user-code"], ["ok", "kill-worker"]]


def test_a_source_that_skips_a_line_after_a_death_is_told(spoutgen, tmp_path):
    queue = queue_project(spoutgen, tmp_path, lines=3000)
    source = tmp_path / "project/source.py"
    text = source.read_text()
    broken = text.replace("        self._file.seek(offset)\n", SKIPS)
    assert broken != text
    source.write_text(broken)
    told = spoutgen("test", "project", *queue, "--only", "kill-user-code", status=1)
    assert "FAILED  kill-user-code" in told
    assert "kills the very files that a run without them leaves" in told


# Right in all the checks of the source alone, and in every replay.
SKIPS = """        self._file.seek(offset)
        if offset and any("doomed" in argument for argument in __import__("sys").argv):
            self._file.readline()
"""
