"""`spoutgen build` with a real buildah: the image is built, and the spout in it runs and goes on after an update."""

import json
import os
import pty
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from images import BASE, Buildah, base_image, need
from local_shell import Shell
from registry import registry

from spoutgen.local.environment import Secrets, user_environment
from spoutgen.local.events import LogLine, UserCodeExited
from spoutgen.local.generations import generation_of
from spoutgen.local.home import Home
from spoutgen.local.pipelines import submit
from spoutgen.local.session import Session
from spoutgen.local.spec import read_spec
from spoutgen.local.store import Store
from spoutgen.local.tail import marker_tail
from spoutgen.local.usercode import Command
from spoutgen.local.worker import Job

# The worker's links lead to its own folder, as they do in a container, where that is below /pfs. So it is there under
# both names.
ENTER = """\
mkdir -p "$1/pfs" "$1$2"
mount --bind "$2" "$1/pfs"
mount --bind "$2" "$1$2"
root=$1; shift 2
exec chroot "$root" "$@"
"""
IMAGE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PATIENCE = 120.0


@pytest.fixture(scope="module")
def buildah(request, tmp_path_factory):
    """buildah with the base image; what is built goes away with the tests."""
    need("buildah", "debootstrap", "unshare")
    folder = tmp_path_factory.mktemp("buildah")
    yield Buildah(folder, base_image(request.config.cache.mkdir("spoutgen-base-image")))
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """buildah without any image; for what is built from nothing."""
    need("buildah")
    return Buildah(tmp_path_factory.mktemp("small"))


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def lock_of(project: Path) -> dict:
    return json.loads((project / ".spoutgen/lock.json").read_bytes())


def from_nothing(shell: Shell, image: str = "dots:v1") -> Path:
    """A project whose image needs no base; nothing could run in it."""
    project = shell.new(more="")
    replace(project / "spout.yaml", "image: dots:v1", f"image: {image}")
    (project / "Dockerfile").write_text("FROM scratch\nARG PYTHON_IMAGE\nARG MORE\nCOPY . /app\n")
    shell.run("update", "dots", *([] if image != "dots:v1" else ["--bump"]))
    return project


@contextmanager
def running_in(root: Path, project: Path, home: Home, commits: int):
    """Run the worker on a project, with the spout in the image below ``root``; yields the store and the log."""
    spec, generation, secrets = read_spec(project / "pipeline.json"), generation_of("1.13.4"), Secrets({})
    home.folder.mkdir(exist_ok=True)
    with Store.create(home.store) as store:
        pipeline = submit(store, spec, project)
        pfs = home.run(spec.name) / "pfs"
        environment = user_environment(pipeline, generation, pfs, secrets, {"PATH": IMAGE_PATH})
        del environment["SPOUT_PFS_ROOT"]  # in a container it is /pfs
        enter = ["unshare", "--mount", "sh", "-ec", ENTER, "sh", str(root), str(pfs)]
        command = Command([*enter, *spec.cmd], (), project, environment, secrets, frozenset())
        job = Job(pipeline, generation, command, pfs, home.run(spec.name) / "tmp")
        log = []
        for event in Session(home, job, commits, PATIENCE).run():
            if isinstance(event, LogLine):
                log.append(event.text)
            elif isinstance(event, UserCodeExited):
                log.append(event.message)
        yield store, log


def test_the_spout_in_the_image_runs_and_goes_on_after_an_update(buildah, tmp_path):
    shell, home = Shell(tmp_path, **buildah.environment), Home(tmp_path / "cluster")
    project = shell.new()
    (project / ".env").write_text("TOKEN=canary")
    (project / "main.py").chmod(0o600)
    argument = f"PYTHON_IMAGE={BASE}"
    said = shell.lines("build", "--with", "buildah", "--build-arg", argument, "dots")
    build = lock_of(project)["builds"]["dots:v1"]
    assert said == [f"dots:v1: built, {build['id']}"]
    assert build["contents"] == lock_of(project)["images"]["dots:v1"]
    assert BASE not in (project / ".spoutgen/lock.json").read_text(), "an argument may be a secret"
    with buildah.mounted("dots:v1") as root:
        assert sorted(path.name for path in (root / "app").iterdir()) == ["main.py", "requirements.txt", "spout"]
        assert not [path for path in (root / "app").rglob("*") if path.is_file() and b"canary" in path.read_bytes()]
        with running_in(root, project, home, 3) as (store, log):
            first = marker_tail(store, "dots", "mymark", 99)
            assert first[:3] == [".", "..", "..."], log

    shell.run("set", "source.symbol=*", "dots")
    shell.run("update", "dots", "--bump")
    shell.run("build", "--with", "buildah", "--build-arg", argument, "dots")
    assert sorted(lock_of(project)["builds"]) == ["dots:v1", "dots:v2"]
    with buildah.mounted("dots:v2") as root, running_in(root, project, home, 3) as (store, log):
        pyramid = marker_tail(store, "dots", "mymark", 99)
        assert pyramid[: len(first)] == first, log
        longest = first[-1]
        assert pyramid[len(first) : len(first) + 2] == [longest + "*", longest + "**"]
    assert {"dots:v1", "dots:v2"} <= set(lock_of(project)["images"])


def test_a_tag_stands_for_one_image_for_ever(small, tmp_path):
    shell = Shell(tmp_path, **small.environment)
    project = from_nothing(shell)
    shell.run("build", "--with", "buildah", "dots")
    shell.run("build", "--with", "buildah", "dots")
    said = shell.refused("build", "--with", "buildah", "--build-arg", "MORE=x", "dots")
    assert "SG410 dots:v2 was built otherwise before: without a MORE" in said
    assert "spoutgen update --bump dots" in said
    said = shell.refused("build", "--with", "buildah", "--platform", "linux/arm64", "dots")
    assert "for the platform of its builder" in said
    shell.run("build", "--with", "buildah", "--build-arg", "HTTPS_PROXY=http://me:canary@proxy", "dots")
    assert "canary" not in (project / ".spoutgen/lock.json").read_text()
    (project / "more.py").write_text("more")
    assert "SG410 the files of the image dots:v2 are not those" in shell.refused("build", "dots")
    shell.run("update", "--bump", "dots")
    shell.run("build", "--with", "buildah", "--build-arg", "MORE=x", "--platform", "linux/arm64", "dots")
    assert lock_of(project)["builds"]["dots:v3"]["platform"] == "linux/arm64"
    assert sorted(lock_of(project)["builds"]["dots:v3"]["arguments"]) == ["MORE"]
    shell.run("set", "source.symbol=*", "dots")
    shell.run("update", "dots")
    assert sorted(lock_of(project)["builds"]) == ["dots:v2", "dots:v3"], "an update keeps what is known of builds"


def test_what_is_not_built(small, tmp_path):
    shell = Shell(tmp_path, **small.environment)
    project = from_nothing(shell)
    before = lock_of(project)
    shell.run("set", "source.symbol=*", "dots")
    assert "SG403" in shell.refused("build", "dots")
    shell.run("set", "source.symbol=.", "dots")
    assert "one platform at a time" in shell.refused("build", "--platform", "linux/amd64,linux/arm64", status=2)
    replace(project / "Dockerfile", "COPY . /app", "COPY nowhere /app")
    shell.run("update", "--bump", "dots")
    said = shell.refused("build", "--with", "buildah", "dots", status=3)
    assert said.splitlines()[-2] == "SG702 buildah could not build dots:v3: it ended with status 125"
    assert "| " in said
    assert "nowhere" in said
    assert lock_of(project)["builds"] == before["builds"] == {}, "what was not built is not written down"


def test_push(small, tmp_path):
    shell = Shell(tmp_path, **small.environment)
    with registry() as open_one:
        small.trust(open_one.name)
        project = from_nothing(shell, f"{open_one.name}/team/dots:v1")
        said = shell.lines("build", "--push", "--with", "buildah", "dots")
        build = lock_of(project)["builds"][f"{open_one.name}/team/dots:v1"]
        assert said[1] == f"{open_one.name}/team/dots:v1: pushed, {build['pushed']}"
        assert list(open_one.manifests) == ["team/dots:v1"]
        assert build["id"] in open_one.manifests["team/dots:v1"].decode()
        assert build["id"] in open_one.blobs


def test_a_push_that_is_refused_leaves_the_build(small, tmp_path):
    shell = Shell(tmp_path, **small.environment)
    with registry(is_locked=True) as locked:
        small.trust(locked.name)
        project = from_nothing(shell, f"{locked.name}/dots:v1")
        said = shell.refused("build", "--push", "--with", "buildah", "dots", status=3)
    assert f"SG703 buildah could not push {locked.name}/dots:v1" in said
    assert f"`buildah login {locked.name}`" in said
    assert lock_of(project)["builds"][f"{locked.name}/dots:v1"]["pushed"] is None


def test_an_image_that_is_named_by_its_digest_is_not_built(tmp_path):
    shell = Shell(tmp_path)
    project = shell.new()
    replace(project / "spout.yaml", "dots:v1", f"dots@sha256:{'0' * 64}")
    shell.run("update", "dots")
    assert "SG301" in shell.refused("build", "dots")


def test_no_builder(tmp_path):
    shell = Shell(tmp_path, PATH=str(tmp_path))
    shell.new()
    assert "SG701 no image can be built here: docker: there is none on PATH" in shell.refused("build", "dots", status=3)


def test_progress_on_a_terminal_and_silence_in_a_pipe(small, tmp_path):
    shell = Shell(tmp_path, **small.environment)
    from_nothing(shell)
    done = shell.run("build", "--with", "buildah", "dots")
    assert done.stderr == ""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        command = shell.command("build", "--with", "buildah", "dots")
        with subprocess.Popen(
            command, cwd=tmp_path, env=shell.env, stdout=subprocess.DEVNULL, stderr=theirs
        ) as running:
            os.close(theirs)
            said = b""
            try:
                while data := terminal.read(4096):
                    said += data
            except OSError:
                pass  # how Linux says that nobody has the other end any more
        assert running.returncode == 0
    assert b"\x1b[Kdots:v2 by buildah 0 s: begins" in said
    assert b"STEP" in said
    assert said.endswith(b"\r\x1b[K")
