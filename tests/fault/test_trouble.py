"""What goes wrong without a kill, and kills on top: full disks, a slow worker, a clock that goes back, odd names,
a marker that says nothing, an update while the old worker runs. In the end nothing is lost and nothing comes twice.
"""

import json
import time

import deaths
import pytest
import worker_life
from patience import Patience
from report import VERSIONS
from story import (
    REFUSALS,
    Story,
    document_of,
    end,
    fork,
    story_folder,
    tell_all,
    tell_the_rest,
)

from spoutgen.local import pipelines
from spoutgen.local.generations import generation_of
from spoutgen.local.model import Put
from spoutgen.local.spec import parse
from spoutgen.local.store import Store

PATIENCE = 120.0
TROUBLES = {
    "temporary file full": {"trouble": "temporary file full"},
    "store full": {"trouble": "store full", "sizes": "pipe", "victims": ("worker",), "kills": 5},
    "clock back": {"trouble": "clock back"},
    "slow worker": {"pause": 0.1},
    "odd names": {"kind": "odd names"},
}


@pytest.mark.parametrize("name", TROUBLES)
def test_trouble_loses_nothing_and_repeats_nothing(name):
    versions = [
        version
        for version in VERSIONS.values()
        # Up to 1.11.2 there is no such file, and any error of the worker's own drops the rest of a tar.
        if name != "temporary file full" or generation_of(version).starts_commit == "after tar"
    ]
    stories = [Story(seed=3, version=version, **{"kills": 4, **TROUBLES[name]}) for version in versions]
    assert [outcome for outcome in tell_all(stories) if not outcome.is_kept] == []


GOOD = b'{"spoutgen_marker":1,"spout":"dots","source":"sequence","committed":1,"writing":2}\n'
BAD = {
    "empty": (b"", "that holds nothing"),
    "truncated": (GOOD[:50], "that is cut or broken"),
    "garbage": (bytes(range(256)), "that holds plain text"),
    "of another source": (GOOD.replace(b"sequence", b"kafka:trades"), "of source 'kafka:trades'"),
    "of a newer version": (GOOD.replace(b":1,", b":2,", 1), "in format 2"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_marker_that_says_nothing_stops_the_spout_until_a_good_one_is_back(name):
    story = Story(seed=5, version="1.12.1", kills=1, victims=())
    data, said = BAD[name]
    with story_folder(story) as folder:
        run_until(folder, lambda: progress(folder) >= 3)
        with Store(folder / "store.db") as store:
            good = b"".join(store.get_file("dots", "marker", "/mymark"))
            store.put_files("dots", [Put("marker", "/mymark", [data], True)])
        heads = committed(folder)
        stuck = run_until(folder, lambda: False)
        assert stuck.startswith("gives up: 1: ")
        assert any(said in line for line in deaths.noted(folder, "log"))
        assert committed(folder) == heads
        with Store(folder / "store.db") as store:
            for commit in store.commits("dots"):
                if commit.finished is None:
                    store.delete_commit("dots", commit.id)
            store.put_files("dots", [Put("marker", "/mymark", [good], True)])
        deaths.note(folder, "kills", "the end")
        assert tell_the_rest(story, folder).is_kept


@pytest.mark.parametrize("kind", ["lines", "pyramid"])
@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
def test_an_update_while_the_old_worker_still_runs(version, kind):
    """Old and new worker at once, for a while. From 1.11.3 to 1.12.0 the new one may need to be started once more:

    the old one deletes open commits whenever it starts (docs/explanation/delivery.md).
    """
    story = Story(seed=11, version=version, kind=kind, kills=2, victims=(), fixed=True)
    with story_folder(story) as folder:
        old = fork(lambda: worker_life.run(folder))
        new = 0
        try:
            wait_until(lambda: progress(folder) >= 4)
            update(folder)
            new = fork(lambda: worker_life.run(folder, "pfs2"))
            starts = len(deaths.noted(folder, "lives"))
            wait_until(lambda: len(deaths.noted(folder, "lives")) >= starts + 2)
            before = refused(folder) + progress(folder)
            wait_until(lambda: refused(folder) + progress(folder) >= before + 5)
        finally:
            end(old)
            deaths.note(folder, "kills", "the old worker")
            if new:
                end(new)
                deaths.note(folder, "kills", "the new worker")
        outcome = tell_the_rest(story, folder)
    assert outcome.is_kept, outcome


def test_a_new_worker_goes_on_by_itself_once_the_old_one_is_gone_from_1_12_1_on():
    story = Story(seed=11, version="1.12.1", kills=1, victims=(), fixed=True)
    with story_folder(story) as folder:
        old = fork(lambda: worker_life.run(folder))
        try:
            wait_until(lambda: progress(folder) >= 4)
            update(folder)
            new = fork(lambda: worker_life.run(folder, "pfs2"))
        finally:
            end(old)
        try:
            seen = progress(folder)
            wait_until(lambda: progress(folder) >= seen + 5)
        finally:
            end(new)
        deaths.note(folder, "kills", "the new worker")
        assert tell_the_rest(story, folder).is_kept


def update(folder):
    """What `update pipeline` does: the next version of the same spec."""
    config = json.loads((folder / "story").read_text())["config"]
    with Store(folder / "store.db") as store:
        version = pipelines.inspect(store, "dots").version
        pipelines.submit(store, parse(document_of(config, f"version {version + 1}")), folder)


def run_until(folder, condition):
    """Run a worker until ``condition``, or until it is stuck; says how."""
    pid = fork(lambda: worker_life.run(folder))
    patience = Patience(folder, pid, 4.0, REFUSALS)
    stuck = [""]

    def is_over():
        stuck[0] = patience.lost()
        return bool(stuck[0]) or condition()

    try:
        wait_until(is_over)
    finally:
        end(pid)
    return stuck[0]


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def progress(folder):
    return len(deaths.noted(folder, "progress"))


def refused(folder):
    return sum(len(deaths.noted(folder, name)) for name in ("refusals", "wedged"))


def committed(folder):
    with Store(folder / "store.db") as store:
        return [commit.id for commit in store.commits("dots") if commit.finished and commit.is_changed]
