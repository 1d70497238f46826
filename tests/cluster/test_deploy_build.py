"""`deploy --build --push` with a real buildah, a registry and a cluster: from the edit to the version that runs."""

from __future__ import annotations

import json

import pytest
from images import Buildah, need
from registry import certificate, registry

from spoutgen.local.home import Home
from spoutgen.local.pachd import serve
from spoutgen.project.lock import read_lock


@pytest.fixture
def images(monkeypatch, tmp_path):
    """A registry that buildah may push to; over TLS, without which buildah 1.28 cannot push several platforms."""
    need("buildah", "openssl")
    pair = certificate(tmp_path)
    buildah = Buildah(tmp_path / "buildah")
    for name, value in buildah.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SSL_CERT_FILE", str(pair[0]))
    with registry(tls=pair) as open_one:
        yield open_one
    buildah.remove()


@pytest.fixture
def folder(images, project, spoutgen):
    """A project whose image needs no base; nothing could run in it."""
    return without_base(project(image=f"{images.name}/dots:v1"), spoutgen)


def without_base(folder, spoutgen):
    for architecture in ("amd64", "arm64"):
        (folder / architecture).write_text(architecture)
    (folder / "Dockerfile").write_text("FROM scratch\nARG MORE\nARG TARGETARCH\nCOPY $TARGETARCH /\nCOPY . /app\n")
    assert spoutgen("update", folder, "--bump").status == 0
    return folder


WITH = ("--push", "--with", "buildah")


def test_build_push_and_deploy_then_again_then_after_an_edit(images, server, folder, spoutgen):
    name = f"{images.name}/dots"
    first = spoutgen("deploy", folder, "--build", *WITH)
    assert (first.status, first.err) == (0, "")
    build = read_lock(folder).builds[f"{name}:v2"]
    told = first.out.splitlines()
    assert told[0].startswith("spoutmarker: create at ")
    assert told[1:] == [
        f"{name}:v2: built, {build.id}",
        f"{name}:v2: pushed, {build.pushed}",
        "spoutmarker: created",
        "spoutmarker: running",
    ]
    assert list(images.manifests) == ["dots:v2"]
    assert server.pipelines["spoutmarker"].transform.image == f"{name}:v2"

    again = spoutgen("deploy", folder, "--build", *WITH)
    assert again.out.splitlines()[1:] == [
        f"{name}:v2: was pushed before, {build.pushed}",
        "spoutmarker: up to date: version 1",
        "spoutmarker: running",
    ]
    assert server.pipelines["spoutmarker"].version == 1

    dry = spoutgen("deploy", folder, *WITH, "--dry-run")
    assert dry.out.splitlines()[1:] == [f"{name}:v2: was pushed before, {build.pushed}"]
    other = spoutgen("deploy", folder, *WITH, "--dry-run", "--build-arg", "MORE=x")
    assert other.err.startswith(f"{folder / 'spout.yaml'}:1:1: SG410")

    (folder / "transform.py").write_text("# an edit\n")
    refused = spoutgen("deploy", folder, "--build", *WITH)
    assert refused.status == 1
    assert f"SG410 the files of the image {name}:v2 are not those" in refused.err
    assert f"spoutgen update --bump {folder}" in refused.err
    assert (list(images.manifests), refused.out) == (["dots:v2"], "")
    assert spoutgen("update", folder, "--bump").status == 0
    third = spoutgen("deploy", folder, "--build", *WITH)
    assert (third.status, third.err) == (0, "")
    assert f"image: {name}:v2 -> {name}:v3" in third.out
    assert sorted(images.manifests) == ["dots:v2", "dots:v3"]
    assert images.manifests["dots:v2"] != images.manifests["dots:v3"]
    assert server.pipelines["spoutmarker"].transform.image == f"{name}:v3"
    assert server.pipelines["spoutmarker"].version == 2


def test_a_push_that_fails_in_the_middle_deploys_nothing_and_the_next_try_does(images, server, folder, spoutgen):
    images.refused.add("/manifests/")
    cut = spoutgen("deploy", folder, *WITH)
    assert cut.status == 3
    assert f"SG703 buildah could not push {images.name}/dots:v2" in cut.err
    assert images.blobs, "it was in the middle"
    build = read_lock(folder).builds[f"{images.name}/dots:v2"]
    assert build.pushed is None
    assert not server.asked("CreatePipeline")

    images.refused.clear()
    again = spoutgen("deploy", folder, *WITH)
    assert (again.status, again.err) == (0, "")
    assert read_lock(folder).builds[f"{images.name}/dots:v2"].id == build.id, "out of the cache"
    assert server.pipelines["spoutmarker"].version == 1


def test_what_cannot_be_deployed_is_neither_built_nor_pushed(images, server, folder, spoutgen):
    before = read_lock(folder)
    server.commit("spoutmarker", "master", {"/output": b"."})
    refused = spoutgen("deploy", folder, *WITH)
    assert refused.err.startswith("SG607")
    assert not images.blobs
    dry = spoutgen("deploy", folder, *WITH, "--keep-repo", "--dry-run")
    assert dry.status == 0
    assert f"{images.name}/dots:v2: to be built and pushed\n" in dry.out
    assert not images.blobs
    assert read_lock(folder) == before
    assert spoutgen("deploy", folder, *WITH, "--keep-repo").status == 0
    assert list(images.manifests) == ["dots:v2"]


def test_without_a_builder_nothing_is_deployed(server, project, spoutgen, monkeypatch, tmp_path):
    folder = project()
    before = read_lock(folder)
    monkeypatch.setenv("PATH", str(tmp_path))
    refused = spoutgen("deploy", folder, "--build")
    assert refused.status == 3
    assert refused.err.startswith("SG701 no image can be built here: docker: there is none on PATH")
    assert read_lock(folder) == before
    assert not server.asked("CreatePipeline")


def test_one_image_that_fails_stops_no_other_project(images, server, project, spoutgen, tmp_path):
    folders = [
        without_base(
            project(f"spout{number}", folder=f"all/{number}", image=f"{images.name}/dots{number}:v1"), spoutgen
        )
        for number in range(3)
    ]
    images.refused.add("/dots1/manifests/")
    done = spoutgen("deploy", "--all", tmp_path / "all", *WITH)
    assert done.status == 3
    assert f"failed: {folders[1]}\nSG703" in done.err
    assert sorted(server.pipelines) == ["spout0", "spout2"]
    assert sorted(images.manifests) == ["dots0:v2", "dots2:v2"]


def test_an_image_for_two_platforms_with_a_build_argument_on_2(images, config, project, spoutgen, tmp_path):
    folder = without_base(project(image=f"{images.name}/dots:v1", more="pachyderm: 2\n"), spoutgen)
    both = ("--platform", "linux/arm64,linux/amd64", "--build-arg", "MORE=x")
    with serve(Home(tmp_path / "home")) as pachd:
        config(pachd_address=f"grpc://127.0.0.1:{pachd.port}")
        done = spoutgen("deploy", folder, *WITH, *both)
        assert (done.status, done.err) == (0, "")
        assert "spoutmarker: created" in done.out
        refused = spoutgen("deploy", folder, *WITH, "--platform", "linux/amd64")
        assert "SG410" in refused.err
        assert "for linux/amd64,linux/arm64, without" not in refused.err
        assert "was built otherwise before: for linux/amd64,linux/arm64, with another MORE" in refused.err
    build = read_lock(folder).builds[f"{images.name}/dots:v2"]
    assert build.platform == "linux/amd64,linux/arm64"
    assert build.pushed is not None
    assert spoutgen("build", folder, "--with", "buildah", *both).status == 0
    assert read_lock(folder).builds[f"{images.name}/dots:v2"] == build, "the very image that was pushed"
    listed = json.loads(images.manifests["dots:v2"])["manifests"]
    assert sorted(each["platform"]["architecture"] for each in listed) == ["amd64", "arm64"]
    for each in listed:
        assert f"dots:{each['digest']}" in images.manifests


def test_how_to_build_without_building_is_wrong_usage(folder, server, spoutgen):
    refused = spoutgen("deploy", folder, "--build-arg", "MORE=x")
    assert refused.status == 2
    assert "nothing is to be built" in refused.err
    assert not server.requests
