"""Checks of the source's records themselves: that they come, and what they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from spoutgen.conformance.bench import Bench
from spoutgen.conformance.outcome import FailedError, SkippedError
from spoutgen.conformance.probe import Seen, brief
from spoutgen.local.paths import checked, is_marker
from spoutgen.local.refused import RefusedError
from spoutgen.local.refused import reason as refusal


def loads(bench: Bench) -> str:
    """The source can be made twice, and calls itself the same each time."""
    with bench.bare_probe() as probe:
        made = [probe.make(), probe.make()]
        made.append((probe.identity(), made[0][1]))
    identities = [identity for identity, _ in made]
    kind = str(bench.subject.config.get("source", {}).get("type"))
    if len(set(identities)) > 1:
        raise FailedError(
            "one identity for ever",
            " and ".join(sorted({brief(identity) for identity in identities})),
            "let it follow from the options alone: a spout refuses a marker of another identity",
        )
    if identities[0] != kind and not identities[0].startswith(f"{kind}:"):
        expected = f"{kind!r} or {kind + ':...'!r}"
        raise FailedError(f"the identity {expected}", repr(identities[0]), "put the source's type before it")
    return f"identity {identities[0]}"


def records(bench: Bench) -> str:
    """Reads give Records: bytes, a name, a position."""
    found = bench.records
    if not found:
        raise SkippedError(
            f"the source gave no record in {bench.seconds:g} s; put some where it reads, or wait longer: --seconds N"
        )
    for number, record in enumerate(found, start=1):
        if record.fault:
            raise FailedError(
                "Records of spout.records, with bytes as data, a name and a position",
                f"{record.fault} (record {number})",
                "return [Record(data=b'...', position=..., name='...'), ...]",
            )
    return f"{len(found)} records"


def positions(bench: Bench) -> str:
    """Positions come back from JSON as they were, and none comes twice: a marker would go back."""
    for number, record in enumerate(bench.records, start=1):
        if record.position_fault:
            raise FailedError(
                "positions that come back from JSON as they were, for the marker is JSON",
                f"{record.position_fault} (record {number}, {record.name!r})",
                "use text, numbers, lists, or objects with text as keys: [3, 17] for (3, 17), text for a time",
            )
    twice = _first_twice(bench.records, lambda record: json.dumps(record.position, sort_keys=True))
    if twice:
        first, second = twice
        raise FailedError(
            "a position of its own for each record, always further on",
            f"position {brief(bench.records[first].position)} after record {first + 1} and again after {second + 1}",
            "let the position say all that is needed to go on there; a marker that goes back repeats or loses records",
        )
    return f"{len(bench.records)} positions"


def names(bench: Bench) -> str:
    """Each record has a name of its own, and its file a legal path away from the marker."""
    marker = str(bench.subject.spec.marker)
    for number, record in enumerate(bench.records, start=1):
        fault = record.path_fault or _path_fault(record.path or "", marker)
        if fault:
            raise FailedError(
                "a name that makes a legal path",
                f"{fault} (record {number}, {brief(record.name)!r})",
                "derive the name from the position: digits and letters, short; change `output.path` in spout.yaml",
            )
    twice = _first_twice(bench.records, lambda record: record.name)
    if twice:
        first, second = twice
        raise FailedError(
            "a name of its own for each record",
            f"the name {brief(bench.records[first].name)!r} for record {first + 1} and for record {second + 1}",
            "derive the name from the position; files of one name overwrite each other",
        )
    return f"{len(bench.records)} names, such as {brief(bench.records[0].name)!r}"


def marker(bench: Bench) -> str:
    """What is announced as marker files is read back as it was, from the file with the marker's exact name."""
    found = bench.at_least(2)
    name = bench.subject.spec.marker
    ends = [None, *(record.position for record in found)]
    step = min(bench.subject.records_a_batch, len(found))
    pairs = list(zip(ends, ends[step:], strict=False))
    with bench.probe() as probe:
        for committed, writing in pairs:
            told = probe.marker(committed, writing)
            if told["back"] != [committed, writing]:
                raise FailedError(
                    f"committed {brief(committed)}, writing {brief(writing)} to come back from the marker",
                    f"committed {brief(told['back'][0])}, writing {brief(told['back'][1])}",
                    "mend the shape of this source's marker (or the positions, if it has none of its own)",
                )
            _check_marker_files(told["files"], name)
    return f"{len(pairs)} announcements"


def _check_marker_files(files: list[list[Any]], marker: str) -> None:
    paths = [path for path, _, _ in files]
    if paths[-1] != marker or not all(is_marker(path, marker) for path in paths):
        raise FailedError(
            f"marker files that begin with {marker!r}, that one last",
            ", ".join(paths),
            "write the parts first; only the exact name is given back to a spout that starts",
        )
    wrong = next((file for file in files if file[1] != file[2]), None)
    if wrong:
        found = f"{wrong[2]} bytes of {wrong[0]} where {wrong[1]} were told"
        raise FailedError("as many bytes as the file tells", found, "a tar with a wrong size is broken")


def _path_fault(path: str, marker: str) -> str | None:
    try:
        checked(path)
    except RefusedError as error:
        return refusal(error)
    return f"the path {path!r}, which would be taken for the marker" if is_marker(path, marker) else None


def _first_twice(found: Iterable[Seen], key: Callable[[Seen], Hashable]) -> tuple[int, int] | None:
    """The indexes of the first two records with one key."""
    seen: dict[Hashable, int] = {}
    for index, record in enumerate(found):
        first = seen.setdefault(key(record), index)
        if first != index:
            return first, index
    return None
