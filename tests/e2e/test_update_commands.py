"""plan and update as a user types them; and what they warn of, on the local cluster."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from local_shell import SPEC, Shell

from spoutgen.project.create import create
from spoutgen.project.render import render
from spoutgen.project.template import Template
from spoutgen.project.tree import read_tree
from spoutgen.resources import template_dir
from spoutgen.spec import load_text


@pytest.fixture
def shell(tmp_path):
    return Shell(tmp_path)


@pytest.fixture
def fork(shell):
    """A template that nobody else edits while a test runs."""
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(template_dir(), shell.folder / "fork", ignore=ignored))


@pytest.fixture
def project(shell, fork):
    folder = shell.folder / "dots"
    spec = load_text(SPEC.format(interval="30s", more=""), "spout.yaml")
    create(render(spec, Template(fork, str(fork))), folder)
    return folder


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_one_symbol_changed_is_one_line(shell, project):
    assert shell.out("plan", "dots") == "nothing to do\n"
    shell.run("plan", "dots", "--check")
    shell.run("set", "source.symbol=*", "dots")
    before = read_tree(project)
    expected = [
        "~ change   pipeline.json  +1 -1",
        '  source.symbol: "." -> "*"',
        "image   dots:v1: need not be built",
        "marker  mymark stays: the spout goes on where it is",
    ]
    assert shell.lines("plan", "dots") == expected
    assert shell.run("plan", "--check", "dots", status=1).stdout.splitlines() == expected
    assert read_tree(project) == before, "a plan writes nothing"
    assert shell.lines("update", "dots") == ["~ pipeline.json", "updated"]
    assert shell.out("plan", "--check", "dots") == "nothing to do\n"
    assert shell.out("update", "dots") == "nothing to do\n"


def test_the_diff_is_one_that_git_applies(shell, project):
    shell.run("set", "source.symbol=*", "image=dots:v2", "dots")
    diff = shell.out("plan", "--diff", "dots").partition("\n\n")[2]
    subprocess.run(["git", "apply", "-"], cwd=project, input=diff, text=True, check=True)
    by_git = (project / "pipeline.json").read_bytes()
    subprocess.run(["git", "apply", "-R", "-"], cwd=project, input=diff, text=True, check=True)
    shell.run("update", "dots")
    assert (project / "pipeline.json").read_bytes() == by_git


def test_the_plan_as_json(shell, project):
    shell.run("set", "source.symbol=*", "image=dots:v2", "marker=other", "dots")
    plan = json.loads(shell.out("plan", "--format", "json", "--diff", "dots"))
    assert plan["is_something_to_do"] is True
    assert [(file["path"], file["action"]) for file in plan["files"]] == [("pipeline.json", "change")]
    assert '+    "image": "dots:v2",\n' in plan["files"][0]["diff"]
    assert {"key": "image", "old": "dots:v1", "new": "dots:v2"} in plan["settings"]
    assert plan["image"] == {"was": "dots:v1", "is": "dots:v2", "must_build": True, "is_reused": False}
    assert plan["marker"] == {"was": "mymark", "is": "other", "is_kept": False}
    assert [consequence["code"] for consequence in plan["consequences"]] == ["SG411"]


def test_a_conflict_is_told_resolved_or_undone(shell, project):
    replace(project / "pipeline.json", "dots:v1", "mine:v1")
    before = read_tree(project)
    shell.run("set", "image=dots:v2", "dots")
    assert "! conflict pipeline.json" in shell.out("plan", "dots")
    said = shell.run("update", "dots", status=1)
    assert said.stdout.splitlines()[0] == "! pipeline.json"
    assert "dots/pipeline.json:" in said.stderr
    assert "<<<<<<< yours" in said.stderr
    for verb in ("update", "plan"):
        assert "SG408" in shell.refused(verb, "dots")
    assert "SG403" in shell.refused("run", "dots", "--commits", "1")
    assert shell.out("update", "--abort", "dots") == "undone\n"
    after = read_tree(project)
    assert {path for path in before if before[path] != after.get(path)} == {"spout.yaml"}


def test_a_changed_runtime_needs_a_new_tag(shell, project):
    replace(project / "main.py", '"""', '"""Mine. ')
    assert "other contents" in shell.out("plan", "dots")
    said = shell.run("update", "dots")
    assert said.stdout == "nothing to do\n"
    assert "SG410 warning" in said.stderr
    assert "spoutgen update --bump dots" in said.stderr
    shell.run("plan", "--check", "dots", status=1)
    said = shell.run("update", "--bump", "dots")
    assert said.stdout.splitlines()[1] == "image dots:v1 -> dots:v2: build and push it before you deploy"
    assert said.stderr == ""
    shell.run("plan", "--check", "dots")


def test_many_projects(shell, project):
    for name in ("a", "b/c", "d", "e"):
        shutil.copytree(project, shell.folder / "all" / name)
    assert shell.lines("plan", "--all", "all") == ["4 projects: 0 with something to do, 0 failed"]
    shell.run("set", "source.symbol=*", "all/a")
    shell.run("set", "marker=other", "all/b/c")
    replace(shell.folder / "all/d/spout.yaml", "version: 1", "version: 7")
    said = shell.run("plan", "--all", "all", "--check", status=1)
    assert said.stdout.splitlines()[-1] == "4 projects: 2 with something to do, 1 failed"
    assert "failed: all/d\n" in said.stderr
    projects = json.loads(shell.run("plan", "--all", "all", "--format", "json", status=1).stdout)["projects"]
    assert [project["project"] for project in projects] == ["all/a", "all/b/c", "all/d", "all/e"]
    assert [bool(project.get("problems")) for project in projects] == [False, False, True, False]
    said = shell.run("update", "--all", "all", status=1)
    assert said.stdout.splitlines()[-1] == ("4 projects: 2 updated, 1 with nothing to do, 0 with conflicts, 1 failed")
    assert "all/b/c:\nSG411" in said.stderr
    assert said.stderr.index("SG411") < said.stderr.index("failed: all/d")
    replace(shell.folder / "all/d/spout.yaml", "version: 7", "version: 1")
    replace(shell.folder / "all/e/main.py", '"""', '"""Mine. ')
    said = shell.run("update", "--all", "all")
    assert "spoutgen update --all --bump all" in said.stderr
    assert shell.lines("update", "--all", "--bump", "all") == [
        "all/e: ~ pipeline.json",
        "4 projects: 1 updated, 3 with nothing to do, 0 with conflicts, 0 failed",
    ]


def test_a_fork_of_the_template(shell, fork):
    dockerfile = fork / "{{cookiecutter.name}}/Dockerfile"
    replace(dockerfile, "WORKDIR", "LABEL team=data\nWORKDIR")
    shell.run("new", "dots", "--template", "fork", "-o", "projects/dots")
    lock = json.loads((shell.folder / "projects/dots/.spoutgen/lock.json").read_text())
    assert lock["template"]["path"] == "../../fork"
    replace(dockerfile, "team=data", "team=web")
    replace(shell.folder / "projects/dots/Dockerfile", "COPY . ./", "COPY . ./\nLABEL mine=1")
    assert shell.lines("update", "projects/dots")[0] == "~ Dockerfile"
    text = (shell.folder / "projects/dots/Dockerfile").read_text()
    assert "team=web" in text
    assert "mine=1" in text
    (fork / "hooks").mkdir()
    (fork / "hooks/pre_gen_project.sh").write_text("#!/bin/sh\ntouch executed\n")
    assert "SG406" in shell.refused("new", "other", "--template", "fork")
    assert "SG406" in shell.refused("update", "projects/dots")
    shell.run("update", "projects/dots", "--template", "default")
    text = (shell.folder / "projects/dots/Dockerfile").read_text()
    assert "team=" not in text
    assert "mine=1" in text
    assert not list(shell.folder.rglob("executed"))


@pytest.mark.parametrize("words", [("--abort", "--all"), ("--abort", "--bump"), ("--abort", "--template", "x")])
def test_abort_goes_with_nothing_else(shell, project, words):
    assert "SG901" in shell.refused("update", *words, "dots", status=2)


def test_a_terminal_that_knows_only_ascii(tmp_path, project):
    shell = Shell(tmp_path, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    (project / "spout.yaml").write_text((project / "spout.yaml").read_text().replace('"."', '"é"'), "utf-8")
    assert 'source.symbol: "." -> \\xe9' in shell.out("plan", "--diff", "dots")


# What the plan says of a cluster is what the local one does


def test_a_marker_by_name_goes_on_by_prefix_and_the_way_back_is_refused_and_loses_nothing(shell):
    shell.new()
    shell.run("run", "dots", "--commits", "3")
    before = shell.out("local", "get", "file", "dots@marker:/mymark")
    shell.run("set", "marker={prefix: mymark}", "dots")
    assert "refuses a marker" not in " ".join(shell.out("plan", "dots").split())
    shell.run("update", "dots")
    shell.run("run", "dots", "--commits", "1")
    after = shell.out("local", "get", "file", "dots@marker:/mymark01")
    assert after.startswith(before)
    index = shell.out("local", "get", "file", "dots@marker:/mymark")
    assert json.loads(index)["line"] == after.splitlines()[-1]
    shell.run("set", "marker=mymark", "dots")
    assert "refuses a marker of the other form" in " ".join(shell.out("plan", "dots").split())
    shell.run("update", "dots")
    with shell.start("run", "dots") as running:
        running.wait_for("starts again in")
    assert shell.out("local", "get", "file", "dots@marker:/mymark") == index
    shell.run("set", "marker={prefix: mymark}", "dots")
    shell.run("update", "dots")
    shell.run("run", "dots", "--commits", "1")
    assert shell.out("local", "get", "file", "dots@marker:/mymark01").startswith(after)


def test_a_marker_of_another_spout_is_refused_by_the_runtime(shell):
    """Signed markers name their spout and source; a pipeline whose marker is another's does not go on from it."""
    project = shell.new(more="")
    shell.run("set", "marker={prefix: mymark}", "dots")
    shell.run("update", "dots")
    shell.run("run", "dots", "--commits", "2")
    before = shell.out("local", "get", "file", "dots@marker:/mymark")
    # The same pipeline, but its config says that another source wrote to it, as after a change of source.
    replace(project / "pipeline.json", '\\"name\\":\\"dots\\"', '\\"name\\":\\"other\\"')
    with shell.start("run", "dots") as running:
        line = running.wait_for("starts again in")
    assert "other" in line or any("other" in each for each in running.lines)
    assert shell.out("local", "get", "file", "dots@marker:/mymark") == before


def test_a_renamed_marker_never_starts(shell):
    shell.new()
    shell.run("run", "dots", "--commits", "2")
    before = shell.out("local", "get", "file", "dots@marker:/mymark")
    shell.run("set", "marker=other", "dots")
    shell.run("update", "dots")
    with shell.start("run", "dots") as running:
        running.wait_for("the spout failed")
    assert shell.out("local", "get", "file", "dots@marker:/mymark") == before
