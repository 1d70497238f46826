"""An update killed at any change of the folder: as before, or finished by the next update, or undone by --abort."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spoutgen.errors import ConflictError, ProjectError
from spoutgen.project.apply import ABORTED, read_orders
from spoutgen.project.create import create
from spoutgen.project.render import render
from spoutgen.project.step import check_in_step
from spoutgen.project.template import Template
from spoutgen.project.tree import read_tree
from spoutgen.project.update import abort, update
from spoutgen.resources import template_dir
from spoutgen.spec import load_text

STORY = """\
version: 1
name: spoutmarker
image: spout-marker:v1
source: {type: symbol, symbol: ".", interval: 30s}
marker: mymark
"""
# Dies at the N-th event by which Python is about to change the project; ends by itself if there are fewer.
KILLER = """
import os, signal, sys
from pathlib import Path
from spoutgen.project.update import abort, update

verb, folder, left = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
def count(event, args):
    global left
    changes = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.link", "shutil.copyfile")
    if (changes or event == "open" and args[1] and args[1] != "rb") and str(folder) in str(args[:2]):
        left -= 1
        if event == "os.rename" and str(args[1]).endswith(".spoutgen/update"):
            print("staged", int(sys.argv[3]) - left)
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count)
{"update": update, "abort": abort}[verb](folder)
print("all", int(sys.argv[3]) - left)
"""
# Kills spread evenly over the steps; SPOUTGEN_SOAK=1 takes every single one.
SPREAD = range(8)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """A project with an edit of its own in a managed file and an edit of its spec; its template has moved on.

    The template is a fork that nobody else edits: every kill must meet the same steps.
    """
    home = tmp_path_factory.mktemp("pristine")
    template, folder = home / "template", home / "spoutmarker"
    shutil.copytree(template_dir(), template, ignore=shutil.ignore_patterns("__pycache__"))
    generated = template / "{{cookiecutter.name}}"
    (generated / "gone.txt").write_text("generated once\n")
    (generated / "file").write_text("a file at first\n")
    (generated / "folder").mkdir()
    (generated / "folder/inside").write_text("in a folder at first\n")
    create(render(load_text(STORY, "spout.yaml"), Template(template, str(template))), folder)
    replace(folder / "spout.yaml", '"."', '"*"')
    replace(folder / "Dockerfile", "WORKDIR /app\n", "WORKDIR /app\nLABEL mine=1\n")
    replace(generated / "Dockerfile", "# Runs as root", "# Ran as root")
    (generated / "gone.txt").unlink()
    (generated / "file").unlink()
    (generated / "file").mkdir()
    (generated / "file/inside").write_text("in a folder now\n")
    shutil.rmtree(generated / "folder")
    (generated / "folder").write_text("a file now\n")
    (generated / "new.txt").write_text("new\n")
    return folder


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.fixture
def project(pristine, tmp_path):
    return Path(shutil.copytree(pristine, tmp_path / "spoutmarker"))


def files(folder):
    """What counts: all but what an update keeps for itself while it runs."""
    return {p: e for p, e in read_tree(folder).items() if not p.startswith(".spoutgen/update")}


def kill(verb: str, project: Path, step: int) -> bool:
    """Run the verb, killed at its ``step``-th change; whether it came to that."""
    done = run(verb, project, step)
    assert done.returncode in (0, -signal.SIGKILL)
    return done.returncode != 0


def run(verb: str, project: Path, step: int) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", KILLER, verb, str(project), str(step)]
    return subprocess.run(command, check=False, env=dict(os.environ), stdout=subprocess.PIPE)


@pytest.fixture(scope="module")
def steps(pristine, tmp_path_factory):
    """How many changes an update makes, how many of them before it is staged, and how many an abort makes."""
    folder = Path(shutil.copytree(pristine, tmp_path_factory.mktemp("steps") / "spoutmarker"))
    counted = dict(line.split() for line in run("update", folder, 10**6).stdout.decode().splitlines())
    shutil.rmtree(folder)
    shutil.copytree(pristine, folder)
    kill("update", folder, int(counted["staged"]))
    abort_all = dict(line.split() for line in run("abort", folder, 10**6).stdout.decode().splitlines())["all"]
    return {"update": int(counted["all"]), "staged": int(counted["staged"]), "abort": int(abort_all)}


def spread(part: int, whole: int) -> list[int]:
    """The kills of one share of a test: one, or with SPOUTGEN_SOAK=1 all of that share."""
    if os.environ.get("SPOUTGEN_SOAK"):
        return list(range(part, whole + 1, len(SPREAD)))
    return [part * whole // (len(SPREAD) - 1)]


@pytest.fixture(scope="module")
def updated(pristine, tmp_path_factory):
    folder = Path(shutil.copytree(pristine, tmp_path_factory.mktemp("updated") / "spoutmarker"))
    update(folder)
    text = (folder / "Dockerfile").read_text()
    assert "LABEL mine=1" in text
    assert "# Ran as root" in text
    assert not (folder / "gone.txt").exists()
    assert (folder / "file/inside").read_text() == "in a folder now\n"
    assert (folder / "folder").read_text() == "a file now\n"
    assert (folder / "new.txt").exists()
    return files(folder)


@pytest.fixture
def again(pristine, project):
    """Makes the project as it was at first."""

    def make():
        shutil.rmtree(project)
        shutil.copytree(pristine, project)

    return make


@pytest.mark.parametrize("part", SPREAD)
def test_killed_then_updated(project, again, updated, steps, part):
    for step in spread(part, steps["update"]):
        again()
        assert kill("update", project, step) == (step < steps["update"])
        update(project)
        assert files(project) == updated
        assert read_orders(project) is None


@pytest.mark.parametrize("part", SPREAD)
def test_killed_then_aborted(project, again, pristine, updated, steps, part):
    for step in spread(part, steps["update"]):
        again()
        kill("update", project, step)
        if read_orders(project) is None:
            assert files(project) == (files(pristine) if step < steps["staged"] else updated)
            continue
        with pytest.raises(ProjectError, match="SG403"):
            check_in_step(project)
        abort(project)
        assert files(project) == files(pristine)
        assert read_orders(project) is None


@pytest.mark.parametrize("part", SPREAD)
def test_killed_while_aborting(project, again, pristine, steps, part):
    for step in spread(part, steps["abort"]):
        again()
        kill("update", project, steps["staged"] + 5)
        assert read_orders(project) is not None
        kill("abort", project, step)
        if read_orders(project) is not None:
            abort(project)
        assert files(project) == files(pristine)


@pytest.mark.parametrize("part", SPREAD)
def test_killed_while_undoing_conflicts(project, again, steps, part):
    for step in spread(part, steps["abort"]):
        again()
        replace(project / "Dockerfile", "# Runs as root", "# Walks as root")
        before = files(project)
        assert update(project).conflicts
        kill("abort", project, step)
        if read_orders(project) is not None:
            abort(project)
        assert files(project) == before


def test_conflicts_can_be_undone_and_block_the_next_update(project):
    replace(project / "Dockerfile", "# Runs as root", "# Walks as root")
    before = files(project)
    done = update(project)
    assert done.conflicts == ("Dockerfile",)
    with pytest.raises(ConflictError, match="SG408") as caught:
        update(project)
    assert caught.value.diagnostics[0].place.text == "<<<<<<< yours"
    with pytest.raises(ProjectError, match="SG403"):
        check_in_step(project)
    abort(project)
    assert files(project) == before


def test_a_resolved_conflict_ends_the_update(project):
    replace(project / "Dockerfile", "# Runs as root", "# Walks as root")
    update(project)
    (project / "Dockerfile").write_text("FROM scratch\n")
    assert update(project).news == ()
    assert (project / "Dockerfile").read_text() == "FROM scratch\n"
    assert read_orders(project) is None
    with pytest.raises(ProjectError, match="no update to undo"):
        abort(project)


def test_what_was_edited_after_the_update_survives_the_abort(project):
    replace(project / "Dockerfile", "# Runs as root", "# Walks as root")
    update(project)
    (project / "Dockerfile").write_text("an hour of work\n")
    assert abort(project) == ["Dockerfile"]
    assert (project / ABORTED / "Dockerfile").read_text() == "an hour of work\n"
    assert "# Walks as root" in (project / "Dockerfile").read_text()
