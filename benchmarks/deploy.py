"""`deploy` of 50 pipelines in one command, on a server that takes 100 ms for every answer, beside one after the other.

The server is the tests' own: real gRPC on the servicers of python-pachyderm. One after the other means one process that
deploys project by project, taken without its start; the start of the one command is counted.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests/cluster"))

PIPELINES, SOME, ANSWER, ROUNDS = 50, 6, 0.1, 3

Row = tuple[str, str, str, bool]

_SERIAL = """
import sys
from spoutgen.cli.main import main
for folder in sys.argv[1:]:
    assert main(["deploy", folder]) == 0
"""


def measure() -> list[Row]:
    """The rows of the table: what, measured, target, met."""
    from pachd1 import TOKEN, Cluster, serving

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        projects = [_project(folder / "all" / f"{number:02}", f"spout{number:02}") for number in range(PIPELINES)]
        cluster = Cluster(token=TOKEN, delay=ANSWER)
        with serving(cluster) as port:
            context = {"pachd_address": f"grpc://127.0.0.1:{port}", "session_token": TOKEN}
            config = folder / "config.json"
            config.write_text(json.dumps({"v2": {"active_context": "x", "contexts": {"x": context}}}))
            environment = {**os.environ, "PACH_CONFIG": str(config)}
            shares, together, alone = [], 0.0, 0.0
            for _ in range(ROUNDS):
                cluster.pipelines.clear()
                cluster.repos.clear()
                together = _seconds([*_SPOUTGEN, "deploy", "--all", str(folder / "all")], environment)
                assert len(cluster.pipelines) == PIPELINES
                alone = PIPELINES * _seconds_more(cluster, projects[:SOME], environment)
                shares.append(together / alone)
    share = statistics.median(shares)
    said = f"{share:.1%} of one after the other ({together:.2f} s, {alone:.1f} s in the last round)"
    return [(f"deploy {PIPELINES} pipelines, {ANSWER:g} s an answer", said, "<= 10%", share <= 0.1)]


def _seconds_more(cluster: Any, projects: list[Path], environment: dict[str, str]) -> float:
    """What one more project costs in a process that deploys them one after the other."""
    seconds = []
    for some in (projects[:1], projects):
        cluster.pipelines.clear()
        cluster.repos.clear()
        seconds.append(_seconds([sys.executable, "-c", _SERIAL, *map(str, some)], environment))
    return (seconds[1] - seconds[0]) / (len(projects) - 1)


_SPOUTGEN = [sys.executable, "-m", "spoutgen"]


def _project(folder: Path, name: str) -> Path:
    from spoutgen.project.create import create
    from spoutgen.project.render import render
    from spoutgen.spec import load_text

    text = f'version: 1\nname: {name}\nimage: x:v1\nsource:\n  type: symbol\n  symbol: "."\nmarker: mymark\n'
    create(render(load_text(text, "spout.yaml")), folder)
    return folder


def _seconds(command: list[str], environment: dict[str, str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin
