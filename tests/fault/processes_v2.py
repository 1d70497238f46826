"""The stories' end of zygote_v2.py: the process that forks the others, and what has become of them."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

LONGEST = 120.0  # seconds for a fork, or for a death, on a busy machine


class Zygote:
    """Several threads may use it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "zygote_v2.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._orders = itertools.count()
        self._started: dict[int, int] = {}
        self._ended: dict[int, int] = {}
        self._stopped: set[int] = set()
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(self, **facts: Any) -> int:
        """Start a process and return its id."""
        with self._news:
            order = next(self._orders)
            self._process.stdin.write(json.dumps({"order": order, **facts}) + "\n")
            self._process.stdin.flush()
            assert self._news.wait_for(lambda: order in self._started, LONGEST), "the zygote is dead"
            return self._started.pop(order)

    def status(self, pid: int) -> int | None:
        """How a process ended; None while it lives."""
        with self._news:
            return self._ended.get(pid)

    def is_stopped(self, pid: int) -> bool:
        """Whether it has stopped itself and was not told to go on."""
        with self._news:
            return pid in self._stopped

    def go_on(self, pid: int) -> None:
        """Let a stopped process run again."""
        with self._news:
            self._stopped.discard(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def wait(self, pid: int) -> int:
        """How it ended, once it has."""
        with self._news:
            assert self._news.wait_for(lambda: pid in self._ended, LONGEST), f"process {pid} lives for ever"
            return self._ended[pid]

    def wait_for_news(self, seconds: float) -> None:
        """Until something has become of some process, or so long."""
        with self._news:
            self._news.wait(seconds)

    def close(self) -> None:
        """End it and all that it started."""
        self._process.stdin.close()
        self._process.wait(LONGEST)
        self._reader.join(LONGEST)
        self._process.stdout.close()

    def _read(self) -> None:
        for text in self._process.stdout:
            news = json.loads(text)
            with self._news:
                if "order" in news:
                    self._started[news["order"]] = news["pid"]
                    self._ended.pop(news["pid"], None)  # the ids of processes come again
                elif "stopped" in news:
                    self._stopped.add(news["stopped"])
                else:
                    self._stopped.discard(news["ended"])
                    self._ended[news["ended"]] = news["status"]
                self._news.notify_all()
