"""`marker --local`, on the store of 1.x and of 2.x alike: show, export, import, set, rewind, reset, then run on."""

from __future__ import annotations

import json

import pytest

from spoutgen.local.home import Home, running
from spoutgen.local.pachd.commits import Commits, Target
from spoutgen.local.pachd.paths import Change
from spoutgen.local.store import Store

STEPS = {"steps": [[1, 3]], "line": "..."}
PREFIX = "{prefix: mymark}"


@pytest.fixture(params=[1, 2])
def target(request):
    if request.param == 2:
        pytest.importorskip("pachyderm_sdk")
    return request.param


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SPOUTGEN_HOME", str(tmp_path / "home"))
    return Home(tmp_path / "home")


@pytest.fixture
def run(home, spoutgen):
    """Run a project until so many commits changed the output."""

    def make(folder, commits):
        ran = spoutgen("run", folder, "--set", "source.interval=1ms", "--commits", commits)
        assert ran.status == 0, ran.out + ran.err

    return make


def pyramid(height: int) -> str:
    return "".join("." * length + "\n" for length in range(1, height + 1))


def output(home, name="spoutmarker") -> bytes:
    with Store(home.store) as store:
        return b"".join(store.get_file(name, "master", "/output"))


def test_every_verb_then_the_spout_goes_on_from_there(target, home, project, spoutgen, run, tmp_path):
    folder = project(more=f"pachyderm: {target}\n")
    words = (folder, "--local")
    assert spoutgen("marker", "show", *words).err.startswith("SG502")
    run(folder, 4)
    branch = "marker" if target == 1 else "master"
    shown = spoutgen("marker", "show", *words).out
    assert shown.startswith(f'spoutmarker@{branch}:/mymark of the local cluster: 4 lines, the last one "...."')
    kept = spoutgen("marker", "export", *words).out
    assert kept == pyramid(4)
    assert spoutgen("marker", "rewind", "--commits", "2", *words).status == 0
    assert spoutgen("marker", "export", *words).out == pyramid(2)
    # The last line of the marker is written once more, then it goes on.
    run(folder, 2)
    assert spoutgen("marker", "export", *words).out.startswith(pyramid(3))
    (tmp_path / "kept").write_text(kept)
    assert spoutgen("marker", "import", tmp_path / "kept", *words).status == 0
    assert spoutgen("marker", "export", *words).out == kept
    assert spoutgen("marker", "set", json.dumps(STEPS), *words).status == 0
    assert spoutgen("marker", "export", *words).out == pyramid(3)
    assert spoutgen("marker", "reset", *words).status == 0
    assert "none yet" in spoutgen("marker", "show", *words).out
    run(folder, 1)
    assert spoutgen("marker", "export", *words).out.startswith(pyramid(1))
    assert len(spoutgen("marker", "export", *words).out) < len(pyramid(3))
    assert output(home) == b".\n"


def test_rewind_to_a_commit(target, home, project, spoutgen, run):
    folder = project(more=f"pachyderm: {target}\n")
    run(folder, 3)
    with Store(home.store) as store:
        branch = "marker" if target == 1 else "master"
        oldest = [each.id for each in store.commits("spoutmarker", branch) if each.finished][-1]
    assert spoutgen("marker", "rewind", "--to", oldest, folder, "--local").status == 0
    assert spoutgen("marker", "export", folder, "--local").out == pyramid(1)
    unknown = spoutgen("marker", "rewind", "--to", "0" * 32, folder, "--local")
    assert unknown.status == 1
    assert unknown.err.startswith(f"SG612 there is no marker at commit {'0' * 32}")


def test_a_project_of_2_x_that_is_not_the_default(home, project, spoutgen, run):
    pytest.importorskip("pachyderm_sdk")
    folder = project(more="pachyderm: 2\nproject: team\n")
    run(folder, 2)
    assert spoutgen("marker", "show", folder, "--local").out.startswith("team/spoutmarker@master:/mymark")
    assert spoutgen("marker", "rewind", "--commits", "1", folder, "--local").status == 0
    assert spoutgen("marker", "export", folder, "--local").out == pyramid(1)


def test_it_is_left_alone_while_a_run_holds_it(target, home, project, spoutgen, run):
    folder = project(more=f"pachyderm: {target}\n")
    run(folder, 2)
    with running(home, "spoutmarker"):
        refused = spoutgen("marker", "reset", folder, "--local")
    assert refused.status == 3
    assert refused.err.startswith("SG501")
    assert spoutgen("marker", "export", folder, "--local").out == pyramid(2)


def test_an_open_head_of_2_x_is_repaired_and_not_written_into(home, project, spoutgen, run):
    """A client that died leaves one, with half of what it had to say in it."""
    pytest.importorskip("pachyderm_sdk")
    folder = project(more="pachyderm: 2\n")
    run(folder, 2)
    commits = Commits(Store(home.store, is_shared=True), lambda _: None)
    commits.start()
    opened = commits.start_commit("spoutmarker", "master")
    commits.modify(Target("spoutmarker", "", opened.id), [Change("/half", [b"a"])], lambda *_: None)
    commits.close()
    assert spoutgen("marker", "rewind", "--commits", "1", folder, "--local").status == 0
    assert spoutgen("marker", "export", folder, "--local").out == pyramid(1)
    with Store(home.store) as store:
        assert [each.path for each in store.list_files("spoutmarker", "master")] == ["/mymark", "/output"]
        assert all(each.finished for each in store.commits("spoutmarker", "master"))


def test_a_commit_that_cannot_be_is_said_and_the_marker_stays(home, project, spoutgen, run, tmp_path):
    """Somebody committed a folder where the marker stands; such a commit is passed over, and so would ours be."""
    pytest.importorskip("pachyderm_sdk")
    folder = project(more="pachyderm: 2\n")
    run(folder, 1)
    (tmp_path / "kept").write_text(pyramid(3))
    commits = Commits(Store(home.store, is_shared=True), lambda _: None)
    commits.start()
    changes = [Change("/mymark", None), Change("/mymark/below", [b"a"])]
    commits.modify(Target("spoutmarker", "master", ""), changes, lambda *_: None)
    commits.wait(Target("spoutmarker", "master", ""), lambda each: each.finished is not None, lambda: False)
    commits.close()
    refused = spoutgen("marker", "import", tmp_path / "kept", folder, "--local")
    assert refused.status == 1
    assert refused.err.startswith("SG507 commit ")
    assert "file / directory path collision (/mymark/)" in refused.err
    assert spoutgen("marker", "show", folder, "--local").out.startswith(
        "spoutmarker@master:/mymark of the local cluster: none"
    )


def test_a_marker_in_several_parts_is_set_and_imported(target, home, project, spoutgen, run, tmp_path):
    """The index is all that a restart reads, and all that is carried; the parts are written as the spout goes on."""
    folder = project(marker=PREFIX, more=f"pachyderm: {target}\n")
    words = (folder, "--local")
    run(folder, 1)
    high = {"steps": [[1, 998]], "line": "." * 998}
    assert spoutgen("marker", "set", json.dumps(high), *words).status == 0
    assert "998 lines" in spoutgen("marker", "show", *words).out
    run(folder, 5)
    kept = spoutgen("marker", "export", *words).out
    index = json.loads(kept)
    assert (index["spout"], index["source"]) == ("spoutmarker", "symbol")
    height = index["steps"][0][1]
    assert height > 1000, "the second part has begun"
    parts = marker_files(home, target)
    lines = [part.splitlines() for part in (parts["/mymark01"], parts["/mymark02"])]
    assert [len(part) for part in lines] == [1000, height - 1000]
    assert [len(line) for part in lines for line in part] == list(range(1, height + 1))

    (tmp_path / "kept").write_text(kept)
    assert spoutgen("marker", "reset", *words).status == 0
    run(folder, 2)
    assert json.loads(spoutgen("marker", "export", *words).out)["steps"][0][1] < 5
    assert spoutgen("marker", "import", tmp_path / "kept", *words).status == 0
    assert spoutgen("marker", "export", *words).out == kept
    run(folder, 2)
    went_on = json.loads(spoutgen("marker", "export", *words).out)["steps"][0][1]
    assert height < went_on <= height + 2
    # 1.x announces a line before it commits it, so it may end with one that is announced.
    assert output(home).strip(b".") == b"\n"
    assert went_on - len(output(home)) + 1 in ((0, 1) if target == 1 else (0,))
    second = marker_files(home, target)["/mymark02"].splitlines()
    assert [len(line) for line in second] == list(range(1001, went_on + 1))


def marker_files(home, target) -> dict[str, bytes]:
    branch = "marker" if target == 1 else "master"
    with Store(home.store) as store:
        names = [each.path for each in store.list_files("spoutmarker", branch) if each.path.startswith("/mymark")]
        return {name: b"".join(store.get_file("spoutmarker", branch, name)) for name in names}
