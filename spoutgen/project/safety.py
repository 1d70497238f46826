"""What an update means for a spout that is deployed already: nobody is to lose a marker by accident. Pure.

What is said here of clusters was read in Pachyderm's source. On 1.x, from 1.9.12 on:

* The worker pulls exactly ``/<marker>`` from the branch ``marker``, and while that branch has commits but no such path,
  the spout never starts (v1.13.4:src/server/worker/driver/driver.go:566).
* ``update pipeline`` keeps the heads of both branches unless ``--reprocess`` is given, and a stopped pipeline stays
  stopped (v1.13.4:src/server/pps/server/api_server.go:2587 and :2660).
* ``create pipeline`` sets the branch ``marker`` to no head, so a marker cannot be laid ready before it
  (v1.13.4:src/server/pps/server/api_server.go:2833, src/server/pfs/server/driver.go:2495).
* People may commit to both branches of a spout (v1.13.4:src/server/pfs/server/driver.go:973).

On 2.x Pachyderm knows no markers; the runtime looks for its file on the output branch (spout/api.py in the template):

* Nobody but the spout commits to the output branch while the pipeline is not stopped
  (v2.11.6:src/server/pfs/server/server_commit.go:158).
* ``update pipeline --reprocess`` changes a salt and drops nothing, so it starts nothing over.
* ``create pipeline`` refuses an output repo that is there (v2.7.4:src/server/pps/server/api_server.go:2375), so there,
  too, a marker cannot be laid ready before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spoutgen.project.difference import Facts, MarkerFact


@dataclass(frozen=True, slots=True)
class Consequence:
    """One thing to know before deploying: ``what`` changes, what then happens on a cluster, the safe ``commands``.

    ``is_move`` says that `deploy --move-marker` does all of it.
    """

    code: str
    what: str
    explanation: str
    commands: tuple[str, ...]
    is_move: bool = False


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
    elif (old.name, old.project) != (new.name, new.project):
        yield _other_name(old, new, where)
    elif (old.source, old.identity) != (new.source, new.identity):
        yield _other_source(old, new, where)
    elif old.marker and new.marker and old.marker.is_prefix and _is_unsigned(new):
        yield _other_form(old, old.marker, new.marker, new, where)
    elif new.pachyderm == 2 and old.marker and new.marker and old.branch != new.branch:
        yield _other_branch(old, new, where)
    elif old.marker and new.marker and old.marker.name != new.marker.name:
        yield _other_marker_name(old.marker, new.marker, old, new, where)


def _other_marker_name(was: MarkerFact, is_: MarkerFact, old: Facts, new: Facts, where: str) -> Consequence:
    parts = " The numbered files need not be copied: the index alone says where to go on." if was.is_prefix else ""
    name = old.name
    if new.pachyderm == 2:
        return Consequence(
            "SG411",
            f"the marker is renamed: {was} -> {is_}",
            f"The position is in the file /{was.name} of {name}'s output branch. The runtime looks there for exactly"
            f" /{is_.name}, sees that there is only the old one, and refuses to begin at the beginning. So"
            f" the file must get its new name, in one commit, while the pipeline is stopped.{parts}",
            (f"spoutgen deploy --move-marker{where}",),
            is_move=True,
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
            *_copied(name, was.name, is_.name),
            "pachctl update pipeline -f pipeline.json",
            f"pachctl start pipeline {new.name}",
        ),
        is_move=True,
    )


def _other_branch(old: Facts, new: Facts, where: str) -> Consequence:
    return Consequence(
        "SG411",
        f"the output branch is another one: {old.branch} -> {new.branch}",
        f"The marker stands on the output branch, beside the data. On {new.branch} there is none, so the spout would"
        f" begin at the beginning there. The marker can be copied to it while the pipeline is stopped; the data stays"
        f" on {old.branch}.",
        (f"spoutgen deploy --move-marker{where}", _set_back("pipeline.outputBranch", old.branch, where)),
        is_move=True,
    )


def _other_form(old: Facts, was: MarkerFact, is_: MarkerFact, new: Facts, where: str) -> Consequence:
    """From an index to the pyramid itself; all other changes of the form are read by the runtime."""
    if was.name == is_.name:
        refuses = "the runtime refuses a marker of the other form and is started again and again"
    elif new.pachyderm == 2:
        refuses = f"the runtime finds no /{is_.name} on the branch, only the old marker, and is started again and again"
    else:
        refuses = f"the worker finds no /{is_.name} on the branch, and the spout never starts"
    return Consequence(
        "SG411",
        f"the marker takes another form: {was} -> {is_}",
        f"The position in {_marker_place(old)} is an index and numbered files, and would be read as one file:"
        f" {refuses}. Nothing is written and nothing is lost, but the spout does not go on. There is no command that"
        f" turns one form into the other, so take the edit back, or start over on purpose: {_DROPS[new.pachyderm]}.",
        (_set_back("marker", str(was), where), *_start_over(old, where)),
    )


def _no_marker(was: MarkerFact, new: Facts, where: str) -> Consequence:
    what_happens = (
        "Without `marker` in SPOUT_CONFIG the runtime refuses its configuration, and is started again and again. What"
        f" is on {new.name}@{new.branch} stays as it is"
        if new.pachyderm == 2
        else "Without `spout.marker` a worker pulls no position, and would write marker files to master like any data."
        " The runtime sees that no link to a marker is there, refuses to begin at the beginning, and is started again"
        f" and again. {new.name}@marker stays as it is"
    )
    return Consequence(
        "SG411",
        f"the marker is removed: {was}",
        f"{what_happens}, so nothing is lost; put the marker back into pipeline.json.",
        (_set_back("marker", str(was), where),),
    )


def _other_name(old: Facts, new: Facts, where: str) -> Consequence:
    before, after = _full_name(old), _full_name(new)
    if old.marker and new.marker and (old.name == new.name or (_is_unsigned(old) and _is_unsigned(new))):
        carry = (
            "To carry the position over, copy the marker while the old one is stopped: the new one is made with it, so"
            " that it never begins at the beginning."
        )
        commands: tuple[str, ...] = (
            _pachctl("stop pipeline", old),
            _saved(old, old.marker.name),
            f"spoutgen deploy --marker /tmp/{old.name}.marker{where}",
        )
    else:
        carry = (
            "The position cannot be carried over: a marker is signed with the name of its spout, and the runtime"
            " refuses it under another. So take the edit back, or stop the old one and begin at the beginning under the"
            " new name."
        )
        commands = (_set_back("name", old.name, where), _pachctl("stop pipeline", old), f"spoutgen deploy{where}")
    is_project = old.name == new.name
    unless = ""
    if is_project and None in (old.project, new.project):
        unless = " Unless that is the project of pachctl's context anyway:"
    return Consequence(
        "SG412",
        f"the pipeline is {'in another project' if is_project else 'renamed'}: {before} -> {after}",
        f"{unless} For a cluster {after} is another pipeline: it gets an output repo of its own and begins without a"
        f" marker, while {before} goes on running beside it, with all that is in its repo and for all that reads from"
        f" it. {carry}".lstrip(),
        commands,
    )


def _full_name(of: Facts) -> str:
    return f"{of.project}/{of.name}" if of.project else of.name


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
        f" the old one; or start over on purpose: {_DROPS[new.pachyderm]}.",
        (*back, f"spoutgen set name={old.name}-2{where} && spoutgen update{where}", *_start_over(old, where)),
    )


def _other_target(old: Facts, new: Facts, where: str) -> Consequence:
    kept = (
        (_saved(old, old.marker.name), f"spoutgen deploy --marker /tmp/{old.name}.marker{where}") if old.marker else ()
    )
    return Consequence(
        "SG414",
        f"the target is another one: Pachyderm {old.pachyderm}.x -> {new.pachyderm}.x",
        f"Nothing of a {old.pachyderm}.x cluster is carried into a {new.pachyderm}.x cluster by an update: there the"
        f" pipeline begins without a marker, and the old cluster's goes on running until it is stopped, so that both"
        f" read the same source. Stop the old one first, keep its marker, and make the new one with it; or take the"
        f" edit back.",
        (_pachctl("stop pipeline", old), *kept, _set_back("pachyderm", str(old.pachyderm), where)),
    )


_DROPS = {
    1: "that drops what is on master and on marker",
    2: "that drops the marker; the data stays, and what is written anew replaces it file by file",
}


def _start_over(old: Facts, where: str) -> tuple[str, ...]:
    if old.pachyderm == 1:
        return ("pachctl update pipeline -f pipeline.json --reprocess",)
    return (
        _pachctl("stop pipeline", old),
        f"spoutgen marker reset{where}",
        f"spoutgen deploy{where}",
        _pachctl("start pipeline", old),
    )


def _set_back(key: str, value: str, where: str) -> str:
    quoted = f"'{value}'" if any(char in value for char in "{ $*'") else value
    return f"spoutgen set {key}={quoted}{where} && spoutgen update{where}"


def _pachctl(verb: str, of: Facts) -> str:
    return f"pachctl {verb} {of.name}{_in_project(of)}"


def _in_project(of: Facts) -> str:
    return f" --project {of.project}" if of.project else ""


def _marker_place(of: Facts) -> str:
    return f"{of.name}@marker" if of.pachyderm == 1 else f"{of.name}@{of.branch}"


def _saved(of: Facts, path: str) -> str:
    return f"pachctl get file {_marker_place(of)}:/{path}{_in_project(of)} > /tmp/{of.name}.marker"


def _copied(repo: str, path: str, to_path: str) -> tuple[str, str]:
    """On 1.x. By way of a file, for a pipe would store half a marker if the first command fails."""
    saved = f"/tmp/{repo}.marker"
    return (
        f"pachctl get file {repo}@marker:/{path} > {saved}",
        f"pachctl put file -o {repo}@marker:/{to_path} -f {saved}",
    )
