"""The reference story, word for word: dots, an edit of the spec, stars, and no break in the pyramid."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOTS = [("." * n) for n in range(1, 7)]
STARS = ["......" + "*" * n for n in range(1, 6)]
ID = "[0-9a-f]{32}"
AGO = r"(?:Less than a second|\d+ (?:second|minute)s?|About a minute) ago"


class Terminal:
    """Runs the command as a user does, in a folder and a local cluster of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {**os.environ, "SPOUTGEN_HOME": str(folder / "cluster")}

    def run(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "spoutgen", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        return done

    def out(self, *arguments: str) -> str:
        return self.run(*arguments).stdout

    def rows(self, *arguments: str) -> list[str]:
        return [line.rstrip() for line in self.out(*arguments).splitlines()]


@pytest.fixture
def terminal(tmp_path):
    (tmp_path / "spout.yaml").write_text((ROOT / "examples/spout-marker/spout.yaml").read_text())
    return Terminal(tmp_path)


def test_the_story(terminal):
    terminal.run("new", "spout.yaml")
    terminal.run("run", "spoutmarker", "--commits", "6", "--set", "source.interval=20ms")

    header, row = terminal.rows("local", "list", "pipeline")
    assert header.split() == ["NAME", "VERSION", "INPUT", "CREATED", "STATE", "/", "LAST", "JOB", "DESCRIPTION"]
    assert re.fullmatch(rf"spoutmarker 1 +none +{AGO} +paused / starting", row)
    header, *branches = terminal.rows("local", "list", "branch", "spoutmarker")
    assert header == "BRANCH HEAD"
    assert [re.fullmatch(rf"(marker|master) {ID}", branch)[1] for branch in branches] == ["marker", "master"]
    check_commits(terminal)
    assert terminal.out("local", "get", "file", "spoutmarker@marker:/mymark").splitlines() == DOTS
    assert terminal.out("local", "get", "file", "spoutmarker@master:/output") == "......\n"

    terminal.run("set", "source.symbol=*", "image=spout-marker:v2", "spoutmarker")
    terminal.run("run", "spoutmarker", status=1)  # not before the edit is in the project
    terminal.run("update", "spoutmarker")
    assert (
        json.loads((terminal.folder / "spoutmarker/pipeline.json").read_text())["transform"]["image"]
        == "spout-marker:v2"
    )
    terminal.run("run", "spoutmarker", "--commits", "5", "--set", "source.interval=20ms")

    assert re.fullmatch(
        rf"spoutmarker 2 +none +{AGO} +paused / starting", terminal.rows("local", "list", "pipeline")[1]
    )
    assert terminal.out("local", "get", "file", "spoutmarker@marker:/mymark").splitlines() == DOTS + STARS
    assert terminal.out("local", "get", "file", "spoutmarker@master:/output") == "......*****\n"


def check_commits(terminal):
    """Both branches: every marker commit one line longer, every line's data in a commit of master, newest first."""
    header, *rows = terminal.rows("local", "list", "commit", "spoutmarker@marker")
    assert header.split() == ["REPO", "BRANCH", "COMMIT", "FINISHED", "SIZE", "PROGRESS", "DESCRIPTION"]
    sizes = [re.fullmatch(rf"spoutmarker marker ({ID}) {AGO} +(\d+)B +-", row)[2] for row in rows]
    assert sizes == ["27", "20", "14", "9", "5", "2"]
    _, *rows = terminal.rows("local", "list", "commit", "spoutmarker@master")
    sizes = [re.fullmatch(rf"spoutmarker master ({ID}) {AGO} +(\d+)B +-", row)[2] for row in rows]
    # A marker-only tar is an empty output commit on a 1.x cluster: each line has two commits.
    assert sizes == ["7", "6", "6", "5", "5", "4", "4", "3", "3", "2", "2", "0"]


@pytest.mark.parametrize("pachyderm", ["1", "2"])
def test_the_story_that_make_demo_tells(tmp_path, pachyderm):
    story = ROOT / "examples/spout-marker/story.sh"
    command = tmp_path / "bin/spoutgen"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m spoutgen "$@"\n')
    command.chmod(0o755)
    env = {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["sh", str(story), pachyderm], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-11:] == DOTS + STARS


def test_the_story_on_pachyderm_2(terminal):
    """One commit a line, data and marker together, on one branch; and no break in the pyramid after the update."""
    spec = terminal.folder / "spout.yaml"
    spec.write_text(spec.read_text().replace("pachyderm: 1", "pachyderm: 2"))
    terminal.run("new", "spout.yaml")
    terminal.run("run", "spoutmarker", "--commits", "6", "--set", "source.interval=20ms")
    assert terminal.rows("local", "list", "branch", "spoutmarker")[1].startswith("master ")
    assert terminal.out("local", "get", "file", "spoutmarker@master:/mymark").splitlines() == DOTS
    _, *rows = terminal.rows("local", "list", "commit", "spoutmarker@master")
    sizes = [re.fullmatch(rf"spoutmarker master ({ID}) {AGO} +(\d+)B +-", row)[2] for row in rows]
    assert sizes[-6:] == ["34", "26", "19", "13", "8", "4"]

    terminal.run("set", "source.symbol=*", "image=spout-marker:v2", "spoutmarker")
    terminal.run("run", "spoutmarker", status=1)
    terminal.run("update", "spoutmarker")
    terminal.run("run", "spoutmarker", "--commits", "5", "--set", "source.interval=20ms")
    assert re.fullmatch(
        rf"spoutmarker 2 +none +{AGO} +paused / starting", terminal.rows("local", "list", "pipeline")[1]
    )
    made = terminal.out("local", "get", "file", "spoutmarker@master:/mymark").splitlines()
    dots = made[-1].count(".")
    assert made == ["." * n for n in range(1, dots + 1)] + [
        "." * dots + "*" * n for n in range(1, len(made) - dots + 1)
    ]
    assert (dots >= 6, len(made) - dots >= 5) == (True, True)
    assert terminal.out("local", "get", "file", "spoutmarker@master:/output").strip() == made[-1]


def test_a_project_for_2_runs_as_2_only(terminal):
    spec = terminal.folder / "spout.yaml"
    spec.write_text(spec.read_text().replace("pachyderm: 1", "pachyderm: 2"))
    terminal.run("new", "spout.yaml")
    assert "made for Pachyderm 2.x" in terminal.run("run", "spoutmarker", "--pachyderm", "1.12.1", status=2).stderr
    without = terminal.folder / "without"
    without.mkdir()
    for name in ("pachyderm_sdk", "grpc"):
        (without / f"{name}.py").write_text(f"raise ImportError('no {name}')\n")
    terminal.env["PYTHONPATH"] = f"{without}:{ROOT}"
    told = terminal.run("run", "spoutmarker", status=3).stderr
    assert "SG508" in told
    assert "pip install 'spoutgen[pachyderm2]'" in told
    assert not (terminal.folder / "cluster").exists()
