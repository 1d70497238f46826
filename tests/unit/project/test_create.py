"""New projects: whole or not at all."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spoutgen.errors import ProjectError
from spoutgen.project.create import create, project_files
from spoutgen.project.render import render
from spoutgen.project.tree import read_tree
from spoutgen.spec import load_text

STORY = """\
version: 1
name: spoutmarker
image: spout-marker:v1
source: {type: symbol, symbol: "."}
marker: mymark
"""


@pytest.fixture(scope="module")
def rendered():
    return render(load_text(STORY, "spout.yaml"))


def test_the_files_of_a_project(rendered):
    files = set(project_files(rendered))
    top = "spout.yaml pipeline.json Dockerfile requirements.txt .dockerignore .gitignore main.py README.md"
    own = ".spoutgen/lock.json .spoutgen/schema.json .spoutgen/base/pipeline.json"
    assert files >= {*top.split(), *own.split(), "spout/__init__.py"}
    assert not any("__pycache__" in path for path in files)
    assert ".spoutgen/base/README.md" not in files


@pytest.mark.parametrize("where", ["new", "deep/er/new", "empty"])
def test_into_a_new_or_an_empty_folder(rendered, tmp_path, where):
    (tmp_path / "empty").mkdir()
    create(rendered, tmp_path / where)
    assert read_tree(tmp_path / where) == project_files(rendered)
    assert [p.name for p in tmp_path.rglob("*.new-*")] == []


def test_into_the_folder_one_stands_in(rendered, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inode = tmp_path.stat().st_ino
    create(rendered, Path())
    assert tmp_path.stat().st_ino == inode, "the shell would stand in a deleted folder"
    assert read_tree(tmp_path) == project_files(rendered)


@pytest.mark.parametrize("name", ["a.txt", ".hidden", "spout.yaml"])
def test_a_folder_that_is_not_empty_is_refused_and_left_alone(rendered, tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(ProjectError, match="SG401"):
        create(rendered, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_file_in_the_way_is_refused(rendered, tmp_path):
    (tmp_path / "x").write_text("mine")
    with pytest.raises(ProjectError, match="SG401"):
        create(rendered, tmp_path / "x")


KILLER = """
import os, signal, sys
from pathlib import Path
from spoutgen.project.create import create
from spoutgen.project.render import render
from spoutgen.spec import load_text

rendered = render(load_text(sys.argv[3], "spout.yaml"))
left = int(sys.argv[2])
def count(event, args):
    global left
    if event in ("open", "os.rename", "os.mkdir") and os.path.dirname(sys.argv[1]) in str(args[:2]):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count)
create(rendered, Path(sys.argv[1]))
"""


@pytest.mark.parametrize("step", [0, 1, 2, 5, 20, 60, 500])
def test_a_killed_new_leaves_no_half_project(rendered, tmp_path, step):
    target = tmp_path / "project"
    command = [sys.executable, "-c", KILLER, str(target), str(step), STORY]
    done = subprocess.run(command, check=False, env=dict(os.environ))
    assert done.returncode == (0 if step == 500 else -signal.SIGKILL)
    assert not target.exists() or read_tree(target) == project_files(rendered)
    create(rendered, tmp_path / "again")
