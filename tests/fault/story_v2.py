"""One story on 2.x: a spout and a pachd that are killed again and again, until all records are committed."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from zygote_v2 import PACHD_STEPS, SPOUT_STEPS, line

from spoutgen.errors import SpoutgenError
from spoutgen.local import pipelines
from spoutgen.local.home import Home
from spoutgen.local.refused import UnfinishedParentError
from spoutgen.local.spec import parse
from spoutgen.local.store import Store

HERE = Path(__file__).parent
PATIENCE = 90.0  # seconds without a commit, on a busy machine
# Steps that come once in a life.
ONCE = ("resume", "clear", "finish", "read marker")
SPOUT = {"pipeline": {"name": "dots"}, "transform": {"image": "dots:1", "cmd": ["x"]}, "spout": {}}


class Zygote:
    """The process that forks the others, and what has ended so far."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "zygote_v2.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._ended: dict[int, int] = {}
        self._started: list[int] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(self, **order: Any) -> int:
        """Start a process and return its id."""
        with self._news:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            assert self._news.wait_for(lambda: bool(self._started), 60), "the zygote is dead"
            return self._started.pop()

    def status(self, pid: int) -> int | None:
        """How a process ended; None while it lives."""
        with self._news:
            return self._ended.get(pid)

    def wait(self, pid: int) -> int:
        """How it ended, once it has."""
        with self._news:
            assert self._news.wait_for(lambda: pid in self._ended, 60), f"process {pid} lives for ever"
            return self._ended[pid]

    def close(self) -> None:
        """End it and all that it started."""
        self._process.stdin.close()
        self._process.wait(60)
        self._reader.join(60)
        self._process.stdout.close()

    def _read(self) -> None:
        for text in self._process.stdout:
            news = json.loads(text)
            with self._news:
                if "pid" in news:
                    self._started.append(news["pid"])
                else:
                    self._ended[news["ended"]] = news["status"]
                self._news.notify_all()


@dataclass
class Verdict:
    """What came of a story: kills by step, and what is wrong with the end state."""

    kills: list[str] = field(default_factory=list)
    stuck: str = ""
    lost: int = 0
    repeated: int = 0
    backwards: int = 0
    again: int = 0

    @property
    def is_right(self) -> bool:
        return not (self.stuck or self.lost or self.repeated or self.backwards or self.again)


@dataclass
class Story:
    """``spout_kills`` and ``pachd_kills`` deaths, ``lost_replies`` and ``restarts`` of the pipeline, by chance."""

    zygote: Zygote
    folder: Path
    seed: int
    spout_kills: int = 0
    pachd_kills: int = 0
    lost_replies: int = 0
    restarts: int = 0
    last: int = 60
    mutation: str = ""
    steps: tuple[str, ...] = SPOUT_STEPS
    patience: float = PATIENCE

    def tell(self) -> Verdict:
        """Tell it to its end, and look at what stands there."""
        self._random = random.Random(self.seed)
        self._verdict = Verdict()
        self._home = Home(self.folder / "home")
        self._ports = [_free_port(), _free_port()]
        self._spout = self._pachd = 0
        self._left = self.spout_kills
        self._had_restarts = self.restarts > 0
        with Store.create(self._home.store) as store:
            store.create_repo("dots")
            pipelines.insert(store, parse(SPOUT), "")
            pipelines.set_state(store, "dots", "running")
            try:
                self._live(store)
            finally:
                for pid in (self._spout, self._pachd):
                    if pid and self.zygote.status(pid) is None:
                        os.kill(pid, signal.SIGKILL)
                        self.zygote.wait(pid)
            self._judge(store)
        return self._verdict

    def _live(self, store: Store) -> None:
        newest, moved_at = None, time.monotonic()
        doomed = False
        while True:
            if not self._pachd or self.zygote.status(self._pachd) is not None:
                if self._pachd:
                    self._verdict.kills.append("pachd")
                self._start_pachd()
            if not self._spout or (status := self.zygote.status(self._spout)) is not None:
                if self._spout and status == -signal.SIGKILL:
                    self._verdict.kills.append(f"spout {self._step}")
                elif self._spout:
                    self._verdict.stuck = f"the spout ended with {status}: {self._log()}"
                    return
                if self.restarts:
                    self.restarts -= 1
                    with suppress(UnfinishedParentError):
                        store.start_commit("dots", "master")  # what a start of the pipeline leaves
                doomed = self._start_spout()
            head = store.head("dots", "master")
            if head != newest:
                newest, moved_at = head, time.monotonic()
            is_over = self._committed(store) == self.last and not (doomed and self._left)
            if is_over or (self._committed(store) == self.last and time.monotonic() - moved_at > 0.3):
                return
            if time.monotonic() - moved_at > self.patience:
                self._verdict.stuck = f"nothing happens any more: {self._log()}"
                return
            time.sleep(0.004)

    def _start_pachd(self) -> None:
        dooms: list[tuple[str, int, str]] = []
        if self.pachd_kills:
            self.pachd_kills -= 1
            dooms.append((self._random.choice(PACHD_STEPS), self._random.randint(1, 4), "kill"))
        for number in range(1, min(self.lost_replies, 1 if self.pachd_kills else 99) + 1):
            self.lost_replies -= 1
            dooms.append(("modify: committed", 2 * number, "lost reply"))
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        self._pachd = self.zygote.start(
            role="pachd", home=str(self._home.folder), ready=str(ready), port=self._ports[0],
            sidecar_port=self._ports[1], dooms=dooms,
        )  # fmt: skip
        ends_at = time.monotonic() + 60
        while not ready.exists() and self.zygote.status(self._pachd) is None and time.monotonic() < ends_at:
            time.sleep(0.002)

    def _start_spout(self) -> bool:
        is_doomed = self._left > 0
        self._left -= is_doomed
        self._step = self._random.choice(self.steps) if is_doomed else ""
        config = {
            "version": 1, "name": "dots", "source": {"type": "numbers", "last": self.last},
            "marker": {"name": "mymark"}, "output": {"path": "data/{first}-{last}", "format": "lines"},
            "batch": {"records": 4, "bytes": 1 << 20, "wait": 0}, "target": {"pachyderm": 2, "branch": "master"},
        }  # fmt: skip
        environment = {
            "SPOUT_CONFIG": json.dumps(config), "PPS_PROJECT_NAME": "default",
            "PACHD_PEER_SERVICE_HOST": "127.0.0.1", "PACHD_PEER_SERVICE_PORT": str(self._ports[1]),
        }  # fmt: skip
        self._spout = self.zygote.start(
            role="spout", environment=environment, log=str(self.folder / "log"), step=self._step,
            number=1 if self._step.endswith(ONCE) else self._random.randint(1, 3), mutation=self.mutation,
        )  # fmt: skip
        return is_doomed

    def _log(self) -> str:
        log = self.folder / "log"
        return " | ".join(log.read_text().splitlines()[-3:]) if log.exists() else "no log"

    def _committed(self, store: Store, ref: str = "master") -> int | None:
        """The position in a commit's marker; None if there is none, or while the commit is not finished."""
        try:
            if store.commit("dots", ref).finished is None:
                return None
            marker = json.loads(b"".join(store.get_file("dots", ref, "/mymark")))
        except (SpoutgenError, ValueError):
            return None
        committed: int | None = marker["committed"]
        return committed

    def _judge(self, store: Store) -> None:
        """Each record once and in one file; each position of the marker in one commit."""
        found: list[bytes] = []
        try:
            infos = store.list_files("dots", "master", "/data")
        except SpoutgenError:
            infos = []
        for info in infos:
            found += b"".join(store.get_file("dots", "master", info.path)).splitlines()
        wanted = [line(n) for n in range(1, self.last + 1)]
        self._verdict.lost = len(set(wanted) - set(found))
        self._verdict.repeated = len(found) - len(set(found))
        changes = [commit for commit in reversed(store.commits("dots", "master")) if commit.is_changed]
        positions = [self._committed(store, commit.id) or 0 for commit in changes]
        if not self._had_restarts:
            # What is sent a second time changes nothing.
            self._verdict.again = sum(not commit.is_changed for commit in store.commits("dots", "master"))
        self._verdict.backwards = sum(a >= b for a, b in pairwise(positions))


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
