"""`deploy --marker FILE`: a pipeline that goes on from what was kept elsewhere, and never begins at the beginning."""

from __future__ import annotations

import json

import pytest
from interruptions import lose
from pachd1 import TOKEN
from python_pachyderm.proto.pps import pps_pb2

from spoutgen.local import pipelines
from spoutgen.local.home import Home
from spoutgen.local.pachd import serve
from spoutgen.local.pachd.pps import Pods
from spoutgen.local.refused import NotFoundError
from spoutgen.local.store import Store

THREE = ".\n..\n...\n"
RUNTIME = ["python3", "/app/main.py"]


@pytest.fixture
def kept(tmp_path):
    (tmp_path / "kept").write_text(THREE)
    return tmp_path / "kept"


class Two:
    """A 2.x server that looks at the marker whenever a pod would start."""

    def __init__(self, home):
        self.home = Home(home)
        self.began: list[tuple[bool, str | None]] = []

    def pod(self, name):
        """Note whether the pod runs the spout, and the marker that it finds."""
        with Store(self.home.store) as store:
            pipeline = pipelines.inspect(store, name)
            if pipeline.is_stopped:
                return
            self.began.append((list(pipeline.spec.cmd) == RUNTIME, marker_in(store)))

    def marker(self):
        with Store(self.home.store) as store:
            return marker_in(store)

    def spouts(self):
        """The markers that the spout itself found, start by start."""
        return [marker for is_spout, marker in self.began if is_spout]


def marker_in(store):
    try:
        return b"".join(store.get_file("spoutmarker", "master", "/mymark")).decode()
    except NotFoundError:
        return None


@pytest.fixture
def two(tmp_path, config):
    found = Two(tmp_path / "home")
    with serve(found.home, tokens=[TOKEN], pods=Pods(found.pod, lambda name: None)) as server:
        config(pachd_address=f"grpc://127.0.0.1:{server.port}")
        yield found


def edit(folder, old, new, spoutgen):
    spec = folder / "spout.yaml"
    text = spec.read_text()
    assert old in text
    spec.write_text(text.replace(old, new))
    assert spoutgen("update", folder).status == 0


def test_on_2_x_the_spout_never_runs_without_its_marker(two, project, spoutgen, kept):
    folder = project(more="pachyderm: 2\n")
    dry = spoutgen("deploy", folder, "--marker", kept, "--dry-run")
    assert f'marker 3 lines, the last one "...", from {kept}' in dry.out
    assert two.began == []
    made = spoutgen("deploy", folder, "--marker", kept)
    assert (made.status, made.err) == (0, "")
    assert "created; it waits for its marker" in made.out
    assert "spoutmarker: running" in made.out
    assert two.spouts() == [THREE]
    assert len(two.began) == 2, "the pod that waits, then the spout"
    found = spoutgen("status", folder)
    assert "State: running" in found.out
    assert "Drift: no" in found.out
    assert spoutgen("deploy", folder, "--marker", kept).status == 0, "it has that marker already"
    assert "up to date: version 2" in spoutgen("deploy", folder).out
    assert two.spouts() == [THREE]


_CALLS = ("submit", "stop", "write_file", "submit again", "start")


@pytest.mark.parametrize("call", _CALLS)
@pytest.mark.parametrize("is_done", [False, True])
def test_cut_off_at_every_call_and_run_again(two, project, spoutgen, kept, monkeypatch, call, is_done):
    folder = project(more="pachyderm: 2\n")
    mend = lose(monkeypatch, call, is_done=is_done)
    assert spoutgen("deploy", folder, "--marker", kept).status == 3
    mend()
    is_started = call == "start" and is_done
    if two.began and not is_started and not (call == "submit again" and is_done):
        # Without its marker nobody goes on, and nobody starts it unseen.
        plain = spoutgen("deploy", folder)
        waits = spoutgen("status", folder)
        if call != "start":
            assert plain.status == 3
            assert plain.err.startswith("SG613 spoutmarker waits for its marker")
            assert "To do: it waits for its marker" in waits.out
        else:
            assert "it is stopped and stays so" in plain.out
    assert two.spouts() == ([THREE] if is_started else [])
    again = spoutgen("deploy", folder, "--marker", kept)
    assert (again.status, again.err) == (0, "")
    assert two.spouts() == [THREE]
    assert "Drift: no" in spoutgen("status", folder).out


def test_from_a_1_x_that_ran_to_a_2_x_that_goes_on(two, project, spoutgen, tmp_path, monkeypatch):
    """The worker of 1.x, then that of 2.x on the store which the pipeline was deployed to."""
    run = ("--set", "source.interval=1ms", "--commits")
    old, new = project(folder="old"), project(folder="new", more="pachyderm: 2\n")
    monkeypatch.setenv("SPOUTGEN_HOME", str(tmp_path / "home of 1"))
    assert spoutgen("run", old, *run, "3").status == 0
    kept = spoutgen("marker", "export", old, "--local").out
    height = len(kept.splitlines())
    (tmp_path / "kept").write_text(kept)
    assert spoutgen("deploy", new, "--marker", tmp_path / "kept").status == 0
    assert two.spouts() == [kept]
    monkeypatch.setenv("SPOUTGEN_HOME", str(two.home.folder))
    assert spoutgen("run", new, *run, "2").status == 0
    went_on = spoutgen("marker", "export", new, "--local").out
    assert went_on.startswith(kept)
    # The line that was announced is written once more, to the same file, and one more after it.
    assert len(went_on.splitlines()) == height + 1
    with Store(two.home.store) as store:
        commits = [each for each in store.commits("spoutmarker", "master") if each.is_changed]
        lines = [b"".join(store.get_file("spoutmarker", each.id, "/output")) for each in commits[:2]]
    assert lines == [b"." * (height + 1) + b"\n", b"." * height + b"\n"]


def test_a_project_that_was_edited_after_the_interruption(two, project, spoutgen, kept, monkeypatch):
    folder = project(more="pachyderm: 2\n")
    mend = lose(monkeypatch, "write_file", is_done=False)
    assert spoutgen("deploy", folder, "--marker", kept).status == 3
    mend()
    edit(folder, "marker: mymark", "marker: position", spoutgen)
    assert spoutgen("deploy", folder, "--marker", kept).status == 0
    assert spoutgen("marker", "export", folder).out == THREE
    assert [is_spout for is_spout, _ in two.began] == [False, True]
    with Store(two.home.store) as store:
        assert [each.path for each in store.list_files("spoutmarker", "master")] == ["/position"]


def test_what_is_there_already_keeps_its_marker(two, project, spoutgen, kept, tmp_path):
    folder = project(more="pachyderm: 2\n")
    assert spoutgen("deploy", folder).status == 0
    begun = spoutgen("deploy", folder, "--marker", kept)
    assert begun.status == 3
    assert begun.err.startswith("SG614 spoutmarker is there already and has begun without one")
    (tmp_path / "other").write_text(".\n")
    assert spoutgen("marker", "import", tmp_path / "other", folder, "--stop").status == 0
    other = spoutgen("deploy", folder, "--marker", kept)
    assert 'has a marker: 1 line, the last one "."' in other.err
    assert f"spoutgen marker import {kept}" in other.err
    assert two.marker() == ".\n"


def test_a_stopped_pipeline_without_a_marker_gets_it(two, project, spoutgen, kept):
    folder = project(more="pachyderm: 2\n")
    assert spoutgen("deploy", folder).status == 0
    assert two.spouts() == [None]
    with connected_to(folder) as cluster:
        cluster.stop("spoutmarker")
    edit(folder, 'symbol: "."', 'symbol: "*"', spoutgen)
    assert spoutgen("deploy", folder, "--marker", kept).status == 0
    assert two.spouts() == [None, THREE]
    assert "Drift: no" in spoutgen("status", folder).out


def connected_to(folder):
    from spoutgen.cluster.connect import Wish, connected

    return connected(2, None, Wish())


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("", "the marker is empty"),
        (".\n..", "its last line has no end"),
        ('{"spoutgen_marker":1,"spout":"a","source":"kafka:x","committed":1,"writing":null}\n', "takes a pyramid"),
    ],
)
def test_bytes_that_are_no_marker_of_its_make_no_pipeline(two, project, spoutgen, tmp_path, data, says):
    (tmp_path / "kept").write_text(data)
    refused = spoutgen("deploy", project(more="pachyderm: 2\n"), "--marker", tmp_path / "kept")
    assert refused.status == 1
    assert refused.err.startswith("SG612")
    assert says in refused.err
    assert two.began == []
    missing = spoutgen("deploy", tmp_path / "spoutmarker", "--marker", tmp_path / "nothing")
    assert (missing.status, missing.err[:5]) == (3, "SG101")
    several = spoutgen("deploy", "a", "b", "--marker", tmp_path / "kept")
    assert several.status == 2


def test_a_repo_without_its_pipeline_on_2_x(two, project, spoutgen, kept):
    """There no pipeline is made over a repo, so its marker is saved, the repo deleted, the pipeline made with it."""
    folder = project(more="pachyderm: 2\n")
    with Store.create(two.home.store) as store:
        store.create_repo("spoutmarker")
    for options in ([], ["--keep-repo"], ["--keep-repo", "--marker", kept]):
        refused = spoutgen("deploy", folder, *options)
        assert refused.status == 3
        assert refused.err.startswith("SG607")
        assert "pachctl get file spoutmarker@master:/mymark" in refused.err
        assert "2.x makes no pipeline over one" in refused.err


def test_on_1_x_alike(cluster, way, project, spoutgen, kept):
    folder = project()
    made = spoutgen("deploy", folder, "--marker", kept, "--via", way)
    assert (made.status, made.err) == (0, "")
    assert cluster.head("spoutmarker", "marker")["/mymark"].decode() == THREE
    pipeline = cluster.pipelines["spoutmarker"]
    assert list(pipeline.transform.cmd) == RUNTIME
    assert (pipeline.version, pipeline.state, pipeline.stopped) == (2, pps_pb2.PIPELINE_RUNNING, False)
    assert "Drift: no" in spoutgen("status", folder, "--via", way).out


def test_on_1_x_request_by_request(server, project, spoutgen, kept):
    server.commit("spoutmarker", "master", {"/output": b"..."})  # a repo that is left is taken over
    folder = project()
    assert spoutgen("deploy", folder, "--marker", kept).err.startswith("SG607")
    assert spoutgen("deploy", folder, "--marker", kept, "--keep-repo").status == 0
    changes = ("CreatePipeline", "StopPipeline", "PutFile", "StartPipeline")
    assert [name for name, _ in server.requests if name in changes] == [
        "CreatePipeline", "StopPipeline", "PutFile", "CreatePipeline", "StartPipeline",
    ]  # fmt: skip
    held, real = server.asked("CreatePipeline")
    assert (held.update, real.update) == (False, True)
    assert list(held.transform.cmd)[:2] == ["python3", "-c"]
    real.update = False
    held.transform.cmd[:] = RUNTIME
    assert held == real, "but for its command the one that waits is the same"
    assert json.loads((folder / "pipeline.json").read_text())["transform"]["cmd"] == RUNTIME
