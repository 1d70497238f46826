"""Leaving out the rendering makes no difference, and is not done where it could."""

import json

import pytest
from projects import PROJECT, replace

from spoutgen.project.lock import BASE, LOCK, read_base, read_lock
from spoutgen.project.render import render
from spoutgen.project.reuse import rendered_from_base
from spoutgen.project.template import locked_template
from spoutgen.spec import load


def both(project):
    lock = read_lock(project)
    template, loaded = locked_template(lock, project), load(project)
    return rendered_from_base(loaded, lock, read_base(project), template), render(loaded, template)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"."', '"{{ 7 * 7 }}"'),
        ("30s", "5s"),
        (":v1", ":v2"),
        ("mymark", "{prefix: other}"),
        ("name: spoutmarker", "name: other"),
        ("version: 1", "version: 1\ndescription: é\nenv: {A: b}"),
        ("version: 1", "version: 1"),
    ],
)
def test_what_is_reused_is_what_would_be_rendered(project, old, new):
    replace(project / "spout.yaml", old, new)
    reused, rendered = both(project)
    assert reused is not None
    assert reused.managed() == rendered.managed()
    for name in ("spoutgen", "pachyderm", "spec", "template", "image", "files"):
        assert getattr(reused.lock, name) == getattr(rendered.lock, name)


@pytest.mark.parametrize(
    "text",
    [
        "{{ cookiecutter._pipeline_json }}",
        "{% set all = cookiecutter %}{{ all.image }}",
        "{{ cookiecutter['image'] }}",
        "{{ cookiecutter | tojson }}",
        "{{ cookiecutter.image }}",
    ],
)
def test_a_file_that_mentions_what_changed_is_rendered(template, make, tmp_path, text):
    (template / PROJECT / "uses.txt").write_text(text)
    project = make(tmp_path / "p")
    replace(project / "spout.yaml", ":v1", ":v2")
    reused, rendered = both(project)
    assert reused is None
    assert "uses.txt" in rendered.tree


def test_a_file_that_mentions_something_else_is_not(template, make, tmp_path):
    (template / PROJECT / "uses.txt").write_text("{{ cookiecutter.image }}")
    project = make(tmp_path / "p")
    replace(project / "spout.yaml", "30s", "5s")
    reused, rendered = both(project)
    assert reused.managed() == rendered.managed()


def test_whatever_else_changed_is_rendered(project, template):
    replace(template / PROJECT / "Dockerfile", "WORKDIR", "LABEL a=1\nWORKDIR")
    assert both(project)[0] is None


def test_a_base_that_is_not_whole_is_not_trusted(project):
    (project / BASE / "Dockerfile").unlink()
    assert both(project)[0] is None


def test_another_spoutgen_renders(project):
    lock = json.loads((project / LOCK).read_text())
    (project / LOCK).write_text(json.dumps({**lock, "spoutgen": "0.0.9"}))
    assert both(project)[0] is None
