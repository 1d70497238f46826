"""Looking into a store of 100,000 commits beside one of 1,000: both must cost what they return, not what there is.

Also how fast a worker can commit, for nothing in a run is quicker than that.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from spoutgen.local.home import Home  # noqa: E402
from spoutgen.local.model import Put  # noqa: E402
from spoutgen.local.store import Store  # noqa: E402

FEW, MANY = 1_000, 100_000
ROUNDS = 9

Row = tuple[str, str, str, bool]


def measure() -> list[Row]:
    """The rows of the table: what, measured, target, met."""
    with tempfile.TemporaryDirectory() as folder:
        few, many = Home(Path(folder, "few")), Home(Path(folder, "many"))
        per_second = commits_per_second(Home(Path(folder, "speed")))
        fill(few, FEW)
        fill(many, MANY)
        return [
            beside("local get file", few, many, ["get", "file", "dots@master:/output"]),
            beside("local get file, a grown one", few, many, ["get", "file", "dots@master:/log/last"]),
            beside("local list commit -n 20", few, many, ["list", "commit", "dots@master", "-n", "20"]),
            beside("local list file", few, many, ["list", "file", "dots@master:/log"]),
            # Without the start of a process, which hides much.
            inside(
                "get file, in the process", few, many, lambda store: list(store.get_file("dots", "master", "output"))
            ),
            inside("list commit, 20, in the process", few, many, lambda store: store.commits("dots", "master", 20)),
            inside("a commit, in the process", few, many, lambda store: commit(store, 7)),
            ("durable commits a second, data and marker", f"{per_second:,.0f}", ">= 20", per_second >= 20),
        ]


def commit(store: Store, number: int) -> None:
    """What one batch of a spout makes: the marker's commit with its empty output commit, then the data's."""
    announced = store.start_commit("dots", "master")
    store.put_files("dots", [Put("marker", "mymark", [b'{"spoutgen_marker":1,"at":%d}\n' % number], True)])
    store.finish_commit("dots", announced.id)
    data = store.start_commit("dots", "master")
    output = [
        Put(data.id, "output", [b"%d\n" % number], True),
        Put(data.id, "log/last", [b"%d\n" % (number % 10)], True),
    ]
    store.put_files("dots", output)
    store.finish_commit("dots", data.id)


def fill(home: Home, commits: int) -> None:
    """A store in which the output branch has so many commits."""
    with Store.create(home.store) as store:
        store.create_repo("dots", branches=("master", "marker"))
        with store.reading() as db:
            # Only here: nobody minds if a power cut takes this store.
            db.execute("PRAGMA synchronous = OFF")
        for number in range(commits // 2):
            commit(store, number)


def commits_per_second(home: Home) -> float:
    """Batches a second, each two commits of the output branch and one of the marker's, all of them durable."""
    with Store.create(home.store) as store:
        store.create_repo("dots", branches=("master", "marker"))
        begin = time.perf_counter()
        for number in range(100):
            commit(store, number)
        return 100 / (time.perf_counter() - begin)


def beside(what: str, few: Home, many: Home, words: list[str]) -> Row:
    """The command on both stores, in turn; the ratio is that of the medians."""
    times: dict[Home, list[float]] = {few: [], many: []}
    for _ in range(ROUNDS):
        for home, measured in times.items():
            measured.append(seconds(home, words))
    small, large = (statistics.median(measured) for measured in times.values())
    ratio = large / small
    shown = f"{ratio:.2f}x ({1000 * large:.0f} ms with {MANY:,} commits, {1000 * small:.0f} ms with {FEW:,})"
    return what, shown, "< 2x", ratio < 2


def inside(what: str, few: Home, many: Home, action: Callable[[Store], object]) -> Row:
    """An action on open stores, in turn; the ratio is that of the medians."""
    with Store(few.store) as first, Store(many.store) as second:
        times: dict[Store, list[float]] = {first: [], second: []}
        for _ in range(101):
            for store, measured in times.items():
                begin = time.perf_counter()
                action(store)
                measured.append(time.perf_counter() - begin)
    small, large = (statistics.median(measured) for measured in times.values())
    ratio = large / small
    shown = f"{ratio:.2f}x ({1e6 * large:.0f} us with {MANY:,} commits, {1e6 * small:.0f} us with {FEW:,})"
    return what, shown, "< 2x", ratio < 2


def seconds(home: Home, words: list[str]) -> float:
    """How long one run of ``spoutgen local`` takes; it must succeed."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "SPOUTGEN_HOME": str(home.folder)}
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "spoutgen", "local", *words], env=env, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


if __name__ == "__main__":
    for row in measure():
        print(*row, sep="  ")
