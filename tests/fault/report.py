"""The stories of the fault matrix, and the table of what came out of them.

`python tests/fault/report.py` tells them (with SPOUTGEN_SOAK=1 twenty times as many kills) and prints both tables of
docs/explanation/delivery.md, ours and the naive spout's.
"""

import os
import statistics
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parents[2] / "cookiecutter-spout" / "{{cookiecutter.name}}"))

from story import Outcome, Story, tell_all  # noqa: E402

from spoutgen.local.generations import GENERATIONS  # noqa: E402

IS_SOAK = os.environ.get("SPOUTGEN_SOAK") == "1"
VERSIONS = {generation.name: generation.first for generation in GENERATIONS}
# kind, sizes, whether batches end in the same places in every life
SHAPES = (
    ("lines", "small", False),
    ("lines", "small", True),
    ("lines", "pipe", False),
    ("files", "pipe", False),
    ("files", "small", False),
    ("queue", "small", False),
    ("pyramid", "small", False),
    ("parts", "small", False),
    ("lines", "large", False),
)
REPLAYED = ("lines", "files", "pyramid", "parts")


def matrix(version: str, kills: int = 24, rounds: int = 1) -> list[Story]:
    """The stories of one generation: about 24 kills a shape and round."""
    return [
        Story(
            seed=1000 * round_ + number,
            version=version,
            kind=kind,
            sizes=sizes,
            fixed=fixed,
            kills=kills + 12 * (kind == "queue"),
        )
        for round_ in range(rounds)
        for number, (kind, sizes, fixed) in enumerate(SHAPES)
    ]


def naive(version: str, seeds: Iterable[int] = range(4), kills: int = 24) -> list[Story]:
    """The naive spout under the same kills."""
    return [Story(seed=seed, version=version, spout="naive", kills=kills) for seed in seeds]


def row(outcomes: list[Outcome]) -> list[str]:
    """kills, records in the end, lost, repeated, stories that never came to their end, seconds to resume, by hand."""
    resumes = [seconds for outcome in outcomes for seconds in outcome.resumes] or [0.0]
    return [
        f"{sum(len(outcome.kills) for outcome in outcomes):,}",
        f"{sum(outcome.last for outcome in outcomes):,}",
        str(sum(outcome.lost for outcome in outcomes)),
        str(sum(outcome.repeated for outcome in outcomes)),
        f"{sum(bool(outcome.stuck) for outcome in outcomes)} of {len(outcomes)}",
        f"{statistics.median(resumes):.2f} / {max(resumes):.2f}",
        str(sum(outcome.operator for outcome in outcomes)),
    ]


COLUMNS = (
    "| generation | spout | kills | records | lost | repeated | never done | resumes in s, median / longest | by hand |"
)


def lines(generation: str, ours: list[Outcome], theirs: list[Outcome]) -> list[str]:
    """The rows of one generation."""
    exact = [outcome for outcome in ours if outcome.story.kind in REPLAYED]
    queue = [outcome for outcome in ours if outcome.story.kind == "queue"]
    named = (("read again", exact), ("plain queue", queue), ("naive", theirs))
    return [f"| {' | '.join([generation, name, *row(outcomes)])} |" for name, outcomes in named if outcomes]


def points(outcomes: list[Outcome]) -> Counter[str]:
    """How often each point was died at."""
    return Counter(point for outcome in outcomes for point in outcome.kills)


def main() -> int:
    """Tell everything, print the table."""
    print(COLUMNS, "|---" * 9 + "|", sep="\n", flush=True)
    broken = []
    for generation, version in VERSIONS.items():
        ours = tell_all(matrix(version, rounds=20 if IS_SOAK else 1))
        broken += [outcome for outcome in ours if not outcome.is_kept]
        print("\n".join(lines(generation, ours, tell_all(naive(version)))), flush=True)
    for outcome in broken:
        print(outcome, file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
