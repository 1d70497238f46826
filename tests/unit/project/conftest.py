"""Real project folders, made from a template that nobody edits while the tests run."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from projects import STORY

import spoutgen.project.template
from spoutgen.project.create import create
from spoutgen.project.render import render
from spoutgen.project.template import Template
from spoutgen.resources import template_dir
from spoutgen.spec import load_text

NOBODY = 65534


@pytest.fixture
def template(tmp_path, monkeypatch) -> Path:
    """A fork of spoutgen's template that the test may change; a command reads a template once."""
    monkeypatch.setattr(spoutgen.project.template, "_read", spoutgen.project.template._read.__wrapped__)
    return Path(shutil.copytree(template_dir(), tmp_path / "template", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.fixture
def make(template) -> Callable[..., Path]:
    """``make(folder, text)``: a project made from the fork, which later updates use again."""

    def make(folder: Path, text: str = STORY) -> Path:
        create(render(load_text(text, "spout.yaml"), Template(template, str(template))), folder)
        return folder

    return make


@pytest.fixture
def project(make, tmp_path) -> Path:
    return make(tmp_path / "spoutmarker")


@pytest.fixture
def somebody(template) -> Iterator[Callable[[], AbstractContextManager[Path]]]:
    """``with somebody() as project:``, a user without privileges: for root, nothing is read-only."""
    with tempfile.TemporaryDirectory() as home:
        own = Path(shutil.copytree(template, Path(home) / "template"))
        project = Path(home) / "spoutmarker"
        create(render(load_text(STORY, "spout.yaml"), Template(own, str(own))), project)
        if os.geteuid() == 0:
            for path in (Path(home), *Path(home).rglob("*")):
                os.chown(path, NOBODY, NOBODY)

        @contextmanager
        def become() -> Iterator[Path]:
            is_root = os.geteuid() == 0
            if is_root:
                os.seteuid(NOBODY)
            try:
                yield project
            finally:
                if is_root:
                    os.seteuid(0)

        yield become
