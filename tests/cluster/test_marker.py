"""status, logs and marker on a cluster, by the library and by pachctl; and marker on the local store."""

from __future__ import annotations

import json
import re

import pytest
from pachd1 import Cluster
from python_pachyderm.proto.pps import pps_pb2

PYRAMIDS = [b".\n", b".\n..\n", b".\n..\n...\n", b".\n..\n...\n...*\n"]
STEPS = {"steps": [[1, 3]], "line": "..."}


@pytest.fixture
def deployed(cluster: Cluster, way, project, spoutgen):
    """A project whose spout has committed four times; the words that end every command."""
    folder = project()
    assert spoutgen("deploy", folder, "--via", way).status == 0
    for pyramid in PYRAMIDS:
        cluster.commit("spoutmarker", "marker", {"/mymark": pyramid})
        cluster.commit("spoutmarker", "master", {"/output": pyramid.splitlines()[-1] + b"\n"})
    return folder, ("--via", way)


def marker(cluster: Cluster) -> bytes | None:
    return (cluster.head("spoutmarker", "marker") or {}).get("/mymark")


def test_show_and_export(cluster, deployed, spoutgen):
    folder, way = deployed
    shown = spoutgen("marker", "show", folder, *way)
    how_long = r"(Less than a second|\d+ seconds?|About a minute|\d+ minutes) ago"
    assert re.fullmatch(rf'spoutmarker@marker:/mymark: 4 lines, the last one "\.\.\.\*"; {how_long}\n', shown.out)
    facts = json.loads(spoutgen("marker", "show", folder, *way, "--format", "json").out)
    assert (facts["committed"], facts["bytes"]) == (STEPS, len(PYRAMIDS[3]))
    assert facts["writing"] == {"steps": [[1, 4]], "line": "...*"}
    assert spoutgen("marker", "export", folder, *way).out.encode() == PYRAMIDS[3]


@pytest.mark.parametrize(
    ("words", "after"),
    [
        (["rewind", "--commits", "2"], PYRAMIDS[1]),
        (["set", json.dumps(STEPS)], PYRAMIDS[2]),
        (["reset"], None),
        (["import", "KEPT"], PYRAMIDS[0]),
    ],
)
def test_changes_are_refused_while_it_runs_and_done_with_stop(cluster, deployed, spoutgen, tmp_path, words, after):
    folder, way = deployed
    (tmp_path / "kept").write_bytes(PYRAMIDS[0])
    words = [str(tmp_path / "kept") if word == "KEPT" else word for word in words]
    refused = spoutgen("marker", *words, folder, *way)
    assert refused.status == 3
    assert refused.err.startswith("SG611 spoutmarker is running")
    assert marker(cluster) == PYRAMIDS[3]
    done = spoutgen("marker", *words, folder, *way, "--stop")
    assert (done.status, done.err) == (0, "")
    assert marker(cluster) == after
    assert cluster.pipelines["spoutmarker"].state == pps_pb2.PIPELINE_RUNNING
    assert cluster.head("spoutmarker", "master")["/output"] == b"...*\n"


def test_rewind_to_a_commit_and_what_export_prints_import_takes(cluster, deployed, spoutgen, tmp_path):
    folder, way = deployed
    cluster.pipelines["spoutmarker"].state = pps_pb2.PIPELINE_PAUSED
    cluster.pipelines["spoutmarker"].stopped = True
    first = cluster.repos["spoutmarker"]["marker"][0][0].commit.id
    kept = spoutgen("marker", "export", folder, *way).out
    assert spoutgen("marker", "rewind", "--to", first, folder, *way).status == 0
    assert marker(cluster) == PYRAMIDS[0]
    (tmp_path / "kept").write_text(kept)
    assert spoutgen("marker", "import", tmp_path / "kept", folder, *way).status == 0
    assert marker(cluster) == PYRAMIDS[3]
    assert cluster.pipelines["spoutmarker"].stopped, "what was stopped stays stopped"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the marker is empty"),
        (b".\n..", "its last line has no end"),
        (b".\n...x\n..\n", "line 3 of the marker is not the next line of a pyramid"),
        (b'{"spoutgen_marker":1,"spout":"spoutmarker","source":"symbol","steps":[[1,1]],"line":"."}\n', "in parts"),
        (b'{"spoutgen_marker":1,"spo', "cut or broken"),
        (b'{"spoutgen_marker":7}', "format 7"),
        (b"[1, 2]\n", "JSON that is none of spoutgen's"),
        (b'{"a": 1}\n', "JSON that is none of spoutgen's"),
        (b'{\n  "spoutgen_marker": 1\n}\n', "laid out anew by another program"),
    ],
)
def test_what_the_runtime_would_refuse_is_refused_before(cluster, deployed, spoutgen, tmp_path, data, says):
    folder, way = deployed
    (tmp_path / "kept").write_bytes(data)
    refused = spoutgen("marker", "import", tmp_path / "kept", folder, *way, "--stop")
    assert refused.status == 1
    assert refused.err.startswith("SG612")
    assert says in refused.err
    assert marker(cluster) == PYRAMIDS[3]
    assert not any("stop" in method.lower() for method, _ in cluster.requests)


def test_status_at_length_and_in_lines(cluster, deployed, spoutgen, project, tmp_path):
    folder, way = deployed
    found = spoutgen("status", folder, *way)
    assert "State: running" in found.out
    assert "Version: 1" in found.out
    assert "Drift: no" in found.out
    assert 'Marker: 4 lines, the last one "...*", ' in found.out
    assert spoutgen("status", folder, *way, "--check").status == 0
    spec = folder / "spout.yaml"
    spec.write_text(spec.read_text().replace('symbol: "."', 'symbol: "*"'))
    assert "the project: spout.yaml was edited" in spoutgen("status", folder, *way).out
    spoutgen("update", folder)
    drifted = spoutgen("status", folder, *way, "--check")
    assert drifted.status == 1
    assert 'source.symbol: "." on the cluster, "*" in the project' in drifted.out
    table = spoutgen("status", folder, project("another"), *way).out.splitlines()
    assert table[0].split() == ["PIPELINE", "VERSION", "STATE", "DRIFT", "LAST", "COMMIT", "MARKER", "AGE", "LAG"]
    assert table[1].startswith("spoutmarker 1")
    assert "not deployed" in table[2]
    [data] = json.loads(spoutgen("status", folder, *way, "--format", "json").out)["pipelines"]
    assert data["drift"] == [{"key": "source.symbol", "cluster": '"."', "project": '"*"'}]
    assert (data["state"], data["version"], len(data["commits"])) == ("running", 1, 4)


@pytest.mark.parametrize(
    ("version", "log", "is_told"),
    [
        ("1.10.5", "parent commit spoutmarker@{} has not been finished", True),
        ("1.9.12", "error running spout: parent commit {} has not been finished, retrying in: 1s", True),
        ("1.10.5", None, False),
        ("1.10.5", "parent commit spoutmarker@0123456789abcdef0123456789abcdef has not been finished", False),
        ("1.13.4", "parent commit spoutmarker@{} has not been finished", False),
    ],
)
def test_a_dead_pod_s_open_commit_is_named_where_nobody_cleans_it_up(
    cluster, deployed, spoutgen, version, log, is_told
):
    """One that a worker has just opened is fine, also where the log still speaks of another that was deleted since."""
    folder, way = deployed
    cluster.version = version
    open_commit = cluster.commit("spoutmarker", "master", {}, is_open=True)
    if log:
        cluster.logs["spoutmarker"] = [log.format(open_commit)]
    found = spoutgen("status", folder, *way)
    assert (f"pachctl delete commit spoutmarker@{open_commit}" in found.out) == is_told
    assert spoutgen("status", folder, *way, "--check", "--no-lag").status == int(is_told)


def test_an_open_commit_of_a_stopped_pipeline_is_a_dead_pod_s(cluster, deployed, spoutgen):
    folder, way = deployed
    cluster.version = "1.9.12"
    cluster.pipelines["spoutmarker"].state = pps_pb2.PIPELINE_PAUSED
    cluster.pipelines["spoutmarker"].stopped = True
    open_commit = cluster.commit("spoutmarker", "master", {}, is_open=True)
    said = f"pachctl delete commit spoutmarker@{open_commit}"
    assert said in spoutgen("status", folder, *way).out
    [data] = json.loads(spoutgen("status", folder, *way, "--format", "json").out)["pipelines"]
    assert said in data["advice"][0]


def test_logs(cluster, deployed, spoutgen):
    folder, way = deployed
    cluster.logs["spoutmarker"] = ['{"event": "start"}', "two", "\x1b[31mthree"]
    assert spoutgen("logs", folder, *way).out.splitlines() == ['{"event": "start"}', "two", "\\u001b[31mthree"]
    assert spoutgen("logs", folder, *way, "--tail", "1").out == "\\u001b[31mthree\n"
    assert spoutgen("logs", folder, *way, "-f").out.splitlines()[:2] == ['{"event": "start"}', "two"]


def test_no_such_pipeline(way, project, spoutgen):
    for words in (["logs"], ["marker", "show"], ["marker", "reset"]):
        refused = spoutgen(*words, project(folder="-".join(words)), "--via", way)
        assert refused.status == 3
        assert refused.err.startswith("SG610")


def test_options_may_stand_between_the_words(server, project, spoutgen, tmp_path):
    folder = project()
    spoutgen("deploy", folder)
    (tmp_path / "kept").write_bytes(PYRAMIDS[1])
    assert spoutgen("marker", "import", "--stop", tmp_path / "kept", "--via", "api", folder).status == 0
    assert spoutgen("marker", "rewind", folder, "--commits", "9").err.startswith("SG612")
    assert spoutgen("marker", "show", "--format", "json", folder).out.startswith("{")
    for words in (
        ["import"],
        ["rewind", folder],
        ["rewind", "--commits", "1", "--to", "x"],
        ["show", folder, "more"],
        [],
    ):
        with pytest.raises(SystemExit, match="2"):
            spoutgen("marker", *words)


def test_requests_for_a_marker_field_by_field(server, project, spoutgen, tmp_path):
    folder = project()
    spoutgen("deploy", folder)
    server.commit("spoutmarker", "marker", {"/mymark": PYRAMIDS[3]})
    server.requests.clear()
    assert "has no marker 1 commits ago" in spoutgen("marker", "rewind", "--commits", "1", folder, "--stop").err
    big = b"".join(b"." * length + b"\n" for length in range(1, 2600))  # over 3 MB: several requests, one commit
    (tmp_path / "kept").write_bytes(big)
    assert spoutgen("marker", "import", tmp_path / "kept", folder, "--stop").status == 0
    puts = server.asked("PutFile")
    assert len(puts) == 2
    assert {(put.file.commit.repo.name, put.file.commit.id, put.file.path) for put in puts} == {
        ("spoutmarker", "marker", "/mymark")
    }
    assert [put.HasField("overwrite_index") for put in puts] == [True, False]
    assert puts[0].overwrite_index.index == 0
    assert b"".join(put.value for put in puts) == big
    assert spoutgen("marker", "reset", folder, "--stop").status == 0
    [branch] = server.asked("CreateBranch")
    assert (branch.branch.repo.name, branch.branch.name) == ("spoutmarker", "marker")
    assert not branch.HasField("head")
    assert [each.pipeline.name for each in server.asked("StopPipeline")] == ["spoutmarker"] * 2
    assert [each.pipeline.name for each in server.asked("StartPipeline")] == ["spoutmarker"] * 2


def test_the_local_store_alike(project, spoutgen, monkeypatch, tmp_path):
    monkeypatch.setenv("SPOUTGEN_HOME", str(tmp_path / "home"))
    folder = project()
    words = (folder, "--local")
    assert spoutgen("marker", "show", *words).err.startswith("SG502")
    run = ("run", folder, "--set", "source.interval=1ms", "--commits")
    assert spoutgen(*run, "4").status == 0
    assert "4 lines" in spoutgen("marker", "show", *words).out
    kept = spoutgen("marker", "export", *words).out
    assert kept == ".\n..\n...\n....\n"
    assert spoutgen("marker", "rewind", "--commits", "2", *words).status == 0
    assert spoutgen("marker", "export", *words).out == ".\n..\n"
    # The announced line is written once more, then it goes on.
    assert spoutgen(*run, "2").status == 0
    went_on = spoutgen("marker", "export", *words).out
    assert went_on.startswith(".\n..\n...\n")
    (tmp_path / "kept").write_text(kept)
    assert spoutgen("marker", "import", tmp_path / "kept", *words).status == 0
    assert spoutgen("marker", "export", *words).out == kept
    assert spoutgen("marker", "set", json.dumps(STEPS), *words).status == 0
    assert spoutgen("marker", "export", *words).out == ".\n..\n...\n"
    assert spoutgen("marker", "reset", *words).status == 0
    assert "none yet" in spoutgen("marker", "show", *words).out
    assert spoutgen(*run, "1").status == 0
    assert spoutgen("marker", "export", *words).out == ".\n"


def test_the_local_store_is_left_alone_while_a_run_holds_it(project, spoutgen, monkeypatch, tmp_path):
    from spoutgen.local.home import Home, running

    monkeypatch.setenv("SPOUTGEN_HOME", str(tmp_path / "home"))
    folder = project()
    spoutgen("run", folder, "--set", "source.interval=1ms", "--commits", "2")
    with running(Home(tmp_path / "home"), "spoutmarker"):
        refused = spoutgen("marker", "reset", folder, "--local")
    assert refused.status == 3
    assert refused.err.startswith("SG501")
    assert "2 lines" in spoutgen("marker", "show", folder, "--local").out
