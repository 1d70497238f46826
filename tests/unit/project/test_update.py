"""Updates of a real project folder: exactly the edit, nothing of the user's, all or nothing."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spoutgen.errors import ProjectError
from spoutgen.project.apply import STAGED
from spoutgen.project.create import create
from spoutgen.project.lock import BASE, LOCK
from spoutgen.project.render import render
from spoutgen.project.step import check_in_step
from spoutgen.project.tree import read_tree
from spoutgen.project.update import update
from spoutgen.spec import load_text

STORY = """\
version: 1
name: spoutmarker
image: spout-marker:v1
source: {type: symbol, symbol: ".", interval: 30s}
marker: mymark
"""


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "spoutmarker"
    create(render(load_text(STORY, "spout.yaml")), folder)
    return folder


def edit(project, old, new):
    spec = project / "spout.yaml"
    spec.write_text(spec.read_text().replace(old, new))


def codes(error):
    return [diagnostic.code for diagnostic in error.value.diagnostics]


def test_nothing_to_do_changes_nothing(project):
    before = read_tree(project)
    assert update(project).news == ()
    assert read_tree(project) == before


def test_a_new_symbol_changes_one_line_of_one_file(project):
    before = read_tree(project)
    edit(project, '"."', '"*"')
    assert [(d.path, d.action) for d in update(project).news] == [("pipeline.json", "change")]
    after = read_tree(project)
    changed = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    assert changed == {"spout.yaml", "pipeline.json", f"{BASE}/pipeline.json", LOCK}
    old, new = (tree["pipeline.json"].data.decode().splitlines() for tree in (before, after))
    assert [a for a, b in zip(old, new, strict=True) if a != b] == [line for line in old if "SPOUT_CONFIG" in line]
    assert update(project).news == ()


def test_an_updated_project_is_the_project_that_new_would_make(project, tmp_path):
    edit(project, '"."', '"*"')
    edit(project, "mymark", "{prefix: other}")
    update(project)
    create(render(load_text((project / "spout.yaml").read_text(), "spout.yaml")), tmp_path / "fresh")
    # README.md is a seed: it keeps the marker's old name until its owner changes it.
    expected, got = read_tree(tmp_path / "fresh"), read_tree(project)
    assert {p for p in expected if expected[p] != got.get(p)} == {"README.md"}


def test_a_touched_file_that_need_not_change_stays(project):
    (project / "Dockerfile").write_text("FROM scratch\n")
    edit(project, '"."', '"*"')
    assert [d.path for d in update(project).news] == ["pipeline.json"]
    assert (project / "Dockerfile").read_text() == "FROM scratch\n"


def test_files_of_the_user_are_never_touched(project):
    (project / "README.md").write_text("mine\n")
    (project / "notes.txt").write_text("mine too\n")
    edit(project, "mymark", "other")
    update(project)
    assert (project / "README.md").read_text() == "mine\n"
    assert (project / "notes.txt").read_text() == "mine too\n"


def test_a_wrong_spec_changes_nothing(project):
    edit(project, "symbol, symbol", "symbl, symbol")
    before = read_tree(project)
    with pytest.raises(Exception, match="symbl"):
        update(project)
    assert read_tree(project) == before


def test_in_step_or_not(project):
    check_in_step(project)
    edit(project, "version: 1", "# a comment is no edit\nversion: 1")
    check_in_step(project)
    edit(project, '"."', '"*"')
    with pytest.raises(ProjectError) as error:
        check_in_step(project)
    assert codes(error) == ["SG403"]
    update(project)
    check_in_step(project)


def test_a_staged_update_is_finished_by_the_next_command(project):
    edit(project, '"."', '"*"')
    kill_at_system_call(project, "after staging")
    assert (project / STAGED).is_dir()
    with pytest.raises(ProjectError) as error:
        check_in_step(project)
    assert codes(error) == ["SG403"]
    update(project)
    check_in_step(project)
    assert "*" in json.loads((project / "pipeline.json").read_text())["transform"]["env"]["SPOUT_CONFIG"]


@pytest.mark.parametrize("step", range(0, 40, 3))
def test_killed_anywhere_the_next_update_ends_where_an_unbroken_one_does(project, step, tmp_path):
    edit(project, '"."', '"*"')
    edit(project, "mymark", "other")
    kill_at_system_call(project, step)
    update(project)
    create(render(load_text((project / "spout.yaml").read_text(), "spout.yaml")), tmp_path / "fresh")
    expected, got = read_tree(tmp_path / "fresh"), read_tree(project)
    assert {p for p in {*expected, *got} if expected.get(p) != got.get(p)} == {"README.md"}


KILLER = """
import os, signal, sys
from pathlib import Path
from spoutgen.project import apply, update

folder, step = Path(sys.argv[1]), sys.argv[2]
if step == "after staging":
    def die(folder, orders):
        os.kill(os.getpid(), signal.SIGKILL)
    apply.apply = die
else:
    left = int(step)
    def count(event, args):
        global left
        if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir") and str(folder) in str(args[0]):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(count)
update.update(folder)
"""


def kill_at_system_call(project: Path, step: object) -> None:
    """Run an update that is killed at its ``step``-th change of the folder (or ends, if it has fewer)."""
    done = subprocess.run([sys.executable, "-c", KILLER, str(project), str(step)], check=False, env=dict(os.environ))
    assert done.returncode in (0, -signal.SIGKILL)
