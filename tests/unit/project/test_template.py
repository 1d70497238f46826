"""A team's own template: used, recorded, and never executed."""

import errno
import json
import os
import shutil
from datetime import datetime, timezone

import pytest
from projects import PROJECT, STORY, replace

from spoutgen.errors import MachineError, ProjectError
from spoutgen.project.create import create
from spoutgen.project.lock import read_lock
from spoutgen.project.render import render
from spoutgen.project.template import Template, given_template, locked_template, own_template, template_digest
from spoutgen.spec import load_text


def made_of(template):
    return render(load_text(STORY, "spout.yaml"), Template(template, "team"))


def assert_refused(template, why):
    with pytest.raises(ProjectError, match=why) as error:
        made_of(template)
    assert {diagnostic.code for diagnostic in error.value.diagnostics} == {"SG406"}


def configure(template, **settings):
    file = template / "cookiecutter.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))


@pytest.mark.parametrize("step", ["shutil.copy2", "spoutgen.project.render._scaffold"])
def test_a_full_disk_is_no_mistake_of_the_template(template, monkeypatch, step):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/x")

    monkeypatch.setattr(step, full)
    with pytest.raises(MachineError, match="SG902 /tmp/x: No space left on device"):
        made_of(template)


def test_a_fork_is_used_and_recorded(template, tmp_path):
    (template / PROJECT / "TEAM").write_text("{{ cookiecutter.team }} {{ cookiecutter.name }} {{ cookiecutter.mail }}")
    configure(template, team=["data", "web"], mail="{{ cookiecutter.name }}@example.com")
    rendered = made_of(template)
    assert rendered.tree["TEAM"].data == b"data spoutmarker spoutmarker@example.com"
    create(rendered, tmp_path / "p")
    lock = read_lock(tmp_path / "p")
    assert (lock.template.path, lock.files["TEAM"]) == ("team", "managed")
    assert locked_template(lock, tmp_path / "p").folder == tmp_path / "p" / "team"


def test_a_relative_path_is_recorded_as_seen_from_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = given_template("forks/team", tmp_path / "projects/dots")
    assert given == Template(tmp_path / "forks/team", "../../forks/team")
    assert given_template(str(tmp_path / "fork"), tmp_path).path == str(tmp_path / "fork")
    assert given_template("default", tmp_path) == own_template()
    assert given_template(None, tmp_path) is None


@pytest.mark.parametrize("text", ["{{ 'A b' | slugify }}", "{{ {'a': 1} | jsonify }}", "{% now 'utc', '%Y' %}"])
def test_what_cookiecutter_always_has_is_there(template, text):
    (template / PROJECT / "out.txt").write_text(text)
    year = datetime.now(timezone.utc).strftime("%Y").encode()
    assert made_of(template).tree["out.txt"].data in (b"a-b", b'{\n    "a": 1\n}', year)


@pytest.mark.parametrize("folder", [".git", ".mypy_cache", "__pycache__", "{{cookiecutter.name}}/.ruff_cache"])
def test_what_tools_keep_in_a_template_is_no_part_of_it(template, folder):
    before = made_of(template)
    (template / folder).mkdir()
    (template / folder / "config").write_text("x")
    assert made_of(template) == before
    assert template_digest(Template(template, "team")) == before.lock.template.digest


def test_hooks_are_refused(template):
    (template / "hooks").mkdir()
    (template / "hooks/post_gen_project.py").write_text("raise SystemExit")
    assert_refused(template, "hooks")


@pytest.mark.parametrize("key", ["_extensions", "_jinja2_env_vars"])
def test_what_makes_cookiecutter_import_code_is_refused(template, key):
    (template / "local_extensions.py").write_text("raise SystemExit")
    configure(template, **{key: ["local_extensions.Own"] if key == "_extensions" else {"line_statement_prefix": "%"}})
    assert_refused(template, key)


@pytest.mark.parametrize(
    "text",
    [
        "{{ cycler.__init__.__globals__.os.system('touch executed') }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ (lambda: 1)() }}",
        "{{ undefined }}",
        "{% if %}",
        "{{ 1 / 0 }}",
        "{% include '../../../etc/passwd' %}",
    ],
)
def test_the_jinja_of_a_template_reaches_nothing(template, tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    (template / PROJECT / "bad.txt").write_text(text)
    assert_refused(template, "cannot be rendered")
    assert not list(tmp_path.rglob("executed"))


@pytest.mark.parametrize("name", ["{{ '..' }}", "{{ cookiecutter.image }}", "{% if 1 %}x{% endif %}"])
def test_computed_names_are_refused(template, name):
    (template / PROJECT / name).write_text("x")
    assert_refused(template, "is computed")


def test_the_name_may_stand_in_a_name(template):
    (template / PROJECT / "{{ cookiecutter.name }}.txt").write_text("x")
    assert made_of(template).tree["spoutmarker.txt"].data == b"x"


def test_templates_that_are_none(template, tmp_path):
    assert_refused(tmp_path / "nowhere", "no such template")
    (tmp_path / "empty").mkdir()
    assert_refused(tmp_path / "empty", "no cookiecutter.json")
    for text in ("{", "[]"):
        (tmp_path / "empty/cookiecutter.json").write_text(text)
        assert_refused(tmp_path / "empty", "cookiecutter.json")
    (tmp_path / "empty/cookiecutter.json").write_text("{}")
    assert_refused(tmp_path / "empty", "exactly one folder")
    shutil.copytree(template / PROJECT, template / "{{ cookiecutter.name }}")
    assert_refused(template, "exactly one folder")


@pytest.mark.parametrize("path", ["spout.yaml", "pipeline.json"])
def test_a_fork_may_not_change_what_the_spec_says(template, path):
    (template / PROJECT / path).write_text("mine")
    assert_refused(template, f"does not copy {path}")


def test_a_fork_may_not_write_into_our_own_folder(template):
    (template / PROJECT / ".spoutgen").mkdir()
    (template / PROJECT / ".spoutgen/lock.json").write_text("{}")
    assert_refused(template, "own folder")


def test_links_in_a_template_are_copied_as_files(template):
    replace(template / PROJECT / "main.py", '"""', '"""Linked. ')
    (template / "shared.txt").write_text("shared\n")
    (template / PROJECT / "linked.txt").symlink_to("../shared.txt")
    assert made_of(template).tree["linked.txt"].data == b"shared\n"
    (template / PROJECT / "dangling").symlink_to("nowhere")
    assert_refused(template, "cannot be read")
