"""The stories of the matrix of 2.x, and the table of what came out of them.

`python tests/fault/report_v2.py` tells them (with SPOUTGEN_SOAK=1 thirty times as many) and prints the table of
docs/explanation/protocol-2.md.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parents[2] / "cookiecutter-spout" / "{{cookiecutter.name}}"))

from processes_v2 import Zygote  # noqa: E402
from story_v2 import Story, tell_all  # noqa: E402
from streams_v2 import SPOUT_STEPS  # noqa: E402
from verdict_v2 import Verdict  # noqa: E402

ROUNDS = 30 if os.environ.get("SPOUTGEN_SOAK") == "1" else 1
# In both the end state is the same whoever writes last: a file a record, or batches that end in the same places.
MODES = ("files", "fixed")
ALL = {"pachd_kills": 2, "lost_replies": 1}


def _each_step(seeds: range) -> list[Story]:
    return [
        Story(100 * seed + number, spout_kills=10, steps=(step,))
        for number, step in enumerate(SPOUT_STEPS)
        for seed in seeds
    ]


MATRIX: Mapping[str, Callable[[range], list[Story]]] = {
    "the spout dies at each step": _each_step,
    "pachd dies and loses replies": lambda seeds: [
        Story(5 * seed + n, pachd_kills=5, lost_replies=2) for seed in seeds for n in range(5)
    ],
    "commits are refused": lambda seeds: [
        Story(4 * seed + n, MODES[n % 2], spout_kills=3, refusals=3) for seed in seeds for n in range(4)
    ],
    "zombies write late": lambda seeds: [
        Story(4 * seed + n, MODES[n % 2], spout_kills=2, zombies=3) for seed in seeds for n in range(4)
    ],
    "deaths, lost replies, open heads": lambda seeds: [
        Story(4 * seed + n, spout_kills=14, restarts=2, **ALL) for seed in seeds for n in range(4)
    ],
    "all at once": lambda seeds: [
        Story(4 * seed + n, MODES[n % 2], spout_kills=10, restarts=1, zombies=2, refusals=2, **ALL)
        for seed in seeds
        for n in range(4)
    ],
}
COLUMNS = (
    "| what happens | kills | lost replies | open heads | zombies | refused | commits | lost | twice | never done |"
)


def row(name: str, stories: Sequence[Story], verdicts: Sequence[Verdict]) -> str:
    """One line of the table."""
    sums = [
        sum(getattr(verdict, fact) for verdict in verdicts) for fact in ("restarts", "zombies", "refused", "commits")
    ]
    cells = [
        name,
        sum(len(verdict.kills) for verdict in verdicts),
        sum(story.lost_replies for story in stories),
        *sums,
        sum(verdict.lost for verdict in verdicts),
        sum(verdict.repeated + verdict.again + verdict.backwards for verdict in verdicts),
        f"{sum(bool(verdict.stuck) for verdict in verdicts)} of {len(stories)}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def main() -> int:
    """Tell everything, print the table."""
    zygote = Zygote()
    print(COLUMNS, "|---" * 10 + "|", sep="\n", flush=True)
    broken = []
    for name, stories_of in MATRIX.items():
        stories = stories_of(range(ROUNDS))
        verdicts = tell_all(zygote, stories)
        broken += [story for story, verdict in zip(stories, verdicts, strict=True) if not verdict.is_right]
        print(row(name, stories, verdicts), flush=True)
    zygote.close()
    for story in broken:
        print(story, file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
