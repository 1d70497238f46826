"""Sources that keep every promise, however odd they are; and those of which nobody can tell."""

import pytest

from spoutgen.conformance import kills, memory
from spoutgen.conformance.suite import CHECKS

from .projects import FILE_QUEUE, SPEC, changed, outcomes, project

SOURCE_CHECKS = [check.name for check in CHECKS if not check.name.startswith("kill-")]
QUICK = [name for name in SOURCE_CHECKS if name != "memory"]

# Never ends, and every new record is chance. Its position has all of them, so a replay has too.
CHANCE = """
import random
from spout.records import Record

class Source:
    identity, needs_ack = "chance", False
    def __init__(self, options): pass
    def open(self, position): self._all = list(position or [])
    def ack(self, position): pass
    def close(self): pass
    def read(self, limit, timeout):
        records = []
        size = 0
        while len(records) < min(limit.records, 3) and size < limit.bytes and self._all != limit.until:
            new = random.randrange(10**6) if limit.until is None else limit.until[len(self._all)]
            self._all = [*self._all, new]
            records.append(Record(b"%d" % new, self._all, f"{len(self._all)}-{new}"))
            size += len(records[-1].data)
        return records
"""

# A message queue: what is acknowledged is gone for good, the rest is given out again.
ACK = """        with open(self._path + ".acked", "w") as file:
            file.write(str(position))"""
OPEN = """        acked = int(open(self._path + ".acked").read() or 0) if os.path.exists(self._path + ".acked") else 0
        if position is not None and position < acked:
            raise FatalError("source", found="acknowledged", expected="what is not", remedy="none")
        offset = position or acked
"""
QUEUE = changed(
    FILE_QUEUE,
    {
        "needs_ack = False": "needs_ack = True",
        '        """Nobody waits for it: the file keeps everything."""': ACK,
        "        offset = position or 0\n": OPEN,
    },
)


@pytest.fixture(autouse=True)
def _fewer_kills(monkeypatch):
    """The end-to-end tests kill at every step."""
    monkeypatch.setattr(kills, "USER_STEPS", ("after announce", "after write_journal", "inside write_data"))
    monkeypatch.setattr(kills, "WORKER_STEPS", (("after marker put", "after put"),))
    monkeypatch.setattr(kills, "_PATIENCE", 4.0)
    monkeypatch.setattr(memory, "_SPANS_SECONDS", 0.4)


def outcome(results):
    return {result.name: result.outcome for result in results.values()}


def test_a_queue_in_a_file(tmp_path):
    with project(tmp_path, lines=5000, seconds=5.0) as made:
        results = outcomes(made, *SOURCE_CHECKS)
    assert outcome(results) == dict.fromkeys(SOURCE_CHECKS, "ok"), results
    assert results["idle"].note == "after 5000 records"


def test_chance_without_end(tmp_path):
    with project(tmp_path, CHANCE) as made:
        results = outcomes(made, *QUICK, "kill-user-code")
    skipped = {"goes-on"}  # nobody can say what is to come
    ok = dict.fromkeys([*QUICK, "kill-user-code"], "ok")
    assert outcome(results) == ok | dict.fromkeys(skipped, "skipped"), results
    assert "only replays can be compared" in results["resume"].note
    assert "never idle" in results["idle"].note


def test_a_queue_that_forgets_what_is_acknowledged(tmp_path):
    with project(tmp_path, QUEUE) as made:
        results = outcomes(made, "acks", "kill-user-code")
    assert outcome(results) == {"acks": "skipped", "kill-user-code": "skipped"}, results
    assert "went on after every kill, its marker in one chain" in results["kill-user-code"].note


# A plain queue: new messages only, and a range that was given once cannot be given again.
PLAIN_QUEUE = (
    changed(FILE_QUEUE, {"needs_ack = False": "needs_ack = True"})
    + """

from spout.records import UnrepeatableError

class Source(Source):
    def read(self, limit, timeout):
        if limit.until is not None:
            raise UnrepeatableError
        return super().read(limit, timeout)
"""
)


def test_a_plain_queue_that_can_read_no_range_again(tmp_path):
    with project(tmp_path, PLAIN_QUEUE, lines=5000) as made:
        results = outcomes(made, "replay", "resume", "reopens", "acks", "kill-user-code", "kill-worker")
    assert "failed" not in outcome(results).values(), results
    for name in ("replay", "kill-user-code", "kill-worker"):
        assert (results[name].outcome, "can read no range again" in results[name].note) == ("skipped", True), results


def test_no_record_at_all(tmp_path):
    with project(tmp_path, lines=0) as made:
        results = outcomes(made, "loads", *QUICK)
    assert outcome(results) == dict.fromkeys(QUICK, "skipped") | {"loads": "ok"}
    assert "the source gave no record in 1 s" in results["resume"].note


def test_too_few_records(tmp_path):
    with project(tmp_path, lines=2) as made:
        results = outcomes(made, *QUICK)
    skipped = {"limit-records", "limit-bytes", "acks"}
    assert outcome(results) == dict.fromkeys(QUICK, "ok") | dict.fromkeys(skipped, "skipped")
    assert results["acks"].note.startswith("needs 3 records; there were 2 records in 1 s")


def test_the_records_end_before_the_kills(tmp_path):
    with project(tmp_path, lines=8) as made:
        results = outcomes(made, "kill-user-code")
    assert outcome(results) == {"kill-user-code": "skipped"}
    assert "of which none did harm" in results["kill-user-code"].note


def test_files_that_grow_cannot_be_judged(tmp_path):
    spec = changed(SPEC, {'"orders/{first}"}': "orders, overwrite: false}"})
    with project(tmp_path, spec=spec) as made:
        results = outcomes(made, "kill-worker")
    assert outcome(results) == {"kill-worker": "skipped"}
    assert "overwrite" in results["kill-worker"].note
