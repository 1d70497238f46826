"""2.x: SIGKILL of the runtime and of pachd at every step of the protocol, replies that get lost, heads that are left
open. In the end every record stands in one file and every position in one commit.

With SPOUTGEN_SOAK=1 thirty times as many stories.
"""

import os
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from story_v2 import Story, Zygote
from zygote_v2 import SPOUT_STEPS

ROUNDS = 30 if os.environ.get("SPOUTGEN_SOAK") == "1" else 1


@pytest.fixture(scope="module")
def zygote():
    made = Zygote()
    yield made
    made.close()


@pytest.mark.parametrize("round_", range(ROUNDS))
@pytest.mark.parametrize("step", SPOUT_STEPS)
def test_a_spout_that_is_killed_at_a_step(zygote, tmp_path, step, round_):
    seed = SPOUT_STEPS.index(step) + 100 * round_
    restarts = 10 if step.endswith(("clear", "finish")) else 1
    verdict = Story(zygote, tmp_path, seed, spout_kills=10, restarts=restarts, steps=(step,)).tell()
    assert verdict.is_right, verdict
    assert verdict.kills


@pytest.mark.parametrize("seed", range(3 * ROUNDS))
def test_a_pachd_that_is_killed_and_loses_replies(zygote, tmp_path, seed):
    verdict = Story(zygote, tmp_path, seed, pachd_kills=5, lost_replies=2, last=90).tell()
    assert verdict.is_right, verdict
    assert verdict.kills


@pytest.mark.parametrize("seed", range(6 * ROUNDS))
def test_all_at_once(zygote, tmp_path, seed):
    verdict = Story(zygote, tmp_path, seed, spout_kills=14, pachd_kills=2, lost_replies=1, restarts=2, last=120).tell()
    assert verdict.is_right, verdict
    assert len(Counter(verdict.kills)) > 1


# Each step taken out, and the failure that it is there to prevent.
BREAKS = {
    "the marker before the data": (
        # Two streams: a death between them loses the batch.
        """
def send(self, files, plain=api.ApiSink.send):
    *data, marker = files
    plain(self, [marker]); plain(self, data)
api.ApiSink.send = send
api.ApiSink.check_head = lambda self: None
def check(self, plain=api.ApiSink.check_commit):
    info = self._finished(self._inspect_head().commit); self._head = info.commit.id
api.ApiSink.check_commit = check
""",
        {"spout_kills": 25, "steps": ("after send",)},
        lambda verdict: verdict.lost and not verdict.stuck,
    ),
    "the data before the marker": (
        """
def send(self, files, plain=api.ApiSink.send):
    *data, marker = files
    if not self.has_committed:  # a spout without any marker refuses to start
        return plain(self, files)
    plain(self, data); plain(self, [marker])
api.ApiSink.send = send
api.ApiSink.check_head = lambda self: None
def check(self, plain=api.ApiSink.check_commit):
    info = self._finished(self._inspect_head().commit); self._head = info.commit.id
api.ApiSink.check_commit = check
""",
        {"spout_kills": 25, "steps": ("after send",)},
        lambda verdict: (verdict.repeated or verdict.backwards) and not verdict.stuck,
    ),
    "no repair of an open head": (
        "api.ApiSink._repaired_head = api.ApiSink._inspect_head",
        {"spout_kills": 4, "restarts": 4, "steps": ("after send",), "patience": 3.0},
        lambda verdict: verdict.stuck,
    ),
    "a lost reply is answered by sending again": (
        """
def commit(self, files):
    files = [api.File(f.path, f.size, list(f.chunks)) for f in files]
    for attempt in range(5):
        try:
            self.send(files)
            info = self._finished(self._inspect_head().commit); self._head = info.commit.id
            return
        except api._FAILURES: pass
api.ApiSink._commit = commit
""",
        {"lost_replies": 3},
        lambda verdict: verdict.again and not verdict.stuck,
    ),
    "a lost reply is taken for a refusal": (
        # The batch is read again from where it began, without a look at the marker.
        """
def resume(self, plain=api.ApiSink.resume):
    known = getattr(self, "known", 0)
    return plain(self) if not known else (plain(self), known)[1]
def write(self, batch, committed, plain=api.ApiSink.write):
    self.known = api.Announcement(batch.start, None)
    plain(self, batch, committed)
    self.known = api.Announcement(batch.end, None)
api.ApiSink.resume, api.ApiSink.write = resume, write
""",
        {"lost_replies": 3},
        lambda verdict: verdict.repeated or verdict.backwards,
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_the_check_can_fail(zygote, tmp_path, name):
    mutation, keys, is_expected = BREAKS[name]
    verdict = Story(zygote, tmp_path, 7, mutation=mutation, **keys).tell()
    assert is_expected(verdict), verdict
