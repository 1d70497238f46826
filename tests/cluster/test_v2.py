"""deploy, status, logs and marker on Pachyderm 2.x: the SDK's messages over real gRPC, to the local pachd."""

from __future__ import annotations

import json

import grpc
import pytest
from interruptions import lose
from pachd1 import TOKEN
from pachyderm_sdk import Client
from pachyderm_sdk.api import pps

from spoutgen.cluster.connect import Wish, connected
from spoutgen.local import pipelines
from spoutgen.local.home import Home
from spoutgen.local.pachd import serve
from spoutgen.local.store import Store

TWO = ".\n..\n"


@pytest.fixture
def folder(project):
    return project(more="pachyderm: 2\n")


@pytest.fixture
def pachd(tmp_path, config):
    with serve(Home(tmp_path / "home"), tokens=[TOKEN]) as server:
        config(pachd_address=f"grpc://127.0.0.1:{server.port}")
        yield server


def test_deploy_then_nothing_then_update(pachd, folder, spoutgen):
    first = spoutgen("deploy", folder)
    assert (first.status, first.err) == (0, "")
    assert "created" in first.out
    again = spoutgen("deploy", folder)
    assert "up to date: version 1" in again.out
    spoutgen("set", "source.symbol=*", folder)
    spoutgen("update", folder)
    updated = spoutgen("deploy", folder)
    assert (updated.status, updated.err) == (0, "")
    assert 'source.symbol: "." -> "*"' in updated.out
    with connected(2, None, Wish()) as cluster:
        live = cluster.pipeline("spoutmarker")
        assert live is not None
        assert (live.version, live.is_spout, live.state) == (2, True, "running")
        assert [each.name for each in cluster.pipelines()] == ["spoutmarker"]
        assert cluster.pipeline("another") is None
        assert not cluster.has_repo("another")
    found = spoutgen("status", folder)
    assert "Cluster: Pachyderm 2." in found.out
    assert "Drift: no" in found.out


def test_a_marker_is_imported_rewound_reset_and_set(pachd, folder, spoutgen, tmp_path):
    spoutgen("deploy", folder)
    kept = tmp_path / "kept"
    for text in (".\n", TWO):
        kept.write_text(text)
        refused = spoutgen("marker", "import", kept, folder)
        assert refused.err.startswith("SG611")
        assert spoutgen("marker", "import", kept, folder, "--stop").status == 0
        assert spoutgen("marker", "export", folder).out == text
    assert spoutgen("marker", "reset", folder, "--stop").status == 0
    assert "none yet" in spoutgen("marker", "show", folder).out
    assert spoutgen("marker", "set", '{"steps": [[1, 2]], "line": ".."}', folder, "--stop").status == 0
    assert spoutgen("marker", "export", folder).out == TWO
    assert "State: running" in spoutgen("status", folder).out


def test_a_renamed_marker_is_moved(pachd, folder, spoutgen, tmp_path):
    spoutgen("deploy", folder)
    (tmp_path / "kept").write_text(TWO)
    spoutgen("marker", "import", tmp_path / "kept", folder, "--stop")
    spoutgen("set", "marker=position", folder)
    spoutgen("update", folder)
    refused = spoutgen("deploy", folder)
    assert refused.status == 1
    assert refused.err.startswith("SG411")
    assert "begin at the beginning" in refused.err
    moved = spoutgen("deploy", folder, "--move-marker")
    assert (moved.status, moved.err) == (0, "")
    assert "the marker is now spoutmarker@master:/position" in moved.out
    assert spoutgen("marker", "export", folder).out == TWO
    assert spoutgen("deploy", folder, "--move-marker").status == 0
    assert root(tmp_path) == ["/position"]
    with Store(tmp_path / "home" / "store.db") as store:
        for commit in store.commits("spoutmarker", "master"):
            assert files_at(store, commit.id) in ([], ["/mymark"], ["/position"]), "never both, never none between"


def test_a_pipeline_that_is_no_spout_is_left_alone(pachd, folder, spoutgen, tmp_path):
    document = {"pipeline": {"name": "spoutmarker"}, "transform": {"image": "x:1", "cmd": ["a"]}}
    client = Client(port=pachd.port, auth_token=TOKEN)
    client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(document))
    (tmp_path / "kept").write_text(TWO)
    kept = str(tmp_path / "kept")
    for words in (["deploy"], ["deploy", "--marker", kept], ["marker", "show"], ["marker", "import", kept]):
        refused = spoutgen(*words, folder)
        assert (refused.status, refused.err[:5]) == (3, "SG606"), words
    found = spoutgen("status", folder, "--check")
    assert found.status == 1
    assert "To do: the pipeline 'spoutmarker' is not a spout" in found.out
    assert "on the cluster," not in found.out, "what a spout has and it has not is no drift"
    assert client.pps.inspect_pipeline(pipeline=pps.Pipeline(name="spoutmarker")).version == 1


def files_at(store, ref):
    return [each.path for each in store.list_files("spoutmarker", ref)]


def root(tmp_path, branch="master"):
    with Store(tmp_path / "home" / "store.db") as store:
        return files_at(store, branch)


@pytest.fixture
def parts(pachd, project, spoutgen, tmp_path):
    """A spout with its marker in parts; the folder of its project."""
    folder = project(marker="{prefix: mymark}", more="pachyderm: 2\n")
    spoutgen("deploy", folder)
    spoutgen("marker", "set", '{"steps": [[1, 2]], "line": ".."}', folder, "--stop")
    with connected(2, None, Wish()) as cluster:
        cluster.stop("spoutmarker")
        cluster.finish_open("spoutmarker", "master")
        cluster.write_file("spoutmarker", "master", "/mymark01", TWO.encode())
        cluster.write_file("spoutmarker", "master", "/output", b"..\n")
        cluster.start("spoutmarker")
    assert root(tmp_path) == ["/mymark", "/mymark01", "/output"]
    return folder


def test_a_marker_in_parts_is_moved_with_its_index_and_the_old_parts_go(parts, spoutgen, tmp_path):
    kept = spoutgen("marker", "export", parts).out
    spoutgen("set", "marker={prefix: position}", parts)
    spoutgen("update", parts)
    moved = spoutgen("deploy", parts, "--move-marker")
    assert (moved.status, moved.err) == (0, "")
    assert root(tmp_path) == ["/output", "/position"]
    assert spoutgen("marker", "export", parts).out == kept


def test_a_reset_leaves_no_parts_that_would_be_taken_for_an_old_marker(parts, spoutgen, tmp_path):
    assert spoutgen("marker", "reset", parts, "--stop").status == 0
    assert root(tmp_path) == ["/output"]


def test_the_marker_goes_to_another_output_branch(pachd, folder, spoutgen, tmp_path):
    spoutgen("deploy", folder)
    (tmp_path / "kept").write_text(TWO)
    spoutgen("marker", "import", tmp_path / "kept", folder, "--stop")
    spec = folder / "spout.yaml"
    spec.write_text(f"{spec.read_text()}pipeline: {{outputBranch: other}}\n")
    updated = spoutgen("update", folder)
    assert "SG411 the output branch is another one: master -> other" in updated.err
    refused = spoutgen("deploy", folder)
    assert (refused.status, refused.err[:5]) == (1, "SG411")
    assert "begin at the beginning" in refused.err
    moved = spoutgen("deploy", folder, "--move-marker")
    assert (moved.status, moved.err) == (0, "")
    assert root(tmp_path, "other") == ["/mymark"]
    assert spoutgen("marker", "export", folder).out == TWO


@pytest.mark.parametrize("call", ["stop", "move_marker", "submit", "start"])
@pytest.mark.parametrize("is_done", [False, True])
def test_a_move_that_is_cut_off_is_finished_by_the_next(pachd, folder, spoutgen, tmp_path, monkeypatch, call, is_done):
    spoutgen("deploy", folder)
    (tmp_path / "kept").write_text(TWO)
    spoutgen("marker", "import", tmp_path / "kept", folder, "--stop")
    spoutgen("set", "marker=position", folder)
    spoutgen("update", folder)
    mend = lose(monkeypatch, call, is_done=is_done)
    assert spoutgen("deploy", folder, "--move-marker").status == 3
    mend()
    again = spoutgen("deploy", folder, "--move-marker")
    assert (again.status, again.err) == (0, "")
    assert root(tmp_path) == ["/position"]
    assert spoutgen("marker", "export", folder).out == TWO
    assert "State: running" in spoutgen("status", folder).out


def test_from_1_to_2_with_the_position(cluster, server, folder, project, spoutgen, config, tmp_path):
    old = project(folder="old")
    spoutgen("deploy", old)
    cluster.commit("spoutmarker", "marker", {"/mymark": TWO.encode()})
    (tmp_path / "kept").write_text(spoutgen("marker", "export", old).out)
    with serve(Home(tmp_path / "home"), tokens=[TOKEN]) as two:
        config(pachd_address=f"grpc://127.0.0.1:{two.port}")
        assert spoutgen("deploy", folder, "--wait", "0s").status == 0
        assert spoutgen("marker", "import", tmp_path / "kept", folder, "--stop").status == 0
        assert spoutgen("marker", "export", folder).out == TWO


def test_a_server_before_2_8_is_asked_in_its_own_words(project, spoutgen, config, tmp_path):
    """It has no CreatePipelineV2 and gives back no spec as it was submitted; what it makes is the same pipeline."""
    more = (
        "pachyderm: 2\ndescription: all of it\nenv: {someKey: '1', ZERO: '0'}\n"
        "secrets:\n- {name: s, key: k, env: S}\n- {name: t, mount: /t}\n"
        "resources:\n  requests: {cpu: 0.5, memory: 64MiB}\n  limits: {memory: 128MiB}\n"
        "pipeline:\n  schedulingSpec: {nodeSelector: {diskType: ssd}}\n  podPatch: '[]'\n"
    )
    folder = project(more=more)
    document = json.loads((folder / "pipeline.json").read_text())
    with serve(Home(tmp_path / "home"), tokens=[TOKEN], version=(2, 7, 4)) as server:
        config(pachd_address=f"grpc://127.0.0.1:{server.port}")
        client = Client(port=server.port, auth_token=TOKEN)
        with pytest.raises(grpc.RpcError) as unknown:
            client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(document))
        assert unknown.value.code() == grpc.StatusCode.UNIMPLEMENTED
        made = spoutgen("deploy", folder)
        assert (made.status, made.err) == (0, "")
        with Store(tmp_path / "home" / "store.db") as store:
            kept = dict(pipelines.inspect(store, "spoutmarker").spec.document)
        kept["pipeline"].pop("project")
        assert kept == document
        assert "up to date: version 1" in spoutgen("deploy", folder).out
        spoutgen("set", "source.symbol=*", folder)
        spoutgen("update", folder)
        updated = spoutgen("deploy", folder)
        assert updated.status == 0
        changed = [line for line in updated.out.splitlines() if "->" in line]
        assert changed == ['spoutmarker:   source.symbol: "." -> "*"']
        (tmp_path / "kept").write_text(TWO)
        assert spoutgen("marker", "import", tmp_path / "kept", folder, "--stop").status == 0
        found = spoutgen("status", folder)
        assert "Cluster: Pachyderm 2.7.4" in found.out
        assert "Version: 2\nState: running\nDrift: no" in found.out


@pytest.mark.parametrize(
    ("more", "code"), [("pachyderm: 1\n", "SG602"), ("pachyderm: 2\nproject: nope\n", "SG604")]
)  # fmt: skip
def test_wrong_version_and_unknown_project(pachd, project, spoutgen, more, code):
    refused = spoutgen("deploy", project(more=more))
    assert refused.status == 3
    assert refused.err.startswith(code), refused.err


def test_a_wrong_token(pachd, folder, spoutgen, config):
    config(pachd_address=f"grpc://127.0.0.1:{pachd.port}", session_token="another")
    refused = spoutgen("deploy", folder)
    assert refused.status == 3
    assert refused.err.startswith("SG603"), refused.err
