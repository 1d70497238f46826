"""Every example is generated and run on the local worker."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/spout.yaml"))


@pytest.fixture
def spoutgen(tmp_path):
    env = {**os.environ, "SPOUTGEN_HOME": str(tmp_path / "cluster"), "API_TOKEN": "not-to-be-seen"}

    def run(*arguments):
        command = [sys.executable, "-m", "spoutgen", *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "not-to-be-seen" not in done.stdout + done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_generated_and_run(example, spoutgen, tmp_path):
    assert (example / "README.md").is_file()
    spoutgen("new", example / "spout.yaml", "-o", "project")
    pipeline = json.loads((tmp_path / "project/pipeline.json").read_text())
    name, is_of_2 = pipeline["pipeline"]["name"], "target" in pipeline["transform"]["env"]["SPOUT_CONFIG"]
    branches = ["master"] if is_of_2 else ["marker", "master"]
    marker = f"{name}@{branches[0]}:/mymark"
    spoutgen("run", "project", "--commits", "3", "--set", "source.interval=10ms")
    assert spoutgen("local", "list", "branch", name).split()[2::2] == branches
    before = spoutgen("local", "get", "file", marker)
    spoutgen("run", "project", "--commits", "2", "--set", "source.interval=10ms")
    assert len(spoutgen("local", "get", "file", marker)) > len(before)


def test_the_marker_in_parts(spoutgen):
    spoutgen("new", ROOT / "examples/marker-prefix/spout.yaml", "-o", "project")
    spoutgen("run", "project", "--commits", "3", "--set", "source.interval=10ms")
    assert spoutgen("local", "get", "file", "longpyramid@marker:/mymark01") == "+\n++\n+++\n"
    assert json.loads(spoutgen("local", "get", "file", "longpyramid@marker:/mymark"))["spout"] == "longpyramid"
    lines = spoutgen("local", "list", "file", "longpyramid@master:/lines").splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["/lines/1", "/lines/2", "/lines/3"]
    assert spoutgen("local", "get", "file", "longpyramid@master:/lines/2") == "++\n"


def test_a_secret_that_is_missing_here_is_named(tmp_path):
    env = {**os.environ, "SPOUTGEN_HOME": str(tmp_path / "cluster")}
    env.pop("API_TOKEN", None)
    spec = str(ROOT / "examples/resources-and-secrets/spout.yaml")
    run = [sys.executable, "-m", "spoutgen"]
    subprocess.run([*run, "new", spec, "-o", "p"], cwd=tmp_path, env=env, check=True, capture_output=True)
    done = subprocess.run([*run, "run", "p"], cwd=tmp_path, env=env, check=False, capture_output=True, text=True)
    assert done.returncode == 3
    assert "SG505" in done.stderr
    assert "API_TOKEN" in done.stderr
