"""A plan as text for people and as data for programs; shared by ``plan`` and ``update``."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from spoutgen.errors import Diagnostic
    from spoutgen.project.many import Outcome
    from spoutgen.project.merge import Decision
    from spoutgen.project.plan import Plan
    from spoutgen.project.safety import Consequence
    from spoutgen.project.tree import Entry

MARKS = {
    "add": "+", "change": "~", "merge": "~", "delete": "-", "conflict": "!", "beside": "+", "keep": " ", "blocked": "x",
}  # fmt: skip
_WIDTH = 100
_BUG = 70


def file_line(decision: Decision) -> str:
    """``~ pipeline.json``, and what its owner should know."""
    return f"{MARKS[decision.action]} {decision.path}" + (f"  ({decision.note})" if decision.note else "")


def plan_lines(plan: Plan) -> Iterator[str]:
    """The whole plan: files, settings, image, marker, consequences."""
    from spoutgen.project.diff import counts

    if not plan.is_something_to_do and not plan.news:
        yield "nothing to do"
        return
    words = [(decision, *sides(plan.folder, decision)) for decision in plan.news]
    width = max((len(path) for _, path, _, _ in words), default=0)
    for decision, path, old, new in words:
        added, removed = counts(old, new) if decision.entry or decision.action == "delete" else (0, 0)
        numbers = f"+{added} -{removed}" if added or removed else ""
        note = f"({decision.note})" if decision.note else ""
        yield f"{MARKS[decision.action]} {decision.action:<8} {path:<{width}}  {numbers:<8} {note}".rstrip()
    for setting in plan.settings:
        yield f"  {setting.key}: {setting.old or '(none)'} -> {setting.new or '(none)'}"
    yield f"image   {image_in_words(plan)}"
    yield f"marker  {marker_in_words(plan)}"
    for consequence in plan.consequences:
        yield from ("", *consequence_lines(consequence))


def sides(folder: Path, decision: Decision) -> tuple[str, Entry | None, Entry | None]:
    """The path that a decision writes, and its file before and after."""
    from spoutgen.project.tree import read_entry

    path = f"{decision.path}.new" if decision.action == "beside" else decision.path
    old = read_entry(folder, path)
    is_kept = decision.entry is None and decision.action != "delete"
    return path, old, old if is_kept else decision.entry


def image_in_words(plan: Plan) -> str:
    """Whether the image must be built."""
    image = plan.image
    change = f"{image.was} -> {image.is_}" if image.was != image.is_ else image.is_
    if image.is_reused:
        return f"{change}: other contents than this tag was first used with; give it a new one: spoutgen update --bump"
    return f"{change}: build and push it before you deploy" if image.must_build else f"{change}: need not be built"


def marker_in_words(plan: Plan) -> str:
    """What becomes of the marker."""
    marker = plan.marker
    if marker.is_kept:
        return f"{marker.is_ or 'none'} stays: the spout goes on where it is"
    change = f"{marker.was} -> {marker.is_}" if marker.was != marker.is_ else f"{marker.is_}"
    return f"{change}: the spout does not go on by itself; see below"


def consequence_lines(consequence: Consequence) -> Iterator[str]:
    """One paragraph, and the commands to copy."""
    yield f"{consequence.code} {consequence.what}"
    yield from textwrap.wrap(
        consequence.explanation, _WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
    )
    yield from (f"    $ {command}" for command in consequence.commands)


def diff_lines(plan: Plan) -> Iterator[str]:
    """Every file's difference, as git writes it."""
    from spoutgen.project.diff import unified

    for decision in plan.news:
        yield from unified(*sides(plan.folder, decision))


def as_data(plan: Plan, with_diff: bool) -> dict[str, Any]:
    """The plan's facts for programs."""
    from spoutgen.project.diff import unified

    files = []
    for decision in plan.news:
        file = {"path": decision.path, "action": decision.action, "note": decision.note}
        if with_diff:
            file["diff"] = "".join(f"{line}\n" for line in unified(*sides(plan.folder, decision)))
        files.append(file)
    image, marker = plan.image, plan.marker
    return {
        "project": str(plan.folder),
        "is_something_to_do": plan.is_something_to_do,
        "files": files,
        "settings": [{"key": setting.key, "old": setting.old, "new": setting.new} for setting in plan.settings],
        "image": {"was": image.was, "is": image.is_, "must_build": image.must_build, "is_reused": image.is_reused},
        "marker": {"was": marker.was, "is": marker.is_, "is_kept": marker.is_kept},
        "consequences": [
            {"code": c.code, "what": c.what, "explanation": c.explanation, "commands": list(c.commands)}
            for c in plan.consequences
        ],
    }


def problem_data(problems: Iterable[Diagnostic]) -> list[dict[str, Any]]:
    """What is wrong, as every other command's ``--format json`` says it."""
    import json

    from spoutgen.report import as_json

    found: list[dict[str, Any]] = json.loads(as_json(problems))["diagnostics"]
    return found


def warn(plan: Plan) -> None:
    """Say on standard error what an update leaves to be known before the next deployment."""
    from dataclasses import replace

    from spoutgen.project.step import reused_tag
    from spoutgen.report import as_text

    sys.stderr.writelines(f"{line}\n" for each in plan.consequences for line in consequence_lines(each))
    if plan.image.is_reused and not plan.conflicts:  # with conflict marks in them, the files are no image's yet
        sys.stderr.write(as_text([replace(reused_tag(plan.folder, plan.image.is_), severity="warning")]))


def warn_of_all(plans: Iterable[Plan], root: Path) -> None:
    """The same of many projects; what is to be done for the images is one thing for all of them."""
    from spoutgen.project.conflicts import located

    reused = []
    for plan in plans:
        for consequence in plan.consequences:
            sys.stderr.writelines(f"{line}\n" for line in (f"{plan.folder}:", *consequence_lines(consequence)))
        if plan.image.is_reused:
            reused.append(str(plan.folder))
    if reused:
        names = ", ".join(reused[:3]) + (", ..." if len(reused) > 3 else "")
        sys.stderr.write(
            f"SG410 warning: the images of {len(reused)} projects have other contents than their tags were first used"
            f" with: {names}\n  hint: give them new tags: spoutgen update --all --bump{located(root)}\n"
        )


def each(folders: list[Path], outcomes: Iterator[Outcome], show: Callable[[Outcome], None]) -> list[Outcome]:
    """Show the outcomes as they come, with the progress on a terminal; returned in the order of the folders."""
    is_terminal = sys.stderr.isatty()
    done: dict[Path, Outcome] = {}
    for outcome in outcomes:
        done[outcome.folder] = outcome
        if is_terminal:
            sys.stderr.write("\r\x1b[K")
        show(outcome)
        if is_terminal:
            sys.stdout.flush()
            sys.stderr.write(f"{len(done)}/{len(folders)} {outcome.folder}")
            sys.stderr.flush()
    if is_terminal:
        sys.stderr.write("\r\x1b[K")
    return [done[folder] for folder in folders]


def name_failures(outcomes: Iterable[Outcome]) -> int:
    """Say at the end what went wrong where, on standard error; returns the worst exit status."""
    from spoutgen.report import as_text

    worst = 0
    for outcome in outcomes:
        worst = max(worst, outcome.status)
        if outcome.status:
            sys.stderr.write(f"failed: {outcome.folder}\n{as_text(outcome.problems)}{outcome.crash}")
    if worst == _BUG:
        sys.stderr.write("spoutgen: this is a bug in spoutgen; please report it with the lines above\n")
    return worst
