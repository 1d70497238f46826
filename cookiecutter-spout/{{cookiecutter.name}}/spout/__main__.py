"""Puts the spout together and runs it for ever.

The worker never starts user code again that ended with 0 (v1.13.4:src/server/worker/pipeline/common.go:49): the pod
would stay up and do nothing. So there is no way to end with 0 here: 1 is a FatalError, 70 a bug, 128+n a signal.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
import traceback
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import NoReturn

from spout.config import Config, read_config
from spout.fatal import FatalError, brief
from spout.fifo import Fifo
from spout.journal import Journal
from spout.log import Log, credentials
from spout.loop import Metered, run
from spout.marker import Announcement, Budget, Shape, pulled
from spout.metrics import Meter, serve
from spout.pipe import PipeSink
from spout.reconnect import Reconnecting, backoff
from spout.records import UncertainError
from spout.refine import refining
from spout.sources import kind_of

KEPT_MEMORY = 16 << 20  # bytes


class Stopped(BaseException):
    """A signal asked the spout to end; no ``except Exception`` of a source may swallow that."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main() -> int:
    """Run the spout; return the exit status, which is never 0."""
    log = Log(sys.stdout, credentials(os.environ))
    # Records are tuples that live for one batch and make no cycles. By default Python looks for cycles every 700 new
    # ones, and so walks a batch again and again: it took half of the time of a batch of 20,000.
    gc.set_threshold(200_000)
    # And the memory of a batch is had anew for each: glibc would give it back to the system every time, and half of the
    # time of reading 8 MiB went into that. Once a block as large as this was freed, it keeps as much (mallopt(3)).
    bytes(KEPT_MEMORY)
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stop)
        config = read_config(os.environb)
        log = Log(sys.stdout, credentials(os.environ, config.credentials))
        spin(config, Path(os.environ.get("SPOUT_PFS_ROOT", "/pfs")), log)
        raise RuntimeError("the loop has ended")
    except FatalError as error:
        facts = {"found": error.found, "expected": error.expected, "remedy": error.remedy}
        log.fatal("refused", subject=error.subject, **facts)
        return 1
    except Stopped as stopped:
        log.info("stopped", signal=signal.Signals(stopped.number).name)
        return 128 + stopped.number
    except BaseException as error:  # noqa: BLE001 (a SystemExit(0) of a driver must not end the spout for good)
        frames = traceback.extract_tb(error.__traceback__)
        where = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
        log.fatal("crashed", error=type(error).__name__, detail=brief(error, 400), where=where)
        return 70


def spin(config: Config, pfs: Path, log: Log) -> None:
    """The spout that ``config`` describes, on the folder that a worker has made at ``pfs``."""
    meter = Meter()
    if config.metrics:
        serve(meter, config.metrics.port, config.metrics.stalled_after)
    kind = kind_of(config)
    source = Reconnecting(kind.make(config.options, log.warning), log, meter)
    shape = kind.shape(config, source.identity)
    budget = Budget(log, meter)
    if config.target is not None:
        _spin_on_2(config, source, shape, budget, log, meter)
    fifo = Fifo(pfs / "out", lambda waited: log.warning("worker_does_not_read", seconds=round(waited, 1)))
    journal = Journal(fifo.path.parent, fifo.identity)
    announcement, origin = journal.read(), "journal"
    if announcement is None:
        announcement, origin = pulled(pfs / config.marker, shape), "marker"
    _log_start(log, config, source, announcement, origin, thrown_away=fifo.thrown_away)
    pipe = PipeSink(config, fifo, journal, shape, budget)
    with closing(refining(pipe, config, log, meter)) as sink, closing(source):
        run(source, sink, announcement, config.batch, log, meter)


def _log_start(
    log: Log, config: Config, source: Metered, announcement: Announcement | None, origin: str, **more: object
) -> None:
    facts = {"spout": config.name, "source": source.identity, **more}
    if announcement is None:
        log.info("started", **facts)
    else:
        committed, writing = (brief(json.dumps(at)) for at in (announcement.committed, announcement.writing))
        log.info("resumed", **facts, origin=origin, committed=committed, writing=writing)


def _spin_on_2(config: Config, source: Metered, shape: Shape, budget: Budget, log: Log, meter: Meter) -> NoReturn:
    """The same on Pachyderm 2.x, which has no pipe: batches are commits, and the marker is read where they are."""
    from spout.api import ApiSink  # only such a project has the SDK

    waits = backoff()
    api = ApiSink(config, shape, budget)
    with closing(refining(api, config, log, meter)) as sink, closing(source):
        while True:
            try:
                announcement = api.resume()
                _log_start(log, config, source, announcement, origin="marker")
                run(source, sink, announcement, config.batch, log, meter)
            except UncertainError as error:
                if api.has_committed:
                    waits = backoff()
                delay = next(waits)
                log.warning("commit_uncertain", detail=str(error), retry_in=round(delay, 3))
                meter.add("retries_total")
                source.close()
                time.sleep(delay)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_DFL)  # a second one does not wait
    raise Stopped(number)


if __name__ == "__main__":
    sys.exit(main())
