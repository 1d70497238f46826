"""`spoutgen build` with a real buildah: the image is built, and the spout in it runs and goes on after an update."""

import json
import os
import pty
import select
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from images import BASE, BASE_WITH_PIP, Buildah, base_image, base_with_pip, buildah_on, need
from local_shell import Shell
from registry import registry

from spoutgen.local.backoff import Backoff
from spoutgen.local.environment import Secrets, user_environment
from spoutgen.local.events import CommitFinished, LogLine, UserCodeExited, UserCodeStarted
from spoutgen.local.generations import generation_of
from spoutgen.local.home import Home
from spoutgen.local.pachd import worker as worker_2
from spoutgen.local.pipelines import submit
from spoutgen.local.session import Session
from spoutgen.local.spec import read_spec
from spoutgen.local.store import Store
from spoutgen.local.tail import marker_tail
from spoutgen.local.usercode import Command
from spoutgen.local.worker import Job
from spoutgen.project.render import PACHYDERM_SDK

# The worker's links lead to its own folder, as they do in a container, where that is below /pfs. So it is there under
# both names.
ENTER = """\
mkdir -p "$1/pfs" "$1$2"
mount --bind "$2" "$1/pfs"
mount --bind "$2" "$1$2"
root=$1; shift 2
exec chroot "$root" "$@"
"""
# On 2.x as strict as a cluster can be: a user who is nobody, a root that cannot be written to, and no folder of the
# worker's but /pfs and /tmp. What the SDK connects to stands in /pachctl.
ENTER_2 = """\
mkdir -p "$1/pfs" "$1/tmp" "$1/pachctl"
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount -t tmpfs -o mode=0777 tmpfs "$1/pfs"
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
root=$1 user=$2; shift 2
exec chroot --userspec="$user" --groups= "$root" "$@"
"""
IMAGE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PATIENCE = 120.0


@pytest.fixture(scope="module")
def buildah(request):
    """buildah with the base image; what is built goes away with the tests."""
    need("buildah", "debootstrap", "unshare")
    with buildah_on(base_image(request.config.cache.mkdir("spoutgen-base-image"))) as buildah:
        yield buildah


@pytest.fixture(scope="module")
def with_pip(request):
    """buildah with the base image that has pip and the wheels of the Pachyderm SDK."""
    need("buildah", "debootstrap", "unshare")
    with buildah_on(base_with_pip(request.config.cache.mkdir("spoutgen-base-image"), PACHYDERM_SDK)) as buildah:
        yield buildah


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """buildah without any image; for what is built from nothing."""
    need("buildah")
    buildah = Buildah(tmp_path_factory.mktemp("small"))
    yield buildah
    buildah.remove()


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


def run_on_2(root: Path, user: str, project: Path, home: Home, lines: int) -> tuple[list[str], list[str]]:
    """Run a spout of 2.x in the image below ``root``, killing it once, until its marker has ``lines`` more.

    Returns the marker's lines and the log.
    """
    spec, secrets, log = read_spec(project / "pipeline.json"), Secrets({}), []
    home.folder.mkdir(exist_ok=True)
    with Store.create(home.store) as store:
        pipeline = submit(store, spec, project)

        def command(port: int) -> Command:
            context = {"pachd_address": f"grpc://localhost:{port}", "session_token": "of the cluster"}
            config = {"v2": {"active_context": "cluster", "contexts": {"cluster": context}}}
            (root / "pachctl").mkdir(exist_ok=True)
            (root / "pachctl/config.json").write_text(json.dumps(config))
            environment = worker_2.user_environment(pipeline, port, secrets, {"PATH": IMAGE_PATH})
            enter = ["unshare", "--mount", "sh", "-ec", ENTER_2, "sh", str(root), user]
            return Command([*enter, *spec.cmd], (), project, environment, secrets, frozenset())

        def marker() -> list[str]:
            return marker_tail(store, "dots", "mymark", 9999, "master")

        def make(on_event):
            return worker_2.Worker(home, pipeline, command, on_event, Backoff(0.1, 0.1))

        session = Session(home, pipeline, None, PATIENCE, make=make)
        wanted, pids, is_killed = len(marker()) + lines, [], False
        for event in session.run():
            if isinstance(event, LogLine):
                log.append(event.text)
            elif isinstance(event, UserCodeStarted):
                pids.append(event.pid)
            elif isinstance(event, UserCodeExited):
                log.append(event.message)
            elif isinstance(event, CommitFinished) and len(pids) == 1 and not is_killed:
                owner = dict(line.split(":\t") for line in Path(f"/proc/{pids[0]}/status").read_text().splitlines())
                assert set(owner["Uid"].split() + owner["Gid"].split()) == set(user.split(":")), owner
                assert owner["Groups"].strip() == ""
                os.kill(pids[0], signal.SIGKILL)
                is_killed = True
            elif isinstance(event, CommitFinished) and len(pids) > 1 and len(marker()) >= wanted:
                session.request_stop()
        assert len(pids) > 1, log
        return marker(), log


def test_the_spout_in_the_image_of_2_is_nobody_and_goes_on_after_a_kill_and_an_update(with_pip, tmp_path):
    shell, home = Shell(tmp_path, **with_pip.environment), Home(tmp_path / "cluster")
    project = shell.new(more="pachyderm: 2")
    argument = f"PYTHON_IMAGE={BASE_WITH_PIP}"
    shell.run("build", "--with", "buildah", "--build-arg", argument, "dots")
    user = with_pip.run("inspect", "--type", "image", "--format", "{{.OCIv1.Config.User}}", "dots:v1")
    assert user == "65534:65534"
    with with_pip.mounted("dots:v1") as root:
        first, log = run_on_2(root, user, project, home, 4)
    assert len(first) >= 4, log
    assert first == ["." * number for number in range(1, len(first) + 1)], log

    shell.run("set", "source.symbol=*", "dots")
    shell.run("update", "dots", "--bump")
    shell.run("build", "--with", "buildah", "--build-arg", argument, "dots")
    with with_pip.mounted("dots:v2") as root:
        pyramid, log = run_on_2(root, user, project, home, 3)
    assert len(pyramid) >= len(first) + 3, log
    more = [first[-1] + "*" * number for number in range(1, len(pyramid) - len(first) + 1)]
    assert pyramid == first + more, log


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
    assert "'arm64' is no platform such as linux/arm64" in shell.refused(
        "build", "--platform", "linux/amd64,arm64", "dots", status=2
    )
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


def is_running(pid: str) -> bool:
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(("how", "status"), [("Ctrl-C", 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_what_ends_a_build_ends_the_builder_and_leaves_everything_as_it_was(tmp_path, how, status):
    for folder in ("bin", "temporary"):
        (tmp_path / folder).mkdir()
    docker = tmp_path / "bin/docker"
    # Neither it nor what it has started ends by itself when the terminal says so.
    docker.write_text(
        "#!/bin/sh\n[ $1 = version ] && exit\n[ $1 = build ] || exit 1\n"
        "trap '' INT HUP\nsleep 3600 &\necho $$ $! > pids\necho it builds\nwait\n"
    )
    docker.chmod(0o755)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    shell = Shell(tmp_path, PATH=path, TMPDIR=str(tmp_path / "temporary"))
    lock = shell.new() / ".spoutgen/lock.json"
    before = lock.read_bytes()
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "r+b", buffering=0) as terminal:
        command = ["setsid", "--ctty", *shell.command("build", "dots")]
        with subprocess.Popen(command, cwd=tmp_path, env=shell.env, stdin=theirs, stdout=theirs, stderr=theirs) as run:
            os.close(theirs)
            try:
                said = read_from(terminal, until=b"it builds")
                if how == "Ctrl-C":
                    terminal.write(b"\x03")
                else:
                    run.send_signal(how)
                said += read_from(terminal)
            except BaseException:
                run.kill()  # or its end would be waited for
                raise
    assert run.returncode == status
    deadline = time.monotonic() + PATIENCE
    while any(is_running(pid) for pid in (tmp_path / "pids").read_text().split()):
        assert time.monotonic() < deadline, "it builds on"
        time.sleep(0.02)
    assert said.endswith(b"\r\x1b[K"), said
    assert lock.read_bytes() == before
    assert not list((tmp_path / "temporary").iterdir())


def read_from(terminal, until: bytes | None = None) -> bytes:
    """What a terminal shows until these words, or until nobody has its other end any more."""
    said = b""
    try:
        while until is None or until not in said:
            assert select.select([terminal], [], [], PATIENCE)[0], said
            said += terminal.read(4096)
    except OSError:
        assert until is None, said  # how Linux says that the other end is closed
    return said


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
            said = read_from(terminal)
        assert running.returncode == 0
    assert b"\x1b[Kdots:v2 by buildah 0 s: begins" in said
    assert b"STEP" in said
    assert said.endswith(b"\r\x1b[K")
