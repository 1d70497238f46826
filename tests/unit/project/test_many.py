"""One command over many projects: in parallel, and none of them stops the others."""

import os
import shutil
import signal
from functools import partial

import pytest
from projects import replace

from spoutgen.errors import MachineError, ProjectError
from spoutgen.project.many import find_projects, for_all
from spoutgen.project.plan import plan, quick_plan
from spoutgen.project.update import quick_update, update


@pytest.fixture
def tree(project, tmp_path):
    root = tmp_path / "tree"
    for name in ("a", "b/c", "b/d", "e"):
        shutil.copytree(project, root / name)
    return root


def test_projects_are_found_in_order_and_links_and_hidden_folders_are_not_entered(tree, project, tmp_path):
    shutil.copytree(project, tree / ".hidden/p")
    shutil.copytree(project, tree / "a/inside")
    (tree / "link").symlink_to(project)
    assert find_projects(tree) == [tree / name for name in ("a", "b/c", "b/d", "e")]
    assert find_projects(tree / "a") == [tree / "a"]
    for folder in (tmp_path / "nowhere", tmp_path / "template"):
        with pytest.raises(ProjectError, match="SG401"):
            find_projects(folder)


def test_a_folder_that_cannot_be_looked_into_is_an_error(somebody):
    with somebody() as project:
        closed = project.parent / "closed"
        closed.mkdir()
        closed.chmod(0)
        with pytest.raises(MachineError, match="cannot be looked into"):
            find_projects(project.parent)
        closed.rmdir()


def test_those_with_something_to_do_are_updated_and_a_failure_stops_nobody(tree):
    for name in ("a", "b/c", "e"):
        replace(tree / name / "spout.yaml", '"."', '"*"')
    replace(tree / "b/c/spout.yaml", "symbol, symbol", "symbl, symbol")
    (tree / "e/.spoutgen/lock.json").write_text("{")
    outcomes = {outcome.folder: outcome for outcome in for_all(find_projects(tree), quick_update, update)}
    assert {folder.relative_to(tree).as_posix(): outcome.status for folder, outcome in outcomes.items()} == {
        "a": 0,
        "b/c": 1,
        "b/d": 0,
        "e": 1,
    }
    assert [decision.path for decision in outcomes[tree / "a"].plan.news] == ["pipeline.json"]
    assert outcomes[tree / "b/c"].problems[0].code == "SG204"
    assert outcomes[tree / "e"].problems[0].code == "SG405"
    assert "*" in (tree / "a/pipeline.json").read_text()


def die(which, folder):
    if folder.name == which:
        os.kill(os.getpid(), signal.SIGKILL)
    return plan(folder)


def stumble(which, folder):
    if folder.name == which:
        raise ZeroDivisionError("a bug of ours")
    return plan(folder)


def nothing_is_quick(folder):
    return None


def test_a_worker_that_is_killed_is_told(tree):
    outcomes = list(for_all(find_projects(tree), nothing_is_quick, partial(die, "c")))
    assert {outcome.folder for outcome in outcomes} == set(find_projects(tree))
    (killed,) = (outcome for outcome in outcomes if outcome.folder.name == "c")
    assert (killed.status, killed.problems[0].code) == (3, "SG416")


def test_a_bug_of_ours_is_told_with_its_traceback(tree):
    outcomes = list(for_all(find_projects(tree), nothing_is_quick, partial(stumble, "d")))
    assert {outcome.folder.name: outcome.status for outcome in outcomes} == {"a": 0, "c": 0, "d": 70, "e": 0}
    assert any("a bug of ours" in outcome.crash for outcome in outcomes)


def test_what_has_nothing_to_do_is_known_without_rendering(project):
    assert quick_plan(project).is_something_to_do is False
    replace(project / "main.py", '"""', '"""Mine. ')
    assert quick_plan(project).image.is_reused
    assert quick_update(project, bump="needed") is None
    replace(project / "spout.yaml", '"."', '"*"')
    assert quick_plan(project) is None


def test_two_hundred_projects(project, tmp_path):
    root = tmp_path / "tree"
    names = [f"{number:03d}" for number in range(200)]
    for name in names:
        shutil.copytree(project, root / name, copy_function=os.link)
    wrong, conflict, done = set(names[::50]), set(names[1::50]), set(names[2::10])
    for name in set(names) - done:
        for file in ("spout.yaml", "pipeline.json"):  # what is shared is not to be written into
            data = (root / name / file).read_bytes()
            (root / name / file).unlink()
            (root / name / file).write_bytes(data)
        replace(root / name / "spout.yaml", '"."', '"*"')
        if name in wrong:
            replace(root / name / "spout.yaml", "version: 1", "version: 7")
        if name in conflict:
            replace(root / name / "pipeline.json", "30", "31")
    outcomes = {one.folder.name: one for one in for_all(find_projects(root), quick_update, update)}
    assert sorted(outcomes) == names
    assert {name for name in names if outcomes[name].status} == wrong
    assert {name for name in names if outcomes[name].plan and outcomes[name].plan.conflicts} == conflict
    assert {name for name in names if outcomes[name].plan and not outcomes[name].plan.news} == done
    for name in set(names) - wrong - conflict - done:
        assert '\\"*\\"' in (root / name / "pipeline.json").read_text()
