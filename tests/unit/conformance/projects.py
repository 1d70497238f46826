"""Projects with a source.py of the test's own: the file queue of the examples, with a few words changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from spoutgen.conformance.outcome import Result
from spoutgen.conformance.subject import Subject, subject
from spoutgen.conformance.suite import run_checks
from spoutgen.local.environment import Secrets
from spoutgen.local.spec import read_spec
from spoutgen.project.render import render
from spoutgen.project.tree import write_tree
from spoutgen.spec import load_text

FILE_QUEUE = (Path(__file__).parents[3] / "examples/file-queue/source.py").read_text()
SPEC = """\
version: 1
name: queue
image: queue:v1
source: {type: custom, options: {path: orders.log}}
marker: mymark
output: {path: "orders/{first}"}
"""


@cache
def rendered(spec: str):
    return render(load_text(spec, "spout.yaml")).tree


def changed(text: str, changes: Mapping[str, str]) -> str:
    """The text with words replaced, each of which must be there."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@contextmanager
def project(
    folder: Path, source: str = FILE_QUEUE, lines: int = 500, seconds: float = 1.0, spec: str = SPEC
) -> Iterator[Subject]:
    """A project of this source.py, and the queue that it reads, as a subject."""
    write_tree(rendered(spec), folder)
    (folder / "source.py").write_text(source)
    (folder / "orders.log").write_text("".join(f"order {n} of {n * n}\n" for n in range(1, lines + 1)))
    environment = {"PATH": "/usr/bin:/bin"}
    with subject(folder, read_spec(folder / "pipeline.json"), Secrets({}), environment, seconds) as made:
        yield made


def outcomes(made: Subject, *only: str) -> dict[str, Result]:
    """The results of these checks (none: all), and of what they stand on if that is not ok, by their names."""
    return {result.name: result for result in run_checks(made, only)}
