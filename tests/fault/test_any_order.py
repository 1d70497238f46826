"""Commits, crashes of user code and worker, updates and rewinds in any order, against a simple model.

The model: records are numbered, so the end state is known from the last number alone; the marker goes back by one batch
at most, but for a rewind; after whatever happened the spout runs on to its end.
"""

import json
import os
import signal
from contextlib import ExitStack, suppress

import deaths
import worker_life
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from report import IS_SOAK, VERSIONS
from story import Story, delete_open_commits, end, fork, story_folder, tell_the_rest
from test_trouble import progress, update, wait_until

from spoutgen.local.model import Put
from spoutgen.local.store import Store


class AnyOrder(RuleBasedStateMachine):
    """One spout; a rule is something that happens to it."""

    @initialize(version=st.sampled_from(sorted(VERSIONS.values())), seed=st.integers(1, 50))
    def begin(self, version, seed):
        # Batches end in the same places in every life: after a rewind the same files are written again.
        self.story = Story(seed=seed, version=version, fixed=True, kills=10**6, victims=())
        self.open = ExitStack()
        self.folder = self.open.enter_context(story_folder(self.story))
        self.committed, self.worker = 0, 0
        self.start_worker()

    def start_worker(self):
        delete_open_commits(self.story, self.folder)
        self.worker = fork(lambda: worker_life.run(self.folder))

    def kill_worker(self):
        end(self.worker)
        self.worker = 0

    @rule(more=st.integers(1, 6))
    def commits(self, more):
        seen = progress(self.folder)
        wait_until(lambda: progress(self.folder) >= seen + more)

    @rule()
    def user_code_crashes(self):
        starts = [line for line in deaths.noted(self.folder, "log") if "UserCodeStarted(pid=" in line]
        if starts:
            with suppress(ProcessLookupError):
                os.kill(int(starts[-1].rpartition("=")[2].rstrip(")")), signal.SIGKILL)

    @rule()
    def worker_crashes(self):
        self.kill_worker()
        self.start_worker()

    @rule()
    def is_updated(self):
        update(self.folder)
        self.kill_worker()
        self.start_worker()

    # What is drawn must not depend on how far the spout has come by chance: Hypothesis tells the same story again.
    @rule(back=st.integers(0, 10**6))
    def is_rewound(self, back):
        wait_until(lambda: progress(self.folder) > 0)
        self.kill_worker()
        with Store(self.folder / "store.db") as store:
            older = [commit.id for commit in store.commits("dots", "marker") if commit.finished]
            text = b"".join(store.get_file("dots", older[back % len(older)], "/mymark"))
            store.put_files("dots", [Put("marker", "/mymark", [text], True)])
        self.committed = json.loads(text)["committed"] or 0
        self.start_worker()

    @invariant()
    def the_marker_never_goes_back(self):
        with Store(self.folder / "store.db") as store:
            if store.head("dots", "marker") is None:
                return
            marker = json.loads(b"".join(store.get_file("dots", "marker", "/mymark")))
        # A user process that starts again announces the batch in its journal once more: one batch back, no further.
        batch = self.story_most()
        assert (marker["committed"] or 0) >= self.committed - batch, (marker, self.committed)
        self.committed = max(self.committed, marker["committed"] or 0)

    def story_most(self):
        return json.loads((self.folder / "story").read_text())["config"]["source"]["most"]

    def teardown(self):
        if not hasattr(self, "folder"):
            return
        with self.open:
            if self.worker:
                self.kill_worker()
            facts = json.loads((self.folder / "story").read_text())
            (self.folder / "story").write_text(json.dumps({**facts, "kills": 0}))
            outcome = tell_the_rest(self.story, self.folder)
            assert outcome.is_kept, outcome


def test_whatever_happens_in_whatever_order():
    run_state_machine_as_test(
        AnyOrder,
        settings=settings(
            max_examples=300 if IS_SOAK else 20,
            stateful_step_count=8,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
