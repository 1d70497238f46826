"""pachctl's config, read as pachctl reads it; pipeline documents, made alike."""

import json

import pytest

from spoutgen.cluster.context import find_context
from spoutgen.cluster.documents import snake_case, specified
from spoutgen.cluster.failures import ClusterError


def written(tmp_path, document):
    file = tmp_path / "config.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return {"PACH_CONFIG": str(file)}


def of(**context):
    return {"v2": {"active_context": "a", "contexts": {"a": context, "b": {"pachd_address": "b:1"}}}}


@pytest.mark.parametrize(
    ("context", "address"),
    [
        ({}, "grpc://localhost:30650"),
        ({"port_forwarders": {"pachd": 4000}}, "grpc://localhost:4000"),
        ({"pachd_address": "10.0.0.1:31400"}, "grpc://10.0.0.1:31400"),
        ({"pachd_address": "grpcs://pachd.example:443"}, "grpcs://pachd.example:443"),
        ({"pachd_address": "pachd.example", "server_cas": "QUJD"}, "grpcs://pachd.example:30650"),
        ({"pachd_address": "grpc://[::1]:30650"}, "grpc://[::1]:30650"),
    ],
)
def test_addresses(tmp_path, context, address):
    assert find_context(None, written(tmp_path, of(**context))).address == address


def test_which_context(tmp_path):
    environment = written(tmp_path, of())
    assert find_context(None, environment).name == "a"
    assert find_context(None, {**environment, "PACH_CONTEXT": "b"}).name == "b"
    assert find_context("a", {**environment, "PACH_CONTEXT": "b"}).name == "a"
    assert find_context(None, {"PACH_CONFIG": str(tmp_path / "none")}).address == "grpc://localhost:30650"


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("{", "it is not JSON"),
        ("[]", "it is not pachctl's"),
        (of(pachd_address="grpc://user:secret@host:1"), "is not an address"),
        (of(pachd_address="ftp://host"), "is not an address"),
        (of(pachd_address="host:99999"), "is not an address"),
        (of(server_cas="not base64!"), "server_cas of context 'a'"),
        ({"v2": {"active_context": "x", "contexts": {}}}, "the active context 'x' is not in"),
    ],
)
def test_a_config_that_is_wrong(tmp_path, document, says):
    with pytest.raises(ClusterError, match=says) as caught:
        find_context(None, written(tmp_path, document))
    assert "secret" not in str(caught.value)


def test_a_token_is_in_no_text(tmp_path):
    context = find_context(None, written(tmp_path, of(session_token="t0ken")))
    assert context.token == "t0ken"
    assert "t0ken" not in f"{context!r} {context}"


def test_field_names_but_not_the_user_s_own_keys():
    given = {"pipelineName": 1, "transform": {"env": {"someKey": "x"}, "imagePullSecrets": ["aB"]}, "podPatch": "{aB}"}
    assert snake_case(given) == {
        "pipeline_name": 1,
        "transform": {"env": {"someKey": "x"}, "image_pull_secrets": ["aB"]},
        "pod_patch": "{aB}",
    }


def test_what_a_cluster_fills_in_is_no_difference():
    ours = {"pipeline": {"name": "a"}, "transform": {"image": "x:1", "env": {"N": "1"}}, "spout": {"marker": "m"}}
    theirs = {
        **ours, "outputBranch": "master", "cacheSize": "64M", "maxQueueSize": "1", "datumTries": "3", "version": "4",
        "state": "PIPELINE_RUNNING", "jobCounts": {"1": 2}, "resourceRequests": {}, "createdAt": "2020-01-01T00:00:00Z",
    }  # fmt: skip
    assert specified(theirs) == specified(ours)
    assert specified({**theirs, "cacheSize": "128M"}) != specified(ours)
