"""``spoutgen local`` as a user meets it: pachctl's words and columns, JSON, and what is not there."""

import json
import re
import subprocess

import pytest
from local_shell import PATIENCE, Shell

from spoutgen.local.model import Put
from spoutgen.local.store import Store

ID = "[0-9a-f]{32}"
AGO = r"(?:Less than a second|\d+ seconds?|About a minute|\d+ minutes) ago"


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """A cluster with one pipeline that has made three lines."""
    shell = Shell(tmp_path_factory.mktemp("cluster"))
    shell.new(more="description: grows line by line")
    shell.run("run", "dots", "--commits", "3")
    return shell


def documents(text):
    """The JSON documents that stand one after another in ``text``."""
    decoder, found = json.JSONDecoder(), []
    while text.strip():
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:].lstrip()
    return found


def test_list_pipeline(shell):
    header, row = shell.lines("local", "list", "pipeline")
    assert header.startswith("NAME VERSION INPUT CREATED ")
    assert header.endswith("STATE / LAST JOB  DESCRIPTION")
    assert re.fullmatch(rf"dots 1       none  {AGO} +paused / starting grows line by line", row)


def test_list_repo(shell):
    header, row = shell.lines("local", "list", "repo")
    assert re.fullmatch(r"NAME CREATED +SIZE \(MASTER\) DESCRIPTION", header)
    assert re.fullmatch(rf"dots {AGO} 4B +Output repo for pipeline dots\.", row)


def test_list_branch(shell):
    header, marker, master = shell.lines("local", "list", "branch", "dots")
    assert header == "BRANCH HEAD"
    assert re.fullmatch(f"marker {ID}", marker)
    assert re.fullmatch(f"master {ID}", master)


def test_list_commit(shell):
    header, *rows = shell.lines("local", "list", "commit", "dots@marker")
    assert re.fullmatch(r"REPO BRANCH COMMIT {27}FINISHED +SIZE PROGRESS DESCRIPTION", header)
    assert [re.fullmatch(rf"dots marker {ID} {AGO} +(\d+B) +-", row)[1] for row in rows] == ["9B", "5B", "2B"]
    newest, same = (
        shell.lines("local", "list", "commit", where, "-n", number)[1]
        for where, number in (("dots", "1"), ("dots@master", "2"))
    )
    # Its age may have grown by a second in between.
    assert re.sub(AGO, "", newest).split() == re.sub(AGO, "", same).split()
    assert len(shell.lines("local", "list", "commit", "dots")) == 1 + 3 + 6


def test_an_open_commit(shell):
    with Store(shell.home / "store.db") as store:
        commit = store.start_commit("dots", "master")
        try:
            row = shell.lines("local", "list", "commit", "dots@master", "-n", "1")[1]
            assert re.fullmatch(f"dots master {commit.id} - +- +-", row)
            assert shell.out("local", "get", "file", "dots@master:/output") == "...\n"
        finally:
            store.delete_commit("dots", commit.id)


def test_list_file_and_get_file_by_branch_and_commit(shell):
    for what in ("dots@master", "dots@master:", "dots@master:/", "dots@master:output"):
        assert shell.lines("local", "list", "file", what) == ["NAME    TYPE SIZE", "/output file 4B"]
    ids = [row.split()[2] for row in shell.lines("local", "list", "commit", "dots@marker")[1:]]
    assert shell.out("local", "get", "file", f"dots@{ids[1]}:/mymark") == ".\n..\n"
    assert shell.out("local", "get", "file", "dots@marker:mymark") == ".\n..\n...\n"


def test_get_file_gives_the_bytes_as_they_are(shell):
    data = bytes(range(256)) * 5000
    with Store(shell.home / "store.db") as store:
        store.create_repo("bytes")
        store.put_files("bytes", [Put("b", "d/x", [data], True)])
        try:
            command = shell.command("local", "get", "file", "bytes@b:/d/x")
            done = subprocess.run(command, env=shell.env, cwd=shell.folder, capture_output=True, check=True)
            assert done.stdout == data
            assert shell.lines("local", "list", "file", "bytes@b")[1] == "/d   dir  1.221MiB"
        finally:
            store.delete_repo("bytes")


def test_inspect(shell):
    facts = shell.out("local", "inspect", "pipeline", "dots")
    assert re.match(rf"Name: dots\nDescription: grows line by line\nCreated: {AGO}\nState: paused\nReason:\n", facts)
    assert "Stopped: true" in facts
    assert '"image": "dots:v1"' in facts
    facts = shell.lines("local", "inspect", "commit", "dots@master")
    keys = [line.partition(":")[0] for line in facts]
    assert keys == ["Commit", "Original Branch", "Parent", "Started", "Finished", "Size"]
    assert facts[0] == "Commit: dots@" + shell.lines("local", "list", "branch", "dots")[2].split()[1]


def test_raw(shell):
    (pipeline,) = documents(shell.out("local", "list", "pipeline", "--raw"))
    assert (pipeline["pipeline"], pipeline["version"], pipeline["state"]) == ({"name": "dots"}, "1", "PIPELINE_PAUSED")
    (repo,) = documents(shell.out("local", "list", "repo", "--raw"))
    assert (repo["repo"], repo["sizeBytes"]) == ({"name": "dots"}, "4")
    marker, master = documents(shell.out("local", "list", "branch", "dots", "--raw"))
    assert master["branch"] == {"repo": {"name": "dots"}, "name": "master"}
    first, second, third = documents(shell.out("local", "list", "commit", "--raw", "dots@marker"))
    assert first["commit"]["id"] == marker["head"]["id"]
    assert [commit["sizeBytes"] for commit in (first, second, third)] == ["9", "5", "2"]
    assert second["parentCommit"] == third["commit"]
    assert "parentCommit" not in third
    assert re.fullmatch(r"[-0-9]{10}T[:.0-9]+Z", first["finished"])
    (file,) = documents(shell.out("local", "list", "file", "dots@master", "--raw"))
    assert (file["file"]["path"], file["fileType"], file["sizeBytes"]) == ("/output", "FILE", "4")
    assert documents(shell.out("local", "inspect", "commit", "dots@marker", "--raw")) == [first]


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("list branch dtos", "no repo 'dtos'", "did you mean 'dots'?"),
        ("list commit dots@mster", "no branch in repo 'dots': 'mster'", "did you mean 'master'?"),
        ("get file dots@marker:/mymrk", "no file in dots@marker: '/mymrk'", "did you mean '/mymark'?"),
        ("get file dots@master:/", "no file '/'", "that is a folder: spoutgen local list file dots@master:/"),
        ("inspect pipeline dot", "no pipeline 'dot'", "did you mean 'dots'?"),
        (
            f"inspect commit dots@{'0' * 32}",
            f"no commit in repo 'dots': '{'0' * 32}'",
            "spoutgen local list commit dots",
        ),
        ("delete pipeline d", "no pipeline 'd'", "there is: dots"),
    ],
)
def test_what_is_not_there(shell, words, message, hint):
    assert shell.refused("local", *words.split()) == f"SG502 {message}\n  hint: {hint}\n"


@pytest.mark.parametrize("words", ["get file dots", "get file dots@master", "inspect commit dots", "list file dots"])
def test_malformed_names(shell, words):
    assert "SG901" in shell.refused("local", *words.split(), status=2)


@pytest.mark.parametrize("words", ["", "list", "list pipelines", "get", "put file x"])
def test_unknown_words(shell, words):
    assert "hint: see `spoutgen local" in shell.refused("local", *words.split(), status=2)


def test_a_reader_that_goes_away(shell):
    command = shell.command("local", "list", "commit", "dots")
    run = subprocess.Popen(
        command, cwd=shell.folder, env=shell.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    run.stdout.close()
    assert "Traceback" not in run.stderr.read()
    run.stderr.close()
    assert run.wait(PATIENCE) == 141


def test_looking_makes_nothing(tmp_path):
    empty = Shell(tmp_path)
    assert empty.out("local", "list", "pipeline").split("\t")[0].startswith("NAME VERSION INPUT")
    assert "SG502 no repo 'dots'" in empty.refused("local", "list", "branch", "dots")
    assert "SG502 no pipeline 'dots'" in empty.refused("local", "inspect", "pipeline", "dots")
    assert "nothing was run yet" in empty.refused("local", "delete", "pipeline", "dots")
    assert not empty.home.exists()


def test_delete_pipeline(tmp_path):
    shell = Shell(tmp_path)
    shell.new()
    shell.run("run", "dots", "--commits", "1")
    assert shell.out("local", "delete", "pipeline", "dots") == ""
    assert len(shell.lines("local", "list", "pipeline")) == 1
    assert len(shell.lines("local", "list", "repo")) == 1
    assert not list((shell.home / "logs").iterdir())
    assert "dots: starts for the first time" in shell.out("run", "dots", "--commits", "1")


def test_delete_commit(tmp_path):
    shell = Shell(tmp_path)
    shell.new()
    shell.run("run", "dots", "--commits", "1")
    with Store(shell.home / "store.db") as store:
        head = store.head("dots", "master")
        left = store.start_commit("dots", "master").id
    assert f"SG507 commit dots@{head} is finished" in shell.refused("local", "delete", "commit", f"dots@{head}")
    assert "SG502" in shell.refused("local", "delete", "commit", f"dots@{'0' * 32}")
    assert shell.out("local", "delete", "commit", f"dots@{left}") == ""
    assert head in shell.lines("local", "list", "branch", "dots")[2]


def test_a_commit_that_a_dead_worker_left_open_is_told_with_the_way_out(tmp_path):
    shell = Shell(tmp_path)
    shell.new()
    shell.run("run", "dots", "--commits", "1", "--pachyderm", "1.9.12")
    with Store(shell.home / "store.db") as store:
        left = store.start_commit("dots", "master").id
    shown = shell.out("run", "dots", "--for", "2s", "--pachyderm", "1.10.5")
    assert f"parent commit dots@{left} has not been finished" in shown
    assert f"spoutgen local delete commit dots@{left}" in shown
    shell.out("local", "delete", "commit", f"dots@{left}")
    assert "1 commit in this run" in shell.out("run", "dots", "--commits", "1", "--pachyderm", "1.9.12")
