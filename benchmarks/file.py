"""The file source, with the whole runtime around it, beside `cat` of the same file through a FIFO: pairs, in turn.

And what it costs while nothing is written, with one log and with a thousand.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from pipe_sink import MEBI, RUNTIME, Row, computed, peak_memory, reader, running, time_of

ROUNDS = 3
SIZE = 256 * MEBI
IDLE = 20.0  # seconds that an idle spout is watched


def measure() -> list[Row]:
    """The rows of the table: what, measured, target, met."""
    return [share(200), share(8192), idle(1), idle(1000)]


def share(line: int) -> Row:
    """Lines of so many bytes, their line end among them."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "app.log"
        with log.open("wb") as file:
            for number in range(SIZE // line):
                file.write(b"%0*d\n" % (line - 1, number))
        pairs = [(*rate_of_source(log), rate_of_cat(log)) for _ in range(ROUNDS)]
    ratio = statistics.median(ours / cat for ours, _, cat in pairs)
    ours, memory, cat = (statistics.median(column) for column in zip(*pairs, strict=True))
    rates = f"{ours / 1e6:,.0f} MB/s, {ours / line:,.0f} lines/s, {memory:.0f} MiB; cat {cat / 1e6:,.0f} MB/s"
    measured = f"{ratio:.2f}x ({rates})"
    return (
        f"file source, lines of {line:,} B",
        measured,
        ">= 0.6x cat through a FIFO, < 80 MiB",
        ratio >= 0.6 and memory < 80,
    )


def rate_of_source(log: Path) -> tuple[float, float]:
    """Bytes a second, from the end of the first batch to that of the last; and the most memory, in MiB."""
    batches, size = [], 0
    with spout(log, wait=5) as (child, lines):
        for text in lines:
            said = json.loads(text)
            if said["event"] == "batch":
                batches.append(said)
                size += said["bytes"] + said["records"]
                if size >= 0.9 * SIZE:
                    break
        memory = peak_memory(child.pid)
    spent = time_of(batches[-1]) - time_of(batches[0])
    return sum(each["bytes"] + each["records"] for each in batches[1:]) / spent, memory


def idle(logs: int) -> Row:
    """So many logs, all read: the share of a core that it takes to see that there is nothing new."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(logs):
            (Path(folder) / f"app{number}.log").write_bytes(b"a line of log %d\n" % number)
        with spout(Path(folder) / "*.log", wait=1) as (child, lines):
            seen = 0
            while seen < logs:
                seen += json.loads(next(lines)).get("records", 0)
            time.sleep(3)  # the first looks after that
            before, begin = computed(child.pid), time.perf_counter()
            time.sleep(IDLE)
            share = (computed(child.pid) - before) / (time.perf_counter() - begin)
    what = f"file source, idle, {logs:,} log{'s' * (logs > 1)}"
    return what, f"{100 * share:.2f} % of a core", "< 1 % of a core", share < 0.01


def spout(files: Path, wait: int) -> AbstractContextManager[tuple[subprocess.Popen[str], Iterator[str]]]:
    """The runtime as a process that reads ``files``; and its log lines."""
    source = {"type": "file", "files": str(files), "start": "beginning", "on_lost": "fail", "max_line": MEBI}
    batch = {"records": 10**6, "bytes": 8 * MEBI, "wait": wait}
    return running([sys.executable, str(RUNTIME / "main.py")], source, batch, "{file}/{first}")


def rate_of_cat(log: Path) -> float:
    """Bytes a second of ``cat``."""
    with reader() as path:
        begin = time.perf_counter()
        with path.open("wb") as fifo:
            subprocess.run(["cat", str(log)], stdout=fifo, check=True)
        return log.stat().st_size / (time.perf_counter() - begin)
