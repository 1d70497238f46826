"""What an update means for a spout that is deployed already: nobody is to lose a marker by accident. Pure.

What is said here of clusters was read in Pachyderm's source, on 1.x from 1.9.12 on:

* The worker pulls exactly ``/<marker>`` from the branch ``marker``, and while that branch has commits but no such path,
  the spout never starts (v1.13.4:src/server/worker/driver/driver.go:566).
* ``update pipeline`` keeps the heads of both branches unless ``--reprocess`` is given, and a stopped pipeline stays
  stopped (v1.13.4:src/server/pps/server/api_server.go:2587 and :2660).
* ``create pipeline`` sets the branch ``marker`` to no head, so a marker cannot be laid ready before it
  (v1.13.4:src/server/pps/server/api_server.go:2833, src/server/pfs/server/driver.go:2495).
* People may commit to both branches of a spout (v1.13.4:src/server/pfs/server/driver.go:973).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spoutgen.project.difference import Facts, MarkerFact


@dataclass(frozen=True, slots=True)
class Consequence:
    """One thing to know before deploying: ``what`` changes, what then happens on a cluster, the safe ``commands``."""

    code: str
    what: str
    explanation: str
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fate:
    """The marker: as it ``was`` and ``is`` (None: there is none), and whether the spout goes on from it by itself."""

    was: str | None
    is_: str | None
    is_kept: bool


def fate(old: Facts, new: Facts) -> Fate:
    """What becomes of the marker."""
    was, is_ = (str(marker) if marker else None for marker in (old.marker, new.marker))
    return Fate(was, is_, next(consequences(old, new, ""), None) is None)


def consequences(old: Facts, new: Facts, where: str) -> Iterator[Consequence]:
    """What keeps the spout from going on where it is; of several reasons the farthest-reaching: it covers the others.

    ``where`` is the project folder as our own commands take it, with a space before it, or nothing.
    """
    if old.marker and not new.marker:
        yield _no_marker(old.marker, new, where)
    if old.pachyderm != new.pachyderm:
        yield _other_target(old, new, where)
    elif old.name != new.name:
        yield _other_name(old, new, where)
    elif (old.source, old.identity) != (new.source, new.identity):
        yield _other_source(old, new, where)
    elif old.marker and new.marker and old.marker.is_prefix and _is_unsigned(new):
        yield _other_form(old.marker, new.marker, new, where)
    elif old.marker and new.marker and old.marker.name != new.marker.name:
        yield _other_marker_name(old.marker, new.marker, old, new)


def _other_marker_name(was: MarkerFact, is_: MarkerFact, old: Facts, new: Facts) -> Consequence:
    parts = " The numbered files need not be copied: the index alone says where to go on." if was.is_prefix else ""
    name = old.name
    if new.pachyderm == 2:
        return Consequence(
            "SG411",
            f"the marker is renamed: {was} -> {is_}",
            f"The position is in the file /{was.name} of {name}'s output branch. The runtime looks there for exactly"
            f" /{is_.name}, sees that there is only the old one, and refuses to begin at the beginning. So"
            f" the file must be copied to its new name while the pipeline is stopped.{parts}",
            ("spoutgen deploy --move-marker",),
        )
    return Consequence(
        "SG411",
        f"the marker is renamed: {was} -> {is_}",
        f"The position is in {name}@marker:/{was.name}. A worker asks that branch for exactly /{is_.name}, and while"
        f" the branch has commits but no such file, the spout never starts: nothing is lost, and nothing is read any"
        f" more. So copy the file to its new name while the pipeline is stopped.{parts} On this machine's own cluster"
        f" there is no such copy: take the old name back, or start over with `spoutgen local delete pipeline {name}`.",
        (
            f"pachctl stop pipeline {name}",
            *_copied(name, was.name, name, is_.name),
            "pachctl update pipeline -f pipeline.json",
            f"pachctl start pipeline {new.name}",
        ),
    )


def _other_form(was: MarkerFact, is_: MarkerFact, new: Facts, where: str) -> Consequence:
    """From an index to the pyramid itself; all other changes of the form are read by the runtime."""
    refuses = (
        "the runtime refuses a marker of the other form and is started again and again"
        if was.name == is_.name
        else f"the worker finds no /{is_.name} on the branch, and the spout never starts"
    )
    return Consequence(
        "SG411",
        f"the marker takes another form: {was} -> {is_}",
        f"The position in {new.name}@marker is an index and numbered files, and would be read as one file: {refuses}."
        f" Nothing is written and nothing is lost, but the spout does not go on. There is no command that turns one"
        f" form into the other, so take the edit back, or start over on purpose: that drops what is on master and on"
        f" marker.",
        (_set_back("marker", str(was), where), _START_OVER),
    )


def _no_marker(was: MarkerFact, new: Facts, where: str) -> Consequence:
    return Consequence(
        "SG411",
        f"the marker is removed: {was}",
        f"Without `spout.marker` a worker pulls no position, and would write marker files to master like any data. The"
        f" runtime sees that no link to a marker is there, refuses to begin at the beginning, and is started again and"
        f" again. {new.name}@marker stays as it is, so nothing is lost; put the marker back into pipeline.json.",
        (_set_back("marker", str(was), where),),
    )


def _other_name(old: Facts, new: Facts, where: str) -> Consequence:
    if old.marker and new.marker and _is_unsigned(old) and _is_unsigned(new):
        carry = (
            "To carry the position over, copy the marker while both are stopped; what the new one wrote in between is"
            " overwritten as it catches up."
        )
        commands: tuple[str, ...] = (
            f"pachctl stop pipeline {old.name}",
            "pachctl create pipeline -f pipeline.json",
            f"pachctl stop pipeline {new.name}",
            *_copied(old.name, old.marker.name, new.name, new.marker.name),
            f"pachctl start pipeline {new.name}",
        )
    else:
        carry = (
            "The position cannot be carried over: a marker is signed with the name of its spout, and the runtime"
            " refuses it under another. So take the edit back, or stop the old one and begin at the beginning under the"
            " new name."
        )
        commands = (
            _set_back("name", old.name, where),
            f"pachctl stop pipeline {old.name}",
            "pachctl create pipeline -f pipeline.json",
        )
    return Consequence(
        "SG412",
        f"the pipeline is renamed: {old.name} -> {new.name}",
        f"For a cluster {new.name} is another pipeline: it gets an output repo of its own and begins without a marker,"
        f" while {old.name} goes on running beside it, with all that is in its repo and for all that reads from it."
        f" {carry}",
        commands,
    )


def _is_unsigned(facts: Facts) -> bool:
    """The symbol's marker by name is the pyramid itself; every other one names its spout (the runtime's marker.py)."""
    return facts.source == "symbol" and facts.marker is not None and not facts.marker.is_prefix


def _other_source(old: Facts, new: Facts, where: str) -> Consequence:
    if old.source != new.source:
        what = f"source.type: {old.source} -> {new.source}"
        back = [_set_back("source.type", old.source, where)]
    else:
        keys = [key for key in new.identity if old.identity.get(key) != new.identity[key]]
        sides = ((key, old.identity.get(key), new.identity[key]) for key in keys)
        what = "; ".join(f"source.{key}: {was or '(none)'} -> {is_ or '(none)'}" for key, was, is_ in sides)
        # A key that was not there cannot be set back; it is to be taken out of the spec again.
        back = [_set_back(f"source.{key}", was, where) for key in keys if (was := old.identity.get(key))]
    return Consequence(
        "SG413",
        f"the source is another one: {what}",
        f"The marker of {old.name} is a position in the old source and has no meaning in the new one. The runtime"
        f" refuses the marker of another source rather than guess, and is started again and again: nothing is written,"
        f" nothing is lost, nothing goes on. Take the edit back; or give the new source a pipeline of its own, beside"
        f" the old one; or start over on purpose, which drops what is on master and on marker.",
        (*back, f"spoutgen set name={old.name}-2{where} && spoutgen update{where}", _START_OVER),
    )


def _other_target(old: Facts, new: Facts, where: str) -> Consequence:
    return Consequence(
        "SG414",
        f"the target is another one: Pachyderm {old.pachyderm}.x -> {new.pachyderm}.x",
        f"Nothing of a {old.pachyderm}.x cluster is carried into a {new.pachyderm}.x cluster by an update: there the"
        f" pipeline begins without a marker, and the old cluster's goes on running until it is stopped, so that both"
        f" read the same source. Stop the old one first, and keep its marker; or take the edit back.",
        (
            f"pachctl stop pipeline {old.name}",
            *([_saved(old.name, old.marker.name)] if old.marker else []),
            _set_back("pachyderm", str(old.pachyderm), where),
        ),
    )


_START_OVER = "pachctl update pipeline -f pipeline.json --reprocess"


def _set_back(key: str, value: str, where: str) -> str:
    quoted = f"'{value}'" if any(char in value for char in "{ $*'") else value
    return f"spoutgen set {key}={quoted}{where} && spoutgen update{where}"


def _saved(repo: str, path: str) -> str:
    return f"pachctl get file {repo}@marker:/{path} > /tmp/{repo}.marker"


def _copied(repo: str, path: str, to_repo: str, to_path: str) -> tuple[str, str]:
    # By way of a file, for a pipe would store half a marker if the first command fails.
    return _saved(repo, path), f"pachctl put file -o {to_repo}@marker:/{to_path} -f /tmp/{repo}.marker"
