"""The local pachd, driven by the real SDK: what it must have in common with a cluster of 2.x."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator

import grpc
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps
from pachyderm_sdk.errors import AuthServiceNotActivated

from spoutgen.local.home import Home
from spoutgen.local.pachd import Pachd, serve
from spoutgen.local.pachd.wire import UnavailableError

SPOUT = {"pipeline": {"name": "dots"}, "transform": {"image": "dots:1", "cmd": ["x"]}, "spout": {}}
BRANCH = pfs.Branch.from_uri("dots@master")
HEAD = pfs.Commit(branch=BRANCH, repo=BRANCH.repo)


class Rig:
    """A served store, a client of the main pachd, one of the sidecar, and a checkpoint to be set."""

    def __init__(self, pachd: Pachd, steps: list[Callable[[str], None]]) -> None:
        self.pachd = pachd
        self.steps = steps
        self.main = Client(port=pachd.port)
        self.sidecar = Client(port=pachd.sidecar_port)

    def create(self, document=SPOUT, **keys):
        return self.main.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(document), **keys)

    def put(self, *ops, commit=HEAD, client=None):
        """One ModifyFile stream of (path, bytes) and, for a delete, (path, None)."""
        requests = [pfs.ModifyFileRequest(set_commit=commit)]
        for path, data in ops:
            if data is None:
                requests.append(pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path)))
            else:
                requests.append(pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=data)))
        (client or self.sidecar).pfs.modify_file(iter(requests))

    def settled(self, commit=HEAD):
        return self.main.pfs.wait_commit(commit)

    def files(self, commit=HEAD):
        found = {}
        for info in self.main.pfs.walk_file(file=pfs.File(commit=commit, path="/")):
            if info.file_type == pfs.FileType.FILE:
                with self.main.pfs.pfs_file(pfs.File(commit=commit, path=info.file.path)) as file:
                    found[info.file.path] = file.read()
        return found

    def commits(self):
        return list(self.main.pfs.list_commit(repo=BRANCH.repo))


@pytest.fixture
def rig(tmp_path) -> Iterator[Rig]:
    steps: list[Callable[[str], None]] = []

    def checkpoint(step: str) -> None:
        for each in list(steps):
            each(step)

    with serve(Home(tmp_path), checkpoint=checkpoint) as pachd:
        yield Rig(pachd, steps)


def refused(code=grpc.StatusCode.UNKNOWN):
    return pytest.raises(grpc.RpcError, check=lambda error: error.code() == code)


# Pipelines


def test_a_spout_is_created_inspected_updated_and_deleted(rig):
    rig.create()
    info = rig.main.pps.inspect_pipeline(pipeline=pps.Pipeline(name="dots"), details=True)
    assert (info.version, info.state, info.type) == (1, pps.PipelineState.PIPELINE_RUNNING, 2)
    assert json.loads(info.user_spec_json) == SPOUT
    assert info.details.transform.cmd == ["x"]
    assert "spout" in info.details.to_dict()
    with refused(grpc.StatusCode.ALREADY_EXISTS):
        rig.create()
    rig.put(("/a", b"1"))
    rig.create(update=True)
    info = rig.main.pps.inspect_pipeline(pipeline=pps.Pipeline(name="dots"))
    assert info.version == 2
    assert rig.settled().description == "close spout commit"
    assert rig.files() == {"/a": b"1"}
    rig.main.pps.delete_pipeline(pipeline=pps.Pipeline(name="dots"))
    assert list(rig.main.pps.list_pipeline()) == []
    assert not rig.main.pfs.repo_exists(BRANCH.repo)


def test_the_sdk_s_create_pipeline_drops_the_spout(rig):
    rig.main.pps.create_pipeline(
        pipeline=pps.Pipeline(name="dots"), transform=pps.Transform(image="dots:1", cmd=["x"]), spout=pps.Spout()
    )
    assert rig.main.pps.inspect_pipeline(pipeline=pps.Pipeline(name="dots")).type == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spout": {"marker": "m"}}, 'unknown field "marker"'),
        ({"spout": {"overwrite": True}}, 'unknown field "overwrite"'),
        ({"standby": True}, 'unknown field "standby"'),
        ({"input": {"pfs": {"repo": "a", "glob": "/"}}}, "must not have an input"),
        ({"s3Out": True}, "s3 output is not supported"),
        ({"autoscaling": True}, "autoscaling can't be used with spouts"),
        ({"pipeline": {"name": "-dots"}}, "alphanumeric"),
        ({"pipeline": {"name": "d.ts"}}, "only alphanumeric"),
        ({"pipeline": {"name": "d" * 52}}, "1 characters longer than the 51 max"),
        ({"pipeline": {"name": "d" * 51, "project": {"name": "longer-one"}}}, "characters longer than the 63 max"),
        ({"podPatch": "{"}, "malformed PodPatch"),
    ],
)
def test_what_the_server_refuses(rig, change, words):
    if "project" in change.get("pipeline", {}):
        rig.main.pfs.create_project(project=pfs.Project(name="longer-one"))
    with pytest.raises(grpc.RpcError, match=words):
        rig.create({**SPOUT, **change})
    assert list(rig.main.pps.list_pipeline()) == []


def test_snake_case_is_taken_and_an_image_filled_in(rig):
    document = {**SPOUT, "transform": {"cmd": ["x"]}, "scheduling_spec": {"node_selector": {"disk": "ssd"}}}
    rig.create(document)
    details = rig.main.pps.inspect_pipeline(pipeline=pps.Pipeline(name="dots"), details=True).details
    assert details.scheduling_spec.node_selector == {"disk": "ssd"}
    assert details.transform.image


def test_projects_keep_names_apart(rig):
    team = {**SPOUT, "pipeline": {"name": "dots", "project": {"name": "team"}}}
    with refused(grpc.StatusCode.NOT_FOUND):
        rig.create(team)
    rig.main.pfs.create_project(project=pfs.Project(name="team"))
    rig.create(team)
    rig.create()
    commit = pfs.Commit.from_uri("team/dots@master")
    rig.put(("/a", b"team"), commit=commit)
    assert rig.files(commit) == {"/a": b"team"}
    assert rig.files() == {}
    listed = rig.main.pps.list_pipeline(projects=[pfs.Project(name="team")])
    assert [info.pipeline.project.name for info in listed] == ["team"]


def test_a_repo_without_a_pipeline_stands_in_the_way(rig):
    rig.main.pfs.create_repo(repo=BRANCH.repo)
    with pytest.raises(grpc.RpcError, match="a repo with the same name already exists"):
        rig.create()


def test_logs_are_read_and_followed(rig, tmp_path):
    rig.create()
    log = Home(tmp_path).log("dots")
    log.parent.mkdir()
    log.write_text("one\ntwo\n")
    pipeline = pps.Pipeline(name="dots")
    assert [line.message for line in rig.main.pps.get_logs(pipeline=pipeline)] == ["one", "two"]
    assert [line.message for line in rig.main.pps.get_logs(pipeline=pipeline, tail=1)] == ["two"]
    following = rig.main.pps.get_logs(pipeline=pipeline, follow=True)
    assert [next(following).message, next(following).message] == ["one", "two"]
    with log.open("a") as file:
        file.write("three\n")
    assert next(following).message == "three"
    following.close()


# Who may write


def test_only_the_sidecar_writes_to_an_output_branch_unless_the_pipeline_is_stopped(rig):
    rig.create()
    with pytest.raises(grpc.RpcError, match="cannot start a commit on an output branch: default/dots@master"):
        rig.put(("/a", b"1"), client=rig.main)
    with pytest.raises(grpc.RpcError, match="cannot start a commit on an output branch"):
        rig.main.pfs.start_commit(branch=BRANCH)
    rig.put(("/a", b"1"))
    rig.main.pps.stop_pipeline(pipeline=pps.Pipeline(name="dots"))
    rig.put(("/b", b"2"), client=rig.main)
    assert rig.files() == {"/a": b"1", "/b": b"2"}


def test_a_start_leaves_an_open_head_into_which_modify_file_writes(rig):
    rig.create()
    rig.put(("/a", b"1"))
    rig.main.pps.stop_pipeline(pipeline=pps.Pipeline(name="dots"))
    rig.main.pps.start_pipeline(pipeline=pps.Pipeline(name="dots"))
    before = rig.commits()
    assert before[0].finishing.year == 1970
    rig.put(("/b", b"2"))
    assert [info.commit.id for info in rig.commits()] == [info.commit.id for info in before]
    assert rig.commits()[0].finishing.year == 1970
    with pytest.raises(grpc.RpcError, match="has not been finished"):
        rig.sidecar.pfs.start_commit(branch=BRANCH)
    rig.sidecar.pfs.clear_commit(commit=before[0].commit)
    rig.sidecar.pfs.finish_commit(commit=before[0].commit)
    assert rig.settled().error == ""
    assert rig.files() == {"/a": b"1"}
    with pytest.raises(grpc.RpcError, match="already finished"):
        rig.put(("/c", b"3"), commit=before[0].commit)
    with pytest.raises(grpc.RpcError, match="cannot clear finished commit"):
        rig.sidecar.pfs.clear_commit(commit=before[0].commit)


# Commits and files


def test_adds_append_and_a_delete_before_replaces(rig):
    rig.create()
    rig.put(("/a", b"1"), ("/a", b"2"), ("/d/x", b"x"), ("/d/y", b"y"))
    rig.put(("/a", b"3"))
    assert rig.files()["/a"] == b"123"
    rig.put(("/a", None), ("/a", b"4"), ("/d/x", None))
    assert rig.files() == {"/a": b"4", "/d/y": b"y"}
    rig.put(("/d/", None), ("/d", b"file"), ("/nowhere", None))
    assert rig.files() == {"/a": b"4", "/d": b"file"}
    rig.put(("/d", None), ("/d/z", b""))
    assert rig.files() == {"/a": b"4", "/d/z": b""}


def test_a_path_conflict_is_an_error_that_comes_later_and_is_passed_over(rig):
    rig.create()
    rig.put(("/a/b", b"1"), ("/c", b"1"))
    good = rig.settled()
    for path in ("/a", "/c/d"):
        rig.put((path, None), (path, b"2"), ("/more", b"2"))
        info = rig.settled()
        assert info.error.startswith("file / directory path collision")
        assert info.finished.year > 1970
    assert info.parent_commit.id != good.commit.id
    rig.put(("/e", b"3"))
    assert rig.settled().error == ""
    assert rig.files() == {"/a/b": b"1", "/c": b"1", "/e": b"3"}


@pytest.mark.parametrize(
    "path", ["/a*", "/a?", "/[a]", "/{a}", "/a!", "/(a)", "/a@b", "/a+b", "/a^b", "/é", "/a/../b", "/./a"]
)
def test_paths_that_are_refused_leave_nothing(rig, path):
    rig.create()
    number = len(rig.commits())
    with pytest.raises(grpc.RpcError, match="invalid"):
        rig.put(("/good", b"1"), (path, b"2"))
    assert len(rig.commits()) == number


def test_messages_above_20_mib_are_refused_and_chunks_below_go_through(rig):
    rig.create()
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED):
        rig.put(("/big", bytes(21 << 20)))
    rig.put(("/big", bytes(19 << 20)), ("/big", bytes(5)))
    assert rig.main.pfs.inspect_file(file=pfs.File(commit=HEAD, path="/big")).size_bytes == (19 << 20) + 5


def test_a_stream_that_breaks_leaves_nothing(rig):
    rig.create()
    number = len(rig.commits())

    def requests():
        yield pfs.ModifyFileRequest(set_commit=HEAD)
        yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/a", raw=b"1"))
        raise ValueError("the client dies")

    with pytest.raises(grpc.RpcError):
        rig.sidecar.pfs.modify_file(requests())
    rig.put(("/b", b"2"))
    assert rig.files() == {"/b": b"2"}
    assert len(rig.commits()) == number + 1


def test_a_reply_lost_after_the_commit(rig):
    rig.create()

    def lose(step):
        if step == "modify: committed":
            raise UnavailableError("the connection is gone")

    rig.steps.append(lose)
    with refused(grpc.StatusCode.UNAVAILABLE):
        rig.put(("/a", b"1"))
    rig.steps.clear()
    assert rig.files() == {"/a": b"1"}


def test_finishing_takes_its_time_and_waiting_waits(rig):
    rig.create()
    rig.settled()
    go_on = threading.Event()
    rig.steps.append(lambda step: go_on.wait(60) if step == "finish: before" else None)
    rig.put(("/a", b"1"))
    info = rig.main.pfs.inspect_commit(commit=HEAD)
    assert info.finishing.year > 1970
    assert info.finished.year == 1970
    done = []
    waiter = threading.Thread(target=lambda: done.append(rig.settled()))
    waiter.start()
    go_on.set()
    waiter.join(60)
    assert done[0].finished.year > 1970


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_a_dead_server_left_is_finished_by_the_next_one(tmp_path):
    def never(step):
        if step == "finish: before":
            raise SystemExit  # ends the finisher's thread alone

    with serve(Home(tmp_path), checkpoint=never) as pachd:
        rig = Rig(pachd, [])
        rig.main.pfs.create_repo(repo=BRANCH.repo)
        rig.put(("/a", b"1"))
        assert rig.main.pfs.inspect_commit(commit=HEAD).finished.year == 1970
    with serve(Home(tmp_path)) as pachd:
        assert Rig(pachd, []).settled().finished.year > 1970
        assert Rig(pachd, []).files() == {"/a": b"1"}


def test_the_newest_commit_can_be_dropped(rig):
    rig.create()
    rig.put(("/a", b"1"))
    rig.settled()
    rig.put(("/a", None), ("/a", b"2"))
    newest = rig.settled()
    with pytest.raises(grpc.RpcError, match="has children"):
        rig.main.pfs.drop_commit(commit=newest.parent_commit)
    rig.main.pfs.drop_commit(commit=newest.commit)
    assert rig.files() == {"/a": b"1"}


# The rest


def test_a_transaction_is_all_or_nothing(rig):
    rig.main.pfs.create_repo(repo=BRANCH.repo)
    with rig.main.transaction.transaction() as transaction:
        commit = rig.main.pfs.start_commit(branch=BRANCH)
        assert commit.id == transaction.id
        assert list(Client(port=rig.pachd.port).pfs.list_commit(repo=BRANCH.repo)) == []
        rig.main.pfs.finish_commit(commit=commit)
    assert rig.settled(commit).error == ""

    def change_of_mind():
        with rig.main.transaction.transaction():
            rig.main.pfs.start_commit(branch=BRANCH)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        change_of_mind()
    assert len(rig.commits()) == 1


def test_files_are_listed_inspected_and_fetched_as_tar(rig):
    rig.create()
    rig.put(("/a", b"1"), ("/d/x", b"22"), ("/d/e/y", b"333"))
    listed = rig.main.pfs.list_file(file=pfs.File(commit=HEAD, path="/"))
    assert [(info.file.path, info.size_bytes) for info in listed] == [("/a", 1), ("/d/", 5)]
    with rig.main.pfs.pfs_tar_file(pfs.File(commit=HEAD, path="/d")) as tar:
        assert [name for name in tar.getnames() if name.endswith(("x", "y"))] == ["/d/e/y", "/d/x"]
    assert rig.main.pfs.path_exists(pfs.File(commit=HEAD, path="/d/e"))
    assert not rig.main.pfs.path_exists(pfs.File(commit=HEAD, path="/z"))


def test_tokens(tmp_path):
    with serve(Home(tmp_path), tokens=["secret"]) as pachd:
        assert Client(port=pachd.port, auth_token="secret").auth.who_am_i().username == "pach:root"
        for client in (Client(port=pachd.port), Client(port=pachd.port, auth_token="wrong")):
            with refused(grpc.StatusCode.UNAUTHENTICATED):
                list(client.pps.list_pipeline())


def test_without_tokens_auth_is_not_activated(rig):
    with pytest.raises(AuthServiceNotActivated):
        rig.main.auth.who_am_i()
    assert rig.main.get_version().major == 2
