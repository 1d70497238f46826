"""deploy, by the library over real gRPC and by pachctl alike."""

from __future__ import annotations

import json

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from pachd1 import TOKEN, Cluster, serving
from python_pachyderm.proto.pps import pps_pb2

PYRAMID = b".\n..\n...\n"


def edit(folder, old, new, spoutgen):
    spec = folder / "spout.yaml"
    text = spec.read_text()
    assert old in text
    spec.write_text(text.replace(old, new))
    assert spoutgen("update", folder).status == 0


def test_deploy_creates_then_has_nothing_to_do_then_updates(cluster, way, project, spoutgen):
    folder = project()
    first = spoutgen("deploy", folder, "--via", way)
    assert (first.status, first.err) == (0, "")
    assert "created" in first.out
    assert "running" in first.out
    cluster.commit("spoutmarker", "marker", {"/mymark": PYRAMID})
    again = spoutgen("deploy", folder, "--via", way)
    assert "up to date: version 1" in again.out
    assert '3 lines, the last one "..."' in again.out
    assert cluster.pipelines["spoutmarker"].version == 1
    edit(folder, 'symbol: "."', 'symbol: "*"', spoutgen)
    edit(folder, "spout-marker:v1", "spout-marker:v2", spoutgen)
    dry = spoutgen("deploy", folder, "--via", way, "--dry-run")
    assert 'source.symbol: "." -> "*"' in dry.out
    assert cluster.pipelines["spoutmarker"].version == 1
    updated = spoutgen("deploy", folder, "--via", way)
    assert updated.status == 0
    assert "image: spout-marker:v1 -> spout-marker:v2" in updated.out
    assert cluster.pipelines["spoutmarker"].version == 2
    assert cluster.pipelines["spoutmarker"].transform.image == "spout-marker:v2"


def test_the_request_is_pipeline_json_field_by_field(server, project, spoutgen):
    more = (
        "description: all of it\nenv:\n  A: '1'\nsecrets:\n- {name: s, key: k, env: S}\n- {name: t, mount: /t}\n"
        "resources:\n  requests: {cpu: 0.5, memory: 64MiB}\n  limits: {memory: 128MiB}\n"
        "pipeline:\n  metadata:\n    labels: {team: x}\n  scheduling_spec:\n    node_selector: {diskType: ssd}\n"
    )
    folder = project(more=more)
    assert spoutgen("deploy", folder).status == 0
    [request] = server.asked("CreatePipeline")
    document = json.loads((folder / "pipeline.json").read_text())
    assert not request.update
    assert not request.reprocess
    sent = MessageToDict(request, preserving_proto_field_name=True)
    assert sent == document
    assert spoutgen("deploy", folder).out.count("up to date") == 1, "what the server fills in is no difference"
    edit(folder, "diskType: ssd", "diskType: hdd", spoutgen)
    changed = spoutgen("deploy", folder)
    assert "pipeline.scheduling_spec.node_selector.diskType: ssd -> hdd" in changed.out
    [_, request] = server.asked("CreatePipeline")
    assert request.update
    assert not request.reprocess


def test_every_call_carries_the_token_and_nothing_prints_it(server, project, spoutgen):
    server.token = "another one"
    refused = spoutgen("deploy", project())
    assert refused.status == 3
    assert refused.err.startswith("SG603")
    assert "pachctl auth login" in refused.err
    assert "********" in refused.err


def test_pachctl_is_told_the_context_and_never_to_reprocess(calls, project, spoutgen):
    folder = project()
    spoutgen("deploy", folder, "--via", "pachctl")
    edit(folder, 'symbol: "."', 'symbol: "*"', spoutgen)
    spoutgen("deploy", folder, "--via", "pachctl", "--context", "test")
    assert {context for _, context in calls} == {"test"}
    words = [word for words, _ in calls for word in words]
    assert not any("reprocess" in word or TOKEN in word for word in words)
    assert [words[:2] for words, _ in calls if words[0] in ("create", "update")] == [
        ["create", "pipeline"],
        ["update", "pipeline"],
    ]


@pytest.mark.parametrize(
    ("prepare", "code", "says"),
    [
        (lambda c: setattr(c, "version", "2.8.1"), "SG602", "is Pachyderm 2.8.1, the spec is for 1.x"),
        (lambda c: setattr(c, "version", "1.9.11"), "SG602", "1.9.12 is the oldest"),
        (lambda c: c.commit("spoutmarker", "master", {"/output": b"."}), "SG607", "pachctl delete repo spoutmarker"),
        (
            lambda c: c.pipelines.update(
                spoutmarker=pps_pb2.PipelineInfo(pipeline=pps_pb2.Pipeline(name="spoutmarker"), version=1)
            ),
            "SG606",
            "is not a spout",
        ),
    ],
)
def test_what_stands_in_the_way_is_said_and_nothing_is_done(cluster, way, project, spoutgen, prepare, code, says):
    prepare(cluster)
    before = dict(cluster.pipelines)
    refused = spoutgen("deploy", project(), "--via", way)
    assert refused.status == 3
    assert refused.err.startswith(code), refused.err
    assert says in refused.err
    assert cluster.pipelines == before
    assert not cluster.asked("CreatePipeline")


def test_a_repo_left_behind_can_be_taken_over(cluster, way, project, spoutgen):
    cluster.commit("spoutmarker", "master", {"/output": b"."})
    assert spoutgen("deploy", project(), "--via", way, "--keep-repo").status == 0
    assert cluster.pipelines["spoutmarker"].version == 1


def test_no_cluster_answers(config, project, spoutgen):
    config(pachd_address="grpc://127.0.0.1:1")
    refused = spoutgen("deploy", project())
    assert refused.status == 3
    assert refused.err.startswith("SG601 the cluster at grpc://127.0.0.1:1 gives no answer")


def test_another_context(server, project, spoutgen):
    refused = spoutgen("deploy", project(), "--context", "other")
    assert "grpc://127.0.0.1:1" in refused.err
    unknown = spoutgen("deploy", project(folder="b"), "--context", "nope")
    assert "there is no context 'nope'" in unknown.err
    assert "there is: other, test" in unknown.err


def test_the_reply_is_lost_and_the_command_run_again(server, project, spoutgen):
    folder = project()
    server.answers["CreatePipeline"] = [(grpc.StatusCode.UNAVAILABLE, "Socket closed")]
    server.done_before_the_error.add("CreatePipeline")
    lost = spoutgen("deploy", folder)
    assert lost.status == 3
    assert "goes on where this one was cut off" in lost.err
    again = spoutgen("deploy", folder)
    assert again.status == 0
    assert "up to date: version 1" in again.out
    assert len(server.asked("CreatePipeline")) == 1


@pytest.mark.parametrize("method", ["GetVersion", "InspectPipeline", "InspectRepo", "CreatePipeline"])
def test_the_connection_drops_anywhere_before_and_a_second_try_finishes(server, project, spoutgen, method):
    folder = project()
    server.answers[method] = [(grpc.StatusCode.UNAVAILABLE, "connection reset by peer")]
    assert spoutgen("deploy", folder).status == 3
    again = spoutgen("deploy", folder)
    assert (again.status, again.err) == (0, "")
    assert server.pipelines["spoutmarker"].version == 1


@pytest.mark.parametrize("stop", ["stays", "--move-marker"])
def test_a_renamed_marker_is_refused_or_moved(cluster, way, project, spoutgen, stop):
    folder = project()
    spoutgen("deploy", folder, "--via", way)
    cluster.commit("spoutmarker", "marker", {"/mymark": PYRAMID})
    edit(folder, "marker: mymark", "marker: position", spoutgen)
    if stop == "stays":
        refused = spoutgen("deploy", folder, "--via", way)
        assert refused.status == 1
        assert refused.err.startswith("SG411 the marker is renamed: mymark -> position")
        assert "--move-marker" in refused.err
        assert cluster.pipelines["spoutmarker"].version == 1
        return
    moved = spoutgen("deploy", folder, "--via", way, "--move-marker")
    assert (moved.status, moved.err) == (0, "")
    assert cluster.head("spoutmarker", "marker")["/position"] == PYRAMID
    assert cluster.pipelines["spoutmarker"].spout.marker == "position"
    assert cluster.pipelines["spoutmarker"].state == pps_pb2.PIPELINE_RUNNING
    assert spoutgen("deploy", folder, "--via", way, "--move-marker").status == 0


@pytest.mark.parametrize("method", ["StopPipeline", "PutFile", "CreatePipeline", "StartPipeline"])
@pytest.mark.parametrize("is_done", [False, True])
def test_a_move_that_is_cut_off_is_finished_by_the_next(server, project, spoutgen, method, is_done):
    folder = project()
    spoutgen("deploy", folder)
    server.commit("spoutmarker", "marker", {"/mymark": PYRAMID})
    edit(folder, "marker: mymark", "marker: position", spoutgen)
    server.answers[method] = [(grpc.StatusCode.UNAVAILABLE, "transport is closing")]
    if is_done:
        server.done_before_the_error.add(method)
    cut = spoutgen("deploy", folder, "--move-marker")
    assert cut.status == (0 if is_done and method == "StartPipeline" else 3)
    assert spoutgen("deploy", folder, "--move-marker").status == 0
    assert server.head("spoutmarker", "marker")["/position"] == PYRAMID
    assert server.pipelines["spoutmarker"].spout.marker == "position"
    assert not server.pipelines["spoutmarker"].stopped


def test_a_renamed_marker_without_a_position_needs_no_move(cluster, way, project, spoutgen):
    folder = project()
    spoutgen("deploy", folder, "--via", way)
    edit(folder, "marker: mymark", "marker: position", spoutgen)
    assert spoutgen("deploy", folder, "--via", way).status == 0
    assert cluster.pipelines["spoutmarker"].spout.marker == "position"


def test_an_image_that_was_not_pushed(server, project, spoutgen):
    server.next_state, server.next_reason = pps_pb2.PIPELINE_CRASHING, "user container: ImagePullBackOff"
    failed = spoutgen("deploy", project())
    assert failed.status == 3
    assert "has spout-marker:v1 been pushed" in failed.err
    assert "spoutgen build --push" in failed.err


def test_a_spout_that_refuses_its_marker_is_not_called_running(server, project, spoutgen):
    fatal = {
        "level": "fatal",
        "event": "marker",
        "found": "/pfs/mymark of spout 'x'",
        "expected": "y",
        "remedy": "do z",
    }
    server.logs["spoutmarker"] = [json.dumps({"level": "info", "event": "start"}), json.dumps(fatal)]
    failed = spoutgen("deploy", project())
    assert failed.status == 3
    assert "starts and ends at once: found /pfs/mymark of spout 'x'" in failed.err
    assert "do z" in failed.err


def test_it_does_not_start_in_time(server, project, spoutgen):
    server.next_state, server.next_reason = pps_pb2.PIPELINE_STARTING, "no node has that much memory"
    failed = spoutgen("deploy", project(), "--wait", "100ms")
    assert failed.status == 3
    assert "is still starting after 0.1 seconds: no node has that much memory" in failed.err


def test_a_stopped_pipeline_stays_stopped(cluster, way, project, spoutgen):
    folder = project()
    spoutgen("deploy", folder, "--via", way)
    cluster.pipelines["spoutmarker"].stopped = True
    cluster.pipelines["spoutmarker"].state = pps_pb2.PIPELINE_PAUSED
    edit(folder, 'symbol: "."', 'symbol: "*"', spoutgen)
    done = spoutgen("deploy", folder, "--via", way)
    assert done.status == 0
    assert "stays so" in done.out
    assert cluster.pipelines["spoutmarker"].stopped


def test_an_edit_that_was_not_carried_in_is_not_deployed(server, project, spoutgen):
    folder = project()
    spec = folder / "spout.yaml"
    spec.write_text(spec.read_text().replace('symbol: "."', 'symbol: "*"'))
    refused = spoutgen("deploy", folder)
    assert refused.status == 1
    assert refused.err.startswith(str(spec))
    assert not server.requests


def test_many_at_once_and_one_of_them_fails(server, project, spoutgen, tmp_path):
    for number in range(5):
        project(f"spout{number}", folder=f"all/{number}")
    server.commit("spout3", "master", {})
    done = spoutgen("deploy", "--all", tmp_path / "all")
    assert done.status == 3
    assert f"failed: {tmp_path / 'all/3'}\nSG607" in done.err
    assert sorted(server.pipelines) == ["spout0", "spout1", "spout2", "spout4"]


def test_without_library_and_pachctl(config, project, spoutgen, monkeypatch, tmp_path):
    config(pachd_address="grpc://127.0.0.1:1")
    monkeypatch.setenv("PATH", str(tmp_path))
    refused = spoutgen("deploy", project(), "--via", "pachctl")
    assert refused.status == 3
    assert refused.err.startswith("SG605")
    assert "spoutgen[pachyderm1]" in refused.err


def test_tls_with_the_cluster_s_own_certificate(config, project, spoutgen, tmp_path):
    import base64
    import shutil
    import subprocess

    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    cluster = Cluster(token=TOKEN)
    with serving(cluster, credentials) as port:
        config(
            pachd_address=f"grpcs://localhost:{port}", server_cas=base64.b64encode(certificate.read_bytes()).decode()
        )
        assert spoutgen("deploy", project()).status == 0
        config(pachd_address=f"grpcs://localhost:{port}")
        assert "SG601" in spoutgen("deploy", project(folder="again")).err
    assert cluster.pipelines["spoutmarker"].version == 1
