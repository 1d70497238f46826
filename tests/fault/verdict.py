"""The end state of a story against what a run without faults leaves: every file and byte on master, and the marker."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import streams
from mutations import json_of
from spout import output

from spoutgen.local.generations import generation_of
from spoutgen.local.model import Commit
from spoutgen.local.store import Store

ODD = "*[é]@/../+"  # what Pachyderm takes in no file's name, or as a folder


@dataclass(frozen=True, slots=True)
class Found:
    """Records missing, records that stand there more than once, and in words whatever else differs."""

    last: int
    lost: int
    repeated: int
    wrong: tuple[str, ...]


def is_complete(kind: str, folder: Path) -> bool:
    """Whether the last record of the stream has been committed, in a stream that has an end."""
    last = streams.end_of(folder)
    if last == streams.ENDLESS:
        return False
    with Store(folder / "store.db") as store:
        if kind == "queue":
            return set(range(1, last + 1)) <= set(streams.acknowledged(folder))
        if kind in ("pyramid", "parts"):
            return len(_get(store, "master", "/output")) - 1 == last * _width(folder)
        return any(_range(path)[1] == last for path in _data(store))


def compare(kind: str, folder: Path) -> Found:
    """Look at the whole end state."""
    last = streams.end_of(folder)
    facts = json_of(folder / "story")
    with Store(folder / "store.db") as store:
        commits_torn = generation_of(facts["version"]).starts_commit != "after tar"
        if kind in ("pyramid", "parts"):
            return _pyramid(store, facts, last, commits_torn)
        if last == streams.ENDLESS:  # it never came to the end: what counts is what lies below the newest record
            last = _newest(store, kind)
        return _queue(store, last, commits_torn) if kind == "queue" else _sequence(store, facts, last)


def _newest(store, kind):
    if kind == "queue":
        return max((int(line.split()[0]) for path in _data(store) for line in _lines(store, path)[:-1]), default=0)
    return max((_range(path)[1] for path in _data(store)), default=0)


def expected_files(seed: int, sizes: str, ranges: list[tuple[int, int]]) -> dict[str, bytes]:
    """What a run without faults leaves if its batches are ``ranges``, in format lines."""
    return {
        f"/data/{streams.name_of(first)}-{streams.name_of(end)}": b"".join(
            streams.record_bytes(seed, sizes, number) + b"\n" for number in range(first, end + 1)
        )
        for first, end in ranges
    }


def _sequence(store, facts, last):
    seed, sizes = facts["seed"], facts["sizes"]
    paths, wrong = _data(store), []
    counts = Counter(number for path in paths for number in range(_range(path)[0], _range(path)[1] + 1))
    for path in paths:
        if "-" in path:
            (expected,) = expected_files(seed, sizes, [_range(path)]).values()
        else:
            expected = streams.record_bytes(seed, sizes, _range(path)[0])
        if _get(store, "master", path) != expected:
            wrong.append(f"{path} has other bytes")
    if facts["fixed"] and facts["kind"] == "lines":
        wrong += [f"{path}: a batch that nobody made" for path in set(paths) ^ set(_fixed_paths(facts, last))]
    lost = sum(1 for number in range(1, last + 1) if not counts[number])
    wrong += [] if facts["spout"] == "naive" else _marker_faults(store, last)
    beyond = sum(1 for number in counts if number > last)
    return Found(last, lost, sum(count - 1 for count in counts.values()) + beyond, tuple(wrong + _others(store)))


def _fixed_paths(facts, last):
    at = 0
    while at < last:
        end = min(last, streams.boundary_after(facts["seed"], at, facts["config"]["source"]["most"]))
        yield f"/data/{streams.name_of(at + 1)}-{streams.name_of(end)}"
        at = end


def _queue(store, last, commits_torn):
    """At least once: each message that the queue may forget is there, whole.

    Up to 1.11.2 a part of a torn tar is committed, and here for good: there the end of such a file is no message.
    """
    counts: Counter[int] = Counter()
    wrong = []
    for path in _data(store):
        *whole, rest = _lines(store, path)
        if rest and not commits_torn:
            wrong.append(f"{path} ends inside a message")
        for line in whole:
            number = int(line.split()[0])
            counts[number] += 1
            if line != streams.message_bytes(number):
                wrong.append(f"message {number} has other bytes")
    lost = sum(1 for number in range(1, last + 1) if not counts[number])
    return Found(last, lost, sum(count - 1 for count in counts.values()), tuple(wrong))


def _lines(store, path):
    return _get(store, "master", path).split(b"\n")


def _pyramid(store, facts, last, commits_torn):
    """The marker is the whole pyramid; in the history of the output each line was written once, in order."""
    symbol, prefix = facts["config"]["source"]["symbol"], facts["kind"] == "parts"
    heights = [(len(line) - 1) // len(symbol) for line in _written_lines(store, commits_torn)]
    if last == streams.ENDLESS:
        return Found(max(heights, default=0), 0, 0, ())
    lines = [symbol * height for height in range(1, last + 1)]
    steps = [after - before for before, after in zip([0, *heights], heights, strict=False)]
    wrong = []
    if _get(store, "master", "/output") != f"{lines[-1]}\n".encode():
        wrong.append("the output is not the last line")
    parts = {}
    size = facts["part"] if prefix else last
    for at in range(0, last, size):
        name = f"/mymark{at // size + 1:02}" if prefix else "/mymark"
        parts[name] = "".join(f"{line}\n" for line in lines[at : at + size])
    for name, text in parts.items():
        if _get(store, "marker", name) != text.encode():
            wrong.append(f"{name} is not the pyramid")
    if prefix and json.loads(_get(store, "marker", "/mymark") or b"{}").get("line") != lines[-1]:
        wrong.append("the index has another line")
    return Found(
        last, sum(step - 1 for step in steps if step > 1), sum(1 - step for step in steps if step < 1), tuple(wrong)
    )


def _marker_faults(store, last):
    text = _get(store, "marker", "/mymark") or b"{}"
    try:
        marker = json.loads(text)
    except ValueError:
        return [f"the marker is torn: {text[-80:]!r}"]
    if marker.get("writing") != last or not (marker.get("committed") or 0) < last:
        return [f"the marker says {marker}, the last record is {last}"]
    return []


def _others(store):
    """What stands on master beside the data. 1.11.3 to 1.11.7 copy the marker there, empty."""
    head = _head(store, "master")
    top = store.list_files("dots", head) if head else []
    strange = [info.path for info in top if info.path != "/data" and (info.path, info.size) != ("/mymark", 0)]
    return [f"{path} on master" for path in strange]


def _width(folder):
    return len(json_of(folder / "story")["config"]["source"]["symbol"])


def _range(path):
    first, _, end = path.rpartition("/")[2].replace(output.legal(ODD), "").partition("-")
    return int(first), int(end or first)


def _written_lines(store, commits_torn):
    """The lines that ever stood in the output, in order.

    Up to 1.11.2 a part of a torn tar is committed (``commits_torn``), until it is written again: without its line end,
    so it is left out.
    """
    commits: list[Commit] = store.commits("dots", "master")
    lines = [
        _get(store, commit.id, "/output")
        for commit in reversed(commits)
        if commit.finished is not None and commit.is_changed
    ]
    written = [line for line in lines if line.endswith(b"\n") or not commits_torn]
    return [line for before, line in zip([b"", *written], written, strict=False) if line != before]


def _head(store, branch):
    """The newest finished commit: the head itself may be open."""
    return next((commit.id for commit in store.commits("dots", branch) if commit.finished is not None), None)


def _get(store, ref, path):
    head = ref if len(ref) == 32 else _head(store, ref)
    if head is None or (not any(info.path == path for info in store.list_files("dots", head)) and "/data/" not in path):
        return b""
    return b"".join(store.get_file("dots", head, path))


def _data(store):
    head = _head(store, "master")
    if head is None or not any(info.path == "/data" for info in store.list_files("dots", head)):
        return []
    return [info.path for info in store.list_files("dots", head, "/data")]
