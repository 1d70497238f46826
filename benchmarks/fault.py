"""What the promise costs: the write-ahead rule beside data tars alone, and the time to go on after a kill."""

import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pipe_sink

from spoutgen.local import pipelines
from spoutgen.local.backoff import Backoff, Backoffs
from spoutgen.local.environment import Secrets, user_environment
from spoutgen.local.events import CommitFinished, LogLine, UserCodeStarted
from spoutgen.local.generations import GENERATIONS
from spoutgen.local.spec import parse
from spoutgen.local.store import Store
from spoutgen.local.usercode import Command
from spoutgen.local.worker import Job, Worker

ROUNDS = 9
KILLS = 12
NO_WAIT = Backoff(0.001, 0.001)

Row = tuple[str, str, str, bool]

CONFIG = (
    '{"version":1,"name":"dots","source":{"type":"symbol","symbol":".","interval":0.001},"marker":{"name":"mymark"},'
    '"output":{"path":"output","format":"lines"},"batch":{"records":1,"bytes":8388608,"wait":0}}'
)


def measure() -> list[Row]:
    """The rows of the table: what, measured, target, met."""
    sys.path.insert(0, str(pipe_sink.RUNTIME))
    sys.dont_write_bytecode = True
    return [write_ahead(), *(resume(generation) for generation in GENERATIONS)]


def write_ahead() -> Row:
    """Batches of 1,000 records of 200 bytes, with all steps and with the data tars alone, in turn."""
    pairs = [(pipe_sink.rate_of_sink(1000, 200), data_alone(1000, 200)) for _ in range(ROUNDS)]
    share = statistics.median(ours / bare for ours, bare in pairs)
    return "write-ahead rule, 1,000 records of 200 B a batch", f"{share:.2f}x data tars alone", ">= 0.70x", share >= 0.7


def data_alone(count: int, size: int) -> float:
    """Bytes of records a second as data tars, with nothing else."""
    from spout import output
    from spout.config import Output
    from spout.fifo import Fifo
    from spout.pipe import tar
    from spout.records import Batch, Record

    batch = Batch(None, count, [Record(os.urandom(size), number, str(number)) for number in range(count)])
    with pipe_sink.reader(None) as path:
        fifo = Fifo(path, print)
        try:
            return (
                count
                * size
                * pipe_sink.calls_a_second(
                    lambda: fifo.write(tar.archive(output.files(batch, Output("{last}", "lines"), "mymark")))
                )
            )
        finally:
            fifo.close()


def resume(generation) -> Row:
    """From the start of a new process, interpreter and all, to its first new commit, after each of some kills."""
    with tempfile.TemporaryDirectory() as name:
        seconds = times_to_resume(generation, Path(name))
    measured = f"{statistics.median(seconds):.2f} s, {max(seconds):.2f} s at most of {len(seconds)}"
    return f"{generation.name}: SIGKILL to the first new commit", measured, "<= 1 s", max(seconds) <= 1


def times_to_resume(generation, folder: Path) -> list[float]:
    """Run the symbol spout on a worker of ``generation``, kill it after some commits, again and again."""
    transform = {"cmd": [sys.executable, str(pipe_sink.RUNTIME / "main.py")], "env": {"SPOUT_CONFIG": CONFIG}}
    spout = {"marker": "mymark", "overwrite": True}
    with Store.create(folder / "store.db") as store:
        pipeline = pipelines.submit(
            store, parse({"pipeline": {"name": "dots"}, "transform": transform, "spout": spout}), folder
        )
    secrets = Secrets({})
    environment = {
        **user_environment(pipeline, generation, folder / "pfs", secrets, dict(os.environ)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = Command(pipeline.spec.cmd, (), folder, environment, secrets, frozenset())
    seconds: list[float] = []
    started, pid, commits, is_up = 0.0, 0, 0, False

    def take(event):
        nonlocal started, pid, commits, is_up
        if isinstance(event, UserCodeStarted):
            started, pid, commits, is_up = time.monotonic(), event.pid, 0, False
        elif isinstance(event, LogLine):
            is_up |= '"resumed"' in event.text or '"started"' in event.text
        elif isinstance(event, CommitFinished) and event.commit.is_changed and pid and is_up:
            # What the dead process wrote and the worker finishes only now is not counted: the new one is not up yet.
            commits += 1
            if commits == 1:
                seconds.append(time.monotonic() - started)
            if len(seconds) > KILLS:
                worker.stop()
            elif commits == 5:
                os.kill(pid, signal.SIGKILL)
                pid = 0

    job = Job(pipeline, generation, command, folder / "pfs", folder / "tmp")
    worker = Worker(job, lambda: Store(folder / "store.db"), take, Backoffs(NO_WAIT, NO_WAIT, NO_WAIT, NO_WAIT))
    worker.run()
    return seconds[1:]


if __name__ == "__main__":
    for row in measure():
        print(*row, sep="  ")
