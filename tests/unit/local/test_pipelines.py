"""Pipelines: created, updated, adopted, deleted."""

import json

import pytest

from spoutgen.errors import MachineError, ProjectError
from spoutgen.local import pipelines
from spoutgen.local.model import Put
from spoutgen.local.refused import NotFoundError
from spoutgen.local.spec import parse, read_spec
from spoutgen.local.store import Store


def document(symbol="."):
    return {
        "pipeline": {"name": "dots"},
        "description": "grows",
        "transform": {"image": "dots:v1", "cmd": ["python3", "/app/main.py"], "env": {"SYMBOL": symbol}},
        "spout": {"marker": "mymark", "overwrite": True},
    }


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / "store.db") as store:
        yield store


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pipeline.json").write_text(json.dumps(document()))
    return folder


def test_the_first_submit_creates(store, folder):
    pipeline = pipelines.submit(store, parse(document()), folder)
    assert (pipeline.version, pipeline.state, pipeline.folder) == (1, "starting", str(folder))
    assert [branch.name for branch in store.branches("dots")] == ["marker", "master"]


def test_without_a_marker_there_is_no_marker_branch(store, folder):
    plain = document()
    del plain["spout"]["marker"]
    pipelines.submit(store, parse({**plain, "output_branch": "out"}), folder)
    assert [branch.name for branch in store.branches("dots")] == ["out"]


def test_the_same_spec_is_the_same_version(store, folder):
    first = pipelines.submit(store, parse(document()), folder)
    again = pipelines.submit(store, parse(json.loads(json.dumps(document(), indent=4))), folder)
    assert again == first


def test_another_spec_is_the_next_version_with_the_heads_kept(store, folder):
    first = pipelines.submit(store, parse(document()), folder)
    marker = store.put_files("dots", [Put("marker", "mymark", [b".\n"], True)])
    done = store.start_commit("dots", "master")
    store.put_files("dots", [Put(done.id, "output", [b".\n"], True)])
    store.finish_commit("dots", done.id)
    left_open = store.start_commit("dots", "master")
    store.put_files("dots", [Put(left_open.id, "output", [b"half"], True)])
    second = pipelines.submit(store, parse(document("*")), folder)
    assert (second.version, second.created) == (2, first.created)
    assert second.spec_commit != first.spec_commit
    assert store.head("dots", "marker") == marker.id
    head = store.commit("dots", "master")
    assert (head.id, head.size) == (left_open.id, 0)
    assert head.finished is not None
    store.finish_commit("dots", store.start_commit("dots", "master").id)
    assert b"".join(store.get_file("dots", "master", "output")) == b".\n"


def test_a_pipeline_of_another_folder_is_not_touched(store, folder, tmp_path):
    first = pipelines.submit(store, parse(document()), folder)
    with pytest.raises(MachineError) as error:
        pipelines.submit(store, parse(document("*")), tmp_path / "other")
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "SG504"
    assert "spoutgen local delete pipeline dots" in diagnostic.hint
    assert pipelines.inspect(store, "dots") == first


def test_a_pipeline_whose_folder_is_gone_is_adopted(store, folder, tmp_path):
    pipelines.submit(store, parse(document()), folder)
    (folder / "pipeline.json").unlink()
    other = pipelines.submit(store, parse(document()), tmp_path / "other")
    assert (other.version, other.folder) == (1, str(tmp_path / "other"))


def test_delete_takes_the_repo_along(store, folder):
    pipelines.submit(store, parse(document()), folder)
    pipelines.delete(store, "dots")
    assert (pipelines.pipelines(store), store.repos()) == ([], [])
    with pytest.raises(NotFoundError):
        pipelines.delete(store, "dots")
    assert pipelines.submit(store, parse(document()), folder).version == 1


def test_a_misspelt_name(store, folder):
    pipelines.submit(store, parse(document()), folder)
    with pytest.raises(NotFoundError) as error:
        pipelines.inspect(store, "dtos")
    assert error.value.diagnostics[0].hint == "did you mean 'dots'?"


def test_camel_case_is_read_too():
    camel = document()
    camel["transform"] |= {"acceptReturnCode": [3], "workingDir": "/app", "secrets": [{"name": "n", "envVar": "E"}]}
    spec = parse({**camel, "outputBranch": "out"})
    assert (spec.output_branch, spec.accepted_statuses, spec.working_dir) == ("out", {3}, "/app")
    assert spec.secrets[0].env_var == "E"


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "[]",
        "{}",
        json.dumps({**document(), "pipeline": {"name": "../up"}}),
        json.dumps({**document(), "transform": {"image": "i"}}),
        json.dumps({"pipeline": {"name": "dots"}, "transform": {"cmd": ["x"]}}),
    ],
)
def test_what_is_no_spout_is_refused(tmp_path, wrong):
    (tmp_path / "pipeline.json").write_text(wrong)
    with pytest.raises(ProjectError, match="SG506"):
        read_spec(tmp_path / "pipeline.json")


class Racing(Store):
    """A store in which a worker gets ahead of whoever has just looked at a commit."""

    def __init__(self, path, step):
        super().__init__(path)
        self._step = step

    def commit(self, repo, ref):
        seen = super().commit(repo, ref)
        if seen.finished is None:
            self._step(self, repo, seen.id)
        return seen


@pytest.mark.parametrize("step", [Store.finish_commit, Store.delete_commit])
def test_an_update_stands_a_worker_that_finishes_or_deletes_its_commit_meanwhile(store, folder, step):
    pipelines.submit(store, parse(document()), folder)
    store.start_commit("dots", "master")
    with Racing(store.path, step) as racing:
        assert pipelines.submit(racing, parse(document("*")), folder).version == 2
