"""Our reading of .dockerignore beside buildah's, and the copy that is built from."""

import os

import pytest
from images import Buildah, need

from spoutgen.errors import ProjectError
from spoutgen.project.context import stage
from spoutgen.project.create import create
from spoutgen.project.dockerignore import ignores
from spoutgen.project.image import contents_of
from spoutgen.project.render import render
from spoutgen.project.tree import read_tree
from spoutgen.spec import load_text

SPEC = 'version: 1\nname: dots\nimage: dots:v1\nsource: {type: symbol, symbol: "."}\nmarker: m\n'
FILES = (
    ".env", ".git/config", ".keep", "a", "ab", "abc/x", "b.md", "c/.env", "c/.hidden/x", "c/a/x", "c/b.md",
    "c/d/e/f.pyc", "c/keep", "# x", "d.txt", "e [1]", "f!", "main.py", "x.pyc", "c/.pyc", "y/z", "y/.keep", "star*",
)  # fmt: skip
TEXTS = (
    "**/.*\n",
    "**/.*\n!**/.keep\n",
    "**/.*\n!.env\n!c/.hidden\n",
    "*\n!c\nc/a\n",
    "*\n!c/keep\n",
    "c\n!c/d/e\n",
    "**/*.pyc\n",
    "**.pyc\n",
    "a**\n",
    "c/**\n",
    "c/**/f.pyc\n",
    "**/a\n",
    "/a\n./c/../b.md\n",
    "  a  \n# comment\n  # x\n",
    "[ab]*\n",
    "[^a]\n",
    "?\n",
    "star\\*\n",
    "e \\[1\\]\n",
    "**\n!y\n",
    "y/\n",
    "*.md\r\nmain.py\r\n",
    "\n",
    "a.b\nx.pyc.\n",
)


@pytest.fixture(scope="module")
def buildah(tmp_path_factory):
    need("buildah")
    return Buildah(tmp_path_factory.mktemp("buildah"))


def test_dockerignore_means_what_buildah_takes_it_for(buildah, tmp_path):
    project = tmp_path / "project"
    for path in FILES:
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).touch()
    container = buildah.run("from", "scratch")
    root = buildah.run("mount", container)
    differing = {}
    for number, text in enumerate(TEXTS):
        (tmp_path / "ignore").write_text(text, newline="")
        options = ["--contextdir", str(project), "--ignorefile", str(tmp_path / "ignore")]
        buildah.run("copy", "--quiet", *options, container, str(project), f"/{number}")
        theirs = set(read_tree(tmp_path / root / str(number))) | {
            path
            for path in FILES
            if ".git/" in path and os.path.exists(f"{root}/{number}/{path}")  # noqa: PTH110
        }
        ours = {path for path in FILES if not ignores(text)(path)}
        if ours != theirs:
            differing[text] = (sorted(ours - theirs), sorted(theirs - ours))
    buildah.run("rm", container)
    assert differing == {}


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "dots"
    create(render(load_text(SPEC, "spout.yaml")), folder)
    return folder


def test_the_copy_has_what_the_digest_counts_and_nothing_hidden(project, tmp_path):
    for path in (".env", "spout/.env", ".venv/x", ".idea/x", ".git/config", "spout/__pycache__/x.pyc"):
        (project / path).parent.mkdir(exist_ok=True)
        (project / path).write_text("TOKEN=canary")
    (project / "mine.txt").write_text("mine")
    (tmp_path / "to").mkdir()
    context = stage(project, tmp_path / "to")
    assert context.digest == contents_of(project)
    assert context.dockerfile.read_bytes() == (project / "Dockerfile").read_bytes()
    there = read_tree(context.folder)
    assert {path.partition("/")[0] for path in there} == {"main.py", "mine.txt", "requirements.txt", "spout"}
    assert not [path for path, entry in there.items() if b"canary" in entry.data or "/." in f"/{path}"]


def test_the_copy_depends_on_neither_modes_nor_times(project, tmp_path):
    for number, mode in enumerate((0o600, 0o666)):
        for file in (project / "main.py", project / "spout/log.py", project / "Dockerfile"):
            file.chmod(mode)
            os.utime(file, (number, number))
        (project / "spout").chmod(0o700 | mode)
        (tmp_path / str(number)).mkdir()
        stage(project, tmp_path / str(number))
    states = [
        {
            file.relative_to(tmp_path / str(number)): (file.lstat().st_mode, file.lstat().st_mtime)
            for file in (tmp_path / str(number) / "context").rglob("*")
        }
        for number in range(2)
    ]
    assert states[0] == states[1]
    assert {oct(mode & 0o777) for mode, _ in states[0].values()} == {"0o644", "0o755"}


def test_links_are_copied_as_links(project, tmp_path):
    (tmp_path / "secret").write_text("canary")
    (project / "link").symlink_to(tmp_path / "secret")
    (project / "dangling").symlink_to("nowhere")
    (tmp_path / "to").mkdir()
    context = stage(project, tmp_path / "to")
    assert (context.folder / "link").is_symlink()
    assert (context.folder / "dangling").is_symlink()
    assert context.digest == contents_of(project)


def test_what_cannot_go_into_an_image_is_told_all_at_once(project, tmp_path):
    os.mkfifo(project / "pipe")
    (project / "Dockerfile").unlink()
    with pytest.raises(ProjectError) as caught:
        stage(project, tmp_path)
    assert [d.code for d in caught.value.diagnostics] == ["SG417", "SG417"]
    assert [d.place.file.rpartition("/")[2] for d in caught.value.diagnostics] == ["Dockerfile", "pipe"]
