"""The runtime with one step of the protocol on 2.x taken out or done wrongly; each must fail in a story of its own.

``story`` are the kills and troubles that bring it to light, ``shows`` is what must come of it: any one of these words
of the verdict (`story_v2.Verdict.broke`), and nothing but what is said there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import spout.__main__ as program
from spout import api
from spout.marker import Announcement
from spout.records import File, UncertainError


@dataclass(frozen=True, slots=True)
class Mutation:
    """What is done to the runtime, in which story, and what it shows as."""

    take_out: Callable[[], None]
    story: Mapping[str, Any] = field(default_factory=dict)
    shows: tuple[str, ...] = ()


Sink: Any = api.ApiSink


def _nothing() -> None:
    """The runtime as it is."""


def _follow_the_head() -> None:
    """No look at the head, and whatever stands there afterwards is taken for ours."""

    def check_commit(sink):
        sink._head = sink._finished(sink._inspect_head().commit).commit.id

    Sink.check_head = lambda sink: None
    Sink.check_commit = check_commit


def _marker_first() -> None:
    plain = Sink.send

    def send(sink, files):
        *data, marker = files
        plain(sink, [marker])
        plain(sink, data)

    Sink.send = send
    _follow_the_head()


def _data_first() -> None:
    plain = Sink.send

    def send(sink, files):
        *data, marker = files
        if not sink.has_committed:  # a spout without any marker refuses to start
            plain(sink, files)
        else:
            plain(sink, data)
            plain(sink, [marker])

    Sink.send = send
    _follow_the_head()


def _no_repair() -> None:
    Sink._repaired_head = Sink._inspect_head


def _no_clear() -> None:
    def repaired_head(sink):
        info = sink._inspect_head()
        if info is not None and info.finishing == api._NEVER:
            sink._client.pfs.finish_commit(commit=info.commit)
        return None if info is None else sink._finished(info.commit)

    Sink._repaired_head = repaired_head


def _no_walk_back() -> None:
    Sink._newest_good = lambda sink, info: None if info.error else info.commit


def _send_again() -> None:
    def commit(sink, files):
        files = [File(file.path, file.size, list(file.chunks)) for file in files]
        for _ in range(5):
            try:
                sink.send(files)
                sink._head = sink._finished(sink._inspect_head().commit).commit.id
            except api._FAILURES:
                continue
            return

    Sink._commit = commit


def _read_again() -> None:
    """After a lost reply the batch is read again from where it began, without a look at the marker."""
    resume, write = Sink.resume, Sink.write
    known: dict[str, Any] = {}

    def resume_where_it_was(sink):
        found = resume(sink)
        return known.get("at", found)

    def write_and_note(sink, batch, committed):
        known["at"] = Announcement(batch.start, None)
        write(sink, batch, committed)
        known["at"] = Announcement(batch.end, None)

    Sink.resume, Sink.write = resume_where_it_was, write_and_note


def _unchecked_error() -> None:
    def check_commit(sink):
        sink._head = sink._finished(api.pfs.Commit(repo=sink._repo, branch=sink._branch)).commit.id

    Sink.check_commit = check_commit


def _no_wait() -> None:
    """The error is looked at while the commit is not finished, so that there is none so far."""

    def check_commit(sink):
        info = sink._inspect_head()
        if info.error:
            raise UncertainError("refused")
        sink._head = sink._finished(info.commit).commit.id

    Sink.check_commit = check_commit


def _no_look_before() -> None:
    Sink.check_head = lambda sink: None


def _no_look_at_the_parent() -> None:
    def check_commit(sink):
        info = sink._finished(api.pfs.Commit(repo=sink._repo, branch=sink._branch))
        if info.error:
            raise UncertainError("refused")
        sink._head = info.commit.id

    Sink.check_commit = check_commit


def _acknowledge_first() -> None:
    write = Sink.write

    def acknowledge_then_write(sink, batch, committed):
        committed(batch.end)
        write(sink, batch, lambda position: None)

    Sink.write = acknowledge_then_write


def _no_delete() -> None:
    plain = api._requests

    def requests(commit, files):
        for request in plain(commit, files):
            if not request.delete_file.path:
                yield request

    api._requests = requests


def _end_well() -> None:
    main = program.main

    def end_with_0():
        main()
        return 0

    program.main = end_with_0


# In the second stream of a batch: the first has three messages.
BETWEEN = {"spout_kills": 6, "steps": ("before message",), "number": 4}
OPEN_HEADS = {"spout_kills": 3, "restarts": 3, "steps": ("after send",)}
OVERTAKEN = {"mode": "first", "zombies": 2, "steps": ("before send",), "dies_late": True, "behind": 1}

MUTATIONS = {
    "": Mutation(_nothing),
    "the marker before the data": Mutation(_marker_first, BETWEEN, ("lost",)),
    # The first batch of each life goes in one stream of five messages.
    "the data before the marker": Mutation(_data_first, {**BETWEEN, "number": 9}, ("repeated",)),
    "no repair of an open head": Mutation(_no_repair, {**OPEN_HEADS, "finish_patience": 0.3}, ("waits for ever",)),
    "an open head is finished, not cleared": Mutation(_no_clear, OPEN_HEADS, ("repeated",)),
    "no walk back to a good commit": Mutation(_no_walk_back, {"mode": "files", "refusals": 2}, ("backwards",)),
    "a lost reply is answered by sending again": Mutation(_send_again, {"lost_replies": 3}, ("again",)),
    "a lost reply is taken for a refusal": Mutation(_read_again, {"lost_replies": 3}, ("repeated", "backwards")),
    "no look at the commit's error": Mutation(_unchecked_error, {"mode": "files", "refusals": 3}, ("lost",)),
    "no wait before the error is looked at": Mutation(
        _no_wait, {"mode": "files", "refusals": 3, "slow": 0.05}, ("lost",)
    ),
    "no look at the head": Mutation(
        _no_look_before, {**OVERTAKEN, "overtaker": "after check commit"}, ("lost", "repeated")
    ),
    "no look at the parent": Mutation(
        _no_look_at_the_parent, {**OVERTAKEN, "overtaker": "before check commit"}, ("lost", "repeated")
    ),
    "acknowledged before it is committed": Mutation(
        _acknowledge_first, {"forgets": True, "spout_kills": 6, "steps": ("before send", "before message")}, ("lost",)
    ),
    "added without a delete": Mutation(
        _no_delete, {"spout_kills": 2, "steps": ("after check commit",), "number": 3}, ("the marker is refused",)
    ),
    "the spout ends with 0": Mutation(_end_well, {"mode": "files", "refusals": 2}, ("ended with 0",)),
}
