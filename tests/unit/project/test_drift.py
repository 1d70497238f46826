"""Projects that earlier versions of spoutgen made (tests/fixtures/projects) come to today's template, edits kept."""

import tarfile
from pathlib import Path

import pytest
from projects import PROJECT, replace

from spoutgen.errors import ProjectError
from spoutgen.project.create import project_files
from spoutgen.project.lock import LOCK, read_lock
from spoutgen.project.render import render
from spoutgen.project.template import Template
from spoutgen.project.tree import read_tree
from spoutgen.project.update import update
from spoutgen.spec import load

ARCHIVES = sorted((Path(__file__).parents[2] / "fixtures/projects").glob("*/*.tar.xz"))
NAMES = [f"{archive.parent.name}-{archive.name.partition('.')[0]}" for archive in ARCHIVES]
# Where a user of that version wrote a line of theirs; each must be there after every update.
EDITS = {
    "Dockerfile": ("\nWORKDIR /app\n", "\nLABEL mine=1\nWORKDIR /app\n"),
    ".dockerignore": ("\n**/*.pyc\n", "\n**/*.pyc\nmine\n"),
    ".gitignore": ("__pycache__/\n", "__pycache__/\nmine/\n"),
    "main.py": ("\nimport sys\n", "\nimport sys  # mine\n"),
    "pipeline.json": ('\n  "spout": {\n', '\n  "spout": {\n    "mine": 1,\n'),
    "spout/__init__.py": ('"""', '"""Mine. '),
}


@pytest.fixture(params=ARCHIVES, ids=NAMES)
def old_project(request, tmp_path):
    folder = tmp_path / "old"
    with tarfile.open(request.param) as archive:
        archive.extractall(folder, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(folder)
    return folder


def test_there_are_such_projects():
    assert {"0.1.0-by-name", "0.1.0-by-prefix"} <= set(NAMES)


def test_without_edits_it_becomes_what_new_makes_today(old_project):
    update(old_project)
    expected, got = project_files(render(load(old_project))), read_tree(old_project)
    differing = {path for path in {*expected, *got} if expected.get(path) != got.get(path)}
    assert differing <= {"README.md", LOCK}, "README.md is a seed; the lock remembers the older image too"


@pytest.mark.parametrize("is_future", [False, True])
def test_edits_are_kept(old_project, template, is_future):
    for path, (old, new) in EDITS.items():
        replace(old_project / path, old, new)
    replace(old_project / "spout.yaml", '"."', '"*"')
    if is_future:
        replace(template / PROJECT / "main.py", "sys.exit(main())", "sys.exit(main() or 0)")
        replace(template / PROJECT / ".dockerignore", "Dockerfile\n", "Dockerfile\n*.log\n")
        (template / PROJECT / "spout/newer.py").write_text('"""New."""\n')
        planned = update(old_project, Template(template, "../template"))
        assert (old_project / "spout/newer.py").exists()
        assert "main() or 0" in (old_project / "main.py").read_text()
        assert "*.log" in (old_project / ".dockerignore").read_text()
    else:
        planned = update(old_project)
    assert planned.conflicts == ()
    for path, (_, new) in EDITS.items():
        assert new.strip("\n").splitlines()[0] in (old_project / path).read_text(), path
    assert '\\"symbol\\":\\"*\\"' in (old_project / "pipeline.json").read_text()
    assert update(old_project).news == ()


def test_one_that_a_newer_spoutgen_made_is_refused_and_left_alone(old_project):
    replace(old_project / LOCK, f'"spoutgen": "{read_lock(old_project).spoutgen}"', '"spoutgen": "99.1.0"')
    before = read_tree(old_project)
    with pytest.raises(ProjectError, match=r"99\.1\.0") as error:
        update(old_project)
    assert error.value.diagnostics[0].code == "SG404"
    assert read_tree(old_project) == before
