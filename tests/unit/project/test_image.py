"""What goes into an image, what its tag means, and the next tag."""

import os

import pytest
from projects import PROJECT, replace

from spoutgen.errors import ProjectError, SpecError
from spoutgen.project.dockerignore import ignores
from spoutgen.project.image import bumped, contents, contents_of
from spoutgen.project.lock import read_lock
from spoutgen.project.plan import plan
from spoutgen.project.step import check_image
from spoutgen.project.tree import Entry, read_tree
from spoutgen.project.update import update

IGNORED = {
    # pattern: (what it leaves out, what it does not)
    ".git": ([".git", ".git/config"], ["a/.git", ".gitignore"]),
    "/notes": (["notes", "notes/a"], ["a/notes"]),
    "**/__pycache__": (["__pycache__/x", "a/b/__pycache__"], ["a/__pycache__x"]),
    "**/*.pyc": (["x.pyc", "a/b/x.pyc"], ["x.pyc.txt"]),
    "*.md": (["a.md"], ["d/a.md"]),
    "d/?": (["d/x", "d/x/y"], ["d/xy", "d"]),
    "d/**": (["d/x", "d/x/y"], ["e"]),
    "**/d/*.txt": (["d/a.txt", "x/y/d/a.txt"], ["d/a/b.txt"]),
    "[ab]*": (["a1", "b"], ["c"]),
    "[^a]": (["b"], ["a"]),
    r"\*": (["*"], ["a"]),
    "./x/../y": (["y"], ["x"]),
    "*\n!keep": (["a", "d/a"], ["keep", "keep/a"]),
    "d\n!d/keep": (["d/a"], ["d/keep"]),
    "!keep\n*": (["keep"], []),
    "# a comment\n\n  a  ": (["a"], ["# a comment"]),
    " # no comment": (["# no comment"], ["a"]),
    "**/.*": ([".env", "a/.env", ".git/config", "a/.b/c"], ["a.env", "a/b.c", "main.py"]),
    "**/.*\n!**/.keep": ([".env", "a/.env"], [".keep", "a/.keep"]),
    "**.pyc": ([".pyc", "a/.pyc"], ["x.pyc", "a/x.pyc"]),
    "a**": (["a", "ab", "a/b/c"], ["c/a"]),
    "a\fb\nc\r\n": (["a\fb", "c"], ["a", "b"]),
    "": ([], ["a", ".git"]),
    "a.b": (["a.b"], ["axb"]),
}


@pytest.mark.parametrize("text", IGNORED)
def test_dockerignore(text):
    ignored, taken = IGNORED[text]
    is_ignored = ignores(text)
    assert [path for path in ignored if not is_ignored(path)] == []
    assert [path for path in taken if is_ignored(path)] == []


def test_contents_are_what_copy_takes_and_the_dockerfile(project):
    before = contents_of(project)
    for outside in (
        "README.md",
        "spout.yaml",
        "pipeline.json",
        ".spoutgen/x",
        ".git/config",
        "spout/__pycache__/x.pyc",
    ):
        (project / outside).parent.mkdir(exist_ok=True)
        (project / outside).write_text("other")
        assert contents_of(project) == before, outside
    for inside in ("main.py", "Dockerfile", "requirements.txt", "spout/__init__.py", "mine.txt", "with space", b"\xff"):
        file = os.path.join(os.fsencode(project), os.fsencode(inside))  # noqa: PTH118 - a name that is not UTF-8
        with open(file, "a") as stream:  # noqa: PTH123
            stream.write("other")
        after = contents_of(project)
        assert after != before, inside
        before = after
    (project / "main.py").chmod(0o755)
    assert contents_of(project) != before


def test_a_tree_and_the_folder_it_is_written_to_have_the_same_contents(project):
    assert contents_of(project) == contents(read_tree(project)) == read_lock(project).images["spout-marker:v1"]


def test_contents_with_changes_are_those_after_them(project):
    expected = {**read_tree(project), "new.py": Entry(b"x"), "main.py": Entry(b"x"), "pipeline.json": Entry(b"x")}
    del expected["spout/log.py"]
    changes = {path: expected.get(path) for path in ("new.py", "main.py", "pipeline.json", "spout/log.py")}
    assert contents_of(project, changes) == contents(expected)
    ignore = {".dockerignore": Entry(b"*\n!main.py\n")}
    assert contents_of(project, ignore) == contents({**read_tree(project), **ignore})


def test_what_cannot_be_read_is_no_crash(project):
    before = contents_of(project)
    os.mkfifo(project / "pipe")
    (project / "link").symlink_to("nowhere")
    assert contents_of(project) != before


BUMPS = {
    "a:v1": "a:v2",
    "a:1.4.9": "a:1.4.10",
    "a:stable": "a:stable-2",
    "a:stable-2": "a:stable-3",
    "registry:5000/team/a:v09": "registry:5000/team/a:v10",
    "a:2024-01-31": "a:2024-01-32",
    "a:v99": "a:v100",
}


@pytest.mark.parametrize("image", BUMPS)
def test_bumped(image):
    assert bumped(image, ()) == BUMPS[image]


def test_a_bump_never_takes_a_used_tag_again():
    assert bumped("a:v1", {"a:v2", "a:v3", "b:v4"}) == "a:v4"


@pytest.mark.parametrize("image", [f"a@sha256:{'0' * 64}", f"a:v1@sha256:{'0' * 64}", f"a:{'v' * 127}9"])
def test_what_cannot_be_bumped_is_said(image):
    with pytest.raises(SpecError, match="SG301"):
        bumped(image, ())


# Tags and contents


def test_other_contents_under_the_same_tag(project):
    check_image(project)
    replace(project / "main.py", '"""', '"""Mine. ')
    assert plan(project).image.is_reused
    assert plan(project).is_something_to_do
    assert update(project).image.is_reused
    with pytest.raises(ProjectError, match="SG410"):
        check_image(project)
    planned = update(project, bump="always")
    assert (planned.image.was, planned.image.is_) == ("spout-marker:v1", "spout-marker:v2")
    assert "image: spout-marker:v2\n" in (project / "spout.yaml").read_text()
    check_image(project)
    assert not plan(project).is_something_to_do


def test_a_bump_changes_one_word_of_the_spec(project):
    text = "# mine\r\n" + (project / "spout.yaml").read_text().replace(":v1", ":v1   # why")
    (project / "spout.yaml").write_bytes(text.encode())
    (project / "spout.yaml").chmod(0o640)
    update(project, bump="always")
    assert (project / "spout.yaml").read_bytes() == text.replace(":v1 ", ":v2 ").encode()
    assert (project / "spout.yaml").stat().st_mode & 0o777 == 0o640


def test_a_bump_where_needed_is_none_where_it_is_not(project):
    assert update(project, bump="needed").image.is_ == "spout-marker:v1"
    replace(project / "main.py", '"""', '"""Mine. ')
    assert update(project, bump="needed").image.is_ == "spout-marker:v2"
    assert update(project, bump="needed").image.is_ == "spout-marker:v2"


def test_going_back_to_an_old_tag_with_other_contents_is_seen(project):
    replace(project / "spout.yaml", ":v1", ":v2")
    replace(project / "main.py", '"""', '"""Mine. ')
    assert not update(project).image.is_reused
    replace(project / "spout.yaml", ":v2", ":v1")
    assert update(project).image.is_reused
    replace(project / "main.py", '"""Mine. ', '"""')
    check_image(project)


def test_a_new_runtime_needs_a_new_tag_and_a_new_symbol_does_not(project, template):
    replace(project / "spout.yaml", '"."', '"*"')
    planned = plan(project)
    assert not planned.image.is_reused
    assert not planned.image.must_build
    replace(template / PROJECT / "spout/__init__.py", '"""', '"""New. ')
    planned = update(project, bump="needed")
    assert planned.image.must_build
    assert planned.image.is_ == "spout-marker:v2"


def test_a_spec_that_is_a_link_is_not_bumped_through(project, tmp_path):
    (project / "spout.yaml").rename(tmp_path / "elsewhere.yaml")
    (project / "spout.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    with pytest.raises(ProjectError, match="SG409"):
        update(project, bump="always")
    assert "v1" in (tmp_path / "elsewhere.yaml").read_text()
