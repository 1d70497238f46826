"""What the project's runtime is asked from here: how far the spout is behind its source, and whether it takes a marker.

Where that is not known, why not.
"""

from __future__ import annotations

import json

import pytest

from spoutgen.project.create import create
from spoutgen.project.render import render
from spoutgen.spec import load_text

SOURCE = """
import os
import socket
import time


class Source:
    needs_ack = False

    def __init__(self, options):
        self.options = options
        self.identity = options["name"]

    def open(self, position): ...
    def read(self, limit, timeout): return []
    def ack(self, position): ...
    def close(self): ...

    def probe(self, position):
        if self.options["mode"] == "away":
            raise ConnectionRefusedError("nobody listens at " + os.environ.get("PASSWORD", "there"))
        if self.options["mode"] == "silent":
            time.sleep(600)
        newest = self.options["newest"]
        return [("newest", str(newest)), *([("lag", f"{newest - position} numbers")] if newest > position else [])]
"""


@pytest.fixture
def custom(tmp_path, spoutgen):
    """``custom(name, **options)``: a project with a source of its own."""

    def make(name="numbers", more="", source_py=SOURCE, **options):
        options = {"name": "a", "mode": "fine", "newest": 17, **options}
        source = {"type": "custom", "options": options}
        text = f"version: 1\nname: {name}\nimage: n:1\nsource: {json.dumps(source)}\nmarker: at\n{more}"
        folder = tmp_path / "projects" / name
        create(render(load_text(text, "spout.yaml")), folder)
        (folder / "source.py").write_text(source_py)
        assert spoutgen("update", folder, "--bump").status == 0
        return folder

    return make


def deployed(server, spoutgen, folder, position=12):
    assert spoutgen("deploy", folder).status == 0
    marker = {"spoutgen_marker": 1, "spout": folder.name, "source": "custom:a"}
    at(server, folder, {**marker, "committed": position, "writing": position + 1})
    return folder


def at(server, folder, marker):
    data = json.dumps(marker, separators=(",", ":")).encode() + b"\n"
    server.commit(folder.name, "marker", {"/at": data})


def looked(spoutgen, *words):
    [found] = json.loads(spoutgen("status", *words, "--format", "json", "--timeout", "60s").out)["pipelines"]
    return found["lag"], found["lag_note"]


def test_a_source_that_can_tell(server, spoutgen, custom):
    folder = deployed(server, spoutgen, custom())
    assert looked(spoutgen, folder) == ("5 numbers", None), "from what is committed, not from what is being written"
    assert "Lag: 5 numbers\n" in spoutgen("status", folder, "--timeout", "60s").out
    assert looked(spoutgen, folder, "--no-lag") == (None, "not asked for; --lag asks")
    assert "Lag" not in spoutgen("status", folder, "--no-lag").out


def test_the_settings_are_those_of_the_live_pipeline(server, spoutgen, custom):
    """Its marker has no meaning in what the project was changed to since."""
    folder = deployed(server, spoutgen, custom())
    text = (folder / "spout.yaml").read_text()
    (folder / "spout.yaml").write_text(text.replace('"name": "a"', '"name": "b"').replace("17", "1000"))
    assert spoutgen("update", folder).status == 0
    assert looked(spoutgen, folder) == ("5 numbers", None)


def test_the_lines_of_a_file(server, spoutgen, tmp_path, monkeypatch):
    """What the spout itself wrote into its marker, by a run on this machine."""
    monkeypatch.setenv("SPOUTGEN_HOME", str(tmp_path / "home"))
    (tmp_path / "a.log").write_text("one\ntwo\n")
    source = {"type": "file", "files": f"{tmp_path}/*.log"}
    text = f"version: 1\nname: logs\nimage: l:1\nsource: {json.dumps(source)}\nmarker: at\nbatch: {{wait: 1ms}}\n"
    folder = tmp_path / "logs"
    create(render(load_text(text, "spout.yaml")), folder)
    assert spoutgen("run", folder, "--commits", "1", "--set", "batch.records=2").status == 0
    kept = spoutgen("marker", "export", folder, "--local").out
    assert spoutgen("deploy", folder).status == 0
    committed = {**json.loads(kept), "committed": json.loads(kept)["writing"], "writing": None}
    at(server, folder, committed)
    assert looked(spoutgen, folder) == ("0 bytes", None)
    with (tmp_path / "a.log").open("a") as log:
        log.write("three\n")
    assert looked(spoutgen, folder) == ("6 bytes", None)
    (tmp_path / "a.log").unlink()
    amount, note = looked(spoutgen, folder)
    assert amount is None
    assert "is gone" in note, "no number is made up where the position is lost, or the files are another machine's"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"mode": "away"}, "ConnectionRefusedError: nobody listens at there"),
        ({"newest": 3}, "the source tells none: newest 3"),
    ],
)
def test_a_source_that_cannot_tell_is_no_error(server, spoutgen, custom, options, says):
    folder = deployed(server, spoutgen, custom(**options))
    amount, note = looked(spoutgen, folder)
    assert amount is None
    assert note.startswith(says)
    assert spoutgen("status", folder, "--check", "--timeout", "60s").status == 0
    assert f"Lag: not known; {says}" in spoutgen("status", folder, "--timeout", "60s").out


def test_a_source_that_does_not_answer_has_so_long_and_no_longer(server, spoutgen, custom):
    folder = deployed(server, spoutgen, custom(mode="silent"))
    found = spoutgen("status", folder, "--timeout", "300ms")
    assert (found.status, found.err) == (0, "")
    assert "Lag: not known; no answer within 0.3 s" in found.out
    refused = pytest.raises(SystemExit, match="2")
    with refused:
        spoutgen("status", folder, "--timeout", "2h")


def test_a_secret_that_is_not_here_and_one_that_is(server, spoutgen, custom, monkeypatch):
    folder = deployed(server, spoutgen, custom(mode="away", more="secrets: [{name: s, key: k, env: PASSWORD}]\n"))
    monkeypatch.delenv("PASSWORD", raising=False)
    assert looked(spoutgen, folder) == (None, "secret 's' is to be the variable PASSWORD, which is not set here")
    monkeypatch.setenv("PASSWORD", "canary-in-the-mine")
    assert looked(spoutgen, folder) == (None, "ConnectionRefusedError: nobody listens at ***")


def test_what_else_there_may_be_instead_of_a_lag(server, spoutgen, custom, project):
    assert spoutgen("deploy", custom()).status == 0
    folder = deployed(server, spoutgen, custom("blind", source_py=SOURCE.replace("def probe", "def no_probe")))
    assert looked(spoutgen, folder) == (None, "the source has nothing outside to look at")
    assert looked(spoutgen, folder.parent / "numbers") == (None, "there is no marker yet to count from")
    (folder / "spout" / "check.py").unlink()
    assert looked(spoutgen, folder) == (None, "the project's runtime has no check")
    other = {"spoutgen_marker": 1, "spout": "numbers", "source": "custom:b", "committed": 1, "writing": None}
    at(server, folder.parent / "numbers", other)
    numbers = folder.parent / "numbers"
    says = "marker: found the marker of source 'custom:b'; expected one of source 'custom:a'"
    assert looked(spoutgen, numbers) == (None, says)
    refused = spoutgen("status", numbers, "--check", "--timeout", "60s")
    assert refused.status == 1
    assert f"To do: the spout does not go on from its marker: {says}" in refused.out
    assert looked(spoutgen, project(folder="not deployed"))[0] is None


def test_of_several_only_when_asked_and_each_reason_once(server, spoutgen, custom):
    names = ["away1", "away2", "away3", "away4"]
    folders = [deployed(server, spoutgen, custom(name, mode="away")) for name in names]
    deployed(server, spoutgen, custom("fine"))
    plain = spoutgen("status", "--all", folders[0].parent).out
    assert "not known" not in plain
    assert "numbers" not in plain
    found = spoutgen("status", "--all", folders[0].parent, "--lag", "--timeout", "60s")
    assert (found.status, found.err) == (0, "")
    lines = found.out.splitlines()
    assert lines[5].endswith(" 5 numbers")
    assert all(line.endswith(" -") for line in lines[1:5])
    reason = "ConnectionRefusedError: nobody listens at there"
    assert lines[6:] == [f"the lag of away1, away2, away3 and 1 more is not known: {reason}"]


def marker_of(source, committed=17, spout="numbers"):
    marker = {"spoutgen_marker": 1, "spout": spout, "source": source, "committed": committed, "writing": None}
    return json.dumps(marker, separators=(",", ":")) + "\n"


def test_a_marker_of_another_source_is_refused_by_whom_it_is_for(server, spoutgen, custom, tmp_path):
    """Nobody else knows how the source is named, not even the marker that is there: it may be the wrong one."""
    folder, kept = custom(), tmp_path / "kept"
    kept.write_text(marker_of("custom:b"))
    for words in (
        ["deploy", folder, "--marker", kept],
        ["deploy", folder],
        ["marker", "import", kept, folder, "--stop"],
    ):
        ran = spoutgen(*words)
        if words[1:] == [folder]:
            assert ran.status == 0
            continue
        assert ran.status == 1
        assert ran.err.startswith("SG612 marker: found the marker of source 'custom:b'")
    assert server.head("numbers", "marker") is None
    at(server, folder, json.loads(marker_of("custom:b")))
    kept.write_text(marker_of("custom:a"))
    assert spoutgen("marker", "import", kept, folder, "--stop").status == 0
    assert server.head("numbers", "marker")["/at"].decode() == marker_of("custom:a")
    back = spoutgen("marker", "rewind", "--commits", "1", folder, "--stop")
    assert back.err.startswith("SG612 marker: found the marker of source 'custom:b'")


def test_where_the_runtime_cannot_be_asked_the_marker_that_is_there_tells(server, spoutgen, custom, tmp_path):
    folder, kept = deployed(server, spoutgen, custom()), tmp_path / "kept"
    (folder / "source.py").write_text("import nowhere_to_be_found\n")
    kept.write_text(marker_of("custom:b"))
    refused = spoutgen("marker", "import", kept, folder, "--stop")
    assert refused.err.startswith(
        "SG612 the marker is a position in the source 'custom:b', this spout reads 'custom:a'"
    )
    kept.write_text(marker_of("custom:a"))
    assert spoutgen("marker", "import", kept, folder, "--stop").status == 0


def test_odd_positions(server, spoutgen, custom):
    folder = deployed(server, spoutgen, custom())
    for text in ("NaN", "[1, -Infinity]", "{", "seven"):
        refused = spoutgen("marker", "set", text, folder, "--stop")
        assert refused.status == 2
        assert refused.err.startswith("SG901 the position is not JSON")
