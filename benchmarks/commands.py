"""The commands beside what they are measured against: bare Python, the cookiecutter command, cruft.

Every pair runs in turn (A B A B ...) and the ratio is taken pair by pair, so a machine that slows down slows both.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
SPOUTGEN = str(BIN / "spoutgen")
BARE = [sys.executable, "-c", "pass"]
ROUNDS = 11
# An installed package has its byte code, whatever the shell of the person who measures says.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

Row = tuple[str, str, str, bool]


def measure() -> list[Row]:
    """The rows of the table: what, measured, target, met."""
    with workplace() as work:
        return [
            start_of("spoutgen --help", [SPOUTGEN, "--help"], 4),
            start_of("validate, one spec", [SPOUTGEN, "validate", str(work / "spout.yaml")], 15),
            start_of("render pipeline, one spec", [SPOUTGEN, "render", "pipeline", str(work / "spout.yaml")], 15),
            new_beside_cookiecutter(work),
            many_specs(work),
            update_beside_cruft(work),
        ]


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder with the example's spec in it."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / "examples/spout-marker/spout.yaml", folder)
        yield Path(folder)


def seconds(command: list[str], cwd: Path | None = None) -> float:
    """How long one run of a command takes; it must succeed."""
    begin = time.perf_counter()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command, check=True, cwd=cwd, env=ENVIRONMENT, **quiet)
    return time.perf_counter() - begin


def ratio(ours: Callable[[], float], theirs: Callable[[], float], rounds: int = ROUNDS) -> tuple[float, float, float]:
    """Median of ours, of theirs, and of ours/theirs pair by pair, after one round that does not count."""
    pairs = [(ours(), theirs()) for _ in range(rounds + 1)][1:]
    medians = [statistics.median(column) for column in zip(*pairs, strict=True)]
    return medians[0], medians[1], statistics.median(a / b for a, b in pairs)


def row(what: str, figures: tuple[float, float, float], other: str, target: float) -> Row:
    """One row of a ratio that shall not be above ``target``."""
    ours, theirs, times = figures
    measured = f"{times:.2f}x ({ours * 1000:.0f} ms; {other} {theirs * 1000:.0f} ms)"
    return what, measured, f"<= {target:g}x {other}", times <= target


def start_of(what: str, command: list[str], target: float) -> Row:
    """One command beside ``python3 -c pass``."""
    return row(what, ratio(lambda: seconds(command), lambda: seconds(BARE)), "bare python", target)


def new_beside_cookiecutter(work: Path) -> Row:
    """A new project, by us and by the cookiecutter command on the same template."""
    template = str(ROOT / "cookiecutter-spout")

    def fresh(command: list[str]) -> float:
        with tempfile.TemporaryDirectory(dir=work) as folder:
            return seconds(command, cwd=Path(folder))

    figures = ratio(
        lambda: fresh([SPOUTGEN, "new", str(work / "spout.yaml")]),
        lambda: fresh([str(BIN / "cookiecutter"), "--no-input", template]),
    )
    return row("new", figures, "cookiecutter", 1)


def many_specs(work: Path) -> Row:
    """`render pipeline` of 1,000 specs; the start-up, measured with one spec, is taken off."""
    folder = work / "many"
    folder.mkdir()
    text = (work / "spout.yaml").read_text()
    specs = []
    for number in range(1000):
        file = folder / f"{number}.yaml"
        file.write_text(text.replace("spoutmarker", f"spout{number}"))
        specs.append(str(file))
    command = [SPOUTGEN, "render", "pipeline"]
    all_of_them, one, _ = ratio(lambda: seconds([*command, *specs]), lambda: seconds([*command, specs[0]]), 5)
    rate = 999 / (all_of_them - one)
    return "render pipeline, 1,000 specs", f"{rate:,.0f} specs/s", ">= 1,000 specs/s", rate >= 1000


def update_beside_cruft(work: Path) -> Row:
    """`update` with nothing to do, by us and by cruft, on projects of the same template."""
    template = work / "template"
    shutil.copytree(ROOT / "cookiecutter-spout", template, ignore=shutil.ignore_patterns("__pycache__"))
    identity = {"GIT_AUTHOR_NAME": "b", "GIT_AUTHOR_EMAIL": "b@example.com"}
    ENVIRONMENT.update(identity, GIT_COMMITTER_NAME="b", GIT_COMMITTER_EMAIL="b@example.com")
    for folder, steps in (
        (template, [["git", "init", "-q"], ["git", "add", "-A"], ["git", "commit", "-qm", "template"]]),
        (work, [[str(BIN / "cruft"), "create", "--no-input", "--output-dir", "by-cruft", str(template)]]),
        (work / "by-cruft/spoutmarker", [["git", "init", "-q"], ["git", "add", "-A"], ["git", "commit", "-qm", "new"]]),
        (work, [[SPOUTGEN, "new", "spout.yaml", "-o", "by-us"]]),
    ):
        for step in steps:
            seconds(step, cwd=folder)
    assert json.loads((work / "by-cruft/spoutmarker/.cruft.json").read_text())["commit"]
    figures = ratio(
        lambda: seconds([SPOUTGEN, "update"], cwd=work / "by-us"),
        lambda: seconds([str(BIN / "cruft"), "update", "--skip-apply-ask"], cwd=work / "by-cruft/spoutmarker"),
    )
    return row("update, nothing to do", figures, "cruft", 0.5)
