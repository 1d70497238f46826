"""The runtime's PipeSink beside a bare FIFO, both into a reader that throws everything away, in turn.

What a FIFO moves depends on where its two ends run: on two cores every wake-up crosses between them (0.4 to 0.9 GB/s
with the kernel's 64 KiB), on one core the bytes never leave the cache (3.5 GB/s). A scheduler does either as it likes,
so both are measured, with the ends pinned.

Run alone, `python benchmarks/pipe_sink.py`, it prints its own table.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

RUNTIME = Path(__file__).parents[1] / "cookiecutter-spout" / "{{cookiecutter.name}}"
ROUNDS = 5
SECONDS = 0.3  # roughly, each measurement
MEBI = 1 << 20

Row = tuple[str, str, str, bool]

# What a worker is to the runtime, without what it does with the bytes.
READER = """
import os, sys
if len(sys.argv) > 2: os.sched_setaffinity(0, {int(sys.argv[2])})
fd = os.open(sys.argv[1], os.O_RDONLY)
while os.read(fd, 1 << 16): pass
"""

# The whole runtime with a source that always has the next record of 200 bytes.
WHOLE = """
import sys
sys.path.insert(0, sys.argv[1])
from spout.__main__ import main
from spout.log import Log
from spout.marker import Budget, JsonShape
from spout.records import Record
from spout.sources import KINDS, Kind

class Numbers:
    identity, needs_ack = "numbers", False
    def __init__(self, options, warn): pass
    def open(self, position): self.at = position or 0
    def ack(self, position): pass
    def close(self): pass
    def read(self, limit, timeout):
        first, self.at = self.at + 1, self.at + min(limit.records, 1000)
        return [Record(b"%200d" % at, at, str(at)) for at in range(first, self.at + 1)]

KINDS["numbers"] = Kind(Numbers, lambda config, identity: JsonShape(config.marker, config.name, identity))
sys.exit(main())
"""


def measure() -> list[Row]:
    """The rows of the table: what, measured, target, met."""
    sys.path.insert(0, str(RUNTIME))
    sys.dont_write_bytecode = True  # cookiecutter copies what it finds in a template
    return [small_records(), *large_batches(), whole_runtime(8 * MEBI), symbol_memory()]


def small_records() -> Row:
    """Records of 200 bytes in batches of 1,000."""
    rates = [rate_of_sink(1000, 200) / 200 for _ in range(ROUNDS)]
    rate = statistics.median(rates)
    return "PipeSink, records of 200 B, 1,000 a batch", f"{rate:,.0f} records/s", ">= 100,000 records/s", rate >= 1e5


def large_batches() -> Iterator[Row]:
    """Batches of 8 MiB, of large records and of small ones, as a share of the bare FIFO."""
    cores = sorted(os.sched_getaffinity(0))
    for where, reads_on in (("two cores", cores[-1]), ("one core", cores[0])):
        os.sched_setaffinity(0, {cores[0]})
        for size in (8 * MEBI, 8192, 200):
            pairs = [
                (rate_of_sink(8 * MEBI // size, size, reads_on), rate_of_fifo(8 * MEBI, reads_on))
                for _ in range(ROUNDS)
            ]
            share = statistics.median(ours / bare for ours, bare in pairs)
            ours, bare = (statistics.median(column) / 1e6 for column in zip(*pairs, strict=True))
            measured = f"{share:.2f}x ({ours:,.0f} MB/s; bare FIFO {bare:,.0f} MB/s)"
            what = f"PipeSink, 8 MiB a batch, records of {size:,} B, {where}"
            if (size, where) == (200, "one core"):  # 42,000 Python objects a batch against one copy in the cache
                yield what, measured, "(no target)", True
            else:
                yield what, measured, ">= 0.5x bare FIFO", share >= 0.5
        os.sched_setaffinity(0, cores)


def rate_of_sink(count: int, size: int, reads_on: int | None = None) -> float:
    """Bytes of records a second through announcing tar, wait, journal and data tar."""
    from spout.config import Config, Limits, Output
    from spout.fifo import Fifo
    from spout.journal import Journal
    from spout.log import Log
    from spout.marker import Budget, JsonShape
    from spout.metrics import Meter
    from spout.pipe import PipeSink
    from spout.records import Batch, Record

    config = Config("bench", "numbers", {}, "mymark", False, Output("{last}", "lines"), Limits(count, 8 * MEBI, 5.0))
    records = [Record(os.urandom(size), number, str(number)) for number in range(count)]
    with reader(reads_on) as path:
        fifo = Fifo(path, print)
        shape = JsonShape("mymark", "bench", "numbers")
        sink = PipeSink(config, fifo, Journal(path.parent, fifo.identity), shape, Budget(Log(None), Meter()))
        try:
            batch = Batch(None, count, records)
            return count * size * calls_a_second(lambda: sink.write(batch, lambda position: None))
        finally:
            sink.close()


def rate_of_fifo(size: int, reads_on: int | None = None) -> float:
    """Bytes a second of plain writes."""
    data = os.urandom(size)
    with reader(reads_on) as path:
        fd = os.open(path, os.O_WRONLY)
        try:
            return size * calls_a_second(lambda: os.write(fd, data))
        finally:
            os.close(fd)


def calls_a_second(step: Callable[[], object]) -> float:
    """How often ``step`` runs in a second, after one run that does not count."""
    step()
    calls, begin = 0, time.perf_counter()
    while (spent := time.perf_counter() - begin) < SECONDS:
        step()
        calls += 1
    return calls / spent


@contextmanager
def reader(core: int | None = None) -> Iterator[Path]:
    """A FIFO that another process reads, on ``core`` if that is given."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out"
        os.mkfifo(path)
        child = subprocess.Popen([sys.executable, "-c", READER, str(path), *([] if core is None else [str(core)])])
        try:
            yield path
            child.wait(10)
        finally:
            child.kill()
            child.wait()


def whole_runtime(limit: int) -> Row:
    """The runtime as a process of its own, source and loop included, with batches as large as by default."""
    source = {"type": "numbers"}
    batch = {"records": 10**6, "bytes": limit, "wait": 5}
    with running([sys.executable, "-c", WHOLE, str(RUNTIME)], source, batch, "{last}") as (child, lines):
        batches = [json.loads(line) for _, line in zip(range(13), lines, strict=False)][3:]
        memory = peak_memory(child.pid)
    begin, end = (time_of(batches[at]) for at in (0, -1))
    rate = sum(batch["records"] for batch in batches[1:]) / (end - begin)
    measured = f"{memory:.1f} MiB, {rate:,.0f} records/s"
    return "whole runtime, records of 200 B, 8 MiB a batch", measured, "< 40 MiB resident", memory < 40


def symbol_memory() -> Row:
    """The memory of the symbol spout at line 1,400, whose marker is 1 MB then: a larger one is refused."""
    source = {"type": "symbol", "symbol": ".", "interval": 0}
    batch = {"records": 1, "bytes": 8 * MEBI, "wait": 5}
    with running([sys.executable, str(RUNTIME / "main.py")], source, batch, "output") as (child, lines):
        for _, _line in zip(range(1401), lines, strict=False):
            pass
        memory = peak_memory(child.pid)
    return "symbol spout at line 1,400 (marker of 1 MB)", f"{memory:.1f} MiB", "< 40 MiB resident", memory < 40


@contextmanager
def running(
    command: list[str], source: dict[str, object], batch: dict[str, int], output: str
) -> Iterator[tuple[subprocess.Popen[str], Iterator[str]]]:
    """The runtime as a process, its output read by a thread of ours; and its log lines."""
    config = {
        "version": 1,
        "name": "bench",
        "source": source,
        "marker": {"name": "mymark"},
        "output": {"path": output, "format": "lines"},
        "batch": batch,
    }
    with tempfile.TemporaryDirectory() as folder:
        os.mkfifo(Path(folder) / "out")
        (Path(folder) / "mymark").symlink_to(Path(folder) / "nothing")
        environ = {"SPOUT_CONFIG": json.dumps(config), "SPOUT_PFS_ROOT": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        child = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
        throw_away = subprocess.Popen([sys.executable, "-c", READER, str(Path(folder) / "out")])
        assert child.stdout
        try:
            yield child, child.stdout
        finally:
            for process in (child, throw_away):
                process.kill()
                process.wait()
            child.stdout.close()


def time_of(line: dict[str, str]) -> float:
    """When a log line was written, in seconds of its day."""
    hours, minutes, seconds = line["time"][11:-1].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def peak_memory(pid: int) -> float:
    """The most memory that a process ever had resident, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def computed(pid: int) -> float:
    """The processor time of a process and its threads so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Print the table."""
    for what, measured, target, met in measure():
        print(f"{what}: {measured}, target {target}: {'met' if met else 'NOT met'}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
