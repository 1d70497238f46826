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
# Forks for each order, which reads "VERB STEP FOLDER". The child dies at the STEP-th event by which Python is about to
# change the project; it ends by itself if there are fewer. So a kill costs no start of an interpreter.
KILLER = """
import os, signal, sys
from pathlib import Path
import spoutgen.project.render, spoutgen.project.textmerge, spoutgen.spec.schema
from spoutgen.project.update import abort, update

spoutgen.spec.schema._validator()
for order in sys.stdin:
    verb, step, folder = order.rstrip("\\n").split(" ", 2)
    child = os.fork()
    if not child:
        break
    _, status = os.waitpid(child, 0)
    print("status", os.waitstatus_to_exitcode(status), flush=True)
else:
    sys.exit()

left = int(step)
def count(event, args):
    global left
    changes = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.link", "shutil.copyfile")
    if (changes or event == "open" and args[1] and args[1] != "rb") and folder in str(args[:2]):
        left -= 1
        if event == "os.rename" and str(args[1]).endswith(".spoutgen/update"):
            print("staged", int(step) - left, flush=True)
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count)
status = 1
try:
    {"update": update, "abort": abort}[verb](Path(folder))
    print("all", int(step) - left, flush=True)
    status = 0
finally:
    os._exit(status)
"""
# The steps are shared out to this many tests, so that a failure names the place. Each takes every fourth of its steps;
# SPOUTGEN_SOAK=1 takes every single one, in two minutes.
SHARES = range(8)
STRIDE = len(SHARES) * (1 if os.environ.get("SPOUTGEN_SOAK") else 4)


class Killer:
    """The process that forks what is to be killed."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", KILLER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, verb: str, project: Path, step: int) -> dict[str, int]:
        """Run the verb, killed at its ``step``-th change; its ``status``, and the numbers that it got to tell."""
        self._process.stdin.write(f"{verb} {step} {project}\n")
        self._process.stdin.flush()
        told = {}
        while "status" not in told:
            line = self._process.stdout.readline()
            assert line, "the killer has died"
            name, number = line.split()
            told[name] = int(number)
        assert told["status"] in (0, -signal.SIGKILL)
        return told

    def kill(self, verb: str, project: Path, step: int) -> bool:
        """The same; whether it came to the kill."""
        return self.run(verb, project, step)["status"] != 0

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def killer():
    killer = Killer()
    yield killer
    killer.close()


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """A project with an edit of its own in a managed file and an edit of its spec; its template has moved on.

    The template is a fork that nobody else edits: every kill must meet the same steps.
    """
    home = tmp_path_factory.mktemp("pristine")
    template, folder = home / "template", home / "spoutmarker"
    shutil.copytree(template_dir(), template, ignore=shutil.ignore_patterns("__pycache__"))
    generated = template / "{{cookiecutter.name}}"
    shutil.rmtree(generated / "spout")  # what need not change makes no step
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


@pytest.fixture(scope="module")
def steps(pristine, killer, tmp_path_factory):
    """How many changes an update makes, how many of them before it is staged, and how many an abort makes."""
    folder = Path(shutil.copytree(pristine, tmp_path_factory.mktemp("steps") / "spoutmarker"))
    counted = killer.run("update", folder, 10**6)
    shutil.rmtree(folder)
    shutil.copytree(pristine, folder)
    assert killer.kill("update", folder, counted["staged"])
    return {**counted, "update": counted["all"], "abort": killer.run("abort", folder, 10**6)["all"]}


def test_there_are_steps_to_be_killed_at(steps):
    assert steps["update"] > steps["staged"] + 20 > 40
    assert steps["abort"] > 20


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


@pytest.mark.parametrize("share", SHARES)
def test_killed_then_updated(project, again, updated, steps, killer, share):
    for step in range(share, steps["update"] + 1, STRIDE):
        again()
        assert killer.kill("update", project, step) == (step < steps["update"])
        update(project)
        assert files(project) == updated
        assert read_orders(project) is None


@pytest.mark.parametrize("share", SHARES)
def test_killed_then_aborted(project, again, pristine, updated, steps, killer, share):
    for step in range(share, steps["update"] + 1, STRIDE):
        again()
        killer.kill("update", project, step)
        if read_orders(project) is None:
            assert files(project) == (files(pristine) if step < steps["staged"] else updated)
            continue
        with pytest.raises(ProjectError, match="SG403"):
            check_in_step(project)
        abort(project)
        assert files(project) == files(pristine)
        assert read_orders(project) is None


@pytest.mark.parametrize("share", SHARES)
def test_killed_while_aborting(project, again, pristine, steps, killer, share):
    for step in range(share, steps["abort"] + 1, STRIDE):
        again()
        killer.kill("update", project, steps["staged"] + 5)
        assert read_orders(project) is not None
        killer.kill("abort", project, step)
        if read_orders(project) is not None:
            abort(project)
        assert files(project) == files(pristine)


@pytest.mark.parametrize("share", SHARES)
def test_killed_while_undoing_conflicts(project, again, steps, killer, share):
    for step in range(share, steps["abort"] + 1, STRIDE):
        again()
        replace(project / "Dockerfile", "# Runs as root", "# Walks as root")
        before = files(project)
        assert update(project).conflicts
        killer.kill("abort", project, step)
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
