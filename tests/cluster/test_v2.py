"""deploy, status, logs and marker on Pachyderm 2.x: the SDK's messages over real gRPC, to the local pachd."""

from __future__ import annotations

import pytest
from pachd1 import TOKEN

from spoutgen.cluster.connect import Wish, connected
from spoutgen.local.home import Home
from spoutgen.local.pachd import serve

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
    assert spoutgen("marker", "export", folder).out == TWO
    assert spoutgen("deploy", folder, "--move-marker").status == 0


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
