"""The template: what cookiecutter alone, a checkout and an installed wheel make of it."""

import compileall
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from spoutgen.project.create import project_files
from spoutgen.project.render import render
from spoutgen.project.tree import read_tree
from spoutgen.resources import template_dir
from spoutgen.spec import load_text
from spoutgen.spec.schema import source_types

ROOT = Path(__file__).parents[2]
DEFAULTS = """\
version: 1
name: 'spoutmarker'
pachyderm: 1
image: 'spoutmarker:v1'
source:
  type: symbol
  symbol: '.'
  interval: 30s
marker: 'mymark'
"""


def test_cookiecutter_alone_makes_the_same_project(tmp_path):
    cookiecutter = Path(sys.executable).with_name("cookiecutter")
    command = [str(cookiecutter), "--no-input", "-o", str(tmp_path), str(template_dir())]
    subprocess.run(command, check=True, cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)})
    plain = read_tree(tmp_path / "spoutmarker")
    ours = render(load_text(DEFAULTS, "spout.yaml")).tree
    # Without hooks a template cannot leave out what only another source, or a transform, needs.
    others = {path for path in plain if re.match(f"spout/sources/({'|'.join(source_types())})[./]", path)} - {*ours}
    different = {p for p in {*plain, *ours} if plain.get(p) != ours.get(p)}
    assert different == {".spoutgen/schema.json", "source.py", "transform.py", *others}


def test_no_hooks_and_no_jinja_in_python():
    assert not (template_dir() / "hooks").exists()
    for file in template_dir().rglob("*.py"):
        assert "cookiecutter" not in file.read_text(), file
    assert json.loads((template_dir() / "cookiecutter.json").read_text())["_copy_without_render"] == ["*.py"]


def test_the_runtime_arrives_byte_for_byte():
    assert "source.py" not in render(load_text(DEFAULTS, "spout.yaml")).tree
    assert "transform.py" not in render(load_text(DEFAULTS, "spout.yaml")).tree
    custom = DEFAULTS[: DEFAULTS.index("  type")] + "  type: custom\nmarker: 'mymark'\ntransform: true\n"
    tree = render(load_text(custom, "spout.yaml")).tree
    source = template_dir() / "{{cookiecutter.name}}"
    python_files = [p for p in source.rglob("*.py") if "__pycache__" not in p.parts]
    assert len(python_files) > 8
    for file in python_files:
        path = file.relative_to(source).as_posix()
        kind = re.match("spout/sources/([^./]+)", path)
        if kind is None or kind[1] not in source_types() or kind[1] == "custom":
            assert tree[path].data == file.read_bytes()
        else:
            assert path not in tree, "the module of another source, whose driver this image does not have"


def test_the_same_spec_gives_the_same_bytes_whatever_surrounds_it(tmp_path):
    spec = tmp_path / "spout.yaml"
    spec.write_text(DEFAULTS.replace("'.'", '"é😀"'), encoding="utf-8")
    trees = []
    for number, (lang, zone, umask) in enumerate([("C", "UTC", 0o022), ("C.UTF-8", "Asia/Tokyo", 0o077)]):
        target = tmp_path / str(number)
        env = {**os.environ, "LC_ALL": lang, "TZ": zone, "PYTHONHASHSEED": str(number), "PYTHONUTF8": "0"}
        command = [sys.executable, "-m", "spoutgen", "render", "all", str(spec), "-o", str(target)]
        subprocess.run(command, check=True, env=env, umask=umask)
        trees.append((read_tree(target), {p: (target / p).stat().st_mode for p in read_tree(target)}))
    assert trees[0] == trees[1]


def test_the_wheel_makes_the_same_bytes_as_the_checkout(tmp_path):
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(pip, check=True)
    assert compileall.compile_dir(site / "spoutgen", quiet=1), "pip byte-compiles an installed template too"
    assert list((site / "spoutgen/_data/cookiecutter-spout").rglob("__pycache__"))
    (tmp_path / "spout.yaml").write_text(DEFAULTS)

    def run_installed(*arguments):
        env = {**os.environ, "PYTHONPATH": str(site)}
        return subprocess.run([sys.executable, *arguments], check=True, cwd=tmp_path, env=env, capture_output=True)

    assert str(site).encode() in run_installed("-c", "import spoutgen; print(spoutgen.__file__)").stdout
    run_installed("-m", "spoutgen", "render", "all", "spout.yaml", "-o", "out")
    ours, theirs = project_files(render(load_text(DEFAULTS, "spout.yaml"))), read_tree(tmp_path / "out")
    assert {path for path in {*ours, *theirs} if ours.get(path) != theirs.get(path)} == set()


def test_the_dockerfile_holds_nothing_of_the_spec():
    hostile = DEFAULTS.replace("'.'", '"$(id) {{ 7*7 }}"').replace("pachyderm: 1", 'description: "`id`; import os"')
    hostile_tree = render(load_text(hostile, "spout.yaml")).tree
    plain_tree = render(load_text(DEFAULTS, "spout.yaml")).tree
    differing = {p for p in plain_tree if plain_tree[p] != hostile_tree[p]}
    assert differing == {"spout.yaml", "pipeline.json"}


@pytest.mark.parametrize("name", ["spout.yaml", "pipeline.json"])
def test_no_template_leftovers(name):
    tree = render(load_text(DEFAULTS, "spout.yaml")).tree
    assert not re.search(rb"\{\{|\{%|\{#", tree[name].data)
