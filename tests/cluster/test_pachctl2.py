"""pachctl of 2.x: its words, and what it prints, one level deeper than 1.x and with the submitted spec beside it."""

from __future__ import annotations

import json
import sys

import pytest

from spoutgen.cluster.context import Context
from spoutgen.cluster.failures import ClusterError
from spoutgen.cluster.pachctl import Pachctl

SPEC = {"pipeline": {"name": "dots"}, "transform": {"image": "x:1", "env": {"someKey": "1"}}, "spout": {}}
INFO = {
    "pipeline": {"project": {"name": "default"}, "name": "dots"},
    "version": "3",
    "state": "PIPELINE_RUNNING",
    "type": "PIPELINE_TYPE_SPOUT",
    "details": {"createdAt": "2024-05-01T10:00:00.123456789Z", "resourceRequests": {"cpu": 1}},
    "userSpecJson": json.dumps(SPEC),
}
OPEN = {"commit": {"id": "a" * 32, "branch": {"name": "master"}}, "started": "2024-05-01T10:00:00Z"}

PROGRAM = """#!{python} -IS
import json, sys
words = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(json.dumps(words) + "\\n")
answers = {answers!r}
key = " ".join(words[:2])
if key in answers:
    sys.stdout.write(answers[key])
elif key.startswith("inspect"):
    sys.exit("rpc error: code = NotFound desc = not found")
"""


@pytest.fixture
def asked(tmp_path):
    """``asked(answers)``: a client, and a function that gives the words of every call."""

    def make(answers):
        program, log = tmp_path / "pachctl", tmp_path / "log"
        program.write_text(PROGRAM.format(python=sys.executable, log=str(log), answers=answers))
        program.chmod(0o755)
        client = Pachctl(str(program), Context("there", "h", 1, False), 2, "team")
        return client, lambda: [json.loads(line) for line in log.read_text().splitlines()]

    return make


def test_a_pipeline_is_what_was_submitted(asked):
    client, words = asked({"inspect pipeline": json.dumps(INFO)})
    live = client.pipeline("dots")
    assert (live.name, live.version, live.state, live.is_spout) == ("dots", 3, "running", True)
    assert live.document["transform"] == {"image": "x:1", "env": {"someKey": "1"}}
    assert "resource_requests" not in live.document, "the cluster's own defaults are no settings of the spec"
    assert live.created.isoformat() == "2024-05-01T10:00:00.123456+00:00"
    assert words() == [["inspect", "pipeline", "dots", "--raw", "--project", "team"]]


def test_files_are_overwritten_without_being_told_to(asked):
    client, words = asked({"list commit": json.dumps(OPEN)})
    client.write_file("dots", "master", "/mymark", b"x")
    client.drop_marker("dots", "master", "mymark", False)
    client.finish_open("dots", "master")
    put, delete, _, finish = words()
    assert (put[:3], put[3], put[5:]) == (["put", "file", "dots@master:/mymark"], "-f", ["--project", "team"])
    assert delete == ["delete", "file", "dots@master:/mymark", "--project", "team"]
    assert finish == ["finish", "commit", f"dots@{'a' * 32}", "--project", "team"]


def test_a_marker_is_moved_in_one_commit_with_its_parts(asked):
    root = [{"file": {"path": path}, "fileType": kind} for path, kind in [
        ("/data", "DIR"), ("/mymark", "FILE"), ("/mymark01", "FILE"), ("/mymarkers", "DIR"), ("/output", "FILE"),
    ]]  # fmt: skip
    client, words = asked({"list file": "\n".join(json.dumps(each) for each in root)})
    client.move_marker("dots", "master", "mymark", True, "position", b"x")
    asked_for = [each[:-2] if each[-2:] == ["--project", "team"] else each for each in words()]
    listed, start, put, *deletes, finish = asked_for
    assert listed == ["list", "file", "dots@master:/", "--raw"]
    assert start == ["start", "commit", "dots@master"]
    assert put[:4] == ["put", "file", "dots@master:/position", "-f"]
    assert deletes == [["delete", "file", f"dots@master:/{name}"] for name in ("mymark", "mymark01")]
    assert finish == ["finish", "commit", "dots@master"]
    client.drop_marker("dots", "master", "mymark", True)
    assert [each[:2] for each in words()[6:]] == [
        ["list", "file"], ["start", "commit"], ["delete", "file"], ["delete", "file"], ["finish", "commit"],
    ]  # fmt: skip


def test_create_says_the_project_and_never_reprocesses(asked):
    client, words = asked({})
    client.submit(SPEC, is_update=True)
    client.submit(SPEC, is_update=False)
    update, create = words()
    assert (update[:3], update[4:]) == (["update", "pipeline", "-f"], ["--project", "team"])
    assert create[:3] == ["create", "pipeline", "-f"]


def test_nothing_there(asked):
    client, _ = asked({})
    assert client.pipeline("dots") is None
    assert not client.has_repo("dots")
    with pytest.raises(ClusterError, match="tells no version"):
        client.version()
