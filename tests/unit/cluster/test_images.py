"""Builders as scripts: which one is taken, what it is asked for, what is said when it fails."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from spoutgen.cluster.images import Recipe, build, find_builder, push, registry_of
from spoutgen.errors import MachineError

# Writes down its arguments; `build` writes an id, `push` says or writes a digest; a list has two images.
SCRIPT = """\
#!/bin/sh
[ "$1" = version ] || [ "$1" = info ] && { %(answer)s; }
[ "$1 $2" = 'buildx version' ] && exit %(buildx)s
printf '%%s\\n' "$@" >> "$0.said"
[ "$1 $2" = 'manifest inspect' ] && { printf 'sha256:%%064d,sha256:%%064d\\n' 1 2; exit 0; }
while [ $# -gt 0 ]; do
  case $1 in --iidfile|--digestfile) printf 'sha256:%%064d' 7 > "$2" ;; esac
  shift
done
echo 'first line'; printf 'v1: 10%%%%\\rv1: digest: sha256:%%064d size: 528\\n' 8
%(last)s
"""
SEVEN, EIGHT = (f"sha256:{number:064d}" for number in (7, 8))


@pytest.fixture
def path(tmp_path, monkeypatch):
    """``path(docker=..., podman=...)``: the builders on PATH, by how they answer and how they end."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def make(answer="exit 0", last="exit 0", names=("docker",), buildx=1) -> Path:
        for name in names:
            (tmp_path / name).write_text(SCRIPT % {"answer": answer, "last": last, "buildx": buildx})
            (tmp_path / name).chmod(0o755)
        return tmp_path

    return make


RECIPE = Recipe("dots:v1", Path("/x/Dockerfile"), Path("/x/context"))


def test_the_first_that_works_is_taken(path):
    path(names=("buildah",))
    assert find_builder().name == "buildah"
    path(names=("podman",))
    assert find_builder().name == "podman"
    path(names=("docker",))
    assert find_builder().name == "docker"
    assert find_builder("buildah").name == "buildah"


def test_a_docker_without_its_daemon_is_passed_over(path):
    path("echo 'Cannot connect to the Docker daemon' >&2; exit 1", names=("docker",))
    path(names=("buildah",))
    assert find_builder().name == "buildah"
    with pytest.raises(MachineError, match="docker: Cannot connect to the Docker daemon") as caught:
        find_builder("docker")
    assert caught.value.exit_status == 3


def test_no_builder_is_told_with_what_is_wrong_with_each(path):
    path("exit 4", names=("podman",))
    with pytest.raises(MachineError) as caught:
        find_builder()
    (said,) = caught.value.diagnostics
    assert said.code == "SG701"
    for words in ("docker: there is none on PATH", "podman: it ended with status 4", "buildah: there is none"):
        assert words in said.message


@pytest.mark.parametrize("name", ["docker", "podman", "buildah"])
def test_what_a_builder_is_asked_for(path, name):
    folder = path(names=(name,))
    builder = find_builder(name)
    lines = []
    recipe = Recipe("dots:v1", Path("/x/Dockerfile"), Path("/x/context"), ("linux/arm64",), {"A": "1 2", "B": "$x"})
    assert build(builder, recipe, lines.append) == SEVEN
    asked = (folder / f"{name}.said").read_text().splitlines()
    assert asked[:5] == ["build", "--tag", "dots:v1", "--file", "/x/Dockerfile"]
    assert asked[7:13] == ["--platform", "linux/arm64", "--build-arg", "A=1 2", "--build-arg", "B=$x"]
    assert asked[13:] == (
        ["/x/context"] if name == "docker" else ["--layers", "--ignorefile", "/dev/null", "/x/context"]
    )
    assert lines == ["first line", f"v1: digest: {EIGHT} size: 528"]


@pytest.mark.parametrize(("name", "digest"), [("docker", EIGHT), ("podman", SEVEN), ("buildah", SEVEN)])
def test_a_push_returns_the_digest_that_the_registry_has(path, name, digest):
    path(names=(name,))
    assert push(find_builder(name), RECIPE, lambda line: None) == digest


def asked_of(folder: Path, name: str) -> list[str]:
    """What a builder was asked for; the names of files that nobody can foresee are left out."""
    said = (folder / f"{name}.said").read_text().splitlines()
    unforeseen = [number + 1 for number, word in enumerate(said) if word in ("--iidfile", "--digestfile")]
    return [word for number, word in enumerate(said) if number not in unforeseen]


def test_with_buildx_the_image_is_loaded_whatever_its_builder_is(path):
    folder = path(buildx=0)
    builder = find_builder()
    assert builder.has_buildx
    assert build(builder, RECIPE, lambda line: None) == SEVEN
    assert push(builder, RECIPE, lambda line: None) == EIGHT
    asked = ["buildx", "build", "--tag", "dots:v1", "--file", "/x/Dockerfile", "--load", "--iidfile", "/x/context"]
    assert asked_of(folder, "docker") == [*asked, "push", "dots:v1"]


BOTH = ("linux/amd64", "linux/arm64")


def test_several_platforms_by_buildx(path):
    folder = path(buildx=0)
    builder = find_builder(None, BOTH)
    pushed = replace(RECIPE, platforms=BOTH, is_pushed=True)
    head, tail = ["buildx", "build"], ["--platform", "linux/amd64,linux/arm64", "/x/context"]
    assert build(builder, pushed, lambda line: None) is None, "it stands in the cache alone"
    assert push(builder, pushed, lambda line: None) == SEVEN
    first = [*head, "--file", "/x/Dockerfile", *tail]
    second = [*head, "--tag", "dots:v1", "--file", "/x/Dockerfile", "--push", "--iidfile", *tail]
    assert asked_of(folder, "docker") == [*first, *second]
    (folder / "docker.said").unlink()
    assert build(builder, replace(pushed, is_pushed=False), lambda line: None) == SEVEN
    kept = [*head, "--tag", "dots:v1", "--file", "/x/Dockerfile", "--load", "--iidfile", *tail]
    assert asked_of(folder, "docker") == kept


@pytest.mark.parametrize("name", ["podman", "buildah"])
def test_several_platforms_are_a_list_that_gets_its_name_when_it_is_whole(path, name):
    folder = path(names=(name,))
    builder = find_builder(None, BOTH)
    recipe = replace(RECIPE, platforms=BOTH, is_pushed=True)
    images = f"sha256:{1:064d} sha256:{2:064d}"
    assert build(builder, recipe, lambda line: None) == f"sha256:{hashlib.sha256(images.encode()).hexdigest()}"
    assert push(builder, recipe, lambda line: None) == SEVEN
    asked = asked_of(folder, name)
    listed = asked[2]
    assert listed.startswith("localhost/spoutgen-build:")
    assert asked == [
        *("build", "--manifest", listed, "--file", "/x/Dockerfile", "--platform", "linux/amd64,linux/arm64"),
        *("--layers", "--ignorefile", "/dev/null", "/x/context"),
        *("manifest", "inspect", listed),
        *("tag", listed, "dots:v1"),
        *("manifest", "rm", listed),
        *("manifest", "push", "--all", "--digestfile", "dots:v1", "docker://dots:v1"),
    ]  # fmt: skip
    (folder / f"{name}.said").unlink()
    with pytest.raises(MachineError, match="of linux/amd64, linux/arm64, linux/s390x it made 2") as caught:
        build(builder, replace(recipe, platforms=(*BOTH, "linux/s390x")), lambda line: None)
    assert caught.value.diagnostics[0].code == "SG702"
    asked = asked_of(folder, name)
    assert "tag" not in asked, "the name stays with what it stood for"
    assert asked[-3:-1] == ["manifest", "rm"]


def test_a_docker_without_buildx_is_passed_over_for_several_platforms(path):
    path()
    path(names=("buildah",))
    assert find_builder(None, BOTH[:1]).name == "docker"
    assert find_builder(None, BOTH).name == "buildah"
    with pytest.raises(MachineError, match="docker: it has no buildx, which an image for several platforms needs"):
        find_builder("docker", BOTH)


FAILURES = {
    "Error: no space left on device": "make room",
    "pull access denied for nowhere": "PYTHON_IMAGE",
    "ERROR: No matching distribution found for x==9": "requirement",
    "error: externally-managed-environment": "PIP_BREAK_SYSTEM_PACKAGES=1",
    "exec /bin/sh: exec format error": "qemu-user-static",
    "ERROR: docker exporter does not currently support exporting manifest lists": "docker buildx create --use",
    "ERROR: Multi-platform build is not supported for the docker driver.": "--with podman or buildah",
    "what nobody has foreseen": "see what it said above",
}


@pytest.mark.parametrize("said", FAILURES)
def test_a_build_that_fails(path, said):
    path(last=f"echo '{said}'; exit 5")
    with pytest.raises(MachineError, match="status 5") as caught:
        build(find_builder(), RECIPE, lambda line: None)
    assert caught.value.diagnostics[0].code == "SG702"
    assert FAILURES[said] in caught.value.diagnostics[0].hint
    assert caught.value.tail[-1] == said


def test_a_builder_that_is_killed(path):
    path(last="kill -9 $$")
    with pytest.raises(MachineError, match="could not build dots:v1: it was ended by SIGKILL"):
        build(find_builder(), RECIPE, lambda line: None)


REFUSALS = {
    "denied: requested access to the resource is denied": "`docker login registry.example:5000`",
    "unauthorized: authentication required": "`docker login registry.example:5000`",
    "dial tcp: lookup registry.example: no such host": "registry.example:5000 cannot be reached",
}


@pytest.mark.parametrize("said", REFUSALS)
def test_a_push_that_is_refused(path, said):
    path(last=f"echo '{said}'; exit 1")
    with pytest.raises(MachineError) as caught:
        push(find_builder(), replace(RECIPE, image="registry.example:5000/dots:v1"), lambda line: None)
    assert caught.value.diagnostics[0].code == "SG703"
    assert REFUSALS[said] in caught.value.diagnostics[0].hint


def test_a_builder_that_ends_well_without_an_image_has_failed(path, tmp_path):
    (tmp_path / "docker").write_text("#!/bin/sh\necho done\n")
    (tmp_path / "docker").chmod(0o755)
    with pytest.raises(MachineError):
        build(find_builder(), RECIPE, lambda line: None)
    with pytest.raises(MachineError):
        push(find_builder(), RECIPE, lambda line: None)


def test_long_output_costs_no_memory_and_its_end_is_kept(path):
    path(last="i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done; exit 1")
    with pytest.raises(MachineError) as caught:
        build(find_builder(), RECIPE, lambda line: None)
    assert caught.value.tail == tuple(f"line {number}" for number in range(280, 300))


def test_registries():
    names = {"a:v1": "docker.io", "team/a:v1": "docker.io", "host:5000/a:v1": "host:5000", "ghcr.io/t/a:v1": "ghcr.io"}
    assert {image: registry_of(image) for image in {**names, "localhost/a:v1": ""}} == {
        **names,
        "localhost/a:v1": "localhost",
    }
